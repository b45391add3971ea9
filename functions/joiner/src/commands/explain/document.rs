//! The explanation of a pod as JSON: the schema `joiner.dev/explanation/v1` (`plan-schema.md`).

use model::{MicroUsdPerHour, PodId, Resources};
use planner::{
    Change, NodeVerdict, Obstacle, OfferingVerdict, PodExplanation, PodState, PoolVerdict,
    TypeVerdict,
};
use serde::Serialize;
use serde_json::{Value, json};

/// The schema's name and version.
const VERSION: &str = "joiner.dev/explanation/v1";

/// The document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document<'a> {
    version: &'static str,
    pod: &'a PodId,
    instance_type: Option<&'a str>,
    requests: &'a Resources,
    state: Value,
    fixes: Vec<Vec<String>>,
    pools: Vec<Pool<'a>>,
    nodes: Vec<Node<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pool<'a> {
    name: &'a str,
    weight: i32,
    obstacles: Vec<Told>,
    known_types: usize,
    fitting_types: usize,
    groups: Vec<Group>,
    types: Vec<Type<'a>>,
}

#[derive(Serialize)]
struct Told {
    kind: &'static str,
    message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    kind: &'static str,
    message: String,
    types: usize,
    fewest_obstacles: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Type<'a> {
    name: &'a str,
    obstacles: Vec<Told>,
    offerings: Vec<Offering<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Offering<'a> {
    zone: &'a str,
    capacity_type: &'static str,
    price_micro_usd_per_hour: MicroUsdPerHour,
    price_estimated: bool,
    obstacles: Vec<Told>,
}

#[derive(Serialize)]
struct Node<'a> {
    name: &'a str,
    obstacle: Option<Told>,
}

impl<'a> Document<'a> {
    pub(super) fn of(told: &'a PodExplanation, instance_type: Option<&'a str>) -> Self {
        let fix = |changes: &Vec<Change>| changes.iter().map(ToString::to_string).collect();
        Self {
            version: VERSION,
            pod: &told.pod,
            instance_type,
            requests: &told.requests,
            state: state(&told.state),
            fixes: told.fixes.iter().map(fix).collect(),
            pools: told.pools.iter().map(pool).collect(),
            nodes: told.nodes.iter().map(node).collect(),
        }
    }
}

fn state(state: &PodState) -> Value {
    match state {
        PodState::Runs { node } => json!({"kind": "runs", "node": &**node}),
        PodState::NotConsidered { cause } => json!({"kind": "notConsidered", "cause": cause}),
        PodState::Placed { node } => json!({"kind": "placed", "node": &**node}),
        PodState::Bought { launch } => json!({"kind": "bought", "launch": launch}),
        PodState::Unschedulable { reasons } => {
            let told =
                |reason: &model::Reason| json!({"reason": reason, "message": reason.to_string()});
            json!({"kind": "unschedulable", "reasons": reasons.iter().map(told).collect::<Vec<_>>()})
        }
    }
}

fn told(obstacle: &Obstacle) -> Told {
    Told { kind: obstacle.kind(), message: obstacle.to_string() }
}

fn pool(verdict: &PoolVerdict) -> Pool<'_> {
    let group = |group: planner::Group| Group {
        kind: group.obstacle.kind(),
        message: group.obstacle.of_many(),
        types: group.types,
        fewest_obstacles: group.fewest,
    };
    Pool {
        name: &verdict.pool,
        weight: verdict.weight,
        obstacles: verdict.obstacles.iter().map(told).collect(),
        known_types: verdict.types.len(),
        fitting_types: verdict.fitting().len(),
        groups: verdict.groups().into_iter().map(group).collect(),
        types: verdict.types.iter().map(of_type).collect(),
    }
}

fn of_type(verdict: &TypeVerdict) -> Type<'_> {
    Type {
        name: &verdict.instance_type,
        obstacles: verdict.obstacles.iter().map(told).collect(),
        offerings: verdict.offerings.iter().map(offering).collect(),
    }
}

fn offering(verdict: &OfferingVerdict) -> Offering<'_> {
    Offering {
        zone: &verdict.zone,
        capacity_type: verdict.capacity_type.as_str(),
        price_micro_usd_per_hour: verdict.price,
        price_estimated: verdict.estimated,
        obstacles: verdict.obstacles.iter().map(told).collect(),
    }
}

fn node(verdict: &NodeVerdict) -> Node<'_> {
    Node { name: &verdict.node, obstacle: verdict.obstacle.as_ref().map(told) }
}
