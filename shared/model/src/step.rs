//! What comes next in the life of a claim, a node or an instance that is there: one move, which leaves nothing to choose.

use crate::{Disruption, DisruptionReason, Interruption, PodId, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One move. Each may be done again without harm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Step {
    /// The batch of these claims is bought (again, with the same token): whether it was is not known.
    Launch {
        /// The batch.
        batch: String,
        /// Its claims that have no instance yet, by name.
        claims: Vec<Arc<str>>,
    },
    /// An instance bought for the claim is written on it.
    Adopt {
        /// The claim.
        claim: Arc<str>,
        /// The instance's id.
        instance: String,
    },
    /// The node has joined: it gets the claim's labels, annotations, taints, owner and finalizer. Its unregistered taint evicts no more, and
    /// goes when the step comes again.
    Register {
        /// The claim.
        claim: Arc<str>,
        /// The node.
        node: Arc<str>,
    },
    /// The node is set up.
    Initialize {
        /// The claim.
        claim: Arc<str>,
        /// The node.
        node: Arc<str>,
    },
    /// The claim is deleted; its finalizer keeps it until its instance is gone.
    Delete {
        /// The claim.
        claim: Arc<str>,
        /// Why.
        reason: DeleteReason,
    },
    /// What AWS told about the claim's instance is written on it.
    MarkInterrupted {
        /// The claim.
        claim: Arc<str>,
        /// What it told.
        interruption: Interruption,
    },
    /// The claim's disruption begins, goes on, or (`None`) is called off.
    MarkDisruption {
        /// The claim.
        claim: Arc<str>,
        /// The disruption.
        disruption: Option<Disruption>,
    },
    /// The node takes pods again: its disruption was called off.
    Uncordon {
        /// The node.
        node: Arc<str>,
    },
    /// The node is tainted `karpenter.sh/disrupted:NoSchedule` and taken out of load balancers.
    Cordon {
        /// The node.
        node: Arc<str>,
    },
    /// The pod is evicted, if it still has this uid.
    Evict {
        /// The pod.
        pod: PodId,
        /// Its uid.
        uid: String,
        /// Its node.
        node: Arc<str>,
    },
    /// The pod is deleted past its disruption budget, because its node's deadline has come.
    ForceDelete {
        /// The pod.
        pod: PodId,
        /// Its uid.
        uid: String,
        /// The grace left, in seconds, at least 1.
        grace_s: i64,
    },
    /// The instance is terminated.
    Terminate {
        /// The instance's id.
        instance: String,
        /// Why.
        reason: TerminateReason,
    },
    /// The finalizer is taken off the node.
    ReleaseNode {
        /// The node.
        node: Arc<str>,
    },
    /// The finalizer is taken off the claim.
    ReleaseClaim {
        /// The claim.
        claim: Arc<str>,
    },
    /// The node object of an instance that is gone is deleted.
    DeleteNode {
        /// The node.
        node: Arc<str>,
    },
    /// The node's annotation says since when it has been empty; `None` takes it off.
    MarkEmpty {
        /// The node.
        node: Arc<str>,
        /// Since when.
        since: Option<Timestamp>,
    },
}

/// Why a claim is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DeleteReason {
    /// Its node is taken away.
    Disrupted(DisruptionReason),
    /// It was not launched within 5 minutes.
    NotLaunched,
    /// Its node did not join within 15 minutes.
    NotRegistered,
    /// Its instance is gone.
    InstanceGone,
    /// Its node is being deleted.
    NodeDeleted,
    /// Its pool is gone.
    PoolGone,
}

/// Why an instance is terminated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TerminateReason {
    /// Its claim is being deleted and its node is drained.
    Drained,
    /// It has no claim.
    NoClaim,
}
