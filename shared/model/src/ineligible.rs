//! Why a node is not taken away: typed, so that `explain` renders the planner's own reasons.

use crate::{DisruptionReason, PodId, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// What keeps a node from a voluntary disruption now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Ineligible {
    /// There is no such node.
    NoNode,
    /// No claim names its instance: nobody's autoscaler made it.
    NoClaim,
    /// Its claim is another autoscaler's.
    NotJoiners,
    /// It has not joined and been set up yet.
    NotInitialized,
    /// It is on its way out already.
    Leaving,
    /// Its disruption has begun.
    InDisruption {
        /// Which.
        id: String,
        /// Why.
        reason: DisruptionReason,
    },
    /// Pods are on their way to it.
    Nominated {
        /// One of them, if its name is known.
        pod: Option<PodId>,
    },
    /// Its annotation forbids it.
    DoNotDisrupt,
    /// An annotation of one of its pods forbids it.
    PodDoNotDisrupt {
        /// The pod.
        pod: PodId,
    },
    /// A disruption budget of one of its pods allows none now.
    PodDisruptionBudget {
        /// The pod.
        pod: PodId,
        /// The budget's name, in the pod's namespace.
        budget: String,
    },
    /// More than one disruption budget selects one of its pods: the Eviction API refuses such pods.
    SeveralBudgets {
        /// The pod.
        pod: PodId,
    },
    /// Its pool is not there any more.
    PoolGone {
        /// The pool's name.
        pool: String,
    },
    /// Its pool has a fixed number of nodes.
    StaticPool {
        /// The pool.
        pool: String,
    },
    /// Its pool does not let such nodes go at all.
    Policy {
        /// The pool.
        pool: String,
    },
    /// It has not been quiet for long enough.
    TooSoon {
        /// When it will have been.
        until: Timestamp,
    },
    /// Its pool is closed to voluntary disruption now.
    WindowClosed {
        /// The pool.
        pool: String,
        /// When it opens, if ever.
        until: Option<Timestamp>,
    },
    /// Its pool's budgets are used up.
    Budget {
        /// The pool.
        pool: String,
        /// The budget that says so, as written.
        nodes: String,
    },
    /// One of its pods would have no other place.
    Stranded {
        /// The pod.
        pod: PodId,
        /// Why not, as the planner says.
        reasons: Vec<crate::Reason>,
    },
    /// Pods that wait would lose their place to its pods.
    Displaces {
        /// One that waits.
        pod: PodId,
    },
    /// What would replace it costs more than it may.
    TooDear,
    /// What would replace this spot node leaves EC2 too few spot offerings to choose from.
    FewOfferings,
    /// It runs in a capacity reservation, which costs the same without it.
    PaidAnyway,
    /// Nothing speaks for it: it is neither old, drifted, empty nor dearer than need be.
    NoCause {
        /// Its name.
        node: Arc<str>,
    },
}

impl fmt::Display for Ineligible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNode => write!(f, "there is no such node"),
            Self::NoClaim => write!(f, "no node claim names its instance"),
            Self::NotJoiners => write!(f, "its node claim was not made by Joiner"),
            Self::NotInitialized => write!(f, "it is not set up yet"),
            Self::Leaving => write!(f, "it is on its way out already"),
            Self::InDisruption { id, reason } => {
                write!(f, "its disruption {id} ({}) has begun", reason.as_str())
            }
            Self::Nominated { pod: Some(pod) } => write!(f, "pod {pod} is on its way to it"),
            Self::Nominated { pod: None } => write!(f, "pods are on their way to it"),
            Self::DoNotDisrupt => {
                write!(f, "its annotation karpenter.sh/do-not-disrupt forbids it")
            }
            Self::PodDoNotDisrupt { pod } => {
                write!(f, "the annotation karpenter.sh/do-not-disrupt of pod {pod} forbids it")
            }
            Self::PodDisruptionBudget { pod, budget } => {
                write!(f, "the disruption budget {budget} allows no eviction of pod {pod} now")
            }
            Self::SeveralBudgets { pod } => {
                write!(
                    f,
                    "more than one disruption budget selects pod {pod}, so it cannot be evicted"
                )
            }
            Self::PoolGone { pool } => write!(f, "its pool {pool} is not there any more"),
            Self::StaticPool { pool } => write!(f, "its pool {pool} has a fixed number of nodes"),
            Self::Policy { pool } => write!(f, "its pool {pool} does not let such nodes go"),
            Self::TooSoon { until } => {
                write!(f, "it has not been unchanged for long enough, but will be at {}", until.0)
            }
            Self::WindowClosed { pool, until: Some(until) } => {
                write!(f, "pool {pool} allows no disruption before {}", until.0)
            }
            Self::WindowClosed { pool, until: None } => {
                write!(f, "pool {pool} never allows disruption")
            }
            Self::Budget { pool, nodes } => {
                write!(f, "the budget {nodes} of pool {pool} is used up")
            }
            Self::Stranded { pod, reasons } => {
                write!(f, "pod {pod} would have no other place")?;
                reasons.iter().try_for_each(|reason| write!(f, "; {reason}"))
            }
            Self::Displaces { pod } => {
                write!(f, "pod {pod}, which waits, would lose its place to the node's pods")
            }
            Self::TooDear => write!(f, "what would replace it costs too much"),
            Self::FewOfferings => {
                write!(f, "what would replace it leaves EC2 too few spot offerings to choose from")
            }
            Self::PaidAnyway => {
                write!(f, "its capacity reservation costs the same without it")
            }
            Self::NoCause { .. } => write!(f, "nothing speaks for taking it away"),
        }
    }
}
