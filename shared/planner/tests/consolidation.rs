//! Consolidation: it saves what it says, breaks no rule, comes to rest, and moves nothing for pennies.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod world;

use joiner_planner::{Consolidation, Options, Scope, check, consolidate, explain_node, plan};
use model::disruption::{DEFAULT_SAVING_PER_MOVE, Stage};
use model::pod::{InclusionPolicy, PodAffinityTerm, PodPhase, TopologySpread, WhenUnsatisfiable};
use model::pool::ConsolidationPolicy;
use model::resources::{CPU, MEMORY, PODS};
use model::{
    DisruptionReason, Duration, Ineligible, LabelSelector, Labels, Launch, MicroUsdPerHour, Node,
    Plan, Pod, PodId, PodSpec, Resources, Snapshot, labels,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use world::{World, budget, instance_type};

const ZONES: [&str; 2] = ["z-a", "z-b"];

/// A pool that consolidates at once, with nodes of a type, each with pods of so many milli-CPUs.
fn cluster(nodes: &[(&str, &[i64])]) -> World {
    filled(World::new(), nodes)
}

fn filled(mut world: World, nodes: &[(&str, &[i64])]) -> World {
    world.pool().disruption.consolidate_after = Some(Duration(0));
    for (index, (kind, pods)) in nodes.iter().enumerate() {
        world.add_node(&format!("n{index}"), kind, 10_000);
        for (number, cpu) in pods.iter().enumerate() {
            world.add_pod(&format!("p{index}-{number}"), &format!("n{index}"), *cpu);
        }
    }
    world
}

fn begun(plan: &Plan) -> Vec<(DisruptionReason, Option<Stage>, usize)> {
    plan.disruptions.iter().map(|told| (told.reason, told.stage, told.nodes.len())).collect()
}

#[test]
fn pods_of_a_half_used_node_go_to_another_after_a_second_look() {
    let mut world = cluster(&[("t2", &[900]), ("t2", &[900])]);
    let first = world.turn();
    assert_eq!(begun(&first), [(DisruptionReason::Underutilized, Some(Stage::Proposed), 1)]);
    assert_eq!(first.disruptions[0].saves, 100_000);
    world.pass(5);
    assert_eq!(begun(&world.turn())[0].1, Some(Stage::Proposed), "not before 15 s");
    world.pass(10);
    let last = world.turn();
    assert_eq!(begun(&last), [(DisruptionReason::Underutilized, None, 1)]);
    assert_eq!(last.removals.len(), 1);
    world.run(120, 5);
    assert_eq!((world.nodes().len(), world.bought, world.anything_waits()), (1, 0, false));
}

#[test]
fn a_large_node_is_replaced_by_a_smaller_one_first() {
    let mut world = cluster(&[("t4", &[900, 900])]);
    world.run(200, 5);
    assert_eq!((world.nodes(), world.bought), (vec!["new-1"], 1));
    assert!(!world.anything_waits());
    let at = |word: &str| world.told(word)[0].split(' ').next().unwrap().parse::<i64>().unwrap();
    assert!(at("launch new-1") >= 15 && at("evict") >= at("launch new-1") + 60, "{:#?}", world.log);
}

#[test]
fn several_nodes_become_fewer_of_another_kind() {
    let mut world = cluster(&[("t2", &[1500]), ("t2", &[1500]), ("t2", &[900])]);
    world.snapshot.instance_types = [(
        "all".to_owned(),
        Arc::new(vec![instance_type("t2", 2, 100_000), instance_type("t4", 4, 120_000)]),
    )]
    .into();
    world.run(240, 5);
    let kinds = world.snapshot.nodes.iter().filter_map(|node| node.label(labels::INSTANCE_TYPE));
    assert_eq!((kinds.collect::<Vec<_>>(), world.anything_waits()), (vec!["t4"], false));
}

#[test]
fn nothing_is_moved_for_pennies() {
    let mut world = cluster(&[("t2", &[900]), ("t2", &[900])]);
    world.pool().disruption.saving_per_move = Some(MicroUsdPerHour(100_000));
    assert_eq!(begun(&world.plan()), []);
    world.pool().disruption.saving_per_move = Some(MicroUsdPerHour(99_999));
    assert_eq!(begun(&world.plan()).len(), 1);
}

/// The first node's pods fill the room on the others to the last, if just the largest goes to the fuller one.
#[test]
fn what_the_kube_scheduler_would_misplace_waits_until_the_cluster_has_settled() {
    let check = |change: &dyn Fn(&mut World), expected: usize| {
        let mut world = cluster(&[("t2", &[800, 450, 450]), ("t2", &[1200]), ("t2", &[1100])]);
        world.pool().disruption.saving_per_move = Some(MicroUsdPerHour(25_000));
        change(&mut world);
        assert_eq!(begun(&world.plan()).len(), expected);
    };
    let lately = |world: &mut World| {
        let now = world.snapshot.now;
        world.pod("p1-0").bound_at = Some(now);
    };
    check(&|_| {}, 1);
    check(&lately, 0);
    // The fuller node is the only one with the label that the largest pod asks for.
    let labelled = |world: &mut World, pod: &str| {
        lately(world);
        world.node("n1").labels.insert("disk".to_owned(), "ssd".to_owned());
        let spec = Arc::make_mut(&mut world.pod(pod).spec);
        spec.node_selector.insert("disk".to_owned(), "ssd".to_owned());
    };
    check(&|world| labelled(world, "p0-0"), 1);
    // It is in another zone than the emptier one, and the largest pod must be in the zone of what runs there.
    let near = |world: &mut World, zone: &str| {
        lately(world);
        world.node("n2").labels.insert(labels::ZONE.to_owned(), zone.to_owned());
        let db = Labels::from([("app".to_owned(), "db".to_owned())]);
        world.pod("p1-0").labels = Arc::new(db.clone());
        let term = PodAffinityTerm {
            topology_key: labels::ZONE.to_owned(),
            selector: LabelSelector::from_labels(&db),
            namespaces: Vec::new(),
            namespace_selector: None,
        };
        Arc::make_mut(&mut world.pod("p0-0").spec).pod_affinity.push(term);
    };
    check(&|world| near(world, "z-b"), 1);
    check(&|world| near(world, "z-a"), 0);
}

/// Both nodes together would be replaced by one for each, and the largest pods bound so that a smaller one finds no room.
#[test]
fn a_smaller_set_is_taken_where_the_best_one_does_not_hold() {
    let kinds = [("t40", 40, 200_000), ("x20", 20, 184_000), ("y21", 21, 186_000)];
    let kinds = kinds.map(|(name, cpu, price)| instance_type(name, cpu, price));
    let mut world = World::new();
    world.snapshot.instance_types = [("all".to_owned(), Arc::new(kinds.to_vec()))].into();
    let mut world = filled(world, &[("t40", &[10_000; 2]), ("t40", &[7_000; 3])]);
    let begins = |world: &World| {
        world.plan().disruptions.iter().map(|told| told.nodes.len()).collect::<Vec<_>>()
    };
    assert_eq!(begins(&world), [1]);
    let now = world.snapshot.now;
    world.pod("p1-0").bound_at = Some(now);
    assert_eq!(begins(&world), []);
}

/// A pod came to the node before it was closed; what must be bought for it is cheap.
#[test]
fn what_an_earlier_attempt_bought_does_not_count_against_this_one() {
    let called_off = |stale_s: i64| {
        let kinds = [("t1", 1, 50_000), ("t2", 2, 100_000), ("t4", 4, 200_000)];
        let kinds = kinds.map(|(name, cpu, price)| instance_type(name, cpu, price));
        let mut world = World::new();
        world.snapshot.instance_types = [("all".to_owned(), Arc::new(kinds.to_vec()))].into();
        let mut world = filled(world, &[("t4", &[900, 900])]);
        world.add_node("stale", "t2", stale_s);
        world.add_pod("own", "stale", 1_900);
        world.pod("own").do_not_disrupt = true;
        let launch = world.claim("stale").launch.as_mut().unwrap();
        launch.replaces = Some("underutilized-n0".to_owned());
        world.turn();
        world.pass(15);
        world.turn();
        assert!(world.told("Committed n0").len() == 1, "{:#?}", world.log);
        world.add_pod("late", "n0", 900);
        world.pass(5);
        world.turn();
        world.told("called-off").len()
    };
    assert_eq!(called_off(60), 0);
    assert_eq!(called_off(-15), 1);
}

#[test]
fn a_proposal_that_is_not_right_any_more_is_withdrawn() {
    let mut world = cluster(&[("t2", &[900]), ("t2", &[900])]);
    world.turn();
    world.add_pod("late-0", "n0", 900);
    world.add_pod("late-1", "n1", 900);
    world.pass(15);
    assert_eq!(begun(&world.turn()), []);
    assert_eq!(world.told("called-off").len(), 1, "{:#?}", world.log);
    assert!(world.snapshot.node_claims.iter().all(|claim| claim.disruption.is_none()));
}

#[test]
fn a_proposal_that_is_still_right_is_not_overtaken() {
    let mut world = cluster(&[("t2", &[900]), ("t2", &[900])]);
    world.pool().disruption.budgets = vec![budget("1", &[])];
    let first = world.turn().disruptions[0].nodes.clone();
    world.add_node("n5", "t4", 10_000);
    world.add_pod("p5", "n5", 100);
    world.pass(15);
    assert_eq!(world.turn().disruptions[0].nodes, first);
}

#[test]
fn policies_budgets_and_waiting_hold() {
    let check = |change: &dyn Fn(&mut World), expected: usize| {
        let mut world = cluster(&[("t2", &[900]), ("t2", &[900]), ("t2", &[500]), ("t2", &[500])]);
        change(&mut world);
        let nodes = world.plan().disruptions.iter().map(|told| told.nodes.len()).sum::<usize>();
        assert_eq!(nodes, expected);
    };
    check(&|_| {}, 2);
    check(&|world| world.pool().disruption.consolidate_after = None, 0);
    check(&|world| world.pool().disruption.policy = ConsolidationPolicy::WhenEmpty, 0);
    check(&|world| world.pool().disruption.policy = ConsolidationPolicy::Balanced, 2);
    check(&|world| world.pool().disruption.budgets = vec![budget("1", &[])], 1);
    check(&|world| world.pool().disruption.budgets = vec![budget("0", &["Underutilized"])], 0);
    check(&|world| world.pool().disruption.budgets = vec![budget("0", &["Empty"])], 2);
    check(&|world| world.pool().disruption.consolidate_after = Some(Duration(9_000)), 0);
    check(&|world| world.pod("p3-0").do_not_disrupt = true, 2);
    check(&|world| world.snapshot.pods.iter_mut().for_each(|pod| pod.do_not_disrupt = true), 0);
    // Nodes that are not ready take no pods, so that only the fourth can.
    check(&|world| world.snapshot.nodes[..3].iter_mut().for_each(|node| node.ready = false), 1);
}

#[test]
fn what_was_bought_to_save_money_rests_for_an_hour() {
    let mut world = cluster(&[("t4", &[900, 900])]);
    world.run(200, 5);
    assert_eq!(world.nodes(), ["new-1"]);
    world.claim("new-1").nominated.clear();
    world.snapshot.instance_types = [(
        "all".to_owned(),
        Arc::new(vec![instance_type("t2", 2, 100_000), instance_type("u2", 2, 50_000)]),
    )]
    .into();
    world.run(3000, 20);
    assert_eq!(world.nodes(), ["new-1"], "{:#?}", world.log);
    world.run(1200, 20);
    assert_eq!(world.nodes(), ["new-2"], "{:#?}", world.log);
}

/// What sets one group of pods apart.
#[derive(Clone, Copy, Debug)]
enum Rule {
    None,
    Apart,
    HostSpread,
    ZoneSpread,
    InZone(usize),
}

fn groups() -> impl Strategy<Value = Vec<(usize, i64, i64, Rule)>> {
    let rule = prop_oneof![
        5 => Just(Rule::None),
        1 => Just(Rule::Apart),
        1 => Just(Rule::HostSpread),
        1 => Just(Rule::ZoneSpread),
        1 => (0..2_usize).prop_map(Rule::InZone),
    ];
    prop::collection::vec((1..7_usize, 1..30_i64, 1..30_i64, rule), 1..6)
}

fn spec(index: usize, (_, cpu, memory, rule): (usize, i64, i64, Rule)) -> PodSpec {
    let requests =
        Resources::new().with(CPU, cpu * 100).with(MEMORY, (memory * 100) << 20).with(PODS, 1);
    let mut spec = PodSpec { requests, ..PodSpec::default() };
    let selector = LabelSelector::from_labels(&app(index));
    let spread = |key: &str| TopologySpread {
        max_skew: 1,
        topology_key: key.to_owned(),
        when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
        selector: selector.clone(),
        min_domains: None,
        match_label_keys: vec![],
        node_affinity_policy: InclusionPolicy::Honor,
        node_taints_policy: InclusionPolicy::Ignore,
    };
    match rule {
        Rule::None => {}
        Rule::Apart => spec.pod_anti_affinity.push(PodAffinityTerm {
            topology_key: labels::HOSTNAME.to_owned(),
            selector: selector.clone(),
            namespaces: vec![],
            namespace_selector: None,
        }),
        Rule::HostSpread => spec.topology_spread.push(spread(labels::HOSTNAME)),
        Rule::ZoneSpread => spec.topology_spread.push(spread(labels::ZONE)),
        Rule::InZone(zone) => {
            spec.node_selector.insert(labels::ZONE.to_owned(), ZONES[zone].to_owned());
        }
    }
    spec
}

fn app(index: usize) -> Labels {
    Labels::from([("app".to_owned(), format!("app-{index}"))])
}

fn waiting(groups: &[(usize, i64, i64, Rule)]) -> Vec<Pod> {
    let mut pods = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        let (spec, labels) = (Arc::new(spec(index, *group)), Arc::new(app(index)));
        pods.extend((0..group.0).map(|number| {
            let id = PodId::new("default", &format!("p{index}-{number}"));
            Pod { ready: true, ..Pod::waiting(id, labels.clone(), spec.clone()) }
        }));
    }
    pods
}

