//! What is told of a pod is what the planner does with it, and every change that is proposed makes it fit.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test may panic"
)]

mod world;

use joiner_planner::{
    Change, Options, PodExplanation, PodState, explain_pod, explain_type, heed, plan,
};
use model::pod::{
    HostPort, InclusionPolicy, NodeSelectorTerm, PodAffinityTerm, TopologySpread, WhenUnsatisfiable,
};
use model::resources::{CPU, MEMORY, PODS};
use model::snapshot::DaemonSet;
use model::taints::{Effect, Taint};
use model::{
    LabelSelector, Labels, Operator, Pod, PodId, PodSpec, Reason, Requirement, Resources, Snapshot,
    ValueSet, labels,
};
use proptest::prelude::*;
use std::sync::Arc;
use world::{World, instance_type};

const CATEGORY: &str = "karpenter.k8s.aws/instance-category";
const OPTIONS: Options = Options { steps: 300_000 };

fn pod(name: &str, spec: PodSpec) -> Pod {
    let labels = Labels::from([("app".to_owned(), "web".to_owned())]);
    Pod::waiting(PodId::new("shop", name), Arc::new(labels), Arc::new(spec))
}

fn asks(cpu: i64) -> PodSpec {
    let requests = Resources::new().with(CPU, cpu).with(MEMORY, 1 << 28).with(PODS, 1);
    PodSpec { requests, ..PodSpec::default() }
}

fn taint(key: &str) -> Taint {
    Taint { key: key.to_owned(), value: "a".to_owned(), effect: Effect::NoSchedule }
}

fn port() -> HostPort {
    HostPort { ip: String::new(), port: 53, protocol: "UDP".to_owned() }
}

fn selector() -> LabelSelector {
    LabelSelector::from_labels(&Labels::from([("app".to_owned(), "web".to_owned())]))
}

fn near(key: &str) -> PodAffinityTerm {
    PodAffinityTerm {
        topology_key: key.to_owned(),
        selector: selector(),
        namespaces: Vec::new(),
        namespace_selector: None,
    }
}

fn spread(key: &str) -> TopologySpread {
    TopologySpread {
        max_skew: 1,
        topology_key: key.to_owned(),
        when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
        selector: selector(),
        min_domains: None,
        match_label_keys: Vec::new(),
        node_affinity_policy: InclusionPolicy::Honor,
        node_taints_policy: InclusionPolicy::Ignore,
    }
}

fn explained(snapshot: &Snapshot, name: &str) -> PodExplanation {
    explain_pod(snapshot, &PodId::new("shop", name), &OPTIONS).unwrap()
}

/// Whether the plan finds a place for the pod.
fn is_placed(snapshot: &Snapshot, id: &PodId) -> bool {
    let (plan, _) = heed(snapshot, plan(snapshot, &OPTIONS));
    let mut launched = plan.launches.iter().flat_map(|launch| &launch.pods);
    launched.any(|pod| pod == id) || plan.placements.iter().any(|placed| placed.pod == *id)
}

/// Every fix makes the pod fit, and the first is the one expected.
fn check(change: impl FnOnce(&mut World, &mut PodSpec), expected: &[&str]) {
    let mut world = World::new();
    let mut spec = asks(1000);
    change(&mut world, &mut spec);
    world.snapshot.pods.push(pod("cart", spec));
    let told = explained(&world.snapshot, "cart");
    assert!(matches!(told.state, PodState::Unschedulable { .. }), "{:?}", told.state);
    let first = told.fixes.first().into_iter().flatten().map(Change::to_string);
    assert_eq!(first.collect::<Vec<_>>(), expected, "{:#?}", told.fixes);
    for changes in &told.fixes {
        let mut changed = world.snapshot.clone();
        changes.iter().for_each(|change| change.apply(&mut changed, &told.pod));
        assert!(is_placed(&changed, &told.pod), "{changes:?}");
    }
}

