//! Properties of plans over random small clusters.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "a test may panic")]

use joiner_planner::{Options, check, plan};
use model::pod::{
    InclusionPolicy, NodeSelectorTerm, PodAffinityTerm, TopologySpread, WhenUnsatisfiable,
};
use model::pool::ApiVersion;
use model::resources::{CPU, MEMORY, NODES, PODS};
use model::{
    CapacityType, InstanceType, LabelSelector, Labels, MicroUsdPerHour, Node, NodeClaim, NodePool,
    Offering, Operator, Plan, Pod, PodId, PodSpec, Requirement, Resources, Snapshot, Taint,
    Toleration, labels, taints::Effect,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const ZONES: [&str; 3] = ["z-a", "z-b", "z-c"];

/// What sets one group of pods apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    None,
    ZoneSpread(i32),
    HostSpread(i32),
    HostApart,
    ZoneApart,
    HostTogether,
    ZoneTogether,
    AwayFrom(usize),
    CloseTo(usize),
    InZone(usize),
    NotInZone(usize),
    Tolerates,
}

#[derive(Clone, Debug)]
struct Group {
    count: usize,
    cpu: i64,
    memory: i64,
    rule: Rule,
}

#[derive(Clone, Debug)]
struct Kind {
    cpu: i64,
    memory: i64,
    price: u64,
    zones: usize,
}

#[derive(Clone, Debug)]
struct Cluster {
    groups: Vec<Group>,
    kinds: Vec<Kind>,
    /// CPU limit of the first pool, in cores.
    limit: Option<i64>,
    /// A second pool: its weight, and whether it is tainted.
    second: Option<(i32, bool)>,
    /// Nodes that are there: their CPU in cores and zone.
    nodes: Vec<(i64, usize)>,
    node_limit: Option<i64>,
}

fn rule() -> impl Strategy<Value = Rule> {
    prop_oneof![
        6 => Just(Rule::None),
        1 => (1..3_i32).prop_map(Rule::ZoneSpread),
        1 => (1..3_i32).prop_map(Rule::HostSpread),
        1 => Just(Rule::HostApart),
        1 => Just(Rule::ZoneApart),
        1 => Just(Rule::HostTogether),
        1 => Just(Rule::ZoneTogether),
        1 => (0..4_usize).prop_map(Rule::AwayFrom),
        1 => (0..4_usize).prop_map(Rule::CloseTo),
        1 => (0..3_usize).prop_map(Rule::InZone),
        1 => (0..3_usize).prop_map(Rule::NotInZone),
        1 => Just(Rule::Tolerates),
    ]
}

fn group(rule: impl Strategy<Value = Rule>) -> impl Strategy<Value = Group> {
    (1..4_usize, 1..40_i64, 1..40_i64, rule).prop_map(|(count, cpu, memory, rule)| Group {
        count,
        cpu: cpu * 100,
        memory: memory * 100,
        rule,
    })
}

fn kind() -> impl Strategy<Value = Kind> {
    (1..9_i64, 1..9_i64, 1..200_u64, 0..3_usize).prop_map(|(cpu, memory, price, zones)| Kind {
        cpu,
        memory,
        price: price * 1000 + cpu as u64 * 40_000,
        zones: zones + 1,
    })
}

fn cluster() -> impl Strategy<Value = Cluster> {
    let groups = prop::collection::vec(group(rule()), 1..5);
    let kinds = prop::collection::vec(kind(), 1..6);
    let nodes = prop::collection::vec((1..6_i64, 0..3_usize), 0..3);
    let limit = prop::option::weighted(0.3, 1..20_i64);
    let node_limit = prop::option::weighted(0.2, 0..4_i64);
    let second = prop::option::of((0..3_i32, any::<bool>()));
    (groups, kinds, limit, second, nodes, node_limit).prop_map(
        |(groups, kinds, limit, second, nodes, node_limit)| Cluster {
            groups,
            kinds,
            limit,
            second,
            nodes,
            node_limit,
        },
    )
}

/// Few enough pods to try every packing, with rules about their own node alone.
fn few_pods(rule: impl Strategy<Value = Rule>) -> impl Strategy<Value = Cluster> {
    let few = |groups: &Vec<Group>| groups.iter().map(|group| group.count).sum::<usize>() <= 8;
    let groups = prop::collection::vec(group(rule), 1..4).prop_filter("few pods", few);
    (groups, prop::collection::vec(kind(), 1..6)).prop_map(|(groups, kinds)| Cluster {
        groups,
        kinds,
        limit: None,
        second: None,
        nodes: vec![],
        node_limit: None,
    })
}

