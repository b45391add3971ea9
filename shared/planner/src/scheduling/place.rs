//! Placing pods on what is there, and telling cells apart, before anything is bought.
//!
//! Pods go to nodes that exist or are on their way; what remains becomes demand for new nodes, with a cell where the
//! topology rules need one. Pods that must share a node with others are placed one by one on nodes opened for them.

use super::candidates::Candidates;
use super::classes::Class;
use super::dimensions::{fits, take};
use super::limits::Limits;
use super::open::Open;
use super::search::{Restrictions, Search};
use super::slots::Slot;
use super::topology::{Level, Terms, Topology};
use crate::packing::bitset::Bitset;
use crate::packing::problem::how_many;
use model::{Pod, Reason, Unschedulable};
use std::collections::BTreeMap;

/// Pods of a class that need new nodes, in one cell or in any.
pub(crate) type Demands<'a> = BTreeMap<DemandKey, Vec<&'a Pod>>;
/// A class, and the cell if it must be that one.
pub(crate) type DemandKey = (usize, Option<usize>);

/// So many pods without a spread of their own go to one cell before they are balanced.
const HANDFUL: u32 = 16;

/// The state of one placing.
pub(crate) struct Placer<'a, 's> {
    pub(crate) classes: &'s [Class<'a>],
    pub(crate) candidates: &'s Candidates<'a>,
    /// By class, the candidates that can hold one of its pods.
    pub(crate) fitting: &'s [Bitset],
    pub(crate) topology: Topology,
    pub(crate) slots: Vec<Slot<'a>>,
    pub(crate) limits: Limits,
    pub(crate) open: Vec<Open<'a>>,
    /// Pods placed on slots, with their class and slot.
    pub(crate) placed: Vec<(usize, usize, &'a Pod)>,
    pub(crate) demands: Demands<'a>,
    /// Classes whose pods are bought one node together, and the candidates that hold them all.
    pub(crate) bundles: BTreeMap<usize, Bitset>,
    pub(crate) unschedulable: Vec<Unschedulable>,
    /// Where the classes may be on what is there.
    pub(crate) restrictions: Restrictions,
}

/// Whether the class could be on the slot by labels, taints and volumes, whatever room it has.
pub(crate) fn may_hold(class: &Class<'_>, slot: &Slot<'_>) -> bool {
    slot.usable
        && model::taints::untolerated(&slot.taints, &class.spec.tolerations).is_none()
        && slot.matches(&class.spec.node_selector, &class.spec.node_affinity)
        && class.volumes.iter().all(|terms| slot.matches(&model::Labels::new(), terms))
}

/// The nodes as they stand, and who is where.
pub(crate) struct Standing<'a, 's> {
    pub(crate) slots: &'s [Slot<'a>],
    pub(crate) topology: &'s Topology,
}

impl Standing<'_, '_> {
    /// Whether one more of the class may go to the slot, by room, ports and topology, over cells too if they matter.
    pub(crate) fn admits(
        &self,
        class: &Class<'_>,
        slot: usize,
        by_cell: bool,
    ) -> Result<(), Reason> {
        let found = &self.slots[slot];
        let host = || Reason::PodAntiAffinity { topology_key: model::labels::HOSTNAME.to_owned() };
        let free = fits(&class.size, &found.room) && found.ports_free(&class.spec.host_ports);
        let domain = found.has_hostname() || !self.topology.needs_hostname(&class.terms);
        if !free || !domain || !found.can_attach(&class.attachments) {
            return Err(host());
        }
        self.topology.admits_host(&class.terms, slot)?;
        if by_cell { self.topology.admits_cell(&class.terms, found.cell) } else { Ok(()) }
    }
}