#[test]
fn the_smallest_change_to_a_pod_makes_it_fit() {
    check(
        |world, _| world.pool().taints.push(taint("team")),
        &["let the pod tolerate team=a:NoSchedule"],
    );
    check(
        |_, spec| spec.requests.set(CPU, 4500),
        &["lower the pod's request of cpu from 4500m to 4"],
    );
    check(
        |_, spec| spec.requests.set("example.com/dongle", 1),
        &["lower the pod's request of example.com/dongle from 1 to 0"],
    );
    check(
        |_, spec| drop(spec.node_selector.insert(labels::ARCH.to_owned(), "arm64".to_owned())),
        &["drop what the pod asks of arch"],
    );
    check(
        |_, spec| {
            let field = Requirement::new("metadata.name", Operator::In, ["gone"]);
            spec.node_affinity.push(NodeSelectorTerm { requirements: vec![], fields: vec![field] });
        },
        &["drop what the pod asks of metadata.name"],
    );
    check(
        |world, spec| {
            spec.host_ports.push(port());
            let daemon = PodSpec { host_ports: vec![port()], ..asks(10) };
            world.snapshot.daemon_sets.push(DaemonSet {
                namespace: "kube-system".to_owned(),
                name: "dns".to_owned(),
                spec: Arc::new(daemon),
            });
        },
        &["take host port 53 off the pod"],
    );
}

#[test]
fn the_smallest_change_to_a_pool_makes_the_pod_fit() {
    check(
        |world, _| world.pool().requirements.add(labels::ARCH, ValueSet::only("arm64")),
        &["let pool default allow arch amd64"],
    );
    check(
        |world, _| world.pool().requirements.add(CATEGORY, ValueSet::only("x")),
        &[&format!("let pool default allow nodes without the label {CATEGORY}")],
    );
    check(
        |_, spec| drop(spec.node_selector.insert("team".to_owned(), "web".to_owned())),
        &["put the label team=web on pool default"],
    );
    check(
        |world, _| world.pool().limits.set(CPU, 1000),
        &["raise the limit of cpu of pool default to 2"],
    );
    check(
        |world, _| world.pool().limits.set(model::resources::NODES, 0),
        &["raise the limit of nodes of pool default to 1"],
    );
    check(
        |world, _| world.pool().problem = Some("its node class is not ready".to_owned()),
        &["mend pool default: its node class is not ready"],
    );
    check(
        |world, _| {
            let types = Arc::make_mut(world.snapshot.instance_types.get_mut("all").unwrap());
            types.iter_mut().flat_map(|of| &mut of.offerings).for_each(|of| of.available = false);
        },
        &["wait for on-demand capacity of t2 in z-a"],
    );
    check(
        |world, _| {
            world.pool().taints.push(taint("team"));
            world.pool().requirements.add(labels::ARCH, ValueSet::only("arm64"));
        },
        &["let the pod tolerate team=a:NoSchedule", "let pool default allow arch amd64"],
    );
}

#[test]
fn rules_about_other_pods_are_dropped_where_nothing_else_helps() {
    check(
        |_, spec| {
            spec.pod_affinity.push(near(labels::ZONE));
            spec.pod_affinity[0].selector =
                LabelSelector::from_labels(&Labels::from([("app".to_owned(), "none".to_owned())]));
        },
        &["drop the pod's affinity over zone"],
    );
    // In both zones runs a pod that the new one must not be with.
    check(
        |world, spec| {
            crowd(world, &["z-a", "z-b"]);
            spec.pod_anti_affinity.push(near(labels::ZONE));
        },
        &["drop the pod's anti-affinity over zone"],
    );
    // Nothing can be bought in the zone that is free, which counts for the spread all the same.
    check(
        |world, spec| {
            crowd(world, &["z-a", "z-a"]);
            let types = Arc::make_mut(world.snapshot.instance_types.get_mut("all").unwrap());
            types.iter_mut().for_each(|of| of.offerings.retain(|of| of.zone == "z-a"));
            world.add_node("n9", "t2", 5000);
            let node = world.node("n9");
            node.labels.insert(labels::ZONE.to_owned(), "z-b".to_owned());
            node.taints.push(taint("full"));
            spec.topology_spread.push(spread(labels::ZONE));
        },
        &["drop the pod's topology spread over zone"],
    );
}

