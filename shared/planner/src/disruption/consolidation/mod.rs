//! Consolidation: the same pods on fewer or cheaper nodes, several nodes for several in one step.
//!
//! Its objective is the money saved per hour, less what each moved pod must save (`Disruption.saving_per_move`). A node is judged by
//! what its pods are worth, that is, what they add to the least price of all pods (the duals of the packing's relaxation), against
//! its own price. First nodes go whose pods find room on others, then sets of nodes whose pods are cheaper on new ones.
//! Places are found by the rules of `scheduling`; what is not decided there is not moved here.

mod binding;
mod fleet;
mod groups;
mod price;
mod question;
mod rules;
mod search;
mod targets;

pub(crate) use binding::evicted_by;
pub(crate) use groups::Group;
pub(crate) use price::{keep_cheaper, leaves_choice};
pub(crate) use question::{Question, Terms};
pub(crate) use rules::{balanced, disruption, replaced_lately, terms};

use super::budgets::Allowance;
use super::eligibility::{Candidate, Eligibility};
use super::{Expected, Intention, Proposal, Turn};
use crate::view::View;
use binding::Binding;
use model::{DisruptionReason, MicroUsdPerHour, Node};
use std::collections::{BTreeMap, BTreeSet};

/// Nodes that are replaced together, at most: all of them wait for the last of their replacements.
const LARGEST: usize = 50;
/// The reason that consolidation has.
const REASON: DisruptionReason = DisruptionReason::Underutilized;

/// The nodes to take away because their pods fit elsewhere for less, within what the budgets leave. A proposal that is still
/// right comes back with just its nodes; one that does not come back is called off. While proposals wait nothing new is begun, so
/// that they are not overtaken by what happens to look better in the meantime. Refused nodes stay.
pub(crate) fn consolidation<'a>(
    turn: &Turn<'_, 'a>,
    eligibility: &mut Eligibility<'_, 'a>,
    allowance: &mut Allowance<'a>,
    (proposals, refused): (&[Proposal<'a>], &BTreeSet<&str>),
) -> Vec<Intention<'a>> {
    let (candidates, allowed) = candidates(turn, eligibility, allowance, refused);
    let known = candidates.iter().map(|(name, candidate)| (*name, terms(turn.view, candidate)));
    let proposed = proposals.iter().map(|own| own.nodes.iter().map(|node| &*node.name).collect());
    let mut question = Question {
        view: turn.view,
        leaving: turn.leaving,
        base: turn.base,
        candidates: known.collect(),
        targets: targets(turn, eligibility),
        allowed,
        proposed: proposed.collect(),
        largest: LARGEST,
        steps: turn.options.steps,
    };
    // Where what saves most does not hold, something smaller may; while pods come and go that can wait.
    let mut binding = Binding::new(turn);
    loop {
        let groups = question.answer();
        let found = groups.iter().map(|group| group.nodes.len()).max().unwrap_or_default();
        let known = (&candidates, &question.candidates);
        let intentions = intentions(&mut binding, groups, known, allowance);
        question.largest = question.largest.min(found) / 2;
        if !intentions.is_empty() || question.largest == 0 || !binding.settled {
            return intentions;
        }
    }
}

/// The nodes that may go, by name, and how many of each pool.
fn candidates<'a>(
    turn: &Turn<'_, 'a>,
    eligibility: &mut Eligibility<'_, 'a>,
    allowance: &mut Allowance<'a>,
    refused: &BTreeSet<&str>,
) -> (BTreeMap<&'a str, Candidate<'a>>, BTreeMap<&'a str, usize>) {
    let mut candidates: BTreeMap<&str, Candidate<'a>> = BTreeMap::new();
    let mut nodes = turn.view.snapshot.nodes.iter().collect::<Vec<_>>();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    for node in nodes {
        if !is_used(turn.view, node) || node.price.is_none() || refused.contains(&*node.name) {
            continue;
        }
        if let Ok(candidate) = eligibility.of(node, REASON) {
            candidates.insert(&node.name, candidate);
        }
    }
    let mut allowed = BTreeMap::new();
    for candidate in candidates.values() {
        let pool = candidate.pool;
        let left = || allowance.left(pool, REASON).unwrap_or(0);
        allowed.entry(pool.name.as_str()).or_insert_with(left);
    }
    candidates.retain(|_, candidate| allowed.get(candidate.pool.name.as_str()) != Some(&0));
    (candidates, allowed)
}

