//! The lower bound that is printed: proved in integers from duals, whatever floating point did before.
//!
//! If no node of any kind can hold items worth more than its price, then all items together cost at least what they are worth.
//! The worths are whole nano-dollars, and the most valuable pattern of a kind is bounded by a search in whole numbers.

use super::bitset::Bitset;
use super::fractional::{Parts, fill};
use super::problem::{Kind, Load, Problem, how_many, usable};
use std::collections::BTreeMap;

/// Nano-dollars in a micro-dollar.
const SCALE: i128 = 1000;
/// So many kinds may be searched in full.
const KINDS: usize = 8;

struct Candidate {
    item: usize,
    value: i128,
    weight: i128,
    cap: u32,
}

/// No set of nodes that holds the items costs less than this many micro-dollars per hour. `duals` are in micro-dollars.
/// `free` is room that costs nothing: what it could hold is taken off. Each kind's search visits at most `nodes` nodes;
/// a search cut short makes the bound lower, never wrong. Neither do all of
/// them together visit more than `KINDS` times as many.
pub(crate) fn prove(
    problem: &Problem,
    duals: &[f64],
    free: &[(Vec<i64>, Bitset)],
    nodes: usize,
) -> u64 {
    let values =
        duals.iter().map(|dual| (dual.clamp(0.0, 1e15) * SCALE as f64) as i128).collect::<Vec<_>>();
    let all = values
        .iter()
        .zip(&problem.items)
        .map(|(value, item)| value * i128::from(item.count))
        .sum::<i128>();
    let worth = (all - worth_of_free(problem, &values, free)).max(0);
    let mut bound = worth;
    let mut left = nodes.saturating_mul(KINDS);
    for (index, kind) in problem.kinds.iter().enumerate() {
        let price = i128::from(kind.price) * SCALE;
        let (upper, visited) = most_valuable(problem, index, &values, price, nodes.min(left));
        left -= visited;
        if upper > price {
            bound = bound.min(worth * price / upper);
        }
    }
    // Every sum of prices is a whole number of micro-dollars, so the bound may be rounded up to one.
    u64::try_from((bound + SCALE - 1) / SCALE).unwrap_or(0)
}

/// No set of nodes of these kinds has so much of every dimension for less than this many micro-dollars per hour. `prices` are what a
/// unit of each dimension is worth in micro-dollars; any that are not negative are valid. What `free` room has is taken off.
pub(crate) fn divisible(
    kinds: &[Kind],
    prices: &[f64],
    total: &[i64],
    free: &[(Vec<i64>, Bitset)],
) -> u64 {
    const UNIT: f64 = (1_u64 << 40) as f64;
    let whole = |price: &f64| (price.clamp(0.0, 1e15) * UNIT) as i128;
    let prices = prices.iter().map(whole).collect::<Vec<_>>();
    let worth = |amounts: &[i64]| {
        let amounts = amounts.iter().zip(&prices);
        amounts.map(|(amount, price)| i128::from(*amount.max(&0)) * price).sum::<i128>()
    };
    let covered = free.iter().map(|(room, _)| worth(room)).sum::<i128>();
    let wanted = (worth(total) - covered).max(0);
    // A kind may be worth more than its price by rounding: the bound is lowered by as much.
    let scaled = |kind: &Kind| {
        let own = worth(&kind.capacity).max(1);
        let price = i128::from(kind.price) << 40;
        if own > price {
            (wanted as f64 * (price as f64 / own as f64) * 0.999_999) as i128
        } else {
            wanted
        }
    };
    let bound = kinds.iter().map(scaled).min().unwrap_or(0);
    u64::try_from(bound >> 40).unwrap_or(0)
}

/// No pods on the free room are worth more than this: the fractional bound of each piece of room.
fn worth_of_free(problem: &Problem, values: &[i128], free: &[(Vec<i64>, Bitset)]) -> i128 {
    let mut memo: BTreeMap<(&Vec<i64>, &Bitset), i128> = BTreeMap::new();
    let mut total = 0;
    for (room, allowed) in free {
        total += *memo.entry((room, allowed)).or_insert_with(|| {
            let kind = Kind { capacity: room.clone(), price: 0, allowed: allowed.clone() };
            let alone = Problem {
                dimensions: problem.dimensions,
                items: problem.items.clone(),
                kinds: vec![kind],
                group_limits: problem.group_limits.clone(),
                conflicting: false,
            };
            most_valuable(&alone, 0, values, 0, 0).0
        });
    }
    total
}

