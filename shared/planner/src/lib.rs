//! Every decision, pure and total: the same snapshot gives the same plan on every machine.
//!
//! Owns: scheduling, packing, the lower bound, disruption, the independent check, and the reasons.
//! May import: `model`. Does not know: AWS, Kubernetes clients, files, the clock, the environment, randomness, logging.

mod check;
mod disruption;
mod explain;
mod heed;
mod interruption;
mod leaving;
mod lifecycle;
mod packing;
mod places;
mod repack;
mod scheduling;
mod view;
mod what_if;

pub use check::{Violation, check};
pub use explain::{
    Change, Difference, Group, NodeExplanation, NodeVerdict, Obstacle, OfferingVerdict, Pattern,
    PlanExplanation, PodExplanation, PodState, PoolVerdict, Removed, Shape, TypeVerdict, Variant,
    explain_node, explain_plan, explain_pod, explain_type,
};
pub use heed::heed;
pub use repack::{Repack, repack};
pub use what_if::{Consolidation, ConsolidationStep, Scope, consolidate};

use model::{Plan, Snapshot};

/// How hard to look for a cheaper plan, as counts of work and not of time, so that the answer does not depend on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Elementary steps of one packing, at most; a hundred million take about half a second.
    pub steps: u64,
}

impl Options {
    /// An answer within about 50 ms of packing.
    pub const FAST: Self = Self { steps: 8_000_000 };
    /// The best answer that patience finds, about ten seconds of packing at most.
    pub const MAX: Self = Self { steps: 2_000_000_000 };
}

impl Default for Options {
    fn default() -> Self {
        Self { steps: 100_000_000 }
    }
}

/// Decides what to do about the snapshot.
pub fn plan(snapshot: &Snapshot, options: &Options) -> Plan {
    let view = view::View::new(snapshot);
    let disrupted = disruption::disrupt(&view, options);
    let mut plan = disrupted.scheduled.plan;
    plan.removals = disrupted.removals;
    plan.disruptions = disrupted.told;
    plan.kept = disrupted.kept;
    disruption::fill(&view, &disrupted.leaving, &mut plan);
    let lifecycle = lifecycle::lifecycle(&view, &disrupted.leaving, &disrupted.places, &plan);
    plan.steps = disrupted.steps;
    plan.steps.extend(lifecycle.steps);
    plan.wake_at = disrupted.wake_at.into_iter().chain(lifecycle.wake_at).min();
    plan
}
