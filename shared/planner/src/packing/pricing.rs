//! Pricing: the most valuable pattern that a node of one kind can hold, when each item has a value.
//!
//! The relaxation gives each dimension a worth and with it each item one weight; rounding the relaxation gives a first pattern,
//! and a depth-first search over the items by value per weight improves it, cut by the fractional bound.

use super::bitset::Bitset;
use super::fractional::{Parts, fill};
use super::greedy::fill as fill_up;
use super::problem::{Load, Pattern, Problem, Work, how_many, usable};
use std::collections::BTreeMap;

/// The answer for one kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Priced {
    /// The value of `pattern`.
    pub(crate) value: f64,
    /// No pattern is worth more than this, or than the cutoff.
    pub(crate) upper: f64,
    /// The best pattern found, empty if none is worth more than the cutoff.
    pub(crate) pattern: Pattern,
}

struct Candidate {
    item: usize,
    value: f64,
    weight: f64,
    cap: u32,
    amount: f64,
}

impl Candidate {
    fn rate(&self) -> f64 {
        self.value / self.weight
    }
}

const PRUNING_TOLERANCE: f64 = 1e-6;
const SMALLEST_WEIGHT: f64 = 1e-12;

/// What pricing needs to know of every kind, worked out once for a problem, and what it has learned.
pub(crate) struct Pricer<'p> {
    /// The problem.
    pub(crate) problem: &'p Problem,
    /// By kind and item, the most of the item that a node holds alone.
    caps: Vec<u32>,
    /// By kind and dimension, what pods can use.
    capacities: Vec<f64>,
    /// By item and dimension.
    sizes: Vec<f64>,
    /// By kind and dimension, what a unit was worth when the kind was last priced. Any worths bound what a node can hold.
    multipliers: Vec<f64>,
    /// The kinds that are priced.
    pub(crate) active: Vec<usize>,
}

/// With more kinds than this only some are priced: what is made from them is put on the cheapest of all kinds anyway.
const MANY_KINDS: usize = 128;

impl<'p> Pricer<'p> {
    /// For all items of the problem.
    pub(crate) fn new(problem: &'p Problem) -> Self {
        let all = 0..problem.items.len();
        let group_caps = all.clone().map(|item| problem.group_cap(item)).collect::<Vec<_>>();
        let mut caps = Vec::with_capacity(problem.kinds.len() * problem.items.len());
        let mut capacities = Vec::with_capacity(problem.kinds.len() * problem.dimensions);
        for kind in &problem.kinds {
            let cap = |item: usize| {
                let held = || how_many(&kind.capacity, &problem.items[item].size);
                let there = problem.items[item].count > 0 && kind.allowed.contains(item);
                if there { held().min(group_caps[item]) } else { 0 }
            };
            caps.extend(all.clone().map(cap));
            let held = kind.allowed.iter().filter(|item| problem.items[*item].count > 0);
            let held = held.map(|item| problem.items[item].size.as_slice());
            capacities.extend(usable(&kind.capacity, held).into_iter().map(|room| room as f64));
        }
        let sizes = problem.items.iter().flat_map(|item| &item.size).map(|size| *size as f64);
        let multipliers = vec![0.0; capacities.len()];
        let active = (0..problem.kinds.len()).collect();
        Self { problem, caps, capacities, sizes: sizes.collect(), multipliers, active }
    }

    /// Where there are very many kinds, prices only those that the items fill best for their price, at these values of the items:
    /// some of all that are alike in what they may hold.
    pub(crate) fn concentrate(&mut self, values: &[f64], counts: &[u32]) {
        let kinds = &self.problem.kinds;
        if kinds.len() <= MANY_KINDS {
            return;
        }
        let mut order = wanted(values, counts);
        let largest = |item: usize| self.size(item).iter().sum::<f64>();
        order.sort_by(|a, b| largest(b.0).total_cmp(&largest(a.0)).then(a.0.cmp(&b.0)));
        let order = order.into_iter().map(|(item, _, _)| item).collect::<Vec<_>>();
        let mut alike: BTreeMap<&Bitset, Vec<(f64, usize)>> = BTreeMap::new();
        for (at, kind) in kinds.iter().enumerate() {
            let pattern = fill_up(self.problem, at, counts, &order);
            let worth = pattern.iter().map(|(item, count)| values[*item] * f64::from(*count));
            let rate = worth.sum::<f64>() / (kind.price as f64).max(1.0);
            alike.entry(&kind.allowed).or_default().push((rate, at));
        }
        let most = (MANY_KINDS / alike.len()).max(16);
        let mut active = Vec::new();
        for mut rated in alike.into_values() {
            let every = (rated.len() * 2 / most).max(1);
            active.extend(rated.iter().step_by(every).map(|(_, kind)| *kind));
            rated.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            active.extend(rated.into_iter().take(most / 2).map(|(_, kind)| kind));
        }
        active.sort_unstable();
        active.dedup();
        self.active = active;
    }

