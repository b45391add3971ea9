//! What happens, in order of time.

use crate::SimTime;
use crate::kube_scheduler::{NodeId, PodKey};
use model::Plan;
use std::collections::BTreeMap;

/// Something that happens.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A request of the trace, by number, arrives.
    Arrival(usize),
    /// A pod has done its work.
    PodEnds(PodKey),
    /// A pod that is being deleted has ended.
    PodStops(PodKey),
    /// A Deployment of the trace changes: request and change, by number.
    Change(usize, usize),
    /// Deployments that shrink at half-time do so.
    ScaleIn,
    /// The kube-scheduler tries what it can.
    SchedulerRuns,
    /// EC2 has started the instance.
    InstanceStarts(NodeId),
    /// The kubelet has made its Node object.
    NodeRegisters(NodeId),
    /// The node takes pods.
    NodeReady(NodeId),
    /// The instance has shut down and its objects are gone.
    NodeGone(NodeId),
    /// Something wakes the decider.
    Knock(Knock),
    /// The decider's plan is carried out.
    PlanExecutes(Box<Plan>),
    /// Figures are taken.
    Sample,
}

/// Why the decider is woken. Only these come from outside the cluster's own machinery, so only these can be lost, late
/// or doubled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knock {
    /// Pods are pending, and the window of this number has closed.
    PodsPending(u64),
    /// The schedule.
    Schedule,
    /// The last plan asked for it.
    FollowUp,
}

/// Events by time; those of the same time in the order in which they were pushed.
pub(crate) struct EventQueue<E> {
    events: BTreeMap<(SimTime, u64), E>,
    pushed: u64,
}

impl<E> Default for EventQueue<E> {
    fn default() -> Self {
        Self { events: BTreeMap::new(), pushed: 0 }
    }
}

impl<E> EventQueue<E> {
    /// Adds an event.
    pub(crate) fn push(&mut self, at: SimTime, event: E) {
        self.events.insert((at, self.pushed), event);
        self.pushed += 1;
    }

    /// When the next event is.
    pub(crate) fn next_at(&self) -> Option<SimTime> {
        self.events.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the next event.
    pub(crate) fn pop(&mut self) -> Option<(SimTime, E)> {
        self.events.pop_first().map(|((at, _), event)| (at, event))
    }
}
