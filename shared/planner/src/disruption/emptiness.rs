//! Nodes that have had no pods but daemons for as long as their pool asks.

use super::budgets::Allowance;
use super::eligibility::Eligibility;
use crate::leaving::Leaving;
use crate::view::View;
use model::{DisruptionReason, Node, NodePool, Placement, Pod, PodId, Removal, Timestamp};
use std::collections::BTreeSet;

/// The empty nodes to take away, and when the next one is due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Emptiness {
    /// The removals, by node.
    pub(crate) removals: Vec<Removal>,
    /// When a node that is empty now will have been so for long enough.
    pub(crate) due: Option<Timestamp>,
}

/// Finds the nodes that are empty and stay so when the pods have gone to their places. A node whose emptiness has no known
/// beginning counts as empty from now on.
pub(crate) fn emptiness<'a>(
    view: &View<'a>,
    busy: &BTreeSet<&str>,
    eligibility: &mut Eligibility<'_, 'a>,
    allowance: &mut Allowance<'a>,
) -> Emptiness {
    let idle = |node: &&&Node| !busy.contains(&*node.name);
    let mut nodes = view.snapshot.nodes.iter().collect::<Vec<_>>();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    let mut found = Emptiness::default();
    for node in nodes.iter().filter(idle) {
        let Ok(candidate) = eligibility.of(node, DisruptionReason::Empty) else { continue };
        let Some(due) = due(view, node, candidate.pool) else { continue };
        if due > view.snapshot.now {
            found.due = found.due.into_iter().chain([due]).min();
        } else if allowance.take(candidate.pool, DisruptionReason::Empty, 1).is_ok() {
            let (reason, saves) = (DisruptionReason::Empty, node.price);
            found.removals.push(Removal { node: node.name.clone(), reason, saves });
        }
    }
    found
}

/// When the node may go, if its pool lets empty nodes go at all.
fn due(view: &View<'_>, node: &Node, pool: &NodePool) -> Option<Timestamp> {
    let after = pool.disruption.consolidate_after?;
    let snapshot = view.snapshot;
    let since = snapshot.empty_since.get(&*node.name).copied().unwrap_or(snapshot.now);
    Some(since.plus(after))
}

/// The nodes with pods of their own, with pods that must not be disturbed, or with pods on their way.
pub(crate) fn busy<'a>(
    view: &View<'a>,
    leaving: &Leaving<'_>,
    placements: &'a [Placement],
) -> BTreeSet<&'a str> {
    // A pod that is ending still runs: its node waits for it.
    let own = |pod: &Pod| !pod.is_daemon() && !pod.is_static();
    let holds = |pod: &&Pod| !pod.is_terminal() && (own(pod) || pod.do_not_disrupt);
    let running = view
        .snapshot
        .pods
        .iter()
        .filter(holds)
        .filter_map(|pod| pod.node_name.as_deref().or(pod.nominated_node.as_deref()));
    let coming = placements.iter().map(|placement| &*placement.node);
    running.chain(coming).chain(awaited(view, leaving)).collect()
}

/// The nodes bought for pods that are still ending elsewhere: a stateful set makes the successor only when the pod is gone.
fn awaited<'a>(view: &View<'a>, leaving: &Leaving<'_>) -> Vec<&'a str> {
    let left = |pod: &&Pod| {
        pod.deletion_at.is_some()
            && pod.node_name.as_deref().is_some_and(|name| leaving.contains(name))
    };
    let ending = view.snapshot.pods.iter().filter(left).map(|pod| &pod.id);
    let ending = ending.collect::<BTreeSet<&PodId>>();
    if ending.is_empty() {
        return Vec::new();
    }
    let bought_for_one = |claim: &&&model::NodeClaim| {
        claim.launch.iter().flat_map(|launch| &launch.pods).any(|pod| ending.contains(pod))
    };
    let claims = view.claims.iter().filter(bought_for_one);
    claims.filter_map(|claim| view.node_of_claim(claim)).map(|node| &*node.name).collect()
}
