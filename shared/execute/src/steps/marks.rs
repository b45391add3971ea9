//! Steps that write on claims why and how they go.

use crate::orders::Orders;
use crate::ports::{Cluster, ClusterError};
use crate::update::update;
use crate::{conditions, objects};
use model::{Disruption, Interruption, labels};
use serde_json::{Value, json};

/// Writes what AWS told about the claim's instance. It commutes with every other change, so that no lease is needed.
pub(super) async fn interrupted<K: Cluster>(
    claim: &str,
    interruption: &Interruption,
    cluster: &K,
) -> Result<(), ClusterError> {
    let told = serde_json::to_string(interruption).unwrap_or_default();
    let patch = json!({ "metadata": { "annotations": { labels::INTERRUPTION: told } } });
    cluster.patch(&objects::claim(claim), None, &patch).await.map(drop)
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
