//! The steps of claims, nodes and instances that are there.

pub(crate) mod marks;
pub(crate) mod nodes;

use crate::orders::Orders;
use crate::outcome::Outcome;
use crate::ports::{Bought, Cloud, Cluster, ClusterError};
use crate::{events, launches, objects};
use futures::StreamExt;
use model::step::{DeleteReason, TerminateReason};
use model::{DisruptionReason, Instance, Plan, Step};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// How many steps are taken at once; steps of one object stand beside each other in the plan and are taken in their order.
const AT_ONCE: usize = 16;
/// What keeping pods off a node is called.
const CORDON: &str = "cordon";

/// Takes the plan's steps: those that end before those that begin, so that a limit frees what the next launch needs.
pub(crate) async fn take<C: Cloud, K: Cluster>(
    plan: &Plan,
    orders: &Orders<'_>,
    cloud: &C,
    cluster: &K,
    outcome: &mut Outcome,
) {
    terminate(plan, cloud, outcome).await;
    // Before its pods leave: the one that takes a pod's place must not come back to the same node.
    let (cordons, rest): (Vec<_>, Vec<_>) =
        plan.steps.iter().partition(|step| matches!(step, Step::Cordon { .. }));
    take_all(&cordons, orders, cloud, cluster, outcome).await;
    let open = outcome.failures().filter(|action| action.action == CORDON);
    let open = open.map(|action| action.object.clone()).collect::<BTreeSet<_>>();
    let stays = |step: &&Step| matches!(step, Step::Evict { node, .. } if open.contains(&**node));
    let rest = rest.into_iter().filter(|step| !stays(step)).collect::<Vec<_>>();
    take_all(&rest, orders, cloud, cluster, outcome).await;
}

/// Takes steps, those about different objects at once.
async fn take_all<C: Cloud, K: Cluster>(
    steps: &[&Step],
    orders: &Orders<'_>,
    cloud: &C,
    cluster: &K,
    outcome: &mut Outcome,
) {
    let runs = steps.chunk_by(|a, b| subject(a) == subject(b));
    let work = runs.map(|run| async move {
        let mut part = Outcome::default();
        for step in run {
            if !take_one(step, orders, cloud, cluster, &mut part).await {
                break;
            }
        }
        part
    });
    let mut parts = futures::stream::iter(work).buffered(AT_ONCE);
    while let Some(part) = parts.next().await {
        outcome.actions.extend(part.actions);
        outcome.unavailable.extend(part.unavailable);
        outcome.launched += part.launched;
        outcome.look_again |= part.look_again;
    }
}

/// What a step is about; steps of one subject depend on each other.
fn subject(step: &Step) -> &str {
    match step {
        Step::Launch { batch, .. } => batch,
        Step::Adopt { claim, .. }
        | Step::Register { claim, .. }
        | Step::Initialize { claim, .. }
        | Step::MarkInterrupted { claim, .. }
        | Step::MarkDisruption { claim, .. }
        | Step::Delete { claim, .. }
        | Step::ReleaseClaim { claim } => claim,
        Step::Cordon { node }
        | Step::DeleteNode { node }
        | Step::ReleaseNode { node }
        | Step::Uncordon { node }
        | Step::MarkEmpty { node, .. } => node,
        Step::Evict { uid, .. } | Step::ForceDelete { uid, .. } => uid,
        Step::Terminate { instance, .. } => instance,
    }
}

/// All instances in one call.
async fn terminate<C: Cloud>(plan: &Plan, cloud: &C, outcome: &mut Outcome) {
    let wanted = plan.steps.iter().filter_map(|step| {
        let Step::Terminate { instance, reason } = step else { return None };
        Some((instance.clone(), *reason))
    });
    let wanted = wanted.collect::<Vec<_>>();
    if wanted.is_empty() {
        return;
    }
    let ids = wanted.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
    let answer = cloud.terminate(&ids).await;
    for (id, reason) in wanted {
        let detail = match reason {
            TerminateReason::Drained => "its node is drained",
            TerminateReason::NoClaim => "no claim owns it",
        };
        let result = match &answer {
            Ok(done) if done.contains(&id) => Ok(()),
            Ok(_) => {
                Err("EC2 did not confirm the termination; the next turn tries again".to_owned())
            }
            Err(error) => Err(error.to_string()),
        };
        outcome.terminated += usize::from(result.is_ok());
        outcome.record("terminate", id, detail, result);
    }
}

