//! The seam for faults: each thing that can go wrong is asked for here before it goes right.

use super::event::Knock;
use crate::SimTime;
use model::Alternative;

/// What becomes of a knock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It arrives once.
    Once,
    /// It never arrives.
    Lost,
    /// It arrives twice.
    Twice,
    /// It arrives so many milliseconds late.
    Late(i64),
}

/// What becomes of a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaunchOutcome {
    /// The instance comes.
    Launched,
    /// EC2 has no capacity for this offering now.
    InsufficientCapacity,
}

/// What becomes of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnOutcome {
    /// Its plan is carried out.
    Completes,
    /// It is killed before it acts.
    Killed,
}

/// What goes wrong, and when.
pub trait Faults {
    /// Asked for each offering that a launch tries.
    fn launch(&mut self, _now: SimTime, _offering: &Alternative) -> LaunchOutcome {
        LaunchOutcome::Launched
    }

    /// Asked for each knock.
    fn knock(&mut self, _now: SimTime, _knock: Knock) -> Delivery {
        Delivery::Once
    }

    /// Asked for each turn.
    fn turn(&mut self, _now: SimTime) -> TurnOutcome {
        TurnOutcome::Completes
    }
}

/// Nothing goes wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFaults;

impl Faults for NoFaults {}
