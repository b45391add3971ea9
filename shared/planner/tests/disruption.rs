//! Nodes are taken away for each cause, their replacements first, under budgets and whatever protects them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod world;

use model::disruption::{InterruptionKind, Rebalance, Stage, Window};
use model::pool::ApiVersion;
use model::snapshot::PodDisruptionBudget;
use model::{CapacityType, Duration, Interruption, LabelSelector, Labels, Timestamp};
use world::{START, World, budget};

/// Nodes `n0`, `n1` ... of type t2, each with a pod that fills half of it and more.
fn cluster(nodes: usize) -> World {
    let mut world = World::new();
    for index in 0..nodes {
        world.add_node(&format!("n{index}"), "t2", 10_000);
        world.add_pod(&format!("web-{index}"), &format!("n{index}"), 1500);
    }
    world
}

fn drifted(nodes: usize) -> World {
    let mut world = cluster(nodes);
    world.pool().hash = Some("v3/new".to_owned());
    for claim in &mut world.snapshot.node_claims {
        claim.pool_hash = Some("v3/old".to_owned());
    }
    world
}

/// New nodes have the pool's hash, as execution writes it.
fn run(world: &mut World, seconds: i64) {
    for _ in 0..seconds / 5 {
        world.run(5, 5);
        let hash = world.pool().hash.clone();
        let new = world.snapshot.node_claims.iter_mut();
        new.filter(|claim| claim.name.starts_with("new"))
            .for_each(|claim| claim.pool_hash.clone_from(&hash));
    }
}

fn protect(world: &mut World, allowed: i32) {
    world.snapshot.pod_disruption_budgets.push(PodDisruptionBudget {
        namespace: "shop".to_owned(),
        name: format!("keep-{}", world.snapshot.pod_disruption_budgets.len()),
        selector: LabelSelector::from_labels(&Labels::from([("app".to_owned(), "web".to_owned())])),
        disruptions_allowed: allowed,
        unready_may_go: false,
    });
}

