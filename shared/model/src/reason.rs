//! Why something cannot be: typed, so that `explain` and events render the planner's own reasons.

use crate::resources::display_amount;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A part of scheduling that this version does not decide; a pod that needs it is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Unsupported {
    /// Dynamic resource claims.
    ResourceClaims,
}

impl Unsupported {
    fn text(self) -> &'static str {
        match self {
            Self::ResourceClaims => "dynamic resource claims",
        }
    }
}

/// Why a pod cannot be placed, for one pool or for all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Reason {
    /// There is no pool at all.
    NoNodePool,
    /// The pool cannot be used now.
    PoolNotReady {
        /// The pool.
        pool: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A taint of the pool is not tolerated.
    Taint {
        /// The pool.
        pool: String,
        /// The taint.
        taint: String,
    },
    /// The pool's requirements and the pod's exclude each other, or no instance type meets both.
    Requirements {
        /// The pool.
        pool: String,
        /// What the pod asks for: the first requirement that leaves no instance type.
        wanted: String,
    },
    /// No instance type of the pool that meets the requirements is large enough.
    TooLarge {
        /// The pool.
        pool: String,
        /// The resource of which no type has enough.
        resource: String,
        /// What the pod and the daemonsets of a node ask for.
        requested: i64,
        /// The most that a type has.
        largest: i64,
    },
    /// A daemon takes the pod's host port on every node of the pool.
    HostPort {
        /// The pool.
        pool: String,
        /// The port.
        port: u16,
    },
    /// No offering of a fitting type is available now.
    NoOffering {
        /// The pool.
        pool: String,
    },
    /// The pool's limits are reached.
    Limit {
        /// The pool.
        pool: String,
        /// The resource limited.
        resource: String,
        /// The limit.
        limit: i64,
        /// What the pool's nodes have already, planned ones included.
        used: i64,
    },
    /// A hard topology spread constraint cannot hold.
    Spread {
        /// The topology key.
        topology_key: String,
    },
    /// Required pod affinity finds no domain with a matching pod.
    PodAffinity {
        /// The topology key.
        topology_key: String,
    },
    /// Required pod anti-affinity, the pod's own or another's, leaves no domain.
    PodAntiAffinity {
        /// The topology key.
        topology_key: String,
    },
    /// A volume ties the pod to a place where no node can be, or is broken.
    Volume {
        /// The claim.
        claim: String,
        /// What is wrong.
        problem: String,
    },
    /// The plan had a place for the pod, but the check of the plan refused it.
    Check {
        /// The rule that the place would break.
        problem: String,
    },
    /// The pod needs something that this version does not decide.
    Unsupported {
        /// What.
        feature: Unsupported,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNodePool => write!(f, "there is no node pool"),
            Self::PoolNotReady { pool, problem } => write!(f, "{pool}: not usable: {problem}"),
            Self::Taint { pool, taint } => write!(f, "{pool}: taint {taint} is not tolerated"),
            Self::Requirements { pool, wanted } => {
                write!(f, "{pool}: no node of it would meet {wanted}")
            }
            Self::TooLarge { pool, resource, requested, largest } => write!(
                f,
                "{pool}: needs {resource} {}, the largest fitting type has {}",
                display_amount(resource, *requested),
                display_amount(resource, *largest)
            ),
            Self::HostPort { pool, port } => {
                write!(f, "{pool}: a daemon takes host port {port} on every node")
            }
            Self::NoOffering { pool } => {
                write!(f, "{pool}: no offering of a fitting type is available now")
            }
            Self::Limit { pool, resource, limit, used } => write!(
                f,
                "{pool}: limit of {resource} {} reached, {} in use",
                display_amount(resource, *limit),
                display_amount(resource, *used)
            ),
            Self::Spread { topology_key } => {
                write!(f, "topology spread over {topology_key} cannot hold")
            }
            Self::PodAffinity { topology_key } => {
                write!(f, "no {topology_key} has a pod that pod affinity asks for")
            }
            Self::PodAntiAffinity { topology_key } => {
                write!(f, "pod anti-affinity leaves no {topology_key}")
            }
            Self::Volume { claim, problem } => write!(f, "volume claim {claim}: {problem}"),
            Self::Check { problem } => write!(f, "the place found for it was refused: {problem}"),
            Self::Unsupported { feature } => {
                write!(f, "not decided by this version: {}", feature.text())
            }
        }
    }
}
