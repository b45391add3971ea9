use super::*;
use model::pod::{
    HostPort, InclusionPolicy, NodeSelectorTerm, PodAffinityTerm, TopologySpread, WhenUnsatisfiable,
};
use model::resources::{CPU, MEMORY, PODS};
use model::{
    Effect, LabelSelector, Labels, Operator, PodSpec, Requirement, Resources, Taint, Toleration,
    labels,
};
use std::sync::Arc;

/// Three nodes of 4 cores: 0 and 1 in zone a, 2 in zone b.
fn cluster() -> SchedulerCache {
    let mut cache = SchedulerCache::default();
    for (index, zone) in ["a", "a", "b"].into_iter().enumerate() {
        let name = format!("n{index}");
        let info = NodeInfo {
            name: name.as_str().into(),
            labels: Labels::from([
                (labels::ZONE.to_owned(), zone.to_owned()),
                (labels::HOSTNAME.to_owned(), name),
            ]),
            taints: Vec::new(),
            allocatable: Resources::new().with(CPU, 4000).with(MEMORY, 16 << 30).with(PODS, 10),
        };
        cache.add_node(NodeId(index), info);
    }
    cache
}

fn spec(milli_cpu: i64) -> PodSpec {
    let requests = Resources::new().with(CPU, milli_cpu).with(MEMORY, 1 << 30).with(PODS, 1);
    PodSpec { requests, ..PodSpec::default() }
}

fn class(app: &str, spec: PodSpec) -> Class {
    let labels = Arc::new(Labels::from([("app".to_owned(), app.to_owned())]));
    Class { namespace: "default".into(), labels, spec: Arc::new(spec) }
}

fn of_app(app: &str) -> LabelSelector {
    LabelSelector::from_labels(&Labels::from([("app".to_owned(), app.to_owned())]))
}

fn spread(key: &str, when_unsatisfiable: WhenUnsatisfiable) -> TopologySpread {
    TopologySpread {
        max_skew: 1,
        topology_key: key.to_owned(),
        when_unsatisfiable,
        selector: of_app("web"),
        min_domains: None,
        match_label_keys: Vec::new(),
        node_affinity_policy: InclusionPolicy::Honor,
        node_taints_policy: InclusionPolicy::Ignore,
    }
}

fn near(key: &str, app: &str) -> PodAffinityTerm {
    PodAffinityTerm {
        topology_key: key.to_owned(),
        selector: of_app(app),
        namespaces: Vec::new(),
        namespace_selector: None,
    }
}

/// Where a pod of the app `web` may go, with these pods bound already: (app, spec, node).
fn check(bound: &[(&str, PodSpec, usize)], spec: PodSpec, expected: &[usize]) {
    check_in(cluster(), bound, spec, expected);
}

fn check_in(
    mut cache: SchedulerCache,
    bound: &[(&str, PodSpec, usize)],
    spec: PodSpec,
    expected: &[usize],
) {
    for (app, spec, node) in bound {
        let id = cache.class(&class(app, spec.clone()));
        cache.assign(id, NodeId(*node));
    }
    let id = cache.class(&class("web", spec.clone()));
    let mut feasible: Vec<usize> = cache.feasible(id).into_iter().map(|node| node.0).collect();
    feasible.sort_unstable();
    assert_eq!(feasible, expected, "{spec:?}");
}

#[test]
fn resources_must_be_free() {
    check(&[], spec(4000), &[0, 1, 2]);
    check(&[], spec(4001), &[]);
    check(&[("db", spec(3000), 1)], spec(2000), &[0, 2]);
    let gpu =
        PodSpec { requests: spec(1).requests.with("nvidia.com/gpu", 1), ..PodSpec::default() };
    check(&[], gpu, &[]);
    let tiny: Vec<_> = (0..10).map(|_| ("db", spec(1), 0)).collect();
    check(&tiny, spec(1), &[1, 2]);
}

#[test]
fn selectors_and_affinity_choose_nodes() {
    let selector = Labels::from([(labels::ZONE.to_owned(), "b".to_owned())]);
    check(&[], PodSpec { node_selector: selector, ..spec(1) }, &[2]);
    let term = |values: &[&str]| NodeSelectorTerm {
        requirements: vec![Requirement::new(
            labels::HOSTNAME,
            Operator::In,
            values.iter().copied(),
        )],
        fields: Vec::new(),
    };
    check(&[], PodSpec { node_affinity: vec![term(&["n0"]), term(&["n2"])], ..spec(1) }, &[0, 2]);
    check(&[], PodSpec { node_affinity: vec![term(&["n9"])], ..spec(1) }, &[]);
}