    fn dimensions_of(&self, kind: usize) -> std::ops::Range<usize> {
        kind * self.problem.dimensions..(kind + 1) * self.problem.dimensions
    }

    fn size(&self, item: usize) -> &[f64] {
        &self.sizes[item * self.problem.dimensions..(item + 1) * self.problem.dimensions]
    }

    fn cap(&self, kind: usize, item: usize) -> u32 {
        self.caps[kind * self.problem.items.len() + item]
    }

    /// No pattern of the kind is worth more than this: quickly found from what was learned when the kind was last priced.
    pub(crate) fn quick_upper(&self, kind: usize, wanted: &[(usize, f64, u32)]) -> f64 {
        let multipliers = &self.multipliers[self.dimensions_of(kind)];
        let room = self.capacities[self.dimensions_of(kind)].iter().zip(multipliers);
        let mut upper = room.map(|(room, multiplier)| room * multiplier).sum::<f64>();
        for (item, value, count) in wanted {
            let weight = self.size(*item).iter().zip(multipliers);
            let more = value - weight.map(|(size, multiplier)| size * multiplier).sum::<f64>();
            if more > 0.0 {
                upper += more * f64::from(self.cap(kind, *item).min(*count));
            }
        }
        upper * (1.0 + 1e-12)
    }

    /// The best pattern for `kind` worth more than `cutoff`, searching at most `nodes` nodes of the tree.
    pub(crate) fn price(
        &mut self,
        kind: usize,
        wanted: &[(usize, f64, u32)],
        cutoff: f64,
        nodes: usize,
        work: &mut Work,
    ) -> Priced {
        let (candidates, room, upper) = self.weigh(kind, wanted);
        work.spend(candidates.len() * 12);
        if upper <= cutoff {
            return Priced { upper, ..Priced::default() };
        }
        let load = Load::new(self.problem, kind);
        let mut search = Search {
            load,
            candidates: &candidates,
            chosen: Vec::new(),
            best: Vec::new(),
            best_value: 0.0,
            cutoff,
            upper: 0.0,
            nodes,
        };
        search.round();
        search.descend(0, 0.0, room);
        work.spend((nodes - search.nodes) * 24);
        let upper = search.upper.max(search.best_value).min(upper);
        let pattern = search.best.iter().map(|(at, count)| (candidates[*at].item, *count));
        let mut pattern = pattern.filter(|(_, count)| *count > 0).collect::<Pattern>();
        pattern.sort_unstable();
        Priced { value: search.best_value, upper, pattern }
    }

