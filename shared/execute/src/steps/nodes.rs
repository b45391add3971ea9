//! Steps that write on nodes.

use crate::claims::taint;
use crate::orders::Orders;
use crate::outcome::Outcome;
use crate::ports::{Cloud, Cluster, ClusterError};
use crate::update::{parts, update};
use crate::{conditions, objects};
use model::{Interruption, Labels, NodeClaim, Timestamp, labels};
use serde_json::{Value, json};

/// Gives a node what its claim says, and tells the claim that the node has joined
/// (karpenter core, `nodeclaim/lifecycle/registration.go`).
pub(super) async fn register<C: Cloud, K: Cluster>(
    claim: &str,
    node: &str,
    orders: &Orders<'_>,
    cloud: &C,
    cluster: &K,
    outcome: &mut Outcome,
) -> Result<(), ClusterError> {
    let Some(known) = orders.claim(claim) else { return Ok(()) };
    let change = |object: &mut Value| join(object, known, orders);
    update(cluster, &objects::node(node), None, &["metadata", "spec"], change).await?;
    let id = known.provider_id.as_deref().and_then(|id| id.rsplit('/').next()).unwrap_or_default();
    let mut tags = Labels::from([(labels::NODE_CLAIM_TAG.to_owned(), claim.to_owned())]);
    if !named_by_user(known, orders) {
        tags.insert("Name".to_owned(), node.to_owned());
    }
    let tagged = cloud.tag(id, &tags).await;
    // A tag is for people: the node serves without it. It comes before the claim says that all is done, so that it is not forgotten.
    tagged.err().into_iter().for_each(|error| outcome.record_cloud("tag", id, "", Err(error)));
    let now = orders.now();
    let change = |object: &mut Value| {
        object["status"]["nodeName"] = json!(node);
        conditions::set(object, "Registered", "True", "Registered", "", &now)
    };
    update(cluster, &objects::claim(claim), Some("status"), &["status"], change).await.map(drop)
}

/// Whether the node class gives its instances a name.
fn named_by_user(claim: &NodeClaim, orders: &Orders<'_>) -> bool {
    let class = claim.launch.as_ref().and_then(|launch| orders.classes.get(&launch.node_class));
    class.is_some_and(|class| class.spec.tags.contains_key("Name"))
}

/// Labels, annotations, taints, owner and finalizer of a node that joins.
fn join(node: &mut Value, claim: &NodeClaim, orders: &Orders<'_>) -> bool {
    let before = node.clone();
    let unsynced = node["metadata"]["labels"][labels::DO_NOT_SYNC_TAINTS] == "true";
    let again = node["metadata"]["labels"][labels::REGISTERED] == "true";
    let all = node_labels(claim, orders)
        .into_iter()
        .chain([(labels::REGISTERED.to_owned(), "true".to_owned())]);
    all.for_each(|(key, value)| node["metadata"]["labels"][key] = json!(value));
    let annotations = orders.pool(&claim.pool).map(|pool| &pool.annotations);
    for (key, value) in annotations.into_iter().flatten() {
        node["metadata"]["annotations"][key] = json!(value);
    }
    add(&mut node["metadata"]["finalizers"], json!(labels::TERMINATION_FINALIZER));
    let owner = json!({
        "apiVersion": objects::CLAIM_API, "kind": "NodeClaim", "name": claim.name, "uid": claim.uid, "blockOwnerDeletion": true,
    });
    add(&mut node["metadata"]["ownerReferences"], owner);
    let taints = &mut node["spec"]["taints"];
    open_in_two_turns(taints);
    // A startup taint that was taken off since the first time stays off: whoever took it off may not look again.
    let starting = claim.startup_taints.iter().filter(|_| !again);
    for wanted in claim.taints.iter().chain(starting).filter(|_| !unsynced) {
        add(taints, taint(wanted));
    }
    *node != before
}

