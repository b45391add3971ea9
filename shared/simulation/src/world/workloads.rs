//! What brings pods and takes them away: the trace, and the controller of Deployments' replicas.

use super::event::Event;
use super::{PodRecord, World};
use crate::kube_scheduler::{Class, PodKey};
use crate::workload::{Change, Request};
use crate::{Random, SimTime};
use model::pod::Owner;
use model::{Pod, PodId};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A Deployment's replicas: so many pods, whatever becomes of each.
pub(super) struct ReplicaSet {
    request: usize,
    replicas: u32,
    pods: BTreeSet<PodKey>,
    /// Pods of the template before, while a rollout lasts.
    old: BTreeSet<PodKey>,
    made: u32,
}

/// While a Deployment rolls out it may have a quarter more pods than it asks for (`maxSurge`, its default); here none fewer.
const SURGE: usize = 4;

/// The pod's uid.
pub(super) fn uid(pod: PodKey) -> String {
    format!("pod-{}", pod.0)
}

/// When each request arrives: the trace's time, spread over its bin by the seed.
pub(crate) fn arrivals(requests: &[Request], bin_s: i64, seed: u64) -> Vec<SimTime> {
    let mut random = Random::new(seed ^ 0xA221_7A15);
    let spread = |request: &Request| {
        SimTime::from_s(request.arrival_s).plus_ms(random.below(bin_s.max(0) as u64 * 1000) as i64)
    };
    requests.iter().map(spread).collect()
}

