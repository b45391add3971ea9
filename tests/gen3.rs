//! Statements of gen3's page on Karpenter that are about decisions, on the base pools of `infra/base`: each test names its row, by the
//! order of statements on that page. Rows about the installation are tests of `functions/joiner` and `shared/install`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use catalog::Catalog;
use model::{CapacityType, Plan, Snapshot};
use observe::{Dump, DumpOptions, read_dump};
use planner::Options;
use std::fmt::Write as _;
use std::path::Path;

/// A cluster with these files of `infra/base`, two nodes of the auto scaling group, and other objects.
fn dump(files: &[&str], more: &str) -> Dump {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/base");
    let mut text = more.to_owned();
    for name in files {
        let file = std::fs::read_to_string(base.join(format!("{name}.yaml"))).unwrap();
        write!(text, "\n---\n{}", file.replace("VPC_NAME", "qa")).unwrap();
    }
    for (name, zone) in [("asg-a", "us-east-1a"), ("asg-c", "us-east-1c")] {
        write!(text, "\n---\n{}", system_node(name, zone)).unwrap();
    }
    let path = std::env::temp_dir().join(format!(
        "joiner-gen3-{}-{:?}.yaml",
        std::process::id(),
        std::thread::current().id()
    ));
    std::fs::write(&path, text).unwrap();
    let catalog = Catalog::embedded().unwrap();
    let read = read_dump(std::slice::from_ref(&path), &catalog, &DumpOptions::default()).unwrap();
    std::fs::remove_file(&path).unwrap();
    read
}

