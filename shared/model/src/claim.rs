//! Node claims: nodes asked for, whether they have arrived or not.

use crate::{
    CapacityType, Disruption, Duration, Interruption, Labels, LaunchRequest, MicroUsdPerHour,
    PodId, Resources, Taint, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How far a claim has come, by its status conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Its instance was bought.
    pub launched: bool,
    /// Its node has joined and carries the claim's labels and taints.
    pub registered: bool,
    /// Its node is ready, its startup taints are gone and its resources are there.
    pub initialized: bool,
}

/// A node claim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeClaim {
    /// The claim's name.
    pub name: Arc<str>,
    /// The pool that it was made for.
    pub pool: String,
    /// The name of its node, once it has registered.
    pub node_name: Option<Arc<str>>,
    /// `aws:///<zone>/<instance id>`, once it has launched.
    pub provider_id: Option<String>,
    /// The instance type bought, or the one planned before the launch.
    pub instance_type: Option<String>,
    /// The zone, if it is known.
    pub zone: Option<String>,
    /// The capacity type, if it is known.
    pub capacity_type: Option<CapacityType>,
    /// The labels that its node will carry.
    pub labels: Labels,
    /// The taints that its node will carry, but for startup taints.
    pub taints: Vec<Taint>,
    /// What pods may use, as reported or expected.
    pub allocatable: Resources,
    /// What it has, as reported or expected.
    pub capacity: Resources,
    /// What it costs, if the catalog knows its type.
    pub price: Option<MicroUsdPerHour>,
    /// How much of the price is the premium on spot capacity, which nobody bills.
    #[serde(default, skip_serializing_if = "MicroUsdPerHour::is_zero")]
    pub premium: MicroUsdPerHour,
    /// The pods that it was bought for and that may not be bound yet: they have the first right to its room.
    #[serde(default)]
    pub nominated: Vec<PodId>,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// The object's uid.
    #[serde(default)]
    pub uid: String,
    /// The node class.
    #[serde(default)]
    pub node_class: String,
    /// Taints that go once the node is set up.
    #[serde(default)]
    pub startup_taints: Vec<Taint>,
    /// What it is launched by, if Joiner made it.
    #[serde(default)]
    pub launch: Option<LaunchRequest>,
    /// How far it has come.
    #[serde(default)]
    pub progress: Progress,
    /// When its deletion was asked for (`metadata.deletionTimestamp`).
    #[serde(default)]
    pub deletion_at: Option<Timestamp>,
    /// Whether it carries the finalizer `karpenter.sh/termination`.
    #[serde(default)]
    pub finalizer: bool,
    /// How long its node may take to drain; `None` means as long as it needs.
    #[serde(default)]
    pub termination_grace_period: Option<Duration>,
    /// What AWS told about its instance.
    #[serde(default)]
    pub interruption: Option<Interruption>,
    /// Its disruption, if one has begun.
    #[serde(default)]
    pub disruption: Option<Disruption>,
    /// It goes at this age; `None` means never.
    #[serde(default)]
    pub expire_after: Option<Duration>,
    /// The hash of its pool's template when it was made, with the version of how hashes are made: `v3/1234`; `None` if not known.
    #[serde(default)]
    pub pool_hash: Option<String>,
    /// As `pool_hash`, of its class's template.
    #[serde(default)]
    pub class_hash: Option<String>,
}
