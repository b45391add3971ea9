//! The scheduling queue: active, in back-off, unschedulable.

use crate::SimTime;
use std::collections::{BTreeMap, BTreeSet};

/// A pod of the world, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PodKey(pub(crate) usize);

/// The first back-off (`podInitialBackoffSeconds`, kube-scheduler).
const FIRST_BACKOFF_MS: i64 = 1_000;
/// The longest back-off (`podMaxBackoffSeconds`, kube-scheduler).
const LONGEST_BACKOFF_MS: i64 = 10_000;

#[derive(Clone, Copy, Debug)]
struct Waiting {
    priority: i32,
    queued_at: SimTime,
    attempts: u32,
}

/// Higher priority first, then who has waited longer since the last attempt, then who came first.
type Turn = (std::cmp::Reverse<i32>, SimTime, PodKey);

/// Pods that are not bound.
#[derive(Default)]
pub(crate) struct Queue {
    pods: BTreeMap<PodKey, Waiting>,
    active: BTreeSet<Turn>,
    backoff: BTreeSet<(SimTime, PodKey)>,
    unschedulable: BTreeSet<PodKey>,
}

impl Queue {
    /// A new pod.
    pub(crate) fn add(&mut self, pod: PodKey, priority: i32, now: SimTime) {
        let waiting = Waiting { priority, queued_at: now, attempts: 0 };
        self.pods.insert(pod, waiting);
        self.active.insert(turn(pod, &waiting));
    }

    /// A pod is gone or bound.
    pub(crate) fn remove(&mut self, pod: PodKey) {
        if let Some(waiting) = self.pods.remove(&pod) {
            self.active.remove(&turn(pod, &waiting));
            self.unschedulable.remove(&pod);
            self.backoff.remove(&(retry_at(&waiting), pod));
        }
    }

    /// The next pod to try.
    pub(crate) fn pop(&mut self) -> Option<PodKey> {
        self.active.pop_first().map(|(_, _, pod)| pod)
    }

    /// No node was found for a pod: it waits for something to change.
    pub(crate) fn park(&mut self, pod: PodKey, now: SimTime) {
        if let Some(waiting) = self.pods.get_mut(&pod) {
            waiting.attempts += 1;
            waiting.queued_at = now;
            self.unschedulable.insert(pod);
        }
    }

    /// Something changed that may help: parked pods are tried again, once their back-off is over.
    pub(crate) fn retry_all(&mut self, now: SimTime) {
        for pod in std::mem::take(&mut self.unschedulable) {
            let Some(waiting) = self.pods.get(&pod) else { continue };
            if retry_at(waiting) <= now {
                self.active.insert(turn(pod, waiting));
            } else {
                self.backoff.insert((retry_at(waiting), pod));
            }
        }
    }

    /// Pods whose back-off is over become active.
    pub(crate) fn end_backoff(&mut self, now: SimTime) {
        while let Some((_, pod)) = self.backoff.first().copied().filter(|(at, _)| *at <= now) {
            self.backoff.pop_first();
            if let Some(waiting) = self.pods.get(&pod) {
                self.active.insert(turn(pod, waiting));
            }
        }
    }

    /// When the next back-off ends.
    pub(crate) fn next_backoff(&self) -> Option<SimTime> {
        self.backoff.first().map(|(at, _)| *at)
    }

    /// Whether a pod is to be tried.
    pub(crate) fn has_active(&self) -> bool {
        !self.active.is_empty()
    }

    /// How many pods are not bound.
    pub(crate) fn len(&self) -> usize {
        self.pods.len()
    }
}

fn turn(pod: PodKey, waiting: &Waiting) -> Turn {
    (std::cmp::Reverse(waiting.priority), waiting.queued_at, pod)
}

fn retry_at(waiting: &Waiting) -> SimTime {
    let doubled = FIRST_BACKOFF_MS << waiting.attempts.saturating_sub(1).min(10);
    waiting.queued_at.plus_ms(doubled.min(LONGEST_BACKOFF_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(queue: &mut Queue) -> Vec<usize> {
        std::iter::from_fn(|| queue.pop()).map(|pod| pod.0).collect()
    }

    #[test]
    fn priority_comes_before_age() {
        let mut queue = Queue::default();
        queue.add(PodKey(1), 0, SimTime(0));
        queue.add(PodKey(2), 5, SimTime(9));
        queue.add(PodKey(3), 0, SimTime(0));
        assert_eq!(drain(&mut queue), [2, 1, 3]);
    }

    #[test]
    fn parked_pods_wait_for_a_change_and_for_their_back_off() {
        let mut queue = Queue::default();
        queue.add(PodKey(1), 0, SimTime(0));
        for (now, wait) in [(0, 1000), (1000, 2000), (3000, 4000), (7000, 8000), (15_000, 10_000)] {
            assert_eq!(drain(&mut queue), [1], "at {now}");
            queue.park(PodKey(1), SimTime(now));
            assert!(!queue.has_active() && queue.next_backoff().is_none());
            queue.retry_all(SimTime(now));
            assert_eq!(queue.next_backoff(), Some(SimTime(now + wait)));
            queue.end_backoff(SimTime(now + wait - 1));
            assert!(!queue.has_active());
            queue.end_backoff(SimTime(now + wait));
        }
        queue.remove(PodKey(1));
        assert_eq!((queue.len(), queue.has_active()), (0, false));
    }
}
