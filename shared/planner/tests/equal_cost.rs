//! At equal cost the plan buys what is newer, and puts replicas of one kind in several zones.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use joiner_planner::{Options, check, plan};
use model::pod::PodAffinityTerm;
use model::resources::{CPU, MEMORY, PODS};
use model::{LabelSelector, Labels, Launch, Pod, PodId, PodSpec, Resources, labels};
use std::sync::Arc;
use world::{World, instance_type};

/// Two pods that must be on two nodes, where beside t2 there is a newer type at so much an hour.
fn bought(price: u64, change: impl FnOnce(&mut World)) -> Vec<Launch> {
    let mut world = World::new();
    let app = Labels::from([("app".to_owned(), "web".to_owned())]);
    let apart = PodAffinityTerm {
        topology_key: labels::HOSTNAME.to_owned(),
        selector: LabelSelector::from_labels(&app),
        namespaces: Vec::new(),
        namespace_selector: None,
    };
    let requests = Resources::new().with(CPU, 500).with(MEMORY, 1 << 28).with(PODS, 1);
    let spec = PodSpec { requests, pod_anti_affinity: vec![apart], ..PodSpec::default() };
    let spec = Arc::new(spec);
    world.snapshot.pods.extend((0..2).map(|index| {
        let id = PodId::new("shop", &format!("web-{index}"));
        Pod::waiting(id, Arc::new(app.clone()), spec.clone())
    }));
    let mut newer = instance_type("z2", 2, price);
    newer.labels.insert(labels::INSTANCE_GENERATION.to_owned(), "7".to_owned());
    Arc::make_mut(world.snapshot.instance_types.get_mut("all").unwrap()).push(newer);
    change(&mut world);
    let plan = plan(&world.snapshot, &Options { steps: 300_000 });
    assert_eq!(check(&world.snapshot, &plan), []);
    plan.launches
}

fn types(launches: &[Launch]) -> Vec<&str> {
    launches.iter().map(|launch| launch.offering.instance_type.as_str()).collect()
}

#[test]
fn the_newer_generation_is_bought_if_it_costs_the_same() {
    assert_eq!(types(&bought(100_000, |_| {})), ["z2", "z2"]);
    assert_eq!(types(&bought(100_001, |_| {})), ["t2", "t2"]);
    // A limit counts what types have, so that one is not taken for another.
    let limited = bought(100_000, |world| world.pool().limits.set(CPU, 4000));
    assert_eq!(types(&limited), ["t2", "t2"]);
}

#[test]
fn replicas_go_to_different_zones() {
    let launches = bought(200_000, |_| {});
    let zones = launches.iter().map(|launch| launch.offering.zone.as_str());
    assert_eq!(zones.collect::<std::collections::BTreeSet<_>>().len(), 2);
}
