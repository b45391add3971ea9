use super::*;
use crate::baseline::{NodeGroup, Upstream};
use crate::testing::scenario;
use model::{Alternative, Plan, Snapshot};

fn measure(scenario: &Scenario, faults: impl Faults) -> Measured {
    World::new(scenario, Box::new(Upstream), Box::new(faults)).run(&|_| {})
}

/// Runs to the end and looks at the world after every event.
fn watch(scenario: &Scenario, mut look: impl FnMut(&mut World<'_>)) {
    let mut world = World::new(scenario, Box::new(Upstream), Box::new(NoFaults));
    while world.step().is_some() {
        look(&mut world);
    }
}

const MIXED: &str = "web,6,500,512,0,,zone_spread=1\ndb,3,1500,4096,10,,anti_affinity_host=1\n\
                     one,20,700,1024,30,600,\ntwo,15,300,2048,900,400,\nthree,9,1700,900,901,2000,priority=5\n";

#[test]
fn every_pod_is_bound_once_and_no_node_is_ever_overfull() {
    let scenario = scenario(MIXED, 7200);
    let mut homes: std::collections::BTreeMap<usize, NodeId> = Default::default();
    watch(&scenario, |world| {
        assert_eq!(world.cache.overfull(), None);
        for (index, record) in world.pods.iter().enumerate() {
            if let Some(node) = record.node {
                assert_eq!(*homes.entry(index).or_insert(node), node, "pod {index} moved");
            }
        }
    });
    assert!(homes.len() >= 53);
}

#[test]
fn the_objects_agree_with_the_records() {
    let scenario = scenario(MIXED, 3600);
    watch(&scenario, |world| {
        let now = world.now.timestamp();
        let bound = world.pods.iter().filter(|record| record.node.is_some()).count();
        let registered = [NodePhase::Registered, NodePhase::Ready, NodePhase::Terminating];
        let nodes = world.nodes.iter().filter(|record| registered.contains(&record.phase)).count();
        let waiting = world.queue.len();
        let snapshot = world.api.read(now);
        assert_eq!(snapshot.pods.iter().filter(|pod| pod.node_name.is_some()).count(), bound);
        assert_eq!(snapshot.pods.iter().filter(|pod| pod.node_name.is_none()).count(), waiting);
        assert!(
            snapshot.nodes.len() <= nodes && snapshot.node_claims.len() >= snapshot.nodes.len()
        );
    });
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let mut scenario = scenario(MIXED, 3600);
    scenario.workload.spread_s = 300;
    let first = measure(&scenario, NoFaults);
    assert_eq!(first, measure(&scenario, NoFaults));
    scenario.seed = 2;
    assert_ne!(first, measure(&scenario, NoFaults));
}

#[test]
fn a_pod_waits_for_its_node_as_long_as_ec2_takes() {
    let measured = measure(&scenario("one,1,1000,1024,0,60,\n", 600), NoFaults);
    let waited = measured.waits_ms[0];
    assert!((32_000..46_000).contains(&waited), "{waited} ms");
}

#[test]
fn empty_nodes_go_after_the_pools_time_and_are_paid_no_longer() {
    let measured = measure(&scenario("one,1,1000,1024,0,300,\n", 3600), NoFaults);
    assert_eq!(measured.nodes_started, 1);
    let last = measured.samples.last().unwrap();
    assert_eq!((last.cost, last.nodes.len()), (model::MicroUsdPerHour::ZERO, 0));
    let paid_s = measured.node_ms / 1000;
    assert!((390..520).contains(&paid_s), "{paid_s} s");
    assert_eq!(u128::from(measured.cost_microusd), measured.node_ms * 100_000 / 3_600_000);
}

#[test]
fn a_deployment_replaces_the_pods_that_a_lost_node_takes_with_it() {
    let scenario = scenario("web,3,500,512,0,,\n", 3600);
    let mut world = World::new(&scenario, Box::new(Upstream), Box::new(NoFaults));
    let mut lost = false;
    while world.step().is_some() {
        if !lost && world.now >= SimTime::from_s(600) {
            lost = true;
            world.cache.remove_node(NodeId(0));
            world.forget_node(NodeId(0));
        }
    }
    let snapshot = world.api.read(world.now.timestamp());
    let web =
        snapshot.pods.iter().filter(|pod| pod.labels.get("app").is_some_and(|app| app == "web"));
    let names: Vec<String> =
        web.filter(|pod| pod.node_name.is_some()).map(|pod| pod.id.to_string()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.iter().all(|name| !name.ends_with("-1")), "{names:?}");
}

#[test]
fn a_deployment_that_shrinks_at_half_time_has_fewer_pods() {
    let scenario = scenario("web,5,500,512,0,,scale_in=2\n", 3600);
    let measured = measure(&scenario, NoFaults);
    let running: Vec<u64> = measured.samples.iter().map(|sample| sample.running).collect();
    assert_eq!((running.iter().max(), running.last()), (Some(&5), Some(&2)));
}

/// All knocks but the schedule's are lost.
struct OnlySchedule;

impl Faults for OnlySchedule {
    fn knock(&mut self, _now: SimTime, knock: Knock) -> Delivery {
        if knock == Knock::Schedule { Delivery::Once } else { Delivery::Lost }
    }
}

/// Every knock comes twice, and the first offering is never to be had.
struct Troubled;

impl Faults for Troubled {
    fn knock(&mut self, _now: SimTime, _knock: Knock) -> Delivery {
        Delivery::Twice
    }

    fn launch(&mut self, _now: SimTime, offering: &Alternative) -> LaunchOutcome {
        if offering.zone == "a" {
            LaunchOutcome::InsufficientCapacity
        } else {
            LaunchOutcome::Launched
        }
    }
}

#[test]
fn lost_knocks_cost_time_only_and_doubled_ones_nothing() {
    let scenario = scenario("one,4,1000,1024,5,600,\n", 1200);
    let usual = measure(&scenario, NoFaults);
    let late = measure(&scenario, OnlySchedule);
    assert_eq!((late.never_bound, late.nodes_started), (0, usual.nodes_started));
    assert!(late.waits_ms > usual.waits_ms);
    let troubled = measure(&scenario, Troubled);
    assert_eq!((troubled.never_bound, troubled.nodes_started), (0, usual.nodes_started));
}

#[test]
fn a_node_group_buys_only_its_type_and_keeps_it_ten_minutes() {
    let scenario = scenario("one,1,2500,1024,0,300,\n", 3600);
    let types = &scenario.instance_types;
    let pods = scenario.workload.distinct_requests(3600);
    let group = NodeGroup::of_cheapest(types, &pods, &scenario.daemon_load()).unwrap();
    assert_eq!(group.instance_type(), "m5.large");
    let measured = World::new(&scenario, Box::new(group), Box::new(NoFaults)).run(&|_| {});
    let paid_s = measured.node_ms / 1000;
    assert!((900..1000).contains(&paid_s), "{paid_s} s");
}

/// Counts how often it is asked, and does nothing.
struct Counter<'a>(&'a std::cell::RefCell<Vec<(i64, usize)>>);

