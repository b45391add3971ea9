//! Our own limit on calls, so that a broken turn cannot use up what the account's other programs need.
//! Source: Amazon EC2 API throttling: filtered Describe calls have a bucket of 100, refilled by 20 a second, per account and region.

use super::call::Call;
use super::error::CloudReadError;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

const CAPACITY: f64 = 100.0;
const PER_SECOND: f64 = 20.0;

/// One bucket for each service, and counts of the calls made.
#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    buckets: BTreeMap<&'static str, Bucket>,
    counts: BTreeMap<Call, u32>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Gate {
    /// Counts a call, or refuses it because there were too many lately.
    pub(crate) fn pass(&self, call: Call) -> Result<(), CloudReadError> {
        self.pass_at(call, Instant::now())
    }

    fn pass_at(&self, call: Call, now: Instant) -> Result<(), CloudReadError> {
        let mut state = self.lock();
        let full = Bucket { tokens: CAPACITY, at: now };
        let bucket = state.buckets.entry(call.service).or_insert(full);
        let elapsed = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.tokens = (bucket.tokens + elapsed * PER_SECOND).min(CAPACITY);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            return Err(CloudReadError::Throttled { call, code: "client-side limit".to_owned() });
        }
        bucket.tokens -= 1.0;
        *state.counts.entry(call).or_default() += 1;
        Ok(())
    }

    /// Takes back a call that turned out not to be needed.
    pub(crate) fn give_back(&self, call: Call) {
        let mut state = self.lock();
        if let Some(bucket) = state.buckets.get_mut(call.service) {
            bucket.tokens = (bucket.tokens + 1.0).min(CAPACITY);
        }
        if let Some(count) = state.counts.get_mut(&call) {
            *count -= 1;
        }
    }

    /// The calls made since the last time that this was asked.
    pub(crate) fn take_counts(&self) -> BTreeMap<Call, u32> {
        std::mem::take(&mut self.lock().counts)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::call::{DESCRIBE_IMAGES, DESCRIBE_SUBNETS, GET_PARAMETER};
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let gate = Gate::default();
        let start = Instant::now();
        let pass = |call, after_ms| gate.pass_at(call, start + Duration::from_millis(after_ms));
        (0..100).for_each(|_| pass(DESCRIBE_SUBNETS, 0).unwrap());
        assert!(matches!(pass(DESCRIBE_IMAGES, 0), Err(CloudReadError::Throttled { .. })));
        pass(GET_PARAMETER, 0).unwrap();
        assert!(pass(DESCRIBE_IMAGES, 49).is_err());
        pass(DESCRIBE_IMAGES, 100).unwrap();
        let counts = gate.take_counts();
        assert_eq!(counts[&DESCRIBE_SUBNETS], 100);
        assert_eq!((counts[&DESCRIBE_IMAGES], counts[&GET_PARAMETER]), (1, 1));
        assert!(gate.take_counts().is_empty());
        pass(DESCRIBE_IMAGES, 100).unwrap();
        gate.give_back(DESCRIBE_IMAGES);
        assert_eq!(gate.take_counts()[&DESCRIBE_IMAGES], 0);
    }
}
