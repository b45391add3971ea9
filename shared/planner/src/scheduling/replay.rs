//! After limits turned pods away, others may have lost what they were placed by: a spread's balance, or pods to follow.
//!
//! The places found are taken again one pod after another; pods that no order binds any more give theirs up.

use super::buy::Bought;
use super::classes::Class;
use super::topology::Topology;
use model::Pod;
use std::collections::BTreeMap;

/// A pod's place: a host (slots first, then bought nodes) and its cell.
struct Place<'a> {
    class: usize,
    host: usize,
    cell: usize,
    pod: &'a Pod,
}

/// What is placed and where, before it is taken again.
pub(crate) struct Replay<'a, 's> {
    pub(crate) classes: &'s [Class<'a>],
    /// The counts of the pods that run.
    pub(crate) topology: Topology,
    /// By slot, its cell.
    pub(crate) slot_cells: Vec<usize>,
}

impl<'a> Replay<'a, '_> {
    /// Takes away the pods that cannot be bound any more, and the nodes left without pods; returns those pods with their class.
    pub(crate) fn prune(
        mut self,
        placed: &mut Vec<(usize, usize, &'a Pod)>,
        nodes: &mut Vec<Bought<'a>>,
        cell_of: impl Fn(usize) -> usize,
    ) -> Vec<(usize, &'a Pod)> {
        let slots = self.slot_cells.len();
        let on_slots = placed.iter().map(|(class, slot, pod)| Place {
            class: *class,
            host: *slot,
            cell: self.slot_cells[*slot],
            pod,
        });
        let mut waiting = on_slots.collect::<Vec<_>>();
        for (at, node) in nodes.iter().enumerate() {
            let cell = cell_of(node.candidate);
            waiting.extend(node.pods.iter().map(|(class, _, pod)| Place {
                class: *class,
                host: slots + at,
                cell,
                pod,
            }));
        }
        let lost = self.bind_all(in_turns(waiting));
        let ids = lost.iter().map(|place| &place.pod.id).collect::<std::collections::BTreeSet<_>>();
        placed.retain(|(_, _, pod)| !ids.contains(&pod.id));
        for node in nodes.iter_mut() {
            node.pods.retain(|(_, _, pod)| !ids.contains(&pod.id));
        }
        nodes.retain(|node| !node.pods.is_empty());
        lost.into_iter().map(|place| (place.class, place.pod)).collect()
    }

    /// Binds what can be bound, until nothing more can; returns the rest.
    fn bind_all(&mut self, mut waiting: Vec<Place<'a>>) -> Vec<Place<'a>> {
        loop {
            let before = waiting.len();
            waiting.retain(|place| !self.bind(place));
            if waiting.len() == before {
                return waiting;
            }
        }
    }

    fn bind(&mut self, place: &Place<'_>) -> bool {
        let terms = &self.classes[place.class].terms;
        let host = self.topology.admits_host(terms, place.host).is_ok();
        let admitted = host && self.topology.admits_cell(terms, place.cell).is_ok();
        if admitted {
            self.topology.place(terms, Some(place.host), Some(place.cell), 1);
        }
        admitted
    }
}

/// The cells take turns, so that spreads fill evenly.
fn in_turns(places: Vec<Place<'_>>) -> Vec<Place<'_>> {
    let mut ranks: BTreeMap<(usize, usize), u32> = BTreeMap::new();
    let mut ranked = Vec::with_capacity(places.len());
    for place in places {
        let rank = ranks.entry((place.class, place.cell)).or_default();
        *rank += 1;
        ranked.push((*rank, place));
    }
    ranked.sort_by(|a, b| (a.0, a.1.class, &a.1.pod.id).cmp(&(b.0, b.1.class, &b.1.pod.id)));
    ranked.into_iter().map(|(_, place)| place).collect()
}
