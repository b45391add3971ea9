//! The picture that a turn reads (`observe/src/observer.rs`, `observe/src/claims.rs`).

use super::ec2;
use super::setup::TYPES;
use super::turn::Turn;
use super::world::World;
use model::disruption::Window;
use model::{Duration, InstanceType, Timestamp, UnavailableOffering};
use std::collections::BTreeMap;
use std::sync::Arc;

impl World {
    /// Brings up to date what is not kept as objects: the clock, budgets, instances, offerings, nominations.
    pub(super) fn complete_snapshot(&mut self, turn: &mut Turn) {
        self.count_budgets();
        let instances = self.describe_instances();
        let now = self.now.timestamp().plus(Duration(turn.skew_s));
        let types = self.offered_types(now);
        let quiet = &self.setup.quiet;
        let snapshot = self.api.rest();
        for pool in &mut snapshot.node_pools {
            let own = quiet.iter().find(|quiet| quiet.pool == pool.name);
            let budgets = pool.disruption.budgets.iter_mut();
            let timed = budgets.filter(|budget| budget.window != Window::Always);
            timed.zip(own).for_each(|(budget, own)| budget.window = own.window(now));
        }
        snapshot.now = now;
        snapshot.instances = Some(instances);
        snapshot.instance_types.insert(TYPES.to_owned(), types);
        turn.now = now;
        let named = snapshot.node_claims.iter().filter_map(|claim| claim.provider_id.as_deref());
        turn.known_instances = named.filter_map(ec2::number).collect();
        turn.nodes_of_pool = nodes_of_pool(snapshot);
        self.drop_past_nominations();
    }

    /// The types, without the offerings that lately had no capacity.
    fn offered_types(&mut self, now: Timestamp) -> Arc<Vec<InstanceType>> {
        self.unavailable.retain(|known| known.until > now);
        let types = self.types();
        if self.unavailable.is_empty() {
            return types;
        }
        let mut offered = (*types).clone();
        for known in &mut offered {
            let name = known.name.clone();
            for offering in &mut known.offerings {
                let dry = |gone: &UnavailableOffering| {
                    gone.instance_type == name
                        && gone.zone == offering.zone
                        && gone.capacity_type == offering.capacity_type
                };
                offering.available = !self.unavailable.iter().any(dry);
            }
        }
        Arc::new(offered)
    }

    /// Once its node is set up, a claim keeps its room only for pods that were there when it was bought and are not bound yet.
    fn drop_past_nominations(&mut self) {
        let waiting = |id: &model::PodId, bought_at| {
            let pod = self.pod_keys.get(id).and_then(|key| self.pods.get(key));
            pod.is_some_and(|pod| {
                pod.node.is_none() && Some(pod.created_at.timestamp()) <= bought_at
            })
        };
        let mut kept = Vec::new();
        for (index, claim) in self.api.all().node_claims.iter().enumerate() {
            if claim.progress.initialized && !claim.nominated.is_empty() {
                let left = claim.nominated.iter().filter(|pod| waiting(pod, claim.created_at));
                kept.push((index, left.cloned().collect::<Vec<_>>()));
            }
        }
        for (index, nominated) in kept {
            self.api.rest().node_claims[index].nominated = nominated;
        }
    }
}

fn nodes_of_pool(snapshot: &model::Snapshot) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    let set_up = snapshot.nodes.iter().filter(|node| node.initialized());
    for pool in set_up.filter_map(model::Node::pool) {
        *all.entry(pool.to_owned()).or_insert(0) += 1;
    }
    all
}
