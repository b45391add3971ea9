//! What is done at once about instances that AWS takes away: no plan and no lease is needed for it.

use crate::events;
use crate::outcome::Outcome;
use crate::ports::{Cluster, ClusterError};
use crate::steps::{marks, nodes};
use futures::StreamExt;
use model::{Interruption, Timestamp};
use serde_json::json;

/// How many claims are marked at once: a storm has hundreds, and their replacements wait for the last mark.
const AT_ONCE: usize = 64;

/// A claim of whose instance AWS told something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warned {
    /// The claim's name.
    pub claim: String,
    /// The claim's uid.
    pub uid: String,
    /// Its node's name, once it has one.
    pub node: Option<String>,
    /// What AWS told.
    pub told: Interruption,
}

/// Marks the claims and keeps new pods off their nodes, each as soon as it can be, and tells people. What is there already, or is gone, is
/// as good as done.
pub async fn mark<K: Cluster>(warned: &[Warned], now: Timestamp, cluster: &K) -> Outcome {
    let work = warned.iter().map(|one| mark_one(one, now, cluster));
    let mut parts = futures::stream::iter(work).buffer_unordered(AT_ONCE);
    let mut outcome = Outcome::default();
    while let Some(part) = parts.next().await {
        outcome.actions.extend(part.actions);
        outcome.look_again |= part.look_again;
    }
    outcome.actions.sort_by(|a, b| (&a.object, a.action).cmp(&(&b.object, b.action)));
    outcome
}

async fn mark_one<K: Cluster>(warned: &Warned, now: Timestamp, cluster: &K) -> Outcome {
    let mut outcome = Outcome::default();
    let node = warned.node.as_deref().filter(|_| warned.told.kind.takes_the_node());
    let cordon = async {
        match node {
            Some(node) => Some((node, nodes::cordon(node, cluster).await)),
            None => None,
        }
    };
    let (cordoned, marked) =
        futures::join!(cordon, marks::interrupted(&warned.claim, &warned.told, cluster));
    let detail = format!("{:?}", warned.told.kind);
    outcome.record_cluster("mark interrupted", &warned.claim, detail, or_gone(marked));
    if let Some((node, result)) = cordoned {
        outcome.record_cluster("cordon", node, "", or_gone(result));
    }
    let about = json!({ "metadata": { "name": warned.claim, "uid": warned.uid } });
    let moment = jiff::Timestamp::from_second(now.0).unwrap_or_default().to_string();
    // An event is for people; nothing waits for it.
    let _ = events::create(cluster, &events::interruption(&about, &warned.told, &moment)).await;
    outcome
}

fn or_gone(result: Result<(), ClusterError>) -> Result<(), ClusterError> {
    match result {
        Err(ClusterError::NotFound { .. }) => Ok(()),
        other => other,
    }
}
