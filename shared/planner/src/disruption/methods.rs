//! Which nodes must go, and which should, each by its cause.

use super::budgets::Allowance;
use super::eligibility::{Candidate, Eligibility};
use super::expiration::{Expiry, expiry};
use super::static_pools::{Extra, surplus};
use super::{Expected, Intention};
use super::{drift, repair};
use crate::leaving::Leaving;
use crate::view::View;
use model::disruption::{InterruptionKind, Rebalance};
use model::{DisruptionReason, Ineligible, Kept, Node, NodeClaim, Timestamp};
use std::collections::BTreeSet;

/// A node that goes whatever budgets and pods say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forced<'a> {
    pub(super) reason: DisruptionReason,
    pub(super) node: &'a Node,
    pub(super) claim: Option<&'a NodeClaim>,
}

/// The nodes that have been sick for too long or are past their age, by name; and when the next one will be.
pub(super) fn forced<'a>(
    view: &View<'a>,
    leaving: &Leaving<'_>,
) -> (Vec<Forced<'a>>, Option<Timestamp>) {
    let (mut found, mut due) = (Vec::new(), None);
    for node in stayers(view, leaving) {
        let claim = view.claim_of_node(node);
        let sick = repair::due(node).map(|at| (at, DisruptionReason::Unhealthy));
        let pool = pool_of(view, node, claim);
        let old = expiry(view, node, claim, pool).and_then(|expiry| match expiry {
            Expiry::Forceful(at) => Some((at, DisruptionReason::Expired)),
            Expiry::Graceful(_) => None,
        });
        let next = sick.into_iter().chain(old).min();
        match next {
            Some((at, _)) if at > view.snapshot.now => due = due.into_iter().chain([at]).min(),
            Some((_, DisruptionReason::Unhealthy)) if repair::braked(view, node) => {}
            Some((_, reason)) => found.push(Forced { reason, node, claim }),
            None => {}
        }
    }
    (found, due)
}

/// Managed nodes that are not on their way out, by name.
fn stayers<'a>(view: &View<'a>, leaving: &Leaving<'_>) -> Vec<&'a Node> {
    let stays = |node: &&Node| view.is_managed(node) && !leaving.contains(&node.name);
    let mut nodes = view.snapshot.nodes.iter().filter(stays).collect::<Vec<_>>();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    nodes
}

fn pool_of<'a>(
    view: &View<'a>,
    node: &Node,
    claim: Option<&NodeClaim>,
) -> Option<&'a model::NodePool> {
    let name = node.pool().or(claim.map(|claim| claim.pool.as_str()))?;
    view.pools.get(name).copied()
}

/// Nodes whose pods get new places before they go, in the order in which they share the budgets: those at risk, those past
/// their age, those that have drifted, those that are too many. `refused` nodes are left out.
pub(super) fn graceful<'a>(
    view: &View<'a>,
    leaving: &Leaving<'_>,
    eligibility: &mut Eligibility<'_, 'a>,
    allowance: &mut Allowance<'a>,
    refused: &BTreeSet<&str>,
) -> Vec<Intention<'a>> {
    let mut wanted = Vec::new();
    let mut extra = Extra::of(view, leaving);
    for cause in [at_risk, old, drifted] {
        let mut nodes = view.snapshot.nodes.iter().collect::<Vec<_>>();
        nodes.retain(|node| view.is_managed(node) && !refused.contains(&*node.name));
        let mut ranked = nodes
            .into_iter()
            .filter_map(|node| Some((rank(view, node), cause(view, node)?, node)))
            .collect::<Vec<_>>();
        ranked.sort_by_key(|(rank, ..)| *rank);
        for (_, reason, node) in ranked {
            let Ok(candidate) = eligibility.of(node, reason) else { continue };
            let taken = wanted.iter().any(|own: &Intention<'_>| own.takes(node));
            let possible = !taken && extra.has(candidate.pool);
            if possible && allowance.take(candidate.pool, reason, 1).is_ok() {
                extra.take(candidate.pool);
                wanted.push(alone(reason, candidate));
            }
        }
    }
    let reason = DisruptionReason::Drifted;
    let mut candidate = |node: &'a Node| {
        let refused = refused.contains(&*node.name);
        eligibility.of(node, reason).ok().filter(|_| !refused)
    };
    for candidate in surplus(view, leaving, &mut candidate) {
        let taken = wanted.iter().any(|own| own.takes(candidate.node));
        let possible = !taken && extra.has(candidate.pool);
        if possible && allowance.take(candidate.pool, reason, 1).is_ok() {
            extra.take(candidate.pool);
            wanted.push(alone(reason, candidate));
        }
    }
    wanted
}