/// Nodes that are full, one in each of the zones named, each with a pod of the application.
fn crowd(world: &mut World, zones: &[&str]) {
    for (index, zone) in zones.iter().enumerate() {
        let name = format!("n{index}");
        world.add_node(&name, "t2", 5000);
        world.node(&name).labels.insert(labels::ZONE.to_owned(), (*zone).to_owned());
        let mut running = pod(&format!("web-{index}"), asks(2000));
        running.node_name = Some(name.as_str().into());
        running.phase = model::pod::PodPhase::Running;
        running.unschedulable = false;
        world.snapshot.pods.push(running);
    }
}

#[test]
fn a_type_is_asked_for_by_itself() {
    let mut world = World::new();
    world.snapshot.pods.push(pod("cart", asks(3000)));
    let id = PodId::new("shop", "cart");
    let small = explain_type(&world.snapshot, "t2", &id, &OPTIONS).unwrap();
    assert!(matches!(small.state, PodState::Bought { .. }));
    assert_eq!(small.pools[0].types.len(), 1);
    let fix = small.fixes[0].iter().map(Change::to_string).collect::<Vec<_>>();
    assert_eq!(fix, ["lower the pod's request of cpu from 3 to 2"]);
    let large = explain_type(&world.snapshot, "t4", &id, &OPTIONS).unwrap();
    assert!(large.fixes.is_empty() && large.pools[0].types[0].fits());
    assert!(
        explain_type(&world.snapshot, "none", &id, &OPTIONS).unwrap().pools[0].types.is_empty()
    );
    assert!(explain_pod(&world.snapshot, &PodId::new("shop", "none"), &OPTIONS).is_none());
}

#[test]
fn pods_that_do_not_wait_are_explained_too() {
    let mut world = World::new();
    crowd(&mut world, &["z-a"]);
    let told = explained(&world.snapshot, "web-0");
    assert!(matches!(&told.state, PodState::Runs { node } if &**node == "n0"));
    assert!(told.fixes.is_empty() && told.pools[0].fitting().len() == 2);
    world.snapshot.pods[0].node_name = None;
    let told = explained(&world.snapshot, "web-0");
    assert!(matches!(told.state, PodState::NotConsidered { .. }), "{:?}", told.state);
}

/// One thing of a random cluster that may keep pods from nodes.
#[derive(Clone, Debug)]
enum Twist {
    Taint,
    Arm,
    PoolArm,
    PoolZone(bool),
    PodZone(bool),
    PoolTeam(bool),
    PodTeam(Operator),
    Port,
    Daemon(i64),
    Limit(i64),
    Unavailable,
}

fn twist() -> impl Strategy<Value = Twist> {
    prop_oneof![
        Just(Twist::Taint),
        Just(Twist::Arm),
        Just(Twist::PoolArm),
        any::<bool>().prop_map(Twist::PoolZone),
        any::<bool>().prop_map(Twist::PodZone),
        any::<bool>().prop_map(Twist::PoolTeam),
        prop_oneof![
            Just(Operator::In),
            Just(Operator::NotIn),
            Just(Operator::Exists),
            Just(Operator::DoesNotExist)
        ]
        .prop_map(Twist::PodTeam),
        Just(Twist::Port),
        (1..3000_i64).prop_map(Twist::Daemon),
        (1..8_i64).prop_map(Twist::Limit),
        Just(Twist::Unavailable),
    ]
}

fn zone(first: bool) -> &'static str {
    if first { "z-a" } else { "z-b" }
}

fn twisted(cpu: i64, twists: &[Twist]) -> Snapshot {
    let mut world = World::new();
    let mut spec = asks(cpu);
    let mut arm = instance_type("a8", 8, 300_000);
    arm.labels.insert(labels::ARCH.to_owned(), "arm64".to_owned());
    Arc::make_mut(world.snapshot.instance_types.get_mut("all").unwrap()).push(arm);
    for twist in twists {
        turn(&mut world, &mut spec, twist);
    }
    world.snapshot.pods.push(pod("cart", spec));
    world.snapshot
}

