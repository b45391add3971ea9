//! The intent to launch, as it is written on claims before anything is bought.

use crate::{Alternative, CapacityType, Labels, PodId, Resources};
use serde::{Deserialize, Serialize};

/// What one claim is launched by: the annotation `joiner.dev/launch`, as JSON. Claims of one batch have the same request but for
/// their pods and are bought by one call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LaunchRequest {
    /// The client token of the call and the value of the instances' tag `joiner.dev/batch`: at most 60 characters.
    pub batch: String,
    /// How many claims the batch has: the target capacity of the call, the same whenever it is repeated.
    pub size: u32,
    /// The node class.
    pub node_class: String,
    /// How the capacity is paid for; all offerings have it.
    pub capacity_type: CapacityType,
    /// What to buy, cheapest first: the planned offering and its alternatives of the same capacity type.
    pub offerings: Vec<Alternative>,
    /// Labels that the node registers with.
    pub labels: Labels,
    /// The pods that it is bought for.
    pub pods: Vec<PodId>,
    /// What those pods ask for together: a node is set up once it has all extended resources among them.
    #[serde(default)]
    pub requests: Resources,
    /// The disruption whose nodes it replaces, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
}

/// An offering that lately had no capacity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnavailableOffering {
    /// The instance type; `*` for all (the account may not buy spot, or its vCPU quota is used up).
    pub instance_type: String,
    /// The zone; `*` for all.
    pub zone: String,
    /// How it is paid for.
    pub capacity_type: CapacityType,
    /// When to try again.
    pub until: crate::Timestamp,
    /// EC2's error code: `InsufficientInstanceCapacity`.
    pub code: String,
}
