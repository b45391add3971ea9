//! The explanation of a node as JSON: the schema `joiner.dev/node/v1` (`plan-schema.md`).

use model::{
    Disruption, Ineligible, Interruption, Launch, MicroUsdPerHour, Placement, PlannedDisruption,
    Unschedulable,
};
use planner::NodeExplanation;
use serde::Serialize;

/// The document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document<'a> {
    version: &'static str,
    region: &'a str,
    node: &'a str,
    node_pool: Option<&'a str>,
    price_micro_usd_per_hour: Option<MicroUsdPerHour>,
    interruption: Option<Interruption>,
    disruption: Option<&'a Disruption>,
    planned: Option<&'a PlannedDisruption>,
    causes: Vec<Cause<'a>>,
    kept_by: Option<Obstacle<'a>>,
    alone: Alone<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cause<'a> {
    reason: &'static str,
    kept_by: Option<Obstacle<'a>>,
}

/// What keeps a node, with the sentence that people read.
#[derive(Serialize)]
struct Obstacle<'a> {
    #[serde(flatten)]
    obstacle: &'a Ineligible,
    message: String,
}

/// What would come of taking the node away alone.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Alone<'a> {
    moved_pods: usize,
    placed: &'a [Placement],
    nodes: &'a [Launch],
    stranded: &'a [Unschedulable],
    saves_micro_usd_per_hour: Option<i64>,
    least_micro_usd_per_hour: MicroUsdPerHour,
    pays: bool,
}

impl<'a> Document<'a> {
    pub(super) fn of(region: &'a str, told: &'a NodeExplanation) -> Self {
        let alone = &told.alone;
        let cause = |(reason, kept): &'a (model::DisruptionReason, Option<Ineligible>)| Cause {
            reason: reason.as_str(),
            kept_by: kept.as_ref().map(Obstacle::of),
        };
        Self {
            version: "joiner.dev/node/v1",
            region,
            node: &told.node,
            node_pool: told.pool.as_deref(),
            price_micro_usd_per_hour: told.price,
            interruption: told.interruption,
            disruption: told.begun.as_ref(),
            planned: told.planned.as_ref(),
            causes: told.causes.iter().map(cause).collect(),
            kept_by: told.kept_by.as_ref().map(Obstacle::of),
            alone: Alone {
                moved_pods: alone.moved,
                placed: &alone.moves,
                nodes: &alone.launches,
                stranded: &alone.stranded,
                saves_micro_usd_per_hour: alone.saves,
                least_micro_usd_per_hour: alone.toll,
                pays: alone.pays(),
            },
        }
    }
}

impl<'a> Obstacle<'a> {
    fn of(obstacle: &'a Ineligible) -> Self {
        Self { obstacle, message: obstacle.to_string() }
    }
}
