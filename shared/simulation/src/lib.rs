//! A false world in which plans are carried out: EC2, kubelets, the kube-scheduler and controllers, in simulated time.
//!
//! Owns: the discrete-event world, its workload traces, the two baselines (a packer like upstream's and a fixed node
//! group), oracles, the figures of a run and the report on them.
//! May import: `model`, `planner`, `catalog`. Does not know: the real clock, threads of anyone else, terminals, AWS.
//! There is no randomness but the seed: the same scenario gives the same bytes.

pub mod baseline;
pub mod bound;
pub mod day;
pub mod decider;
pub mod faults;
mod kube_scheduler;
mod random;
pub mod report;
pub mod run;
pub mod scenario;
mod sim_time;
pub mod summary;
pub mod takeover;
#[cfg(test)]
mod testing;
pub mod workload;
pub mod world;

pub use decider::{Cadence, Decider};
pub use random::Random;
pub use sim_time::SimTime;
