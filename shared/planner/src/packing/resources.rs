//! What each resource is worth: the cheapest way to buy the sum of all requests, were nodes divisible.

use super::problem::Problem;
use super::simplex::{Column, Master};

/// Capacities are counted in so many parts of the largest.
const PARTS: f64 = 1_000_000.0;

/// The relaxation's answer.
pub(crate) struct Resources {
    /// The worth of each item by its size alone. No node can hold items worth more than its price, but for rounding.
    pub(crate) values: Vec<f64>,
    /// The worth of one unit of each dimension.
    pub(crate) prices: Vec<f64>,
    /// The kinds bought, and how many of each.
    pub(crate) nodes: Vec<(usize, f64)>,
}

/// Buys the sum of all requests.
pub(crate) fn solve(problem: &Problem) -> Resources {
    let largest = |dimension: usize| {
        problem.kinds.iter().map(|kind| kind.capacity[dimension]).max().unwrap_or(0).max(1) as f64
    };
    let scale =
        (0..problem.dimensions).map(|dimension| PARTS / largest(dimension)).collect::<Vec<_>>();
    let demand = |dimension: usize| {
        let total = problem
            .items
            .iter()
            .map(|item| item.size[dimension] as f64 * f64::from(item.count))
            .sum::<f64>();
        (total * scale[dimension]).min(f64::from(u32::MAX)) as u32
    };
    let demands = (0..problem.dimensions).map(demand).collect::<Vec<_>>();
    let columns = problem
        .kinds
        .iter()
        .enumerate()
        .map(|(kind, _)| column(problem, kind, &scale, &demands))
        .collect::<Vec<_>>();
    let wanted = (0..problem.dimensions).filter(|dimension| demands[*dimension] > 0);
    let starts = wanted.map(|dimension| start(&columns, dimension)).collect();
    let mut master = Master::new(&demands, starts);
    master.columns.extend(columns);
    master.optimise(500);
    let prices = master
        .item_duals()
        .iter()
        .zip(&scale)
        .map(|(dual, scale)| dual * scale)
        .collect::<Vec<_>>();
    let worth =
        |size: &Vec<i64>| size.iter().zip(&prices).map(|(size, price)| *size as f64 * price).sum();
    let values = problem.items.iter().map(|item| worth(&item.size)).collect();
    let bought = master.solution().into_iter();
    let nodes = bought.map(|(column, times)| (master.columns[column].kind, times)).collect();
    Resources { values, prices, nodes }
}

fn column(problem: &Problem, kind: usize, scale: &[f64], demands: &[u32]) -> Column {
    let parts = problem.kinds[kind]
        .capacity
        .iter()
        .zip(scale)
        .map(|(capacity, scale)| ((*capacity).max(0) as f64 * scale) as u32);
    let pattern = parts
        .enumerate()
        .filter(|(dimension, parts)| *parts > 0 && demands[*dimension] > 0)
        .collect();
    Column { kind, pattern, cost: problem.kinds[kind].price as f64 }
}

/// The cheapest column for one dimension alone.
fn start(columns: &[Column], dimension: usize) -> Column {
    let held = |column: &Column| {
        column.pattern.iter().find(|(at, _)| *at == dimension).map_or(0, |(_, parts)| *parts)
    };
    let useful = columns.iter().filter(|column| held(column) > 0);
    let best = useful
        .min_by(|a, b| (a.cost / f64::from(held(a))).total_cmp(&(b.cost / f64::from(held(b)))));
    let (kind, parts, cost) =
        best.map_or((0, 1, 1e15), |column| (column.kind, held(column), column.cost));
    Column { kind, pattern: vec![(dimension, parts)], cost }
}