/// The node goes alone, whatever its replacement costs.
fn alone(reason: DisruptionReason, candidate: Candidate<'_>) -> Intention<'_> {
    Intention { reason, nodes: vec![candidate], ceiling: None, expected: Expected::default() }
}

/// Nodes whose being kept is told, at most.
const TOLD: usize = 20;

/// The nodes that should go, and what keeps them for longer than this turn: protection by annotations and disruption budgets.
pub(super) fn kept<'a>(view: &View<'a>, leaving: &Leaving<'a>) -> Vec<Kept> {
    let mut eligibility = Eligibility::new(view, leaving, &[]);
    let mut found = Vec::new();
    for node in stayers(view, leaving) {
        let Some(reason) = causes(view, node).first().copied() else { continue };
        let Err(by) = eligibility.of(node, reason) else { continue };
        let lasts = matches!(
            by,
            Ineligible::DoNotDisrupt
                | Ineligible::PodDoNotDisrupt { .. }
                | Ineligible::PodDisruptionBudget { .. }
                | Ineligible::SeveralBudgets { .. }
        );
        if lasts {
            found.push(Kept { node: node.name.clone(), reason, by });
        }
        if found.len() == TOLD {
            break;
        }
    }
    found
}

/// Empty nodes first, then the oldest.
fn rank<'a>(view: &View<'a>, node: &'a Node) -> (bool, Option<Timestamp>, &'a str) {
    let busy = view.pods_of_node(&node.name).iter().any(|pod| pod.is_reschedulable());
    let claim = view.claim_of_node(node);
    (busy, claim.and_then(|claim| claim.created_at).or(node.created_at), &node.name)
}

/// Why the node should go, but for its cost.
pub(crate) fn causes(view: &View<'_>, node: &Node) -> Vec<DisruptionReason> {
    [at_risk, old, drifted].iter().filter_map(|cause| cause(view, node)).collect()
}

fn at_risk(view: &View<'_>, node: &Node) -> Option<DisruptionReason> {
    let claim = view.claim_of_node(node)?;
    let pool = pool_of(view, node, Some(claim))?;
    let told = view.interruption(claim)?;
    let replaced = pool.disruption.rebalance == Rebalance::Replace;
    (replaced && told.kind == InterruptionKind::Rebalance).then_some(DisruptionReason::Interrupted)
}

fn old(view: &View<'_>, node: &Node) -> Option<DisruptionReason> {
    let claim = view.claim_of_node(node);
    match expiry(view, node, claim, pool_of(view, node, claim))? {
        Expiry::Graceful(at) if at <= view.snapshot.now => Some(DisruptionReason::Expired),
        Expiry::Graceful(_) | Expiry::Forceful(_) => None,
    }
}

fn drifted(view: &View<'_>, node: &Node) -> Option<DisruptionReason> {
    let claim = view.claim_of_node(node);
    let pool = pool_of(view, node, claim)?;
    drift::drift(view, &Candidate { node, claim, pool }).map(|_| DisruptionReason::Drifted)
}

/// When the next node is old enough to be replaced gracefully.
pub(super) fn next_expiry(view: &View<'_>) -> Option<Timestamp> {
    let at = |node: &Node| {
        let claim = view.claim_of_node(node);
        Some(expiry(view, node, claim, pool_of(view, node, claim))?.at())
    };
    let managed = view.snapshot.nodes.iter().filter(|node| view.is_managed(node));
    managed.filter_map(at).filter(|at| *at > view.snapshot.now).min()
}
