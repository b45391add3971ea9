//! Nodes that have had no pods but daemons for as long as their pool asks.

use super::budgets;
use model::DisruptionReason;
use model::{Node, NodePool, Plan, Pod, Removal, Snapshot, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// The empty nodes to take away, and when the next one is due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Emptiness {
    /// The removals, by node.
    pub(crate) removals: Vec<Removal>,
    /// When a node that is empty now will have been so for long enough.
    pub(crate) due: Option<Timestamp>,
}

/// Finds the nodes that are empty and stay so under the plan. Budgets are kept; a node whose emptiness has no known
/// beginning counts as empty from now on.
pub(crate) fn emptiness(snapshot: &Snapshot, plan: &Plan) -> Emptiness {
    let busy = busy(snapshot, plan);
    let pools = snapshot
        .node_pools
        .iter()
        .map(|pool| (pool.name.as_str(), pool))
        .collect::<BTreeMap<_, _>>();
    let mut nodes = snapshot
        .nodes
        .iter()
        .filter(|node| is_candidate(node) && !busy.contains(&*node.name))
        .collect::<Vec<_>>();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    let mut found = Emptiness::default();
    let mut allowed: BTreeMap<&str, usize> = BTreeMap::new();
    for node in nodes {
        let Some(pool) = node.pool().and_then(|name| pools.get(name)) else { continue };
        let Some(due) = due(snapshot, node, pool) else { continue };
        let left =
            allowed.entry(&pool.name).or_insert_with(|| budgets::allowed(snapshot, pool, "Empty"));
        if due > snapshot.now {
            found.due = found.due.into_iter().chain([due]).min();
        } else if *left > 0 {
            *left -= 1;
            found.removals.push(Removal {
                node: node.name.clone(),
                reason: DisruptionReason::Empty,
                saves: node.price,
            });
        }
    }
    found
}

/// When the node may go, if its pool lets empty nodes go at all.
fn due(snapshot: &Snapshot, node: &Node, pool: &NodePool) -> Option<Timestamp> {
    let after = pool.disruption.consolidate_after.filter(|_| pool.replicas.is_none())?;
    let since = snapshot.empty_since.get(&*node.name).copied().unwrap_or(snapshot.now);
    Some(since.plus(after))
}

fn is_candidate(node: &Node) -> bool {
    node.pool().is_some() && node.initialized() && !node.deleting && !node.do_not_disrupt
}

/// The nodes with pods of their own, with pods that must not be disturbed, or with pods on their way.
pub(crate) fn busy<'a>(snapshot: &'a Snapshot, plan: &'a Plan) -> BTreeSet<&'a str> {
    // A pod that is ending still runs: its node waits for it.
    let own = |pod: &Pod| !pod.is_daemon() && !pod.is_static();
    let holds = |pod: &&Pod| !pod.is_terminal() && (own(pod) || pod.do_not_disrupt);
    let running = snapshot
        .pods
        .iter()
        .filter(holds)
        .filter_map(|pod| pod.node_name.as_deref().or(pod.nominated_node.as_deref()));
    let coming = plan.placements.iter().map(|placement| &*placement.node);
    running.chain(coming).collect()
}
