//! Pools of a fixed number of nodes: kept at their number, replaced, never consolidated.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod world;

use model::disruption::InterruptionKind;
use model::resources::NODES;
use model::{DisruptionReason, Duration, Ineligible, Interruption};
use world::{World, budget};

fn cluster(replicas: u32) -> World {
    let mut world = World::new();
    world.pool().replicas = Some(replicas);
    world.pool().disruption.consolidate_after = Some(Duration(0));
    world
}

#[test]
fn what_is_missing_is_bought_once_and_stays_though_it_is_empty() {
    let mut world = cluster(3);
    let first = world.turn();
    assert_eq!(first.launches.len(), 3);
    assert!(first.launches.iter().all(|launch| launch.pods.is_empty()));
    assert_eq!(first.launches[0].offering.instance_type, "t2", "the cheapest");
    assert!(!first.launches[0].alternatives.is_empty());
    world.run(600, 10);
    assert_eq!((world.nodes().len(), world.bought), (3, 3), "{:#?}", world.log);
}

#[test]
fn its_nodes_take_pods_but_none_is_bought_for_pods() {
    let mut world = cluster(1);
    world.run(200, 10);
    world.add_pod("p0", "new-1", 1500);
    world.add_pod("p1", "new-1", 100);
    world.add_pod("large", "new-1", 1500);
    let wait = |world: &mut World, name: &str| {
        let pod = world.pod(name);
        pod.node_name = None;
        pod.phase = model::pod::PodPhase::Pending;
        pod.unschedulable = true;
    };
    wait(&mut world, "p1");
    wait(&mut world, "large");
    let plan = world.plan();
    assert_eq!((plan.placements.len(), plan.launches.len()), (1, 0));
    assert_eq!(plan.unschedulable.len(), 1);
}

#[test]
fn what_is_lost_is_bought_again() {
    let mut world = cluster(2);
    world.run(200, 10);
    let now = world.snapshot.now;
    world.claim("new-1").interruption = Some(Interruption {
        kind: InterruptionKind::SpotWarning,
        at: now,
        deadline: Some(now.plus(Duration(120))),
    });
    assert_eq!(world.turn().launches.len(), 1);
    world.run(400, 10);
    assert_eq!((world.nodes(), world.bought), (vec!["new-2", "new-3"], 3), "{:#?}", world.log);
}

#[test]
fn what_is_too_much_goes_the_empty_first_within_budgets() {
    let mut world = cluster(3);
    world.run(200, 10);
    world.add_pod("p0", "new-1", 100);
    world.pool().replicas = Some(1);
    world.pool().disruption.budgets = vec![budget("1", &[])];
    let plan = world.turn();
    assert_eq!((plan.removals.len(), plan.launches.len()), (1, 0));
    world.run(400, 10);
    assert_eq!((world.nodes(), world.bought), (vec!["new-1"], 3), "{:#?}", world.log);
    world.pool().replicas = Some(0);
    world.pod("p0").do_not_disrupt = true;
    world.run(200, 10);
    assert_eq!(world.nodes(), ["new-1"], "its pod must not be disturbed");
}

#[test]
fn a_drifted_node_is_joined_by_another_before_it_goes() {
    let mut world = cluster(2);
    world.run(200, 10);
    world.add_pod("p0", "new-1", 1500);
    world.add_pod("p1", "new-2", 1500);
    world.pool().disruption.budgets = vec![budget("1", &[])];
    world.pool().disruption.rotate_before = Some(world.snapshot.now);
    for _ in 0..150 {
        world.turn();
        let ready = world.snapshot.nodes.iter().filter(|node| node.ready && !node.deleting);
        let all = world.snapshot.node_claims.iter().filter(|claim| !claim.deleting).count();
        assert!(ready.count() >= 2 && all <= 3, "{:#?}", world.log);
        world.pass(10);
    }
    assert_eq!((world.nodes(), world.bought), (vec!["new-3", "new-4"], 4), "{:#?}", world.log);
    assert!(!world.anything_waits());
}

#[test]
fn a_limit_of_nodes_holds() {
    let mut world = cluster(5);
    world.pool().limits.set(NODES, 3);
    world.run(200, 10);
    assert_eq!((world.nodes().len(), world.bought), (3, 3));
}

#[test]
fn a_blocked_node_is_waited_for_without_buying_and_selling() {
    let mut world = cluster(2);
    world.run(200, 10);
    world.add_pod("p0", "new-1", 1500);
    world.add_pod("p1", "new-2", 1500);
    world.pool().disruption.rotate_before = Some(world.snapshot.now);
    world.pool().disruption.budgets = vec![budget("1", &[])];
    world.run(20, 10);
    for pod in ["p0", "p1"] {
        world.pod(pod).do_not_disrupt = true;
    }
    world.run(600, 10);
    assert!(world.bought <= 3, "{:#?}", world.log);
    let plan = world.plan();
    let told = plan.kept.iter().map(|kept| (&*kept.node, kept.reason, &kept.by));
    let told = told.collect::<Vec<_>>();
    assert_eq!(told.len(), 2);
    assert!(
        matches!(told[0], ("new-1", DisruptionReason::Drifted, Ineligible::PodDoNotDisrupt { .. })),
        "{told:?}"
    );
}
