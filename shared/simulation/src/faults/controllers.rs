//! Controllers: replicas, jobs and daemonsets, kubelets' words on pods, and the disruption controller.

use super::event::Event;
use super::setup::{Kind, Workload};
use super::workloads::NAMESPACE;
use super::world::World;
use crate::kube_scheduler::{Class, NodeId, PodKey};
use model::Labels;
use model::pod::{Owner, PodPhase};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A workload and what became of it.
pub(super) struct Controller {
    pub(super) workload: Workload,
    wanted: u32,
    /// Of a job: pods that have done their work.
    done: u32,
    made: u32,
    pods: BTreeSet<PodKey>,
}

impl World {
    pub(super) fn start_controllers(&mut self) {
        for (index, workload) in self.setup.workloads.clone().into_iter().enumerate() {
            self.events.push(workload.arrives, Event::Scale(index, workload.replicas));
            for (at, replicas) in &workload.scales {
                self.events
                    .push((*at).max(workload.arrives.plus_ms(1)), Event::Scale(index, *replicas));
            }
            let pods = BTreeSet::new();
            let controller = Controller { workload, wanted: 0, done: 0, made: 0, pods };
            self.controllers.push(controller);
        }
    }

    pub(super) fn scale(&mut self, index: usize, replicas: u32) {
        let controller = &mut self.controllers[index];
        controller.wanted = replicas;
        let name = controller.workload.name.clone();
        self.log.say(self.now, || format!("{name} is to have {replicas} pods"));
        self.reconcile(index);
    }

    /// The pod is no longer there.
    pub(super) fn pod_left(&mut self, index: usize, pod: PodKey) {
        if self.controllers[index].pods.remove(&pod) {
            self.after_ms(50, Event::Reconcile(index));
        }
    }

    /// Makes or deletes pods until there are as many as wanted. Pods that are being deleted do not count, but keep their name.
    pub(super) fn reconcile(&mut self, index: usize) {
        let controller = &self.controllers[index];
        let counts = |pod: &PodKey| {
            let object = self.api.see_pod(*pod);
            object.is_some_and(|pod| pod.deletion_at.is_none() && !pod.is_terminal())
        };
        let active = controller.pods.iter().copied().filter(counts).collect::<Vec<_>>();
        let wanted = match controller.workload.kind {
            Kind::ReplicaSet | Kind::StatefulSet => controller.wanted,
            Kind::Job(_) => controller.wanted.saturating_sub(controller.done),
        } as usize;
        let job = matches!(controller.workload.kind, Kind::Job(_));
        let surplus = if job { 0 } else { active.len().saturating_sub(wanted) };
        for pod in active.iter().rev().take(surplus).copied().collect::<Vec<_>>() {
            self.delete_pod(pod, None);
        }
        for _ in active.len()..wanted {
            self.create_replica(index);
        }
        self.wake_scheduler();
    }

    fn create_replica(&mut self, index: usize) {
        let controller = &mut self.controllers[index];
        let workload = &controller.workload;
        let (kind, name) = match workload.kind {
            Kind::ReplicaSet => ("ReplicaSet", format!("{}-{}", workload.name, controller.made)),
            Kind::Job(_) => ("Job", format!("{}-{}", workload.name, controller.made)),
            Kind::StatefulSet => {
                let taken = |ordinal: &u32| {
                    let id = model::PodId::new(NAMESPACE, &format!("{}-{ordinal}", workload.name));
                    self.pod_keys.contains_key(&id)
                };
                // A name that is still taken by a pod that ends comes free later.
                let Some(ordinal) = (0..controller.wanted).find(|ordinal| !taken(ordinal)) else {
                    return;
                };
                ("StatefulSet", format!("{}-{ordinal}", workload.name))
            }
        };
        controller.made += 1;
        let owner = Owner { kind: kind.to_owned(), name: workload.name.clone() };
        let class = Class {
            namespace: NAMESPACE.into(),
            labels: workload.labels.clone(),
            spec: workload.spec.clone(),
        };
        let (protected, priority) = (workload.do_not_disrupt, class.spec.priority);
        let pod = self.create_pod(&name, &class, owner, Some(index));
        self.controllers[index].pods.insert(pod);
        if let Some(object) = self.pod(pod) {
            object.do_not_disrupt = protected;
        }
        self.queue.add(pod, priority, self.now);
    }

