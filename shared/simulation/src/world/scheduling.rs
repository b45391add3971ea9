//! The kube-scheduler at work: binding, unbinding, waiting.

use super::World;
use super::event::Event;
use crate::kube_scheduler::{ClassId, NodeId, PodKey};
use model::pod::PodPhase;
use std::collections::BTreeSet;

impl World<'_> {
    /// Has the kube-scheduler try its active pods soon; several causes at one moment make one run.
    pub(super) fn wake_scheduler(&mut self) {
        if !self.scheduler_awake && self.queue.has_active() {
            self.scheduler_awake = true;
            self.events.push(self.now, Event::SchedulerRuns);
        }
    }

    /// Something changed that may let parked pods be bound.
    pub(super) fn retry_parked(&mut self) {
        self.queue.retry_all(self.now);
        self.plan_backoff();
        self.wake_scheduler();
    }

    /// Tries every active pod once. A class that found no node is not searched for again in the same run, because
    /// within a run nodes only fill up.
    pub(super) fn run_scheduler(&mut self) {
        self.scheduler_awake = false;
        self.queue.end_backoff(self.now);
        let mut hopeless: BTreeSet<ClassId> = BTreeSet::new();
        let mut bound_with_rules = false;
        while let Some(pod) = self.queue.pop() {
            let class = self.pods[pod.0].class;
            let node = if hopeless.contains(&class) {
                None
            } else {
                self.cache.pick(class, &mut self.random)
            };
            match node {
                Some(node) => {
                    self.queue.remove(pod);
                    self.bind(pod, node);
                    bound_with_rules |= self.has_rules_between_pods(class);
                }
                None => {
                    hopeless.insert(class);
                    self.park(pod);
                }
            }
        }
        if bound_with_rules {
            self.queue.retry_all(self.now);
        }
        self.plan_backoff();
        self.meter.pending(self.queue.len());
    }

    fn has_rules_between_pods(&self, class: ClassId) -> bool {
        let spec = &self.cache.known(class).class.spec;
        !spec.topology_spread.is_empty() || !spec.pod_affinity.is_empty()
    }

    /// No node: the pod's status says so, and whoever watches is told.
    fn park(&mut self, pod: PodKey) {
        self.queue.park(pod, self.now);
        let told = self
            .api
            .pod(pod)
            .is_none_or(|object| std::mem::replace(&mut object.unschedulable, true));
        if !told {
            self.pod_unschedulable();
        }
    }

    /// Binds a pod to a node.
    pub(super) fn bind(&mut self, pod: PodKey, node: NodeId) {
        let record = &mut self.pods[pod.0];
        debug_assert!(record.node.is_none(), "a pod is bound at most once");
        record.node = Some(node);
        let (class, daemon, created_at, duration_ms) =
            (record.class, record.daemon, record.created_at, record.duration_ms);
        self.cache.assign(class, node);
        let host = &mut self.nodes[node.0];
        host.pods.insert(pod);
        host.work += u32::from(!daemon);
        let name = host.name.clone();
        let now = self.now.timestamp();
        if let Some(object) = self.api.pod(pod) {
            object.node_name = Some(name.clone());
            object.unschedulable = false;
            object.phase = PodPhase::Running;
            object.bound_at = Some(now);
            object.ready = true;
        }
        if daemon {
            return;
        }
        if !self.decider.takes_steps() {
            self.api.set_empty_since(&name, None);
        }
        self.meter.pod_bound(self.now.since_ms(created_at));
        if let Some(duration_ms) = duration_ms {
            self.pods[pod.0].ends_at = Some(self.now.plus_ms(duration_ms));
            self.after_ms(duration_ms, Event::PodEnds(pod));
        }
        self.roll_on(pod);
    }

    /// Since when a node is empty: Joiner's plans write it down themselves.
    pub(super) fn mark_empty(&mut self, name: &str) {
        if !self.decider.takes_steps() {
            let now = self.now.timestamp();
            self.api.set_empty_since(name, Some(now));
        }
    }

    /// Takes a pod off its node, if it has one.
    pub(super) fn unbind(&mut self, pod: PodKey) {
        let record = &mut self.pods[pod.0];
        let (class, daemon, ending) = (record.class, record.daemon, record.ending);
        let Some(node) = record.node.take() else { return self.meter.pod_dropped(daemon) };
        self.cache.release(class, node);
        if ending {
            self.cache.end(class, node, -1);
        }
        let host = &mut self.nodes[node.0];
        host.pods.remove(&pod);
        if daemon {
            return;
        }
        host.work -= 1;
        let empty = host.work == 0;
        let name = host.name.clone();
        self.meter.pod_left();
        if empty {
            self.mark_empty(&name);
            self.stop_if_drained(node);
        }
        self.retry_parked();
    }

    /// Has the scheduler woken when the next back-off ends.
    fn plan_backoff(&mut self) {
        let next = self.queue.next_backoff();
        let planned = self.next_backoff.filter(|at| *at > self.now);
        if let Some(at) = next.filter(|at| planned.is_none_or(|planned| *at < planned)) {
            self.next_backoff = Some(at);
            self.events.push(at, Event::SchedulerRuns);
        }
    }
}
