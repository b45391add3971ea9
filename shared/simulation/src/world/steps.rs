//! Joiner's steps, as far as nothing can go wrong: each takes effect at once.

use super::World;
use crate::kube_scheduler::{NodeId, PodKey};
use model::taints::{Effect, Taint};
use model::{Disruption, Instance, PodId, Step, labels, node_class::InstanceState};
use std::sync::Arc;

impl World<'_> {
    /// What a turn reads beside objects: instances; and claims keep room only for pods that may still come.
    pub(super) fn complete_snapshot(&mut self) {
        if !self.decider.takes_steps() {
            return;
        }
        let instances = self.live.iter().filter_map(|id| self.instance(*id)).collect();
        self.api.rest().instances = Some(instances);
        self.drop_past_nominations();
    }

    fn instance(&self, id: NodeId) -> Option<Instance> {
        use super::NodePhase::{Draining, Gone, Launching, Ready, Registered, Terminating};
        let record = &self.nodes[id.0];
        let state = match record.phase {
            Launching | Registered | Ready | Draining => InstanceState::Running,
            Terminating => InstanceState::ShuttingDown,
            Gone => return None,
        };
        let claim = self.api.see_claim(id).filter(|claim| claim.provider_id.is_some())?;
        let batch = claim.launch.as_ref().map(|launch| launch.batch.clone());
        Some(Instance {
            reservation_id: None,
            placement_group: Vec::new(),
            id: format!("i-{:017x}", id.0),
            instance_type: record.offering.instance_type.clone(),
            zone: record.offering.zone.clone(),
            capacity_type: record.offering.capacity_type,
            state,
            launched_at: claim.created_at.unwrap_or_default(),
            private_dns_name: record.name.to_string(),
            image_id: String::new(),
            subnet_id: String::new(),
            security_group_ids: Vec::new(),
            tags: batch.into_iter().map(|batch| (labels::BATCH.to_owned(), batch)).collect(),
            interruption: None,
        })
    }

    /// Once its node is set up, a claim keeps its room only for pods that wait.
    fn drop_past_nominations(&mut self) {
        let mut kept = Vec::new();
        for id in &self.live {
            let Some(claim) = self.api.see_claim(*id) else { continue };
            if !claim.progress.initialized || claim.nominated.is_empty() {
                continue;
            }
            let waits = |pod: &&PodId| {
                let key = self.names.pods.get(*pod);
                key.is_some_and(|key| self.pods[key.0].node.is_none())
            };
            kept.push((*id, claim.nominated.iter().filter(waits).cloned().collect::<Vec<_>>()));
        }
        for (id, nominated) in kept {
            self.api.claim(id).into_iter().for_each(|claim| claim.nominated.clone_from(&nominated));
        }
    }

    /// The step's effect. Kubelets join by themselves here, and an instance is written on its claim as soon as it is bought.
    pub(super) fn take_step(&mut self, step: Step) {
        match step {
            Step::Launch { .. }
            | Step::Adopt { .. }
            | Step::Register { .. }
            | Step::Initialize { .. }
            | Step::MarkInterrupted { .. }
            | Step::DeleteNode { .. } => {}
            Step::Delete { claim, .. } => self.delete_claim(&claim),
            Step::MarkDisruption { claim, disruption } => self.mark(&claim, disruption),
            Step::Cordon { node } => self.cordon_named(&node, true),
            Step::Uncordon { node } => self.cordon_named(&node, false),
            Step::Evict { pod, uid, .. } | Step::ForceDelete { pod, uid, .. } => {
                self.evict_named(&pod, &uid);
            }
            Step::Terminate { instance, .. } => self.terminate_instance(&instance),
            Step::ReleaseNode { node } => {
                if let Some(id) = self.names.nodes.get(&node).copied() {
                    self.forget_node(id);
                }
            }
            Step::ReleaseClaim { claim } => self.release_claim(&claim),
            Step::MarkEmpty { node, since } => self.api.set_empty_since(&node, since),
        }
    }

    fn mark(&mut self, claim: &Arc<str>, disruption: Option<Disruption>) {
        let Some(id) = self.names.claims.get(claim).copied() else { return };
        if let Some(claim) = self.api.claim(id) {
            claim.disruption = disruption;
        }
    }

    fn delete_claim(&mut self, name: &Arc<str>) {
        let now = self.now.timestamp();
        let Some(id) = self.names.claims.get(name).copied() else { return };
        if let Some(claim) = self.api.claim(id).filter(|claim| !claim.deleting) {
            (claim.deleting, claim.deletion_at) = (true, Some(now));
        }
    }

    fn release_claim(&mut self, name: &Arc<str>) {
        if let Some(id) = self.names.claims.get(name).copied() {
            self.forget_node(id);
            self.forget_claim(id);
        }
    }

    fn terminate_instance(&mut self, instance: &str) {
        let number = instance.strip_prefix("i-").map(|hex| usize::from_str_radix(hex, 16));
        if let Some(Ok(number)) = number.filter(|_| !self.nodes.is_empty()) {
            self.stop_instance(NodeId(number));
        }
    }

    fn cordon_named(&mut self, name: &Arc<str>, closed: bool) {
        if let Some(id) = self.names.nodes.get(name).copied() {
            self.cordon(id, closed);
        }
    }

    /// Taints the node, so that no more pods are bound to it, or takes that taint off.
    pub(super) fn cordon(&mut self, id: NodeId, closed: bool) {
        let Some(node) = self.api.node(id) else { return };
        node.taints.retain(|taint| taint.key != labels::DISRUPTED_TAINT);
        if closed {
            node.taints.push(Taint {
                key: labels::DISRUPTED_TAINT.to_owned(),
                value: String::new(),
                effect: Effect::NoSchedule,
            });
        }
        let taints = node.taints.clone();
        self.cache.set_taints(id, taints);
        if !closed {
            self.retry_parked();
        }
    }

    fn evict_named(&mut self, pod: &PodId, uid: &str) {
        let key: Option<PodKey> = self.names.pods.get(pod).copied();
        if let Some(key) = key.filter(|key| uid == super::workloads::uid(*key)) {
            self.evict(key);
        }
    }
}
