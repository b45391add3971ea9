//! What people and AWS do to the cluster.

use super::event::{ClaimId, Event, InstanceId, Message, Mishap};
use super::setup::TYPES;
use super::world::World;
use crate::kube_scheduler::NodeId;
use model::{CapacityType, MicroUsdPerHour, labels};
use std::sync::Arc;

impl World {
    pub(super) fn suffer(&mut self, mishap: Mishap) {
        self.log.say(self.now, || format!("mishap: {mishap:?}"));
        match mishap {
            Mishap::DeleteNode => self.delete_some_node(),
            Mishap::DeleteClaim => self.delete_some_claim(),
            Mishap::DeletePod => self.delete_some_pod(),
            Mishap::KillInstance => {
                if let Some(id) = self.some_instance(|_| true) {
                    self.terminate_instance(id);
                }
            }
            Mishap::KubeletDies => self.kill_some_kubelet(),
            Mishap::Storm { percent, within_s } => self.storm(percent, within_s),
            Mishap::SpotWarning(Some(id)) => self.warn(id),
            Mishap::SpotWarning(None) => {
                if let Some(id) = self.some_instance(|way| way == CapacityType::Spot) {
                    self.warn(id);
                }
            }
            Mishap::Retirement => {
                if let Some(id) = self.some_instance(|_| true) {
                    self.retire(id);
                }
            }
            Mishap::PricesChange => self.change_prices(),
            Mishap::PoolChanges(pool) => self.change_pool(&pool),
        }
    }

    /// Live instances that Joiner bought.
    pub(super) fn own_instances(&self) -> impl Iterator<Item = InstanceId> {
        self.ec2.live.iter().copied().filter(|id| {
            let instance = &self.ec2.instances[id.0].instance;
            instance.is_live() && instance.tags.contains_key(labels::BATCH)
        })
    }

    fn some_instance(&mut self, wanted: impl Fn(CapacityType) -> bool) -> Option<InstanceId> {
        let all = self.own_instances();
        let all = all.filter(|id| wanted(self.ec2.instances[id.0].instance.capacity_type));
        let all = all.collect::<Vec<_>>();
        all.get(self.random.below(all.len() as u64) as usize).copied()
    }

    fn some_node(&mut self) -> Option<NodeId> {
        let own = self.nodes.iter().filter(|(_, node)| !node.foreign);
        let own = own.map(|(id, _)| *id).collect::<Vec<_>>();
        own.get(self.random.below(own.len() as u64) as usize).copied()
    }

    fn delete_some_node(&mut self) {
        if let Some(id) = self.some_node() {
            self.delete_node(id);
        }
    }

    fn delete_some_claim(&mut self) {
        let own = self.claims.keys().copied();
        let launched =
            |id: &ClaimId| self.api.see_claim(*id).is_some_and(|claim| claim.launch.is_some());
        let own = own.filter(launched).collect::<Vec<_>>();
        if let Some(id) = own.get(self.random.below(own.len() as u64) as usize) {
            self.delete_claim(*id);
        }
    }

    fn delete_some_pod(&mut self) {
        let own = self.pods.iter().filter(|(_, pod)| !pod.daemon);
        let own = own.map(|(key, _)| *key).collect::<Vec<_>>();
        if let Some(pod) = own.get(self.random.below(own.len() as u64) as usize) {
            self.delete_pod(*pod, None);
        }
    }

    fn kill_some_kubelet(&mut self) {
        let Some(id) = self.some_node() else { return };
        if let Some(node) = self.nodes.get_mut(&id) {
            node.alive = false;
        }
        self.after_ms(40_000, Event::NodeUnreachable(id));
    }

    fn storm(&mut self, percent: u64, within_s: i64) {
        let spot = self.own_instances();
        let spot =
            spot.filter(|id| self.ec2.instances[id.0].instance.capacity_type == CapacityType::Spot);
        for id in spot.collect::<Vec<_>>() {
            if self.random.below(100) < percent {
                let after_ms = self.random.between(0, within_s * 1000);
                self.after_ms(after_ms, Event::Mishap(Mishap::SpotWarning(Some(id))));
            }
        }
    }

    /// Every price moves by up to a fifth.
    fn change_prices(&mut self) {
        let mut types = (*self.types()).clone();
        for offering in types.iter_mut().flat_map(|known| &mut known.offerings) {
            let percent = 80 + self.random.below(41);
            offering.price = MicroUsdPerHour(offering.price.0 * percent / 100);
        }
        self.setup.cluster.instance_types.insert(TYPES.to_owned(), Arc::new(types));
        self.price_nodes();
        self.price_claims();
    }

    fn change_pool(&mut self, name: &str) {
        let number = self.next_number();
        for pool in &mut self.api.rest().node_pools {
            if pool.name == name {
                pool.hash = Some(format!("v1/{number}"));
            }
        }
        self.send(1_000, Message::NodeChanged);
    }
}
