use super::*;

/// Two hours of about thirty nodes.
const SMALL: Size = Size { nodes: 30, hours: 2, seed: 1 };

#[test]
fn a_day_does_not_flap_keeps_its_budgets_and_costs_little_more_than_the_oracle() {
    let catalog = Catalog::embedded().unwrap();
    let scenario = scenario(&catalog, SMALL);
    let measured = joiner(&scenario, &|_| {});
    assert_eq!((measured.violations, measured.flaps, measured.over_budget), (0, 0, 0));
    assert!(measured.nodes_consolidated > 3, "{} nodes", measured.nodes_consolidated);
    let ideal = ideal(&scenario, false, &|_| {});
    let hours = u64::from(SMALL.hours);
    let paid = measured.cost_microusd / hours;
    let least = average(&ideal.bounded).0;
    assert!(paid * 100 <= least * 115, "{paid} {least}");
    assert!(paid * 100 >= least * 97, "the oracle is none: {paid} {least}");
}

#[test]
fn the_workload_rises_falls_rolls_out_and_is_the_same_for_a_seed() {
    let size = Size { nodes: 60, hours: 24, seed: 7 };
    let workload = churn(size);
    assert_eq!(workload, churn(size));
    assert_ne!(workload, churn(Size { seed: 8, ..size }));
    let at = |hour: i64| {
        let live = |request: &crate::workload::Request| {
            u64::from(request.live(crate::SimTime::from_s(request.arrival_s), hour * 3600, 86_400))
        };
        workload.requests.iter().map(live).sum::<u64>()
    };
    assert!(at(4) * 10 < at(14) * 7, "{} {}", at(4), at(14));
    let rolls = |request: &&crate::workload::Request| {
        request.changes.iter().any(|(_, change)| *change == crate::workload::Change::Rollout)
    };
    assert!(workload.requests.iter().filter(rolls).count() > 5);
}

#[test]
fn points_are_averaged_over_time() {
    let point = |at_s, cost| Point { at_s, cost: MicroUsdPerHour(cost) };
    assert_eq!(average(&[point(0, 0), point(600, 100), point(1200, 100)]).0, 75);
    assert_eq!(average(&[]).0, 0);
}
