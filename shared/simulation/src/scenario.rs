//! What a run starts from: the workload, the region, the node pool, the daemonsets.

use crate::workload::Workload;
use catalog::{Catalog, Request, Settings};
use model::pool::{ApiVersion, Budget, ConsolidationPolicy, Disruption, ImageFamily, Kubelet};
use model::resources::{CPU, MEMORY, PODS};
use model::snapshot::DaemonSet;
use model::{
    Duration, InstanceType, NodeClass, NodePool, Operator, PodSpec, Requirement, Requirements,
    Resources, Snapshot, Toleration, labels,
};
use std::sync::Arc;

/// The key of the pool's types in the snapshot.
const TYPES: &str = "default";
/// In how many zones the cluster has subnets.
const ZONES: usize = 3;
/// How long a node must have been empty or unchanged before it goes: `consolidateAfter: 1m` of Karpenter's getting-started page.
const QUIET_FOR: Duration = Duration(60);
/// How many of the pool's nodes may go at once: Karpenter's default.
const BUDGET: &str = "10%";

/// Everything that a run depends on beside the decider.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What arrives.
    pub workload: Workload,
    /// The region's name.
    pub region: String,
    /// How long the run is, in seconds.
    pub length_s: i64,
    /// The seed of all chance.
    pub seed: u64,
    /// The one pool.
    pub pool: NodePool,
    /// The pool's node class.
    pub class: NodeClass,
    /// The types that the pool may use, with their offerings.
    pub instance_types: Arc<Vec<InstanceType>>,
    /// What runs on every node.
    pub daemon_sets: Vec<DaemonSet>,
}

impl Scenario {
    /// A scenario with the default pool and daemonsets. Of the types, only those that the pool allows are kept, and
    /// no bare metal, which Karpenter buys only when nothing else fits.
    pub fn new(
        workload: Workload,
        region: &str,
        types: Vec<InstanceType>,
        length_s: i64,
        seed: u64,
    ) -> Self {
        let (pool, class) = (default_pool(), default_class());
        let kept = types.into_iter().filter_map(|instance_type| allowed(&pool, instance_type));
        Self {
            workload,
            region: region.to_owned(),
            length_s,
            seed,
            instance_types: Arc::new(kept.collect()),
            pool,
            class,
            daemon_sets: default_daemon_sets(),
        }
    }

    /// As `new`, with the catalog's types in the region's three best-supplied zones.
    pub fn from_catalog(
        workload: Workload,
        catalog: &Catalog,
        region: &str,
        length_s: i64,
        seed: u64,
    ) -> Self {
        let (class, kubelet, settings) = (default_class(), Kubelet::default(), Settings::default());
        let zones = catalog.usual_zones(region, ZONES);
        let request = Request {
            region,
            zones: &zones,
            class: &class,
            kubelet: &kubelet,
            settings: &settings,
        };
        Self::new(workload, region, catalog.instance_types(&request), length_s, seed)
    }

    /// The empty cluster.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            region: self.region.clone(),
            node_pools: vec![self.pool.clone()],
            node_classes: vec![self.class.clone()],
            instance_types: [(TYPES.to_owned(), self.instance_types.clone())].into(),
            daemon_sets: self.daemon_sets.clone(),
            ..Snapshot::default()
        }
    }

    /// The zones that the types are offered in, by name.
    pub fn zones(&self) -> Vec<String> {
        let offerings =
            self.instance_types.iter().flat_map(|instance_type| &instance_type.offerings);
        let zones: std::collections::BTreeSet<&String> =
            offerings.map(|offering| &offering.zone).collect();
        zones.into_iter().cloned().collect()
    }

    /// What the daemonsets take of every node.
    pub fn daemon_load(&self) -> Resources {
        let mut load = Resources::new();
        for daemon_set in &self.daemon_sets {
            load.add(&daemon_set.spec.requests);
        }
        load
    }
}

/// The type with only the offerings that the pool allows; `None` if none is left.
fn allowed(pool: &NodePool, mut instance_type: InstanceType) -> Option<InstanceType> {
    let of_offering = [labels::ZONE, labels::CAPACITY_TYPE];
    let meets = |(key, set): (&str, &model::ValueSet)| {
        of_offering.contains(&key) || set.allows(instance_type.labels.get(key).map(String::as_str))
    };
    let metal =
        instance_type.name.split_once('.').is_some_and(|(_, size)| size.starts_with("metal"));
    let fits = pool.requirements.iter().all(meets);
    let allows = |key: &str, value: &str| {
        pool.requirements.get(key).is_none_or(|set| set.allows(Some(value)))
    };
    instance_type.offerings.retain(|offering| {
        allows(labels::ZONE, &offering.zone)
            && allows(labels::CAPACITY_TYPE, offering.capacity_type.as_str())
    });
    (fits && !metal && !instance_type.offerings.is_empty()).then_some(instance_type)
}

/// The node pool of Karpenter's getting-started page: linux, amd64, on-demand, categories c, m and r, generation over 2.
fn default_pool() -> NodePool {
    let category = format!("{}instance-category", labels::INSTANCE_LABEL_PREFIX);
    let generation = format!("{}instance-generation", labels::INSTANCE_LABEL_PREFIX);
    let requirements = [
        Requirement::new(labels::OS, Operator::In, ["linux"]),
        Requirement::new(labels::ARCH, Operator::In, ["amd64"]),
        Requirement::new(labels::CAPACITY_TYPE, Operator::In, ["on-demand"]),
        Requirement::new(&category, Operator::In, ["c", "m", "r"]),
        Requirement::new(&generation, Operator::Gt, ["2"]),
    ];
    let disruption = Disruption {
        policy: ConsolidationPolicy::WhenEmptyOrUnderutilized,
        consolidate_after: Some(QUIET_FOR),
        budgets: vec![budget(BUDGET)],
        ..Disruption::default()
    };
    let requirements = Requirements::from_list(&requirements);
    NodePool {
        requirements,
        disruption,
        ..NodePool::new("default", ApiVersion::V1, "default", TYPES)
    }
}

/// A budget that holds at all times, for all reasons: a count or a percentage of nodes.
pub fn budget(nodes: &str) -> Budget {
    Budget::always(nodes)
}

/// Amazon Linux 2023 with the default root volume of 20 GiB.
fn default_class() -> NodeClass {
    NodeClass {
        name: "default".to_owned(),
        image_family: ImageFamily::Al2023,
        ephemeral_storage_bytes: 20 << 30,
        ..NodeClass::default()
    }
}

/// The two daemonsets of every EKS cluster with their add-ons' default requests: aws-node 50m, kube-proxy 100m of CPU.
fn default_daemon_sets() -> Vec<DaemonSet> {
    let everywhere = Toleration { key: None, exists: true, value: String::new(), effect: None };
    let daemon_set = |name: &str, milli_cpu| DaemonSet {
        namespace: "kube-system".to_owned(),
        name: name.to_owned(),
        spec: Arc::new(PodSpec {
            requests: Resources::new().with(CPU, milli_cpu).with(MEMORY, 0).with(PODS, 1),
            tolerations: vec![everywhere.clone()],
            priority: 2_000_001_000,
            termination_grace_period_s: 30,
            ..PodSpec::default()
        }),
    };
    vec![daemon_set("aws-node", 50), daemon_set("kube-proxy", 100)]
}