/// Takes one step; whether the next one of the same object may follow.
async fn take_one<C: Cloud, K: Cluster>(
    step: &Step,
    orders: &Orders<'_>,
    cloud: &C,
    cluster: &K,
    outcome: &mut Outcome,
) -> bool {
    let (verb, object, detail) = words(step);
    let result = match step {
        Step::Terminate { .. } => return true,
        Step::Launch { batch, claims } => {
            relaunch(batch, claims, orders, (cloud, cluster), outcome).await;
            return true;
        }
        Step::Adopt { claim, instance } => adopt(claim, instance, orders, cluster).await,
        Step::Register { claim, node } => {
            nodes::register(claim, node, orders, cloud, cluster, outcome).await
        }
        Step::Initialize { claim, node } => nodes::initialize(claim, node, orders, cluster).await,
        Step::Delete { claim, reason } => delete(claim, *reason, orders, cluster).await,
        Step::Cordon { node } => cordon(node, orders, cluster).await,
        Step::Uncordon { node } => nodes::uncordon(node, orders, cluster).await,
        Step::MarkInterrupted { claim, interruption } => {
            marks::interrupted(claim, interruption, cluster).await
        }
        Step::MarkDisruption { claim, disruption } => {
            marks::disruption(claim, disruption.as_ref(), orders, cluster).await
        }
        Step::Evict { pod, uid, .. } => cluster.evict(&pod.namespace, &pod.name, uid).await,
        Step::ForceDelete { pod, uid, grace_s } => {
            cluster.delete(&objects::pod(pod), Some(uid), Some(*grace_s)).await
        }
        Step::ReleaseNode { node } => release(&objects::node(node), cluster).await,
        Step::ReleaseClaim { claim } => release(&objects::claim(claim), cluster).await,
        Step::DeleteNode { node } => cluster.delete(&objects::node(node), None, None).await,
        Step::MarkEmpty { node, since } => nodes::mark_empty(node, *since, orders, cluster).await,
    };
    let result = gone_is_done(step, result);
    if let Some(event) = events::of_step(step, &result, orders) {
        // An event is for people; nothing waits for it.
        let _ = events::create(cluster, &event).await;
    }
    let go_on = result.is_ok();
    outcome.record_cluster(verb, object, detail, result);
    go_on
}

/// What was to be taken away and is not there has been taken away.
fn gone_is_done(step: &Step, result: Result<(), ClusterError>) -> Result<(), ClusterError> {
    let takes_away = matches!(
        step,
        Step::Delete { .. }
            | Step::Evict { .. }
            | Step::ForceDelete { .. }
            | Step::ReleaseNode { .. }
            | Step::ReleaseClaim { .. }
            | Step::DeleteNode { .. }
            | Step::MarkEmpty { .. }
    );
    match result {
        Err(ClusterError::NotFound { .. }) if takes_away => Ok(()),
        // A pod of the same name with another uid is another pod: the one meant is gone.
        Err(ClusterError::Conflict { .. })
            if matches!(step, Step::Evict { .. } | Step::ForceDelete { .. }) =>
        {
            Ok(())
        }
        other => other,
    }
}

fn words(step: &Step) -> (&'static str, String, String) {
    let (verb, detail) = match step {
        Step::Launch { .. } => ("launch", String::new()),
        Step::Adopt { instance, .. } => ("adopt", instance.clone()),
        Step::Register { node, .. } => ("register", node.to_string()),
        Step::Initialize { node, .. } => ("initialize", node.to_string()),
        Step::Delete { reason, .. } => ("delete claim", format!("{reason:?}")),
        Step::Cordon { .. } => (CORDON, String::new()),
        Step::Uncordon { .. } => ("uncordon", String::new()),
        Step::MarkInterrupted { interruption, .. } => {
            ("mark interrupted", format!("{:?}", interruption.kind))
        }
        Step::MarkDisruption { disruption, .. } => ("mark disruption", told(disruption.as_ref())),
        Step::Evict { pod, node, .. } => {
            return ("evict", pod.to_string(), format!("from {node}"));
        }
        Step::ForceDelete { pod, grace_s, .. } => {
            return ("force delete", pod.to_string(), format!("{grace_s} s left"));
        }
        Step::Terminate { .. } => ("terminate", String::new()),
        Step::ReleaseNode { .. } => ("release node", String::new()),
        Step::ReleaseClaim { .. } => ("release claim", String::new()),
        Step::DeleteNode { .. } => ("delete node", String::new()),
        Step::MarkEmpty { since, .. } => {
            ("mark", if since.is_some() { "empty" } else { "not empty" }.to_owned())
        }
    };
    (verb, subject(step).to_owned(), detail)
}

