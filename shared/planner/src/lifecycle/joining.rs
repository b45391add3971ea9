//! Claims with an instance: their nodes join and are set up, or do not in time.

use super::Lifecycle;
use crate::view::{View, instance_id};
use model::step::DeleteReason;
use model::taints::{Effect, Taint};
use model::{Node, NodeClaim, ResourceName, Step, labels};

/// A node that has not joined after this many seconds is given up (karpenter core, `nodeclaim/lifecycle/liveness.go`).
const REGISTRATION_TIMEOUT_S: i64 = 900;
/// An instance that DescribeInstances does not show this many seconds after its claim was written is gone, and not merely new.
pub(super) const SETTLED_S: i64 = 120;
/// Seconds until a node on its way is looked at again, should no event tell of it.
const LOOK_AGAIN_S: i64 = 10;
/// Seconds until a node that has just registered is opened for pods: it is done in two turns, see `Step::Register`.
const OPEN_AFTER_S: i64 = 1;

/// Registers and initialises nodes, and gives up claims whose nodes do not come or whose instances are gone.
pub(super) fn joining(view: &View<'_>, found: &mut Lifecycle) {
    let launched = |claim: &&&NodeClaim| claim.provider_id.is_some() && !claim.deleting;
    for claim in view.claims.iter().filter(launched) {
        let node = view.node_of_claim(claim);
        if let Some(reason) = lost(view, claim, node) {
            found.steps.push(Step::Delete { claim: claim.name.clone(), reason });
            found.wake_after(view.snapshot, 1);
            continue;
        }
        let Some(node) = node else {
            found.wake_after(view.snapshot, LOOK_AGAIN_S);
            continue;
        };
        join(view, claim, node, found);
    }
}

/// Why the claim must go, if it must.
fn lost(view: &View<'_>, claim: &NodeClaim, node: Option<&Node>) -> Option<DeleteReason> {
    if node.is_some_and(|node| node.deleting) {
        return Some(DeleteReason::NodeDeleted);
    }
    let age = view.age_s(claim);
    if gone(view, claim, age) && node.is_none_or(|node| !node.ready) {
        return Some(DeleteReason::InstanceGone);
    }
    let absent = node.is_none() && !claim.progress.registered;
    (absent && age >= REGISTRATION_TIMEOUT_S).then_some(DeleteReason::NotRegistered)
}

/// Whether the instance is known to be gone. One that AWS does not show may just be too new.
fn gone(view: &View<'_>, claim: &NodeClaim, age: i64) -> bool {
    let Some(instances) = view.instances() else { return false };
    let id = instance_id(claim.provider_id.as_deref().unwrap_or_default());
    instances.get(id).map_or(age >= SETTLED_S, |instance| !instance.is_live())
}

fn join(view: &View<'_>, claim: &NodeClaim, node: &Node, found: &mut Lifecycle) {
    let step = |initialize: bool| {
        let (claim, node) = (claim.name.clone(), node.name.clone());
        if initialize { Step::Initialize { claim, node } } else { Step::Register { claim, node } }
    };
    let registered = claim.progress.registered && !has(node, labels::UNREGISTERED_TAINT);
    if !registered {
        found.steps.push(step(false));
        found.wake_after(view.snapshot, OPEN_AFTER_S);
    }
    if claim.progress.initialized {
        return;
    }
    if set_up(claim, node) {
        found.steps.push(step(true));
    } else {
        found.wake_after(view.snapshot, LOOK_AGAIN_S);
    }
}

/// Ready, without startup and ephemeral taints, and with the extended resources that it was bought for
/// (karpenter core, `nodeclaim/lifecycle/initialization.go`).
fn set_up(claim: &NodeClaim, node: &Node) -> bool {
    let passing = |taint: &Taint| {
        let ephemeral =
            [labels::NOT_READY_TAINT, labels::UNREACHABLE_TAINT, labels::UNINITIALIZED_TAINT];
        ephemeral.contains(&taint.key.as_str())
            || taint.key.starts_with(labels::READINESS_TAINT_PREFIX)
            || taint.key == labels::UNREGISTERED_TAINT && taint.effect == Effect::NoExecute
    };
    let starting = |taint: &Taint| {
        claim
            .startup_taints
            .iter()
            .any(|other| other.key == taint.key && other.effect == taint.effect)
    };
    let asked = claim.launch.iter().flat_map(|launch| launch.requests.iter());
    let extended =
        |(name, amount): &(&ResourceName, i64)| name.as_str().contains('/') && *amount > 0;
    let there = asked.filter(extended).all(|(name, _)| node.capacity.get(name.as_str()) > 0);
    node.ready && there && !node.taints.iter().any(|taint| passing(taint) || starting(taint))
}

fn has(node: &Node, key: &str) -> bool {
    node.taints.iter().any(|taint| taint.key == key)
}
