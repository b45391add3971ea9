//! Filters: where a pod may go at all.

use super::cache::{CachedNode, ClassId, KnownClass, NodeId, SchedulerCache, amount};
use super::topology::Topology;
use model::pod::HostPort;
use model::taints::untolerated;

/// Whether a pod of the class may be bound to the node, all rules considered.
pub(super) fn passes(
    cache: &SchedulerCache,
    class: ClassId,
    id: NodeId,
    topology: &Topology<'_>,
) -> bool {
    let (known, Some(node)) = (cache.known(class), cache.nodes.get(&id)) else { return false };
    fits(known, node)
        && untolerated(&node.info.taints, &known.class.spec.tolerations).is_none()
        && selects(known, node)
        && ports_free(cache, known, node)
        && topology.allows(&node.info.labels)
}

/// NodeResourcesFit.
fn fits(known: &KnownClass, node: &CachedNode) -> bool {
    let free = |index| amount(&node.allocatable, index) - amount(&node.used, index);
    known.requests.iter().all(|(index, requested)| *requested <= free(*index))
}

/// NodeAffinity: the node selector, and one of the terms of required node affinity.
pub(super) fn selects(known: &KnownClass, node: &CachedNode) -> bool {
    let (spec, info) = (&known.class.spec, &node.info);
    let node = (info.name.as_ref(), &info.labels);
    model::pod::selects(&spec.node_selector, &spec.node_affinity, node)
}

/// NodePorts.
fn ports_free(cache: &SchedulerCache, known: &KnownClass, node: &CachedNode) -> bool {
    let wanted = &known.class.spec.host_ports;
    let taken = |other: &ClassId| {
        let ports = &cache.known(*other).class.spec.host_ports;
        ports.iter().any(|port| wanted.iter().any(|mine: &HostPort| mine.conflicts(port)))
    };
    wanted.is_empty() || !node.pods.keys().any(taken)
}
