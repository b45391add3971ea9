//! More shapes than column generation can take as rows: the resource relaxation says how many nodes of which kind,
//! and each of them is filled with the pods that match best what it has left.

use super::bitset::Bitset;
use super::greedy::shrink;
use super::problem::{Load, Packed, Pattern, Problem, Work};
use super::resources;
use std::collections::BTreeMap;

/// Rounds of buying; each serves the shapes that share kinds with the one most in demand.
const ROUNDS: usize = 100;

/// Nodes for most of the items; takes what they hold from `left`, and stops once few shapes are left.
pub(crate) fn fill_most(
    problem: &Problem,
    left: &mut [u32],
    few: usize,
    work: &mut Work,
) -> Vec<Packed> {
    let kinds_of = kinds_of(problem);
    let mut nodes = Vec::new();
    for _ in 0..ROUNDS {
        let before = nodes.len();
        let most = (0..left.len())
            .filter(|item| left[*item] > 0)
            .max_by_key(|item| demand(problem, left, *item));
        let Some(kinds) = most.map(|item| &kinds_of[item]) else { break };
        let part = Part::new(problem, &kinds_of, kinds, left);
        let bought = resources::solve(&part.problem).nodes;
        let most = bought.iter().map(|(_, times)| *times).fold(0.0, f64::max);
        for (kind, times) in bought {
            // Once no kind is bought whole, one of that which is bought most takes what it can.
            let whole = if most < 1.0 && times >= most { 1 } else { times as usize };
            for _ in 0..whole {
                let turn = nodes.len();
                nodes.extend(fill(problem, (part.kinds[kind], turn), &part.items, left, work));
            }
        }
        if nodes.len() == before || left.iter().filter(|count| **count > 0).count() <= few {
            break;
        }
    }
    nodes.into_iter().map(|node| shrink(problem, node)).collect()
}

fn kinds_of(problem: &Problem) -> Vec<Bitset> {
    let mut kinds_of = vec![Bitset::new(problem.kinds.len()); problem.items.len()];
    for (at, kind) in problem.kinds.iter().enumerate() {
        kind.allowed.iter().for_each(|item| kinds_of[item].insert(at));
    }
    kinds_of
}

/// How much of the largest kinds the item's pods take together, in millionths.
fn demand(problem: &Problem, left: &[u32], item: usize) -> u64 {
    let largest = |dimension: usize| {
        problem.kinds.iter().map(|kind| kind.capacity[dimension]).max().unwrap_or(1).max(1)
    };
    let share = |(dimension, size): (usize, &i64)| {
        (i128::from(*size) * 1_000_000 / i128::from(largest(dimension))) as u64
    };
    let most = problem.items[item].size.iter().enumerate().map(share).max().unwrap_or(0);
    most.saturating_mul(u64::from(left[item]))
}

/// The kinds of one item and the items that can use one of them.
struct Part {
    problem: Problem,
    kinds: Vec<usize>,
    items: Vec<usize>,
}

impl Part {
    fn new(problem: &Problem, kinds_of: &[Bitset], kinds: &Bitset, left: &[u32]) -> Self {
        let items = (0..left.len())
            .filter(|item| left[*item] > 0 && kinds_of[*item].meets(kinds))
            .collect::<Vec<_>>();
        let kinds = kinds.iter().collect::<Vec<_>>();
        let counted = |item: &usize| super::problem::Item {
            count: left[*item],
            ..problem.items[*item].clone()
        };
        let part = Problem {
            dimensions: problem.dimensions,
            items: items.iter().map(counted).collect(),
            kinds: kinds.iter().map(|kind| problem.kinds[*kind].clone()).collect(),
            group_limits: problem.group_limits.clone(),
            conflicting: problem.conflicting,
        };
        Self { problem: part, kinds, items }
    }
}

/// Of very many items each node is filled from so many first, other ones for each node in turn.
const SAMPLE: usize = 256;

/// Fills one node, each time with the pod whose needs match best what is left of it.
fn fill(
    problem: &Problem,
    (kind, turn): (usize, usize),
    items: &[usize],
    left: &mut [u32],
    work: &mut Work,
) -> Option<Packed> {
    let mut load = Load::new(problem, kind);
    let mut held: BTreeMap<usize, u32> = BTreeMap::new();
    let candidates = items
        .iter()
        .copied()
        .filter(|item| left[*item] > 0 && load.takes(*item))
        .collect::<Vec<_>>();
    let step = candidates.len().div_ceil(SAMPLE);
    if step > 1 {
        let sample = candidates.iter().copied().skip(turn % step).step_by(step).collect();
        fill_from(&mut load, sample, left, &mut held, work);
    }
    fill_from(&mut load, candidates, left, &mut held, work);
    let pattern = held.into_iter().collect::<Pattern>();
    (!pattern.is_empty()).then_some(Packed { kind, pattern })
}

fn fill_from(
    load: &mut Load<'_>,
    mut candidates: Vec<usize>,
    left: &mut [u32],
    held: &mut BTreeMap<usize, u32>,
    work: &mut Work,
) {
    let problem = load.problem();
    let scale = |capacity: &i64| 1.0 / (*capacity).max(1) as f64;
    let capacity = load.kind().capacity.iter().map(scale).collect::<Vec<_>>();
    candidates.retain(|item| left[*item] > 0 && load.takes(*item));
    while !candidates.is_empty() {
        work.spend(candidates.len() * 4);
        let weights = load
            .left
            .iter()
            .zip(&capacity)
            .map(|(left, scale)| *left as f64 * scale * scale)
            .collect::<Vec<_>>();
        let match_of = |item: usize| {
            problem.items[item]
                .size
                .iter()
                .zip(&weights)
                .map(|(size, weight)| *size as f64 * weight)
                .sum::<f64>()
        };
        let best = candidates
            .iter()
            .map(|item| (match_of(*item), *item))
            .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
        let Some((_, item)) = best else { break };
        load.take(item, 1);
        left[item] -= 1;
        *held.entry(item).or_default() += 1;
        candidates.retain(|item| left[*item] > 0 && load.takes(*item));
    }
}