impl Decider for Counter<'_> {
    fn decide(&mut self, snapshot: &Snapshot) -> Plan {
        let pending = snapshot.pods.iter().filter(|pod| pod.is_provisionable()).count();
        self.0.borrow_mut().push((snapshot.now.since(SimTime(0).timestamp()).0, pending));
        Plan::default()
    }
}

#[test]
fn a_batch_closes_after_a_quiet_second_or_ten_seconds() {
    let check = |lines: &str, expected: &[(i64, usize)]| {
        let scenario = scenario(lines, 119);
        let asked = std::cell::RefCell::new(Vec::new());
        World::new(&scenario, Box::new(Counter(&asked)), Box::new(NoFaults)).run(&|_| {});
        assert_eq!(asked.into_inner(), expected, "{lines}");
    };
    check("a,2,1,1,5,60,\n", &[(6, 2), (60, 2)]);
    check("a,1,1,1,5,60,\nb,1,1,1,8,60,\n", &[(6, 1), (9, 2), (60, 2)]);
    let steady: String =
        (0..13).map(|second| format!("s{second},1,1,1,{},60,\n", 20 + second)).collect();
    let asked = std::cell::RefCell::new(Vec::new());
    let scenario = scenario(&steady, 59);
    World::new(&scenario, Box::new(Counter(&asked)), Box::new(NoFaults)).run(&|_| {});
    assert!(asked.into_inner().iter().all(|(at_s, _)| *at_s <= 33));
}

/// A large pod leaves small ones behind on a large node; a small node would do.
fn check_consolidation(decider: impl Decider, moves: bool) {
    let mut scenario = scenario("big,1,6000,1024,0,600,\nsmall,2,800,512,0,,\n", 3600);
    scenario.instance_types =
        std::sync::Arc::new(scenario.instance_types.iter().rev().cloned().collect());
    let measured = World::new(&scenario, Box::new(decider), Box::new(NoFaults)).run(&|_| {});
    let moved = (measured.pods_moved, measured.nodes_consolidated);
    assert_eq!(moved, if moves { (2, 1) } else { (0, 0) });
    let last = measured.samples.last().unwrap();
    assert_eq!((last.cost.0, last.running), (if moves { 100_000 } else { 410_000 }, 2));
    assert_eq!(measured.saved, if moves { 310_000 } else { 0 });
    let wrong = (measured.violations, measured.over_budget, measured.flaps, measured.never_bound);
    assert_eq!((wrong, measured.pods), ((0, 0, 0, 0), 3));
}

#[test]
fn joiner_and_the_upstream_like_baseline_move_pods_to_a_cheaper_node() {
    check_consolidation(crate::decider::Joiner::default(), true);
    check_consolidation(crate::baseline::UpstreamConsolidation::default(), true);
    check_consolidation(Upstream, false);
}

#[test]
fn a_node_group_gives_up_a_node_that_is_hardly_used() {
    let scenario = scenario("big,3,2500,1024,0,600,\nsmall,4,700,512,5,,\n", 7200);
    let pods = scenario.workload.distinct_requests(3600);
    let types = &scenario.instance_types;
    let group = NodeGroup::of_cheapest(types, &pods, &scenario.daemon_load()).unwrap();
    let measured = World::new(&scenario, Box::new(group), Box::new(NoFaults)).run(&|_| {});
    let last = measured.samples.last().unwrap();
    assert_eq!((measured.nodes_started, last.cost.0, last.running), (2, 410_000, 4));
    assert_eq!(measured.never_bound, 0);
}

#[test]
fn a_rollout_replaces_every_pod_with_at_most_a_quarter_more_and_none_fewer() {
    let mut scenario = scenario("web,8,200,128,0,,\n", 3600);
    scenario.workload.requests[0].changes = vec![(1200, crate::workload::Change::Rollout)];
    let mut seen = std::collections::BTreeSet::new();
    watch(&scenario, |world| {
        let now = world.now;
        let pods = &world.api.all().pods;
        let web: Vec<_> = pods.iter().filter(|pod| !pod.is_daemon()).collect();
        seen.extend(web.iter().map(|pod| pod.id.to_string()));
        if now > SimTime::from_s(300) {
            let bound = web.iter().filter(|pod| pod.node_name.is_some()).count();
            assert!(web.len() <= 10 && bound >= 8, "{} {bound} at {now:?}", web.len());
        }
    });
    assert_eq!(seen.len(), 16);
}