fn turn(world: &mut World, spec: &mut PodSpec, twist: &Twist) {
    let term = |requirement| NodeSelectorTerm { requirements: vec![requirement], fields: vec![] };
    match twist {
        Twist::Taint => world.pool().taints.push(taint("team")),
        Twist::Arm => drop(spec.node_selector.insert(labels::ARCH.into(), "arm64".into())),
        Twist::PoolArm => world.pool().requirements.add(labels::ARCH, ValueSet::only("arm64")),
        Twist::PoolZone(first) => {
            world.pool().requirements.add(labels::ZONE, ValueSet::only(zone(*first)));
        }
        Twist::PodZone(first) => {
            drop(spec.node_selector.insert(labels::ZONE.into(), zone(*first).into()));
        }
        Twist::PoolTeam(one) => {
            let values: &[&str] = if *one { &["a"] } else { &["a", "b"] };
            let set = Requirement::new("team", Operator::In, values.iter().copied()).value_set();
            world.pool().requirements.add("team", set);
        }
        Twist::PodTeam(operator) => {
            let values: &[&str] = match operator {
                Operator::In | Operator::NotIn => &["a"],
                Operator::Exists
                | Operator::DoesNotExist
                | Operator::Gt
                | Operator::Lt
                | Operator::Gte
                | Operator::Lte => &[],
            };
            let wanted = Requirement::new("team", *operator, values.iter().copied());
            spec.node_affinity = vec![term(wanted)];
        }
        Twist::Port => spec.host_ports.push(port()),
        Twist::Daemon(cpu) => world.snapshot.daemon_sets.push(DaemonSet {
            namespace: "kube-system".to_owned(),
            name: format!("daemon-{cpu}"),
            spec: Arc::new(PodSpec { host_ports: vec![port()], ..asks(*cpu) }),
        }),
        Twist::Limit(cores) => world.pool().limits.set(CPU, cores * 1000),
        Twist::Unavailable => {
            let types = Arc::make_mut(world.snapshot.instance_types.get_mut("all").unwrap());
            types[0].offerings.iter_mut().for_each(|of| of.available = false);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// Alone in an empty cluster a pod has a place just if some type is said to hold it; what is bought is said to hold it;
    /// and each change that is proposed gives it one.
    #[test]
    fn what_is_told_is_what_is_planned(
        cpu in 100..9000_i64,
        twists in prop::collection::vec(twist(), 0..5),
    ) {
        let snapshot = twisted(cpu, &twists);
        let told = explained(&snapshot, "cart");
        let holding = told.pools.iter().filter(|pool| pool.obstacles.is_empty());
        let fitting = holding.flat_map(|pool| pool.fitting()).collect::<Vec<_>>();
        match &told.state {
            PodState::Bought { launch } => {
                let of = &launch.offering;
                let found = fitting.iter().find(|fit| fit.instance_type == of.instance_type);
                let clear = |fit: &&&joiner_planner::TypeVerdict| {
                    let mut ways = fit.offerings.iter();
                    ways.any(|way| way.zone == of.zone && way.obstacles.is_empty())
                };
                prop_assert!(found.filter(clear).is_some(), "{of:?} {fitting:?}");
                prop_assert!(told.fixes.is_empty());
            }
            PodState::Unschedulable { reasons } => {
                prop_assert!(fitting.is_empty(), "{reasons:?} {fitting:?}");
                prop_assert!(!told.fixes.is_empty(), "{:?} {:?}", reasons, told.pools);
            }
            other => prop_assert!(false, "{other:?}"),
        }
        for changes in &told.fixes {
            let mut changed = snapshot.clone();
            changes.iter().for_each(|change| change.apply(&mut changed, &told.pod));
            prop_assert!(is_placed(&changed, &told.pod), "{changes:?}");
        }
    }
}

#[test]
fn reasons_that_nobody_can_lift_have_no_fix() {
    let mut world = World::new();
    world.snapshot.node_pools.clear();
    world.snapshot.pods.push(pod("cart", asks(100)));
    let told = explained(&world.snapshot, "cart");
    let none = PodState::Unschedulable { reasons: vec![Reason::NoNodePool] };
    assert_eq!((told.state, told.fixes), (none, vec![]));
}
