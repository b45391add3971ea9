//! Pricing: the most valuable pattern that a node of one kind can hold, when each item has a value.
//!
//! The relaxation gives each dimension a worth and with it each item one weight; rounding the relaxation gives a first pattern,
//! and a depth-first search over the items by value per weight improves it, cut by the fractional bound.

use super::fractional::{Part, fill};
use super::problem::{Load, Pattern, Problem, Work, how_many, usable};

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

/// The best pattern for `kind` worth more than `cutoff`, searching at most `nodes` nodes of the tree.
pub(crate) fn price(
    problem: &Problem,
    kind: usize,
    values: &[f64],
    counts: &[u32],
    cutoff: f64,
    nodes: usize,
    work: &mut Work,
) -> Priced {
    let (candidates, room, upper) = weigh(problem, kind, values, counts);
    work.spend(candidates.len() * 24);
    if upper <= cutoff {
        return Priced { upper, ..Priced::default() };
    }
    let load = Load::new(problem, kind);
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
fn weigh(
    problem: &Problem,
    kind: usize,
    values: &[f64],
    counts: &[u32],
) -> (Vec<Candidate>, f64, f64) {
    let full = &problem.kinds[kind].capacity;
    let worthwhile =
        problem.kinds[kind].allowed.iter().filter(|item| counts[*item] > 0 && values[*item] > 0.0);
    let cap = |item: usize| {
        how_many(full, &problem.items[item].size).min(problem.group_cap(item)).min(counts[item])
    };
    let items =
        worthwhile.map(|item| (item, cap(item))).filter(|(_, cap)| *cap > 0).collect::<Vec<_>>();
    let capacity = usable(full, items.iter().map(|(item, _)| problem.items[*item].size.as_slice()));
    let scale = capacity.iter().map(|capacity| 1.0 / (*capacity).max(1) as f64).collect::<Vec<_>>();
    let part = |(item, cap): &(usize, u32)| {
        let share = problem.items[*item]
            .size
            .iter()
            .zip(&scale)
            .map(|(size, scale)| *size as f64 * scale)
            .collect();
        Part { value: values[*item], share, cap: f64::from(*cap) }
    };
    let parts = items.iter().map(part).collect::<Vec<_>>();
    let relaxed = fill(&parts, problem.dimensions);
    let weight = |part: &Part| {
        part.share
            .iter()
            .zip(&relaxed.multipliers)
            .map(|(share, multiplier)| share * multiplier)
            .sum::<f64>()
    };
    let mut upper = relaxed.multipliers.iter().sum::<f64>();
    let mut candidates = Vec::with_capacity(items.len());
    for (((item, cap), part), amount) in items.into_iter().zip(&parts).zip(&relaxed.amounts) {
        let weight = weight(part);
        upper += (part.value - weight).max(0.0) * part.cap;
        candidates.push(Candidate {
            item,
            value: part.value,
            weight: weight.max(SMALLEST_WEIGHT),
            cap,
            amount: *amount,
        });
    }
    candidates.sort_unstable_by(|a, b| b.rate().total_cmp(&a.rate()).then(a.item.cmp(&b.item)));
    let caps = candidates.iter().map(|candidate| f64::from(candidate.cap)).sum::<f64>();
    let room = relaxed.multipliers.iter().sum::<f64>() * (1.0 + 1e-12) + SMALLEST_WEIGHT * caps;
    (candidates, room, upper * (1.0 + 1e-12))
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
        let fits = |at: &usize| self.load.room(self.candidates[*at].item) > 0;
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