impl World<'_> {
    /// Puts the trace's arrivals before the end of the run into the queue.
    pub(super) fn plan_arrivals(&mut self) {
        let workload = &self.scenario.workload;
        let end = SimTime::from_s(self.scenario.length_s);
        let times = arrivals(&workload.requests, workload.spread_s, self.scenario.seed);
        for (index, at) in times.into_iter().enumerate().filter(|(_, at)| *at < end) {
            self.events.push(at, Event::Arrival(index));
        }
        for (index, request) in workload.requests.iter().enumerate() {
            for (change, (at_s, _)) in request.changes.iter().enumerate() {
                self.events.push(SimTime::from_s(*at_s), Event::Change(index, change));
            }
        }
        if workload.requests.iter().any(|request| request.scale_in.is_some()) {
            self.events.push(SimTime(end.0 / 2), Event::ScaleIn);
        }
    }

    /// The pods of a request are created, or its Deployment.
    pub(super) fn arrive(&mut self, request: usize) {
        let Some(found) = self.scenario.workload.requests.get(request) else { return };
        if found.duration_s.is_some() {
            for index in 0..found.count {
                self.create_pod(request, &format!("{}-{index}", found.name), None);
            }
        } else {
            let (pods, old) = (BTreeSet::new(), BTreeSet::new());
            self.replica_sets.push(ReplicaSet {
                request,
                replicas: found.count,
                pods,
                old,
                made: 0,
            });
            self.reconcile(self.replica_sets.len() - 1);
        }
        self.wake_scheduler();
    }

    /// Deployments that shrink at half-time get their smaller number of replicas.
    pub(super) fn scale_in(&mut self) {
        for index in 0..self.replica_sets.len() {
            let request = self.scenario.workload.requests.get(self.replica_sets[index].request);
            if let Some(replicas) = request.and_then(|request| request.scale_in) {
                self.replica_sets[index].replicas = replicas;
                self.reconcile(index);
            }
        }
    }

    /// A Deployment gets another number of replicas, or another template.
    pub(super) fn change(&mut self, request: usize, change: usize) {
        let found = self.scenario.workload.requests.get(request);
        let Some((_, change)) = found.and_then(|request| request.changes.get(change)) else {
            return;
        };
        let Some(index) = self.replica_sets.iter().position(|set| set.request == request) else {
            return;
        };
        let set = &mut self.replica_sets[index];
        match change {
            Change::Scale(replicas) => set.replicas = *replicas,
            Change::Rollout => set.old.append(&mut set.pods),
        }
        self.reconcile(index);
        self.wake_scheduler();
    }

    /// Makes or deletes pods until there are as many as wanted. The youngest go first.
    pub(super) fn reconcile(&mut self, index: usize) {
        let set = &mut self.replica_sets[index];
        let wanted = set.replicas as usize;
        let surplus = set.pods.len().saturating_sub(wanted);
        let leaving: Vec<PodKey> = set.pods.iter().rev().take(surplus).copied().collect();
        for pod in &leaving {
            set.pods.remove(pod);
        }
        for pod in leaving {
            self.delete_pod(pod);
        }
        self.surge(index);
        if self.retire_old(index) {
            self.surge(index);
        }
    }

    /// A pod was bound: a rollout goes on.
    pub(super) fn roll_on(&mut self, pod: PodKey) {
        let index = self.pods.get(pod.0).and_then(|record| record.replica_set);
        if let Some(index) = index.filter(|index| !self.replica_sets[*index].old.is_empty()) {
            self.reconcile(index);
            self.wake_scheduler();
        }
    }

    /// Pods of the template before go as those of the new one are bound; whether any did.
    fn retire_old(&mut self, index: usize) -> bool {
        let set = &self.replica_sets[index];
        let bound = set.pods.iter().filter(|pod| self.pods[pod.0].node.is_some()).count();
        let needed = (set.replicas as usize).saturating_sub(bound);
        let leaving: Vec<PodKey> = set.old.iter().rev().skip(needed).copied().collect();
        for pod in &leaving {
            self.replica_sets[index].old.remove(pod);
        }
        let retired = !leaving.is_empty();
        for pod in leaving {
            self.delete_pod(pod);
        }
        retired
    }

    /// Makes pods, while a rollout lasts only as far as it may go now.
    fn surge(&mut self, index: usize) {
        let set = &self.replica_sets[index];
        let wanted = set.replicas as usize;
        let most = wanted + if set.old.is_empty() { 0 } else { wanted.div_ceil(SURGE) };
        let room = most.saturating_sub(set.pods.len() + set.old.len());
        for _ in 0..wanted.saturating_sub(set.pods.len()).min(room) {
            self.create_replica(index);
        }
    }

    fn create_replica(&mut self, index: usize) {
        let set = &mut self.replica_sets[index];
        set.made += 1;
        let (request, number) = (set.request, set.made);
        let Some(found) = self.scenario.workload.requests.get(request) else { return };
        let pod = self.create_pod(request, &format!("{}-{number}", found.name), Some(index));
        self.replica_sets[index].pods.extend(pod);
    }

    /// What its controller does about a pod that is being deleted: another takes its place, with the rest of its time.
    pub(super) fn follow(&mut self, pod: PodKey) {
        let record = &self.pods[pod.0];
        let (request, ends_at) = (record.request, record.ends_at);
        if let Some(index) = record.replica_set {
            let set = &mut self.replica_sets[index];
            set.pods.remove(&pod);
            set.old.remove(&pod);
            return self.reconcile(index);
        }
        let (Some(request), Some(ends_at)) = (request, ends_at) else { return };
        let Some(found) = self.scenario.workload.requests.get(request) else { return };
        let name = format!("{}-again-{}", found.name, self.pods.len());
        let Some(successor) = self.create_pod(request, &name, None) else { return };
        let record = &mut self.pods[successor.0];
        (record.ends_at, record.duration_ms) = (Some(ends_at), None);
        self.events.push(ends_at, Event::PodEnds(successor));
    }

    fn create_pod(
        &mut self,
        request: usize,
        name: &str,
        replica_set: Option<usize>,
    ) -> Option<PodKey> {
        let found = self.scenario.workload.requests.get(request)?;
        let kind = if replica_set.is_some() { "ReplicaSet" } else { "Job" };
        let owner = Owner { kind: kind.to_owned(), name: found.name.clone() };
        let class = Class {
            namespace: "default".into(),
            labels: found.labels.clone(),
            spec: found.spec.clone(),
        };
        let duration_ms = found.duration_s.map(|seconds| seconds.saturating_mul(1000));
        let record = PodRecord {
            class: self.cache.class(&class),
            created_at: self.now,
            duration_ms,
            ends_at: None,
            request: Some(request),
            replica_set,
            daemon: false,
            node: None,
            ending: false,
        };
        let key = self.add_pod(record, &class, name, owner);
        self.queue.add(key, class.spec.priority, self.now);
        self.meter.pod_created();
        Some(key)
    }

    /// Creates the pod's object; whoever calls this queues or binds it.
    pub(super) fn add_pod(
        &mut self,
        record: PodRecord,
        class: &Class,
        name: &str,
        owner: Owner,
    ) -> PodKey {
        let key = PodKey(self.pods.len());
        let id = PodId { namespace: class.namespace.clone(), name: Arc::from(name) };
        let pod = Pod {
            uid: uid(key),
            created_at: Some(self.now.timestamp()),
            owner: Some(owner),
            unschedulable: false,
            ..Pod::waiting(id, class.labels.clone(), class.spec.clone())
        };
        self.names.pods.insert(pod.id.clone(), key);
        self.api.create_pod(key, pod);
        self.pods.push(record);
        key
    }

    /// A pod's work is done.
    pub(super) fn end_pod(&mut self, pod: PodKey) {
        self.delete_pod(pod);
    }

    /// A pod goes, and its controller makes another if it should.
    pub(super) fn delete_pod(&mut self, pod: PodKey) {
        let Some(object) = self.api.see_pod(pod) else { return };
        let id = object.id.clone();
        self.names.pods.remove(&id);
        self.api.delete_pod(pod);
        self.queue.remove(pod);
        self.unbind(pod);
        let Some(index) = self.pods.get(pod.0).and_then(|record| record.replica_set) else {
            return;
        };
        let set = &mut self.replica_sets[index];
        if set.pods.remove(&pod) || set.old.remove(&pod) {
            self.reconcile(index);
            self.wake_scheduler();
        }
    }
}
