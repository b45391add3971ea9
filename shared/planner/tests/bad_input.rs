//! Far more of something than anyone means: the plan stays valid, says what it leaves out, and its work is bounded by counts.
//!
//! What contradicts itself is in `checklist/12-bad-input.txt`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use joiner_planner::{Options, check, plan};
use model::pod::PodPhase;
use model::{Operator, Plan, Requirement};
use std::collections::BTreeSet;
use std::sync::Arc;
use world::{World, pool};

/// A label that a pool leaves open is tried with so many values at most.
const VALUES: usize = 64;
/// For one pod, so many pools at most are told of.
const POOLS: usize = 32;

fn wait(world: &mut World, name: &str, cpu: i64, team: Option<&str>) {
    world.add_pod(name, "none", cpu);
    let pod = world.pod(name);
    (pod.node_name, pod.bound_at) = (None, None);
    (pod.phase, pod.unschedulable, pod.ready) = (PodPhase::Pending, true, false);
    if let Some(team) = team {
        let spec = Arc::make_mut(&mut pod.spec);
        spec.node_selector.insert("team".to_owned(), team.to_owned());
    }
}

fn planned(world: &World) -> Plan {
    let plan = plan(&world.snapshot, &Options { steps: 300_000 });
    assert_eq!(check(&world.snapshot, &plan), []);
    plan
}

#[test]
fn of_ten_thousand_values_of_a_label_some_get_nodes_and_the_others_are_told() {
    let mut world = World::new();
    let any = Requirement::new("team", Operator::Exists, [""; 0]).value_set();
    world.pool().requirements.add("team", any);
    for at in 0..10_000 {
        wait(&mut world, &format!("p{at}"), 100, Some(&format!("team-{at}")));
    }
    let plan = planned(&world);
    let teams = plan.launches.iter().map(|launch| launch.labels["team"].as_str());
    let served = teams.collect::<BTreeSet<_>>().len();
    assert!((1..=VALUES).contains(&served), "{served}");
    assert_eq!(plan.unschedulable.len(), 10_000 - served);
    assert!(plan.unschedulable.iter().all(|left| left.reasons[0].to_string().contains("team")));
}

#[test]
fn a_thousand_pools_that_are_alike_plan_as_one_does() {
    let mut world = World::new();
    for at in 0..40 {
        wait(&mut world, &format!("p{at}"), 700, None);
    }
    let one = planned(&world);
    world.snapshot.node_pools.extend((0..999).map(|at| pool(&format!("pool-{at}"))));
    let many = planned(&world);
    assert_eq!(many.cost.planned, one.cost.planned);
    assert_eq!(many.cost.lower_bound, one.cost.lower_bound);
    assert_eq!(many.launches.len(), one.launches.len());
    assert_eq!(many.unschedulable, []);
}

#[test]
fn a_thousand_pools_that_refuse_a_pod_are_told_in_few_words() {
    let mut world = World::new();
    world.snapshot.node_pools = (0..1000).map(|at| pool(&format!("pool-{at}"))).collect();
    wait(&mut world, "large", 64_000, None);
    let plan = planned(&world);
    assert_eq!(plan.launches, []);
    assert_eq!(plan.unschedulable[0].reasons.len(), POOLS);
}