    /// The items worth putting in, by value per weight; the weight that the node can hold; and the relaxation's value.
    fn weigh(&mut self, kind: usize, wanted: &[(usize, f64, u32)]) -> (Vec<Candidate>, f64, f64) {
        let capacity = &self.capacities[self.dimensions_of(kind)];
        let scale = capacity.iter().map(|capacity| 1.0 / capacity.max(1.0)).collect::<Vec<_>>();
        let mut parts = Parts::new(self.problem.dimensions);
        let mut candidates = Vec::with_capacity(wanted.len());
        for (item, value, count) in wanted {
            let cap = self.cap(kind, *item).min(*count);
            if cap > 0 {
                let share = self.size(*item).iter().zip(&scale).map(|(size, scale)| size * scale);
                parts.push(*value, share, f64::from(cap));
                candidates.push(Candidate {
                    item: *item,
                    value: *value,
                    weight: 0.0,
                    cap,
                    amount: 0.0,
                });
            }
        }
        let relaxed = fill(&parts);
        let whole = relaxed.multipliers.iter().sum::<f64>();
        let mut upper = whole;
        for (at, candidate) in candidates.iter_mut().enumerate() {
            let weight = parts.weight(at, &relaxed.multipliers);
            upper += (candidate.value - weight).max(0.0) * f64::from(candidate.cap);
            candidate.weight = weight.max(SMALLEST_WEIGHT);
            candidate.amount = relaxed.amounts[at];
        }
        let own = self.dimensions_of(kind);
        let learned = relaxed.multipliers.iter().zip(&scale).map(|(whole, scale)| whole * scale);
        self.multipliers[own].iter_mut().zip(learned).for_each(|(known, new)| *known = new);
        candidates.sort_unstable_by(|a, b| b.rate().total_cmp(&a.rate()).then(a.item.cmp(&b.item)));
        let caps = candidates.iter().map(|candidate| f64::from(candidate.cap)).sum::<f64>();
        let room = whole * (1.0 + 1e-12) + SMALLEST_WEIGHT * caps;
        (candidates, room, upper * (1.0 + 1e-12))
    }
}

/// The items of which there are some and which are worth something: the item, its value and how many there are.
pub(crate) fn wanted(values: &[f64], counts: &[u32]) -> Vec<(usize, f64, u32)> {
    let all = values.iter().zip(counts).enumerate();
    let worthwhile = all.filter(|(_, (value, count))| **value > 0.0 && **count > 0);
    worthwhile.map(|(item, (value, count))| (item, *value, *count)).collect()
}

struct Search<'a> {
    load: Load<'a>,
    candidates: &'a [Candidate],
    chosen: Vec<(usize, u32)>,
    best: Vec<(usize, u32)>,
    best_value: f64,
    cutoff: f64,
    upper: f64,
    nodes: usize,
}

impl Search<'_> {
    /// The relaxation rounded down, and filled up by value per weight.
    fn round(&mut self) {
        let mut counts = vec![0; self.candidates.len()];
        for (count, candidate) in counts.iter_mut().zip(self.candidates) {
            *count = ((candidate.amount + 1e-6) as u32)
                .min(candidate.cap)
                .min(self.load.room(candidate.item));
            self.load.take(candidate.item, *count);
        }
        for (count, candidate) in counts.iter_mut().zip(self.candidates) {
            let more = self.load.room(candidate.item).min(candidate.cap - *count);
            self.load.take(candidate.item, more);
            *count += more;
        }
        self.best_value = counts
            .iter()
            .zip(self.candidates)
            .map(|(count, candidate)| f64::from(*count) * candidate.value)
            .sum();
        self.best = counts.into_iter().enumerate().collect();
        self.load.clear();
    }

    fn descend(&mut self, at: usize, value: f64, room: f64) {
        if value > self.best_value {
            self.best_value = value;
            self.best.clone_from(&self.chosen);
        }
        let fits = |at: &usize| self.load.takes(self.candidates[*at].item);
        let Some(at) = (at..self.candidates.len()).find(fits) else { return };
        let candidate = &self.candidates[at];
        let most = self.load.room(candidate.item).min(candidate.cap);
        for count in (0..=most).rev() {
            let amount = f64::from(count);
            let (value, room) =
                (value + amount * candidate.value, room - amount * candidate.weight);
            let bound = value + self.bound(at + 1, room);
            if self.nodes == 0
                || bound <= self.best_value.max(self.cutoff) * (1.0 + PRUNING_TOLERANCE)
            {
                self.upper = self.upper.max(bound);
                break;
            }
            self.nodes -= 1;
            self.load.take(candidate.item, count);
            self.chosen.push((at, count));
            self.descend(at + 1, value, room);
            self.chosen.pop();
            self.load.give_back(candidate.item, count);
        }
    }

    /// The fractional value of the candidates from `at` on in what room is left.
    fn bound(&self, at: usize, room: f64) -> f64 {
        let (mut value, mut room) = (0.0, room.max(0.0));
        for candidate in &self.candidates[at.min(self.candidates.len())..] {
            let amount = (room / candidate.weight).min(f64::from(candidate.cap));
            value += amount * candidate.value;
            room -= amount * candidate.weight;
            if room <= SMALLEST_WEIGHT {
                break;
            }
        }
        value
    }
}