fn system_node(name: &str, zone: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Node\nmetadata:\n  name: {name}\n  labels: {{kubernetes.io/arch: amd64, kubernetes.io/os: linux, \
         kubernetes.io/hostname: {name}, node.kubernetes.io/instance-type: t3.large, topology.kubernetes.io/region: us-east-1, \
         topology.kubernetes.io/zone: {zone}, role: default}}\nspec:\n  providerID: aws:///{zone}/i-{name}\n  \
         taints: [{{key: CriticalAddonsOnly, value: \"true\", effect: NoSchedule}}]\nstatus:\n  \
         capacity: {{cpu: \"2\", memory: 7577Mi, pods: \"35\"}}\n  allocatable: {{cpu: 1930m, memory: 7145Mi, pods: \"35\"}}\n  \
         conditions: [{{type: Ready, status: \"True\"}}]\n"
    )
}

fn pods(count: usize, name: &str, cpu: &str, memory: &str, more: &str) -> String {
    let one = |number: usize| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}-{number}}}\nspec:\n  containers:\n  - name: main\n    \
             resources: {{requests: {{cpu: \"{cpu}\", memory: {memory}}}}}\n{more}"
        )
    };
    (0..count).map(one).collect::<Vec<_>>().join("\n---\n")
}

const ALL: [&str; 3] = ["default", "jupyter", "workflow"];

fn decide(snapshot: &Snapshot) -> Plan {
    planner::plan(snapshot, &Options::default())
}

fn decided(files: &[&str], more: &str) -> Plan {
    decide(&dump(files, more).snapshot)
}

#[test]
fn row_1_nodes_are_made_for_pods_that_wait_and_no_group_is_scaled() {
    let plan = decided(&ALL, &pods(3, "web", "2", "2Gi", ""));
    assert!(plan.unschedulable.is_empty());
    assert_eq!(plan.launches.iter().map(|launch| launch.pods.len()).sum::<usize>(), 3);
}

#[test]
fn row_2_nodes_are_of_the_size_that_the_pods_need() {
    let small = decided(&ALL, &pods(1, "web", "1", "1Gi", ""));
    let large = decided(&ALL, &pods(1, "web", "14", "24Gi", ""));
    assert_eq!((small.launches.len(), large.launches.len()), (1, 1));
    assert!(small.cost.planned.0 * 4 < large.cost.planned.0, "{:?} {:?}", small.cost, large.cost);
}

#[test]
fn row_3_hundreds_of_pods_are_one_decision_with_few_nodes() {
    let plan = decided(&ALL, &pods(300, "web", "500m", "1Gi", ""));
    assert!(plan.unschedulable.is_empty());
    assert!(plan.launches.len() <= 150, "{} nodes for 300 pods", plan.launches.len());
}

#[test]
fn row_4_the_composition_follows_the_pools_requirements() {
    let role = |role: &str| {
        format!(
            "  nodeSelector: {{role: {role}}}\n  tolerations: [{{key: role, value: {role}, effect: NoSchedule}}]\n"
        )
    };
    for pool in ["jupyter", "workflow"] {
        let plan = decided(&ALL, &pods(1, pool, "1", "1Gi", &role(pool)));
        let [launch] = &plan.launches[..] else { panic!("{plan:#?}") };
        assert_eq!(launch.node_pool, pool);
        assert_eq!(launch.offering.capacity_type, CapacityType::OnDemand, "never spot");
        assert!(launch.offering.instance_type.starts_with(['c', 'm', 'r', 't']), "{launch:?}");
    }
    let plan = decided(&ALL, &pods(1, "web", "1", "1Gi", ""));
    assert_eq!(plan.launches[0].node_pool, "default", "a taint keeps others off");
}

#[test]
fn row_5_every_decision_has_its_bound_and_every_refusal_its_reason() {
    let plan = decided(&ALL, &pods(2, "huge", "9000", "1Gi", ""));
    assert_eq!(plan.unschedulable.len(), 2);
    assert!(plan.unschedulable.iter().all(|left| !left.reasons.is_empty()));
    let plan = decided(&ALL, &pods(20, "web", "1", "2Gi", ""));
    let (planned, bound) = (plan.cost.planned.0, plan.cost.lower_bound.0);
    assert!(bound > 0 && bound <= planned, "{bound} {planned}");
}

#[test]
fn row_8_without_a_pool_nothing_is_bought_and_the_pods_are_told() {
    let mut snapshot = dump(&[], &pods(1, "web", "1", "1Gi", "")).snapshot;
    snapshot.node_pools.retain(|pool| pool.api_version != model::pool::ApiVersion::BuiltIn);
    let plan = decide(&snapshot);
    assert!(plan.launches.is_empty());
    assert_eq!(plan.unschedulable.len(), 1);
}

#[test]
fn row_11_the_configuration_is_read_from_the_cluster_each_time() {
    let waiting = pods(1, "web", "1", "1Gi", "");
    let before = decided(&ALL, &waiting);
    let closed = "apiVersion: karpenter.sh/v1alpha5\nkind: Provisioner\nmetadata: {name: arm-only}\nspec:\n  providerRef: {name: default}\n  \
                  weight: 10\n  requirements:\n  - {key: kubernetes.io/arch, operator: In, values: [arm64]}\n";
    let after = decided(&ALL, &format!("{waiting}\n---\n{closed}"));
    assert_eq!(before.launches[0].node_pool, "default");
    assert_eq!(after.launches[0].node_pool, "arm-only", "an edit counts in the next decision");
}

#[test]
fn rows_12_13_and_14_pools_and_classes_of_the_legacy_kinds_are_taken_and_a_dangling_one_harms_none()
{
    let dangling = "apiVersion: karpenter.sh/v1alpha5\nkind: Provisioner\nmetadata: {name: dangling}\nspec:\n  providerRef: {name: nowhere}\n  weight: 50\n";
    let waiting = pods(1, "web", "1", "1Gi", "");
    let dump = dump(&ALL, &format!("{dangling}\n---\n{waiting}"));
    let names = dump.snapshot.node_classes.iter().map(|class| class.name.as_str());
    let mut names = names.collect::<Vec<_>>();
    names.sort_unstable();
    assert_eq!(names, ["default", "jupyter", "workflow"]);
    let pool = dump.snapshot.node_pools.iter().find(|pool| pool.name == "dangling").unwrap();
    assert!(pool.problem.as_ref().is_some_and(|problem| problem.contains("nowhere")), "{pool:?}");
    assert_eq!(decide(&dump.snapshot).launches[0].node_pool, "default");
}

#[test]
fn row_15_the_cheapest_type_that_pod_and_pool_both_allow_is_taken() {
    let plan = decided(&ALL, &pods(1, "web", "1", "1Gi", ""));
    let launch = &plan.launches[0];
    assert_eq!(launch.offering.capacity_type, CapacityType::Spot, "spot where both are allowed");
    let cheaper = launch.alternatives.iter().filter(|other| other.price < launch.offering.price);
    assert_eq!(cheaper.count(), 0, "{launch:#?}");
    assert!(launch.alternatives.len() >= 5, "EC2 may choose among several");
}

#[test]
fn row_23_with_arm_pods_go_where_it_is_cheaper_and_those_of_amd64_are_served() {
    let on_demand = "  nodeSelector: {karpenter.sh/capacity-type: on-demand}\n";
    let waiting = pods(1, "web", "1", "1Gi", on_demand);
    let plan = decided(&[&ALL[..], &["arm"]].concat(), &waiting);
    let without = decided(&ALL, &waiting);
    assert!(plan.cost.planned < without.cost.planned, "{:?} {:?}", plan.cost, without.cost);
    assert_eq!(plan.launches[0].node_pool, "arm");
    let amd64 = pods(1, "web", "1", "1Gi", "  nodeSelector: {kubernetes.io/arch: amd64}\n");
    let plan = decided(&[&ALL[..], &["arm"]].concat(), &amd64);
    assert_eq!(plan.launches[0].node_pool, "default");
}

#[test]
fn row_32_the_nodes_of_the_group_are_never_taken_away() {
    let mut snapshot = dump(&ALL, &pods(1, "web", "1", "1Gi", "")).snapshot;
    snapshot.now.0 += 400 * 86_400;
    let plan = decide(&snapshot);
    assert!(plan.removals.is_empty() && plan.disruptions.is_empty(), "{plan:#?}");
    let touches = |step: &model::Step| format!("{step:?}").contains("asg-");
    assert!(!plan.steps.iter().any(touches), "{:#?}", plan.steps);
}
