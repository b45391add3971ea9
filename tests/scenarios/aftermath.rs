//! What a plan leads to: the snapshot while its nodes are on their way, and the one when they are there.

use crate::expectation::render;
use crate::launched::{node, node_labels, parts};
use model::pod::PodPhase;
use model::{Launch, NodeClaim, Plan, PodId, Snapshot};
use planner::Options;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What planning again would change, while the new nodes are on their way and once they are there.
pub(crate) fn changes(snapshot: &Snapshot, plan: &Plan) -> Vec<String> {
    let mut coming = snapshot.clone();
    remove_nodes(&mut coming, plan);
    coming.node_claims.extend(plan.launches.iter().map(|launch| claim(snapshot, launch)));
    let second = planner::plan(&coming, &Options::default());
    let mut problems = compare("nodes on their way", plan, &second, &places(plan));
    problems.extend(violations("nodes on their way", &coming, &second));
    let mut settled = snapshot.clone();
    remove_nodes(&mut settled, plan);
    settled.nodes.extend(plan.launches.iter().map(|launch| node(snapshot, launch)));
    bind(&mut settled, &places(plan));
    let third = planner::plan(&settled, &Options::default());
    problems.extend(compare("pods bound", plan, &third, &BTreeMap::new()));
    problems.extend(violations("pods bound", &settled, &third));
    problems
}

fn remove_nodes(snapshot: &mut Snapshot, plan: &Plan) {
    let gone = plan.removals.iter().map(|removal| removal.node.clone()).collect::<BTreeSet<_>>();
    snapshot.nodes.retain(|node| !gone.contains(&node.name));
    let of_gone = |pod: &model::Pod| pod.node_name.as_ref().is_some_and(|node| gone.contains(node));
    snapshot.pods.retain(|pod| !of_gone(pod));
}

/// Where the plan puts each pod.
fn places(plan: &Plan) -> BTreeMap<PodId, Arc<str>> {
    let placed =
        plan.placements.iter().map(|placement| (placement.pod.clone(), placement.node.clone()));
    let launched = plan
        .launches
        .iter()
        .flat_map(|launch| launch.pods.iter().map(|pod| (pod.clone(), launch.name.clone())));
    placed.chain(launched).collect()
}

fn compare(
    when: &str,
    first: &Plan,
    again: &Plan,
    expected: &BTreeMap<PodId, Arc<str>>,
) -> Vec<String> {
    let refused = |plan: &Plan| {
        plan.unschedulable.iter().map(|refused| refused.pod.clone()).collect::<Vec<_>>()
    };
    let same = again.launches.is_empty()
        && again.removals.is_empty()
        && places(again) == *expected
        && refused(first) == refused(again);
    let changed = || format!("planning again with {when} changes something:\n{}", render(again));
    (!same).then(changed).into_iter().collect()
}

fn violations(when: &str, snapshot: &Snapshot, plan: &Plan) -> Vec<String> {
    let violations = planner::check(snapshot, plan);
    violations.iter().map(|violation| format!("check with {when}: {violation}")).collect()
}

fn claim(snapshot: &Snapshot, launch: &Launch) -> NodeClaim {
    let (pool, bought) = parts(snapshot, launch);
    NodeClaim {
        name: launch.name.clone(),
        pool: pool.name.clone(),
        node_name: None,
        provider_id: None,
        instance_type: Some(bought.name.clone()),
        zone: Some(launch.offering.zone.clone()),
        capacity_type: Some(launch.offering.capacity_type),
        labels: node_labels(snapshot, launch),
        taints: pool.taints.clone(),
        allocatable: bought.allocatable.clone(),
        capacity: bought.capacity.clone(),
        price: Some(launch.offering.price),
        nominated: launch.pods.clone(),
        created_at: Some(snapshot.now),
        deleting: false,
        ..NodeClaim::default()
    }
}

fn bind(snapshot: &mut Snapshot, places: &BTreeMap<PodId, Arc<str>>) {
    for pod in &mut snapshot.pods {
        if let Some(node) = places.get(&pod.id) {
            pod.node_name = Some(node.clone());
            pod.phase = PodPhase::Running;
            pod.unschedulable = false;
        }
    }
}
