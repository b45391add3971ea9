//! Who decides: Joiner, or a baseline in its place.

use crate::SimTime;
use model::{Plan, Snapshot};

/// When a decider is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cadence {
    /// As Joiner's functions: after the first pod found unschedulable, once no new one came for `idle_ms`, at the
    /// latest after `max_ms`; every `tick_ms`; and when the last plan asked for it.
    Batched {
        /// Quiet time that closes the window, in milliseconds.
        idle_ms: i64,
        /// Longest window, in milliseconds.
        max_ms: i64,
        /// The schedule, in milliseconds.
        tick_ms: i64,
    },
    /// Every so many milliseconds, whatever happens, as Cluster Autoscaler's scan.
    Every(i64),
}

impl Cadence {
    /// Joiner's and Karpenter's window of 1 s, at most 10 s, and Joiner's schedule of a minute.
    pub const JOINER: Self = Self::Batched { idle_ms: 1_000, max_ms: 10_000, tick_ms: 60_000 };

    /// The time between two scheduled turns.
    pub fn period_ms(self) -> i64 {
        match self {
            Self::Batched { tick_ms, .. } => tick_ms,
            Self::Every(period_ms) => period_ms,
        }
    }
}

/// From a snapshot to a plan.
pub trait Decider {
    /// What to do about the snapshot.
    fn decide(&mut self, snapshot: &Snapshot) -> Plan;

    /// When it wants to be asked.
    fn cadence(&self) -> Cadence {
        Cadence::JOINER
    }

    /// Whether its plans say each step of taking a node away (marks, cordon, evictions, termination), as Joiner's do. If not,
    /// the world does them as upstream's termination controller does: at once, and without pause.
    fn takes_steps(&self) -> bool {
        false
    }

    /// What an independent check finds wrong with the plan.
    fn violations(&self, _snapshot: &Snapshot, _plan: &Plan) -> Vec<String> {
        Vec::new()
    }

    /// Milliseconds between reading the snapshot and carrying out the plan.
    fn latency_ms(&self) -> i64 {
        500
    }
}

/// Joiner itself: the product's planner, each plan checked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Joiner {
    /// How hard it looks for a cheaper plan.
    pub options: planner::Options,
}

impl Decider for Joiner {
    fn decide(&mut self, snapshot: &Snapshot) -> Plan {
        planner::plan(snapshot, &self.options)
    }

    fn takes_steps(&self) -> bool {
        true
    }

    fn violations(&self, snapshot: &Snapshot, plan: &Plan) -> Vec<String> {
        planner::check(snapshot, plan).iter().map(ToString::to_string).collect()
    }
}

/// The moment a plan asks to be looked at again, if it lies ahead.
pub(crate) fn wake_at(plan: &Plan, now: SimTime) -> Option<SimTime> {
    plan.wake_at.map(SimTime::from_timestamp).map(|at| at.max(now.plus_ms(1_000)))
}
