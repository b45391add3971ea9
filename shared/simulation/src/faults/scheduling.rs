//! The kube-scheduler at work, and pods that come and go.

use super::event::Event;
use super::world::{PodRecord, World};
use crate::kube_scheduler::{Class, ClassId, NodeId, PodKey};
use model::pod::Owner;
use model::{Pod, PodId, Timestamp};
use std::collections::BTreeSet;

impl World {
    pub(super) fn wake_scheduler(&mut self) {
        if !self.scheduler_awake && self.queue.has_active() {
            self.scheduler_awake = true;
            self.after_ms(0, Event::SchedulerRuns);
        }
    }

    /// Something changed that may let parked pods be bound.
    pub(super) fn retry_parked(&mut self) {
        self.queue.retry_all(self.now);
        self.plan_backoff();
        self.wake_scheduler();
    }

    /// Tries every active pod once; a class that found no node is not searched for again in the same run.
    pub(super) fn run_scheduler(&mut self) {
        self.scheduler_awake = false;
        self.queue.end_backoff(self.now);
        let mut hopeless: BTreeSet<ClassId> = BTreeSet::new();
        let mut bound_with_rules = false;
        while let Some(pod) = self.queue.pop() {
            let Some(class) = self.pods.get(&pod).map(|record| record.class) else { continue };
            let hopeful = !hopeless.contains(&class);
            match hopeful.then(|| self.cache.pick(class, &mut self.random)).flatten() {
                Some(node) => {
                    self.queue.remove(pod);
                    self.bind(pod, node);
                    let spec = &self.cache.known(class).class.spec;
                    bound_with_rules |=
                        !spec.topology_spread.is_empty() || !spec.pod_affinity.is_empty();
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
    }

    fn plan_backoff(&mut self) {
        let planned = self.next_backoff.filter(|at| *at > self.now);
        let next = self.queue.next_backoff();
        if let Some(at) = next.filter(|at| planned.is_none_or(|planned| *at < planned)) {
            self.next_backoff = Some(at);
            self.events.push(at, Event::SchedulerRuns);
        }
    }

    fn park(&mut self, pod: PodKey) {
        self.queue.park(pod, self.now);
        let told = self.pod(pod).is_none_or(|pod| std::mem::replace(&mut pod.unschedulable, true));
        if !told {
            self.open_window();
        }
    }

    /// A new pod's object; whoever calls this queues or binds it.
    pub(super) fn create_pod(
        &mut self,
        name: &str,
        class: &Class,
        owner: Owner,
        controller: Option<usize>,
    ) -> PodKey {
        let number = self.next_number();
        let key = PodKey(number);
        let id = PodId { namespace: class.namespace.clone(), name: name.into() };
        let pod = Pod {
            uid: format!("pod-{number}"),
            created_at: Some(self.now.timestamp()),
            owner: Some(owner),
            unschedulable: false,
            ..Pod::waiting(id.clone(), class.labels.clone(), class.spec.clone())
        };
        let record = PodRecord {
            id: id.clone(),
            class: self.cache.class(class),
            controller,
            daemon: controller.is_none(),
            node: None,
            created_at: self.now,
            assigned: false,
            ending: false,
        };
        self.api.create_pod(key, pod);
        self.pods.insert(key, record);
        self.pod_keys.insert(id, key);
        key
    }

    /// Binds a pod to a node; its kubelet starts it.
    pub(super) fn bind(&mut self, pod: PodKey, node: NodeId) {
        let Some(host) = self.nodes.get_mut(&node) else { return };
        host.pods.insert(pod);
        let (name, alive, foreign) = (host.name.clone(), host.alive, host.foreign);
        let now = self.now.timestamp();
        if let Some(record) = self.pods.get_mut(&pod) {
            record.node = Some(node);
            record.assigned = true;
            self.cache.assign(record.class, node);
        }
        if let Some(pod) = self.api.pod(pod) {
            pod.node_name = Some(name);
            pod.unschedulable = false;
            pod.bound_at = Some(now);
        }
        if alive || foreign {
            let starts = self.random.between(500, 4000);
            self.after_ms(starts, Event::PodStarts(pod));
        }
    }

    /// The pod no longer counts on its node.
    pub(super) fn release_room(&mut self, pod: PodKey) {
        let Some(record) = self.pods.get_mut(&pod).filter(|record| record.assigned) else { return };
        record.assigned = false;
        if let Some(node) = record.node {
            self.cache.release(record.class, node);
            if record.ending {
                self.cache.end(record.class, node, -1);
            }
        }
        self.retry_parked();
    }

    /// The pod's object goes.
    pub(super) fn remove_pod(&mut self, pod: PodKey) {
        self.release_room(pod);
        self.queue.remove(pod);
        self.api.delete_pod(pod);
        let Some(record) = self.pods.remove(&pod) else { return };
        self.pod_keys.remove(&record.id);
        if let Some(host) = record.node.and_then(|node| self.nodes.get_mut(&node)) {
            host.pods.remove(&pod);
        }
        if let Some(controller) = record.controller {
            self.pod_left(controller, pod);
        }
    }

    /// Someone deletes the pod: it gets its grace, at most so many seconds.
    pub(super) fn delete_pod(&mut self, pod: PodKey, grace_s: Option<i64>) {
        let Some(record) = self.pods.get_mut(&pod) else { return };
        let (node, controller) = (record.node, record.controller);
        if let Some(node) = node.filter(|_| record.assigned && !record.ending) {
            record.ending = true;
            self.cache.end(record.class, node, 1);
            self.retry_parked();
        }
        let now = self.now;
        let Some(object) = self.api.pod(pod) else { return };
        let own = object.spec.termination_grace_period_s;
        let grace_s = grace_s.unwrap_or(own).max(0);
        let ends = Timestamp(now.timestamp().0 + grace_s);
        let ends = object.deletion_at.map_or(ends, |before| before.min(ends));
        object.deletion_at = Some(ends);
        let Some(host) = node.and_then(|node| self.nodes.get(&node)) else {
            return self.remove_pod(pod);
        };
        if host.alive {
            // Most containers end well before their grace does; some need all of it.
            let most = grace_s * 1000;
            let quick = self.random.between(0, most.min(3000));
            let needs = if self.random.below(4) == 0 { most } else { quick };
            self.after_ms(needs, Event::PodStops(pod));
        }
        if let Some(controller) = controller {
            self.after_ms(50, Event::Reconcile(controller));
        }
    }
}
