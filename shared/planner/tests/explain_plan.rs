//! What a plan's explanation says of its rules and types is what planning again without them gives.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use joiner_planner::{Difference, Options, Variant, explain_plan};
use model::pod::PodAffinityTerm;
use model::resources::{CPU, MEMORY, PODS};
use model::{LabelSelector, Labels, Pod, PodId, PodSpec, Resources, Snapshot, ValueSet, labels};
use std::sync::Arc;
use world::{World, instance_type};

const OPTIONS: Options = Options { steps: 300_000 };

fn apart() -> PodAffinityTerm {
    PodAffinityTerm {
        topology_key: labels::HOSTNAME.to_owned(),
        selector: LabelSelector::from_labels(&app()),
        namespaces: Vec::new(),
        namespace_selector: None,
    }
}

fn app() -> Labels {
    Labels::from([("app".to_owned(), "web".to_owned())])
}

/// Four pods of half a core that must be apart, where nodes of two and four cores can be bought.
fn four_apart() -> Snapshot {
    let mut world = World::new();
    let requests = Resources::new().with(CPU, 500).with(MEMORY, 1 << 28).with(PODS, 1);
    let spec = PodSpec { requests, pod_anti_affinity: vec![apart()], ..PodSpec::default() };
    let spec = Arc::new(spec);
    world.snapshot.pods.extend((0..4).map(|index| {
        let id = PodId::new("shop", &format!("web-{index}"));
        Pod::waiting(id, Arc::new(app()), spec.clone())
    }));
    world.snapshot
}

#[test]
fn shapes_columns_the_next_best_and_the_price_of_a_rule_are_told() {
    let told = explain_plan(&four_apart(), &OPTIONS);
    assert_eq!(told.plan.cost.planned.0, 400_000);
    let shape = &told.shapes[0];
    assert_eq!((told.shapes.len(), shape.pods, shape.bought, shape.placed), (1, 4, 4, 0));
    assert_eq!(shape.worth.unwrap().0, 100_000);
    let column = &told.patterns[0];
    assert_eq!((told.patterns.len(), column.nodes, &*column.instance_type), (1, 4, "t2"));
    assert_eq!(column.holds, [(0, 1)]);
    assert!(column.used.contains(&(CPU.to_owned(), 25)), "{:?}", column.used);
    let dearer = Difference {
        without: Variant::WithoutType("t2".to_owned()),
        pods: 0,
        costs: 400_000,
        places: 0,
    };
    assert_eq!(told.without_type, [dearer]);
    let cheaper = Difference {
        without: Variant::WithoutAntiAffinity(Some(labels::HOSTNAME.to_owned())),
        pods: 4,
        costs: -300_000,
        places: 0,
    };
    assert_eq!((told.without_rule, told.untried), (vec![cheaper], 0));
}

#[test]
fn a_rule_that_leaves_pods_waiting_is_told_first() {
    let mut snapshot = four_apart();
    snapshot.node_pools[0].limits.set(CPU, 4000);
    let told = explain_plan(&snapshot, &OPTIONS);
    assert_eq!(told.plan.unschedulable.len(), 2);
    let first = &told.without_rule[0];
    assert_eq!(first.places, 2, "{:?}", told.without_rule);
    let limits = told.without_rule.iter().find(|of| of.without == Variant::WithoutLimits).unwrap();
    assert_eq!((limits.places, limits.costs), (2, 200_000));
}

#[test]
fn what_pools_allow_is_replaced_not_narrowed() {
    let mut snapshot = four_apart();
    let mut arm = instance_type("a2", 2, 80_000);
    arm.labels.insert(labels::ARCH.to_owned(), "arm64".to_owned());
    Arc::make_mut(snapshot.instance_types.get_mut("all").unwrap()).push(arm);
    let pool = &mut snapshot.node_pools[0];
    pool.requirements.add(labels::ARCH, ValueSet::only("amd64"));
    pool.requirements.add(labels::INSTANCE_TYPE, ValueSet::only("t2"));
    let planned = |snapshot: &Snapshot| joiner_planner::plan(snapshot, &OPTIONS).cost.planned.0;
    assert_eq!(planned(&snapshot), 400_000);
    let arch = |value: &str| Variant::Allow {
        key: labels::ARCH.to_owned(),
        values: ValueSet::only(value),
    };
    arch("arm64").apply(&mut snapshot);
    assert_eq!(planned(&snapshot), 320_000);
    arch("amd64").apply(&mut snapshot);
    assert_eq!(planned(&snapshot), 400_000);
}
