//! Which nodes are on their way out once the plan is carried out, worked out anew.

use model::disruption::{InterruptionKind, Stage};
use model::{Interruption, Node, NodeClaim, Plan, Pod, Snapshot, Step};
use std::collections::BTreeSet;

/// The names of nodes, and of claims without a node, that leave.
pub(super) struct Leaving(BTreeSet<String>);

impl Leaving {
    /// By the snapshot, or because the plan begins it.
    pub(super) fn new(snapshot: &Snapshot, plan: &Plan) -> Self {
        let mut names = BTreeSet::new();
        let gone = |node: &&Node| {
            node.deleting || plan.removals.iter().any(|removal| removal.node == node.name)
        };
        names.extend(snapshot.nodes.iter().filter(gone).map(|node| node.name.to_string()));
        for claim in snapshot.node_claims.iter().filter(|claim| goes(snapshot, claim, plan)) {
            names.insert(claim.name.to_string());
            let of_claim = |node: &&Node| is_of(node, claim);
            names.extend(snapshot.nodes.iter().filter(of_claim).map(|node| node.name.to_string()));
        }
        Self(names)
    }

    /// Whether the node or claim leaves.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// Whether the pod runs on such a node, and would run elsewhere once it is gone.
    pub(super) fn moves(&self, pod: &Pod) -> bool {
        let node = pod.node_name.as_deref();
        pod.is_reschedulable() && node.is_some_and(|node| self.contains(node))
    }
}

/// Whether the node is the claim's.
pub(crate) fn is_of(node: &Node, claim: &NodeClaim) -> bool {
    let same_instance = claim.provider_id.as_ref().is_some_and(|id| *id == node.provider_id);
    claim.node_name.as_ref() == Some(&node.name) || same_instance
}

/// What is written on the claim, and what AWS tells about its instance now.
pub(super) fn told_of<'a>(
    claim: &'a NodeClaim,
    snapshot: &'a Snapshot,
) -> impl Iterator<Item = Interruption> + 'a {
    let id = claim.provider_id.as_deref().and_then(|id| id.rsplit('/').next());
    let own =
        snapshot.instances.iter().flatten().filter(move |known| Some(known.id.as_str()) == id);
    let now = own.filter(|_| claim.launch.is_some()).filter_map(|known| known.interruption);
    claim.interruption.into_iter().chain(now)
}

/// What the plan says last of the claim's disruption counts; a word of AWS and a deletion are not called off.
fn goes(snapshot: &Snapshot, claim: &NodeClaim, plan: &Plan) -> bool {
    let told = plan.steps.iter().rev().find_map(|step| {
        let Step::MarkDisruption { claim: of, disruption } = step else { return None };
        (*of == claim.name).then_some(disruption.as_ref())
    });
    let disruption = told.unwrap_or(claim.disruption.as_ref());
    let deleted = |step: &Step| matches!(step, Step::Delete { claim: of, .. } if *of == claim.name);
    claim.deleting
        || told_of(claim, snapshot).any(|told| told.kind != InterruptionKind::Rebalance)
        || disruption.is_some_and(|disruption| disruption.stage == Stage::Committed)
        || plan.steps.iter().any(deleted)
}
