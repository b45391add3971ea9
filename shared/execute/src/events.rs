//! Kubernetes Events: the planner's reasons where people look for them.

use crate::objects;
use crate::orders::Orders;
use crate::outcome::Outcome;
use crate::ports::{Cluster, ClusterError};
use futures::StreamExt;
use model::{Plan, Pod, PodId};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// At most so many events a turn: they inform people, and the log and the plan hold all.
const EVENTS: usize = 200;
/// How many are written at once.
const WRITES: usize = 16;
/// Kubernetes refuses longer messages.
const MESSAGE_BYTES: usize = 1024;

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Normal,
    Warning,
}

/// Tells of pods that cannot be placed and why, and where the others will go.
pub(crate) async fn tell<K: Cluster>(
    plan: &Plan,
    orders: &Orders<'_>,
    cluster: &K,
    outcome: &mut Outcome,
) {
    let all = events(plan, orders);
    let writes = all.iter().take(EVENTS).map(|event| create(cluster, event));
    let results = futures::stream::iter(writes).buffered(WRITES).collect::<Vec<_>>().await;
    if let Some(error) = results.into_iter().find_map(Result::err) {
        // Nothing waits for an event.
        let look_again = outcome.look_again;
        outcome.record("tell", "events", "", Err(error.to_string()));
        outcome.look_again = look_again;
    }
}

/// Writes an event. The same one told before is enough: its name follows from what it says.
pub(crate) async fn create<K: Cluster>(cluster: &K, event: &Value) -> Result<(), ClusterError> {
    let text = |key: &str| event["metadata"][key].as_str().unwrap_or_default();
    match cluster.create(&objects::event(text("namespace"), text("name")), event).await {
        Ok(_) | Err(ClusterError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

fn events(plan: &Plan, orders: &Orders<'_>) -> Vec<Value> {
    let pods =
        orders.snapshot.pods.iter().map(|pod| (&pod.id, pod)).collect::<BTreeMap<&PodId, &Pod>>();
    let failed = plan.unschedulable.iter().filter_map(|lost| {
        let reasons = lost.reasons.iter().map(ToString::to_string).collect::<Vec<_>>();
        let message = reasons.join("; ");
        Some(pod_event(pods.get(&lost.pod)?, Level::Warning, "FailedScheduling", &message, orders))
    });
    let nominated = plan.placements.iter().filter_map(|placement| {
        let message = format!("Pod should schedule on: {}", placement.node);
        Some(pod_event(pods.get(&placement.pod)?, Level::Normal, "Nominated", &message, orders))
    });
    failed.chain(nominated).collect()
}

fn pod_event(pod: &Pod, level: Level, reason: &str, message: &str, orders: &Orders<'_>) -> Value {
    let involved = json!({
        "apiVersion": "v1", "kind": "Pod", "namespace": pod.id.namespace, "name": pod.id.name, "uid": pod.uid,
    });
    event(involved, level, reason, message, orders)
}

/// An event about a claim.
pub(crate) fn claim_event(
    claim: &Value,
    level: Level,
    reason: &str,
    message: &str,
    orders: &Orders<'_>,
) -> Value {
    let involved = json!({
        "apiVersion": objects::CLAIM_API, "kind": "NodeClaim",
        "name": claim["metadata"]["name"], "uid": claim["metadata"]["uid"],
    });
    event(involved, level, reason, message, orders)
}

fn event(involved: Value, level: Level, reason: &str, message: &str, orders: &Orders<'_>) -> Value {
    let digest = Sha256::digest(format!("{}/{reason}/{message}", involved["uid"]));
    let suffix = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
    let name = involved["name"].as_str().unwrap_or_default();
    let now = orders.now();
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": format!("{name}.{suffix}"),
            "namespace": involved["namespace"].as_str().unwrap_or("default"),
        },
        "involvedObject": involved,
        "type": match level { Level::Normal => "Normal", Level::Warning => "Warning" },
        "reason": reason,
        "message": shortened(message),
        "source": { "component": "joiner" },
        "reportingComponent": "joiner",
        "reportingInstance": "joiner",
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    })
}

fn shortened(message: &str) -> String {
    let cut =
        message.char_indices().map(|(at, _)| at).take_while(|at| *at <= MESSAGE_BYTES - 4).last();
    match message.len() > MESSAGE_BYTES {
        true => format!("{}...", message.get(..cut.unwrap_or(0)).unwrap_or_default()),
        false => message.to_owned(),
    }
}
