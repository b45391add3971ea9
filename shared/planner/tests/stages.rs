//! Random clusters driven through every stage of disruption to their end.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod world;

use model::disruption::InterruptionKind;
use model::pool::ConsolidationPolicy;
use model::snapshot::PodDisruptionBudget;
use model::{
    DisruptionReason, Duration, Interruption, LabelSelector, Labels, Plan, Step, Timestamp,
};
use proptest::prelude::*;
use std::collections::BTreeSet;
use world::{START, World, budget};

#[derive(Clone, Copy, Debug)]
enum Cause {
    Drift,
    Spot,
    Maintenance,
    Deleted,
    NodeDeleted,
    OldNow,
    Rotate,
    DoNotDisrupt,
}

#[derive(Clone, Debug)]
struct Case {
    /// Nodes: whether large, and the milli-CPUs of their pods, a part of which fits.
    nodes: Vec<(bool, Vec<i64>)>,
    budget: Option<usize>,
    /// Second, node, and what happens to it.
    causes: Vec<(i64, usize, Cause)>,
    step_s: i64,
    /// Whether a disruption budget of the pods allows one at a time, or any.
    protected: bool,
}

fn cause() -> impl Strategy<Value = Cause> {
    prop_oneof![
        3 => Just(Cause::Drift),
        3 => Just(Cause::Spot),
        1 => Just(Cause::Maintenance),
        1 => Just(Cause::Deleted),
        1 => Just(Cause::NodeDeleted),
        1 => Just(Cause::OldNow),
        1 => Just(Cause::Rotate),
        1 => Just(Cause::DoNotDisrupt),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let node = (any::<bool>(), prop::collection::vec(100..1900_i64, 0..4));
    let nodes = prop::collection::vec(node, 1..7);
    let causes = prop::collection::vec((0..200_i64, 0..7_usize, cause()), 1..7);
    let budget = prop::option::of(1..3_usize);
    (nodes, budget, causes, 3..12_i64, any::<bool>()).prop_map(
        |(nodes, budget, causes, step_s, protected)| Case {
            nodes,
            budget,
            causes,
            step_s,
            protected,
        },
    )
}

fn begin(case: &Case) -> World {
    let mut world = World::new();
    for (index, (large, pods)) in case.nodes.iter().enumerate() {
        let (kind, room) = if *large { ("t4", 4000) } else { ("t2", 2000) };
        let name = format!("n{index}");
        world.add_node(&name, kind, 10_000 - index as i64);
        world.claim(&name).pool_hash = Some("v3/1".to_owned());
        let mut used = 0;
        for (number, cpu) in pods.iter().enumerate() {
            used += cpu;
            if used <= room {
                world.add_pod(&format!("web-{index}-{number}"), &name, *cpu);
            }
        }
    }
    world.pool().hash = Some("v3/1".to_owned());
    world.pool().disruption.consolidate_after = Some(Duration(30));
    world.pool().disruption.policy = ConsolidationPolicy::WhenEmpty;
    world.pool().disruption.budgets =
        case.budget.map(|nodes| budget(&nodes.to_string(), &[])).into_iter().collect();
    world.snapshot.pod_disruption_budgets.extend(case.protected.then(|| PodDisruptionBudget {
        namespace: "shop".to_owned(),
        name: "keep".to_owned(),
        selector: LabelSelector::from_labels(&Labels::from([("app".to_owned(), "web".to_owned())])),
        disruptions_allowed: 1,
        unready_may_go: false,
    }));
    world
}

fn happen(world: &mut World, node: usize, cause: Cause) {
    let name = format!("n{node}");
    let now = world.snapshot.now;
    if !world.snapshot.node_claims.iter().any(|claim| *claim.name == name) {
        return;
    }
    let told = |kind| Some(Interruption { kind, at: now, deadline: None });
    match cause {
        Cause::Drift => world.claim(&name).pool_hash = Some("v3/0".to_owned()),
        Cause::Spot => {
            world.instance(&format!("i-{name}")).interruption = told(InterruptionKind::SpotWarning)
        }
        Cause::Maintenance => {
            world.instance(&format!("i-{name}")).interruption =
                told(InterruptionKind::ScheduledChange);
        }
        Cause::Deleted => {
            let claim = world.claim(&name);
            claim.deletion_at = claim.deletion_at.or(Some(now));
            claim.deleting = true;
        }
        Cause::NodeDeleted => world.node(&name).deleting = true,
        Cause::OldNow => world.claim(&name).expire_after = Some(Duration(1)),
        Cause::Rotate => world.pool().disruption.rotate_before = Some(Timestamp(START)),
        Cause::DoNotDisrupt => {
            let pod =
                world.snapshot.pods.iter_mut().find(|pod| pod.node_name.as_deref() == Some(&*name));
            if let Some(pod) = pod {
                pod.do_not_disrupt = true;
            }
        }
    }
}

/// Nodes that go although nothing forces them to.
fn voluntary(world: &World) -> usize {
    let forced =
        |reason| matches!(reason, DisruptionReason::Expired | DisruptionReason::Interrupted);
    let begun = world.snapshot.node_claims.iter().filter(|claim| claim.interruption.is_none());
    begun.filter_map(|claim| claim.disruption.as_ref()).filter(|told| !forced(told.reason)).count()
}

fn evicted(plan: &Plan) -> impl Iterator<Item = &model::PodId> {
    plan.steps.iter().filter_map(|step| {
        let Step::Evict { pod, .. } = step else { return None };
        Some(pod)
    })
}

fn new_hash(world: &mut World) {
    let now = world.snapshot.node_claims.iter_mut();
    now.filter(|claim| claim.name.starts_with("new"))
        .for_each(|claim| claim.pool_hash = Some("v3/1".to_owned()));
}

/// Drives the cluster until everything has happened and ended; the budget and do-not-disrupt are looked at in every turn.
fn drive(case: &Case, world: &mut World) {
    let mut left = case.causes.clone();
    for _ in 0..1800 / case.step_s {
        let second = world.snapshot.now.0 - START;
        let (due, later): (Vec<_>, Vec<_>) = left.into_iter().partition(|(at, ..)| *at <= second);
        left = later;
        due.into_iter().for_each(|(_, node, cause)| happen(world, node, cause));
        let plan = world.turn();
        for pod in evicted(&plan) {
            let kept = world.snapshot.pods.iter().find(|known| known.id == *pod).unwrap();
            assert!(!kept.do_not_disrupt, "{pod}");
        }
        let most = case.budget.unwrap_or(usize::MAX);
        assert!(voluntary(world) <= most, "{} beyond the budget", voluntary(world));
        new_hash(world);
        world.pass(case.step_s);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 50, max_shrink_iters: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_disruption_ends_and_leaves_nothing(case in case()) {
        let mut world = begin(&case);
        drive(&case, &mut world);
        prop_assert!(!world.anything_waits(), "{:#?}", world.log);
        // A pod that must not be disturbed may hold its node for good.
        let held = world.snapshot.pods.iter().filter(|pod| pod.do_not_disrupt);
        let held = held.filter_map(|pod| pod.node_name.clone()).collect::<BTreeSet<_>>();
        let going = world.snapshot.node_claims.iter().filter(|claim| {
            (claim.deleting || claim.disruption.is_some()) && !held.contains(&claim.name)
        });
        prop_assert_eq!(going.map(|claim| &claim.name).collect::<Vec<_>>(), Vec::<&std::sync::Arc<str>>::new(), "{:#?}", world.log);
        let plan = world.plan();
        prop_assert!(plan.launches.is_empty());
        let nodes = world.snapshot.nodes.iter().map(|node| &node.name).collect::<BTreeSet<_>>();
        let claims = world.snapshot.node_claims.iter().map(|claim| &claim.name).collect::<BTreeSet<_>>();
        prop_assert_eq!(nodes, claims);
        // What was bought is used.
        let used = world.snapshot.pods.iter().filter_map(|pod| pod.node_name.clone()).collect::<BTreeSet<_>>();
        let idle = world.snapshot.node_claims.iter().filter(|claim| claim.name.starts_with("new") && !used.contains(&claim.name));
        prop_assert_eq!(idle.count(), 0, "{:#?}", world.log);
    }
}