/// A cluster that was right at other prices and for more pods.
fn aged(groups: &[(usize, i64, i64, Rule)], then: &[u64], now: &[u64], keep: usize) -> Snapshot {
    let types = |prices: &[u64]| {
        let kind = |(at, price): (usize, &u64)| {
            instance_type(&format!("t{at}"), 1 << at, *price * 1000 + (20_000 << at))
        };
        Arc::new(prices.iter().enumerate().map(kind).collect::<Vec<_>>())
    };
    let mut cluster = Snapshot {
        region: "us-test-1".to_owned(),
        pods: waiting(groups),
        node_pools: vec![world::pool("default")],
        instance_types: [("all".to_owned(), types(then))].into(),
        ..Snapshot::default()
    };
    let made = plan(&cluster, &quick());
    cluster.pods.retain(|pod| made.launches.iter().any(|launch| launch.pods.contains(&pod.id)));
    cluster.instance_types = [("all".to_owned(), types(now))].into();
    launch(&mut cluster, &made.launches, 0);
    let mut number = 0;
    cluster.pods.retain(|_| {
        number += 1;
        number % keep != 1
    });
    cluster
}

fn launch(cluster: &mut Snapshot, launches: &[Launch], round: usize) {
    let types = cluster.instance_types["all"].clone();
    for (number, launch) in launches.iter().enumerate() {
        let offering = &launch.offering;
        let kind = types.iter().find(|known| known.name == offering.instance_type).unwrap();
        let name: Arc<str> = format!("node-{round}-{number}").into();
        let own = [
            (labels::NODE_POOL, launch.node_pool.as_str()),
            (labels::INITIALIZED, "true"),
            (labels::HOSTNAME, &name),
            (labels::ZONE, &offering.zone),
            (labels::INSTANCE_TYPE, &kind.name),
            (labels::CAPACITY_TYPE, "on-demand"),
        ];
        let mut all = kind.labels.clone();
        all.extend(own.map(|(key, value)| (key.to_owned(), value.to_owned())));
        cluster.nodes.push(Node {
            name: name.clone(),
            labels: all,
            allocatable: kind.allocatable.clone(),
            capacity: kind.capacity.clone(),
            ready: true,
            price: Some(kind.offerings[0].price),
            ..Node::default()
        });
        bind(cluster, launch.pods.iter().map(|pod| (pod.clone(), name.clone())).collect());
    }
}

