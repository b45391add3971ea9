//! Figures of a run.

use crate::SimTime;
use model::MicroUsdPerHour;
use std::collections::{BTreeMap, BTreeSet};

/// The state at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Seconds since the start.
    pub at_s: i64,
    /// The most pods that were pending at once since the sample before.
    pub pending: usize,
    /// Pods bound now.
    pub running: u64,
    /// What all nodes cost now.
    pub cost: MicroUsdPerHour,
    /// Nodes now, by instance type; no zero counts.
    pub nodes: BTreeMap<String, u64>,
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Pods created, replacements included, daemons not.
    pub pods: u64,
    /// Pods never bound by the end.
    pub never_bound: usize,
    /// How long each bound pod waited, in milliseconds, shortest first.
    pub waits_ms: Vec<i64>,
    /// Nodes that were started.
    pub nodes_started: u64,
    /// The most nodes at once.
    pub peak_nodes: u64,
    /// Node-milliseconds.
    pub node_ms: u128,
    /// What all nodes cost together, in micro-dollars.
    pub cost_microusd: u64,
    /// The highest cost at one moment.
    pub peak_cost: MicroUsdPerHour,
    /// Pods evicted to take their nodes away.
    pub pods_moved: u64,
    /// Nodes taken away because their pods are cheaper elsewhere.
    pub nodes_consolidated: u64,
    /// What those cost, less what was bought in their place, in micro-dollars per hour.
    pub saved: i64,
    /// Of those nodes, the ones that had been bought to save money less than an hour before and had kept their pods, and that were
    /// replaced again.
    pub flaps: u64,
    /// As `flaps`, but only emptied onto nodes that were there.
    pub emptied_again: u64,
    /// Plans that took nodes away for cost.
    pub consolidations: u64,
    /// When the last of them did, in seconds since the start.
    pub last_consolidation_s: i64,
    /// Plans after which more nodes were on their way out than the pool's budget allows.
    pub over_budget: u64,
    /// Turns taken.
    pub turns: u64,
    /// Violations that the check found.
    pub violations: u64,
    /// The first of them.
    pub violation_texts: Vec<String>,
    /// The state over time, at equal distances.
    pub samples: Vec<Sample>,
}

/// Counts while the run lasts.
#[derive(Default)]
pub(super) struct Meter {
    measured: Measured,
    nodes: BTreeMap<String, u64>,
    node_count: u64,
    running: u64,
    cost: MicroUsdPerHour,
    counted_to: SimTime,
    /// Micro-dollars per hour times milliseconds.
    cost_ms: u128,
    most_pending: usize,
    /// The disruptions that something was bought for to save money.
    bought_for: BTreeSet<String>,
}

impl Meter {
    /// A pod is evicted; the one that follows it is not one more.
    pub(super) fn pod_moved(&mut self) {
        self.measured.pods_moved += 1;
        self.measured.pods = self.measured.pods.saturating_sub(1);
    }

    /// A node goes for cost; `again` says that one bought for cost goes too soon, and whether it is replaced.
    pub(super) fn node_consolidated(&mut self, price: MicroUsdPerHour, again: Option<bool>) {
        self.measured.nodes_consolidated += 1;
        self.measured.saved += price.0 as i64;
        self.measured.flaps += u64::from(again == Some(true));
        self.measured.emptied_again += u64::from(again == Some(false));
    }

    /// A node is bought in place of others, to save money.
    pub(super) fn bought_for_cost(&mut self, price: MicroUsdPerHour, replaces: Option<&str>) {
        self.measured.saved -= price.0 as i64;
        self.bought_for.extend(replaces.map(ToOwned::to_owned));
    }

    /// A plan took nodes away for cost.
    pub(super) fn consolidated(&mut self, now: SimTime) {
        self.measured.consolidations += 1;
        self.measured.last_consolidation_s = now.0 / 1000;
    }

    pub(super) fn over_budget(&mut self) {
        self.measured.over_budget += 1;
    }

    /// Whether something was bought for the disruption.
    pub(super) fn was_bought_for(&self, id: &str) -> bool {
        self.bought_for.contains(id)
    }

    pub(super) fn pod_created(&mut self) {
        self.measured.pods += 1;
    }

    pub(super) fn pod_bound(&mut self, waited_ms: i64) {
        self.measured.waits_ms.push(waited_ms);
        self.running += 1;
    }

    pub(super) fn pod_left(&mut self) {
        self.running -= 1;
    }

    /// A pod went before it was ever bound.
    pub(super) fn pod_dropped(&mut self, daemon: bool) {
        if !daemon {
            self.measured.pods -= 1;
        }
    }

    pub(super) fn pending(&mut self, pods: usize) {
        self.most_pending = self.most_pending.max(pods);
    }

    pub(super) fn turn(&mut self, violations: Vec<String>, keep: usize) {
        self.measured.turns += 1;
        self.measured.violations += violations.len() as u64;
        let room = keep.saturating_sub(self.measured.violation_texts.len());
        self.measured.violation_texts.extend(violations.into_iter().take(room));
    }

    pub(super) fn node_started(
        &mut self,
        now: SimTime,
        instance_type: &str,
        price: MicroUsdPerHour,
    ) {
        self.count_to(now);
        *self.nodes.entry(instance_type.to_owned()).or_insert(0) += 1;
        self.node_count += 1;
        self.cost += price;
        self.measured.nodes_started += 1;
        self.measured.peak_nodes = self.measured.peak_nodes.max(self.node_count);
        self.measured.peak_cost = self.measured.peak_cost.max(self.cost);
    }

    pub(super) fn node_stopped(
        &mut self,
        now: SimTime,
        instance_type: &str,
        price: MicroUsdPerHour,
    ) {
        self.count_to(now);
        let left = self.nodes.get(instance_type).copied().unwrap_or(0).saturating_sub(1);
        if left == 0 {
            self.nodes.remove(instance_type);
        } else {
            self.nodes.insert(instance_type.to_owned(), left);
        }
        self.node_count -= 1;
        self.cost = self.cost.saturating_sub(price);
    }

    pub(super) fn sample(&mut self, now: SimTime, pending: usize) {
        self.count_to(now);
        let pending = std::mem::replace(&mut self.most_pending, pending).max(pending);
        let sample = Sample {
            at_s: now.0 / 1000,
            pending,
            running: self.running,
            cost: self.cost,
            nodes: self.nodes.clone(),
        };
        self.measured.samples.push(sample);
    }

    pub(super) fn finish(mut self, end: SimTime, waiting: usize) -> Measured {
        self.count_to(end);
        self.measured.never_bound = waiting;
        self.measured.waits_ms.sort_unstable();
        self.measured.cost_microusd = (self.cost_ms / 3_600_000) as u64;
        self.measured
    }

    fn count_to(&mut self, now: SimTime) {
        let passed = now.since_ms(self.counted_to).max(0) as u128;
        self.cost_ms += u128::from(self.cost.0) * passed;
        self.measured.node_ms += u128::from(self.node_count) * passed;
        self.counted_to = now;
    }
}
