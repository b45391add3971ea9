//! Capacity reservations: used before anything is paid for, and no more of each than it holds.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use joiner_planner::check;
use model::{CapacityType, MicroUsdPerHour, NodeClaim, Offering, PodSpec, Reservation, labels};
use std::collections::BTreeMap;
use std::sync::Arc;
use world::{World, instance_type, pool};

/// A world with one type of two CPUs at $0.10, of which these reservations hold so many, and so many pods that fill a node each.
fn world(reservations: &[(&str, u32)], pods: usize) -> World {
    let mut kind = instance_type("t2", 2, 100_000);
    let reserved = |(id, available): &(&str, u32)| Offering {
        capacity_type: CapacityType::Reserved,
        price: MicroUsdPerHour(0),
        available: *available > 0,
        reservation: Some(Reservation {
            id: (*id).to_owned(),
            block: id.starts_with("cb"),
            available: *available,
        }),
        ..kind.offerings[0].clone()
    };
    let reserved = reservations.iter().map(reserved).collect::<Vec<_>>();
    kind.offerings.extend(reserved);
    let mut world = World::new();
    world.snapshot.instance_types = [("all".to_owned(), Arc::new(vec![kind]))].into();
    (0..pods).for_each(|at| add_waiting(&mut world, &format!("web-{at}"), 1500));
    world
}

fn add_waiting(world: &mut World, name: &str, cpu: i64) {
    world.add_pod(name, "", cpu);
    let pod = world.pod(name);
    (pod.node_name, pod.bound_at) = (None, None);
    (pod.phase, pod.unschedulable) = (model::pod::PodPhase::Pending, true);
}

fn ask(world: &mut World, key: &str, value: &str) {
    for pod in &mut world.snapshot.pods {
        let node_selector = [(key.to_owned(), value.to_owned())].into();
        pod.spec = Arc::new(PodSpec { node_selector, ..(*pod.spec).clone() });
    }
}

/// By reservation how many nodes are bought, with those that are paid for as `-`, and how many pods are left.
fn bought(world: &World) -> String {
    let plan = world.plan();
    let mut counts = BTreeMap::<&str, usize>::new();
    for launch in &plan.launches {
        *counts.entry(launch.offering.reservation.as_deref().unwrap_or("-")).or_default() += 1;
        assert!(launch.alternatives.iter().all(|other| other.reservation.is_none()));
    }
    let paid = counts.get("-").copied().unwrap_or(0) as u64;
    assert_eq!(plan.cost.planned, MicroUsdPerHour(100_000 * paid));
    let counts = counts.iter().map(|(id, count)| format!("{id}:{count}")).collect::<Vec<_>>();
    format!("{} left:{}", counts.join(" "), plan.unschedulable.len())
}

#[test]
fn reservations_are_used_first_and_never_over_what_they_hold() {
    let check = |change: &dyn Fn(&mut World), reservations: &[(&str, u32)], expected: &str| {
        let mut world = world(reservations, 3);
        change(&mut world);
        assert_eq!(bought(&world), expected, "{reservations:?}");
    };
    let as_is = |_: &mut World| {};
    check(&as_is, &[("cr-1", 5)], "cr-1:3 left:0");
    check(&as_is, &[("cr-1", 2)], "-:1 cr-1:2 left:0");
    check(&as_is, &[("cr-1", 0)], "-:3 left:0");
    check(&as_is, &[("cr-1", 1), ("cr-2", 1)], "-:1 cr-1:1 cr-2:1 left:0");
    // Two pools share what there is.
    check(
        &|world| world.snapshot.node_pools.push(pool("other")),
        &[("cr-1", 2)],
        "-:1 cr-1:2 left:0",
    );
    // A pool that does not want reservations buys as if there were none; one that wants nothing else buys nothing else.
    let only = |way: &'static str| {
        move |world: &mut World| {
            let wanted = model::Requirement::new(labels::CAPACITY_TYPE, model::Operator::In, [way]);
            world.pool().requirements = model::Requirements::from_list([&wanted]);
        }
    };
    check(&only("on-demand"), &[("cr-1", 2)], "-:3 left:0");
    check(&only("reserved"), &[("cr-1", 2)], "cr-1:2 left:1");
    // Pods may ask for one by its labels.
    check(
        &|world| ask(world, labels::RESERVATION_ID, "cr-2"),
        &[("cr-1", 2), ("cr-2", 1)],
        "cr-2:1 left:2",
    );
    check(
        &|world| ask(world, labels::RESERVATION_TYPE, "capacity-block"),
        &[("cb-1", 4), ("cr-1", 1)],
        "cb-1:3 left:0",
    );
    // A claim without an instance will take one.
    let claim = |world: &mut World| {
        world.snapshot.node_claims.push(NodeClaim {
            name: "coming".into(),
            pool: "default".to_owned(),
            labels: [(labels::RESERVATION_ID.to_owned(), "cr-1".to_owned())].into(),
            ..NodeClaim::default()
        });
    };
    check(&claim, &[("cr-1", 2)], "-:2 cr-1:1 left:0");
    // The limits of the pool hold for reservations too.
    let limit = |world: &mut World| {
        world.pool().limits = model::Resources::new().with(model::resources::NODES, 1);
    };
    check(&limit, &[("cr-1", 2)], "cr-1:1 left:2");
}

#[test]
fn the_fullest_nodes_are_the_reserved_ones() {
    let mut world = world(&[("cr-1", 1)], 0);
    [300, 900, 900, 1000, 1000].iter().enumerate().for_each(|(at, cpu)| {
        add_waiting(&mut world, &format!("web-{at}"), *cpu);
    });
    let plan = world.plan();
    let reserved = plan.launches.iter().find(|launch| launch.offering.reservation.is_some());
    let held = |launch: &model::Launch| {
        let own = world.snapshot.pods.iter().filter(|pod| launch.pods.contains(&pod.id));
        own.map(|pod| pod.spec.requests.get(model::resources::CPU)).sum::<i64>()
    };
    assert_eq!(held(reserved.unwrap()), 2000);
}

#[test]
fn the_check_refuses_one_more_than_a_reservation_holds() {
    let mut world = world(&[("cr-1", 2)], 2);
    let plan = world.plan();
    world.snapshot.instance_types = self::world(&[("cr-1", 1)], 0).snapshot.instance_types;
    let found = check(&world.snapshot, &plan);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].problem.contains("cr-1"), "{found:?}");
}
