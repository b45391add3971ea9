use super::setup::Setup;
use super::*;

/// CI runs so many seeds; `joiner simulate --faults --seeds 0..99999` runs as many as one likes.
const SEEDS: u64 = 2000;

#[test]
fn no_seed_breaks_an_invariant() {
    let mut broken = Vec::new();
    run_many(0..=SEEDS - 1, &mut |outcome| {
        broken.extend(outcome.violations.iter().map(|violation| {
            format!("joiner simulate --faults --seed {}: {violation}", outcome.seed)
        }));
    });
    assert!(broken.is_empty(), "{} violations:\n{}", broken.len(), broken.join("\n"));
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
