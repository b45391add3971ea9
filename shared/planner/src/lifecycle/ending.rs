//! Claims and nodes on their way out: cordoned, drained, their instance terminated, their finalizers taken off.

use super::Lifecycle;
use super::drain::{Drained, Haste, drain};
use super::joining::SETTLED_S;
use crate::interruption::{MARGIN_S, deadline, is_lost};
use crate::leaving::is_taken;
use crate::places::Places;
use crate::view::{View, instance_id};
use model::disruption::InterruptionKind;
use model::node_class::InstanceState;
use model::step::{DeleteReason, TerminateReason};
use model::{DisruptionReason, Duration, Node, NodeClaim, Plan, Removal, Step, Timestamp, labels};
use std::collections::BTreeMap;

/// Seconds until a draining node or a terminating instance is looked at again (karpenter core polls every 5 s).
pub(super) const LOOK_AGAIN_S: i64 = 5;
/// A drain takes at least so many seconds (karpenter core, `termination/controller.go`).
const LEAST_DRAIN_S: i64 = 5;
/// Pods of an expired node wait at most so many seconds for their new places.
const PATIENCE_S: i64 = 600;

/// Deletes the claims of nodes that the plan takes away. Nodes that are not Joiner's stay.
pub(super) fn removals(view: &View<'_>, plan: &Plan, found: &mut Lifecycle) {
    let claim = |removal: &Removal| {
        let claim = view.claim_of_node(view.node(&removal.node)?)?;
        Some((claim, removal.reason))
    };
    let claims = plan.removals.iter().filter_map(claim).filter(|(claim, _)| !claim.deleting);
    let claims = claims.map(|(claim, reason)| (claim.name.clone(), reason));
    for (claim, reason) in claims.collect::<BTreeMap<_, _>>() {
        found.steps.push(Step::Delete { claim, reason: DeleteReason::Disrupted(reason) });
        found.wake_after(view.snapshot, 1);
    }
}

/// What is on its way out, with its node and its instance as far as they are there.
struct Ending<'a> {
    claim: Option<&'a NodeClaim>,
    node: Option<&'a Node>,
    instance: &'a str,
    haste: Haste,
}

/// Takes the next step of every claim that is being deleted, and of every node that is and has lost its claim.
pub(super) fn ending(view: &View<'_>, places: &Places, found: &mut Lifecycle) {
    for claim in view.claims.iter().filter(|claim| claim.deleting) {
        let provider_id = claim.provider_id.as_deref().unwrap_or_default();
        let ending = Ending {
            claim: Some(claim),
            node: view.node_of_claim(claim),
            instance: instance_id(provider_id),
            haste: haste(view, claim),
        };
        step(view, places, &ending, found);
    }
    let mut nodes =
        view.snapshot.nodes.iter().filter(|node| abandoned(view, node)).collect::<Vec<_>>();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    for node in nodes {
        let (node, haste) = (Some(node), Haste::default());
        let instance = node.map_or("", |node| instance_id(&node.provider_id));
        step(view, places, &Ending { claim: None, node, instance, haste }, found);
    }
}

/// How much time the claim's node has: its own grace period, what AWS leaves it, and none if it is of no use any more.
fn haste(view: &View<'_>, claim: &NodeClaim) -> Haste {
    let told = view.interruption(claim);
    let by_aws = told.and_then(deadline).map(|end| end.plus(Duration(-MARGIN_S)));
    let own = claim.deletion_at.zip(claim.termination_grace_period);
    let own = own.map(|(at, grace)| at.plus(grace));
    let reason = claim.disruption.as_ref().map(|begun| begun.reason);
    let sick = reason == Some(DisruptionReason::Unhealthy);
    let impaired = told.is_some_and(|told| told.kind == InterruptionKind::StatusImpaired);
    let at_once = (sick || impaired).then_some(view.snapshot.now);
    let patience = match (told.filter(|told| is_taken(*told)), reason) {
        (Some(told), _) => (!is_lost(told)).then_some(Timestamp(i64::MAX)),
        (None, Some(DisruptionReason::Expired)) => {
            claim.deletion_at.map(|at| at.plus(Duration(PATIENCE_S)))
        }
        (None, _) => None,
    };
    let deadline = by_aws.into_iter().chain(own).chain(at_once).min();
    Haste { deadline, patience, lost: at_once.is_some() }
}

