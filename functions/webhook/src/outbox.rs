//! Knocks that wait to be sent: at most one of each topic, kept until the bus has taken it. Pure, with the time given.

use crate::board::Topic;
use crate::knock::Knock;
use std::collections::BTreeMap;
use std::time::Duration;

/// The wait after the first failure.
const BACKOFF: Duration = Duration::from_millis(200);
/// The longest wait between attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(20);

/// The queue. It never holds more than one knock of each topic.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: BTreeMap<Topic, Knock>,
    failures: u32,
    not_before: Duration,
}

impl Outbox {
    /// Takes a knock in, as one with that of the same topic which waits already.
    pub(crate) fn put(&mut self, knock: Knock) {
        let knock = match self.waiting.remove(&knock.topic) {
            Some(earlier) => earlier.followed_by(knock),
            None => knock,
        };
        self.waiting.insert(knock.topic, knock);
    }

    /// How many knocks wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// When to call `take` next.
    pub(crate) fn due(&self) -> Option<Duration> {
        (!self.waiting.is_empty()).then_some(self.not_before)
    }

    /// What to send now.
    pub(crate) fn take(&mut self, now: Duration) -> Vec<Knock> {
        match self.due() {
            Some(due) if due <= now => std::mem::take(&mut self.waiting).into_values().collect(),
            _ => Vec::new(),
        }
    }

    /// Takes back what was not taken by the bus, and waits longer after each failure.
    /// `jitter` is from 0 to 1: how much of the second half of the wait is waited.
    pub(crate) fn sent(&mut self, failed: Vec<Knock>, now: Duration, jitter: f64) {
        if failed.is_empty() {
            self.failures = 0;
            return;
        }
        for knock in failed {
            let knock = match self.waiting.remove(&knock.topic) {
                Some(later) => knock.followed_by(later),
                None => knock,
            };
            self.waiting.insert(knock.topic, knock);
        }
        let wait = BACKOFF.saturating_mul(1 << self.failures.min(16)).min(BACKOFF_MAX);
        self.failures += 1;
        self.not_before = now + wait.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0));
    }

    /// Forgets everything: another replica knocks.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
#[path = "outbox/tests.rs"]
mod tests;
