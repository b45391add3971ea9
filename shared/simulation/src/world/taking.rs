//! Taking nodes away, whoever decides it: evictions, successors, instances that stop.

use super::event::Event;
use super::{NodePhase, World};
use crate::kube_scheduler::{NodeId, PodKey};
use model::{DisruptionReason, Duration, Removal, Resources, Timestamp, labels};

/// A container ends after this, in milliseconds, well before its grace period does.
const STOP_MS: (i64, i64) = (500, 3_000);
/// An instance has shut down after this, in milliseconds.
const SHUTDOWN_MS: i64 = 5_000;
/// A node bought to save money rests for so long (`planner/src/disruption/consolidation/rules.rs`).
const REST: Duration = Duration(3600);
/// A node's pods have changed if they ask for less than so many hundredths of some resource that it was bought for.
const UNCHANGED: i64 = 75;

impl World<'_> {
    /// A node that the plan takes away is counted; where plans do not say the steps, it is also drained.
    pub(super) fn take_away(&mut self, removal: &Removal) {
        let Some(id) = self.names.nodes.get(&removal.node).copied() else { return };
        if !matches!(self.nodes[id.0].phase, NodePhase::Registered | NodePhase::Ready) {
            return;
        }
        self.nodes[id.0].phase = NodePhase::Draining;
        if removal.reason == DisruptionReason::Underutilized {
            let (price, again) = (self.nodes[id.0].offering.price, self.again(id));
            self.meter.node_consolidated(price, again);
        }
        if !self.decider.takes_steps() {
            self.drain(id);
        }
    }

    /// What is consolidated although it was bought to save money less than an hour ago and has the pods that it was bought
    /// for: whether it is replaced, and not only emptied onto others.
    fn again(&self, id: NodeId) -> Option<bool> {
        let claim = self.api.see_claim(id)?;
        let launch = claim.launch.as_ref().filter(|launch| for_cost(launch.replaces.as_deref()))?;
        let own = claim.disruption.as_ref();
        let at = own.map_or_else(|| self.now.timestamp(), |own| own.since);
        let mut held = Resources::new();
        for pod in self.nodes[id.0].pods.iter().filter(|pod| !self.pods[pod.0].daemon) {
            let class = self.pods[pod.0].class;
            held.add(&self.cache.known(class).class.spec.requests);
        }
        let kept = |(name, bought): (&model::ResourceName, i64)| {
            held.get(name.as_str()) * 100 >= bought * UNCHANGED
        };
        let young = at.since(claim.created_at.unwrap_or_default()) < REST;
        let replaced = own.is_some_and(|own| self.meter.was_bought_for(&own.id));
        (young && launch.requests.iter().all(kept)).then_some(replaced)
    }

    /// As upstream's termination controller: the node is closed, and all its pods are evicted.
    fn drain(&mut self, id: NodeId) {
        self.cordon(id, true);
        if let Some(claim) = self.api.claim(id) {
            claim.deleting = true;
        }
        if let Some(node) = self.api.node(id) {
            (node.unschedulable, node.deleting) = (true, true);
        }
        let own = |pod: &&PodKey| !self.pods[pod.0].daemon;
        let pods: Vec<PodKey> = self.nodes[id.0].pods.iter().filter(own).copied().collect();
        for pod in pods {
            self.evict(pod);
        }
        self.stop_if_drained(id);
    }

    /// A node that is drained by the world goes with its last pod.
    pub(super) fn stop_if_drained(&mut self, id: NodeId) {
        let record = &self.nodes[id.0];
        let drained = record.phase == NodePhase::Draining && record.work == 0;
        if drained && !self.decider.takes_steps() {
            self.stop_instance(id);
        }
    }

    /// Counts nodes that are set up, and those of them that are closed or whose claims are deleted, against the pool's budgets.
    pub(super) fn check_budget(&mut self) {
        if !self.decider.takes_steps() {
            return;
        }
        let set_up = |id: &&NodeId| self.api.see_node(**id).is_some_and(model::Node::initialized);
        let going = |id: &&NodeId| {
            let deleted = self.api.see_claim(**id).is_some_and(|claim| claim.deleting);
            let closed = self.api.see_node(**id).is_some_and(|node| {
                node.deleting
                    || node.taints.iter().any(|taint| taint.key == labels::DISRUPTED_TAINT)
            });
            deleted || closed
        };
        let total = self.live.iter().filter(set_up).count();
        let going = self.live.iter().filter(set_up).filter(going).count();
        let most = |budget: &model::pool::Budget| match budget.nodes.strip_suffix('%') {
            Some(share) => (total * share.parse::<usize>().unwrap_or(0)).div_ceil(100),
            None => budget.nodes.parse().unwrap_or(0),
        };
        let budgets = self.scenario.pool.disruption.budgets.iter();
        if budgets.map(most).min().is_some_and(|most| going > most) {
            self.meter.over_budget();
        }
    }

    /// The pod is deleted with its grace; its controller makes another at once.
    pub(super) fn evict(&mut self, pod: PodKey) {
        let record = &mut self.pods[pod.0];
        if std::mem::replace(&mut record.ending, true) {
            return;
        }
        let (class, node, daemon) = (record.class, record.node, record.daemon);
        let now = self.now.timestamp();
        if let Some(object) = self.api.pod(pod) {
            let grace_s = object.spec.termination_grace_period_s;
            object.deletion_at = Some(Timestamp(now.0 + grace_s));
        }
        if let Some(node) = node {
            self.cache.end(class, node, 1);
        }
        let needs = self.random.between(STOP_MS.0, STOP_MS.1);
        self.after_ms(needs, Event::PodStops(pod));
        if !daemon {
            self.meter.pod_moved();
            self.follow(pod);
            self.wake_scheduler();
        }
    }

    /// EC2 ends the instance: it costs nothing from now on.
    pub(super) fn stop_instance(&mut self, id: NodeId) {
        let Some(record) = self.nodes.get_mut(id.0) else { return };
        if matches!(record.phase, NodePhase::Terminating | NodePhase::Gone) {
            return;
        }
        record.phase = NodePhase::Terminating;
        if std::mem::replace(&mut record.billed, false) {
            let (name, price) = (&record.offering.instance_type, record.offering.price);
            self.meter.node_stopped(self.now, name, price);
        }
        self.cache.remove_node(id);
        self.after_ms(SHUTDOWN_MS, Event::NodeGone(id));
    }

    /// The instance has shut down. Joiner takes the finalizers off when it sees that; for others the objects go by themselves.
    pub(super) fn node_gone(&mut self, id: NodeId) {
        self.nodes[id.0].phase = NodePhase::Gone;
        if !self.decider.takes_steps() {
            self.forget_node(id);
            self.forget_claim(id);
        }
    }

    /// The node's object is gone, and with it the pods on it.
    pub(super) fn forget_node(&mut self, id: NodeId) {
        self.nodes[id.0].phase = NodePhase::Gone;
        let pods: Vec<PodKey> = self.nodes[id.0].pods.iter().copied().collect();
        for pod in pods {
            self.delete_pod(pod);
        }
        self.api.delete_node(id);
        let name = self.nodes[id.0].name.clone();
        self.names.nodes.remove(&name);
    }

    /// The claim is gone.
    pub(super) fn forget_claim(&mut self, id: NodeId) {
        if let Some(claim) = self.api.see_claim(id) {
            let name = claim.name.clone();
            self.names.claims.remove(&name);
        }
        self.api.delete_claim(id);
        self.live.remove(&id);
    }
}

/// Whether a launch of that disruption was made to save money.
pub(super) fn for_cost(replaces: Option<&str>) -> bool {
    replaces.is_some_and(|id| id.starts_with("underutilized"))
}
