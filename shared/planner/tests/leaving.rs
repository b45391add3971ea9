//! Pods of nodes on their way out get places elsewhere, and nothing is bought twice while they move.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod world;

use model::disruption::InterruptionKind;
use model::pod::{
    InclusionPolicy, Owner, PodAffinityTerm, PodPhase, TopologySpread, WhenUnsatisfiable,
};
use model::{Duration, Interruption, LabelSelector, PodSpec, Timestamp, labels};
use std::sync::Arc;
use world::World;

/// A node `old` that is being deleted, with pods of these milli-CPUs.
fn deleted(pods: &[i64]) -> World {
    let mut world = World::new();
    world.add_node("old", "t4", 10_000);
    for (index, cpu) in pods.iter().enumerate() {
        world.add_pod(&format!("web-{index}"), "old", *cpu);
    }
    world.claim("old").deleting = true;
    world.claim("old").deletion_at = Some(Timestamp(world::START));
    world
}

#[test]
fn pods_of_a_leaving_node_go_to_room_that_is_there() {
    let mut world = deleted(&[1000]);
    world.add_node("roomy", "t2", 10_000);
    let plan = world.plan();
    assert_eq!(plan.launches, []);
    assert_eq!(&*plan.placements[0].node, "roomy");
}

#[test]
fn pods_of_a_leaving_node_are_bought_for_once() {
    let mut world = deleted(&[1000, 500, 500]);
    world.run(600, 5);
    assert_eq!(world.bought, 1, "{:#?}", world.log);
    assert_eq!(world.nodes(), ["new-1"]);
    assert_eq!(world.terminated, ["i-old"]);
    assert!(!world.anything_waits());
}

#[test]
fn a_pod_without_another_place_is_not_reported_as_waiting() {
    let mut world = deleted(&[1000]);
    let pool = world.pool();
    pool.limits.set("cpu", 4000);
    let plan = world.plan();
    assert_eq!((plan.launches, plan.placements, plan.unschedulable), (vec![], vec![], vec![]));
}

#[test]
fn a_pod_without_another_place_counts_where_it_is() {
    let mut world = deleted(&[1500]);
    world.add_node("roomy", "t2", 10_000);
    world.add_pod("large", "roomy", 1000);
    world.add_pod("new", "roomy", 100);
    world.pool().limits.set("cpu", 6000);
    let apart = PodAffinityTerm {
        topology_key: "topology.kubernetes.io/zone".to_owned(),
        selector: LabelSelector::from_labels(&world.pod("new").labels),
        namespaces: Vec::new(),
        namespace_selector: None,
    };
    let mut spec = PodSpec { pod_anti_affinity: vec![apart], ..(*world.pod("web-0").spec).clone() };
    spec.node_selector.insert("kubernetes.io/hostname".to_owned(), "old".to_owned());
    world.pod("web-0").spec = spec.into();
    world.pod("large").labels = Default::default();
    let new = world.pod("new");
    (new.node_name, new.unschedulable) = (None, true);
    let plan = world.plan();
    assert_eq!(plan.placements, []);
    assert_eq!(&*plan.unschedulable[0].pod.name, "new");
}

#[test]
fn what_was_bought_waits_for_the_successor_of_a_pod_that_is_ending() {
    let mut world = deleted(&[1000]);
    world.claim("old").deleting = false;
    let (kind, at) = (InterruptionKind::SpotWarning, Timestamp(world::START));
    world.instance("i-old").interruption = Some(Interruption { kind, at, deadline: None });
    world.pool().disruption.consolidate_after = Some(Duration(0));
    let owner = Owner { kind: "StatefulSet".to_owned(), name: "db".to_owned() };
    world.pod("web-0").owner = Some(owner);
    world.run(300, 5);
    assert_eq!((world.bought, world.nodes()), (1, vec!["new-1"]), "{:#?}", world.log);
    assert!(!world.anything_waits());
}

/// In the order of their names the second would make its zone the fuller by two; the others come after it.
#[test]
fn pods_that_are_spread_keep_the_places_that_were_bought_for_them() {
    let mut world = deleted(&[1000; 4]);
    for (index, zone) in ["z-a", "z-b"].into_iter().enumerate() {
        let name = format!("n{index}");
        world.add_node(&name, "t2", 10);
        world.node(&name).labels.insert(labels::ZONE.to_owned(), zone.to_owned());
        let pods = [2 * index, 2 * index + 1].map(|pod| format!("web-{pod}"));
        world.claim(&name).nominated = pods.map(|pod| model::PodId::new("shop", &pod)).into();
    }
    let selector = LabelSelector::from_labels(&world.pod("web-0").labels);
    for pod in &mut world.snapshot.pods {
        Arc::make_mut(&mut pod.spec).topology_spread.push(TopologySpread {
            max_skew: 1,
            topology_key: labels::ZONE.to_owned(),
            when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
            selector: selector.clone(),
            min_domains: None,
            match_label_keys: Vec::new(),
            node_affinity_policy: InclusionPolicy::Honor,
            node_taints_policy: InclusionPolicy::Ignore,
        });
    }
    world.add_pod("other", "none", 1000);
    let other = world.pod("other");
    (other.node_name, other.phase, other.unschedulable) = (None, PodPhase::Pending, true);
    other.labels = Arc::default();
    let plan = world.plan();
    let bought = plan.launches.iter().flat_map(|launch| &launch.pods).map(|pod| &*pod.name);
    assert_eq!(bought.collect::<Vec<_>>(), ["other"]);
    let placed = plan.placements.iter().map(|placed| (&*placed.pod.name, &*placed.node));
    let expected = [("web-0", "n0"), ("web-1", "n0"), ("web-2", "n1"), ("web-3", "n1")];
    assert_eq!(placed.collect::<Vec<_>>(), expected);
}