fn first(world: &World, word: &str) -> i64 {
    let lines = world.told(word);
    let line = lines.first().unwrap_or_else(|| panic!("no {word} in {:#?}", world.log));
    line.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_drifted_node_is_replaced_first() {
    let mut world = drifted(1);
    run(&mut world, 300);
    assert_eq!(world.nodes(), ["new-1"], "{:#?}", world.log);
    assert_eq!((world.bought, world.terminated.len()), (1, 1));
    assert!(!world.anything_waits());
    let (launch, cordon) = (first(&world, "launch"), first(&world, "cordon n0"));
    assert_eq!((launch, cordon), (0, 0));
    assert!(first(&world, "delete n0") >= 60, "its replacement comes first: {:#?}", world.log);
    assert!(world.told("called-off").is_empty());
}

#[test]
fn drifted_nodes_go_one_after_another_within_the_budget() {
    let mut world = drifted(4);
    world.pool().disruption.budgets = vec![budget("1", &[])];
    let mut going = 0;
    for _ in 0..240 {
        run(&mut world, 5);
        let now = world.snapshot.node_claims.iter();
        going = going.max(now.filter(|claim| claim.disruption.is_some() || claim.deleting).count());
    }
    assert_eq!(going, 1);
    assert!(world.nodes().iter().all(|name| name.starts_with("new")), "{:#?}", world.log);
    assert_eq!(world.bought, 4, "{:#?}", world.log);
}

#[test]
fn a_closed_window_and_a_budget_of_none_keep_nodes() {
    let check = |change: &dyn Fn(&mut World), begins: bool| {
        let mut world = drifted(2);
        change(&mut world);
        let plan = world.plan();
        assert_eq!(!plan.disruptions.is_empty(), begins, "{:?}", plan.disruptions);
        plan
    };
    check(&|_| {}, true);
    check(&|world| world.pool().disruption.budgets = vec![budget("0", &[])], false);
    check(&|world| world.pool().disruption.budgets = vec![budget("0", &["Empty"])], true);
    check(&|world| world.pool().disruption.budgets = vec![budget("nought", &[])], false);
    check(&|world| world.pool().disruption.allowed = Window::Never, false);
    let opens = Timestamp(START + 30);
    let plan = check(&|world| world.pool().disruption.allowed = Window::From(opens), false);
    assert_eq!(plan.wake_at, Some(opens));
    check(&|world| world.node("n0").ready = false, true);
    let one_sick = |world: &mut World| {
        world.pool().disruption.budgets = vec![budget("1", &[])];
        world.node("n0").ready = false;
    };
    check(&one_sick, false);
}

#[test]
fn protected_nodes_and_pods_stay() {
    let check = |change: &dyn Fn(&mut World), begins: bool| {
        let mut world = drifted(1);
        change(&mut world);
        assert_eq!(!world.plan().disruptions.is_empty(), begins);
    };
    check(&|world| world.node("n0").do_not_disrupt = true, false);
    check(&|world| world.pod("web-0").do_not_disrupt = true, false);
    check(&|world| protect(world, 0), false);
    check(&|world| protect(world, 1), true);
    check(&|world| (0..2).for_each(|_| protect(world, 5)), false);
    let unready = |world: &mut World| {
        protect(world, 0);
        world.snapshot.pod_disruption_budgets[0].unready_may_go = true;
        world.pod("web-0").ready = false;
    };
    check(&unready, true);
    let selecting = |namespace: &str, selector: LabelSelector, world: &mut World| {
        protect(world, 0);
        let budget = &mut world.snapshot.pod_disruption_budgets[0];
        (budget.namespace, budget.selector) = (namespace.to_owned(), selector);
    };
    let everything = || LabelSelector::from_labels(&Labels::new());
    check(&|world| selecting("shop", everything(), world), false);
    check(&|world| selecting("other", everything(), world), true);
    check(&|world| selecting("shop", LabelSelector::nothing(), world), true);
    let bounded = |world: &mut World| {
        world.pod("web-0").do_not_disrupt = true;
        world.claim("n0").termination_grace_period = Some(Duration(300));
    };
    check(&bounded, true);
    check(&|world| world.pool().limits.set("cpu", 2000), false);
}

#[test]
fn each_kind_of_drift_is_found_and_nothing_else() {
    let check = |change: &dyn Fn(&mut World), drifts: bool| {
        let mut world = cluster(1);
        let class = model::NodeClass {
            name: "default".to_owned(),
            image_ids: Some(vec!["ami-1".to_owned()]),
            subnet_ids: Some(vec!["subnet-1".to_owned()]),
            security_group_ids: Some(vec!["sg-1".to_owned()]),
            ..model::NodeClass::default()
        };
        world.snapshot.node_classes = vec![class];
        change(&mut world);
        assert_eq!(!world.plan().disruptions.is_empty(), drifts);
    };
    let hash = |claim: &str, pool: &str, world: &mut World| {
        world.claim("n0").pool_hash = Some(claim.to_owned());
        world.pool().hash = Some(pool.to_owned());
    };
    check(&|_| {}, false);
    check(&|world| hash("v3/1", "v3/1", world), false);
    check(&|world| hash("v3/1", "v3/2", world), true);
    check(&|world| hash("v2/1", "v3/2", world), false);
    check(&|world| world.pool().hash = Some("v3/2".to_owned()), false);
    let legacy = |world: &mut World| {
        hash("v3/1", "v3/2", world);
        world.pool().api_version = ApiVersion::Legacy;
    };
    check(&legacy, false);
    let class = |world: &mut World| {
        world.claim("n0").class_hash = Some("v4/1".to_owned());
        world.snapshot.node_classes[0].hash = Some("v4/2".to_owned());
    };
    check(&class, true);
    let needs = |key: &str, value: &str, world: &mut World| {
        world.pool().requirements.add(key, model::ValueSet::only(value));
    };
    check(&|world| needs("kubernetes.io/arch", "amd64", world), false);
    check(&|world| needs("topology.kubernetes.io/zone", "z-b", world), true);
    check(&|world| needs("karpenter.k8s.aws/instance-cpu", "4", world), false);
    check(&|world| world.claim("n0").instance_type = Some("gone".to_owned()), true);
    check(&|world| world.instance("i-n0").image_id = "ami-0".to_owned(), true);
    check(&|world| world.instance("i-n0").subnet_id = "subnet-0".to_owned(), true);
    check(&|world| world.instance("i-n0").security_group_ids.push("sg-2".to_owned()), true);
    check(&|world| world.snapshot.node_classes[0].image_ids = None, false);
    let reserved = |way: CapacityType, world: &mut World| {
        world.snapshot.node_classes[0].reservation_ids = Some(vec!["cr-1".to_owned()]);
        world.claim("n0").capacity_type = Some(way);
        world.instance("i-n0").reservation_id = Some("cr-0".to_owned());
    };
    check(&|world| reserved(CapacityType::Reserved, world), true);
    // It fell into an open reservation that the class knows nothing of.
    check(&|world| reserved(CapacityType::OnDemand, world), false);
    let group = |class: Option<&str>, own: &[&str], world: &mut World| {
        world.snapshot.node_classes[0].placement_group = class.map(str::to_owned);
        let own = own.iter().map(|text| (*text).to_owned());
        world.instance("i-n0").placement_group = own.collect();
    };
    check(&|world| group(Some("near"), &["pg-1", "near"], world), false);
    check(&|world| group(Some("pg-1"), &["pg-1", "near"], world), false);
    check(&|world| group(Some("far"), &["pg-1", "near"], world), true);
    check(&|world| group(Some("near"), &[], world), true);
    check(&|world| group(None, &["pg-1", "near"], world), true);
    let rotate = |at: i64, world: &mut World| {
        world.pool().disruption.rotate_before = Some(Timestamp(at));
    };
    check(&|world| rotate(START, world), true);
    check(&|world| rotate(START - 20_000, world), false);
}

#[test]
fn legacy_nodes_expire_gracefully_and_todays_at_once() {
    let mut legacy = cluster(1);
    legacy.pool().api_version = ApiVersion::Legacy;
    legacy.pool().expire_after = Some(Duration(10_000));
    legacy.pod("web-0").do_not_disrupt = true;
    assert_eq!(legacy.plan().disruptions, []);
    legacy.pod("web-0").do_not_disrupt = false;
    run(&mut legacy, 300);
    assert!(first(&legacy, "delete n0") >= 60, "{:#?}", legacy.log);
    let mut today = cluster(1);
    today.pool().disruption.budgets = vec![budget("0", &[])];
    today.claim("n0").expire_after = Some(Duration(10_030));
    today.pod("web-0").do_not_disrupt = false;
    assert_eq!(today.plan().wake_at, Some(Timestamp(START + 30)));
    run(&mut today, 300);
    assert_eq!(first(&today, "delete n0"), 30);
    assert_eq!(first(&today, "launch"), 30);
    assert!(first(&today, "evict") >= 90, "pods wait for their places: {:#?}", today.log);
    assert_eq!(today.nodes(), ["new-1"]);
}

fn told(world: &mut World, name: &str, kind: InterruptionKind) {
    let told = Interruption { kind, at: world.snapshot.now, deadline: None };
    world.instance(&format!("i-{name}")).interruption = Some(told);
}

#[test]
fn a_spot_warning_is_answered_at_once_and_pods_leave_in_time() {
    let mut world = cluster(2);
    told(&mut world, "n0", InterruptionKind::SpotWarning);
    world.run(400, 1);
    for word in ["interrupted n0", "cordon n0", "launch new-1"] {
        assert_eq!(first(&world, word), 0, "{:#?}", world.log);
    }
    assert_eq!(first(&world, "delete n0"), 1);
    // The new node joins after 60 s, before the pod's latest moment of 120 - 30 - 15.
    let moved = first(&world, "evict shop/web-0");
    assert!((60..=75).contains(&moved), "{moved}: {:#?}", world.log);
    assert_eq!((world.bought, world.nodes()), (1, vec!["n1", "new-1"]));
}

#[test]
fn a_pod_whose_place_is_late_leaves_at_its_latest_moment() {
    let mut world = cluster(1);
    protect(&mut world, 0);
    world.pod("web-0").spec =
        model::PodSpec { termination_grace_period_s: 60, ..(*world.pod("web-0").spec).clone() }
            .into();
    told(&mut world, "n0", InterruptionKind::SpotWarning);
    world.run(100, 1);
    assert!(world.told("evict").is_empty());
    assert_eq!(first(&world, "force shop/web-0"), 45, "{:#?}", world.log);
    assert_eq!(world.bought, 1);
}

#[test]
fn each_kind_of_interruption_has_its_action() {
    let check = |kind, rebalance, marked: bool, goes: bool| {
        let mut world = cluster(1);
        world.pool().disruption.rebalance = rebalance;
        told(&mut world, "n0", kind);
        world.run(10, 1);
        assert_eq!(!world.told("interrupted").is_empty(), marked, "{kind:?}");
        assert_eq!(!world.told("launch").is_empty(), goes, "{kind:?}");
    };
    use InterruptionKind as Kind;
    for kind in [
        Kind::SpotWarning,
        Kind::ScheduledChange,
        Kind::Stopping,
        Kind::ReservationEnding,
        Kind::StatusImpaired,
    ] {
        check(kind, Rebalance::Ignore, true, true);
    }
    check(Kind::Rebalance, Rebalance::Ignore, true, false);
    check(Kind::Rebalance, Rebalance::Replace, true, true);
}

#[test]
fn an_impaired_instance_is_terminated_promptly() {
    let mut world = cluster(1);
    world.pod("web-0").do_not_disrupt = true;
    told(&mut world, "n0", InterruptionKind::StatusImpaired);
    world.run(30, 1);
    assert!(first(&world, "force") <= 2, "{:#?}", world.log);
    assert!(first(&world, "terminate i-n0") <= 4, "{:#?}", world.log);
}

#[test]
fn a_storm_is_one_plan() {
    let mut world = cluster(30);
    (0..20).for_each(|index| told(&mut world, &format!("n{index}"), InterruptionKind::SpotWarning));
    let plan = world.turn();
    assert_eq!(plan.disruptions.len(), 20);
    assert!(!plan.launches.is_empty());
    let bought = world.bought;
    world.pass(5);
    world.run(400, 5);
    assert_eq!(world.bought, bought, "{:#?}", world.told("launch"));
    assert!(!world.anything_waits());
    let early = world
        .told("evict")
        .into_iter()
        .filter(|line| line.split(' ').next().unwrap().parse::<i64>().unwrap() < 60);
    assert_eq!(early.count(), 0);
}

#[test]
fn a_sick_node_goes_by_force_unless_too_many_are() {
    let mut world = cluster(5);
    world.node("n0").ready = false;
    world.node("n0").faults = vec![("Ready".to_owned(), Timestamp(START - 1790))];
    world.pod("web-0").do_not_disrupt = true;
    assert_eq!(world.plan().wake_at, Some(Timestamp(START + 10)));
    let mut two = World::new();
    two.snapshot = world.snapshot.clone();
    two.node("n1").faults = vec![("Ready".to_owned(), Timestamp(START - 1790))];
    world.run(120, 5);
    assert_eq!(first(&world, "delete n0"), 10);
    assert!(first(&world, "terminate i-n0") <= 25, "{:#?}", world.log);
    two.run(120, 5);
    assert!(two.told("delete").is_empty(), "{:#?}", two.log);
}

#[test]
fn a_lost_replacement_is_called_off_and_tried_again() {
    let mut world = drifted(1);
    run(&mut world, 10);
    assert_eq!(world.claim("n0").disruption.as_ref().unwrap().stage, Stage::Committed);
    world.snapshot.node_claims.retain(|claim| &*claim.name != "new-1");
    world.snapshot.instances.as_mut().unwrap().retain(|instance| instance.id != "i-new-1");
    run(&mut world, 5);
    assert_eq!(world.told("called-off").len(), 1, "{:#?}", world.log);
    assert_eq!(world.told("uncordon").len(), 1);
    run(&mut world, 300);
    assert_eq!(world.nodes(), ["new-2"]);
}

#[test]
fn a_late_replacement_is_called_off() {
    let mut world = drifted(1);
    run(&mut world, 10);
    world.instance("i-new-1").state = model::node_class::InstanceState::Pending;
    world.claim("new-1").created_at = Some(Timestamp(START + 1000));
    run(&mut world, 600);
    assert!(first(&world, "called-off") >= 600, "{:#?}", world.log);
    assert_eq!(world.bought, 1, "what was bought is used again");
}

#[test]
fn two_disruptions_begun_together_both_end() {
    let mut world = drifted(3);
    world.pool().disruption.budgets = vec![budget("2", &[])];
    run(&mut world, 600);
    assert!(world.nodes().iter().all(|name| name.starts_with("new")), "{:#?}", world.log);
    assert_eq!(world.bought, 3, "{:#?}", world.log);
    assert_eq!(world.terminated.len(), 3);
    let left = world.snapshot.node_claims.iter().filter(|claim| claim.disruption.is_some());
    assert_eq!(left.count(), 0);
}

#[test]
fn a_taint_that_was_left_behind_is_taken_off() {
    let mut world = cluster(2);
    world.node("n0").taints.push(world::disrupted());
    world.node("n1").taints.push(world::disrupted());
    world.claim("n1").launch = None;
    world.run(10, 5);
    assert_eq!(world.told("uncordon"), ["0 uncordon n0"], "others' nodes are left alone");
}
