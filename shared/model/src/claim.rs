//! Node claims: nodes asked for, whether they have arrived or not.

use crate::{CapacityType, Labels, MicroUsdPerHour, PodId, Resources, Taint, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A node claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The pods that it was bought for and that may not be bound yet: they have the first right to its room.
    #[serde(default)]
    pub nominated: Vec<PodId>,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// Whether it is being deleted.
    pub deleting: bool,
}
