//! A knock as an event on the bus: "look now", and enough to see in a log what it was for. A few kilobytes at most.

use crate::batch::{Batch, NAMED};
use crate::board::{Board, Topic};
use serde::Serialize;
use std::sync::Arc;

/// One event to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Knock {
    /// The detail-type.
    #[serde(skip)]
    pub(crate) topic: Topic,
    /// The cluster's name.
    cluster: Arc<str>,
    /// Pending pods, or changes that came together.
    count: usize,
    /// Since when the pod that has waited longest has waited (RFC 3339); absent if it is not about pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<String>,
    /// The first few pods (`namespace/name`), those that have waited longest first; empty if it is not about pods.
    pods: Vec<Arc<str>>,
    /// The first few other objects.
    objects: Vec<Arc<str>>,
    /// Why.
    reason: &'static str,
}

impl Knock {
    /// The knock for what came together, with the pods as they are now.
    pub(crate) fn new(cluster: &Arc<str>, topic: Topic, batch: Batch, board: &Board) -> Self {
        let cluster = Arc::clone(cluster);
        let Batch { count, objects, reason, .. } = batch;
        if topic != Topic::PodsPending {
            return Self { topic, cluster, count, oldest: None, pods: Vec::new(), objects, reason };
        }
        let mut pods = board.pods().values().collect::<Vec<_>>();
        pods.sort_by_key(|pod| (pod.since, &pod.name));
        Self {
            topic,
            cluster,
            count: pods.len(),
            oldest: pods.first().map(|pod| pod.since.to_string()),
            pods: pods.iter().take(NAMED).map(|pod| Arc::clone(&pod.name)).collect(),
            objects: Vec::new(),
            reason,
        }
    }

    /// This one and a later one of the same topic as one: a knock is a knock.
    pub(crate) fn followed_by(self, later: Self) -> Self {
        if self.topic == Topic::PodsPending {
            return later;
        }
        let mut objects = self.objects;
        objects.extend(later.objects);
        objects.sort();
        objects.dedup();
        objects.truncate(NAMED);
        Self { count: self.count + later.count, objects, ..later }
    }

    /// The event's detail.
    pub(crate) fn detail(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| "{}".to_owned())
    }
}
