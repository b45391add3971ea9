//! From changes to knocks: the board, the batches and the outbox as one machine, which only the leader lets speak.
//! Pure, with the time given; `bus` and `run` drive it.

use crate::batch::Batcher;
use crate::board::{Board, Change, Occurrence, Topic};
use crate::knock::Knock;
use crate::outbox::Outbox;
use std::sync::Arc;
use std::time::Duration;

/// The machine. Times are since any fixed moment.
#[derive(Debug)]
pub(crate) struct Knocker {
    cluster: Arc<str>,
    board: Board,
    batcher: Batcher,
    outbox: Outbox,
    /// Until when this replica leads, unless it renews.
    leads_until: Option<Duration>,
    /// Whether knocks are on their way to the bus.
    sending: bool,
}

impl Knocker {
    /// A machine for the cluster; it does not lead yet.
    pub(crate) fn new(cluster: &str, batcher: Batcher) -> Self {
        let (board, outbox) = Default::default();
        Self { cluster: cluster.into(), board, batcher, outbox, leads_until: None, sending: false }
    }

    /// How many pods are provisionable.
    pub(crate) fn pending(&self) -> usize {
        self.board.pods().len()
    }

    /// How many knocks wait to be sent.
    pub(crate) fn waiting(&self) -> usize {
        self.outbox.len()
    }

    /// Takes a change in.
    pub(crate) fn change(&mut self, change: Change, now: Duration) {
        let found = self.board.apply(change);
        if self.leads(now) {
            self.note(&found, now);
        }
    }

    /// Takes in until when this replica leads. A new leader knocks for all there is, as the last one may have died with its knocks.
    pub(crate) fn lead(&mut self, until: Option<Duration>, now: Duration) {
        let led = self.leads(now);
        self.leads_until = until;
        match (led, self.leads(now)) {
            (false, true) => {
                self.forget();
                let found = self.board.everything();
                self.note(&found, now);
            }
            (_, false) => self.forget(),
            (true, true) => {}
        }
    }

    /// When to call `take` next; `None` if nothing waits.
    pub(crate) fn due(&self, now: Duration) -> Option<Duration> {
        let outbox = self.outbox.due().filter(|_| !self.sending);
        self.batcher.due().into_iter().chain(outbox).min().filter(|_| self.leads(now))
    }

    /// What to send now. The caller says by `sent` what became of it.
    pub(crate) fn take(&mut self, now: Duration) -> Vec<Knock> {
        if !self.leads(now) {
            self.forget();
            return Vec::new();
        }
        for (topic, batch) in self.batcher.close(now, self.pending() > 0) {
            self.put(topic, batch);
        }
        if self.sending {
            return Vec::new();
        }
        let knocks = self.outbox.take(now);
        self.sending = !knocks.is_empty();
        knocks
    }

    /// Takes back what the bus did not take.
    pub(crate) fn sent(&mut self, failed: Vec<Knock>, now: Duration, jitter: f64) {
        self.sending = false;
        if self.leads(now) {
            self.outbox.sent(failed, now, jitter);
        }
    }

    /// Everything that waits, before its time: the process ends.
    pub(crate) fn flush(&mut self, now: Duration) -> Vec<Knock> {
        if !self.leads(now) {
            return Vec::new();
        }
        for (topic, batch) in self.batcher.flush() {
            self.put(topic, batch);
        }
        self.outbox.take(Duration::MAX)
    }

    fn leads(&self, now: Duration) -> bool {
        self.leads_until.is_some_and(|until| now < until)
    }

    fn note(&mut self, found: &[Occurrence], now: Duration) {
        found.iter().for_each(|occurrence| self.batcher.note(occurrence, now));
    }

    /// A window of pods that have all found a place is no reason to knock.
    fn put(&mut self, topic: Topic, batch: crate::batch::Batch) {
        if topic != Topic::PodsPending || self.pending() > 0 {
            self.outbox.put(Knock::new(&self.cluster, topic, batch, &self.board));
        }
    }

    fn forget(&mut self) {
        self.batcher.clear();
        self.outbox.clear();
    }
}

#[cfg(test)]
#[path = "knocker/tests.rs"]
mod tests;