/// No pattern of the kind is worth more than this, and how many nodes the search visited; at least `price` is returned where nothing is worth more than that.
fn most_valuable(
    problem: &Problem,
    kind: usize,
    values: &[i128],
    price: i128,
    nodes: usize,
) -> (i128, usize) {
    let sizes = problem.kinds[kind]
        .allowed
        .iter()
        .filter(|item| values[*item] > 0)
        .map(|item| problem.items[item].size.as_slice());
    let capacity = usable(&problem.kinds[kind].capacity, sizes);
    let multipliers = multipliers(problem, kind, values, &capacity);
    let mut candidates = candidates(problem, kind, values, &multipliers);
    candidates
        .sort_by(|a, b| (b.value * a.weight).cmp(&(a.value * b.weight)).then(a.item.cmp(&b.item)));
    let held: i128 = capacity
        .iter()
        .zip(&multipliers)
        .map(|(capacity, multiplier)| i128::from(*capacity) * multiplier)
        .sum();
    // Weights are at least one, which may be one too much for each pod: the node is given that much more room.
    let room = held + candidates.iter().map(|candidate| i128::from(candidate.cap)).sum::<i128>();
    let mut search =
        Search { load: Load::new(problem, kind), candidates: &candidates, best: price, nodes };
    let root = search.bound(0, 0, room);
    if root > price {
        search.descend(0, 0, room);
    }
    (search.best, nodes - search.nodes)
}

/// Whole multipliers for the dimensions: any that are not negative are valid, those of the relaxation make the bound tight.
fn multipliers(problem: &Problem, kind: usize, values: &[i128], capacity: &[i64]) -> Vec<i128> {
    const UNIT: f64 = (1_u64 << 60) as f64;
    let scale = capacity.iter().map(|capacity| 1.0 / (*capacity).max(1) as f64).collect::<Vec<_>>();
    let mut parts = Parts::new(capacity.len());
    for candidate in candidates(problem, kind, values, &vec![0; capacity.len()]) {
        let size = problem.items[candidate.item].size.iter();
        let share = size.zip(&scale).map(|(size, scale)| *size as f64 * scale);
        parts.push(candidate.value as f64, share, f64::from(candidate.cap));
    }
    let relaxed = fill(&parts);
    let sum = relaxed.multipliers.iter().sum::<f64>().max(1e-300);
    relaxed
        .multipliers
        .iter()
        .zip(&scale)
        .map(|(multiplier, scale)| (multiplier / sum * UNIT * scale) as i128)
        .collect()
}

fn candidates(
    problem: &Problem,
    kind: usize,
    values: &[i128],
    multipliers: &[i128],
) -> Vec<Candidate> {
    let kind = &problem.kinds[kind];
    let worthwhile =
        kind.allowed.iter().filter(|item| values[*item] > 0 && problem.items[*item].count > 0);
    let candidate = |item: usize| {
        let size = &problem.items[item].size;
        let cap = how_many(&kind.capacity, size)
            .min(problem.group_cap(item))
            .min(problem.items[item].count);
        let weight = size
            .iter()
            .zip(multipliers)
            .map(|(size, multiplier)| i128::from(*size) * multiplier)
            .sum::<i128>();
        (cap > 0).then_some(Candidate { item, value: values[item], weight: weight.max(1), cap })
    };
    worthwhile.filter_map(candidate).collect()
}

struct Search<'a> {
    load: Load<'a>,
    candidates: &'a [Candidate],
    /// The most that a pattern may be worth by what has been seen.
    best: i128,
    nodes: usize,
}

impl Search<'_> {
    fn descend(&mut self, at: usize, value: i128, room: i128) {
        self.best = self.best.max(value);
        let fits = |at: &usize| self.load.room(self.candidates[*at].item) > 0;
        let Some(at) = (at..self.candidates.len()).find(fits) else { return };
        let candidate = &self.candidates[at];
        let most = self.load.room(candidate.item).min(candidate.cap);
        for count in (0..=most).rev() {
            let amount = i128::from(count);
            let (value, room) =
                (value + amount * candidate.value, room - amount * candidate.weight);
            let bound = self.bound(at + 1, value, room);
            if bound <= self.best {
                break;
            }
            if self.nodes == 0 {
                self.best = bound;
                break;
            }
            self.nodes -= 1;
            self.load.take(candidate.item, count);
            self.descend(at + 1, value, room);
            self.load.give_back(candidate.item, count);
        }
    }

    /// What the pattern can be worth at most once the candidates from `at` on are added, rounded up.
    fn bound(&self, at: usize, value: i128, room: i128) -> i128 {
        let (mut value, mut room) = (value, room.max(0));
        for candidate in &self.candidates[at.min(self.candidates.len())..] {
            let taken = (candidate.weight * i128::from(candidate.cap)).min(room);
            value += (taken * candidate.value + candidate.weight - 1) / candidate.weight;
            room -= taken;
            if room <= 0 {
                break;
            }
        }
        value
    }
}
