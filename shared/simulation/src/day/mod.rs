//! A day of a cluster whose workload never rests, and what it could have cost at best.

mod oracle;
mod workload;

pub use oracle::{Oracle, Point, repacked};
pub use workload::churn;

use crate::bound::Bound;
use crate::decider::Joiner;
use crate::scenario::Scenario;
use crate::world::{Measured, NoFaults, World, arrivals};
use catalog::Catalog;
use model::MicroUsdPerHour;
use std::sync::Arc;

/// Nodes have so many cores at most, in thousandths, so that a large cluster has many.
const LARGEST_NODE: i64 = 8_000;

/// How large a day is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Nodes, about.
    pub nodes: u32,
    /// Hours, 1 or more.
    pub hours: u32,
    /// The seed of all chance.
    pub seed: u64,
}

/// What the oracles would have paid.
#[derive(Clone, Debug, Default)]
pub struct Ideal {
    /// Repacking every ten minutes under the same budgets and the same least saving for each move.
    pub bounded: Vec<Point>,
    /// How many pods that one moved.
    pub moved: u64,
    /// Packing everything anew every ten minutes, whatever it moves.
    pub unbounded: Vec<Point>,
}

/// The cluster: the catalog's types of at most 8 cores, the default pool, and churn for about so many nodes.
pub fn scenario(catalog: &Catalog, size: Size) -> Scenario {
    let length_s = i64::from(size.hours) * 3600;
    let mut scenario =
        Scenario::from_catalog(churn(size), catalog, "us-east-1", length_s, size.seed);
    let small = scenario
        .instance_types
        .iter()
        .filter(|known| known.capacity.get(model::resources::CPU) <= LARGEST_NODE);
    scenario.instance_types = Arc::new(small.cloned().collect());
    scenario
}

/// Joiner's day.
pub fn joiner(scenario: &Scenario, progress: &dyn Fn(i64)) -> Measured {
    World::new(scenario, Box::new(Joiner::default()), Box::new(NoFaults)).run(progress)
}

/// What the oracles pay for the same pods.
pub fn ideal(scenario: &Scenario, unbounded: bool, progress: &dyn Fn(i64)) -> Ideal {
    let times = arrivals(&scenario.workload.requests, 0, scenario.seed);
    let mut oracle = Oracle::new(scenario, &times);
    let mut ideal = Ideal::default();
    for at_s in oracle::moments(scenario.length_s) {
        ideal.bounded.push(oracle.repack(at_s));
        if unbounded {
            ideal.unbounded.push(repacked(scenario, &times, at_s));
        }
        progress(at_s);
    }
    ideal.moved = oracle.moved;
    ideal
}

/// What the points come to on average: between two of them, their mean counts.
pub fn average(points: &[Point]) -> MicroUsdPerHour {
    let between = |pair: &[Point]| match pair {
        [a, b] => u128::from(a.cost.0 + b.cost.0) * (b.at_s - a.at_s).max(0) as u128,
        _ => 0,
    };
    let length_s = points.last().map_or(1, |point| point.at_s).max(1) as u128;
    MicroUsdPerHour((points.windows(2).map(between).sum::<u128>() / 2 / length_s) as u64)
}

/// The lower bound over the day.
pub fn bound(scenario: &Scenario, bound: &dyn Bound, progress: &dyn Fn(i64)) -> Vec<Point> {
    let times = arrivals(&scenario.workload.requests, 0, scenario.seed);
    let at = |at_s| {
        let cost = bound.lower_bound(&crate::run::live(scenario, &times, at_s));
        progress(at_s);
        Point { at_s, cost }
    };
    oracle::moments(scenario.length_s).map(at).collect()
}

#[cfg(test)]
mod tests;
