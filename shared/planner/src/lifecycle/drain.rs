//! Evicting a node's pods, tier by tier.

use super::Lifecycle;
use super::ending::left_s;
use crate::disruption::consolidation::evicted_by;
use crate::places::{Place, Places};
use crate::view::View;
use model::taints::{disrupted, tolerates};
use model::{Duration, Node, Pod, Step, Timestamp};
use std::cmp::Reverse;

/// From this priority on a pod is critical (Kubernetes' `system-cluster-critical`).
const CRITICAL: i32 = 2_000_000_000;
/// A pod that has not gone this many seconds after its grace is stuck, and not waited for (karpenter core, `terminator.go`).
const STUCK_AFTER_S: i64 = 60;

/// Whether the node still has pods to wait for.
pub(super) enum Drained {
    Yes,
    Waiting,
}

/// How much time a drain has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Haste {
    /// When all pods must be gone, whatever protects them.
    pub(super) deadline: Option<Timestamp>,
    /// Until when pods may wait for their new places to be ready; `None` if they may not.
    pub(super) patience: Option<Timestamp>,
    /// Whether the node is of no use to its pods: they are deleted, and not waited for.
    pub(super) lost: bool,
}

/// Evicts the pods of the first tier that has any: others, daemons, critical others, critical daemons. Pods past the time
/// that the deadline leaves them are deleted, whatever protects them.
pub(super) fn drain(
    view: &View<'_>,
    node: &Node,
    haste: Haste,
    places: &Places,
    found: &mut Lifecycle,
) -> Drained {
    let now = view.snapshot.now;
    let leaving = view.pods_of_node(&node.name).iter().copied().filter(|pod| leaves(pod, now));
    let leaving = leaving.collect::<Vec<_>>();
    let Some(tier) = leaving.iter().map(|pod| tier(pod)).min() else { return Drained::Yes };
    if haste.lost && leaving.iter().all(|pod| pod.deletion_at.is_some()) {
        return Drained::Yes;
    }
    let must_go = |pod: &&&Pod| overdue(pod, haste, now);
    for pod in leaving.iter().filter(must_go) {
        let left = haste.deadline.map_or(1, |deadline| left_s(now, deadline));
        let grace_s = left.min(pod.spec.termination_grace_period_s).max(1);
        let (pod, uid) = (pod.id.clone(), pod.uid.clone());
        found.steps.push(Step::ForceDelete { pod, uid, grace_s });
    }
    let ends =
        |pod: &&Pod| Some(haste.deadline?.plus(Duration(-pod.spec.termination_grace_period_s)));
    let next = leaving.iter().filter_map(ends).filter(|at| *at > now).min();
    next.into_iter().for_each(|at| found.wake(at));
    let evictable = |pod: &&&Pod| {
        self::tier(pod) == tier && pod.deletion_at.is_none() && !overdue(pod, haste, now)
    };
    let free = |pod: &&&Pod| !pod.do_not_disrupt && !waits(pod, haste, places, now);
    for pod in leaving.iter().filter(evictable).filter(free) {
        let (pod, uid) = (pod.id.clone(), pod.uid.clone());
        found.steps.push(Step::Evict { pod, uid, node: node.name.clone() });
    }
    Drained::Waiting
}

/// Puts evictions in the order of what the pods ask for, the most first, whichever node they are on: the kube-scheduler takes their
/// successors in the order in which they come, onto the emptiest node, and small pods still fit where large ones have gone, but not
/// the other way round.
pub(super) fn largest_first(view: &View<'_>, steps: &mut [Step]) {
    let evicts = |step: &Step| matches!(step, Step::Evict { .. });
    let mut own = steps.iter().filter(|step| evicts(step)).cloned().collect::<Vec<_>>();
    own.sort_by_cached_key(|step| {
        let Step::Evict { pod, node, .. } = step else { return Reverse(0) };
        let pods = view.pods_of_node(node);
        let found = pods.binary_search_by(|other| other.id.cmp(pod)).ok();
        Reverse(found.map_or(0, |at| evicted_by(&pods[at].spec.requests)))
    });
    steps.iter_mut().filter(|step| evicts(step)).zip(own).for_each(|(step, next)| *step = next);
}

/// Whether the pod waits for its new place. One without any waits only for a deadline: nothing else is in sight.
fn waits(pod: &Pod, haste: Haste, places: &Places, now: Timestamp) -> bool {
    let may = pod.is_reschedulable() && haste.patience.is_some_and(|until| now < until);
    may && match places.of(&pod.id) {
        Some(Place::Ready) => false,
        Some(Place::Coming | Place::Bought(_)) => true,
        None => haste.deadline.is_some(),
    }
}

/// Whether the pod must go before the node does.
fn leaves(pod: &Pod, now: Timestamp) -> bool {
    // `deletionTimestamp` is the moment at which the grace ends.
    let stuck = pod.deletion_at.is_some_and(|at| now.since(at).0 > STUCK_AFTER_S);
    let stays = tolerates(&pod.spec.tolerations, &disrupted());
    !pod.is_terminal() && !pod.is_static() && !stuck && !stays
}

fn tier(pod: &Pod) -> (bool, bool) {
    (pod.spec.priority >= CRITICAL, pod.is_daemon())
}

/// Whether the pod's own grace no longer fits before the deadline.
fn overdue(pod: &Pod, haste: Haste, now: Timestamp) -> bool {
    let needs = pod.spec.termination_grace_period_s;
    let in_time = |deadline: Timestamp| pod.deletion_at.is_some_and(|at| at <= deadline);
    let asked = haste.lost && pod.deletion_at.is_some();
    haste
        .deadline
        .is_some_and(|deadline| left_s(now, deadline) <= needs && !in_time(deadline) && !asked)
}
