//! Steps that write on claims why and how they go.

use crate::orders::Orders;
use crate::ports::{Cluster, ClusterError};
use crate::update::update;
use crate::{conditions, objects};
use model::{Disruption, Interruption, labels};
use serde_json::{Value, json};

/// Writes what AWS told about the claim's instance, unless what it told before is as urgent: marks may come from several functions at
/// once and in any order, so that no lease is needed.
pub(crate) async fn interrupted<K: Cluster>(
    claim: &str,
    interruption: &Interruption,
    cluster: &K,
) -> Result<(), ClusterError> {
    let told = serde_json::to_string(interruption).unwrap_or_default();
    let change = |object: &mut Value| {
        let before = object["metadata"]["annotations"][labels::INTERRUPTION].as_str();
        let before = before.and_then(|text| serde_json::from_str(text).ok());
        let outweighs = interruption.outweighs(before.as_ref());
        if outweighs {
            object["metadata"]["annotations"][labels::INTERRUPTION] = json!(told);
        }
        outweighs
    };
    update(cluster, &objects::claim(claim), None, &["metadata"], change).await.map(drop)
}

/// Writes how far the claim's disruption has come, or takes it off; the condition is for people.
pub(super) async fn disruption<K: Cluster>(
    claim: &str,
    disruption: Option<&Disruption>,
    orders: &Orders<'_>,
    cluster: &K,
) -> Result<(), ClusterError> {
    let told = disruption.map(|disruption| serde_json::to_string(disruption).unwrap_or_default());
    let patch = json!({ "metadata": { "annotations": { labels::DISRUPTION: told } } });
    cluster.patch(&objects::claim(claim), None, &patch).await?;
    let now = orders.now();
    let change = |object: &mut Value| match disruption {
        Some(disruption) => {
            let reason = disruption.reason.as_str();
            conditions::set(object, "DisruptionReason", "True", reason, reason, &now)
        }
        None => conditions::set(object, "DisruptionReason", "False", "CalledOff", "", &now),
    };
    update(cluster, &objects::claim(claim), Some("status"), &["status"], change).await.map(drop)
}