fn bind(cluster: &mut Snapshot, places: BTreeMap<PodId, Arc<str>>) {
    for pod in &mut cluster.pods {
        if let Some(place) = places.get(&pod.id) {
            pod.node_name = Some(place.clone());
            pod.phase = PodPhase::Running;
            pod.unschedulable = false;
        }
    }
}

/// All steps at once, as a plan for a cluster in which their nodes are being deleted.
fn as_plan(cluster: &Snapshot, answer: &Consolidation) -> (Snapshot, Plan) {
    let mut leaving = cluster.clone();
    let gone = |node: &Node| answer.steps.iter().any(|step| step.nodes.contains(&node.name));
    leaving.nodes.iter_mut().for_each(|node| node.deleting = gone(node));
    let steps = || answer.steps.iter();
    let launches = steps().flat_map(|step| step.launches.iter().cloned()).collect::<Vec<_>>();
    let planned = launches.iter().map(|launch| launch.offering.price).sum();
    let plan = Plan {
        placements: steps().flat_map(|step| step.moves.iter().cloned()).collect(),
        launches,
        cost: model::Cost { planned, ..model::Cost::default() },
        ..Plan::default()
    };
    (leaving, plan)
}

fn cost(cluster: &Snapshot) -> u64 {
    cluster.nodes.iter().filter_map(|node| node.price).sum::<MicroUsdPerHour>().0
}

