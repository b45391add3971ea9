use super::event::{Door, InstanceId, TurnId};
use super::setup::{Quiet, Setup};
use super::turn::Turn;
use super::*;
use crate::kube_scheduler::PodKey;
use model::Step;
use model::pod::PodPhase;
use model::pool::Budget;
use std::sync::Arc;

/// CI runs so many seeds; `joiner simulate --faults --seeds 0..99999` runs as many as one likes.
const SEEDS: u64 = 2000;

#[test]
fn no_seed_breaks_an_invariant() {
    let (mut broken, mut cost, mut planned, mut bound) = (Vec::new(), 0, 0, 0);
    run_many(0..=SEEDS - 1, &mut |outcome| {
        let end = outcome.cost.unwrap_or_default();
        (cost, bound) = (cost + end.cost.0, bound + end.bound.0);
        planned += end.planned.0;
        broken.extend(outcome.violations.iter().map(|violation| {
            format!("joiner simulate --faults --seed {}: {violation}", outcome.seed)
        }));
    });
    assert!(broken.is_empty(), "{} violations:\n{}", broken.len(), broken.join("\n"));
    // A single small cluster may be far from its bound, which knows neither zones, nor hosts apart, nor budgets of one node. Planning
    // all anew knows the rules.
    assert!(planned > 0 && cost * 20 <= planned * 21, "{cost} against {planned} planned anew");
    assert!(bound > 0 && cost * 100 <= bound * 111, "{cost} against a bound of {bound}");
}

#[test]
fn a_storm_is_one_plan_and_every_pod_has_a_new_node_asked_for_within_five_seconds() {
    let pace = StormPace::default();
    let storm = Storm { pods: 1_000, percent: 30, within_s: 0, seed: 1, pace };
    let outcome = storm.run(false).unwrap();
    assert_eq!(outcome.violations, []);
    assert!(outcome.warned * 10 >= outcome.nodes * 2 && outcome.pods >= 100);
    assert_eq!((outcome.never_asked, outcome.plans_ms.len()), (0, 1));
    assert!(outcome.asked_ms.iter().all(|after| *after <= 5_000), "{:?}", outcome.asked_ms.last());
    assert_eq!((outcome.evicted_early, outcome.lost), (0, 0));
    // One call at a time cannot do it, so the test would see it.
    let slow = StormPace { marks: 1, ..pace };
    let outcome = Storm { pace: slow, ..storm }.run(false).unwrap();
    assert!(outcome.asked_ms.iter().any(|after| *after > 5_000));
}

#[test]
fn a_seed_replays_to_the_byte_and_its_log_changes_nothing() {
    let with_log = run(3, true);
    assert_eq!(with_log, run(3, true));
    let without = run(3, false);
    assert_eq!((with_log.violations, with_log.turns), (without.violations, without.turns));
    assert!(with_log.log.len() > 100);
}

/// The first seeds whose worlds, broken by `spoil`, show that this rule is kept no more.
fn check(rule: Rule, spoil: impl Fn(&mut World)) {
    let found = (0..60).any(|seed| {
        let mut world = World::new(Setup::of_seed(seed), Log::new(false));
        spoil(&mut world);
        while world.step() {}
        world.violations.iter().any(|violation| violation.rule == rule)
    });
    assert!(found, "nothing notices that {rule:?} is broken");
}

#[test]
fn what_breaks_a_rule_is_noticed() {
    check(Rule::OneLaunchPerDecision, |world| world.ec2.forgets_tokens = true);
    check(Rule::OnlyOwnNodes, |world| world.all_foreign = true);
    check(Rule::NodeBudgets, |world| world.no_budgets = true);
    check(Rule::ReplacedFirst, |world| world.watch.forgets = true);
    // Budgets of no nodes that the planner is not told of.
    check(Rule::NodeBudgets, |world| {
        let pools = world.setup.cluster.node_pools.iter();
        let all_day = |pool: &model::NodePool| Quiet {
            pool: pool.name.clone(),
            period_s: 86_400,
            lasts_s: 86_400,
        };
        world.setup.quiet = pools.map(all_day).collect();
    });
}

