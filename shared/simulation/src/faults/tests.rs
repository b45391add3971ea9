use super::setup::Setup;
use super::*;

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
fn a_call_repeated_without_its_token_is_noticed() {
    check(Rule::OneLaunchPerDecision, |world| world.ec2.forgets_tokens = true);
}

#[test]
fn nodes_of_someone_else_that_are_touched_are_noticed() {
    check(Rule::OnlyOwnNodes, |world| world.all_foreign = true);
}

#[test]
fn budgets_that_are_passed_are_noticed() {
    check(Rule::NodeBudgets, |world| world.no_budgets = true);
}

#[test]
fn pods_that_go_before_their_place_was_asked_for_are_noticed() {
    check(Rule::ReplacedFirst, |world| world.watch.forgets = true);
}