fn apart() -> impl Strategy<Value = Rule> {
    prop_oneof![3 => Just(Rule::None), 1 => Just(Rule::HostApart), 1 => Just(Rule::HostSpread(2))]
}

fn apart_or_together() -> impl Strategy<Value = Rule> {
    prop_oneof![2 => apart(), 1 => Just(Rule::HostTogether)]
}

fn app(group: usize) -> Labels {
    Labels::from([("app".to_owned(), format!("app-{group}"))])
}

fn together(group: usize, key: &str) -> PodAffinityTerm {
    PodAffinityTerm {
        topology_key: key.to_owned(),
        selector: LabelSelector::from_labels(&app(group)),
        namespaces: vec![],
        namespace_selector: None,
    }
}

fn spread(group: usize, key: &str, max_skew: i32) -> TopologySpread {
    TopologySpread {
        max_skew,
        topology_key: key.to_owned(),
        when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
        selector: LabelSelector::from_labels(&app(group)),
        min_domains: None,
        match_label_keys: vec![],
        node_affinity_policy: InclusionPolicy::Honor,
        node_taints_policy: InclusionPolicy::Ignore,
    }
}

fn spec(index: usize, group: &Group) -> PodSpec {
    let requests =
        Resources::new().with(CPU, group.cpu).with(MEMORY, group.memory << 20).with(PODS, 1);
    let mut spec = PodSpec { requests, ..PodSpec::default() };
    let zone = |operator, zone: usize| NodeSelectorTerm {
        requirements: vec![Requirement::new(labels::ZONE, operator, [ZONES[zone]])],
        fields: vec![],
    };
    match group.rule {
        Rule::None => {}
        Rule::ZoneSpread(skew) => spec.topology_spread.push(spread(index, labels::ZONE, skew)),
        Rule::HostSpread(skew) => spec.topology_spread.push(spread(index, labels::HOSTNAME, skew)),
        Rule::HostApart => spec.pod_anti_affinity.push(together(index, labels::HOSTNAME)),
        Rule::ZoneApart => spec.pod_anti_affinity.push(together(index, labels::ZONE)),
        Rule::HostTogether => spec.pod_affinity.push(together(index, labels::HOSTNAME)),
        Rule::ZoneTogether => spec.pod_affinity.push(together(index, labels::ZONE)),
        Rule::AwayFrom(other) => spec.pod_anti_affinity.push(together(other, labels::HOSTNAME)),
        Rule::CloseTo(other) => spec.pod_affinity.push(together(other, labels::HOSTNAME)),
        Rule::InZone(wanted) => spec.node_affinity.push(zone(Operator::In, wanted)),
        Rule::NotInZone(wanted) => spec.node_affinity.push(zone(Operator::NotIn, wanted)),
        Rule::Tolerates => {
            spec.tolerations.push(Toleration {
                key: Some("special".into()),
                exists: true,
                value: String::new(),
                effect: None,
            });
        }
    }
    spec
}

fn pods(cluster: &Cluster) -> Vec<Pod> {
    let mut pods = Vec::new();
    for (index, group) in cluster.groups.iter().enumerate() {
        let (spec, labels) = (Arc::new(spec(index, group)), Arc::new(app(index)));
        pods.extend((0..group.count).map(|number| {
            let id = PodId::new("default", &format!("p{index}-{number}"));
            Pod::waiting(id, labels.clone(), spec.clone())
        }));
    }
    pods
}

fn instance_type(index: usize, kind: &Kind) -> InstanceType {
    let name = format!("t{index}.large");
    let capacity =
        Resources::new().with(CPU, kind.cpu * 1000).with(MEMORY, kind.memory << 30).with(PODS, 10);
    let offering = |zone: &&str| Offering {
        zone: (*zone).to_owned(),
        zone_id: String::new(),
        capacity_type: CapacityType::OnDemand,
        price: MicroUsdPerHour(kind.price),
        estimated: false,
        available: true,
        reservation: None,
        parts: Default::default(),
    };
    let labels = Labels::from([
        (labels::ARCH.to_owned(), "amd64".to_owned()),
        (labels::OS.to_owned(), "linux".to_owned()),
    ]);
    InstanceType {
        name,
        labels,
        capacity: capacity.clone(),
        allocatable: capacity,
        offerings: ZONES[..kind.zones].iter().map(offering).collect(),
    }
}

fn pool(name: &str) -> NodePool {
    NodePool { weight: 1, ..NodePool::new(name, ApiVersion::V1, "default", "all") }
}

