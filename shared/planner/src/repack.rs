//! What a running cluster would need if it were packed anew.

use model::pod::PodPhase;
use model::{MicroUsdPerHour, Node, Snapshot};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A cluster whose nodes are taken away and whose pods wait again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repack {
    /// The snapshot to plan: without the nodes that could be replaced, their reschedulable pods pending.
    pub snapshot: Snapshot,
    /// What the nodes taken away cost together.
    pub current: MicroUsdPerHour,
    /// The nodes taken away, by name.
    pub replaced: Vec<Arc<str>>,
    /// The nodes left as they are, because their price is not known (Fargate, or not in the catalog), by name.
    pub kept: Vec<Arc<str>>,
    /// Whether a price in `current` is estimated.
    pub estimated: bool,
    /// Pods that wait for a node already: they cost nothing now, so they are left out of the comparison.
    pub waiting: usize,
}

/// Takes every node with a known price away and lets its reschedulable pods wait. Pods that wait already are left out:
/// what runs now is compared with what would run.
pub fn repack(snapshot: &Snapshot) -> Repack {
    let (replaced, kept): (Vec<&Node>, Vec<&Node>) =
        snapshot.nodes.iter().partition(|node| node.price.is_some());
    let names = replaced.iter().map(|node| node.name.clone()).collect::<BTreeSet<_>>();
    let mut emptied = snapshot.clone();
    emptied.nodes.retain(|node| !names.contains(&node.name));
    emptied.node_claims.clear();
    let before = emptied.pods.len();
    emptied.pods.retain(|pod| !pod.is_provisionable());
    let waiting = before - emptied.pods.len();
    emptied.empty_since.clear();
    emptied.pods.retain(|pod| {
        pod.is_reschedulable() || !pod.node_name.as_ref().is_some_and(|node| names.contains(node))
    });
    for pod in emptied
        .pods
        .iter_mut()
        .filter(|pod| pod.node_name.as_ref().is_some_and(|node| names.contains(node)))
    {
        pod.node_name = None;
        pod.nominated_node = None;
        pod.phase = PodPhase::Pending;
        pod.unschedulable = true;
    }
    let current = replaced.iter().filter_map(|node| node.price).sum();
    let estimated = replaced.iter().any(|node| node.price_estimated);
    let mut kept = kept.into_iter().map(|node| node.name.clone()).collect::<Vec<_>>();
    kept.sort();
    Repack {
        snapshot: emptied,
        current,
        replaced: names.into_iter().collect(),
        kept,
        estimated,
        waiting,
    }
}
