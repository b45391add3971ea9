//! The plan as JSON: the schema `joiner.dev/plan/v1` (`plan-schema.md`).

use super::Answer;
use super::parts::Parts;
use super::what_if::Scenario;
use model::{Launch, MicroUsdPerHour, Placement, PodId, Reason, Removal};
use observe::DumpFinding;
use serde::Serialize;
use std::sync::Arc;

/// The schema's name and version.
pub(crate) const VERSION: &str = "joiner.dev/plan/v1";

/// The document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Document<'a> {
    version: &'static str,
    region: &'a str,
    nodes: &'a [Launch],
    placed: &'a [Placement],
    unschedulable: Vec<Unschedulable<'a>>,
    removals: &'a [Removal],
    cost: Cost,
    #[serde(skip_serializing_if = "Option::is_none")]
    repack: Option<Repack<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    what_if: Vec<WhatIf<'a>>,
    unreadable_pods: &'a [String],
    findings: &'a [DumpFinding],
}

#[derive(Serialize)]
struct Unschedulable<'a> {
    pod: &'a PodId,
    reasons: Vec<Explained<'a>>,
}

#[derive(Serialize)]
struct Explained<'a> {
    #[serde(flatten)]
    reason: &'a Reason,
    message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cost {
    micro_usd_per_hour: MicroUsdPerHour,
    lower_bound_micro_usd_per_hour: MicroUsdPerHour,
    gap_basis_points: Option<u64>,
    estimated: bool,
    #[serde(flatten)]
    parts: Parts,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Repack<'a> {
    current_micro_usd_per_hour: MicroUsdPerHour,
    current_estimated: bool,
    saves_micro_usd_per_hour: Option<i64>,
    replaced_nodes: &'a [Arc<str>],
    kept_nodes: &'a [Arc<str>],
    waiting_pods: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WhatIf<'a> {
    words: &'a str,
    nodes: &'a [Launch],
    placed: &'a [Placement],
    unschedulable_pods: usize,
    cost: Cost,
    difference_micro_usd_per_hour: Option<i64>,
}

impl Cost {
    fn of(plan: &model::Plan) -> Self {
        let (planned, bound) = (plan.cost.planned, plan.cost.lower_bound);
        Self {
            micro_usd_per_hour: planned,
            lower_bound_micro_usd_per_hour: bound,
            gap_basis_points: planned.gap_basis_points(bound),
            estimated: plan.cost.estimated,
            parts: Parts::of(plan),
        }
    }
}

impl<'a> Document<'a> {
    pub(crate) fn of(answer: &'a Answer) -> Self {
        let plan = &answer.plan;
        let explained = |reason: &'a Reason| Explained { reason, message: reason.to_string() };
        let unschedulable = plan.unschedulable.iter().map(|left| Unschedulable {
            pod: &left.pod,
            reasons: left.reasons.iter().map(explained).collect(),
        });
        Self {
            version: VERSION,
            region: &answer.planned.region,
            nodes: &plan.launches,
            placed: &plan.placements,
            unschedulable: unschedulable.collect(),
            removals: &plan.removals,
            cost: Cost::of(plan),
            repack: answer.repack.as_ref().map(|repack| Repack::of(repack, answer)),
            what_if: answer.what_if.iter().map(|scenario| WhatIf::of(scenario, plan)).collect(),
            unreadable_pods: &answer.dump.unreadable_pods,
            findings: &answer.dump.findings,
        }
    }
}

impl<'a> WhatIf<'a> {
    fn of(scenario: &'a Scenario, plan: &model::Plan) -> Self {
        Self {
            words: &scenario.words,
            nodes: &scenario.plan.launches,
            placed: &scenario.plan.placements,
            unschedulable_pods: scenario.plan.unschedulable.len(),
            cost: Cost::of(&scenario.plan),
            difference_micro_usd_per_hour: scenario.difference(plan),
        }
    }
}

impl<'a> Repack<'a> {
    fn of(repack: &'a planner::Repack, answer: &Answer) -> Self {
        let saves = repack.current.0 as i64 - answer.plan.cost.planned.0 as i64;
        Self {
            current_micro_usd_per_hour: repack.current,
            current_estimated: repack.estimated,
            saves_micro_usd_per_hour: answer.is_comparable().then_some(saves),
            replaced_nodes: &repack.replaced,
            kept_nodes: &repack.kept,
            waiting_pods: repack.waiting,
        }
    }
}
