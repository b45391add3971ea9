//! What happens in the world, and what reaches Joiner of it.

use super::work::SentId;
use crate::kube_scheduler::{NodeId, PodKey};
use std::sync::Arc;

/// An instance, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct InstanceId(pub(super) usize);

/// A claim, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ClaimId(pub(super) usize);

/// A turn (or what a function does without the lease), by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TurnId(pub(super) usize);

/// Something that happens.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// The kube-scheduler tries what it can.
    SchedulerRuns,
    /// The pod's containers have started.
    PodStarts(PodKey),
    /// The pod is ready.
    PodReady(PodKey),
    /// The pod of a job has done its work.
    PodDone(PodKey),
    /// The pod's containers have ended after it was deleted.
    PodStops(PodKey),
    /// The kubelet of the instance makes its Node object.
    NodeJoins(InstanceId),
    /// The node takes pods.
    NodeReady(NodeId),
    /// The startup taints of the node are taken off.
    StartupEnds(NodeId),
    /// The instance has come to its end.
    InstanceGone(InstanceId),
    /// The node controller finds that the node does not answer.
    NodeUnreachable(NodeId),
    /// Five minutes later: its pods are evicted by taint.
    NodeTaintEvicts(NodeId),
    /// The cloud controller finds that the node's instance is gone and deletes the Node object.
    NodeCollected(NodeId),
    /// The garbage collector deletes pods bound to a node that is not there.
    PodsCollected(NodeId),
    /// A controller makes or deletes pods.
    Reconcile(usize),
    /// A controller wants so many replicas from now on.
    Scale(usize, u32),
    /// EC2 takes the spot instance, two minutes after its warning.
    Taken(InstanceId),
    /// A message reaches a queue.
    Arrives(Message),
    /// A function is invoked with the messages that came together.
    Invoked(Door),
    /// The window of pending pods of this number closes.
    WindowCloses(u64),
    /// A call of the turn comes to its end.
    CallEnds(TurnId, SentId),
    /// People or AWS do something.
    Mishap(Mishap),
    /// A minute has passed.
    Minute,
    /// From now on nothing goes wrong.
    Calm,
}

/// Which function a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Door {
    /// on-pending-pods.
    PendingPods,
    /// on-interruption.
    Interruption,
    /// on-schedule.
    Schedule,
}

/// A message of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Message {
    /// Pods are pending.
    PodsPending,
    /// A node or claim is being deleted.
    NodeDeleting,
    /// A node that a claim waits for has come further.
    NodeChanged,
    /// The minute's tick.
    Tick,
    /// What a plan asked for.
    FollowUp,
    /// EC2 warns of a spot interruption, or AWS Health of a retirement.
    Warning(InstanceId),
    /// EC2 tells that an instance stops or has stopped.
    StateChange(InstanceId),
}

impl Message {
    /// The function that it is for.
    pub(super) fn door(self) -> Door {
        match self {
            Self::PodsPending | Self::NodeDeleting | Self::NodeChanged => Door::PendingPods,
            Self::Warning(_) | Self::StateChange(_) => Door::Interruption,
            Self::Tick | Self::FollowUp => Door::Schedule,
        }
    }
}

/// What people and AWS do to the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mishap {
    /// `kubectl delete node`.
    DeleteNode,
    /// `kubectl delete nodeclaim`.
    DeleteClaim,
    /// `kubectl delete pod`.
    DeletePod,
    /// Someone terminates an instance in the console.
    KillInstance,
    /// A kubelet dies; its instance runs on.
    KubeletDies,
    /// So many in a hundred of the spot instances get their warning within so many seconds.
    Storm {
        /// How many in a hundred.
        percent: u64,
        /// Within so many seconds.
        within_s: i64,
    },
    /// EC2 warns of one spot instance.
    SpotWarning(Option<InstanceId>),
    /// AWS Health tells of an instance that it will be retired.
    Retirement,
    /// Prices of all offerings change.
    PricesChange,
    /// The template of a pool changes.
    PoolChanges(Arc<str>),
}
