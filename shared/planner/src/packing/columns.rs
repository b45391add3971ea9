//! Column generation: patterns are made as they are needed, until no pattern could make the relaxation cheaper.

use super::pricing::{Pricer, wanted};
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

const PIVOTS: usize = 4000;
/// Kinds that are searched for patterns in one round before the rest is left to the next, once some pattern has been found.
const KINDS_OF_A_ROUND: usize = 12;

/// How hard to look for patterns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Rounds of pricing, at most.
    pub(crate) rounds: usize,
    /// Nodes of the search for one pattern.
    pub(crate) nodes: usize,
    /// The same, once no pattern is found so.
    pub(crate) deepest: usize,
    /// It ends when the value and its bound are so near, as a part of the value.
    pub(crate) gap: f64,
}

/// Solves the relaxation for the items counted, starting with the columns given.
pub(crate) fn relax(
    pricer: &mut Pricer<'_>,
    counts: &[u32],
    known: &[Column],
    guess: Option<&[f64]>,
    effort: Effort,
    work: &mut Work,
) -> Relaxation {
    let Effort { rounds, mut nodes, deepest, gap } = effort;
    let problem = pricer.problem;
    let starts = (0..counts.len())
        .filter(|item| counts[*item] > 0)
        .map(|item| alone(problem, item, counts[item]))
        .collect();
    let mut master = Master::new(counts, starts);
    master.columns.extend(known.iter().filter_map(|column| trimmed(column, counts)));
    let mut best = (vec![0.0; counts.len()], 0.0_f64);
    if let Some(values) = guess {
        generate(pricer, &mut master, values, counts, &mut best, nodes, work);
    }
    for _ in 0..rounds {
        work.spend(master.optimise(PIVOTS));
        let objective = master.objective();
        let duals = master.item_duals();
        let smoothed = if best.1 <= 0.0 { duals.clone() } else { blend(&best.0, &duals, 0.5) };
        let mut added = generate(pricer, &mut master, &smoothed, counts, &mut best, nodes, work);
        if added == 0 {
            added = generate(pricer, &mut master, &duals, counts, &mut best, nodes, work);
        }
        if objective - best.1 <= gap * objective
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

/// Prices the kinds at `values`, the most promising first, adds the columns that help the master, and keeps the bound if it is
/// the best so far.
fn generate(
    pricer: &mut Pricer<'_>,
    master: &mut Master,
    values: &[f64],
    counts: &[u32],
    best: &mut (Vec<f64>, f64),
    nodes: usize,
    work: &mut Work,
) -> usize {
    let wanted = wanted(values, counts);
    let kinds = &pricer.problem.kinds;
    let promise = |kind: usize| {
        (pricer.quick_upper(kind, &wanted) / (kinds[kind].price as f64).max(1e-9), kind)
    };
    let mut order = pricer.active.iter().copied().map(promise).collect::<Vec<_>>();
    work.spend(order.len() * wanted.len() * 2);
    order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let (mut added, mut worst_ratio) = (0, 1.0_f64);
    for (rank, (ratio, kind)) in order.into_iter().enumerate() {
        if ratio <= 1.0 + 1e-7 || (rank >= KINDS_OF_A_ROUND && added > 0) {
            worst_ratio = worst_ratio.max(ratio);
            break;
        }
        let cost = kinds[kind].price as f64;
        let priced = pricer.price(kind, &wanted, cost * (1.0 + 1e-7), nodes, work);
        worst_ratio = worst_ratio.max(priced.upper / cost.max(1e-9));
        let column = Column { kind, pattern: priced.pattern, cost };
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
