//! From the relaxation to whole nodes: fix what is used in full, then the largest fraction, and relax again what is left.

use super::columns::{Effort, Relaxation, relax};
use super::greedy::shrink;
use super::pricing::Pricer;
use super::problem::{Packed, Problem, Work};
use super::simplex::Column;

const KEPT_COLUMNS: usize = 600;
/// A relaxation is near enough to its bound within this part of it.
const GAP: f64 = 1e-4;
/// Rounds of pricing for what is left.
const ROUNDS: usize = 4;
/// Nodes of one pattern search.
const SEARCH: usize = 60;

/// A packing of the items counted, made from their relaxation.
pub(crate) fn dive(
    pricer: &mut Pricer<'_>,
    counts: &[u32],
    relaxation: &Relaxation,
    work: &mut Work,
) -> Vec<Packed> {
    let problem = pricer.problem;
    let mut left = counts.to_vec();
    let mut nodes = Vec::new();
    let mut solution = relaxation.solution.clone();
    let mut columns = relaxation.columns.clone();
    while left.iter().any(|count| *count > 0) {
        if !fix_whole(problem, &solution, &mut left, &mut nodes)
            && !fix_largest(problem, &solution, &relaxation.duals, &mut left, &mut nodes)
        {
            break;
        }
        keep_promising(&mut columns, &relaxation.duals);
        let rounds = if work.remains() { ROUNDS } else { 0 };
        let effort = Effort { rounds, nodes: SEARCH, deepest: SEARCH, gap: GAP };
        let next = relax(pricer, &left, &columns, None, effort, work);
        solution = next.solution;
        columns = next.columns;
    }
    nodes
}

/// Fixes every column that is used at least once, as often as it is used in full.
fn fix_whole(
    problem: &Problem,
    solution: &[(Column, f64)],
    left: &mut [u32],
    nodes: &mut Vec<Packed>,
) -> bool {
    let mut fixed = false;
    for (column, value) in solution {
        for _ in 0..(value + 1e-6) as u32 {
            let whole = column.pattern.iter().all(|(item, count)| left[*item] >= *count);
            if !whole {
                break;
            }
            fix(problem, column, left, nodes);
            fixed = true;
        }
    }
    fixed
}

/// Fixes the column with the largest share once, with no more of each item than is left.
fn fix_largest(
    problem: &Problem,
    solution: &[(Column, f64)],
    duals: &[f64],
    left: &mut [u32],
    nodes: &mut Vec<Packed>,
) -> bool {
    let score = |column: &Column, value: f64| {
        let worth = column
            .pattern
            .iter()
            .map(|(item, count)| duals[*item] * f64::from((*count).min(left[*item])))
            .sum::<f64>();
        value.min(1.0) * worth / column.cost.max(1.0)
    };
    let scored = solution.iter().map(|(column, value)| (score(column, *value), column));
    let best =
        scored.fold(
            None,
            |best: Option<(f64, &Column)>, next| {
                if best.is_none_or(|best| next.0 > best.0) { Some(next) } else { best }
            },
        );
    let Some((_, column)) = best else { return false };
    let before = nodes.len();
    fix(problem, column, left, nodes);
    nodes.len() > before
}

fn fix(problem: &Problem, column: &Column, left: &mut [u32], nodes: &mut Vec<Packed>) {
    let kept = column
        .pattern
        .iter()
        .map(|(item, count)| (*item, (*count).min(left[*item])))
        .filter(|(_, count)| *count > 0);
    let pattern = kept.collect::<Vec<_>>();
    if pattern.is_empty() {
        return;
    }
    pattern.iter().for_each(|(item, count)| left[*item] -= count);
    nodes.push(shrink(problem, Packed { kind: column.kind, pattern }));
}

/// Keeps the columns nearest to being used; the rest only slow the next relaxation down.
fn keep_promising(columns: &mut Vec<Column>, duals: &[f64]) {
    if columns.len() <= KEPT_COLUMNS {
        return;
    }
    let loss = |column: &Column| {
        let worth = column
            .pattern
            .iter()
            .map(|(item, count)| duals[*item] * f64::from(*count))
            .sum::<f64>();
        (column.cost - worth) / column.cost.max(1.0)
    };
    columns.sort_by(|a, b| loss(a).total_cmp(&loss(b)));
    columns.truncate(KEPT_COLUMNS);
}