/// The groups that the cluster will bear, as intentions.
fn intentions<'a>(
    binding: &mut Binding<'_, 'a>,
    groups: Vec<Group>,
    (candidates, known): (&BTreeMap<&str, Candidate<'a>>, &BTreeMap<&'a str, Terms>),
    allowance: &mut Allowance<'a>,
) -> Vec<Intention<'a>> {
    let resting = |group: &Group| {
        group.nodes.iter().any(|name| known.get(&**name).is_some_and(|own| !own.replaceable))
    };
    let right = |group: &Group| {
        let allowed = group.launches.is_empty() || !resting(group);
        allowed && balanced(binding.turn.view, group) && binding.holds(group)
    };
    let mut intentions = Vec::new();
    for group in groups.into_iter().filter(right) {
        let nodes = group.nodes.iter().filter_map(|name| candidates.get(&**name).copied());
        let (nodes, rests) = (nodes.collect(), resting(&group));
        let mut own = intention(group, nodes, allowance);
        // A node that rests may be emptied, but nothing may be bought for its pods in the end either.
        own.iter_mut().filter(|_| rests).for_each(|own| own.ceiling = Some(MicroUsdPerHour::ZERO));
        intentions.extend(own);
    }
    intentions
}

/// The group as an intention, if the budgets of all its pools have enough left.
fn intention<'a>(
    group: Group,
    nodes: Vec<Candidate<'a>>,
    allowance: &mut Allowance<'a>,
) -> Option<Intention<'a>> {
    let mut left = allowance.clone();
    for candidate in &nodes {
        left.take(candidate.pool, REASON, 1).ok()?;
    }
    *allowance = left;
    let price = nodes.iter().filter_map(|candidate| candidate.node.price);
    let price = price.sum::<MicroUsdPerHour>().0 as i64;
    // What is bought in the end need not be what is planned now, but it must save as much as the moves ask for.
    let ceiling = (price - (group.saves - group.gain) - 1).max(0) as u64;
    let bought = group.launches.iter().flat_map(|launch| {
        let place = |pod: &model::PodId| (pod.clone(), launch.name.clone());
        launch.pods.iter().map(place)
    });
    let bought = bought.map(|(pod, node)| model::Placement { pod, node });
    let mut moves = group.moves.iter().cloned().chain(bought).collect::<Vec<_>>();
    moves.sort();
    Some(Intention {
        reason: REASON,
        nodes,
        ceiling: Some(MicroUsdPerHour(ceiling)),
        expected: Expected { moves, buys: !group.launches.is_empty(), saves: group.saves },
    })
}

/// Nodes without pods of their own go as empty ones, when their time comes.
pub(crate) fn is_used(view: &View<'_>, node: &Node) -> bool {
    view.pods_of_node(&node.name).iter().any(|pod| pod.is_reschedulable())
}

/// The nodes that may take pods: set up and ready, and not inside their own `consolidateAfter`, or pods would be moved twice
/// (karpenter core, `scheduler.go`).
fn targets<'a>(turn: &Turn<'_, 'a>, eligibility: &Eligibility<'_, 'a>) -> BTreeSet<&'a str> {
    let quiet = |node: &&Node| {
        let pool = node.pool().and_then(|name| turn.view.pools.get(name));
        let after = pool.and_then(|pool| pool.disruption.consolidate_after);
        let now = turn.view.snapshot.now;
        after.is_none_or(|after| eligibility.last_change(node).plus(after) <= now)
    };
    let nodes = turn.view.snapshot.nodes.iter();
    let ready = nodes.filter(|node| is_ready(node) && !turn.leaving.contains(&node.name));
    ready.filter(quiet).map(|node| &*node.name).collect()
}

/// Whether pods could be bound to the node now.
pub(crate) fn is_ready(node: &Node) -> bool {
    node.ready && node.initialized() && !node.deleting && !node.unschedulable
}