fn told(disruption: Option<&model::Disruption>) -> String {
    disruption.map_or_else(
        || "called off".to_owned(),
        |disruption| format!("{} {:?}", disruption.reason.as_str(), disruption.stage),
    )
}

/// Sends a batch's call again, with the same token and size: EC2 answers with what the first one bought.
async fn relaunch<C: Cloud, K: Cluster>(
    batch: &str,
    names: &[std::sync::Arc<str>],
    orders: &Orders<'_>,
    ports: (&C, &K),
    outcome: &mut Outcome,
) {
    let known = names.iter().find_map(|name| orders.claim(name));
    let Some((claim, request)) = known.and_then(|claim| Some((claim, claim.launch.as_ref()?)))
    else {
        return;
    };
    let gets = names.iter().map(|name| async move { ports.1.get(&objects::claim(name)).await });
    let results = futures::stream::iter(gets).buffered(AT_ONCE).collect::<Vec<_>>().await;
    let mut claims = Vec::new();
    for (name, result) in names.iter().zip(results) {
        match result {
            Ok(object) => claims.push(object),
            Err(error) => return outcome.record_cluster("launch", &**name, batch, Err(error)),
        }
    }
    launches::buy(request, &claim.pool, claims, orders, ports, outcome).await;
}

async fn adopt<K: Cluster>(
    claim: &str,
    instance: &str,
    orders: &Orders<'_>,
    cluster: &K,
) -> Result<(), ClusterError> {
    let object = cluster.get(&objects::claim(claim)).await?;
    let instances = orders.snapshot.instances.iter().flatten();
    match instances.into_iter().find(|known| known.id == instance) {
        Some(known) if launches::instance_of(&object).is_none() => {
            launches::assign(object, &bought(known), orders, cluster).await
        }
        Some(_) | None => Ok(()),
    }
}

fn bought(instance: &Instance) -> Bought {
    Bought {
        id: instance.id.clone(),
        instance_type: instance.instance_type.clone(),
        zone: instance.zone.clone(),
        capacity_type: instance.capacity_type,
        image_id: instance.image_id.clone(),
    }
}

async fn delete<K: Cluster>(
    claim: &str,
    reason: DeleteReason,
    orders: &Orders<'_>,
    cluster: &K,
) -> Result<(), ClusterError> {
    let known = orders.claim(claim);
    if reason == DeleteReason::Disrupted(DisruptionReason::Empty) {
        nodes::still_empty(known, cluster).await?;
    }
    let uid = known.map(|claim| claim.uid.as_str()).filter(|uid| !uid.is_empty());
    let about = json!({ "metadata": { "name": claim, "uid": uid } });
    let message = format!("Disrupting NodeClaim: {reason:?}");
    let level = events::Level::Normal;
    let event =
        events::claim_event(&about, level, "DisruptionTerminating", &message, &orders.now());
    // The event is for people; the deletion does not wait for it.
    let _ = events::create(cluster, &event).await;
    if let Some(grace) = known.and_then(|claim| claim.termination_grace_period) {
        let end = orders.snapshot.now.plus(grace);
        nodes::mark_deadline(claim, end, cluster).await?;
    }
    cluster.delete(&objects::claim(claim), uid, None).await
}

/// Cordons the node; of a claim that somebody else has deleted it is told by when its pods must be gone.
async fn cordon<K: Cluster>(
    node: &str,
    orders: &Orders<'_>,
    cluster: &K,
) -> Result<(), ClusterError> {
    nodes::cordon(node, cluster).await?;
    let claim = orders.claim_of_node(node);
    let end =
        claim.and_then(|claim| Some(claim.deletion_at?.plus(claim.termination_grace_period?)));
    match claim.zip(end) {
        Some((claim, end)) => nodes::mark_deadline(&claim.name, end, cluster).await,
        None => Ok(()),
    }
}

/// Takes Joiner's finalizer off; those of others stay.
async fn release<K: Cluster>(
    of: &crate::ports::ObjectRef,
    cluster: &K,
) -> Result<(), ClusterError> {
    let change = |object: &mut Value| {
        let Some(list) = object["metadata"]["finalizers"].as_array_mut() else { return false };
        let before = list.len();
        list.retain(|finalizer| finalizer != model::labels::TERMINATION_FINALIZER);
        list.len() < before
    };
    crate::update::update(cluster, of, None, &["metadata"], change).await.map(drop)
}
