//! What keeps a pod from a node.

use model::resources::display_amount;
use model::{CapacityType, Reason, Taint, ValueSet, labels};
use std::fmt;

/// One thing that keeps a pod from a node; a node may have several.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// The pool makes no nodes for pods now, or the node takes none.
    NotUsable {
        /// Why.
        problem: String,
    },
    /// The pod does not tolerate a taint.
    Taint {
        /// The taint.
        taint: Taint,
    },
    /// The pool makes no such nodes.
    PoolRequirement {
        /// The label.
        key: String,
        /// What the pool allows.
        allowed: ValueSet,
        /// What the node would have.
        value: Option<String>,
    },
    /// The pod's node selector or affinity asks for other nodes.
    PodRequirement {
        /// The label.
        key: String,
        /// What the pod asks for.
        wanted: ValueSet,
        /// What the node has.
        value: Option<String>,
    },
    /// A volume of the pod can be used elsewhere only.
    Volume {
        /// The label.
        key: String,
        /// Where the volume can be used.
        wanted: ValueSet,
        /// Where the node is.
        value: Option<String>,
    },
    /// The catalog knows of no way to buy the type in this region.
    NotOffered,
    /// It ran out of capacity a short while ago.
    OutOfCapacity {
        /// The zone.
        zone: String,
        /// How it would be paid for.
        capacity_type: CapacityType,
    },
    /// The pod asks for more than is left beside the daemons.
    TooSmall {
        /// The resource.
        resource: String,
        /// What the pod asks for.
        requested: i64,
        /// What is left for it.
        available: i64,
    },
    /// A daemon or another pod has the port.
    HostPort {
        /// The port.
        port: u16,
    },
    /// The pool may not have one more such node.
    Limit {
        /// The resource.
        resource: String,
        /// The pool's limit of it.
        limit: i64,
        /// What the pool's nodes have already.
        used: i64,
        /// What one more node would add.
        node: i64,
    },
    /// A rule about other pods or about volumes, on a node that is there.
    Rule {
        /// The rule.
        reason: Reason,
    },
}

impl Obstacle {
    /// In which order obstacles are thought of: what a type is, where it is sold, what it holds, what the pool may still have.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::NotUsable { .. } => 0,
            Self::PoolRequirement { .. } => 1,
            Self::PodRequirement { .. } => 2,
            Self::Volume { .. } => 3,
            Self::Taint { .. } => 4,
            Self::NotOffered => 5,
            Self::OutOfCapacity { .. } => 6,
            Self::TooSmall { .. } => 7,
            Self::HostPort { .. } => 8,
            Self::Limit { .. } => 9,
            Self::Rule { .. } => 10,
        }
    }

    /// Whether both are the same to whoever reads a summary: they differ in the node's own values only.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::PoolRequirement { key, allowed, .. },
                Self::PoolRequirement { key: other, allowed: set, .. },
            ) => (key, allowed) == (other, set),
            (
                Self::PodRequirement { key, wanted, .. },
                Self::PodRequirement { key: other, wanted: set, .. },
            )
            | (Self::Volume { key, wanted, .. }, Self::Volume { key: other, wanted: set, .. }) => {
                (key, wanted) == (other, set)
            }
            (Self::TooSmall { resource, .. }, Self::TooSmall { resource: other, .. })
            | (Self::Limit { resource, .. }, Self::Limit { resource: other, .. }) => {
                resource == other
            }
            (Self::OutOfCapacity { .. }, Self::OutOfCapacity { .. }) => true,
            (one, other) => one == other,
        }
    }

    /// What a summary of several nodes says of it: the one that comes nearest.
    pub(super) fn nearer(self, other: &Self) -> Self {
        match (&self, other) {
            (Self::TooSmall { available, .. }, Self::TooSmall { available: more, .. })
                if more > available =>
            {
                other.clone()
            }
            (Self::Limit { node, .. }, Self::Limit { node: less, .. }) if less < node => {
                other.clone()
            }
            _ => self,
        }
    }

    /// The obstacle as several nodes have it, without what each of them is.
    pub fn of_many(&self) -> String {
        match self {
            Self::PoolRequirement { key, allowed, .. } => {
                format!("the pool allows {} {allowed}", short(key))
            }
            Self::PodRequirement { key, wanted, .. } => {
                format!("the pod asks for {} {wanted}", short(key))
            }
            Self::Volume { key, wanted, .. } => {
                format!("its volume is in {} {wanted}", short(key))
            }
            Self::OutOfCapacity { .. } => "no capacity just now".to_owned(),
            Self::TooSmall { resource, requested, available } => format!(
                "too small: {resource} {} is asked for, at most {} is left",
                display_amount(resource, *requested),
                display_amount(resource, (*available).max(0))
            ),
            Self::NotUsable { .. }
            | Self::Taint { .. }
            | Self::NotOffered
            | Self::HostPort { .. }
            | Self::Limit { .. }
            | Self::Rule { .. } => self.to_string(),
        }
    }

    /// A name for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotUsable { .. } => "notUsable",
            Self::Taint { .. } => "taint",
            Self::PoolRequirement { .. } => "poolRequirement",
            Self::PodRequirement { .. } => "podRequirement",
            Self::Volume { .. } => "volume",
            Self::NotOffered => "notOffered",
            Self::OutOfCapacity { .. } => "outOfCapacity",
            Self::TooSmall { .. } => "tooSmall",
            Self::HostPort { .. } => "hostPort",
            Self::Limit { .. } => "limit",
            Self::Rule { .. } => "rule",
        }
    }
}

/// A label's key as people say it: well-known ones without their domain.
pub(super) fn short(key: &str) -> &str {
    if labels::is_well_known(key) || key == labels::HOSTNAME {
        key.rsplit('/').next().unwrap_or(key)
    } else {
        key
    }
}

fn or_none(value: Option<&String>) -> &str {
    value.map_or("no such label", String::as_str)
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUsable { problem } => write!(f, "not usable: {problem}"),
            Self::Taint { taint } => write!(f, "taint {taint} is not tolerated"),
            Self::PoolRequirement { key, allowed, value } => {
                let (key, value) = (short(key), or_none(value.as_ref()));
                write!(f, "the pool allows {key} {allowed}, this is {value}")
            }
            Self::PodRequirement { key, wanted, value } => {
                let (key, value) = (short(key), or_none(value.as_ref()));
                write!(f, "the pod asks for {key} {wanted}, this is {value}")
            }
            Self::Volume { key, wanted, value } => {
                let (key, value) = (short(key), or_none(value.as_ref()));
                write!(f, "its volume is in {key} {wanted}, this is {value}")
            }
            Self::NotOffered => write!(f, "not offered in this region"),
            Self::OutOfCapacity { zone, capacity_type } => {
                write!(f, "no {capacity_type} capacity in {zone} just now")
            }
            Self::TooSmall { resource, requested, available } => write!(
                f,
                "too small: {resource} {} is asked for, {} is left",
                display_amount(resource, *requested),
                display_amount(resource, (*available).max(0))
            ),
            Self::HostPort { port } => write!(f, "host port {port} is taken"),
            Self::Limit { resource, limit, used, node } => write!(
                f,
                "over the pool's limit of {resource} {}: {} in use, this adds {}",
                display_amount(resource, *limit),
                display_amount(resource, *used),
                display_amount(resource, *node)
            ),
            Self::Rule { reason } => write!(f, "{reason}"),
        }
    }
}
