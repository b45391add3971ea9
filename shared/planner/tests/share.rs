//! The part of a pool that is not spot: planned, and kept by consolidation.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use model::pod::PodPhase;
use model::{CapacityType, Duration, MicroUsdPerHour, Offering, PodSpec, labels};
use std::sync::Arc;
use world::{World, instance_type};

/// A world with one type of two CPUs, at $0.10 on demand and $0.03 as spot, whose pool wants so much on demand.
fn world(percent: u32) -> World {
    let mut kind = instance_type("t2", 2, 100_000);
    let spot = kind.offerings.iter().map(|own| Offering {
        capacity_type: CapacityType::Spot,
        price: MicroUsdPerHour(30_000),
        ..own.clone()
    });
    let spot = spot.collect::<Vec<_>>();
    kind.offerings.extend(spot);
    let mut world = World::new();
    world.snapshot.instance_types = [("all".to_owned(), Arc::new(vec![kind]))].into();
    world.pool().on_demand_percent = percent;
    world
}

/// Pods that fill a node each.
fn add_waiting(world: &mut World, count: usize) {
    for at in 0..count {
        let name = format!("waits-{at}");
        world.add_pod(&name, "", 1500);
        let pod = world.pod(&name);
        (pod.node_name, pod.bound_at) = (None, None);
        (pod.phase, pod.unschedulable) = (PodPhase::Pending, true);
    }
}

/// A node with a pod of so many milli-CPUs.
fn add_node(world: &mut World, name: &str, way: CapacityType, cpu: i64) {
    let price = Some(MicroUsdPerHour(if way == CapacityType::Spot { 30_000 } else { 100_000 }));
    world.add_node(name, "t2", 10_000);
    world.add_pod(&format!("pod-{name}"), name, cpu);
    let node = world.node(name);
    node.price = price;
    node.labels.insert(labels::CAPACITY_TYPE.to_owned(), way.as_str().to_owned());
    let claim = world.claim(name);
    (claim.capacity_type, claim.price) = (Some(way), price);
    world.instance(&format!("i-{name}")).capacity_type = way;
}

#[test]
fn so_much_of_what_is_bought_and_there_is_not_spot() {
    let check = |percent, change: &dyn Fn(&mut World), on_demand: usize| {
        let mut world = world(percent);
        add_waiting(&mut world, 10);
        change(&mut world);
        let plan = world.plan();
        let dear = |launch: &&model::Launch| launch.offering.capacity_type != CapacityType::Spot;
        assert_eq!(plan.launches.len(), 10);
        assert_eq!(plan.launches.iter().filter(dear).count(), on_demand, "{percent}%");
    };
    let as_is = |_: &mut World| {};
    check(0, &as_is, 0);
    check(30, &as_is, 3);
    check(31, &as_is, 4);
    check(100, &as_is, 10);
    // What is there counts.
    check(30, &|world| add_node(world, "n0", CapacityType::OnDemand, 1500), 3);
    check(
        30,
        &|world| {
            (0..3).for_each(|at| add_node(world, &format!("n{at}"), CapacityType::OnDemand, 1500))
        },
        1,
    );
    check(
        30,
        &|world| (0..5).for_each(|at| add_node(world, &format!("n{at}"), CapacityType::Spot, 1500)),
        5,
    );
    // Pods that ask for spot get it.
    let spot_only = |world: &mut World| {
        for pod in &mut world.snapshot.pods {
            let node_selector = [(labels::CAPACITY_TYPE.to_owned(), "spot".to_owned())].into();
            pod.spec = Arc::new(PodSpec { node_selector, ..(*pod.spec).clone() });
        }
    };
    check(30, &spot_only, 0);
}

#[test]
fn consolidation_leaves_the_share() {
    let check = |percent, gone: usize| {
        let mut world = world(percent);
        world.pool().disruption.consolidate_after = Some(Duration(0));
        add_node(&mut world, "n0", CapacityType::OnDemand, 1500);
        add_node(&mut world, "n1", CapacityType::OnDemand, 1500);
        add_node(&mut world, "n2", CapacityType::Spot, 1500);
        let plan = world.plan();
        let named = plan.disruptions.iter().map(|told| told.nodes.len()).sum::<usize>();
        assert_eq!(named, gone, "{percent}%: {:?}", plan.disruptions);
    };
    check(0, 2);
    check(30, 1);
    check(60, 0);
}