/// Has the bootstrap's taint first lose its effect NoExecute, and go only when this turn comes again. In one step, the scheduler may bind
/// a pod before the taint-eviction controller has heard that the taint is gone, and that controller then deletes the pod
/// (kubernetes/kubernetes#119862).
fn open_in_two_turns(taints: &mut Value) {
    let Some(list) = taints.as_array_mut() else { return };
    let (evicting, keeping) = ("NoExecute", "NoSchedule");
    list.retain(|taint| taint["key"] != labels::UNREGISTERED_TAINT || taint["effect"] == evicting);
    let own = list.iter_mut().filter(|taint| taint["key"] == labels::UNREGISTERED_TAINT);
    own.for_each(|taint| *taint = json!({ "key": labels::UNREGISTERED_TAINT, "effect": keeping }));
}

fn add(list: &mut Value, item: Value) {
    if !list.is_array() {
        *list = json!([]);
    }
    if let Some(list) = list.as_array_mut().filter(|list| !list.contains(&item)) {
        list.push(item);
    }
}

/// The claim's labels, and those of its type and zone.
fn node_labels(claim: &NodeClaim, orders: &Orders<'_>) -> Labels {
    let mut all = claim.launch.as_ref().map(|launch| launch.labels.clone()).unwrap_or_default();
    let pool = orders.pool(&claim.pool);
    let types = pool.and_then(|pool| orders.snapshot.instance_types.get(&pool.instance_types));
    let known = types.and_then(|types| {
        types.iter().find(|known| Some(known.name.as_str()) == claim.instance_type.as_deref())
    });
    all.extend(known.map(|known| known.labels.clone()).unwrap_or_default());
    all.extend(claim.labels.clone());
    all
}

/// Tells node and claim that the node is set up.
pub(super) async fn initialize<K: Cluster>(
    claim: &str,
    node: &str,
    orders: &Orders<'_>,
    cluster: &K,
) -> Result<(), ClusterError> {
    let label = json!({ "metadata": { "labels": { labels::INITIALIZED: "true" } } });
    let stored = cluster.patch(&objects::node(node), None, &label).await?;
    let now = orders.now();
    let change = |object: &mut Value| {
        for field in ["capacity", "allocatable"] {
            object["status"][field] = stored["status"][field].clone();
        }
        conditions::set(object, "Initialized", "True", "Initialized", "", &now);
        conditions::set(object, "Ready", "True", "Ready", "", &now)
    };
    update(cluster, &objects::claim(claim), Some("status"), &["status"], change).await.map(drop)
}

/// Keeps new pods off a node that was empty when the turn began, and makes sure that none has come since: it would be evicted for nothing.
/// If one has, the next turn finds the node in use, and lets it take pods again.
pub(super) async fn still_empty<K: Cluster>(
    claim: Option<&NodeClaim>,
    cluster: &K,
) -> Result<(), ClusterError> {
    let Some(node) = claim.and_then(|claim| claim.node_name.as_deref()) else { return Ok(()) };
    match cordon(node, cluster).await {
        Err(ClusterError::NotFound { .. }) => return Ok(()),
        cordoned => cordoned?,
    }
    let pods = cluster.pods_on(node).await?;
    let Some(pod) = pods.iter().find(|pod| needs_its_node(pod)) else { return Ok(()) };
    let name = |field: &str| pod["metadata"][field].as_str().unwrap_or_default();
    let message = format!(
        "pod {}/{} came to the empty node meanwhile, so the node stays",
        name("namespace"),
        name("name")
    );
    Err(ClusterError::Conflict { object: objects::node(node).to_string(), message })
}

