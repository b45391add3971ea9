//! Which nodes are on their way out once the plan is carried out, worked out anew.

use model::disruption::{InterruptionKind, Stage};
use model::{Disruption, Interruption, Node, NodeClaim, Plan, Pod, PodId, Snapshot, Step};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The names of nodes, and of claims without a node, that leave.
pub(super) struct Leaving<'a> {
    names: BTreeSet<String>,
    /// Pods that the plan gives a place.
    placed: BTreeSet<&'a PodId>,
}

impl<'a> Leaving<'a> {
    /// By the snapshot, or because the plan begins it.
    pub(super) fn new(snapshot: &Snapshot, plan: &'a Plan) -> Self {
        let removed = plan.removals.iter().map(|removal| &removal.node).collect::<BTreeSet<_>>();
        let gone = |node: &&Node| node.deleting || removed.contains(&node.name);
        let nodes = snapshot.nodes.iter().filter(gone).map(|node| node.name.to_string());
        let mut names = nodes.collect::<BTreeSet<_>>();
        let by_instance = snapshot.nodes.iter().map(|node| (node.provider_id.as_str(), node));
        let by_instance = by_instance.collect::<BTreeMap<_, _>>();
        let taken = taken_by_aws(snapshot);
        let planned = planned(plan);
        let deleted = deleted(plan);
        for claim in &snapshot.node_claims {
            let begun = planned.get(&*claim.name).copied().unwrap_or(claim.disruption.as_ref());
            let committed = begun.is_some_and(|begun| begun.stage == Stage::Committed);
            let goes = claim.deleting || committed || taken.contains(&claim.name);
            if !goes && !deleted.contains(&*claim.name) {
                continue;
            }
            names.insert(claim.name.to_string());
            names.extend(claim.node_name.as_ref().map(ToString::to_string));
            let node = claim.provider_id.as_deref().and_then(|id| by_instance.get(id));
            names.extend(node.map(|node| node.name.to_string()));
        }
        let placed = plan.placements.iter().map(|placement| &placement.pod);
        let bought = plan.launches.iter().flat_map(|launch| &launch.pods);
        Self { names, placed: placed.chain(bought).collect() }
    }

    /// Whether the node or claim leaves.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Whether the pod runs on such a node and the plan moves it; one that has no other place stays as long as it can.
    pub(super) fn moves(&self, pod: &Pod) -> bool {
        let node = pod.node_name.as_deref();
        let leaves = pod.is_reschedulable() && node.is_some_and(|node| self.contains(node));
        leaves && self.placed.contains(&pod.id)
    }
}

/// Whether the node is the claim's.
pub(crate) fn is_of(node: &Node, claim: &NodeClaim) -> bool {
    let same_instance = claim.provider_id.as_ref().is_some_and(|id| *id == node.provider_id);
    claim.node_name.as_ref() == Some(&node.name) || same_instance
}

/// The claims whose instances AWS takes: by what is written on them, or what it tells now.
pub(super) fn taken_by_aws(snapshot: &Snapshot) -> BTreeSet<Arc<str>> {
    let known = snapshot.instances.iter().flatten();
    let told = known.filter_map(|instance| Some((instance.id.as_str(), instance.interruption?)));
    let told = told.collect::<BTreeMap<_, _>>();
    let goes = |told: Interruption| told.kind != InterruptionKind::Rebalance;
    let taken = |claim: &&NodeClaim| {
        let id = claim.provider_id.as_deref().and_then(|id| id.rsplit('/').next());
        let now = id.and_then(|id| told.get(id)).filter(|_| claim.launch.is_some());
        claim.interruption.into_iter().chain(now.copied()).any(goes)
    };
    snapshot.node_claims.iter().filter(taken).map(|claim| claim.name.clone()).collect()
}

/// The claims that the plan deletes.
fn deleted(plan: &Plan) -> BTreeSet<&str> {
    let claims = plan.steps.iter().filter_map(|step| {
        let Step::Delete { claim, .. } = step else { return None };
        Some(&**claim)
    });
    claims.collect()
}

/// By claim, what the plan says last of its disruption.
fn planned(plan: &Plan) -> BTreeMap<&str, Option<&Disruption>> {
    let marks = plan.steps.iter().filter_map(|step| {
        let Step::MarkDisruption { claim, disruption } = step else { return None };
        Some((&**claim, disruption.as_ref()))
    });
    marks.collect()
}