/// A deleted node that only its finalizer keeps, whose instance carries a batch of Joiner's or is gone, and that has no claim.
fn abandoned(view: &View<'_>, node: &Node) -> bool {
    let id = instance_id(&node.provider_id);
    let of_ours = |instance: &model::Instance| instance.tags.contains_key(labels::BATCH);
    let ours = view.instance(id).is_none_or(of_ours);
    let kept = node.deleting && node.finalizer && node.pool().is_some();
    kept && ours && view.instances().is_some() && view.claim_of_instance(id).is_none()
}

fn step(view: &View<'_>, places: &Places, ending: &Ending<'_>, found: &mut Lifecycle) {
    // Without a word from AWS it is not known whether the instance still runs.
    if view.instances().is_none() {
        return;
    }
    let unseen = unseen(view, ending);
    let live = view.instance(ending.instance).is_some_and(model::Instance::is_live);
    if (live || unseen) && !drained(view, places, ending, found) {
        return found.wake_after(view.snapshot, LOOK_AGAIN_S);
    }
    let state = view.instance(ending.instance).map(|instance| instance.state);
    match state {
        None | Some(InstanceState::Terminated) if !unseen => release(ending, found),
        Some(InstanceState::ShuttingDown) => found.wake_after(view.snapshot, LOOK_AGAIN_S),
        None
        | Some(
            InstanceState::Pending
            | InstanceState::Running
            | InstanceState::Stopping
            | InstanceState::Stopped
            | InstanceState::Terminated,
        ) => {
            let (instance, reason) = (ending.instance.to_owned(), TerminateReason::Drained);
            found.steps.push(Step::Terminate { instance, reason });
            found.wake_after(view.snapshot, LOOK_AGAIN_S);
        }
    }
}

/// Whether the claim's instance may be too new for AWS to show it: not one whose node has joined, which takes longer. It is ended by
/// its id all the same: without its claim nobody would know it.
fn unseen(view: &View<'_>, ending: &Ending<'_>) -> bool {
    let is_new = |claim: &NodeClaim| view.age_s(claim) < SETTLED_S && !claim.progress.registered;
    let new = ending.claim.is_some_and(is_new);
    new && !ending.instance.is_empty() && view.instance(ending.instance).is_none()
}

/// Cordons and drains the node of a running instance; whether nothing is left to wait for.
fn drained(view: &View<'_>, places: &Places, ending: &Ending<'_>, found: &mut Lifecycle) -> bool {
    let Some(node) = ending.node else { return true };
    let closed = node.taints.iter().any(|taint| taint.key == labels::DISRUPTED_TAINT);
    if !closed {
        found.steps.push(Step::Cordon { node: node.name.clone() });
        found.wake_after(view.snapshot, 1);
    }
    let haste = ending.haste;
    // Until the taint has been seen, the kube-scheduler may still bind pods here.
    let quiet = closed && settled(view, ending);
    match drain(view, node, haste, places, found) {
        Drained::Yes => haste.lost || (quiet && volumes_gone(view, node, haste)),
        Drained::Waiting => false,
    }
}

/// Whether a pod that was bound while the node was being cordoned would have been seen by now.
fn settled(view: &View<'_>, ending: &Ending<'_>) -> bool {
    let asked = ending.claim.and_then(|claim| claim.deletion_at);
    asked.is_none_or(|at| view.snapshot.now.since(at).0 >= LEAST_DRAIN_S)
}

/// Whether the volumes of pods that have left are detached, or the deadline has come.
fn volumes_gone(view: &View<'_>, node: &Node, haste: Haste) -> bool {
    let late = haste.deadline.is_some_and(|deadline| view.snapshot.now >= deadline);
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
