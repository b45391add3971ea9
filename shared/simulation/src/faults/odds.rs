//! How likely each thing is to go wrong, by seed. Each seed leaves most kinds of faults out, so that each is seen alone and together.

use crate::Random;

/// Odds in a thousand, for each call or message, unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Odds {
    /// A call fails before it has an effect.
    pub(super) before: u64,
    /// A call has its effect, and its answer is lost.
    pub(super) after: u64,
    /// AWS throttles a call.
    pub(super) throttled: u64,
    /// The function is killed before or after a call.
    pub(super) killed: u64,
    /// The function stands still for longer than its lease lasts.
    pub(super) frozen: u64,
    /// An event is lost.
    pub(super) lost: u64,
    /// An event comes twice.
    pub(super) doubled: u64,
    /// An event comes up to two minutes late.
    pub(super) late: u64,
    /// An offering has no capacity when it is asked for.
    pub(super) no_capacity: u64,
    /// An instance never joins.
    pub(super) never_joins: u64,
    /// DescribeInstances shows what changed after so many milliseconds, at most.
    pub(super) unseen_ms: i64,
    /// The functions' clock is off by so many seconds, at most, either way.
    pub(super) skew_s: i64,
    /// Claims and nodes are read up to so many milliseconds before pods.
    pub(super) torn_ms: i64,
    /// A spot warning reaches nobody and is only seen by asking.
    pub(super) warning_lost: u64,
}

impl Odds {
    /// What a seed draws.
    pub(super) fn of_seed(random: &mut Random) -> Self {
        let mut some = |one_in: u64, most: u64| {
            let drawn = random.below(most) + 1;
            if random.below(one_in) == 0 { drawn } else { 0 }
        };
        Self {
            before: some(2, 60),
            after: some(2, 60),
            throttled: some(3, 200),
            killed: some(2, 40),
            frozen: some(4, 10),
            lost: some(2, 400),
            doubled: some(3, 300),
            late: some(3, 300),
            no_capacity: some(2, 500),
            never_joins: some(4, 250),
            unseen_ms: some(2, 45_000) as i64,
            skew_s: some(3, 4) as i64,
            torn_ms: some(2, 2_000) as i64,
            warning_lost: some(4, 500),
        }
    }

    /// Nothing goes wrong.
    pub(super) fn none() -> Self {
        Self::default()
    }
}
