//! Simulated time.

use model::Timestamp;

/// The moment of the real calendar that a run starts at: 2026-01-01T00:00:00Z. It only serves to fill timestamps.
const START_S: i64 = 1_767_225_600;

/// Milliseconds since the start of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SimTime(pub i64);

impl SimTime {
    /// So many seconds after the start.
    pub fn from_s(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// The moment so many milliseconds later.
    #[must_use]
    pub fn plus_ms(self, milliseconds: i64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }

    /// Milliseconds from `earlier` to `self`.
    pub fn since_ms(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }

    /// The calendar's second that it falls in.
    pub fn timestamp(self) -> Timestamp {
        Timestamp(START_S + self.0.div_euclid(1000))
    }

    /// The moment of a calendar's second.
    pub fn from_timestamp(timestamp: Timestamp) -> Self {
        Self::from_s(timestamp.0.saturating_sub(START_S))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_and_simulated_time_agree_on_whole_seconds() {
        assert_eq!(SimTime::from_timestamp(SimTime(61_999).timestamp()), SimTime(61_000));
    }
}
