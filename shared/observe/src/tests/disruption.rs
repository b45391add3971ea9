//! What decides on taking nodes away.

use super::{dump, pod, short};
use model::disruption::{InterruptionKind, Rebalance, Window};
use model::{Duration, Interruption, MicroUsdPerHour, Timestamp};

/// 2026-11-23T00:00:00Z, a Monday.
const MIDNIGHT: i64 = 1_795_392_000;

fn at(hours: i64, minutes: i64, seconds: i64) -> Timestamp {
    Timestamp(MIDNIGHT + hours * 3600 + minutes * 60 + seconds)
}

#[test]
fn what_cannot_be_read_is_found_and_the_rest_goes_on() {
    let dump = dump("disruption.yaml");
    assert_eq!(dump.snapshot.now, at(10, 0, 0));
    assert_eq!(
        short(&dump),
        [
            "2 cron NodePool default spec.disruption.budgets[2].schedule",
            "33 claim-annotation NodeClaim default-a metadata.annotations[\"joiner.dev/disruption\"]",
        ]
    );
    assert_eq!(dump.snapshot.node_pools[0].problem, None, "nodes are made all the same");
}

#[test]
fn budgets_and_windows_hold_at_the_snapshots_moment() {
    let snapshot = dump("disruption.yaml").snapshot;
    let rules = &snapshot.node_pools[0].disruption;
    let windows = rules.budgets.iter().map(|budget| (budget.nodes.as_str(), budget.window));
    let expected =
        [("20%", Window::Always), ("0", Window::Until(at(17, 0, 0))), ("0", Window::Always)];
    assert_eq!(windows.collect::<Vec<_>>(), expected);
    assert_eq!(rules.allowed, Window::From(at(21, 0, 0)));
    assert_eq!(rules.saving_per_move, Some(MicroUsdPerHour(1_000)));
    assert_eq!(rules.rebalance, Rebalance::Replace);
}

#[test]
fn nodes_and_claims_tell_what_is_wrong_with_them() {
    let snapshot = dump("disruption.yaml").snapshot;
    let faults = [("NetworkingReady", at(9, 0, 0)), ("Ready", at(9, 30, 0))];
    assert_eq!(snapshot.nodes[0].faults, faults.map(|(name, since)| (name.to_owned(), since)));
    let claim = &snapshot.node_claims[0];
    let interruption = Interruption {
        kind: InterruptionKind::SpotWarning,
        at: at(9, 59, 50),
        deadline: Some(at(10, 1, 50)),
    };
    assert_eq!((claim.interruption, &claim.disruption), (Some(interruption), &None));
    assert_eq!(claim.expire_after, Some(Duration(172_800)));
    let hashes = (&snapshot.node_classes[0].hash, &snapshot.node_pools[0].hash);
    assert_eq!(hashes, (&None, &None), "dumps leave out what hashes are made of");
    assert_eq!(snapshot.node_classes[0].image_ids, None, "AWS was not asked");
}

#[test]
fn pods_tell_since_when_they_are_where_they_are() {
    let snapshot = dump("disruption.yaml").snapshot;
    let (first, second) = (pod(&snapshot, "web-1"), pod(&snapshot, "web-2"));
    assert_eq!((first.bound_at, first.ready), (Some(at(9, 0, 0)), true));
    assert_eq!((second.bound_at, second.ready), (Some(at(9, 0, 5)), false));
}

#[test]
fn disruption_budgets_of_all_of_none_and_of_unready_pods_are_read() {
    let snapshot = dump("disruption.yaml").snapshot;
    let labels = &pod(&snapshot, "web-1").labels;
    let told = snapshot.pod_disruption_budgets.iter().map(|budget| {
        let matches = budget.selector.matches(labels);
        (budget.name.as_str(), matches, budget.unready_may_go, budget.disruptions_allowed)
    });
    let expected = [("all", true, false, 0), ("none", false, false, 0), ("web", true, true, 1)];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}
