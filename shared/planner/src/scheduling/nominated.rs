//! Pods that have a place already: it was bought for them, and they are not there yet.

use super::place::Placer;
use model::{Pod, PodId};
use std::collections::{BTreeMap, VecDeque};

/// Pods of one class may have to wait for those of another that count in their spread; so many times all are tried again.
const ROUNDS: usize = 4;

/// The pods of a class, by the cell of the slots that were bought for them, each with its slot.
struct Nominated<'a> {
    class: usize,
    cells: BTreeMap<Option<usize>, VecDeque<(usize, &'a Pod)>>,
}

impl<'a> Placer<'a, '_> {
    /// Pods go first where they were bought a place. A spread admits them in some orders only, so their cells take turns.
    pub(super) fn place_nominated(&mut self) -> BTreeMap<&'a PodId, ()> {
        let mut classes = self.nominated();
        let mut done = BTreeMap::new();
        for _ in 0..ROUNDS {
            let before = done.len();
            classes.iter_mut().for_each(|class| self.place_in_turns(class, &mut done));
            if done.len() == before {
                break;
            }
        }
        done
    }

    fn nominated(&self) -> Vec<Nominated<'a>> {
        let mut slot_of = BTreeMap::new();
        for (at, slot) in self.slots.iter().enumerate().filter(|(_, slot)| slot.usable) {
            slot_of.extend(slot.nominated.iter().map(|pod| (*pod, at)));
        }
        if slot_of.is_empty() {
            return Vec::new();
        }
        let of_class = |class: usize| {
            let needs_cell = self.topology.needs_cell(&self.classes[class].terms);
            let mut own = Nominated { class, cells: BTreeMap::new() };
            for pod in self.classes[class].pods.iter().copied() {
                let slot = slot_of.get(&pod.id).filter(|slot| self.compatible(class, **slot));
                if let Some(slot) = slot.copied() {
                    let cell = needs_cell.then_some(self.slots[slot].cell);
                    own.cells.entry(cell).or_default().push_back((slot, pod));
                }
            }
            own
        };
        let classes = (0..self.classes.len()).map(of_class);
        classes.filter(|own| !own.cells.is_empty()).collect()
    }

    /// Each cell takes as many as it may before the next one's turn, until none takes any more.
    fn place_in_turns(&mut self, own: &mut Nominated<'a>, done: &mut BTreeMap<&'a PodId, ()>) {
        loop {
            let before = done.len();
            for (cell, pods) in &mut own.cells {
                while self.cell_takes(own.class, *cell) {
                    let Some((slot, pod)) = pods.pop_front() else { break };
                    if self.admits_slot(own.class, slot, false).is_ok() {
                        self.put_on_slot(own.class, slot, &[pod]);
                        done.insert(&pod.id, ());
                    }
                }
            }
            if done.len() == before {
                return;
            }
        }
    }

    fn cell_takes(&self, class: usize, cell: Option<usize>) -> bool {
        let terms = &self.classes[class].terms;
        cell.is_none_or(|cell| self.topology.admits_cell(terms, cell).is_ok())
    }
}
