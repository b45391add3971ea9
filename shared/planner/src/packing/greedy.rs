//! A packing at given values of the items: again and again the node that gives most value for its price.

use super::pricing;
use super::problem::{Load, Packed, Pattern, Problem, Work};

/// Packs the items counted, at the values given. Every item must fit on some kind.
pub(crate) fn pack(
    problem: &Problem,
    counts: &[u32],
    values: &[f64],
    nodes: usize,
    work: &mut Work,
) -> Vec<Packed> {
    let mut left = counts.to_vec();
    let mut packed = Vec::new();
    while left.iter().any(|count| *count > 0) {
        let best = if work.remains() {
            best_node(problem, &left, values, nodes, work)
        } else {
            any_node(problem, &left)
        };
        let Some((kind, pattern)) = best else { break };
        let times = repeats(&left, &pattern);
        for (item, count) in &pattern {
            left[*item] -= count * times;
        }
        let node = shrink(problem, Packed { kind, pattern });
        packed.extend(std::iter::repeat_n(node, times as usize));
    }
    packed
}

/// How often the pattern can be used before some item runs short.
fn repeats(left: &[u32], pattern: &Pattern) -> u32 {
    pattern.iter().map(|(item, count)| left[*item] / count).min().unwrap_or(1).max(1)
}

/// The kind and pattern with the most value per price.
fn best_node(
    problem: &Problem,
    left: &[u32],
    values: &[f64],
    nodes: usize,
    work: &mut Work,
) -> Option<(usize, Pattern)> {
    let mut best: Option<(f64, u64, usize, Pattern)> = None;
    for (index, kind) in problem.kinds.iter().enumerate() {
        let price = kind.price.max(1);
        let cutoff = best.as_ref().map_or(0.0, |(rate, _, _, _)| rate * price as f64);
        let priced = pricing::price(problem, index, values, left, cutoff, nodes, work);
        if priced.pattern.is_empty() {
            continue;
        }
        // A node is worth no more than the cheapest one that holds the same pods.
        let rate = priced.value / price as f64;
        if best
            .as_ref()
            .is_none_or(|(other, other_price, _, _)| (rate, *other_price) > (*other, price))
        {
            best = Some((rate, price, index, priced.pattern));
        }
    }
    best.map(|(_, _, kind, pattern)| (kind, pattern)).or_else(|| any_node(problem, left))
}

/// A node for the first item left that is cheap for it, filled up with others: when no item has any value, or work is spent.
fn any_node(problem: &Problem, left: &[u32]) -> Option<(usize, Pattern)> {
    let items = (0..left.len()).filter(|item| left[*item] > 0).collect::<Vec<_>>();
    let first = *items.first()?;
    let held = |kind: usize| problem.alone(kind, first).min(left[first]);
    let fitting = (0..problem.kinds.len()).filter(|kind| held(*kind) > 0);
    let rate =
        |kind: &usize| problem.kinds[*kind].price.saturating_mul(1000) / u64::from(held(*kind));
    let kind = fitting.min_by_key(|kind| (rate(kind), *kind))?;
    Some((kind, fill(problem, kind, left, &items)))
}

/// As much of the items as fits, in the order given.
pub(crate) fn fill(problem: &Problem, kind: usize, left: &[u32], order: &[usize]) -> Pattern {
    let mut load = Load::new(problem, kind);
    let mut pattern = Pattern::new();
    for item in order {
        let count = load.room(*item).min(left[*item]);
        if count > 0 {
            load.take(*item, count);
            pattern.push((*item, count));
        }
    }
    pattern.sort_unstable();
    pattern
}

/// The same pods on the cheapest kind that holds them.
pub(crate) fn shrink(problem: &Problem, node: Packed) -> Packed {
    let kind = problem.cheapest(&node.pattern).unwrap_or(node.kind);
    Packed { kind, pattern: node.pattern }
}
