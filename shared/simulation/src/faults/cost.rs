//! What the nodes cost at the end, against what they could.

use super::world::World;
use model::pod::PodPhase;
use model::pool::ConsolidationPolicy;
use model::{CapacityType, MicroUsdPerHour, Node, NodeClaim, Pod, Snapshot};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Costs of the nodes that may be replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndCost {
    /// What they cost.
    pub cost: MicroUsdPerHour,
    /// What they cost if their pods were planned anew.
    pub planned: MicroUsdPerHour,
    /// No nodes that hold their pods cost less; rules on zones and the like are left out.
    pub bound: MicroUsdPerHour,
    /// How many pods run on them.
    pub pods: usize,
}

impl World {
    /// Works it out; `None` while something is on its way. Nodes that must stay as they are keep their pods and their room.
    pub(super) fn end_cost(&self) -> Option<EndCost> {
        let snapshot = self.api.all();
        let own =
            |node: &&Node| self.node_ids.get(&node.name).is_some_and(|id| !self.nodes[id].foreign);
        let own = snapshot.nodes.iter().filter(own).collect::<Vec<_>>();
        let claims = own.iter().map(|node| claim_of(snapshot, node)).collect::<Option<Vec<_>>>()?;
        let quiet = |claim: &&NodeClaim| {
            claim.progress.initialized
                && !claim.deleting
                && claim.disruption.is_none()
                && claim.interruption.is_none()
        };
        let waits =
            snapshot.pods.iter().any(|pod| pod.node_name.is_none() || pod.deletion_at.is_some());
        if waits || snapshot.node_claims.len() != self.claims.len() || !claims.iter().all(quiet) {
            return None;
        }
        let free = own.into_iter().filter(|node| may_go(snapshot, node)).collect::<Vec<_>>();
        let names = free.iter().map(|node| node.name.clone()).collect::<BTreeSet<_>>();
        let emptied = without(snapshot, &names);
        let plan = planner::plan(&emptied, &self.setup.options);
        if !plan.unschedulable.is_empty() {
            return None;
        }
        Some(EndCost {
            cost: free.iter().filter_map(|node| node.price).sum(),
            planned: plan.cost.planned,
            bound: plan.cost.lower_bound,
            pods: emptied.pods.iter().filter(|pod| pod.unschedulable).count(),
        })
    }
}

fn claim_of<'a>(snapshot: &'a Snapshot, node: &Node) -> Option<&'a NodeClaim> {
    let mut all = snapshot.node_claims.iter();
    all.find(|claim| claim.provider_id.as_deref() == Some(&*node.provider_id))
}

/// Whether nothing speaks against moving its pods for money.
fn may_go(snapshot: &Snapshot, node: &Node) -> bool {
    let pool = snapshot.node_pools.iter().find(|pool| Some(pool.name.as_str()) == node.pool());
    let consolidates = pool.is_some_and(|pool| {
        pool.disruption.policy != ConsolidationPolicy::WhenEmpty
            && pool.disruption.consolidate_after.is_some()
    });
    let blocked = |pod: &Pod| {
        let budgets = &snapshot.pod_disruption_budgets;
        let mut of_pod = budgets.iter().filter(|budget| budget.selector.matches(&pod.labels));
        pod.do_not_disrupt || of_pod.any(|budget| budget.disruptions_allowed <= 0)
    };
    // Spot nodes are replaced by others only where fifteen types are left to choose from, which this world does not have.
    let spot = node.capacity_type() == CapacityType::Spot;
    let claim = claim_of(snapshot, node).and_then(|claim| claim.launch.as_ref());
    let saved = claim.and_then(|launch| launch.replaces.as_ref());
    let rests = saved.is_some_and(|id| id.starts_with("underutilized"));
    if spot || rests {
        return false;
    }
    let mut own = snapshot.pods.iter().filter(|pod| pod.node_name.as_ref() == Some(&node.name));
    consolidates && !own.any(|pod| pod.is_reschedulable() && blocked(pod))
}

/// The snapshot without these nodes, their pods waiting.
fn without(snapshot: &Snapshot, names: &BTreeSet<Arc<str>>) -> Snapshot {
    let mut emptied = snapshot.clone();
    let gone = |pod: &Pod| pod.node_name.as_ref().is_some_and(|node| names.contains(node));
    emptied.pods.retain(|pod| !gone(pod) || pod.is_reschedulable());
    for pod in emptied.pods.iter_mut().filter(|pod| gone(pod)) {
        (pod.node_name, pod.phase, pod.unschedulable) = (None, PodPhase::Pending, true);
    }
    let going = |node: &&Node| names.contains(&node.name);
    let ids = snapshot.nodes.iter().filter(going).map(|node| node.provider_id.as_str());
    let ids = ids.collect::<BTreeSet<_>>();
    emptied.nodes.retain(|node| !names.contains(&node.name));
    let of_gone =
        |claim: &NodeClaim| claim.provider_id.as_deref().is_some_and(|id| ids.contains(id));
    emptied.node_claims.retain(|claim| !of_gone(claim));
    emptied.instances = None;
    emptied.empty_since.clear();
    emptied
}
