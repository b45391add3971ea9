//! Placing pods on what is there, and telling zones apart, before anything is bought.
//!
//! Pods go to nodes that exist or are on their way; what remains becomes demand for new nodes, with a zone where the
//! topology rules need one. Pods that must share a node with others are placed one by one on nodes opened for them.

use super::candidates::Candidates;
use super::classes::Class;
use super::dimensions::{fits, take};
use super::limits::Limits;
use super::open::Open;
use super::slots::Slot;
use super::topology::{Level, Terms, Topology};
use crate::packing::bitset::Bitset;
use crate::packing::problem::how_many;
use model::{Pod, Reason, Unschedulable};
use std::collections::BTreeMap;

/// Pods of a class that need new nodes, in one zone or in any.
pub(crate) type Demands<'a> = BTreeMap<DemandKey, Vec<&'a Pod>>;
/// A class, and the zone if it must be that one.
pub(crate) type DemandKey = (usize, Option<usize>);

/// The state of one placing.
pub(crate) struct Placer<'a, 's> {
    pub(crate) classes: &'s [Class<'a>],
    pub(crate) candidates: &'s Candidates<'a>,
    /// By class, the candidates that can hold one of its pods.
    pub(crate) fitting: &'s [Bitset],
    /// By class, the candidates that its node selector and affinity allow.
    pub(crate) selected: &'s [Bitset],
    pub(crate) topology: Topology<'a>,
    pub(crate) slots: Vec<Slot<'a>>,
    pub(crate) limits: Limits,
    pub(crate) open: Vec<Open<'a>>,
    /// Pods placed on slots, with their class and slot.
    pub(crate) placed: Vec<(usize, usize, &'a Pod)>,
    pub(crate) demands: Demands<'a>,
    /// Classes whose pods are bought one node together, and the candidates that hold them all.
    pub(crate) bundles: BTreeMap<usize, Bitset>,
    pub(crate) unschedulable: Vec<Unschedulable>,
}

/// What one class still looks for while it is placed.
pub(super) struct Search {
    /// The slots that may hold one more, by position.
    pub(super) slots: Vec<usize>,
    /// The zones in which the class can be at all.
    zones: Vec<usize>,
    /// The zones that its spreads count, whether it can be there or not.
    domains: Vec<usize>,
    pub(super) zonal: bool,
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
    pub(crate) topology: &'s Topology<'a>,
}

impl Standing<'_, '_> {
    /// Whether one more of the class may go to the slot, by room, ports and topology; over zones too if its domains are given.
    pub(crate) fn admits(
        &self,
        class: &Class<'_>,
        slot: usize,
        zones: Option<&Vec<usize>>,
    ) -> Result<(), Reason> {
        let found = &self.slots[slot];
        let host = || Reason::PodAntiAffinity { topology_key: model::labels::HOSTNAME.to_owned() };
        let free = fits(&class.size, &found.room) && found.ports_free(&class.spec.host_ports);
        let domain = found.has_hostname() || !self.topology.needs_hostname(&class.terms);
        if !free || !domain || !found.can_attach(&class.attachments) {
            return Err(host());
        }
        self.topology.admits(&class.terms, Level::Host, slot, &[])?;
        match (found.zone, zones) {
            (_, None) => Ok(()),
            (Some(zone), Some(domains)) => {
                self.topology.admits(&class.terms, Level::Zone, zone, domains)
            }
            (None, Some(_)) => Err(host()),
        }
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
        let own = |term: &usize| terms.spreads.iter().any(|(spread, _)| spread == term);
        terms.matches.iter().any(|term| self.topology.is_spread(*term) && !own(term))
    }

    /// The room on slots that some class could use, before anything is placed.
    pub(crate) fn free_room(&self) -> Vec<super::bound::Free> {
        let free = |slot: usize| {
            let mut classes = Bitset::new(self.classes.len());
            (0..self.classes.len())
                .filter(|class| self.compatible(*class, slot))
                .for_each(|class| classes.insert(class));
            (!classes.is_empty()).then(|| super::bound::Free::new(&self.slots[slot], classes))
        };
        (0..self.slots.len()).filter_map(free).collect()
    }

