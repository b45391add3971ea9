//! Room that capacity buffers keep free: planned after all pods, and its nodes are not empty.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use model::pod::PodPhase;
use model::{Duration, PodSpec};
use std::sync::Arc;
use world::World;

/// A pod that waits; one whose name has a tilde stands for room, and comes last.
fn add_waiting(world: &mut World, name: &str, cpu: i64) {
    world.add_pod(name, "", cpu);
    let pod = world.pod(name);
    (pod.node_name, pod.bound_at) = (None, None);
    (pod.phase, pod.unschedulable) = (PodPhase::Pending, true);
    if pod.is_virtual() {
        pod.spec = Arc::new(PodSpec { priority: i32::MIN, ..(*pod.spec).clone() });
    }
}

#[test]
fn nodes_whose_room_is_kept_are_not_empty() {
    let check = |pods: &[(&str, i64)], removed: usize, launched: usize| {
        let mut world = World::new();
        world.pool().disruption.consolidate_after = Some(Duration(0));
        world.add_node("n0", "t2", 10_000);
        world.add_node("n1", "t2", 10_000);
        pods.iter().for_each(|(name, cpu)| add_waiting(&mut world, name, *cpu));
        let plan = world.plan();
        assert_eq!((plan.removals.len(), plan.launches.len()), (removed, launched), "{pods:?}");
    };
    check(&[], 2, 0);
    check(&[("room~0", 1500)], 1, 0);
    check(&[("room~0", 1500), ("room~1", 1500)], 0, 0);
    check(&[("room~0", 1500), ("room~1", 1500), ("room~2", 1500)], 0, 1);
    // Pods that are there take the room first.
    check(&[("room~0", 1500), ("room~1", 1500), ("a", 1500)], 0, 1);
}

#[test]
fn a_node_whose_room_is_kept_may_go_for_other_reasons() {
    let mut world = World::new();
    world.add_node("n0", "t2", 10_000);
    world.add_pod("web", "n0", 500);
    add_waiting(&mut world, "room~0", 1000);
    world.pool().disruption.rotate_before = Some(world.snapshot.now);
    let plan = world.plan();
    assert_eq!(plan.disruptions.len(), 1, "{plan:#?}");
}
