//! Why the nodes that are there can or cannot take a pod.

use super::obstacle::Obstacle;
use super::pod::NodeVerdict;
use crate::scheduling::{Class, Scene, Slot, Standing};
use model::pod::NodeSelectorTerm;
use model::{Labels, Operator, Pod, Requirement, Taint, ValueSet, taints};

/// What each node and claim says; nothing if the pod is of no class, for then no place is sought.
pub(super) fn nodes(scene: &Scene<'_>, pod: &Pod) -> Vec<NodeVerdict> {
    let mut classes = scene.classes.list.iter();
    let of_pod = |class: &&Class<'_>| class.pods.iter().any(|other| other.id == pod.id);
    let Some(class) = classes.find(of_pod) else { return Vec::new() };
    let verdict = |(at, slot): (usize, &Slot<'_>)| NodeVerdict {
        node: slot.name.clone(),
        obstacle: obstacle(scene, class, at, slot),
    };
    scene.slots.iter().enumerate().map(verdict).collect()
}

fn obstacle(scene: &Scene<'_>, class: &Class<'_>, at: usize, slot: &Slot<'_>) -> Option<Obstacle> {
    if !slot.usable {
        let problem = "it is leaving, cordoned or not ready".to_owned();
        return Some(Obstacle::NotUsable { problem });
    }
    if let Some(taint) = untolerated(&slot.taints, class) {
        return Some(Obstacle::Taint { taint });
    }
    unselected(class, slot).or_else(|| too_small(scene, class, slot)).or_else(|| {
        let standing = Standing { slots: &scene.slots, topology: &scene.topology };
        standing
            .admits(class, at, scene.topology.needs_cell(&class.terms))
            .err()
            .map(|reason| Obstacle::Rule { reason })
    })
}

fn untolerated(all: &[Taint], class: &Class<'_>) -> Option<Taint> {
    taints::untolerated(all, &class.spec.tolerations).cloned()
}

fn unselected(class: &Class<'_>, slot: &Slot<'_>) -> Option<Obstacle> {
    let spec = class.spec;
    let lacks = |(key, value): &(&String, &String)| {
        !slot.matches(&Labels::from([((*key).clone(), (*value).clone())]), &[])
    };
    if let Some((key, value)) = spec.node_selector.iter().find(lacks) {
        let wanted = Requirement::new(key, Operator::In, [value.as_str()]).value_set();
        return Some(Obstacle::PodRequirement { key: key.clone(), wanted, value: None });
    }
    if let Some((key, wanted)) = unmet(&spec.node_affinity, slot) {
        return Some(Obstacle::PodRequirement { key, wanted, value: None });
    }
    let (key, wanted) = class.volumes.iter().find_map(|places| unmet(places, slot))?;
    Some(Obstacle::Volume { key, wanted, value: None })
}

/// The first requirement that the slot does not meet, if it meets no term.
fn unmet(terms: &[NodeSelectorTerm], slot: &Slot<'_>) -> Option<(String, ValueSet)> {
    if slot.matches(&Labels::new(), terms) {
        return None;
    }
    let alone = |requirement: &Requirement| NodeSelectorTerm {
        requirements: vec![requirement.clone()],
        fields: Vec::new(),
    };
    let fails = |requirement: &&Requirement| !slot.matches(&Labels::new(), &[alone(requirement)]);
    let all = terms.iter().flat_map(|term| &term.requirements);
    let first =
        all.clone().find(fails).or_else(|| terms.iter().flat_map(|term| &term.fields).next());
    let named = |found: &Requirement| (found.key.clone(), found.value_set());
    Some(first.map_or_else(|| ("metadata.name".to_owned(), ValueSet::none()), named))
}

fn too_small(scene: &Scene<'_>, class: &Class<'_>, slot: &Slot<'_>) -> Option<Obstacle> {
    let mut sizes = class.size.iter().zip(&slot.room).enumerate();
    let short = sizes.find(|(_, (size, room))| **size > 0 && size > room);
    if let Some((dimension, (requested, available))) = short {
        let resource = scene.classes.dimensions.name(dimension).to_owned();
        let (requested, available) = (*requested, *available);
        return Some(Obstacle::TooSmall { resource, requested, available });
    }
    let mut ports = class.spec.host_ports.iter();
    let taken = ports.find(|port| !slot.ports_free(std::slice::from_ref(port)))?;
    Some(Obstacle::HostPort { port: taken.port })
}