    /// Pods go first where they were bought a place.
    fn place_nominated(&mut self) -> BTreeMap<&'a model::PodId, ()> {
        let mut place_of = BTreeMap::new();
        for (at, slot) in self.slots.iter().enumerate().filter(|(_, slot)| slot.usable) {
            place_of.extend(slot.nominated.iter().map(|pod| (*pod, at)));
        }
        let mut done = BTreeMap::new();
        if place_of.is_empty() {
            return done;
        }
        for class in 0..self.classes.len() {
            let search = self.search(class);
            for pod in &self.classes[class].pods {
                let Some(slot) =
                    place_of.get(&pod.id).filter(|slot| self.compatible(class, **slot))
                else {
                    continue;
                };
                if self.admits_slot(class, *slot, &search).is_ok() {
                    self.put_on_slot(class, *slot, &[pod]);
                    done.insert(&pod.id, ());
                }
            }
        }
        done
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
        if !search.zonal && !exact {
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
        let mut slots =
            (0..self.slots.len()).filter(|slot| self.compatible(class, *slot)).collect::<Vec<_>>();
        let spec = self.classes[class].spec;
        slots.sort_by_key(|slot| (std::cmp::Reverse(self.slots[*slot].preference(spec)), *slot));
        let by_slot = slots.iter().filter_map(|slot| self.slots[*slot].zone);
        let by_candidate = (0..self.candidates.zones.len())
            .filter(|zone| self.candidates.of_zone[*zone].meets(&self.fitting[class]));
        let zones = by_slot.chain(by_candidate).collect::<std::collections::BTreeSet<_>>();
        Search {
            slots,
            zones: zones.into_iter().collect(),
            domains: self.domains(class),
            zonal: self.topology.is_zonal(&self.classes[class].terms),
        }
    }