fn carry_out(cluster: &mut Snapshot, answer: &Consolidation, round: usize) {
    let moves = answer.steps.iter().flat_map(|step| &step.moves);
    bind(cluster, moves.map(|moved| (moved.pod.clone(), moved.node.clone())).collect());
    let launches = answer.steps.iter().flat_map(|step| step.launches.iter().cloned());
    launch(cluster, &launches.collect::<Vec<_>>(), round);
    let gone = |node: &Node| answer.steps.iter().any(|step| step.nodes.contains(&node.name));
    cluster.nodes.retain(|node| !gone(node));
    let names = cluster.nodes.iter().map(|node| &node.name).collect::<Vec<_>>();
    for pod in &cluster.pods {
        assert!(names.contains(&pod.node_name.as_ref().unwrap()), "{} lost its node", pod.id);
    }
}

fn quick() -> Options {
    Options { steps: 300_000 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn it_saves_what_it_says_breaks_no_rule_and_comes_to_rest(
        groups in groups(),
        then in prop::collection::vec(1..100_u64, 4),
        now in prop::collection::vec(1..100_u64, 4),
        keep in 2..6_usize,
        most in prop::option::of(1..4_usize),
    ) {
        let mut cluster = aged(&groups, &then, &now, keep);
        let scope = Scope { nodes_of_a_pool: most, ..Scope::default() };
        for round in 1.. {
            prop_assert!(round < 40, "it does not come to rest");
            let before = cost(&cluster);
            let answer = consolidate(&cluster, &scope, &quick());
            if answer.steps.is_empty() {
                break;
            }
            let mut turned = cluster.clone();
            turned.pods.reverse();
            turned.nodes.reverse();
            prop_assert_eq!(&consolidate(&turned, &scope, &quick()), &answer);
            for step in &answer.steps {
                let least = DEFAULT_SAVING_PER_MOVE.0 as i64 * step.moved as i64;
                prop_assert!(step.saves > least, "{} for {} pods", step.saves, step.moved);
            }
            let nodes = answer.steps.iter().map(|step| step.nodes.len()).sum::<usize>();
            prop_assert!(nodes <= most.unwrap_or(usize::MAX));
            let (leaving, plan) = as_plan(&cluster, &answer);
            prop_assert_eq!(check(&leaving, &plan), vec![]);
            carry_out(&mut cluster, &answer, round);
            prop_assert_eq!(answer.current.0, before);
            prop_assert_eq!(answer.after.0, cost(&cluster));
        }
    }
}

#[test]
fn a_node_is_explained() {
    let mut world = cluster(&[("t2", &[900]), ("t2", &[900])]);
    let told = explain_node(&world.snapshot, "n0", &quick()).unwrap();
    assert_eq!(
        (told.kept_by.clone(), told.alone.moved, told.alone.saves),
        (None, 1, Some(100_000))
    );
    assert!(told.alone.pays() && told.causes.is_empty());
    assert_eq!(&*told.alone.moves[0].node, "n1");
    world.pod("p0-0").do_not_disrupt = true;
    let told = explain_node(&world.snapshot, "n0", &quick()).unwrap();
    assert!(matches!(told.kept_by, Some(Ineligible::PodDoNotDisrupt { .. })), "{told:?}");
    world.pool().disruption.rotate_before = Some(world.snapshot.now);
    let told = explain_node(&world.snapshot, "n1", &quick()).unwrap();
    assert_eq!(told.causes, [(DisruptionReason::Drifted, None)]);
    assert!(told.planned.is_some());
    assert_eq!(explain_node(&world.snapshot, "n9", &quick()), None);
}
