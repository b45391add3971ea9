//! A packing at given values of the items: again and again the node that gives most value for its price.

use super::pricing::{Pricer, wanted};
use super::problem::{Load, Packed, Pattern, Problem, Work};

/// Packs the items counted, at the values given. Every item must fit on some kind.
pub(crate) fn pack(
    pricer: &mut Pricer<'_>,
    counts: &[u32],
    values: &[f64],
    nodes: usize,
    work: &mut Work,
) -> Vec<Packed> {
    let problem = pricer.problem;
    let mut left = counts.to_vec();
    let mut packed = Vec::new();
    while left.iter().any(|count| *count > 0) {
        let best = if work.remains() {
            best_node(pricer, &left, values, nodes, work)
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
    pricer: &mut Pricer<'_>,
    left: &[u32],
    values: &[f64],
    nodes: usize,
    work: &mut Work,
) -> Option<(usize, Pattern)> {
    let problem = pricer.problem;
    let wanted = wanted(values, left);
    let price = |kind: usize| problem.kinds[kind].price.max(1);
    let promise = |kind: usize| (pricer.quick_upper(kind, &wanted) / price(kind) as f64, kind);
    let mut order = pricer.active.iter().copied().map(promise).collect::<Vec<_>>();
    work.spend(order.len() * wanted.len() * 2);
    order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut best: Option<(f64, u64, usize, Pattern)> = None;
    for (most, kind) in order {
        if best.as_ref().is_some_and(|(rate, _, _, _)| most < *rate) {
            break;
        }
        let price = price(kind);
        let cutoff = best.as_ref().map_or(0.0, |(rate, _, _, _)| rate * price as f64);
        let priced = pricer.price(kind, &wanted, cutoff, nodes, work);
        if priced.pattern.is_empty() {
            continue;
        }
        // A node is worth no more than the cheapest one that holds the same pods.
        let rate = priced.value / price as f64;
        if best
            .as_ref()
            .is_none_or(|(other, other_price, _, _)| (rate, *other_price) > (*other, price))
        {
            best = Some((rate, price, kind, priced.pattern));
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
        let count = if load.takes(*item) { load.room(*item).min(left[*item]) } else { 0 };
        if count > 0 {
            load.take(*item, count);
            pattern.push((*item, count));
        }
    }
    pattern.sort_unstable();
    pattern
}

/// Of the cheapest nodes so many are looked at for merging.
const MERGED: usize = 64;

/// Puts two of the small nodes on one where that is cheaper, again and again.
pub(crate) fn merge(problem: &Problem, nodes: &mut Vec<Packed>, work: &mut Work) {
    let price = |node: &Packed| problem.kinds[node.kind].price;
    nodes.sort_by(|a, b| (price(a), a).cmp(&(price(b), b)));
    let small = nodes.len().min(MERGED);
    let rest = nodes.split_off(small);
    let mut at = 0;
    while at < nodes.len() {
        let together = |other: usize| {
            let both = union(&nodes[at].pattern, &nodes[other].pattern);
            let kind = problem.cheapest(&both).filter(|kind| problem.holds(*kind, &both))?;
            let cheaper = problem.kinds[kind].price < price(&nodes[at]) + price(&nodes[other]);
            cheaper.then_some((other, Packed { kind, pattern: both }))
        };
        work.spend((nodes.len() - at) * problem.kinds.len());
        let found = (at + 1..nodes.len()).filter(|_| work.remains()).find_map(together);
        match found {
            Some((other, merged)) => {
                nodes.remove(other);
                nodes[at] = merged;
            }
            None => at += 1,
        }
    }
    nodes.extend(rest);
}

fn union(one: &Pattern, other: &Pattern) -> Pattern {
    let mut both = one.clone();
    for (item, count) in other {
        match both.binary_search_by_key(item, |(item, _)| *item) {
            Ok(at) => both[at].1 += count,
            Err(at) => both.insert(at, (*item, *count)),
        }
    }
    both
}

/// The same pods on the cheapest kind that holds them.
pub(crate) fn shrink(problem: &Problem, node: Packed) -> Packed {
    let kind = problem.cheapest(&node.pattern).unwrap_or(node.kind);
    Packed { kind, pattern: node.pattern }
}
