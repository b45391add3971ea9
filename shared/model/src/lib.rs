//! The nouns of Joiner and their algebra.
//!
//! Owns: every noun that more than one crate speaks of (pods, nodes, pools, instance types, offerings, requirements,
//! resources, the snapshot that is read and the plan that is made), and every label and tag name, once.
//! May import: serde and thiserror. Does not know: files, AWS, Kubernetes clients, the clock, or how anything is decided.

pub mod account;
pub mod claim;
pub mod disruption;
pub mod ineligible;
pub mod instance_type;
pub mod labels;
pub mod launch;
pub mod mode;
pub mod money;
pub mod node;
pub mod node_class;
pub mod overlay;
pub mod plan;
pub mod pod;
pub mod pool;
pub mod quantity;
pub mod reason;
pub mod requirements;
pub mod resources;
pub mod selector;
pub mod snapshot;
pub mod step;
pub mod taints;
pub mod time;
pub mod volume;

pub use claim::NodeClaim;
pub use disruption::{Disruption, DisruptionReason, Interruption, PlannedDisruption};
pub use ineligible::Ineligible;
pub use instance_type::{CapacityType, InstanceType, Offering, PriceParts, Reservation};
pub use launch::{LaunchRequest, UnavailableOffering};
pub use money::MicroUsdPerHour;
pub use node::Node;
pub use node_class::{
    ClusterFacts, Instance, InstanceState, NodeClassSpec, ResolvedNodeClass, Subnet,
};
pub use overlay::{NodeOverlay, PriceChange};
pub use plan::{Alternative, Cost, Kept, Launch, Placement, Plan, Removal, Unschedulable};
pub use pod::{Pod, PodId, PodSpec};
pub use pool::{NodeClass, NodePool};
pub use quantity::Quantity;
pub use reason::Reason;
pub use requirements::{Operator, Requirement, Requirements, ValueSet};
pub use resources::{ResourceName, Resources};
pub use selector::LabelSelector;
pub use snapshot::Snapshot;
pub use step::Step;
pub use taints::{Effect, Taint, Toleration};
pub use time::{Duration, Timestamp};

/// A sorted map of label (or annotation) keys to values, as Kubernetes objects carry them.
pub type Labels = std::collections::BTreeMap<String, String>;
