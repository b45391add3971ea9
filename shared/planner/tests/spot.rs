//! Consolidation where capacity is bought in several ways: spot for spot, spot for on-demand, and reservations.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod world;

use model::disruption::Stage;
use model::{
    CapacityType, DisruptionReason, Duration, Ineligible, InstanceType, MicroUsdPerHour, Offering,
    Operator, Plan, Requirement, Requirements, labels,
};
use std::sync::Arc;
use world::{World, instance_type};

/// A type of so many CPUs, as spot capacity of that price in so many zones, and on demand for ten times as much.
fn spot(name: &str, cpu: i64, price: u64, zones: usize) -> InstanceType {
    let mut kind = instance_type(name, cpu, price * 10);
    let cheap = kind.offerings.iter().take(zones).map(|offering| Offering {
        capacity_type: CapacityType::Spot,
        price: MicroUsdPerHour(price),
        ..offering.clone()
    });
    let cheap = cheap.collect::<Vec<_>>();
    kind.offerings.extend(cheap);
    kind
}

/// A world in which nodes may be consolidated, with these types in its catalog.
fn cluster(types: Vec<InstanceType>) -> World {
    let mut world = World::new();
    world.pool().disruption.consolidate_after = Some(Duration(0));
    world.snapshot.instance_types = [("all".to_owned(), Arc::new(types))].into();
    world
}

/// A node with a pod of so many milli-CPUs.
fn add(world: &mut World, name: &str, kind: &str, (way, price): (CapacityType, u64), cpu: i64) {
    world.add_node(name, kind, 10_000);
    world.add_pod(&format!("pod-{name}"), name, cpu);
    let node = world.node(name);
    node.price = Some(MicroUsdPerHour(price));
    node.labels.insert(labels::CAPACITY_TYPE.to_owned(), way.as_str().to_owned());
    let claim = world.claim(name);
    claim.capacity_type = Some(way);
    claim.price = Some(MicroUsdPerHour(price));
    world.instance(&format!("i-{name}")).capacity_type = way;
}

fn gone(plan: &Plan) -> usize {
    let told = plan.disruptions.iter();
    told.filter(|told| told.reason == DisruptionReason::Underutilized)
        .map(|told| told.nodes.len())
        .sum()
}

const SPOT: (CapacityType, u64) = (CapacityType::Spot, 100_000);

#[test]
fn one_spot_node_is_replaced_if_fifteen_types_or_all_others_are_cheaper() {
    let check = |cheaper: usize, dearer: usize, zones: usize, expected: usize| {
        let mut types = vec![spot("own", 2, 100_000, 2)];
        types.extend((0..cheaper).map(|at| spot(&format!("c{at:02}"), 2, 50_000, zones)));
        types.extend((0..dearer).map(|at| spot(&format!("d{at:02}"), 2, 100_001, 2)));
        let mut world = cluster(types);
        add(&mut world, "n0", "own", SPOT, 1500);
        assert_eq!(gone(&world.plan()), expected, "{cheaper} cheaper, {dearer} dearer");
        let told = joiner_planner::explain_node(&world.snapshot, "n0", &Default::default());
        let kept = (expected == 0 && cheaper > 0).then_some(Ineligible::FewOfferings);
        assert_eq!(told.unwrap().kept_by, kept, "{cheaper} cheaper, {dearer} dearer");
    };
    check(15, 3, 2, 1);
    check(14, 3, 2, 0);
    check(4, 0, 2, 1);
    check(4, 1, 2, 0);
    check(0, 3, 2, 0);
    // The pool has another zone, but not for less.
    check(15, 3, 1, 0);
}

#[test]
fn several_spot_nodes_become_one_if_five_types_hold_their_pods_for_less() {
    let check = |cheaper: usize, dearer: usize, expected: usize| {
        let mut types = vec![spot("own", 2, 100_000, 2)];
        types.extend((0..cheaper).map(|at| spot(&format!("c{at:02}"), 4, 120_000, 2)));
        types.extend((0..dearer).map(|at| spot(&format!("d{at:02}"), 4, 500_000, 2)));
        let mut world = cluster(types);
        add(&mut world, "n0", "own", SPOT, 1500);
        add(&mut world, "n1", "own", SPOT, 1500);
        assert_eq!(gone(&world.plan()), expected, "{cheaper} cheaper, {dearer} dearer");
    };
    check(5, 5, 2);
    check(4, 5, 0);
    check(4, 0, 2);
    check(1, 0, 2);
    check(1, 1, 0);
}

