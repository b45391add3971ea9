//! Column generation: patterns are made as they are needed, until no pattern could make the relaxation cheaper.

use super::pricing::price;
use super::problem::{Problem, Work};
use super::simplex::{Column, Master};

/// The relaxation of a problem (or of what is left of it) and what was learned from it.
pub(crate) struct Relaxation {
    /// The columns used, and how much of each.
    pub(crate) solution: Vec<(Column, f64)>,
    /// All columns made, to start the next relaxation with.
    pub(crate) columns: Vec<Column>,
    /// The duals with the best bound, by item, in micro-dollars.
    pub(crate) duals: Vec<f64>,
}

const GAP_CLOSED: f64 = 1e-4;
const PIVOTS: usize = 4000;

/// Solves the relaxation for the items counted, starting with the columns given, in at most `rounds` rounds of pricing.
pub(crate) fn relax(
    problem: &Problem,
    counts: &[u32],
    known: &[Column],
    guess: Option<&[f64]>,
    rounds: usize,
    (mut nodes, deepest): (usize, usize),
    work: &mut Work,
) -> Relaxation {
    let starts = (0..counts.len())
        .filter(|item| counts[*item] > 0)
        .map(|item| alone(problem, item, counts[item]))
        .collect();
    let mut master = Master::new(counts, starts);
    master.columns.extend(known.iter().filter_map(|column| trimmed(column, counts)));
    let mut best = (vec![0.0; counts.len()], 0.0_f64);
    if let Some(values) = guess {
        generate(problem, &mut master, values, counts, &mut best, nodes, work);
    }
    for _ in 0..rounds {
        work.spend(master.optimise(PIVOTS));
        let objective = master.objective();
        let duals = master.item_duals();
        let smoothed = if best.1 <= 0.0 { duals.clone() } else { blend(&best.0, &duals, 0.5) };
        let mut added = generate(problem, &mut master, &smoothed, counts, &mut best, nodes, work);
        if added == 0 {
            added = generate(problem, &mut master, &duals, counts, &mut best, nodes, work);
        }
        if objective - best.1 <= GAP_CLOSED * objective
            || !work.remains()
            || (added == 0 && nodes >= deepest)
        {
            break;
        }
        if added == 0 {
            nodes = (nodes * 8).min(deepest);
        }
    }
    work.spend(master.optimise(PIVOTS));
    let solution = master
        .solution()
        .into_iter()
        .map(|(index, value)| (master.columns[index].clone(), value))
        .collect();
    Relaxation { solution, columns: master.columns, duals: best.0 }
}

/// The column of one item alone with the least price for each.
fn alone(problem: &Problem, item: usize, count: u32) -> Column {
    let mut best: Option<(u64, u64, usize)> = None;
    for kind in 0..problem.kinds.len() {
        let (held, price) =
            (u64::from(problem.alone(kind, item).min(count)), problem.kinds[kind].price);
        let better = best.is_none_or(|(other, other_price, _)| {
            u128::from(price) * u128::from(other) < u128::from(other_price) * u128::from(held)
        });
        if held > 0 && better {
            best = Some((held, price, kind));
        }
    }
    let (held, price, kind) = best.unwrap_or((1, u64::MAX / 4, 0));
    Column { kind, pattern: vec![(item, held as u32)], cost: price as f64 }
}

/// The column with no more of each item than there is to place.
fn trimmed(column: &Column, counts: &[u32]) -> Option<Column> {
    let kept = column
        .pattern
        .iter()
        .map(|(item, count)| (*item, (*count).min(counts[*item])))
        .filter(|(_, count)| *count > 0);
    let pattern = kept.collect::<Vec<_>>();
    (!pattern.is_empty()).then(|| Column { pattern, ..column.clone() })
}

/// Between the duals of the best bound and the latest: the latest alone jump too far.
fn blend(best: &[f64], latest: &[f64], weight: f64) -> Vec<f64> {
    best.iter().zip(latest).map(|(best, latest)| weight * best + (1.0 - weight) * latest).collect()
}

/// Prices every kind at `values`, adds the columns that help the master, and keeps the bound if it is the best so far.
#[allow(
    clippy::too_many_arguments,
    reason = "one inner loop of one algorithm; a struct would only rename its variables"
)]
fn generate(
    problem: &Problem,
    master: &mut Master,
    values: &[f64],
    counts: &[u32],
    best: &mut (Vec<f64>, f64),
    nodes: usize,
    work: &mut Work,
) -> usize {
    let mut added = 0;
    let mut worst_ratio = 1.0_f64;
    for (index, kind) in problem.kinds.iter().enumerate() {
        let cost = kind.price as f64;
        let priced = price(problem, index, values, counts, cost * (1.0 + 1e-7), nodes, work);
        worst_ratio = worst_ratio.max(priced.upper / cost.max(1e-9));
        let column = Column { kind: index, pattern: priced.pattern, cost };
        if !column.pattern.is_empty() && master.reduced_cost(&column) < -1e-7 * cost {
            master.columns.push(column);
            added += 1;
        }
    }
    let worth =
        values.iter().zip(counts).map(|(value, count)| value * f64::from(*count)).sum::<f64>();
    let bound = worth / worst_ratio;
    if bound > best.1 {
        *best = (values.iter().map(|value| value / worst_ratio).collect(), bound);
    }
    added
}