/// Whether the pod runs or ends there, and is no daemon's and no mirror of a static pod.
fn needs_its_node(pod: &Value) -> bool {
    let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    let mut owners = pod["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    let of_node = |owner: &Value| matches!(owner["kind"].as_str(), Some("DaemonSet" | "Node"));
    let mirror = !pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_null();
    !ended && !mirror && !owners.any(of_node)
}

/// Keeps new pods and load balancers away.
pub(crate) async fn cordon<K: Cluster>(node: &str, cluster: &K) -> Result<(), ClusterError> {
    let change = |object: &mut Value| {
        let before = object.clone();
        let wanted = json!({ "key": labels::DISRUPTED_TAINT, "effect": "NoSchedule" });
        add(&mut object["spec"]["taints"], wanted);
        object["metadata"]["labels"][labels::EXCLUDE_FROM_LOAD_BALANCERS] = json!("karpenter");
        *object != before
    };
    update(cluster, &objects::node(node), None, &["metadata", "spec"], change).await.map(drop)
}

/// Lets new pods and load balancers come back, unless the node's claim, read anew, says that it goes: functions mark and cordon without a
/// lease what AWS takes away, and the turn may have read its claims before that. The node is read before the claim and written on
/// condition that nobody changed it since, so that a cordon in between is not undone.
pub(super) async fn uncordon<K: Cluster>(
    node: &str,
    orders: &Orders<'_>,
    cluster: &K,
) -> Result<(), ClusterError> {
    let of = objects::node(node);
    let mut object = cluster.get(&of).await?;
    let goes = match orders.claim_of_node(node) {
        Some(claim) => is_taken(&cluster.get(&objects::claim(&claim.name)).await?),
        None => false,
    };
    if goes || !open(&mut object) {
        return Ok(());
    }
    match cluster.patch(&of, None, &parts(&object, &["metadata", "spec"])).await {
        // A kubelet's word on its node is met as often as a cordon: the next turn looks at both.
        Err(ClusterError::Conflict { object, message }) => {
            Err(ClusterError::Later { object, message })
        }
        answer => answer.map(drop),
    }
}

/// Whether AWS takes the claim's instance, or the claim is being deleted.
fn is_taken(claim: &Value) -> bool {
    let told = claim["metadata"]["annotations"][labels::INTERRUPTION].as_str();
    let told = told.and_then(|text| serde_json::from_str::<Interruption>(text).ok());
    !claim["metadata"]["deletionTimestamp"].is_null()
        || told.is_some_and(|told| told.kind.takes_the_node())
}

/// Takes off what keeps pods and load balancers away; whether there was any of it.
fn open(object: &mut Value) -> bool {
    let before = object.clone();
    if let Some(list) = object["spec"]["taints"].as_array_mut() {
        list.retain(|taint| taint["key"] != labels::DISRUPTED_TAINT);
    }
    let label = object.pointer_mut("/metadata/labels");
    if let Some(label) = label.and_then(|map| map.get_mut(labels::EXCLUDE_FROM_LOAD_BALANCERS)) {
        // A merge patch takes away what is null, not what is missing.
        *label = Value::Null;
    }
    *object != before
}

/// Writes on a claim that is being deleted when its pods must be gone, as Karpenter does (core, `nodeclaim/lifecycle/termination.go`).
pub(crate) async fn mark_deadline<K: Cluster>(
    claim: &str,
    end: Timestamp,
    cluster: &K,
) -> Result<(), ClusterError> {
    let end = jiff::Timestamp::from_second(end.0).unwrap_or_default().to_string();
    let change = |object: &mut Value| {
        let known = object["metadata"]["annotations"][labels::TERMINATION_TIMESTAMP].is_string();
        if !known {
            object["metadata"]["annotations"][labels::TERMINATION_TIMESTAMP] = json!(end);
        }
        !known
    };
    update(cluster, &objects::claim(claim), None, &["metadata"], change).await.map(drop)
}

/// Writes since when the node has been empty, or takes that off.
pub(super) async fn mark_empty<K: Cluster>(
    node: &str,
    since: Option<Timestamp>,
    orders: &Orders<'_>,
    cluster: &K,
) -> Result<(), ClusterError> {
    let value = since.map_or(Value::Null, |_| json!(orders.now()));
    let patch = json!({ "metadata": { "annotations": { labels::EMPTINESS_TIMESTAMP: value } } });
    cluster.patch(&objects::node(node), None, &patch).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The taints of a node, and those after each turn that registers it.
    #[test]
    fn a_node_is_opened_once_it_evicts_nobody_any_more() {
        let own = |effect: &str| json!({ "key": labels::UNREGISTERED_TAINT, "effect": effect });
        let other = json!({ "key": "team", "effect": "NoExecute" });
        let check = |before: Value, after: Value| {
            let mut taints = before.clone();
            open_in_two_turns(&mut taints);
            assert_eq!(taints, after, "{before}");
        };
        check(json!([own("NoExecute"), other]), json!([own("NoSchedule"), other]));
        check(json!([own("NoSchedule"), other]), json!([other]));
        check(json!([other]), json!([other]));
        check(Value::Null, Value::Null);
    }
}
