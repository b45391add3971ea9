//! The consolidation as JSON: the schema `joiner.dev/consolidation/v1` (`plan-schema.md`).

use super::Answer;
use model::{Launch, MicroUsdPerHour, Placement};
use observe::DumpFinding;
use planner::ConsolidationStep;
use serde::Serialize;
use std::sync::Arc;

/// The document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document<'a> {
    version: &'static str,
    region: &'a str,
    current_micro_usd_per_hour: MicroUsdPerHour,
    after_micro_usd_per_hour: MicroUsdPerHour,
    moved_pods: usize,
    steps: Vec<Step<'a>>,
    unreadable_pods: &'a [String],
    findings: &'a [DumpFinding],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Step<'a> {
    removed_nodes: &'a [Arc<str>],
    nodes: &'a [Launch],
    placed: &'a [Placement],
    moved_pods: usize,
    saves_micro_usd_per_hour: i64,
}

impl<'a> Document<'a> {
    pub(super) fn of(answer: &'a Answer<'a>) -> Self {
        let step = |step: &'a ConsolidationStep| Step {
            removed_nodes: &step.nodes,
            nodes: &step.launches,
            placed: &step.moves,
            moved_pods: step.moved,
            saves_micro_usd_per_hour: step.saves,
        };
        let found = &answer.consolidation;
        Self {
            version: "joiner.dev/consolidation/v1",
            region: &answer.dump.snapshot.region,
            current_micro_usd_per_hour: found.current,
            after_micro_usd_per_hour: found.after,
            moved_pods: found.moved,
            steps: found.steps.iter().map(step).collect(),
            unreadable_pods: &answer.dump.unreadable_pods,
            findings: &answer.dump.findings,
        }
    }
}