/// A world that has come to rest in order, then broken by `spoil`, which says whether it could.
fn check_late(rule: Rule, spoil: impl Fn(&mut World) -> bool) {
    let found = (0..60).any(|seed| {
        let mut world = World::new(Setup::of_seed(seed), Log::new(false));
        while world.step() {}
        let told = |world: &World| world.violations.iter().any(|known| known.rule == rule);
        assert!(!told(&world));
        spoil(&mut world) && told(&world)
    });
    assert!(found, "nothing notices that {rule:?} is broken");
}

/// A pod that a controller made, on a node of Joiner's that is not going away.
fn running_pod(world: &World) -> Option<(PodKey, InstanceId)> {
    let own = world.own_instances().collect::<Vec<_>>();
    world.pods.iter().find_map(|(key, pod)| {
        let node = world.nodes.get(&pod.node?)?;
        let instance = node.instance.filter(|id| own.contains(id) && !pod.daemon && node.alive)?;
        let claim = world.api.see_claim(world.claim_of(instance)?)?;
        let stays = !claim.deleting && claim.interruption.is_none() && claim.disruption.is_none();
        let lives = world.api.see_pod(*key).is_some_and(|pod| !pod.is_terminal());
        (stays && lives).then_some((*key, instance))
    })
}

/// The step, as a turn would take it now.
fn take(world: &mut World, step: impl Fn(Arc<str>, &model::Pod) -> Step, protect: bool) -> bool {
    let Some((key, _)) = running_pod(world) else { return false };
    let Some(node) = world.pods[&key].node.map(|node| world.nodes[&node].name.clone()) else {
        return false;
    };
    let Some(pod) = world.pod(key) else { return false };
    pod.do_not_disrupt = protect;
    let step = step(node, pod);
    let turn = Turn::new(TurnId(0), Door::Schedule, Vec::new(), 0);
    world.check_step(&turn, &step);
    true
}

#[test]
fn what_breaks_a_rule_at_the_end_is_noticed() {
    check_late(Rule::EveryInstanceHasAnOwner, |world| {
        let Some((_, instance)) = running_pod(world) else { return false };
        let claim = world.claim_of(instance);
        claim.into_iter().for_each(|claim| drop(world.claims.remove(&claim)));
        world.check_world();
        world.now = world.now.plus_ms(1_000_000);
        world.check_world();
        true
    });
    check_late(Rule::Limits, |world| {
        let one = model::Resources::new().with(model::resources::NODES, 1);
        world.api.rest().node_pools.iter_mut().for_each(|pool| pool.limits = one.clone());
        world.check_world();
        true
    });
    check_late(Rule::DrainedFirst, |world| {
        let Some((_, instance)) = running_pod(world) else { return false };
        let id = world.ec2.instances[instance.0].instance.id.clone();
        world.check_termination(&id);
        true
    });
    let evict = |node: Arc<str>, pod: &model::Pod| Step::Evict {
        pod: pod.id.clone(),
        uid: pod.uid.clone(),
        node,
    };
    check_late(Rule::DoNotDisrupt, |world| take(world, evict, true));
    let force = |_: Arc<str>, pod: &model::Pod| Step::ForceDelete {
        pod: pod.id.clone(),
        uid: pod.uid.clone(),
        grace_s: 1,
    };
    check_late(Rule::PodBudgets, |world| take(world, force, false));
}

#[test]
fn what_is_left_over_at_the_end_is_noticed() {
    let check = |rule: Rule, spoil: &dyn Fn(&mut World)| {
        let noticed = (0..60).any(|seed| {
            let mut world = World::new(Setup::of_seed(seed), Log::new(false));
            while world.step() {}
            let told = |world: &mut World| world.left_over().iter().any(|(own, _)| *own == rule);
            let before = told(&mut world);
            spoil(&mut world);
            !before && told(&mut world)
        });
        assert!(noticed, "nothing notices that {rule:?} is broken");
    };
    // Nodes that have become dear, and may all go.
    check(Rule::Settles, &|world| {
        let rest = world.api.rest();
        rest.nodes.iter_mut().for_each(|node| node.price = node.price.map(|price| price * 4));
        for pool in &mut rest.node_pools {
            pool.disruption.budgets = vec![Budget::always("100%")];
        }
    });
    check(Rule::NothingLeaks, &|world| world.claims.clear());
    check(Rule::EverythingPlaced, &|world| {
        let Some((key, _)) = running_pod(world) else { return };
        if let Some(pod) = world.pod(key) {
            (pod.node_name, pod.phase) = (None, PodPhase::Pending);
        }
    });
}
