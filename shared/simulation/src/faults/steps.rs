//! Steps on claims, nodes and pods (`execute/src/steps.rs`, `execute/src/steps/nodes.rs`, `execute/src/steps/marks.rs`).

use super::carry_out::{Done, type_of};
use super::ec2;
use super::event::{ClaimId, InstanceId, Message};
use super::nodes::labels_of;
use super::turn::{Call, Turn};
use super::work::Work;
use super::world::World;
use crate::kube_scheduler::NodeId;
use model::taints::{Effect, Taint};
use model::{Alternative, PodId, Step, labels};
use std::sync::Arc;

impl World {
    pub(super) fn claim_id(&self, name: &Arc<str>) -> Result<ClaimId, &'static str> {
        self.claim_ids.get(name).copied().ok_or("the claim is not there")
    }

    fn node_id(&self, name: &Arc<str>) -> Result<NodeId, &'static str> {
        self.node_ids.get(name).copied().ok_or("the node is not there")
    }

    /// The step's effect. What was to be taken away and is not there has been taken away.
    pub(super) fn take_step(&mut self, turn: &mut Turn, step: &Step) -> Done {
        self.check_step(turn, step);
        self.log.say(self.now, || format!("turn {}: {step:?}", turn.id.0));
        match step {
            Step::Launch { .. } | Step::Terminate { .. } => {}
            Step::Adopt { claim, instance } => return self.adopt(turn, claim, instance),
            Step::Register { claim, node } => return self.register_node(claim, node),
            Step::Initialize { node, .. } => {
                let id = self.node_id(node)?;
                self.label_node(id, labels::INITIALIZED, Some("true"));
            }
            Step::Delete { claim, .. } => {
                if let Ok(id) = self.claim_id(claim) {
                    self.delete_claim(id);
                }
            }
            Step::MarkInterrupted { claim, interruption } => {
                let id = self.claim_id(claim)?;
                self.change_claim(id)
                    .into_iter()
                    .for_each(|claim| claim.interruption = Some(*interruption));
            }
            Step::MarkDisruption { claim, disruption } => {
                let id = self.claim_id(claim)?;
                self.change_claim(id)
                    .into_iter()
                    .for_each(|claim| claim.disruption.clone_from(disruption));
            }
            Step::Cordon { node } => {
                let id = self.node_id(node)?;
                self.cordon(id, true);
            }
            Step::Uncordon { node } => {
                let id = self.node_id(node)?;
                self.cordon(id, false);
            }
            // What cannot be cordoned keeps its pods: their successors might come back to it.
            Step::Evict { node, .. } if turn.open.contains(node) => {}
            Step::Evict { pod, uid, .. } => return self.evict(pod, uid),
            Step::ForceDelete { pod, uid, grace_s } => self.force_delete(pod, uid, *grace_s),
            Step::ReleaseNode { node } => {
                if let Ok(id) = self.node_id(node) {
                    self.node(id).into_iter().for_each(|node| node.finalizer = false);
                    self.drop_node_if_released(id);
                }
            }
            Step::ReleaseClaim { claim } => self.release_claim(claim),
            Step::DeleteNode { node } => {
                if let Ok(id) = self.node_id(node) {
                    self.delete_node(id);
                }
            }
            Step::MarkEmpty { node, since } => self.api.set_empty_since(node, *since),
        }
        Ok(())
    }

    fn adopt(&mut self, turn: &mut Turn, claim: &Arc<str>, instance: &str) -> Done {
        let id = self.claim_id(claim)?;
        let Some(instance) = ec2::number(instance) else { return Ok(()) };
        let record = self.claims.get(&id).ok_or("the claim is not there")?;
        if record.instance.is_none() {
            let version = record.version;
            let labels = Call::AssignLabels(claim.clone(), instance, version);
            let status = Call::AssignStatus(claim.clone(), instance, version + 1);
            turn.follows = Some(Work::run([labels, status]));
        }
        Ok(())
    }

    /// Labels first: the status says that it is taken.
    pub(super) fn assign_labels(
        &mut self,
        _turn: &mut Turn,
        name: &Arc<str>,
        instance: InstanceId,
        version: u64,
    ) -> Done {
        let id = self.unchanged(name, version)?;
        let Some(record) = self.instance(instance).cloned() else { return Ok(()) };
        let offer = Alternative {
            instance_type: record.instance.instance_type.clone(),
            zone: record.instance.zone.clone(),
            capacity_type: record.instance.capacity_type,
            price: record.price,
            estimated: false,
            reservation: None,
        };
        let types = self.types();
        let region = self.setup.cluster.region.clone();
        let price = self.price_of(&offer.instance_type, &offer.zone, offer.capacity_type);
        let Some(known) = type_of(&types, &offer.instance_type) else { return Ok(()) };
        let Some(claim) = self.change_claim(id) else { return Ok(()) };
        claim.labels.extend(labels_of(known, &offer, &region));
        (claim.instance_type, claim.zone) = (Some(offer.instance_type), Some(offer.zone));
        (claim.capacity_type, claim.price) = (Some(offer.capacity_type), price);
        Ok(())
    }

    pub(super) fn assign_status(
        &mut self,
        name: &Arc<str>,
        instance: InstanceId,
        version: u64,
    ) -> Done {
        let id = self.unchanged(name, version)?;
        let Some(record) = self.instance(instance).cloned() else { return Ok(()) };
        let types = self.types();
        let Some(known) = type_of(&types, &record.instance.instance_type) else { return Ok(()) };
        let Some(claim) = self.change_claim(id) else { return Ok(()) };
        claim.provider_id = Some(record.instance.provider_id());
        claim.progress.launched = true;
        (claim.allocatable, claim.capacity) = (known.allocatable.clone(), known.capacity.clone());
        // What is still needed of a request whose instance was bought.
        if let Some(launch) = &mut claim.launch {
            (launch.offerings, launch.pods) = (Vec::new(), Vec::new());
        }
        self.check_assignment(id, instance);
        if let Some(record) = self.claims.get_mut(&id) {
            record.instance = Some(instance);
        }
        Ok(())
    }

    fn unchanged(&self, name: &Arc<str>, version: u64) -> Result<ClaimId, &'static str> {
        let id = self.claim_id(name)?;
        let same = self.claims.get(&id).is_some_and(|record| record.version == version);
        same.then_some(id).ok_or("the claim has changed since it was read")
    }

    fn register_node(&mut self, claim: &Arc<str>, node: &Arc<str>) -> Done {
        let (claim, id) = (self.claim_id(claim)?, self.node_id(node)?);
        let Some(known) = self.api.see_claim(claim) else { return Ok(()) };
        let mut wanted = known.labels.clone();
        wanted.insert(labels::REGISTERED.to_owned(), "true".to_owned());
        let again =
            self.api.see_node(id).is_some_and(|node| node.labels.contains_key(labels::REGISTERED));
        let starting = known.startup_taints.iter().filter(|_| !again);
        let taints = known.taints.iter().chain(starting).cloned().collect::<Vec<_>>();
        if let Some(record) = self.nodes.get_mut(&id) {
            record.owner = Some(claim);
        }
        let Some(node) = self.node(id) else { return Ok(()) };
        node.labels.extend(wanted);
        node.finalizer = true;
        let all = node.labels.clone();
        self.cache.set_labels(id, all);
        self.change_taints(id, |known| {
            let passing = |taint: &Taint| taint.key == labels::UNREGISTERED_TAINT;
            known.retain(|taint| !passing(taint) || taint.effect == Effect::NoExecute);
            let own = known.iter_mut().filter(|taint| passing(taint));
            own.for_each(|taint| taint.effect = Effect::NoSchedule);
            for taint in taints {
                if !known.contains(&taint) {
                    known.push(taint);
                }
            }
        });
        Ok(())
    }

    pub(super) fn register_claim(&mut self, claim: &Arc<str>, node: &Arc<str>) -> Done {
        let id = self.claim_id(claim)?;
        if let Some(claim) = self.change_claim(id) {
            (claim.node_name, claim.progress.registered) = (Some(node.clone()), true);
        }
        Ok(())
    }

    pub(super) fn initialize_claim(&mut self, claim: &Arc<str>) -> Done {
        let id = self.claim_id(claim)?;
        self.change_claim(id).into_iter().for_each(|claim| claim.progress.initialized = true);
        Ok(())
    }

    fn label_node(&mut self, id: NodeId, key: &str, value: Option<&str>) {
        let Some(node) = self.node(id) else { return };
        match value {
            Some(value) => drop(node.labels.insert(key.to_owned(), value.to_owned())),
            None => drop(node.labels.remove(key)),
        }
        let all = node.labels.clone();
        self.cache.set_labels(id, all);
        self.retry_parked();
    }

    fn cordon(&mut self, id: NodeId, closed: bool) {
        let taint = Taint {
            key: labels::DISRUPTED_TAINT.to_owned(),
            value: String::new(),
            effect: Effect::NoSchedule,
        };
        self.change_taints(id, |taints| {
            taints.retain(|known| *known != taint);
            if closed {
                taints.push(taint);
            }
        });
        self.label_node(id, labels::EXCLUDE_FROM_LOAD_BALANCERS, closed.then_some("karpenter"));
    }

    /// The Eviction API: a disruption budget may forbid it.
    fn evict(&mut self, pod: &PodId, uid: &str) -> Done {
        let Some(key) = self.pod_keys.get(pod).copied() else { return Ok(()) };
        let Some(object) = self.api.see_pod(key).filter(|object| object.uid == uid) else {
            return Ok(());
        };
        if object.deletion_at.is_some() {
            return Ok(());
        }
        let (running, ready) = (object.node_name.is_some() && !object.is_terminal(), object.ready);
        let labels = object.labels.clone();
        self.count_budgets();
        let budgets = &self.api.all().pod_disruption_budgets;
        let of_pod = budgets.iter().filter(|budget| {
            *budget.namespace == *pod.namespace && budget.selector.matches(&labels)
        });
        let of_pod = of_pod.collect::<Vec<_>>();
        if running && of_pod.len() > 1 {
            return Err("more than one disruption budget matches the pod");
        }
        // A pod that is not ready may go while the others suffice (`IfHealthyBudget`).
        let forbids = of_pod.first().is_some_and(|budget| {
            budget.disruptions_allowed <= 0 && (ready || !self.suffices(&budget.name))
        });
        if running && forbids {
            return Err("a disruption budget forbids it now");
        }
        self.note_eviction(key);
        self.delete_pod(key, None);
        Ok(())
    }

    fn force_delete(&mut self, pod: &PodId, uid: &str, grace_s: i64) {
        let Some(key) = self.pod_keys.get(pod).copied() else { return };
        if self.api.see_pod(key).is_some_and(|object| object.uid == uid) {
            self.note_eviction(key);
            self.delete_pod(key, Some(grace_s));
        }
    }

    /// The claim is deleted; its finalizer keeps it.
    pub(super) fn delete_claim(&mut self, id: ClaimId) {
        let now = self.now.timestamp();
        let Some(claim) = self.change_claim(id) else { return };
        if !claim.deleting {
            (claim.deleting, claim.deletion_at) = (true, Some(now));
            self.send(1_000, Message::NodeDeleting);
        }
        self.drop_claim_if_released(id);
    }

    pub(super) fn release_claim(&mut self, name: &Arc<str>) {
        let Ok(id) = self.claim_id(name) else { return };
        self.change_claim(id).into_iter().for_each(|claim| claim.finalizer = false);
        self.drop_claim_if_released(id);
    }

    fn drop_claim_if_released(&mut self, id: ClaimId) {
        let kept = self.api.see_claim(id).is_none_or(|claim| !claim.deleting || claim.finalizer);
        if kept {
            return;
        }
        self.api.delete_claim(id);
        let Some(record) = self.claims.remove(&id) else { return };
        self.claim_ids.remove(&record.name);
        self.log.say(self.now, || format!("claim {} is gone", record.name));
        // Kubernetes deletes what the claim owned.
        let owned = self.nodes.iter().filter(|(_, node)| node.owner == Some(id));
        for node in owned.map(|(node, _)| *node).collect::<Vec<_>>() {
            self.delete_node(node);
        }
    }

    pub(super) fn price_claims(&mut self) {
        for id in self.claims.keys().copied().collect::<Vec<_>>() {
            let Some(claim) = self.api.see_claim(id) else { continue };
            let known =
                claim.instance_type.as_ref().zip(claim.zone.as_ref()).zip(claim.capacity_type);
            let price = known.and_then(|((name, zone), way)| self.price_of(name, zone, way));
            self.api.claim(id).into_iter().for_each(|claim| claim.price = price);
        }
    }
}