#[test]
fn taints_keep_away_what_does_not_tolerate_them() {
    let tainted = |effect| {
        let mut cache = cluster();
        cache.set_taints(
            NodeId(1),
            vec![Taint { key: "role".into(), value: String::new(), effect }],
        );
        cache
    };
    let tolerant =
        Toleration { key: Some("role".into()), exists: true, value: String::new(), effect: None };
    check_in(tainted(Effect::NoSchedule), &[], spec(1), &[0, 2]);
    check_in(tainted(Effect::PreferNoSchedule), &[], spec(1), &[0, 1, 2]);
    check_in(
        tainted(Effect::NoSchedule),
        &[],
        PodSpec { tolerations: vec![tolerant], ..spec(1) },
        &[0, 1, 2],
    );
}

#[test]
fn host_ports_are_taken_once_per_node() {
    let port = HostPort { ip: String::new(), port: 80, protocol: "TCP".into() };
    let with_port = PodSpec { host_ports: vec![port], ..spec(1) };
    check(&[("db", with_port.clone(), 2)], with_port, &[0, 1]);
}

#[test]
fn hard_spread_keeps_the_skew_and_soft_spread_does_not() {
    let hard = |key| PodSpec {
        topology_spread: vec![spread(key, WhenUnsatisfiable::DoNotSchedule)],
        ..spec(1)
    };
    check(&[("web", spec(1), 0)], hard(labels::ZONE), &[2]);
    check(&[("web", spec(1), 0), ("web", spec(1), 2)], hard(labels::ZONE), &[0, 1, 2]);
    check(&[("db", spec(1), 0)], hard(labels::ZONE), &[0, 1, 2]);
    check(&[("web", spec(1), 0)], hard(labels::HOSTNAME), &[1, 2]);
    check(&[], hard("rack"), &[]);
    let soft = spread(labels::ZONE, WhenUnsatisfiable::ScheduleAnyway);
    check(&[("web", spec(1), 0)], PodSpec { topology_spread: vec![soft], ..spec(1) }, &[0, 1, 2]);
    let three = TopologySpread {
        min_domains: Some(3),
        ..spread(labels::ZONE, WhenUnsatisfiable::DoNotSchedule)
    };
    let both = [("web", spec(1), 0), ("web", spec(1), 2)];
    check(&both, PodSpec { topology_spread: vec![three], ..spec(1) }, &[]);
}

#[test]
fn affinity_and_anti_affinity_hold_within_their_domain() {
    let with = |key, app| PodSpec { pod_affinity: vec![near(key, app)], ..spec(1) };
    let without = |key, app| PodSpec { pod_anti_affinity: vec![near(key, app)], ..spec(1) };
    check(&[("db", spec(1), 0)], with(labels::HOSTNAME, "db"), &[0]);
    check(&[("db", spec(1), 0)], with(labels::ZONE, "db"), &[0, 1]);
    check(&[], with(labels::ZONE, "db"), &[]);
    check(&[], with(labels::ZONE, "web"), &[0, 1, 2]);
    check(&[("db", spec(1), 0)], without(labels::HOSTNAME, "db"), &[1, 2]);
    check(&[("db", spec(1), 0)], without(labels::ZONE, "db"), &[2]);
    check(&[("db", without(labels::ZONE, "web"), 2)], spec(1), &[0, 1]);
}

#[test]
fn the_emptiest_node_is_chosen_and_the_better_domain() {
    let pick = |bound: &[(&str, PodSpec, usize)], spec: PodSpec, expected: usize| {
        for seed in 0..20 {
            let mut cache = cluster();
            for (app, spec, node) in bound {
                let id = cache.class(&class(app, spec.clone()));
                cache.assign(id, NodeId(*node));
            }
            let id = cache.class(&class("web", spec.clone()));
            assert_eq!(cache.pick(id, &mut Random::new(seed)), Some(NodeId(expected)), "{spec:?}");
        }
    };
    pick(&[("db", spec(2000), 0), ("db", spec(1000), 1)], spec(500), 2);
    let soft = PodSpec {
        topology_spread: vec![spread(labels::ZONE, WhenUnsatisfiable::ScheduleAnyway)],
        ..spec(100)
    };
    pick(&[("web", spec(100), 0), ("web", spec(100), 1), ("db", spec(1500), 2)], soft, 2);
}

#[test]
fn released_room_is_free_again() {
    let mut cache = cluster();
    let id = cache.class(&class("web", spec(4000)));
    for node in 0..3 {
        cache.assign(id, NodeId(node));
    }
    assert_eq!(cache.pick(id, &mut Random::new(1)), None);
    cache.release(id, NodeId(1));
    assert_eq!(cache.pick(id, &mut Random::new(1)), Some(NodeId(1)));
    cache.assign(id, NodeId(1));
    cache.assign(id, NodeId(1));
    assert_eq!(cache.overfull(), Some(NodeId(1)));
}