fn sixteen(price: u64, others: u64) -> Vec<InstanceType> {
    let cheap = (0..10).map(|at| spot(&format!("c{at:02}"), 2, price, 2));
    let rest = (0..6).map(|at| spot(&format!("d{at:02}"), 2, others, 2));
    cheap.chain(rest).chain([spot("own", 2, 100_000, 2)]).collect()
}

#[test]
fn a_proposal_whose_choice_has_narrowed_is_withdrawn() {
    let check = |others: u64, stage: Option<Stage>| {
        let mut world = cluster(sixteen(50_000, 60_000));
        add(&mut world, "n0", "own", SPOT, 1500);
        let proposed = world.turn();
        assert_eq!(proposed.disruptions[0].stage, Some(Stage::Proposed));
        world.snapshot.instance_types =
            [("all".to_owned(), Arc::new(sixteen(50_000, others)))].into();
        world.pass(15);
        let then = world.turn();
        assert_eq!(then.disruptions.first().and_then(|told| told.stage), stage, "{others}");
        assert_eq!(then.launches.len(), usize::from(stage.is_some()));
        for launch in &then.launches {
            let offers = launch.alternatives.iter().chain([&launch.offering]);
            assert!(offers.clone().all(|offer| offer.price.0 < 100_000));
            let mut types = offers.map(|offer| &offer.instance_type).collect::<Vec<_>>();
            types.sort();
            types.dedup();
            assert!(types.len() >= 15, "{types:?}");
        }
    };
    check(60_000, Some(Stage::Committed));
    check(150_000, None);
}

#[test]
fn an_on_demand_node_becomes_spot_where_its_pool_allows() {
    let check = |ways: &[&str], expected: &[CapacityType]| {
        let mut world = cluster(vec![spot("own", 2, 10_000, 2)]);
        let allowed = Requirement::new(labels::CAPACITY_TYPE, Operator::In, ways.iter().copied());
        world.pool().requirements = Requirements::from_list([&allowed]);
        add(&mut world, "n0", "own", (CapacityType::OnDemand, 100_000), 1500);
        world.turn();
        world.pass(15);
        let plan = world.turn();
        let bought = plan.launches.iter().map(|launch| launch.offering.capacity_type);
        assert_eq!(bought.collect::<Vec<_>>(), expected, "{ways:?}: {:#?}", world.log);
        let others = plan.launches.iter().flat_map(|launch| &*launch.alternatives);
        assert!(others.clone().all(|other| other.capacity_type == CapacityType::Spot));
    };
    check(&["on-demand", "spot"], &[CapacityType::Spot]);
    check(&["on-demand"], &[]);
}

#[test]
fn a_reserved_node_is_filled_and_never_left_for_one_that_is_paid_for() {
    let types = vec![spot("own", 2, 10_000, 2), spot("large", 4, 20_000, 2)];
    let mut world = cluster(types);
    add(&mut world, "n0", "own", (CapacityType::Reserved, 0), 200);
    add(&mut world, "n1", "own", (CapacityType::OnDemand, 100_000), 900);
    add(&mut world, "n2", "own", (CapacityType::OnDemand, 100_000), 1500);
    let told = joiner_planner::explain_node(&world.snapshot, "n0", &Default::default()).unwrap();
    assert_eq!(told.kept_by, Some(Ineligible::PaidAnyway));
    for _ in 0..40 {
        world.turn();
        world.pass(10);
    }
    assert!(world.nodes().contains(&"n0"), "{:#?}", world.log);
    assert!(!world.nodes().contains(&"n1"), "its pod has room on n0: {:#?}", world.log);
    let on_reserved =
        world.snapshot.pods.iter().filter(|pod| pod.node_name.as_deref() == Some("n0"));
    assert_eq!(on_reserved.count(), 2, "{:#?}", world.log);
    let whole = joiner_planner::consolidate(
        &world.snapshot,
        &joiner_planner::Scope { foreign: true, ..Default::default() },
        &Default::default(),
    );
    let goes = whole.steps.iter().flat_map(|step| &step.nodes).any(|node| **node == *"n0");
    assert!(!goes, "{whole:?}");
}
