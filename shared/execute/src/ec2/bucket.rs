//! EC2's token buckets, kept here too, so that a turn never floods an account that others share.
//!
//! Sizes and rates: EC2 API Reference, "Request throttling" (per account and region).

/// A bucket that fills by `rate_per_s` up to `size`. Time is given, in milliseconds from any start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    size: u64,
    rate_per_s: u64,
    /// In thousandths of a token: what one millisecond adds at a rate of one a second.
    milli_tokens: u64,
    at_ms: u64,
}

impl TokenBucket {
    /// A full bucket.
    pub fn new(size: u64, rate_per_s: u64) -> Self {
        Self { size, rate_per_s, milli_tokens: size.saturating_mul(1_000), at_ms: 0 }
    }

    /// Takes so many tokens, if they are there. What is more than the bucket can ever hold asks for a full one.
    pub fn take(&mut self, tokens: u64, now_ms: u64) -> bool {
        self.fill(now_ms);
        let wanted = tokens.min(self.size).saturating_mul(1_000);
        let enough = self.milli_tokens >= wanted;
        if enough {
            self.milli_tokens -= wanted;
        }
        enough
    }

    /// Time that goes back adds nothing.
    fn fill(&mut self, now_ms: u64) {
        let passed = now_ms.saturating_sub(self.at_ms);
        let added = passed.saturating_mul(self.rate_per_s);
        self.milli_tokens =
            self.milli_tokens.saturating_add(added).min(self.size.saturating_mul(1_000));
        self.at_ms = self.at_ms.max(now_ms);
    }
}

/// The buckets of the calls that are made here.
#[derive(Clone, Debug)]
pub(super) struct Buckets {
    pub(super) create_fleet: TokenBucket,
    pub(super) instances_run: TokenBucket,
    pub(super) terminate: TokenBucket,
    pub(super) instances_terminated: TokenBucket,
    pub(super) create_tags: TokenBucket,
    pub(super) launch_templates: TokenBucket,
    pub(super) describe: TokenBucket,
}

impl Default for Buckets {
    fn default() -> Self {
        Self {
            create_fleet: TokenBucket::new(50, 5),
            instances_run: TokenBucket::new(1_000, 2),
            terminate: TokenBucket::new(100, 5),
            instances_terminated: TokenBucket::new(1_000, 20),
            create_tags: TokenBucket::new(100, 10),
            launch_templates: TokenBucket::new(50, 5),
            describe: TokenBucket::new(100, 20),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes from a bucket of 5 that fills by 2 a second.
    fn check(takes: &[(u64, u64, bool)]) {
        let mut bucket = TokenBucket::new(5, 2);
        for &(tokens, now_ms, expected) in takes {
            assert_eq!(bucket.take(tokens, now_ms), expected, "{tokens} at {now_ms} of {takes:?}");
        }
    }

    #[test]
    fn tokens_come_back_at_the_rate_and_no_further_than_the_size() {
        check(&[(5, 0, true), (1, 0, false), (1, 499, false), (1, 500, true)]);
        check(&[(3, 0, true), (3, 0, false), (2, 0, true)]);
        check(&[(5, 0, true), (5, 60_000, true), (1, 60_000, false)]);
        check(&[(9, 0, true), (9, 2_499, false), (9, 2_500, true)]);
        check(&[(5, 1_000, true), (1, 0, false), (1, 1_500, true)]);
    }
}
