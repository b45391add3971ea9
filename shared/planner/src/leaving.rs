//! Nodes that are on their way out: they take no pods, and their pods are given places elsewhere as if they waited.

use crate::interruption::deadline;
use crate::view::View;
use model::disruption::{InterruptionKind, Stage};
use model::{Disruption, DisruptionReason, Interruption, Node, NodeClaim, Pod, PodId};
use std::collections::{BTreeMap, BTreeSet};

/// The nodes (and claims whose nodes have not come) that leave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Leaving<'a> {
    /// By name, whether pods that must not be disturbed hold it: nothing forces them to go.
    names: BTreeMap<&'a str, bool>,
    /// Pods that are known to have no other place.
    stranded: BTreeSet<PodId>,
}

impl<'a> Leaving<'a> {
    /// Those of which the snapshot says so: deleted, interrupted, with a disruption that has begun, or given up by this turn.
    pub(crate) fn of(view: &View<'a>) -> Self {
        let nodes = view.snapshot.nodes.iter().filter(|node| node.deleting);
        let mut names = nodes.map(|node| (&*node.name, false)).collect::<BTreeMap<_, _>>();
        let given_up = crate::lifecycle::given_up(view);
        let goes = |claim: &&NodeClaim| leaves(view, claim) || given_up.contains(&claim.name);
        for claim in view.snapshot.node_claims.iter().filter(goes) {
            let held = leaves_anyway(view, claim) && !has_deadline(view, claim);
            names.insert(&*claim.name, held);
            names.extend(claim.node_name.as_deref().map(|name| (name, held)));
            names.extend(view.node_of_claim(claim).map(|node| (&*node.name, held)));
        }
        Self { names, stranded: BTreeSet::new() }
    }

    /// These and more.
    pub(crate) fn with(&self, nodes: impl IntoIterator<Item = &'a Node>) -> Self {
        let mut more = self.clone();
        more.names.extend(nodes.into_iter().map(|node| (&*node.name, false)));
        more
    }

    /// These and the nodes of claims that are to be deleted now, for this reason.
    pub(crate) fn with_deleted(
        &self,
        nodes: impl IntoIterator<Item = (&'a Node, Option<&'a NodeClaim>, DisruptionReason)>,
    ) -> Self {
        let mut more = self.clone();
        for (node, claim, reason) in nodes {
            let bounded = claim.is_some_and(|claim| claim.termination_grace_period.is_some());
            more.names.insert(&node.name, !bounded && reason != DisruptionReason::Unhealthy);
        }
        more
    }

    /// These and those.
    pub(crate) fn and(&self, other: &Self) -> Self {
        let mut more = self.clone();
        more.names.extend(&other.names);
        more
    }

    /// Those of which the snapshot says so, but for these nodes: their disruption is called off.
    pub(crate) fn but_for(view: &View<'a>, staying: &[&Node]) -> Self {
        let mut all = Self::of(view);
        for node in staying {
            all.names.remove(&*node.name);
            let claim = view.claim_of_node(node);
            claim.into_iter().for_each(|claim| {
                all.names.remove(&*claim.name);
            });
        }
        all
    }

    /// These, where those pods stay as long as they can.
    pub(crate) fn holding(&self, pods: impl IntoIterator<Item = PodId>) -> Self {
        let mut more = self.clone();
        more.stranded.extend(pods);
        more
    }

    /// Whether the node or claim of that name leaves.
    pub(crate) fn contains(&self, name: &str) -> bool {
        !self.names.is_empty() && self.names.contains_key(name)
    }

    /// Whether the pod must find another place. A pod that is ending already is not counted: its successor waits, or will.
    /// Neither is one that must not be disturbed, where nothing forces it: what was bought for it would stand idle.
    pub(crate) fn moves(&self, pod: &Pod) -> bool {
        if self.names.is_empty() || !pod.is_reschedulable() {
            return false;
        }
        let held = pod.node_name.as_deref().and_then(|node| self.names.get(node));
        held.is_some_and(|held| !(*held && pod.do_not_disrupt)) && !self.stranded.contains(&pod.id)
    }
}

/// Whether the claim's node must be gone at some time, whatever its pods say.
fn has_deadline(view: &View<'_>, claim: &NodeClaim) -> bool {
    let told = view.interruption(claim).and_then(deadline);
    let sick = |begun: &Disruption| begun.reason == DisruptionReason::Unhealthy;
    claim.termination_grace_period.is_some()
        || told.is_some()
        || claim.disruption.as_ref().is_some_and(sick)
}

/// Whether the claim is on its way out. What is only proposed, or merely at risk, stays.
fn leaves(view: &View<'_>, claim: &NodeClaim) -> bool {
    let begun = claim.disruption.as_ref();
    leaves_anyway(view, claim) || begun.is_some_and(|begun| begun.stage == Stage::Committed)
}

/// Whether it is on its way out whatever becomes of its disruption.
pub(crate) fn leaves_anyway(view: &View<'_>, claim: &NodeClaim) -> bool {
    let node = view.node_of_claim(claim);
    claim.deleting
        || node.is_some_and(|node| node.deleting)
        || view.interruption(claim).is_some_and(is_taken)
}

/// Whether AWS takes the instance away; a recommendation only says that it might.
pub(crate) fn is_taken(told: Interruption) -> bool {
    told.kind != InterruptionKind::Rebalance
}
