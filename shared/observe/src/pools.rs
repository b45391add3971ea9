//! What pools may launch: instance types by class and kubelet, and a pool for clusters without one.

use crate::DumpOptions;
use crate::finding::{DumpFinding, Severity};
use catalog::{Catalog, Request, Zone};
use model::labels::{ARCH, CAPACITY_TYPE, OS};
use model::pool::{ApiVersion, Disruption, Kubelet};
use model::{
    CapacityType, Labels, NodeClass, NodePool, Operator, Requirement, Requirements, Resources,
    Snapshot,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The name of the pool (and of its class) that stands in where a cluster has none.
pub const DEFAULT_POOL: &str = "joiner-default";

/// Adds the default pool to a cluster without any.
pub(crate) fn add_default(snapshot: &mut Snapshot, findings: &mut Vec<DumpFinding>) {
    if !snapshot.node_pools.is_empty() {
        return;
    }
    let label = |key: &str, value: &str| {
        snapshot.nodes.iter().any(|node| node.label(key).is_some_and(|found| found == value))
    };
    let spot = snapshot.nodes.iter().any(|node| {
        let bought = crate::kinds::node::bought_as(&node.labels);
        bought.is_some_and(|(_, way)| way == CapacityType::Spot)
    });
    let arches = if label(ARCH, "arm64") { vec!["amd64", "arm64"] } else { vec!["amd64"] };
    let ways = if spot { vec!["on-demand", "spot"] } else { vec!["on-demand"] };
    let message = format!(
        "the input has no node pool; the built-in pool {DEFAULT_POOL} is used: linux, {}, {}, \
         categories c, m and r of generation 3 and later, no metal, no Xen",
        arches.join(" and "),
        ways.join(" and ")
    );
    findings.push(DumpFinding::general(Severity::Note, "pool-built-in", message));
    snapshot.node_pools.push(default_pool(arches, ways));
    let class = NodeClass { name: DEFAULT_POOL.to_owned(), ..NodeClass::default() };
    snapshot.node_classes.push(class);
}

/// Karpenter's getting-started pool, on Nitro only: older hypervisors and metal are dearer than what replaced them.
fn default_pool(arches: Vec<&str>, ways: Vec<&str>) -> NodePool {
    let instance = |key: &str| format!("{}instance-{key}", model::labels::INSTANCE_LABEL_PREFIX);
    let requirements = [
        Requirement::new(ARCH, Operator::In, arches),
        Requirement::new(OS, Operator::In, ["linux"]),
        Requirement::new(CAPACITY_TYPE, Operator::In, ways),
        Requirement::new(&instance("category"), Operator::In, ["c", "m", "r"]),
        Requirement::new(&instance("generation"), Operator::Gt, ["2"]),
        Requirement::new(&instance("hypervisor"), Operator::In, ["nitro"]),
    ];
    NodePool {
        name: DEFAULT_POOL.to_owned(),
        api_version: ApiVersion::BuiltIn,
        weight: 0,
        node_class: DEFAULT_POOL.to_owned(),
        labels: Labels::new(),
        annotations: Labels::new(),
        requirements: Requirements::from_list(&requirements),
        min_values: Vec::new(),
        taints: Vec::new(),
        startup_taints: Vec::new(),
        limits: Resources::new(),
        expire_after: None,
        termination_grace_period: None,
        disruption: Disruption::default(),
        replicas: None,
        kubelet: None,
        instance_types: String::new(),
        problem: None,
    }
}

/// Resolves the types of each pool; pools with the same settings share them. A pool without a class has none.
pub(crate) fn resolve_types(
    snapshot: &mut Snapshot,
    catalog: &Catalog,
    zones: &[Zone],
    options: &DumpOptions,
) {
    let mut pools = std::mem::take(&mut snapshot.node_pools);
    pools.sort_by(|a, b| (&a.name, a.api_version).cmp(&(&b.name, b.api_version)));
    let mut keys = BTreeMap::new();
    for pool in &mut pools {
        let class = snapshot.node_classes.iter().rev().find(|class| class.name == pool.node_class);
        let Some(class) = class else { continue };
        let kubelet = pool.kubelet.as_ref().or(class.kubelet.as_ref()).cloned().unwrap_or_default();
        let next = format!("types-{}", keys.len() + 1);
        let key = keys.entry(settings(class, &kubelet)).or_insert(next);
        pool.instance_types.clone_from(key);
        let region = snapshot.region.as_str();
        let settings = &options.settings;
        let request = Request { region, zones, class, kubelet: &kubelet, settings };
        snapshot
            .instance_types
            .entry(key.clone())
            .or_insert_with(|| Arc::new(catalog.instance_types(&request)));
    }
    snapshot.node_pools = pools;
}

/// All of a class and kubelet that changes what types they make.
type TypeSettings = (model::pool::ImageFamily, i64, bool, Vec<String>, Kubelet);

fn settings(class: &NodeClass, kubelet: &Kubelet) -> TypeSettings {
    (
        class.image_family,
        class.ephemeral_storage_bytes,
        class.instance_store_raid0,
        class.zones.clone(),
        kubelet.clone(),
    )
}
