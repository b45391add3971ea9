//! Claims and nodes on their way out: cordoned, drained, their instance terminated, their finalizers taken off.

use super::Lifecycle;
use super::drain::{Drained, drain};
use crate::view::{View, instance_id};
use model::node_class::InstanceState;
use model::step::{DeleteReason, TerminateReason};
use model::{Duration, Node, NodeClaim, Plan, Step, Timestamp, labels};
use std::collections::BTreeSet;

/// Seconds until a draining node or a terminating instance is looked at again (karpenter core polls every 5 s).
pub(super) const LOOK_AGAIN_S: i64 = 5;

/// Deletes the claims of nodes that the plan takes away. Nodes that are not Joiner's stay.
pub(super) fn removals(view: &View<'_>, plan: &Plan, found: &mut Lifecycle) {
    let removed = plan.removals.iter().map(|removal| &*removal.node).collect::<BTreeSet<_>>();
    let nodes = view.snapshot.nodes.iter().filter(|node| removed.contains(&*node.name));
    let claims = nodes.filter_map(|node| view.claim_of_node(node));
    let mut names =
        claims.filter(|claim| !claim.deleting).map(|claim| claim.name.clone()).collect::<Vec<_>>();
    names.sort();
    for claim in names {
        found.steps.push(Step::Delete {
            claim,
            reason: DeleteReason::Disrupted(model::DisruptionReason::Empty),
        });
        found.wake_after(view.snapshot, 1);
    }
}

/// What is on its way out, with its node and its instance as far as they are there.
struct Ending<'a> {
    claim: Option<&'a NodeClaim>,
    node: Option<&'a Node>,
    instance: &'a str,
    deadline: Option<Timestamp>,
}

/// Takes the next step of every claim that is being deleted, and of every node that is and has lost its claim.
pub(super) fn ending(view: &View<'_>, found: &mut Lifecycle) {
    for claim in view.claims.iter().filter(|claim| claim.deleting) {
        let provider_id = claim.provider_id.as_deref().unwrap_or_default();
        let ending = Ending {
            claim: Some(claim),
            node: view.node_of_claim(claim),
            instance: instance_id(provider_id),
            deadline: deadline(claim),
        };
        step(view, &ending, found);
    }
    let mut nodes =
        view.snapshot.nodes.iter().filter(|node| abandoned(view, node)).collect::<Vec<_>>();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    for node in nodes {
        let instance = instance_id(&node.provider_id);
        step(view, &Ending { claim: None, node: Some(node), instance, deadline: None }, found);
    }
}

fn deadline(claim: &NodeClaim) -> Option<Timestamp> {
    claim.deletion_at.zip(claim.termination_grace_period).map(|(at, grace)| at.plus(grace))
}

/// A deleted node that only its finalizer keeps, whose instance carries a batch of Joiner's or is gone, and that has no claim.
fn abandoned(view: &View<'_>, node: &Node) -> bool {
    let id = instance_id(&node.provider_id);
    let of_ours = |instance: &model::Instance| instance.tags.contains_key(labels::BATCH);
    let ours = view.instance(id).is_none_or(of_ours);
    let kept = node.deleting && node.finalizer && node.pool().is_some();
    kept && ours && view.instances().is_some() && view.claim_of_instance(id).is_none()
}

fn step(view: &View<'_>, ending: &Ending<'_>, found: &mut Lifecycle) {
    // Without a word from AWS it is not known whether the instance still runs.
    if view.instances().is_none() {
        return;
    }
    let live = view.instance(ending.instance).is_some_and(model::Instance::is_live);
    if live && !drained(view, ending, found) {
        return found.wake_after(view.snapshot, LOOK_AGAIN_S);
    }
    let state = view.instance(ending.instance).map(|instance| instance.state);
    match state {
        None | Some(InstanceState::Terminated) => release(ending, found),
        Some(InstanceState::ShuttingDown) => found.wake_after(view.snapshot, LOOK_AGAIN_S),
        Some(
            InstanceState::Pending
            | InstanceState::Running
            | InstanceState::Stopping
            | InstanceState::Stopped,
        ) => {
            let (instance, reason) = (ending.instance.to_owned(), TerminateReason::Drained);
            found.steps.push(Step::Terminate { instance, reason });
            found.wake_after(view.snapshot, LOOK_AGAIN_S);
        }
    }
}

/// Cordons and drains the node of a running instance; whether nothing is left to wait for.
fn drained(view: &View<'_>, ending: &Ending<'_>, found: &mut Lifecycle) -> bool {
    let Some(node) = ending.node else { return true };
    if !node.taints.iter().any(|taint| taint.key == labels::DISRUPTED_TAINT) {
        found.steps.push(Step::Cordon { node: node.name.clone() });
    }
    match drain(view, node, ending.deadline, found) {
        Drained::Yes => volumes_gone(view, node, ending.deadline),
        Drained::Waiting => false,
    }
}

/// Whether the volumes of pods that have left are detached, or the deadline has come.
fn volumes_gone(view: &View<'_>, node: &Node, deadline: Option<Timestamp>) -> bool {
    let late = deadline.is_some_and(|deadline| view.snapshot.now >= deadline);
    let attached = view.snapshot.attached_volumes.get(&*node.name).map_or(0, Vec::len);
    let staying = view.pods_of_node(&node.name).iter().filter(|pod| !pod.is_terminal());
    let held = staying.map(|pod| pod.spec.volumes.len()).sum::<usize>();
    late || attached <= held
}

/// The instance is gone: the objects follow.
fn release(ending: &Ending<'_>, found: &mut Lifecycle) {
    if let Some(node) = ending.node {
        if !node.deleting {
            found.steps.push(Step::DeleteNode { node: node.name.clone() });
        }
        if node.finalizer {
            found.steps.push(Step::ReleaseNode { node: node.name.clone() });
        }
    }
    if let Some(claim) = ending.claim.filter(|claim| claim.finalizer) {
        found.steps.push(Step::ReleaseClaim { claim: claim.name.clone() });
    }
}

/// The span between a deadline and now, in seconds; never negative.
pub(super) fn left_s(now: Timestamp, deadline: Timestamp) -> i64 {
    deadline.since(now).max(Duration(0)).0
}
