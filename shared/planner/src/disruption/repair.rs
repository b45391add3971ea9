//! Nodes that have been sick for too long.

use crate::view::View;
use model::{Duration, Node, Timestamp};

/// Of a pool's or the cluster's nodes at most this share may be sick before repair stops: then the fault is not the nodes'.
const BRAKE_PERCENT: usize = 20;

/// How long each fault is borne, in seconds (karpenter core `cloudprovider`, aws `RepairPolicies`).
const BORNE_S: &[(&str, i64)] = &[
    ("Ready", 1800),
    ("AcceleratedHardwareReady", 600),
    ("StorageReady", 1800),
    ("NetworkingReady", 1800),
    ("KernelReady", 1800),
    ("ContainerRuntimeReady", 1800),
];

/// When the node is replaced if it stays sick; `None` if it is well.
pub(super) fn due(node: &Node) -> Option<Timestamp> {
    let borne = |fault: &str| BORNE_S.iter().find(|(name, _)| *name == fault).map(|(_, s)| *s);
    let ends = |(fault, since): &(String, Timestamp)| Some(since.plus(Duration(borne(fault)?)));
    node.faults.iter().filter_map(ends).min()
}

/// Whether too many nodes of the node's pool, or of the cluster, are sick. A fifth may be, rounded up.
pub(super) fn braked(view: &View<'_>, node: &Node) -> bool {
    let of_pool = |other: &&Node| other.pool() == node.pool();
    let nodes = || view.snapshot.nodes.iter();
    too_many(nodes().filter(of_pool)) || too_many(nodes())
}

fn too_many<'a>(nodes: impl Iterator<Item = &'a Node>) -> bool {
    let (mut all, mut sick) = (0_usize, 0_usize);
    for node in nodes {
        all += 1;
        sick += usize::from(due(node).is_some());
    }
    sick > (all * BRAKE_PERCENT).div_ceil(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(fault: Option<(&str, i64)>) -> Node {
        let faults = fault.map(|(name, since)| (name.to_owned(), Timestamp(since)));
        Node { faults: faults.into_iter().collect(), ..Node::default() }
    }

    #[test]
    fn each_fault_is_borne_for_its_time() {
        let check = |fault, expected: Option<i64>| {
            assert_eq!(due(&node(fault)), expected.map(Timestamp), "{fault:?}");
        };
        check(None, None);
        check(Some(("Ready", 100)), Some(1900));
        check(Some(("AcceleratedHardwareReady", 100)), Some(700));
        check(Some(("KernelReady", 100)), Some(1900));
        check(Some(("DiskPressure", 100)), None);
    }

    #[test]
    fn a_fifth_of_the_nodes_may_be_sick() {
        let check = |all: usize, sick: usize, expected| {
            let nodes =
                (0..all).map(|at| node((at < sick).then_some(("Ready", 1)))).collect::<Vec<_>>();
            assert_eq!(too_many(nodes.iter()), expected, "{sick} of {all}");
        };
        check(1, 1, false);
        check(5, 1, false);
        check(5, 2, true);
        check(6, 2, false);
        check(100, 20, false);
        check(100, 21, true);
    }
}
