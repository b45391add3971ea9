//! Answers kept with the time at which they were read.

use super::clients::CONCURRENCY;
use super::error::CloudReadError;
use futures::StreamExt;
use model::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A value and when it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dated<V> {
    pub(crate) read_at: Timestamp,
    pub(crate) value: V,
}

impl<V> Dated<V> {
    /// Whether it is younger than `ttl_s`. A time in the future is of a clock that was wrong, and counts as old.
    pub(crate) fn is_fresh(&self, now: Timestamp, ttl_s: i64) -> bool {
        (0..ttl_s).contains(&self.age_s(now))
    }

    pub(crate) fn age_s(&self, now: Timestamp) -> i64 {
        now.since(self.read_at).0
    }
}

/// Answers by question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Shelf<V>(BTreeMap<String, Dated<V>>);

impl<V> Default for Shelf<V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

/// Why questions have no new answer, by question.
pub(crate) type Failures = BTreeMap<String, CloudReadError>;

impl<V> Shelf<V> {
    pub(crate) fn get(&self, question: &str) -> Option<&V> {
        self.0.get(question).map(|dated| &dated.value)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.values().map(|dated| &dated.value)
    }

    pub(crate) fn remove(&mut self, question: &str) {
        self.0.remove(question);
    }

    pub(crate) fn put(&mut self, question: String, value: V, read_at: Timestamp) {
        self.0.insert(question, Dated { read_at, value });
    }

    /// The age of the oldest answer among those that could not be read anew.
    pub(crate) fn age_s(&self, failures: &Failures, now: Timestamp) -> Option<i64> {
        failures.keys().filter_map(|question| Some(self.0.get(question)?.age_s(now))).max()
    }

    /// Reads what is missing or older than its time to live, a few at a time; keeps the last answer where that fails.
    /// Answers that nobody asks for are dropped.
    pub(crate) async fn refresh<Q, F>(
        &mut self,
        questions: BTreeMap<String, Q>,
        now: Timestamp,
        ttl_s: impl Fn(&V) -> i64,
        read: impl Fn(Q) -> F,
    ) -> Failures
    where
        F: Future<Output = Result<V, CloudReadError>>,
    {
        self.0.retain(|question, _| questions.contains_key(question));
        let fresh = |question: &str| {
            self.0.get(question).is_some_and(|dated| dated.is_fresh(now, ttl_s(&dated.value)))
        };
        let due = questions.into_iter().filter(|(question, _)| !fresh(question));
        let reads = due.map(|(question, asked)| {
            let answer = read(asked);
            async move { (question, answer.await) }
        });
        let reads = reads.collect::<Vec<_>>();
        let answers = futures::stream::iter(reads).buffer_unordered(CONCURRENCY);
        let mut failures = Failures::new();
        for (question, answer) in answers.collect::<Vec<_>>().await {
            match answer {
                Ok(value) => self.put(question, value, now),
                Err(error) => drop(failures.insert(question, error)),
            }
        }
        failures
    }
}
