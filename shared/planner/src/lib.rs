//! Every decision, pure and total: the same snapshot gives the same plan on every machine.
//!
//! Owns: scheduling, packing, the lower bound, disruption, the independent check, and the reasons.
//! May import: `model`. Does not know: AWS, Kubernetes clients, files, the clock, the environment, randomness, logging.

use model::{Plan, Snapshot};

/// How hard to look for a cheaper plan, as counts of work and not of time, so that the answer does not depend on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Rounds of ruin and recreate.
    pub improvement_rounds: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { improvement_rounds: 2000 }
    }
}

/// Decides what to do about the snapshot.
pub fn plan(snapshot: &Snapshot, options: &Options) -> Plan {
    let _ = (snapshot, options);
    Plan::default()
}

/// What is wrong with a plan, by Kubernetes' rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

/// Replays the plan against Kubernetes' rules, knowing nothing of how it was made. Nothing returned means nothing is wrong.
pub fn check(snapshot: &Snapshot, plan: &Plan) -> Vec<Violation> {
    let _ = (snapshot, plan);
    Vec::new()
}
