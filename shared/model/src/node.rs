//! Nodes that exist.

use crate::{CapacityType, Labels, MicroUsdPerHour, Resources, Taint, Timestamp, labels};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A node of the cluster, ours or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// The node's name.
    pub name: Arc<str>,
    /// Its labels.
    pub labels: Labels,
    /// Its taints, `node.kubernetes.io/unschedulable` included if it is cordoned.
    pub taints: Vec<Taint>,
    /// What pods may use of it.
    pub allocatable: Resources,
    /// What it has.
    pub capacity: Resources,
    /// `aws:///<zone>/<instance id>`, empty if it has none.
    pub provider_id: String,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// Whether its Ready condition is true.
    pub ready: bool,
    /// Whether it is cordoned (`spec.unschedulable`).
    pub unschedulable: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether `karpenter.sh/do-not-disrupt` (or the legacy `do-not-consolidate`) is `true` on it.
    pub do_not_disrupt: bool,
    /// What it costs, if the catalog knows its type.
    pub price: Option<MicroUsdPerHour>,
    /// Whether that price is estimated: another region's, or on-demand less the spot advisor's saving.
    pub price_estimated: bool,
    /// The object's uid.
    #[serde(default)]
    pub uid: String,
    /// Whether it carries the finalizer `karpenter.sh/termination`.
    #[serde(default)]
    pub finalizer: bool,
    /// When its deletion was asked for (`metadata.deletionTimestamp`).
    #[serde(default)]
    pub deletion_at: Option<Timestamp>,
    /// Conditions that tell of a fault (`Ready` false or unknown, `NetworkingReady` false ...), each with the time since when.
    #[serde(default)]
    pub faults: Vec<(String, Timestamp)>,
}

impl Node {
    /// A label's value.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }

    /// The pool that it was made for (legacy label included).
    pub fn pool(&self) -> Option<&str> {
        self.label(crate::labels::NODE_POOL).or_else(|| self.label(crate::labels::PROVISIONER_NAME))
    }

    /// How it is paid for, as Karpenter's label, that of managed node groups or the older `lifecycle` tells; on demand
    /// unless one says otherwise.
    pub fn capacity_type(&self) -> CapacityType {
        let keys = [labels::CAPACITY_TYPE, labels::EKS_CAPACITY_TYPE, labels::LIFECYCLE];
        let told = keys.iter().find_map(|key| self.label(key));
        match told.map(|value| value.to_ascii_lowercase().replace('_', "-")).as_deref() {
            Some("spot") => CapacityType::Spot,
            Some("reserved" | crate::instance_type::CAPACITY_BLOCK) => CapacityType::Reserved,
            _ => CapacityType::OnDemand,
        }
    }

    /// Whether it is registered and initialised; a node of no pool always is.
    pub fn initialized(&self) -> bool {
        self.pool().is_none() || self.label(crate::labels::INITIALIZED) == Some("true")
    }
}