    /// Nodes count as domains by labels alone: taints and room make no difference to the kube-scheduler.
    pub(crate) fn domains(&self, class: usize) -> Vec<usize> {
        let spec = self.classes[class].spec;
        let of_slots = self
            .slots
            .iter()
            .filter(|slot| slot.matches(&spec.node_selector, &spec.node_affinity))
            .filter_map(|slot| slot.zone);
        let of_candidates = (0..self.candidates.zones.len())
            .filter(|zone| self.candidates.of_zone[*zone].meets(&self.selected[class]));
        of_slots
            .chain(of_candidates)
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    /// Whether the class could be on the slot by labels, taints and volumes, and has room for one.
    fn compatible(&self, class: usize, slot: usize) -> bool {
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
        for slot in &search.slots {
            loop {
                let count = self.room_for(class, *slot, left.len(), search);
                let (here, rest) = left.split_at(count);
                self.put_on_slot(class, *slot, here);
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

    fn room_for(&self, class: usize, slot: usize, wanted: usize, search: &Search) -> usize {
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
        usize::from(most > 0 && self.admits_slot(class, slot, search).is_ok())
    }

    fn place_one(
        &mut self,
        class: usize,
        pod: &'a Pod,
        search: &mut Search,
        exact: bool,
    ) -> Result<(), Reason> {
        let mut refusal = None;
        let zones = self.zones_in_order(class, search, &mut refusal);
        let found =
            search.slots.iter().position(|slot| self.admits_slot(class, *slot, search).is_ok());
        if let Some(at) = found {
            let slot = search.slots[at];
            self.put_on_slot(class, slot, &[pod]);
            if !fits(&self.classes[class].size, &self.slots[slot].room) {
                search.slots.remove(at);
            }
            return Ok(());
        }
        self.place_on_new(class, pod, search, &zones, exact)
            .map_err(|reason| refusal.unwrap_or(reason))
    }

    /// The zones that admit one more, the emptiest first, those with the pods asked for before others.
    fn zones_in_order(
        &self,
        class: usize,
        search: &Search,
        refusal: &mut Option<Reason>,
    ) -> Vec<usize> {
        let terms = &self.classes[class].terms;
        let mut zones = Vec::new();
        for zone in &search.zones {
            match self.topology.admits(terms, Level::Zone, *zone, &search.domains) {
                Ok(()) => zones.push(*zone),
                Err(reason) => *refusal = Some(reason),
            }
        }
        zones.sort_by_key(|zone| {
            (!self.topology.attracts(terms, *zone), self.topology.crowd(terms, *zone), *zone)
        });
        zones
    }

    /// Whether one more of the class may go to the slot, by room, ports and topology.
    pub(super) fn admits_slot(
        &self,
        class: usize,
        slot: usize,
        search: &Search,
    ) -> Result<(), Reason> {
        let standing = Standing { slots: &self.slots, topology: &self.topology };
        standing.admits(&self.classes[class], slot, search.zonal.then_some(&search.domains))
    }

    pub(super) fn put_on_slot(&mut self, class: usize, slot: usize, pods: &[&'a Pod]) {
        if pods.is_empty() {
            return;
        }
        let found = &mut self.slots[slot];
        take(&mut found.room, &self.classes[class].size, pods.len() as i64);
        found.ports.extend(self.classes[class].spec.host_ports.iter().cloned());
        found.attach(&self.classes[class].attachments);
        self.topology.place(&self.classes[class].terms, Some(slot), found.zone, pods.len() as u32);
        self.placed.extend(pods.iter().map(|pod| (class, slot, *pod)));
    }

    /// On a node opened in this turn, or as demand for one.
    fn place_on_new(
        &mut self,
        class: usize,
        pod: &'a Pod,
        search: &Search,
        zones: &[usize],
        exact: bool,
    ) -> Result<(), Reason> {
        if let Some(at) = (0..self.open.len())
            .find(|at| self.open[*at].is_closed() && self.admits_open(class, *at, search))
        {
            self.put_on_open(class, at, pod);
            return Ok(());
        }
        if exact {
            return self.place_exactly(class, pod, search, zones);
        }
        let possible = |zone: &&usize| self.candidates.of_zone[**zone].meets(&self.fitting[class]);
        let Some(zone) = zones.iter().find(possible).copied() else {
            return Err(Reason::NoNodePool);
        };
        self.topology.place(&self.classes[class].terms, None, Some(zone), 1);
        self.demands.entry((class, Some(zone))).or_default().push(pod);
        Ok(())
    }

    /// On the open node where it costs least, or on another one, whichever is cheaper.
    fn place_exactly(
        &mut self,
        class: usize,
        pod: &'a Pod,
        search: &Search,
        zones: &[usize],
    ) -> Result<(), Reason> {
        let join = (0..self.open.len()).filter(|at| self.admits_open(class, *at, search));
        let join = join
            .filter_map(|at| {
                self.open[at]
                    .price_with(self.candidates, &self.classes[class], &self.fitting[class])
                    .map(|price| (price, at))
            })
            .min();
        let fresh = self.topology.admits(
            &self.classes[class].terms,
            Level::Host,
            self.slots.len() + self.open.len(),
            &[],
        );
        let zone = zones
            .iter()
            .find(|zone| self.candidates.of_zone[**zone].meets(&self.fitting[class]))
            .copied();
        let alone = zone
            .filter(|_| fresh.is_ok())
            .and_then(|zone| Open::new(self.candidates, &self.fitting[class], zone));
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
            && self.topology.admits(&wanted.terms, Level::Host, self.slots.len() + at, &[]).is_ok()
            && (!search.zonal
                || self
                    .topology
                    .admits(&wanted.terms, Level::Zone, open.zone, &search.domains)
                    .is_ok())
    }

    fn put_on_open(&mut self, class: usize, at: usize, pod: &'a Pod) {
        let host = self.slots.len() + at;
        let open = &mut self.open[at];
        open.add(self.candidates, class, &self.classes[class], &self.fitting[class], pod);
        self.topology.place(&self.classes[class].terms, Some(host), Some(open.zone), 1);
    }

    fn close_open(&mut self) {
        for open in &mut self.open {
            open.close(self.candidates, &mut self.limits);
        }
    }
}
