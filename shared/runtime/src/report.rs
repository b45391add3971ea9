//! What a turn did, why, and what it cost: for the log and the metrics.

use crate::configuration::Mode;
use crate::observed::Traffic;
use execute::Outcome;
use model::Plan;
use serde::Serialize;
use std::collections::BTreeMap;

/// The sum of a turn.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The turn's name, under which its snapshot and plan are kept.
    pub turn: String,
    /// What woke it.
    pub trigger: String,
    /// Whether it was carried out.
    pub mode: Mode,
    /// Pods that wait.
    pub pending_pods: usize,
    /// Pods placed on nodes that are there or on their way.
    pub placed_pods: usize,
    /// Nodes that the plan buys.
    pub launches: usize,
    /// Instances that were bought.
    pub launched: usize,
    /// Instances that were terminated.
    pub terminated: usize,
    /// Pods that cannot be placed.
    pub unschedulable_pods: usize,
    /// Steps of claims, nodes and instances.
    pub steps: usize,
    /// The price of the planned launches, in micro-dollars per hour.
    pub planned_micro_usd_per_hour: u64,
    /// The price of what was bought, this turn's launches and earlier ones resumed, in micro-dollars per hour.
    pub bought_micro_usd_per_hour: u64,
    /// No plan costs less.
    pub lower_bound_micro_usd_per_hour: u64,
    /// What the nodes that the plan takes away cost, less what replaces them, in micro-dollars per hour; below zero if it costs more.
    pub saves_micro_usd_per_hour: i64,
    /// The price of all of Joiner's nodes before this turn, in micro-dollars per hour.
    pub nodes_micro_usd_per_hour: u64,
    /// Joiner's nodes and claims.
    pub claims: usize,
    /// Actions that failed.
    pub failures: usize,
    /// What the check found wrong with the plan.
    pub violations: usize,
    /// Milliseconds by part of the turn.
    pub milliseconds: BTreeMap<&'static str, u64>,
    /// Calls and bytes by source.
    pub traffic: BTreeMap<&'static str, Traffic>,
    /// When the plan wants to be looked at again, in seconds since 1970.
    pub wake_at: Option<i64>,
    /// Why pods stay where they are: a reason, and how many pods have it first among theirs.
    pub reasons: BTreeMap<String, usize>,
    /// What is odd about what was read.
    pub findings: Vec<String>,
}

impl Report {
    /// Adds what the plan says.
    pub(crate) fn plan(&mut self, plan: &Plan) {
        self.placed_pods = plan.placements.len();
        self.launches = plan.launches.len();
        self.unschedulable_pods = plan.unschedulable.len();
        self.steps = plan.steps.len();
        let pods = plan.launches.iter().map(|launch| launch.pods.len()).sum::<usize>();
        self.pending_pods = pods + self.placed_pods + self.unschedulable_pods;
        self.planned_micro_usd_per_hour = plan.cost.planned.0;
        self.lower_bound_micro_usd_per_hour = plan.cost.lower_bound.0;
        self.wake_at = plan.wake_at.map(|at| at.0);
        self.saves_micro_usd_per_hour = plan.disruptions.iter().map(|one| one.saves).sum();
        for left in &plan.unschedulable {
            let first = left.reasons.first().map_or_else(String::new, ToString::to_string);
            *self.reasons.entry(first).or_default() += 1;
        }
    }

    /// Adds what became of it.
    pub(crate) fn outcome(&mut self, outcome: &Outcome) {
        self.launched = outcome.launched;
        self.bought_micro_usd_per_hour =
            outcome.actions.iter().filter_map(|action| action.price).sum();
        self.terminated = outcome.terminated;
        self.failures = outcome.failures().count();
    }
}
