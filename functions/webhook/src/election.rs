//! Which of the replicas leads: the decisions, pure, with the time given. `lease` carries them out.
//!
//! As in Kubernetes' own leader election a replica never compares clocks with another: it takes a lease over when it has
//! seen no change of it for the lease's whole duration, by its own monotonic clock.

use std::time::Duration;

/// How long a lease holds after the last change that others have seen.
pub(crate) const LEASE: Duration = Duration::from_secs(15);
/// How often the leader renews.
const RENEW: Duration = Duration::from_secs(5);
/// How long after its last renewal a leader still knocks; shorter than the lease, so that two never do.
const DEADLINE: Duration = Duration::from_secs(10);
/// How often another replica looks. With the lease's 15 s that is a new leader after at most 17 s and an answer.
const LOOK: Duration = Duration::from_secs(2);
/// How soon a leader tries again after a failed renewal.
const RETRY: Duration = Duration::from_secs(1);

/// A lease as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// Who holds it; empty if it was released.
    pub(crate) holder: String,
    /// When it was renewed last, by the holder's clock: only compared with itself.
    pub(crate) renewed: String,
    /// How long it holds, as its holder says.
    pub(crate) duration: Duration,
}

/// What to do with the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// Make it, as there is none.
    Create,
    /// Take it over from a holder that is gone or has released it.
    Take,
    /// Renew our own.
    Renew,
    /// Leave it to its holder.
    Wait,
}

/// What one replica knows of the lease.
#[derive(Debug)]
pub(crate) struct Election {
    me: String,
    seen: Option<(Record, Duration)>,
    renewed_at: Option<Duration>,
}

impl Election {
    /// The election as replica `me` sees it; it does not lead yet.
    pub(crate) fn new(me: &str) -> Self {
        Self { me: me.to_owned(), seen: None, renewed_at: None }
    }

    /// What to do, now that the lease was read.
    pub(crate) fn decide(&mut self, lease: Option<Record>, now: Duration) -> Move {
        let Some(record) = lease else { return Move::Create };
        if record.holder == self.me {
            return Move::Renew;
        }
        self.renewed_at = None;
        let since = match &self.seen {
            Some((seen, since)) if *seen == record => *since,
            _ => now,
        };
        let is_over = record.holder.is_empty() || now >= since + record.duration;
        self.seen = Some((record, since));
        if is_over { Move::Take } else { Move::Wait }
    }

    /// Our write at `asked` (the time before the call) has succeeded.
    pub(crate) fn written(&mut self, asked: Duration) {
        self.renewed_at = Some(asked);
    }

    /// Another replica wrote first.
    pub(crate) fn lost(&mut self) {
        self.renewed_at = None;
    }

    /// Until when this replica leads, if it does.
    pub(crate) fn leads_until(&self, now: Duration) -> Option<Duration> {
        self.renewed_at.map(|at| at + DEADLINE).filter(|until| now < *until)
    }

    /// When to look at the lease next. `succeeded` says whether the last look and write did.
    pub(crate) fn next(&self, now: Duration, succeeded: bool) -> Duration {
        match (self.leads_until(now).is_some(), succeeded) {
            (true, true) => now + RENEW,
            (true, false) => now + RETRY,
            (false, _) => now + LOOK,
        }
    }
}

#[cfg(test)]
#[path = "election/tests.rs"]
mod tests;