fn node(index: usize, cpu: i64, zone: usize) -> Node {
    let name: Arc<str> = format!("node-{index}").into();
    let allocatable = Resources::new().with(CPU, cpu * 1000).with(MEMORY, 8 << 30).with(PODS, 10);
    let labels = [(labels::HOSTNAME, &*name), (labels::ZONE, ZONES[zone])]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
    Node {
        name,
        labels: labels.into(),
        taints: vec![],
        allocatable: allocatable.clone(),
        capacity: allocatable,
        provider_id: String::new(),
        created_at: None,
        ready: true,
        unschedulable: false,
        deleting: false,
        do_not_disrupt: false,
        price: None,
        price_estimated: false,
        ..Node::default()
    }
}

fn snapshot(cluster: &Cluster) -> Snapshot {
    let mut first = pool("first");
    if let Some(limit) = cluster.limit {
        first.limits.set(CPU, limit * 1000);
    }
    if let Some(limit) = cluster.node_limit {
        first.limits.set(NODES, limit);
    }
    let second = cluster.second.map(|(weight, tainted)| {
        let taint =
            Taint { key: "special".into(), value: String::new(), effect: Effect::NoSchedule };
        NodePool { weight, taints: if tainted { vec![taint] } else { vec![] }, ..pool("second") }
    });
    let types =
        cluster.kinds.iter().enumerate().map(|(index, kind)| instance_type(index, kind)).collect();
    Snapshot {
        region: "us-test-1".to_owned(),
        pods: pods(cluster),
        nodes: cluster
            .nodes
            .iter()
            .enumerate()
            .map(|(index, (cpu, zone))| node(index, *cpu, *zone))
            .collect(),
        node_pools: std::iter::once(first).chain(second).collect(),
        instance_types: [("all".to_owned(), Arc::new(types))].into(),
        ..Snapshot::default()
    }
}

fn quick() -> Options {
    Options { steps: 300_000 }
}

/// The snapshot after the launches were asked for: the nodes are on their way, the pods still wait.
fn asked_for(snapshot: &Snapshot, plan: &Plan) -> Snapshot {
    let mut next = snapshot.clone();
    for launch in &plan.launches {
        let types = &snapshot.instance_types["all"];
        let instance_type =
            types.iter().find(|known| known.name == launch.offering.instance_type).unwrap();
        let pool = snapshot.node_pools.iter().find(|pool| pool.name == launch.node_pool).unwrap();
        let mut labels = instance_type.labels.clone();
        labels.extend(launch.labels.clone());
        next.node_claims.push(NodeClaim {
            name: format!("claim-{}", launch.name).into(),
            pool: pool.name.clone(),
            node_name: None,
            provider_id: None,
            instance_type: Some(instance_type.name.clone()),
            zone: Some(launch.offering.zone.clone()),
            capacity_type: Some(launch.offering.capacity_type),
            labels,
            taints: pool.taints.clone(),
            allocatable: instance_type.allocatable.clone(),
            capacity: instance_type.capacity.clone(),
            price: Some(launch.offering.price),
            nominated: launch.pods.clone(),
            created_at: None,
            deleting: false,
            ..NodeClaim::default()
        });
    }
    next
}

/// The least price of any packing, by trying all ways to part the pods.
fn cheapest(snapshot: &Snapshot, cluster: &Cluster, placed: &BTreeSet<PodId>) -> u64 {
    let pods = snapshot.pods.iter().filter(|pod| placed.contains(&pod.id)).collect::<Vec<_>>();
    let mut best = u64::MAX;
    part(&pods, &mut Vec::new(), &|parts| price_of(snapshot, cluster, parts), &mut best);
    best
}

fn part<'a>(
    left: &[&'a Pod],
    parts: &mut Vec<Vec<&'a Pod>>,
    price: &dyn Fn(&[Vec<&Pod>]) -> Option<u64>,
    best: &mut u64,
) {
    let Some((first, rest)) = left.split_first() else {
        *best = (*best).min(price(parts).unwrap_or(u64::MAX));
        return;
    };
    for at in 0..parts.len() {
        parts[at].push(first);
        part(rest, parts, price, best);
        parts[at].pop();
    }
    parts.push(vec![first]);
    part(rest, parts, price, best);
    parts.pop();
}