    /// Every daemonset puts a pod on the node.
    pub(super) fn place_daemons(&mut self, node: NodeId) {
        let sets = self.api.all().daemon_sets.clone();
        for set in &sets {
            let class = Class {
                namespace: set.namespace.as_str().into(),
                labels: Arc::new(Labels::from([("app".to_owned(), set.name.clone())])),
                spec: set.spec.clone(),
            };
            let owner = Owner { kind: "DaemonSet".to_owned(), name: set.name.clone() };
            let pod = self.create_pod(&format!("{}-{}", set.name, node.0), &class, owner, None);
            self.bind(pod, node);
        }
    }

    fn kubelet_answers(&self, pod: PodKey) -> bool {
        let node = self.pods.get(&pod).and_then(|record| record.node);
        node.and_then(|node| self.nodes.get(&node)).is_some_and(|node| node.alive)
    }

    pub(super) fn start_pod(&mut self, pod: PodKey) {
        if !self.kubelet_answers(pod) {
            return;
        }
        let Some(object) = self.pod(pod) else { return };
        object.phase = PodPhase::Running;
        let controller = self.pods.get(&pod).and_then(|record| record.controller);
        if let Some(Kind::Job(runs_ms)) =
            controller.map(|index| self.controllers[index].workload.kind)
        {
            self.after_ms(runs_ms, Event::PodDone(pod));
        }
        let ready = self.random.between(500, 5000);
        self.after_ms(ready, Event::PodReady(pod));
    }

    pub(super) fn ready_pod(&mut self, pod: PodKey) {
        if self.kubelet_answers(pod)
            && let Some(object) = self.pod(pod)
        {
            object.ready = true;
        }
    }

    /// The pod of a job has done its work: its object stays for a while and holds nothing.
    pub(super) fn finish_pod(&mut self, pod: PodKey) {
        if !self.kubelet_answers(pod) {
            return;
        }
        let ending = self.pod(pod).is_none_or(|object| object.deletion_at.is_some());
        let Some(index) = self.pods.get(&pod).and_then(|record| record.controller) else { return };
        if ending {
            return;
        }
        if let Some(object) = self.pod(pod) {
            (object.phase, object.ready) = (PodPhase::Succeeded, false);
        }
        self.release_room(pod);
        self.controllers[index].done += 1;
        self.after_ms(60_000, Event::PodStops(pod));
    }

    /// The pod's containers have ended: its object goes.
    pub(super) fn stop_pod(&mut self, pod: PodKey) {
        if self.kubelet_answers(pod) {
            self.remove_pod(pod);
        }
    }

    /// How many pods of each budget may be disrupted now, as the disruption controller says.
    pub(super) fn count_budgets(&mut self) {
        let budgets = self.setup.budgets.clone();
        let counted = budgets.into_iter().map(|kept| {
            let controller = &self.controllers[kept.workload];
            let healthy = controller.pods.iter().filter(|pod| self.healthy(**pod)).count() as i64;
            let wanted = i64::from(controller.wanted);
            let mut budget = kept.budget;
            let desired = (wanted - i64::from(kept.max_unavailable)).max(0);
            budget.disruptions_allowed = (healthy - desired).max(0) as i32;
            budget
        });
        let counted = counted.collect();
        self.api.rest().pod_disruption_budgets = counted;
    }

    fn healthy(&self, pod: PodKey) -> bool {
        self.pod_states(pod).is_some_and(|(ready, ending)| ready && !ending)
    }

    /// Whether the pod is ready, and whether it is being deleted.
    pub(super) fn pod_states(&self, pod: PodKey) -> Option<(bool, bool)> {
        let object = self.api.see_pod(pod)?;
        Some((object.ready, object.deletion_at.is_some()))
    }

    /// Whether the pods of the budget that are healthy suffice, so that others may go.
    pub(super) fn suffices(&self, budget: &str) -> bool {
        let kept = self.setup.budgets.iter().find(|kept| kept.budget.name == budget);
        kept.is_none_or(|kept| {
            let controller = &self.controllers[kept.workload];
            let healthy = controller.pods.iter().filter(|pod| self.healthy(**pod)).count();
            healthy as u32 + kept.max_unavailable >= controller.wanted
        })
    }
}
