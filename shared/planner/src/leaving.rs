//! Nodes that are on their way out: they take no pods, and their pods are given places elsewhere as if they waited.

use crate::view::View;
use model::disruption::{InterruptionKind, Stage};
use model::{Interruption, Node, NodeClaim, Pod};
use std::collections::BTreeSet;

/// The nodes (and claims whose nodes have not come) that leave, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Leaving<'a> {
    names: BTreeSet<&'a str>,
}

impl<'a> Leaving<'a> {
    /// Those of which the snapshot says so: deleted, interrupted, with a disruption that has begun, or given up by this turn.
    pub(crate) fn of(view: &View<'a>) -> Self {
        let mut names = BTreeSet::new();
        let nodes = view.snapshot.nodes.iter();
        names.extend(nodes.filter(|node| node.deleting).map(|node| &*node.name));
        let given_up = crate::lifecycle::given_up(view);
        let goes = |claim: &&NodeClaim| leaves(view, claim) || given_up.contains(&claim.name);
        for claim in view.snapshot.node_claims.iter().filter(goes) {
            names.insert(&*claim.name);
            names.extend(claim.node_name.as_deref());
            names.extend(view.node_of_claim(claim).map(|node| &*node.name));
        }
        Self { names }
    }

    /// These and more.
    pub(crate) fn with(&self, nodes: impl IntoIterator<Item = &'a Node>) -> Self {
        let mut more = self.clone();
        more.names.extend(nodes.into_iter().map(|node| &*node.name));
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

    /// Whether the node or claim of that name leaves.
    pub(crate) fn contains(&self, name: &str) -> bool {
        !self.names.is_empty() && self.names.contains(name)
    }

    /// Whether the pod must find another place. A pod that is ending already is not counted: its successor waits, or will.
    pub(crate) fn moves(&self, pod: &Pod) -> bool {
        !self.names.is_empty()
            && pod.node_name.as_deref().is_some_and(|node| self.names.contains(node))
            && pod.is_reschedulable()
    }
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
