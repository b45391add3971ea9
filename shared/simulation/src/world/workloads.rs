//! What brings pods and takes them away: the trace, and the controller of Deployments' replicas.

use super::event::Event;
use super::{PodRecord, World};
use crate::kube_scheduler::{Class, PodKey};
use crate::workload::Request;
use crate::{Random, SimTime};
use model::pod::{Owner, PodPhase};
use model::{Pod, PodId};
use std::sync::Arc;

/// A Deployment's replicas: so many pods, whatever becomes of each.
pub(super) struct ReplicaSet {
    request: usize,
    replicas: u32,
    pods: std::collections::BTreeSet<PodKey>,
    made: u32,
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
        if workload.requests.iter().any(|request| request.scale_in.is_some()) {
            self.events.push(SimTime(end.0 / 2), Event::ScaleIn);
        }
    }

    /// The pods of a request are created, or its Deployment.
    pub(super) fn arrive(&mut self, request: usize) {
        let Some(found) = self.scenario.workload.requests.get(request) else { return };
        if found.duration_s.is_some() {
            for index in 0..found.count {
                self.create_pod(found, &format!("{}-{index}", found.name), None);
            }
        } else {
            let pods = Default::default();
            self.replica_sets.push(ReplicaSet { request, replicas: found.count, pods, made: 0 });
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

    /// Makes or deletes pods until there are as many as wanted. The youngest go first.
    pub(super) fn reconcile(&mut self, index: usize) {
        let set = &mut self.replica_sets[index];
        let surplus = set.pods.len().saturating_sub(set.replicas as usize);
        let leaving: Vec<PodKey> = set.pods.iter().rev().take(surplus).copied().collect();
        for pod in &leaving {
            set.pods.remove(pod);
        }
        let missing = (set.replicas as usize).saturating_sub(set.pods.len());
        for pod in leaving {
            self.delete_pod(pod);
        }
        for _ in 0..missing {
            self.create_replica(index);
        }
    }

    fn create_replica(&mut self, index: usize) {
        let set = &mut self.replica_sets[index];
        set.made += 1;
        let (request, number) = (set.request, set.made);
        let Some(found) = self.scenario.workload.requests.get(request) else { return };
        let pod = self.create_pod(found, &format!("{}-{number}", found.name), Some(index));
        self.replica_sets[index].pods.insert(pod);
    }

    fn create_pod(&mut self, request: &Request, name: &str, replica_set: Option<usize>) -> PodKey {
        let kind = if replica_set.is_some() { "ReplicaSet" } else { "Job" };
        let owner = Owner { kind: kind.to_owned(), name: request.name.clone() };
        let class = Class {
            namespace: "default".into(),
            labels: request.labels.clone(),
            spec: request.spec.clone(),
        };
        let duration_ms = request.duration_s.map(|seconds| seconds.saturating_mul(1000));
        let record = PodRecord {
            class: self.cache.class(&class),
            created_at: self.now,
            duration_ms,
            replica_set,
            daemon: false,
            node: None,
        };
        let key = self.add_pod(record, &class, name, owner);
        self.queue.add(key, class.spec.priority, self.now);
        self.meter.pod_created();
        key
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
        let pod = Pod {
            id: PodId { namespace: class.namespace.clone(), name: Arc::from(name) },
            uid: String::new(),
            created_at: Some(self.now.timestamp()),
            labels: class.labels.clone(),
            owner: Some(owner),
            spec: class.spec.clone(),
            node_name: None,
            nominated_node: None,
            phase: PodPhase::Pending,
            unschedulable: false,
            gated: false,
            deletion_at: None,
            do_not_disrupt: false,
            deletion_cost: 0,
            bound_at: None,
            ready: false,
        };
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
        self.api.delete_pod(pod);
        self.queue.remove(pod);
        self.unbind(pod);
        let Some(index) = self.pods.get(pod.0).and_then(|record| record.replica_set) else {
            return;
        };
        if self.replica_sets[index].pods.remove(&pod) {
            self.reconcile(index);
            self.wake_scheduler();
        }
    }
}
