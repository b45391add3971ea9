//! Evicting a node's pods, tier by tier.

use super::Lifecycle;
use super::ending::left_s;
use crate::view::View;
use model::taints::{Effect, Taint, tolerates};
use model::{Node, Pod, Step, Timestamp, labels};

/// From this priority on a pod is critical (Kubernetes' `system-cluster-critical`).
const CRITICAL: i32 = 2_000_000_000;
/// A pod that has not gone this many seconds after its grace is stuck, and not waited for (karpenter core, `terminator.go`).
const STUCK_AFTER_S: i64 = 60;

/// Whether the node still has pods to wait for.
pub(super) enum Drained {
    Yes,
    Waiting,
}

/// Evicts the pods of the first tier that has any: others, daemons, critical others, critical daemons. Pods past the time
/// that the deadline leaves them are deleted, whatever protects them.
pub(super) fn drain(
    view: &View<'_>,
    node: &Node,
    deadline: Option<Timestamp>,
    found: &mut Lifecycle,
) -> Drained {
    let now = view.snapshot.now;
    let leaving = view.pods_of_node(&node.name).iter().copied().filter(|pod| leaves(pod, now));
    let leaving = leaving.collect::<Vec<_>>();
    let Some(tier) = leaving.iter().map(|pod| tier(pod)).min() else { return Drained::Yes };
    let must_go = |pod: &&&Pod| overdue(pod, deadline, now);
    for pod in leaving.iter().filter(must_go) {
        let grace_s = deadline.map_or(1, |deadline| left_s(now, deadline)).max(1);
        let (pod, uid) = (pod.id.clone(), pod.uid.clone());
        found.steps.push(Step::ForceDelete { pod, uid, grace_s });
    }
    let evictable = |pod: &&&Pod| {
        self::tier(pod) == tier && pod.deletion_at.is_none() && !overdue(pod, deadline, now)
    };
    for pod in leaving.iter().filter(evictable).filter(|pod| !pod.do_not_disrupt) {
        let (pod, uid) = (pod.id.clone(), pod.uid.clone());
        found.steps.push(Step::Evict { pod, uid, node: node.name.clone() });
    }
    Drained::Waiting
}

/// Whether the pod must go before the node does.
fn leaves(pod: &Pod, now: Timestamp) -> bool {
    let taint = Taint {
        key: labels::DISRUPTED_TAINT.to_owned(),
        value: String::new(),
        effect: Effect::NoSchedule,
    };
    // `deletionTimestamp` is the moment at which the grace ends.
    let stuck = pod.deletion_at.is_some_and(|at| now.since(at).0 > STUCK_AFTER_S);
    !pod.is_terminal() && !pod.is_static() && !stuck && !tolerates(&pod.spec.tolerations, &taint)
}

fn tier(pod: &Pod) -> (bool, bool) {
    (pod.spec.priority >= CRITICAL, pod.is_daemon())
}

/// Whether the pod's own grace no longer fits before the deadline.
fn overdue(pod: &Pod, deadline: Option<Timestamp>, now: Timestamp) -> bool {
    let needs = pod.spec.termination_grace_period_s;
    let ending_in_time = |deadline: Timestamp| pod.deletion_at.is_some_and(|at| at <= deadline);
    deadline.is_some_and(|deadline| left_s(now, deadline) < needs && !ending_in_time(deadline))
}
