//! Node pools and node classes: what nodes may be made, whichever API version said so.

use crate::disruption::{Rebalance, Window};
use crate::node_class::{BlockDevice, CapacityReservation};
use crate::{Duration, Labels, Requirements, Resources, Taint};
use crate::{MicroUsdPerHour, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which API a pool or class came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ApiVersion {
    /// `Provisioner` karpenter.sh/v1alpha5 and `AWSNodeTemplate` karpenter.k8s.aws/v1alpha1.
    Legacy,
    /// `NodePool` karpenter.sh/v1beta1 and `EC2NodeClass` karpenter.k8s.aws/v1beta1.
    V1Beta1,
    /// `NodePool` karpenter.sh/v1 and `EC2NodeClass` karpenter.k8s.aws/v1.
    V1,
    /// Joiner's own default pool, for clusters without one.
    BuiltIn,
}

impl ApiVersion {
    /// The label by which nodes tell their pool.
    pub fn pool_label(self) -> &'static str {
        match self {
            Self::Legacy => crate::labels::PROVISIONER_NAME,
            Self::V1Beta1 | Self::V1 | Self::BuiltIn => crate::labels::NODE_POOL,
        }
    }
}

/// When nodes of a pool may be removed or replaced to save money.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum ConsolidationPolicy {
    /// When empty, or when their pods fit elsewhere for less.
    #[default]
    WhenEmptyOrUnderutilized,
    /// Only when empty.
    WhenEmpty,
    /// As the first, weighed against the disruption.
    Balanced,
}

/// How many nodes of a pool may be disrupted at once, and when.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Budget {
    /// A count (`3`) or a percentage (`10%`), as written.
    pub nodes: String,
    /// The reasons that it bounds (`Underutilized`, `Empty`, `Drifted`); empty means all.
    pub reasons: Vec<String>,
    /// When it begins to hold, as cron in UTC; `None` means always.
    pub schedule: Option<String>,
    /// For how long it holds after each beginning.
    pub duration: Option<Duration>,
    /// When it holds, by schedule and duration at the time of the snapshot.
    #[serde(default)]
    pub window: Window,
}

impl Budget {
    /// One that holds at all times and for all reasons.
    pub fn always(nodes: impl Into<String>) -> Self {
        let (reasons, window) = (Vec::new(), Window::Always);
        Self { nodes: nodes.into(), reasons, schedule: None, duration: None, window }
    }
}

/// What is added to a spot price for the chance of an interruption, in hundredths of a per cent of that price: by the spot advisor's five
/// classes, of which the first is interrupted least (under 5% a month, to 10, to 15, to 20, over 20).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SpotPremium(pub [u32; 5]);

impl SpotPremium {
    /// Nothing.
    pub const NONE: Self = Self([0; 5]);

    /// What an interruption of that class (0 to 4) adds to a price.
    pub fn of(self, price: MicroUsdPerHour, class: usize) -> MicroUsdPerHour {
        let part = self.0.get(class).copied().unwrap_or(0);
        let sum = u128::from(price.0) * u128::from(part) / 10_000;
        MicroUsdPerHour(u64::try_from(sum).unwrap_or(u64::MAX))
    }
}

impl Default for SpotPremium {
    /// 0, 1, 2, 3 and 5%: enough to take the steadier of two that cost about the same, too little to give up spot for on demand.
    fn default() -> Self {
        Self([0, 100, 200, 300, 500])
    }
}

/// A pool's rules of disruption.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disruption {
    /// What may be consolidated.
    pub policy: ConsolidationPolicy,
    /// How long a node must have been unchanged (or empty) first; `None` means never.
    pub consolidate_after: Option<Duration>,
    /// Budgets; none means no bound.
    pub budgets: Vec<Budget>,
    /// When voluntary disruption may happen, as written (`joiner.dev/disruption-windows`); `None` means always.
    #[serde(default)]
    pub windows: Option<String>,
    /// When that is at the time of the snapshot.
    #[serde(default)]
    pub allowed: Window,
    /// The least that consolidation must save for each pod that it moves (`joiner.dev/saving-per-move`); `None` means the default.
    #[serde(default)]
    pub saving_per_move: Option<MicroUsdPerHour>,
    /// What is done about rebalance recommendations (`joiner.dev/rebalance`).
    #[serde(default)]
    pub rebalance: Rebalance,
    /// Nodes made before are replaced (`joiner.dev/rotate`, which `joiner rotate` writes).
    #[serde(default)]
    pub rotate_before: Option<Timestamp>,
}

/// A node pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodePool {
    /// The pool's name.
    pub name: String,
    /// The object's uid, which its claims name as their owner; empty if it has none.
    #[serde(default)]
    pub uid: String,
    /// The API that it came from.
    pub api_version: ApiVersion,
    /// Pools of a higher weight are tried first; 0 if unset.
    pub weight: i32,
    /// The node class's name.
    pub node_class: String,
    /// The labels of its nodes, but for those that follow from requirements.
    pub labels: Labels,
    /// The annotations of its nodes.
    pub annotations: Labels,
    /// Requirements on its nodes; the pool's labels are not repeated here.
    pub requirements: Requirements,
    /// Keys whose requirement asks for several distinct values (`minValues`).
    pub min_values: Vec<(String, u32)>,
    /// The taints of its nodes.
    pub taints: Vec<Taint>,
    /// Taints that go once a node is set up; pods need not tolerate them.
    pub startup_taints: Vec<Taint>,
    /// The most that all its nodes together may have; `nodes` counts nodes.
    pub limits: Resources,
    /// Nodes are replaced at this age; `None` means never.
    pub expire_after: Option<Duration>,
    /// How long a node may take to drain; `None` means as long as it needs.
    pub termination_grace_period: Option<Duration>,
    /// Rules of disruption.
    pub disruption: Disruption,
    /// What a spot price is taken to be dearer for its interruptions (`joiner.dev/spot-premium`).
    #[serde(default)]
    pub spot_premium: SpotPremium,
    /// The least part of its CPUs that is not spot, in per cent (`joiner.dev/on-demand-share`).
    #[serde(default)]
    pub on_demand_percent: u32,
    /// A fixed number of nodes (static pool): such a pool takes no pending pods.
    pub replicas: Option<u32>,
    /// Kubelet settings, where the API keeps them with the pool (legacy, v1beta1).
    pub kubelet: Option<Kubelet>,
    /// The key in `Snapshot::instance_types` of the types that it may use.
    pub instance_types: String,
    /// The hash of its template, with the version of how hashes are made: `v3/1234`; `None` if not known.
    #[serde(default)]
    pub hash: Option<String>,
    /// Why the pool cannot be used now (no such node class, not ready, invalid), if it cannot.
    pub problem: Option<String>,
}