fn price_of(snapshot: &Snapshot, cluster: &Cluster, parts: &[Vec<&Pod>]) -> Option<u64> {
    let mut total = 0;
    for part in parts {
        let mut sum = Resources::new();
        let mut of_group: BTreeMap<&str, usize> = BTreeMap::new();
        for pod in part {
            sum.add(&pod.spec.requests);
            *of_group.entry(&pod.labels["app"]).or_default() += 1;
        }
        for (app, count) in of_group {
            let group: usize = app["app-".len()..].parse().unwrap();
            let rule = &cluster.groups[group];
            let allowed = match rule.rule {
                Rule::HostApart => 1..=1,
                Rule::HostSpread(skew) => 1..=skew as usize,
                Rule::HostTogether => rule.count..=rule.count,
                _ => 1..=usize::MAX,
            };
            if !allowed.contains(&count) {
                return None;
            }
        }
        let types = &snapshot.instance_types["all"];
        total += types
            .iter()
            .filter(|known| sum.fits(&known.allocatable))
            .map(|known| known.offerings[0].price.0)
            .min()?;
    }
    Some(total)
}

fn placed(plan: &Plan) -> BTreeSet<PodId> {
    let launched = plan.launches.iter().flat_map(|launch| &launch.pods);
    launched.chain(plan.placements.iter().map(|placement| &placement.pod)).cloned().collect()
}

/// So many, or `PROPTEST_CASES`.
fn cases(usual: u32) -> u32 {
    let told = std::env::var("PROPTEST_CASES").ok();
    told.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(1000), failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_rule_is_broken(cluster in cluster()) {
        let snapshot = snapshot(&cluster);
        let plan = plan(&snapshot, &quick());
        prop_assert_eq!(check(&snapshot, &plan), vec![]);
    }

    #[test]
    fn the_order_of_input_does_not_matter(cluster in cluster(), turn in 0..7_usize) {
        let snapshot = snapshot(&cluster);
        let mut turned = snapshot.clone();
        let length = turned.pods.len();
        turned.pods.rotate_left(turn % length);
        turned.pods.reverse();
        turned.nodes.reverse();
        turned.node_pools.reverse();
        let mut types = (*turned.instance_types["all"]).clone();
        types.reverse();
        types.iter_mut().for_each(|instance_type| instance_type.offerings.reverse());
        turned.instance_types.insert("all".to_owned(), Arc::new(types));
        prop_assert_eq!(plan(&snapshot, &quick()), plan(&turned, &quick()));
    }

    #[test]
    fn planning_again_buys_nothing_and_loses_nothing(cluster in cluster()) {
        let snapshot = snapshot(&cluster);
        let first = plan(&snapshot, &quick());
        let next = asked_for(&snapshot, &first);
        let second = plan(&next, &quick());
        prop_assert_eq!(check(&next, &second), vec![]);
        prop_assert!(second.launches.is_empty(), "{:?}", second.launches);
        prop_assert!(placed(&first).is_subset(&placed(&second)));
    }

    #[test]
    fn pods_without_rules_are_placed_wherever_a_type_holds_them(cluster in few_pods(apart())) {
        let snapshot = snapshot(&cluster);
        let plan = plan(&snapshot, &quick());
        let types = &snapshot.instance_types["all"];
        let too_large = |pod: &&Pod| !types.iter().any(|known| pod.spec.requests.fits(&known.allocatable));
        let expected = snapshot.pods.iter().filter(too_large).map(|pod| pod.id.clone()).collect::<BTreeSet<_>>();
        let left = plan.unschedulable.iter().map(|left| left.pod.clone()).collect::<BTreeSet<_>>();
        prop_assert_eq!(left, expected);
    }

    #[test]
    fn the_bound_is_never_above_the_best_packing(cluster in few_pods(apart_or_together())) {
        let snapshot = snapshot(&cluster);
        let plan = plan(&snapshot, &quick());
        let placed = placed(&plan);
        // A group that no node holds is placed in part, which the best packing here does not try.
        let whole = cluster.groups.iter().enumerate().all(|(index, group)| {
            let held = placed.iter().filter(|pod| pod.name.starts_with(&format!("p{index}-"))).count();
            group.rule != Rule::HostTogether || held == 0 || held == group.count
        });
        if !placed.is_empty() && whole {
            let best = cheapest(&snapshot, &cluster, &placed);
            prop_assert!(plan.cost.lower_bound.0 <= best, "bound {} best {best}", plan.cost.lower_bound.0);
            prop_assert!(plan.cost.planned.0 >= best, "cost {} best {best}: not a packing", plan.cost.planned.0);
            prop_assert_eq!(plan.cost.planned.0, best, "few pods are packed at the least price");
        }
    }
}
