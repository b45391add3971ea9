//! How long calls take, and how many are made at once: what `execute` and `runtime` allow themselves.

use super::odds::Odds;
use super::turn::{Call, Turn};
use crate::Random;
use model::Step;

/// From the least to the most, in milliseconds.
type Range = (i64, i64);

/// The pace of a world.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// One answer of the API server.
    pub(super) api: Range,
    /// CreateFleet.
    pub(super) fleet: Range,
    /// Reading the claims, before the lease.
    pub(super) find: Range,
    /// Reading all and deciding.
    pub(super) observe: Range,
    /// How long a queue gathers.
    pub(super) window: Range,
    /// Calls of the API server that one function has on their way; the others wait their turn.
    pub(super) calls: usize,
    /// Claims that are marked at once (`execute/src/interruptions.rs`).
    pub(super) marks: usize,
    /// Steps that are taken at once (`execute/src/steps.rs`).
    pub(super) steps: usize,
    /// Claims of one batch that are written at once (`execute/src/launches.rs`).
    pub(super) writes: usize,
    /// Batches that are bought at once (`execute/src/launches.rs`).
    pub(super) fleets: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            api: (10, 60),
            fleet: (800, 2_500),
            find: (20, 60),
            observe: (150, 600),
            window: (0, 1_000),
            calls: 64,
            marks: 64,
            steps: 16,
            writes: 64,
            fleets: 25,
        }
    }
}

impl Pace {
    /// How long the call takes, in milliseconds.
    pub(super) fn lasts_ms(
        &self,
        call: &Call,
        turn: &Turn,
        odds: &Odds,
        random: &mut Random,
    ) -> i64 {
        let mut draw = |(least, most): Range| random.between(least, most);
        match call {
            Call::Fleet(batch) if turn.batches[*batch].failed => 0,
            Call::Fleet(_) => draw(self.fleet),
            Call::Terminate(_) => draw((200, 800)),
            Call::Observe => draw(self.observe),
            Call::ReadFirst if odds.torn_ms > 0 => draw((50, odds.torn_ms.max(50))),
            Call::ReadFirst => 0,
            Call::FindOwn => draw(self.find),
            Call::FollowUp => draw((10, 40)),
            Call::Step(_)
            | Call::RegisterClaim(..)
            | Call::InitializeClaim(..)
            | Call::ReadClaim(..)
            | Call::WriteClaim(..)
            | Call::AssignLabels(..)
            | Call::AssignStatus(..)
            | Call::GiveUp(_)
            | Call::GiveUpFinalizer(_)
            | Call::Tell
            | Call::AskLease
            | Call::Remember
            | Call::Release => (0..round_trips(call)).map(|_| draw(self.api)).sum(),
        }
    }
}

/// How often the API server is asked.
pub(super) fn round_trips(call: &Call) -> usize {
    match call {
        Call::Step(step) => match step {
            Step::MarkDisruption { .. } => 3,
            // Read and written, or told and done.
            Step::Cordon { .. }
            | Step::Uncordon { .. }
            | Step::MarkInterrupted { .. }
            | Step::Register { .. }
            | Step::ReleaseNode { .. }
            | Step::ReleaseClaim { .. }
            | Step::Evict { .. }
            | Step::ForceDelete { .. }
            | Step::Delete { .. } => 2,
            Step::Initialize { .. }
            | Step::DeleteNode { .. }
            | Step::MarkEmpty { .. }
            | Step::Adopt { .. } => 1,
            Step::Launch { .. } | Step::Terminate { .. } => 0,
        },
        // CreateTags comes first.
        Call::RegisterClaim(..) => 4,
        Call::AskLease | Call::InitializeClaim(_) | Call::GiveUp(_) | Call::Remember => 2,
        Call::ReadClaim(..)
        | Call::WriteClaim(..)
        | Call::AssignLabels(..)
        | Call::AssignStatus(..)
        | Call::GiveUpFinalizer(_)
        | Call::Tell
        | Call::Release => 1,
        Call::FindOwn
        | Call::ReadFirst
        | Call::Observe
        | Call::Terminate(_)
        | Call::Fleet(_)
        | Call::FollowUp => 0,
    }
}