impl NodePool {
    /// The pool's name, if that is the label by which its nodes tell it.
    pub fn name_under(&self, label: &str) -> Option<&str> {
        (label == self.api_version.pool_label()).then_some(&*self.name)
    }

    /// A pool that requires nothing, limits nothing and never takes nodes away, of weight 0, with the types of that key.
    pub fn new(
        name: &str,
        api_version: ApiVersion,
        node_class: &str,
        instance_types: &str,
    ) -> Self {
        Self {
            name: name.to_owned(),
            uid: String::new(),
            api_version,
            weight: 0,
            node_class: node_class.to_owned(),
            labels: Labels::new(),
            annotations: Labels::new(),
            requirements: Requirements::new(),
            min_values: Vec::new(),
            taints: Vec::new(),
            startup_taints: Vec::new(),
            limits: Resources::new(),
            expire_after: None,
            termination_grace_period: None,
            disruption: Disruption::default(),
            spot_premium: SpotPremium::default(),
            on_demand_percent: 0,
            replicas: None,
            kubelet: None,
            instance_types: instance_types.to_owned(),
            hash: None,
            problem: None,
        }
    }
}

/// Image families, which decide on bootstrap, reserved resources and the root device.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum ImageFamily {
    /// Amazon Linux 2.
    Al2,
    /// Amazon Linux 2023.
    #[default]
    Al2023,
    /// Bottlerocket.
    Bottlerocket,
    /// Ubuntu (legacy only).
    Ubuntu,
    /// Windows Server 2019.
    Windows2019,
    /// Windows Server 2022.
    Windows2022,
    /// Windows Server 2025.
    Windows2025,
    /// The user's own images and user data.
    Custom,
}

impl ImageFamily {
    /// Whether its nodes run Windows.
    pub fn is_windows(self) -> bool {
        matches!(self, Self::Windows2019 | Self::Windows2022 | Self::Windows2025)
    }
}

/// The settings of the kubelet that change what pods may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Kubelet {
    /// The most pods per node, instead of what the network interfaces allow.
    pub max_pods: Option<i64>,
    /// The most pods per vCPU.
    pub pods_per_core: Option<i64>,
    /// Reserved for the system, by resource.
    pub system_reserved: Resources,
    /// Reserved for Kubernetes' own daemons, by resource; a named one replaces the computed amount.
    pub kube_reserved: Resources,
    /// Hard eviction thresholds by signal (`memory.available`), as written: a percentage or a quantity.
    pub eviction_hard: Labels,
    /// Soft eviction thresholds by signal, as written.
    pub eviction_soft: Labels,
}

/// A node class, as far as a decision depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeClass {
    /// The class's name.
    pub name: String,
    /// The image family.
    pub image_family: ImageFamily,
    /// Kubelet settings, where the API keeps them with the class (v1).
    pub kubelet: Option<Kubelet>,
    /// The size of the volume that holds pods' ephemeral storage, in bytes.
    pub ephemeral_storage_bytes: i64,
    /// Whether local disks are joined and hold ephemeral storage (`instanceStorePolicy: RAID0`).
    pub instance_store_raid0: bool,
    /// The zones in which it has subnets; empty if that is not known.
    pub zones: Vec<String>,
    /// The ids of those zones by name (`us-east-1a`: `use1-az4`), as far as its subnets tell them.
    #[serde(default)]
    pub zone_ids: BTreeMap<String, String>,
    /// The hash of its template, with the version of how hashes are made; `None` if not known.
    #[serde(default)]
    pub hash: Option<String>,
    /// The images that it selects now, by id; `None` where AWS was not asked.
    #[serde(default)]
    pub image_ids: Option<Vec<String>>,
    /// The subnets that it selects now, by id; `None` where AWS was not asked.
    #[serde(default)]
    pub subnet_ids: Option<Vec<String>>,
    /// The security groups that it selects now, by id, sorted; `None` where AWS was not asked.
    #[serde(default)]
    pub security_group_ids: Option<Vec<String>>,
    /// The capacity reservations that it selects now, by id; `None` where it selects none or AWS was not asked.
    #[serde(default)]
    pub reservation_ids: Option<Vec<String>>,
    /// The placement group that it names, by id or by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement_group: Option<String>,
    /// The volumes of its nodes; empty if that is not known.
    #[serde(default)]
    pub volumes: Vec<BlockDevice>,
    /// Those reservations, as far as it is known what they hold.
    #[serde(default)]
    pub reservations: Vec<CapacityReservation>,
    /// Why the class cannot be used now, if it cannot.
    pub problem: Option<String>,
}
