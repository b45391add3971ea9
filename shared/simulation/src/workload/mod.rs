//! Workload traces: what pods come, when, and for how long.

mod embedded;
mod read;

pub use embedded::{EMBEDDED, embedded};
pub use read::{TraceError, read};

use crate::SimTime;
use model::pod::{InclusionPolicy, PodAffinityTerm, TopologySpread, WhenUnsatisfiable};
use model::selector::LabelSelector;
use model::{Labels, PodSpec, Resources, labels};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// Its short name.
    pub name: String,
    /// Where it comes from and under which licence, for people.
    pub source: String,
    /// What arrives, by arrival.
    pub requests: Vec<Request>,
    /// Arrivals are spread by the seed over so many seconds from the one given; 0 leaves them as the trace has them.
    pub spread_s: i64,
}

/// One line of a trace: equal pods that arrive together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The workload's name, unique in its trace.
    pub name: String,
    /// How many pods, or replicas.
    pub count: u32,
    /// When they are created, in seconds from the start.
    pub arrival_s: i64,
    /// How long each runs once bound, in seconds; `None` means a Deployment, which runs on.
    pub duration_s: Option<i64>,
    /// Replicas from half-time of the run on, for a Deployment that shrinks.
    pub scale_in: Option<u32>,
    /// What happens to a Deployment later, with the seconds from the start, in their order.
    pub changes: Vec<(i64, Change)>,
    /// The labels of each.
    pub labels: Arc<Labels>,
    /// What each needs.
    pub spec: Arc<PodSpec>,
}

/// What happens to a Deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It gets so many replicas.
    Scale(u32),
    /// It gets a new template: all its pods are replaced, some at a time.
    Rollout,
}

/// The constraints between the pods of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Constraints {
    pub(crate) zone_spread: bool,
    pub(crate) host_spread: bool,
    pub(crate) anti_affinity_host: bool,
    pub(crate) priority: i32,
}

impl Request {
    /// How many of its pods there would be at `at_s` of a run of `length_s` seconds, if each were bound at `arrived`.
    pub fn live(&self, arrived: SimTime, at_s: i64, length_s: i64) -> u32 {
        let now = SimTime::from_s(at_s);
        let ends = self.duration_s.map(|length_s| arrived.plus_ms(length_s.saturating_mul(1000)));
        if arrived > now || ends.is_some_and(|ends| ends <= now) {
            return 0;
        }
        let halved = self.scale_in.filter(|_| at_s * 2 >= length_s);
        let past = self.changes.iter().filter(|(change_s, _)| *change_s <= at_s);
        let mut scaled = past.filter_map(|(_, change)| match change {
            Change::Scale(replicas) => Some(*replicas),
            Change::Rollout => None,
        });
        halved.or(scaled.next_back()).unwrap_or(self.count)
    }
}

impl Workload {
    /// Pods that arrive before `end_s`.
    pub fn pods_before(&self, end_s: i64) -> u64 {
        let before = self.requests.iter().filter(|request| request.arrival_s < end_s);
        before.map(|request| u64::from(request.count)).sum()
    }

    /// What pods arriving before `end_s` ask for, each different amount once.
    pub fn distinct_requests(&self, end_s: i64) -> BTreeSet<&Resources> {
        let before = self.requests.iter().filter(|request| request.arrival_s < end_s);
        before.map(|request| &request.spec.requests).collect()
    }
}

/// What a pod of these labels needs under these constraints, which count pods of the same labels.
pub(crate) fn spec(requests: Resources, app: &Labels, constraints: Constraints) -> PodSpec {
    let selector = LabelSelector::from_labels(app);
    let spread = |key: &str| TopologySpread {
        max_skew: 1,
        topology_key: key.to_owned(),
        when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
        selector: selector.clone(),
        min_domains: None,
        match_label_keys: Vec::new(),
        node_affinity_policy: InclusionPolicy::Honor,
        node_taints_policy: InclusionPolicy::Ignore,
    };
    let wanted =
        [(constraints.zone_spread, labels::ZONE), (constraints.host_spread, labels::HOSTNAME)];
    let anti_affinity = PodAffinityTerm {
        topology_key: labels::HOSTNAME.to_owned(),
        selector: selector.clone(),
        namespaces: Vec::new(),
        namespace_selector: None,
    };
    PodSpec {
        requests,
        topology_spread: wanted.iter().filter(|(on, _)| *on).map(|(_, key)| spread(key)).collect(),
        pod_anti_affinity: constraints
            .anti_affinity_host
            .then_some(anti_affinity)
            .into_iter()
            .collect(),
        priority: constraints.priority,
        termination_grace_period_s: 30,
        ..PodSpec::default()
    }
}
