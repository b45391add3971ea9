use super::*;
use crate::kinds::metadata::Metadata;
use model::pod::NodeSelectorTerm;
use model::snapshot::DaemonSet;
use model::{MicroUsdPerHour, Pod};
use std::sync::Arc;

/// Labels as `a=b c=d`.
fn labels_of(text: &str) -> Labels {
    let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// A node as `type labels | taints`, the taints as `key=value:Effect`.
fn node(text: &str) -> Node {
    let (own, taints) = text.split_once('|').unwrap_or((text, ""));
    let mut labels = labels_of(own);
    let name = own.split_whitespace().next().unwrap();
    labels.insert(labels::INSTANCE_TYPE.to_owned(), name.to_owned());
    let mut node = node::bare(Metadata { labels, ..Metadata::default() });
    node.price = Some(MicroUsdPerHour(1));
    node.taints = taints.split_whitespace().map(taint).collect();
    node
}

fn taint(text: &str) -> Taint {
    let (rest, effect) = text.rsplit_once(':').unwrap();
    let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
    Taint { key: key.into(), value: value.into(), effect: Effect::parse(effect).unwrap() }
}

/// A pod that asks for labels: `a=b c` (`c` must exist).
fn spec(wanted: &str) -> PodSpec {
    let exists = wanted.split_whitespace().filter(|word| !word.contains('='));
    let requirements =
        exists.map(|key| Requirement::new(key, Operator::Exists, Vec::<String>::new()));
    let requirements = requirements.collect::<Vec<_>>();
    let some = !requirements.is_empty();
    let term = NodeSelectorTerm { requirements, fields: Vec::new() };
    PodSpec {
        node_selector: labels_of(wanted),
        node_affinity: some.then_some(term).into_iter().collect(),
        ..PodSpec::default()
    }
}

fn pod(wanted: &str) -> Pod {
    let id = model::PodId::new("shop", wanted);
    let metadata =
        serde_json::json!({ "metadata": { "name": "x" }, "spec": { "containers": [{}] } });
    let read = crate::kinds::metadata::read(&metadata).unwrap();
    let mut interner = crate::intern::Interner::default();
    let read = crate::kinds::pod::read(&metadata, read, &mut interner).unwrap();
    Pod { id, spec: Arc::new(spec(wanted)), ..read.pod }
}

fn pools(nodes: &[&str], wanted: &[&str]) -> (Vec<NodePool>, Vec<DumpFinding>) {
    let mut snapshot = Snapshot {
        nodes: nodes.iter().map(|text| node(text)).collect(),
        pods: wanted.iter().map(|text| pod(text)).collect(),
        ..Snapshot::default()
    };
    let mut findings = Vec::new();
    add(&mut snapshot, &mut findings);
    (snapshot.node_pools, findings)
}

fn check(nodes: &[&str], wanted: &[&str], expected: &[&str]) {
    let (pools, _) = pools(nodes, wanted);
    let plain = |text: String| text.replace("joiner-default", "*");
    let found = pools.iter().map(|pool| plain(describe(pool))).collect::<Vec<_>>();
    assert_eq!(found, expected, "{nodes:?} {wanted:?}");
}

const PLAIN: &str = "*";

#[test]
fn nodes_alike_in_what_pods_ask_for_share_a_pool() {
    let two = ["m5.large role=web team=a", "m5.large role=db team=b"];
    check(&[], &["role=web"], &[PLAIN]);
    check(&two, &[""], &[PLAIN]);
    check(&two, &["role=web"], &[PLAIN, "*-web (label role=web)"]);
    check(&two, &["role"], &[PLAIN, "*-db (label role=db)", "*-web (label role=web)"]);
    check(&["m5.large kubernetes.io/hostname=a"], &["kubernetes.io/hostname=a"], &[PLAIN]);
    check(
        &["m5.large topology.kubernetes.io/zone=a"],
        &["topology.kubernetes.io/zone=a failure-domain.beta.kubernetes.io/zone=a"],
        &[PLAIN],
    );
    check(
        &["m5.large karpenter.sh/nodepool=a node.kubernetes.io/instance-type=m5.large"],
        &["karpenter.sh/nodepool=a node.kubernetes.io/instance-type=m5.large"],
        &[PLAIN],
    );
}

#[test]
fn taints_that_last_make_a_pool_and_those_that_pass_do_not() {
    check(
        &["m5.large | dedicated=db:NoSchedule"],
        &[],
        &[PLAIN, "*-db (taint dedicated=db:NoSchedule)"],
    );
    check(
        &["m5.large | b:NoExecute a=true:NoSchedule", "m5.large | a=true:NoSchedule b:NoExecute"],
        &[],
        &[PLAIN, "*-a (taints a=true:NoSchedule, b:NoExecute)"],
    );
    for passing in [
        "node.kubernetes.io/unschedulable:NoSchedule",
        "node.kubernetes.io/memory-pressure:NoSchedule",
        "node.kubernetes.io/not-ready:NoExecute",
        "node.cloudprovider.kubernetes.io/uninitialized=true:NoSchedule",
        "karpenter.sh/disrupted:NoSchedule",
        "ebs.csi.aws.com/agent-not-ready:NoExecute",
        "ToBeDeletedByClusterAutoscaler=1:NoSchedule",
        "readiness.k8s.io/x:NoSchedule",
        "soft=1:PreferNoSchedule",
    ] {
        check(&[&format!("m5.large | {passing}")], &[], &[PLAIN]);
    }
}

#[test]
fn a_pool_buys_what_its_nodes_are() {
    check(
        &["m6g.large kubernetes.io/arch=arm64 role=a", "m5.large kubernetes.io/arch=amd64"],
        &["role=a"],
        &[PLAIN, "*-a (label role=a; arm64)"],
    );
    check(
        &["m6g.large kubernetes.io/arch=arm64", "t3.large kubernetes.io/arch=amd64"],
        &[],
        &["* (amd64 arm64; categories c m r t)"],
    );
    check(&["m5.large eks.amazonaws.com/capacityType=SPOT"], &[], &["* (on-demand spot)"]);
    check(
        &["m5.large eks.amazonaws.com/capacityType=SPOT", "m5.large"],
        &["eks.amazonaws.com/capacityType=SPOT"],
        &[PLAIN, "*-spot (label eks.amazonaws.com/capacityType=SPOT; spot)"],
    );
    check(
        &["g5.xlarge | gpu:NoSchedule", "inf2.xlarge | gpu:NoSchedule"],
        &[],
        &[PLAIN, "*-gpu (taint gpu:NoSchedule; categories c g inf m r)"],
    );
    let (pools, _) = pools(&["inf1.xlarge", "p3.2xlarge"], &[]);
    let wanted =
        |key: &str| pools[0].requirements.get(&format!("karpenter.k8s.aws/instance-{key}"));
    assert_eq!(wanted("generation").unwrap().above, Some(0));
    assert!(wanted("hypervisor").unwrap().allows(Some("xen")));
}

#[test]
fn what_daemonsets_ask_for_counts_and_nodes_without_a_price_do_not() {
    let nodes = vec![node("m5.large gpu=true"), node("m5.large gpu=no")];
    let mut snapshot = Snapshot { nodes, ..Snapshot::default() };
    snapshot.nodes[1].price = None;
    let daemon = |wanted: &str| DaemonSet {
        namespace: String::new(),
        name: String::new(),
        spec: Arc::new(spec(wanted)),
    };
    snapshot.daemon_sets = vec![daemon("gpu")];
    add(&mut snapshot, &mut Vec::new());
    let names = snapshot.node_pools.iter().map(|pool| pool.name.as_str()).collect::<Vec<_>>();
    assert_eq!(names, ["joiner-default", "joiner-default-gpu"]);
}

fn check_names(nodes: &[&str], wanted: &[&str], expected: &[&str]) {
    let (pools, _) = pools(nodes, wanted);
    let names = pools.iter().map(|pool| pool.name.as_str()).collect::<Vec<_>>();
    assert_eq!(names, expected, "{nodes:?}");
}

#[test]
fn names_are_valid_and_tell_the_groups_apart() {
    check_names(
        &["m5.large role=a size=S", "m5.large role=a size=L"],
        &["role size"],
        &["joiner-default", "joiner-default-a-l", "joiner-default-a-s"],
    );
    check_names(
        &["m5.large role=a_b", "m5.large role=A.B", "m5.large role=--"],
        &["role"],
        &["joiner-default", "joiner-default-2", "joiner-default-a-b", "joiner-default-a-b-2"],
    );
    check_names(
        &["m5.large a=x eks.amazonaws.com/nodegroup=Web_1"],
        &["a eks.amazonaws.com/nodegroup"],
        &["joiner-default", "joiner-default-web-1"],
    );
    let (one, other) = (format!("r={}", "x".repeat(63)), format!("r={}y", "x".repeat(62)));
    let nodes = [format!("m5.large {one}"), format!("m5.large {other}")];
    let (pools, _) = pools(&[&nodes[0], &nodes[1]], &["r"]);
    let names = pools.iter().map(|pool| pool.name.len()).collect::<Vec<_>>();
    assert_eq!((names, pools[1].name == pools[2].name), (vec![14, 48, 50], false));
}

#[test]
fn too_many_groups_count_as_plain_ones() {
    let mut nodes = (0..23).map(|n| format!("m5.large ng=n{n:02}")).collect::<Vec<_>>();
    nodes.push("m5.large ng=n22".to_owned());
    nodes.push("g5.large ng=n21 kubernetes.io/arch=arm64".to_owned());
    let nodes = nodes.iter().map(String::as_str).collect::<Vec<_>>();
    let (pools, findings) = pools(&nodes, &["ng"]);
    assert_eq!(pools.len(), MOST_POOLS);
    let names = pools.iter().map(|pool| pool.name.as_str()).collect::<Vec<_>>();
    assert!(names.contains(&"joiner-default-n22") && !names.contains(&"joiner-default-n20"));
    let rules = findings.iter().map(|finding| finding.rule.as_str()).collect::<Vec<_>>();
    assert_eq!(rules, ["pool-merged", "pool-built-in"]);
    assert!(
        findings[0].message.contains("4 groups") && findings[0].message.contains("ng=n17 first"),
        "{}",
        findings[0].message
    );
}