impl<'a> Placer<'a, '_> {
    /// Places every class: those bound to others' nodes first, then the rest in their order, again while that helps.
    pub(crate) fn run(&mut self) {
        let bought_for = self.place_nominated();
        let bound = self.bound_to_nodes();
        let rest = |class: usize, done: &BTreeMap<&model::PodId, ()>| {
            let pods =
                self.classes[class].pods.iter().copied().filter(|pod| !done.contains_key(&pod.id));
            (class, pods.collect::<Vec<_>>())
        };
        let mut order = (0..self.classes.len()).collect::<Vec<_>>();
        order.sort_by_key(|class| self.turn_of(*class));
        let queue = order.into_iter().map(|class| rest(class, &bought_for)).collect::<Vec<_>>();
        let (exact, others): (Vec<_>, Vec<_>) =
            queue.into_iter().partition(|(class, _)| bound[*class]);
        self.place_all(exact, true);
        self.close_open();
        self.place_all(others, false);
    }

    /// Among equally important classes, those that count in a spread which they do not have come first:
    /// a spread that is placed when all are counted holds in whatever order the kube-scheduler binds.
    fn turn_of(&self, class: usize) -> (std::cmp::Reverse<i32>, bool, bool) {
        let class = &self.classes[class];
        let counted = self.counted_elsewhere(&class.terms);
        (std::cmp::Reverse(class.spec.priority), !counted, !class.terms.spreads.is_empty())
    }

    fn counted_elsewhere(&self, terms: &Terms) -> bool {
        let own = |term: &usize| terms.spreads.iter().any(|spread| spread.term == *term);
        terms.matches.iter().any(|term| self.topology.is_spread(*term) && !own(term))
    }

    /// The room on slots that some class could use, before anything is placed.
    pub(crate) fn free_room(&self) -> Vec<super::bound::Free> {
        let mut usable: Vec<Option<Bitset>> = vec![None; self.slots.len()];
        for (class, of) in self.classes.iter().enumerate() {
            for slot in self.restrictions.slots(class).iter().map(|slot| *slot as usize) {
                if fits(&of.size, &self.slots[slot].room) {
                    let empty = || Bitset::new(self.classes.len());
                    usable[slot].get_or_insert_with(empty).insert(class);
                }
            }
        }
        let usable = usable.into_iter().enumerate();
        let free = |(slot, classes): (usize, Option<Bitset>)| {
            Some(super::bound::Free::new(&self.slots[slot], classes?))
        };
        usable.filter_map(free).collect()
    }

    /// The classes that follow others to their node, and those that they follow.
    fn bound_to_nodes(&self) -> Vec<bool> {
        let of_host = |term: &&usize| self.topology.level(**term) == Level::Host;
        let followed =
            self.classes.iter().flat_map(|class| class.terms.affinities.iter().filter(of_host));
        let followed = followed.collect::<std::collections::BTreeSet<_>>();
        let bound = |class: &Class<'_>| {
            self.topology.follows(&class.terms)
                || class.terms.matches.iter().any(|term| followed.contains(term))
        };
        self.classes.iter().map(bound).collect()
    }

    fn place_all(&mut self, mut queue: Vec<(usize, Vec<&'a Pod>)>, exact: bool) {
        loop {
            let before = queue.iter().map(|(_, pods)| pods.len()).sum::<usize>();
            let mut failed = Vec::new();
            let mut reasons = Vec::new();
            for (class, pods) in queue {
                if let Some((left, reason)) = self.place_class(class, pods, exact) {
                    failed.push((class, left));
                    reasons.push(reason);
                }
            }
            let after = failed.iter().map(|(_, pods)| pods.len()).sum::<usize>();
            if after == 0 || after == before {
                for ((class, pods), reason) in failed.into_iter().zip(reasons) {
                    self.give_up(class, pods, reason);
                }
                return;
            }
            queue = failed;
        }
    }

    fn give_up(&mut self, class: usize, pods: Vec<&'a Pod>, reason: Reason) {
        let nowhere = self.fitting[class].is_empty();
        for pod in pods {
            let reasons = if nowhere { Vec::new() } else { vec![reason.clone()] };
            self.unschedulable.push(Unschedulable { pod: pod.id.clone(), reasons });
        }
    }

    /// Places pods of a class; returns those that found no place, and why.
    fn place_class(
        &mut self,
        class: usize,
        pods: Vec<&'a Pod>,
        exact: bool,
    ) -> Option<(Vec<&'a Pod>, Reason)> {
        if pods.is_empty() {
            return None;
        }
        let mut search = self.search(class);
        if exact && self.place_together(class, &pods, &search) {
            return None;
        }
        if !search.by_cell && !exact {
            return self.place_in_bulk(class, pods, &search);
        }
        for (at, pod) in pods.iter().enumerate() {
            if let Err(reason) = self.place_one(class, pod, &mut search, exact) {
                return Some((pods[at..].to_vec(), reason));
            }
        }
        None
    }

    fn search(&self, class: usize) -> Search {
        let of = &self.classes[class];
        let bought_in = (0..self.candidates.cells.len())
            .filter(|cell| self.candidates.of_cell[*cell].meets(&self.fitting[class]));
        let by_cell = self.topology.needs_cell(&of.terms);
        Search::new(&self.restrictions, (class, of), &self.slots, bought_in, by_cell)
    }

    /// Whether the class could be on the slot by labels, taints and volumes, and has room for one.
    pub(super) fn compatible(&self, class: usize, slot: usize) -> bool {
        let (class, slot) = (&self.classes[class], &self.slots[slot]);
        fits(&class.size, &slot.room) && may_hold(class, slot)
    }

    /// As many as possible on what is there; the rest becomes demand in any zone.
    fn place_in_bulk(
        &mut self,
        class: usize,
        pods: Vec<&'a Pod>,
        search: &Search,
    ) -> Option<(Vec<&'a Pod>, Reason)> {
        let mut left = pods.as_slice();
        for slot in search.slots() {
            if left.is_empty() {
                break;
            }
            loop {
                let count = self.room_for(class, slot, left.len());
                let (here, rest) = left.split_at(count);
                self.put_on_slot(class, slot, here);
                left = rest;
                if count == 0 || left.is_empty() {
                    break;
                }
            }
        }
        for at in 0..self.open.len() {
            while let Some((pod, rest)) =
                left.split_first().filter(|_| self.admits_open(class, at, search))
            {
                self.put_on_open(class, at, pod);
                left = rest;
            }
        }
        if left.is_empty() {
            return None;
        }
        if self.fitting[class].is_empty() {
            return Some((left.to_vec(), Reason::NoNodePool));
        }
        self.demands.entry((class, None)).or_default().extend(left);
        None
    }

    fn room_for(&self, class: usize, slot: usize, wanted: usize) -> usize {
        let terms = &self.classes[class].terms;
        let constrained = !(terms.spreads.is_empty()
            && terms.antis.is_empty()
            && terms.matches.is_empty()
            && self.classes[class].attachments.is_empty()
            && self.classes[class].spec.host_ports.is_empty());
        let most =
            (how_many(&self.slots[slot].room, &self.classes[class].size) as usize).min(wanted);
        if !constrained {
            return most;
        }
        // Each pod placed changes what the next may do, so constrained pods are tried one at a time.
        usize::from(most > 0 && self.admits_slot(class, slot, false).is_ok())
    }

    fn place_one(
        &mut self,
        class: usize,
        pod: &'a Pod,
        search: &mut Search,
        exact: bool,
    ) -> Result<(), Reason> {
        let mut refusal = None;
        let cells = self.cells_in_order(class, search, &mut refusal);
        let of = &self.classes[class];
        let found = search.find(
            &cells,
            self.topology.follows(&of.terms),
            |slot| self.admits_slot(class, slot, false).is_ok(),
            |slot| cells.contains(&self.slots[slot].cell),
        );
        if let Some(slot) = found {
            self.put_on_slot(class, slot, &[pod]);
            return Ok(());
        }
        self.place_on_new(class, pod, search, &cells, exact)
            .map_err(|reason| refusal.unwrap_or(reason))
    }

    /// The cells that admit one more, the emptiest first, those with the pods asked for before others.
    fn cells_in_order(
        &self,
        class: usize,
        search: &Search,
        refusal: &mut Option<Reason>,
    ) -> Vec<usize> {
        let terms = &self.classes[class].terms;
        let mut cells = Vec::new();
        for cell in &search.cells {
            match self.topology.admits_cell(terms, *cell) {
                Ok(()) => cells.push(*cell),
                Err(reason) => *refusal = Some(reason),
            }
        }
        // Where the first of several goes the others must follow: to a cell that has nodes for all of them.
        let begins = !cells.iter().any(|cell| self.topology.attracts(terms, *cell));
        if begins && self.classes[class].pods.len() > 1 && !terms.affinities.is_empty() {
            let endless =
                |cell: &&usize| self.candidates.of_cell[**cell].meets(&self.fitting[class]);
            let some = cells.iter().filter(endless).copied().collect::<Vec<_>>();
            cells = if some.is_empty() { cells } else { some };
        }
        // Pods that are counted but do not ask for balance share a cell while they are a handful: a few need no node in each.
        let asks = terms.spreads.iter().any(|spread| !self.topology.is_over_hosts(spread.term));
        let crowd = |cell: usize| {
            let (with, own) = self.topology.crowd(terms, cell);
            (if asks { with } else { with.saturating_sub(HANDFUL) }, own)
        };
        cells.sort_by_key(|cell| (!self.topology.attracts(terms, *cell), crowd(*cell), *cell));
        cells
    }

    /// Whether one more of the class may go to the slot, by room, ports and topology.
    pub(super) fn admits_slot(
        &self,
        class: usize,
        slot: usize,
        by_cell: bool,
    ) -> Result<(), Reason> {
        let standing = Standing { slots: &self.slots, topology: &self.topology };
        standing.admits(&self.classes[class], slot, by_cell)
    }

    pub(super) fn put_on_slot(&mut self, class: usize, slot: usize, pods: &[&'a Pod]) {
        if pods.is_empty() {
            return;
        }
        let found = &mut self.slots[slot];
        take(&mut found.room, &self.classes[class].size, pods.len() as i64);
        found.ports.extend(self.classes[class].spec.host_ports.iter().cloned());
        found.attach(&self.classes[class].attachments);
        let (cell, count) = (Some(found.cell), pods.len() as u32);
        self.topology.place(&self.classes[class].terms, Some(slot), cell, count);
        self.placed.extend(pods.iter().map(|pod| (class, slot, *pod)));
    }

    /// On a node opened in this turn, or as demand for one.
    fn place_on_new(
        &mut self,
        class: usize,
        pod: &'a Pod,
        search: &Search,
        cells: &[usize],
        exact: bool,
    ) -> Result<(), Reason> {
        if let Some(at) = (0..self.open.len())
            .find(|at| self.open[*at].is_closed() && self.admits_open(class, *at, search))
        {
            self.put_on_open(class, at, pod);
            return Ok(());
        }
        if exact {
            return self.place_exactly(class, pod, search, cells);
        }
        let possible = |cell: &&usize| self.candidates.of_cell[**cell].meets(&self.fitting[class]);
        let Some(cell) = cells.iter().find(possible).copied() else {
            return Err(Reason::NoNodePool);
        };
        self.topology.place(&self.classes[class].terms, None, Some(cell), 1);
        self.demands.entry((class, Some(cell))).or_default().push(pod);
        Ok(())
    }

    /// On the open node where it costs least, or on another one, whichever is cheaper.
    fn place_exactly(
        &mut self,
        class: usize,
        pod: &'a Pod,
        search: &Search,
        cells: &[usize],
    ) -> Result<(), Reason> {
        let join = (0..self.open.len()).filter(|at| self.admits_open(class, *at, search));
        let join = join
            .filter_map(|at| {
                self.open[at]
                    .price_with(self.candidates, &self.classes[class], &self.fitting[class])
                    .map(|price| (price, at))
            })
            .min();
        let host = self.slots.len() + self.open.len();
        let fresh = self.topology.admits_host(&self.classes[class].terms, host);
        let cell = cells
            .iter()
            .find(|cell| self.candidates.of_cell[**cell].meets(&self.fitting[class]))
            .copied();
        let alone = cell
            .filter(|_| fresh.is_ok())
            .and_then(|cell| Open::new(self.candidates, &self.fitting[class], cell));
        match (join, alone) {
            (Some((extra, at)), Some(new)) if extra <= new.price(self.candidates) => {
                self.put_on_open(class, at, pod)
            }
            (_, Some(new)) => {
                self.open.push(new);
                self.put_on_open(class, self.open.len() - 1, pod);
            }
            (Some((_, at)), None) => self.put_on_open(class, at, pod),
            (None, None) => return Err(fresh.err().unwrap_or(Reason::NoNodePool)),
        }
        Ok(())
    }

    fn admits_open(&self, class: usize, at: usize, search: &Search) -> bool {
        let (wanted, open) = (&self.classes[class], &self.open[at]);
        open.ports_free(self.classes, &wanted.spec.host_ports)
            && open.holds_one_more(self.candidates, wanted, &self.fitting[class])
            && self.topology.admits_host(&wanted.terms, self.slots.len() + at).is_ok()
            && (!search.by_cell || self.topology.admits_cell(&wanted.terms, open.cell).is_ok())
    }

    fn put_on_open(&mut self, class: usize, at: usize, pod: &'a Pod) {
        let host = self.slots.len() + at;
        let open = &mut self.open[at];
        open.add(self.candidates, class, &self.classes[class], &self.fitting[class], pod);
        self.topology.place(&self.classes[class].terms, Some(host), Some(open.cell), 1);
    }

    fn close_open(&mut self) {
        for open in &mut self.open {
            open.close(self.candidates, &mut self.limits);
        }
    }
}
