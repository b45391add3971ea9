//! A small cluster in which everything goes wrong that can, by seed, and what must hold all the same.
//!
//! Joiner's turns are simulated call by call, as `runtime` and `execute` make them; the planner is the product's. What the
//! economic world (`crate::world`) leaves out is here: claims before instances, client tokens, instances that are seen late, leases,
//! messages, evictions, disruption budgets, finalizers.

mod carry_out;
mod controllers;
mod cost;
mod doors;
mod ec2;
mod ending;
mod event;
mod invariants;
mod log;
mod mishaps;
mod nodes;
mod odds;
mod order;
mod pace;
mod scheduling;
mod setup;
mod snapshot;
mod steps;
mod storm;
#[cfg(test)]
mod tests;
mod turn;
mod watch;
mod work;
mod workloads;
mod world;

pub use cost::EndCost;
pub use invariants::{Rule, Violation};
pub use storm::{Storm, StormOutcome, StormPace};

use log::Log;
use setup::Setup;
use std::ops::RangeInclusive;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use world::World;

/// What became of a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The invariants that were broken, in order of time.
    pub violations: Vec<Violation>,
    /// How often a function was invoked.
    pub turns: usize,
    /// How many instances were bought.
    pub instances: usize,
    /// What the nodes cost at the end, unless something was still on its way.
    pub cost: Option<EndCost>,
    /// What happened, if that was asked for.
    pub log: Vec<String>,
}

/// Runs one seed; `log` keeps what happened, line by line.
pub fn run(seed: u64, log: bool) -> Outcome {
    let mut world = World::new(Setup::of_seed(seed), Log::new(log));
    while world.step() {}
    world.check_end();
    Outcome {
        seed,
        cost: world.end_cost(),
        violations: world.violations,
        turns: world.turns_begun,
        instances: world.ec2.instances.len(),
        log: world.log.into_lines(),
    }
}

/// Runs seeds on all processors; `each` gets their outcomes, without logs, in order.
pub fn run_many(seeds: RangeInclusive<u64>, each: &mut (dyn FnMut(Outcome) + Send)) {
    let next = AtomicU64::new(*seeds.start());
    let done = Mutex::new((*seeds.start(), std::collections::BTreeMap::new(), each));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > *seeds.end() {
                return;
            }
            let outcome = run(seed, false);
            let Ok(mut done) = done.lock() else { return };
            let (due, waiting, each) = &mut *done;
            waiting.insert(seed, outcome);
            while let Some(outcome) = waiting.remove(due) {
                each(outcome);
                *due += 1;
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
}
