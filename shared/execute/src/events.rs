//! Kubernetes Events: the planner's reasons where people look for them.

use crate::objects;
use crate::orders::Orders;
use crate::outcome::Outcome;
use crate::ports::{Cluster, ClusterError};
use futures::StreamExt;
use model::disruption::{InterruptionKind, Stage};
use model::{Interruption, Plan, Pod, PodId, Step};
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
        orders.snapshot.pods.iter().filter(|pod| !pod.is_virtual()).map(|pod| (&pod.id, pod));
    let pods = pods.collect::<BTreeMap<&PodId, &Pod>>();
    let failed = plan.unschedulable.iter().filter_map(|lost| {
        let reasons = lost.reasons.iter().map(ToString::to_string).collect::<Vec<_>>();
        let message = reasons.join("; ");
        Some(pod_event(pods.get(&lost.pod)?, Level::Warning, "FailedScheduling", &message, orders))
    });
    let nominated = plan.placements.iter().filter_map(|placement| {
        let message = format!("Pod should schedule on: {}", placement.node);
        Some(pod_event(pods.get(&placement.pod)?, Level::Normal, "Nominated", &message, orders))
    });
    failed.chain(nominated).chain(disruptions(plan, orders)).chain(blocked(plan, orders)).collect()
}

/// Which nodes should go and what keeps them.
fn blocked(plan: &Plan, orders: &Orders<'_>) -> Vec<Value> {
    let now = orders.now();
    let event = |kept: &model::Kept| {
        let message = format!("{}: {}", kept.reason.as_str(), kept.by);
        node_event(&kept.node, Level::Normal, "DisruptionBlocked", &message, &now)
    };
    plan.kept.iter().map(event).collect()
}

/// Which nodes go, why, and what they wait for.
fn disruptions(plan: &Plan, orders: &Orders<'_>) -> Vec<Value> {
    let mut events = Vec::new();
    for planned in &plan.disruptions {
        let reason = planned.reason.as_str();
        let (name, message) = match (planned.stage, planned.launches.len()) {
            (Some(Stage::Committed), 0) => (
                "DisruptionWaitingReadiness",
                format!("Waiting for the replacement to be set up: {reason}"),
            ),
            (Some(Stage::Committed), count) => (
                "DisruptionLaunching",
                format!("Launching {count} nodes in place of this one: {reason}"),
            ),
            // What is only intended is not told, and what goes now is told where its claim is deleted.
            (Some(Stage::Proposed) | None, _) => continue,
        };
        let event = |node| node_event(node, Level::Normal, name, &message, &orders.now());
        events.extend(planned.nodes.iter().map(|node| event(node)));
    }
    events
}

/// What a step on a pod or a node came to, for those whom it concerns; `None` if it is nothing to tell.
pub(crate) fn of_step(
    step: &Step,
    result: &Result<(), ClusterError>,
    orders: &Orders<'_>,
) -> Option<Value> {
    let now = orders.now();
    match step {
        Step::Evict { pod, uid, node } => match result {
            Ok(()) => {
                let message = format!("Evicted pod: its node {node} is taken away");
                Some(event(of_pod(pod, uid), Level::Normal, "Evicted", &message, &now))
            }
            Err(ClusterError::Later { message, .. }) => {
                let message =
                    format!("Failed to drain node: {pod} cannot be evicted yet: {message}");
                Some(node_event(node, Level::Warning, "FailedDraining", &message, &now))
            }
            Err(_) => None,
        },
        Step::ForceDelete { pod, uid, grace_s } if result.is_ok() => {
            let message = format!(
                "Deleted the pod with {grace_s} s left: the time of its node is over, whatever its disruption budget says"
            );
            Some(event(of_pod(pod, uid), Level::Warning, "Disrupted", &message, &now))
        }
        Step::Cordon { node } if result.is_ok() => expiring(node, orders, &now),
        Step::ForceDelete { .. }
        | Step::Cordon { .. }
        | Step::Launch { .. }
        | Step::Adopt { .. }
        | Step::Register { .. }
        | Step::Initialize { .. }
        | Step::Delete { .. }
        | Step::MarkInterrupted { .. }
        | Step::MarkDisruption { .. }
        | Step::Uncordon { .. }
        | Step::Terminate { .. }
        | Step::ReleaseNode { .. }
        | Step::ReleaseClaim { .. }
        | Step::DeleteNode { .. }
        | Step::MarkEmpty { .. } => None,
    }
}

/// By when the pods of a node must be gone, if its claim says so.
fn expiring(node: &str, orders: &Orders<'_>, now: &str) -> Option<Value> {
    let mut claims = orders.snapshot.node_claims.iter();
    let claim = claims.find(|claim| claim.node_name.as_deref() == Some(node))?;
    let end = claim.deletion_at?.plus(claim.termination_grace_period?);
    let end = jiff::Timestamp::from_second(end.0).ok()?;
    let message = format!("All pods will be deleted by {end}");
    Some(node_event(node, Level::Warning, "TerminationGracePeriodExpiring", &message, now))
}

/// What AWS told of a claim's instance, in Karpenter's words.
pub(crate) fn interruption(claim: &Value, told: &Interruption, now: &str) -> Value {
    let (level, reason, message) = match told.kind {
        InterruptionKind::SpotWarning => {
            (Level::Warning, "SpotInterrupted", "Spot interruption warning was triggered")
        }
        InterruptionKind::Rebalance => (
            Level::Normal,
            "SpotRebalanceRecommendation",
            "Spot rebalance recommendation was triggered",
        ),
        InterruptionKind::ScheduledChange => {
            (Level::Warning, "InstanceUnhealthy", "A change of the instance is scheduled")
        }
        InterruptionKind::Stopping => (Level::Warning, "InstanceStopping", "Instance is stopping"),
        InterruptionKind::ReservationEnding => (
            Level::Warning,
            "CapacityReservationInterrupted",
            "The instance's capacity reservation is interrupted",
        ),
        InterruptionKind::StatusImpaired => {
            (Level::Warning, "InstanceUnhealthy", "The instance fails its status checks")
        }
    };
    claim_event(claim, level, reason, message, now)
}

fn pod_event(pod: &Pod, level: Level, reason: &str, message: &str, orders: &Orders<'_>) -> Value {
    event(of_pod(&pod.id, &pod.uid), level, reason, message, &orders.now())
}

fn of_pod(id: &PodId, uid: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "namespace": id.namespace, "name": id.name, "uid": uid })
}

/// An event about a node. Its uid is its name, as the kubelet and `kubectl describe node` have it.
fn node_event(node: &str, level: Level, reason: &str, message: &str, now: &str) -> Value {
    let involved = json!({ "apiVersion": "v1", "kind": "Node", "name": node, "uid": node });
    event(involved, level, reason, message, now)
}

/// An event about a claim.
pub(crate) fn claim_event(
    claim: &Value,
    level: Level,
    reason: &str,
    message: &str,
    now: &str,
) -> Value {
    let involved = json!({
        "apiVersion": objects::CLAIM_API, "kind": "NodeClaim",
        "name": claim["metadata"]["name"], "uid": claim["metadata"]["uid"],
    });
    event(involved, level, reason, message, now)
}

fn event(involved: Value, level: Level, reason: &str, message: &str, now: &str) -> Value {
    let digest = Sha256::digest(format!("{}/{reason}/{message}", involved["uid"]));
    let suffix = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
    let name = involved["name"].as_str().unwrap_or_default();
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
