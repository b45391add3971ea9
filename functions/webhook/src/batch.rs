//! When to knock: many changes become one knock. Pure, with the time given.
//!
//! A window opens at the first change and closes after an idle time without another, or after the longest time in all
//! (karpenter core's batcher). While pods stay provisionable they are knocked for again, after 10 s as upstream does,
//! but ever more rarely, to once a minute, as long as no new pod comes: a pod that no pool can hold costs little.

use crate::board::{Occurrence, Topic};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long after a knock the first repetition comes (upstream's trigger interval).
const AGAIN: Duration = Duration::from_secs(10);
/// The longest time between repetitions.
const AGAIN_MAX: Duration = Duration::from_secs(60);
/// How many objects an event names.
pub(crate) const NAMED: usize = 5;

/// What came together in one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    /// When the first change came.
    opened: Duration,
    /// When the last change came.
    last: Duration,
    /// How many changes there were.
    pub(crate) count: usize,
    /// The first few objects.
    pub(crate) objects: Vec<Arc<str>>,
    /// Why.
    pub(crate) reason: &'static str,
}

/// The open windows, and when to knock again for pods. Times are since any fixed moment.
#[derive(Clone, Debug)]
pub(crate) struct Batcher {
    idle: Duration,
    longest: Duration,
    open: BTreeMap<Topic, Batch>,
    again: Option<Again>,
}

#[derive(Clone, Copy, Debug)]
struct Again {
    at: Duration,
    interval: Duration,
}

impl Batcher {
    /// A batcher whose windows close after `idle` without a change, or `longest` after the first.
    pub(crate) fn new(idle: Duration, longest: Duration) -> Self {
        Self { idle, longest, open: BTreeMap::new(), again: None }
    }

    /// Takes a change in.
    pub(crate) fn note(&mut self, occurrence: &Occurrence, now: Duration) {
        let new = || Batch {
            opened: now,
            last: now,
            count: 0,
            objects: Vec::new(),
            reason: occurrence.reason,
        };
        let batch = self.open.entry(occurrence.topic).or_insert_with(new);
        batch.last = now;
        batch.count += 1;
        if batch.objects.len() < NAMED && !batch.objects.contains(&occurrence.object) {
            batch.objects.push(Arc::clone(&occurrence.object));
        }
    }

    /// When to call `close` next.
    pub(crate) fn due(&self) -> Option<Duration> {
        let windows = self.open.values().map(|batch| self.closes(batch));
        windows.chain(self.again.map(|again| again.at)).min()
    }

    fn closes(&self, batch: &Batch) -> Duration {
        (batch.last + self.idle).min(batch.opened + self.longest)
    }

    /// The windows that close now. `pending` says whether there are provisionable pods.
    pub(crate) fn close(&mut self, now: Duration, pending: bool) -> Vec<(Topic, Batch)> {
        let due =
            |topic: &Topic| self.open.get(topic).is_some_and(|batch| self.closes(batch) <= now);
        let topics = Topic::ALL.into_iter().filter(due).collect::<Vec<_>>();
        let mut closed = self.take(&topics);
        if !pending {
            self.again = None;
        } else if topics.contains(&Topic::PodsPending) {
            self.again = Some(Again { at: now + AGAIN, interval: AGAIN });
        } else if let Some(again) = self.again.filter(|again| again.at <= now) {
            closed.extend(self.repeat(again, now));
        }
        closed
    }

    /// All open windows, before their time.
    pub(crate) fn flush(&mut self) -> Vec<(Topic, Batch)> {
        self.take(&Topic::ALL)
    }

    fn take(&mut self, topics: &[Topic]) -> Vec<(Topic, Batch)> {
        topics.iter().filter_map(|topic| Some((*topic, self.open.remove(topic)?))).collect()
    }

    /// One more knock for the same pods, unless a window of theirs is open and will knock anyway.
    fn repeat(&mut self, again: Again, now: Duration) -> Option<(Topic, Batch)> {
        if self.open.contains_key(&Topic::PodsPending) {
            self.again = None;
            return None;
        }
        let interval = (again.interval * 2).min(AGAIN_MAX);
        self.again = Some(Again { at: now + interval, interval });
        let reason = "pods are still without a node";
        Some((
            Topic::PodsPending,
            Batch { opened: now, last: now, count: 0, objects: Vec::new(), reason },
        ))
    }

    /// Forgets everything: another replica knocks.
    pub(crate) fn clear(&mut self) {
        self.open.clear();
        self.again = None;
    }
}

#[cfg(test)]
#[path = "batch/tests.rs"]
mod tests;
