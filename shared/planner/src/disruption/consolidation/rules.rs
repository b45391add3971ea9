//! What pools and claims say about consolidation beside eligibility.

use super::{Group, Terms};
use crate::disruption::eligibility::Candidate;
use crate::view::View;
use model::disruption::DEFAULT_SAVING_PER_MOVE;
use model::pool::ConsolidationPolicy;
use model::{DisruptionReason, Duration, Node, NodeClaim, Pod, Resources};
use std::collections::BTreeMap;

/// A node that was bought to save money is not replaced to save more within this time, unless its pods have changed.
const REST: Duration = Duration(3600);
/// Its pods have changed if they ask for less than this share of a resource that it was bought for, in hundredths.
const UNCHANGED: i64 = 75;
/// Karpenter's Balanced policy approves what saves at least one part in so many of what it disrupts.
const BALANCE: i128 = 2;

/// The terms on which the node may go.
pub(crate) fn terms(view: &View<'_>, candidate: &Candidate<'_>) -> Terms {
    let own = candidate.pool.disruption.saving_per_move;
    Terms {
        saving_per_move: own.unwrap_or(DEFAULT_SAVING_PER_MOVE),
        replaceable: !replaced_lately(view, candidate.node, candidate.claim),
    }
}

/// Whether the node was bought to save money less than an hour ago and still holds what it was bought for.
pub(crate) fn replaced_lately(view: &View<'_>, node: &Node, claim: Option<&NodeClaim>) -> bool {
    let Some((claim, launch)) = claim.and_then(|claim| Some((claim, claim.launch.as_ref()?)))
    else {
        return false;
    };
    let prefix = DisruptionReason::Underutilized.as_str().to_lowercase();
    let for_cost = launch.replaces.as_ref().is_some_and(|id| id.starts_with(&prefix));
    let young = claim.created_at.is_some_and(|at| view.snapshot.now.since(at) < REST);
    let mut held = Resources::new();
    let own = view.pods_of_node(&node.name).iter().filter(|pod| pod.is_reschedulable());
    own.for_each(|pod| held.add(&pod.spec.requests));
    let kept = |(name, bought): (&model::ResourceName, i64)| {
        i128::from(held.get(name.as_str())) * 100 >= i128::from(bought) * i128::from(UNCHANGED)
    };
    for_cost && young && launch.requests.iter().all(kept)
}

/// Whether every pool of the group with the policy Balanced agrees: the share of its cost that is saved is at least half the share
/// of its disruption that is caused (karpenter core, `balanced.go`, k = 2).
pub(crate) fn balanced(view: &View<'_>, group: &Group) -> bool {
    let mut disrupted: BTreeMap<&str, i128> = BTreeMap::new();
    for node in group.nodes.iter().filter_map(|name| view.node(name)) {
        let Some(pool) = node.pool() else { continue };
        *disrupted.entry(pool).or_default() += disruption(view, node);
    }
    let wary = |pool: &&&str| {
        let pool = view.pools.get(**pool);
        pool.is_some_and(|pool| pool.disruption.policy == ConsolidationPolicy::Balanced)
    };
    let agrees = |pool: &str| {
        let nodes = view.snapshot.nodes.iter().filter(|node| node.pool() == Some(pool));
        let (mut price, mut all) = (0, 0);
        for node in nodes {
            price += i128::from(node.price.unwrap_or_default().0);
            all += disruption(view, node);
        }
        BALANCE * i128::from(group.saves) * all >= price * disrupted[pool]
    };
    disrupted.keys().filter(wary).all(|pool| agrees(pool))
}

/// What taking the node away costs in disruption: one for itself and what its pods cost to evict (karpenter core,
/// `disruption/types.go`), in parts of 2^27.
pub(crate) fn disruption(view: &View<'_>, node: &Node) -> i128 {
    const ONE: i64 = 1 << 27;
    let evict = |pod: &&Pod| {
        let cost = ONE + i64::from(pod.deletion_cost) + 4 * i64::from(pod.spec.priority);
        i128::from(cost.clamp(0, 10 * ONE))
    };
    let pods = view.pods_of_node(&node.name).iter().copied();
    i128::from(ONE) + pods.filter(|pod| pod.is_reschedulable()).map(|pod| evict(&pod)).sum::<i128>()
}
