//! Why a node stays or goes, and what its going would mean.

use crate::Options;
use crate::disruption::budgets::Allowance;
use crate::disruption::consolidation::{is_used, leaves_choice};
use crate::disruption::eligibility::Eligibility;
use crate::disruption::{causes_of, moving, share};
use crate::leaving::Leaving;
use crate::scheduling::schedule;
use crate::view::View;
use model::disruption::DEFAULT_SAVING_PER_MOVE;
use model::{
    Disruption, DisruptionReason, Ineligible, Interruption, Launch, MicroUsdPerHour, Node,
    Placement, PlannedDisruption, Snapshot, Unschedulable,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// All that is to be said about a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeExplanation {
    /// The node.
    pub node: Arc<str>,
    /// Its pool, if it has one.
    pub pool: Option<String>,
    /// What it costs, if that is known.
    pub price: Option<MicroUsdPerHour>,
    /// What AWS told about it.
    pub interruption: Option<Interruption>,
    /// The disruption that is written on its claim.
    pub begun: Option<Disruption>,
    /// What this turn's plan does about it.
    pub planned: Option<PlannedDisruption>,
    /// What speaks for taking it away but its cost, with what keeps it.
    pub causes: Vec<(DisruptionReason, Option<Ineligible>)>,
    /// What keeps it from going to save money, budgets and windows last; nothing if it may go.
    pub kept_by: Option<Ineligible>,
    /// What would come of taking it away alone.
    pub alone: Removed,
}

/// What comes of taking one node away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// How many pods would be moved.
    pub moved: usize,
    /// Where they would go: nodes, claims and launches.
    pub moves: Vec<Placement>,
    /// What would be bought for them.
    pub launches: Vec<Launch>,
    /// Pods that would have no other place.
    pub stranded: Vec<Unschedulable>,
    /// Its price less what would be bought, in micro-dollars an hour; `None` if its price is not known.
    pub saves: Option<i64>,
    /// What moving the pods must save at least.
    pub toll: MicroUsdPerHour,
}

impl Removed {
    /// Whether all pods would have a place and enough would be saved.
    pub fn pays(&self) -> bool {
        self.stranded.is_empty() && self.saves.is_some_and(|saves| saves > self.toll.0 as i64)
    }
}

/// Explains the node of that name; `None` if there is no such node.
pub fn explain_node(snapshot: &Snapshot, name: &str, options: &Options) -> Option<NodeExplanation> {
    let view = View::new(snapshot);
    let node = view.node(name)?;
    let plan = crate::plan(snapshot, options);
    let mut planned = plan.disruptions.into_iter();
    let planned = planned.find(|told| told.nodes.iter().any(|own| **own == *node.name));
    let claim = view.claim_of_node(node);
    let leaving = Leaving::of(&view);
    let alone = alone(&view, &leaving, node, options);
    Some(NodeExplanation {
        node: node.name.clone(),
        pool: node.pool().map(str::to_owned),
        price: node.price,
        interruption: claim.and_then(|claim| view.interruption(claim)),
        begun: claim.and_then(|claim| claim.disruption.clone()),
        planned,
        causes: causes(&view, &leaving, node),
        kept_by: kept_by(&view, &leaving, node).or_else(|| too_narrow(node, &alone)),
        alone,
    })
}

fn causes<'a>(
    view: &View<'a>,
    leaving: &Leaving<'a>,
    node: &'a Node,
) -> Vec<(DisruptionReason, Option<Ineligible>)> {
    let reasons = causes_of(view, node);
    reasons.into_iter().map(|reason| (reason, keeps(view, leaving, node, reason))).collect()
}

/// What keeps the node from going for this reason, budgets last.
fn keeps<'a>(
    view: &View<'a>,
    leaving: &Leaving<'a>,
    node: &'a Node,
    reason: DisruptionReason,
) -> Option<Ineligible> {
    let mut eligibility = Eligibility::new(view, leaving, &[]);
    match eligibility.of(node, reason) {
        Err(found) => Some(found),
        Ok(candidate) => Allowance::new(view, leaving).left(candidate.pool, reason).err(),
    }
}

fn kept_by<'a>(view: &View<'a>, leaving: &Leaving<'a>, node: &'a Node) -> Option<Ineligible> {
    let used = is_used(view, node);
    let reason = if used { DisruptionReason::Underutilized } else { DisruptionReason::Empty };
    keeps(view, leaving, node, reason)
}

/// Whether what would be bought leaves EC2 too little to choose from.
fn too_narrow(node: &Node, alone: &Removed) -> Option<Ineligible> {
    let price = node.price?.0;
    let cost = (price as i64).saturating_sub(alone.saves?).max(0) as u64;
    let ceiling = price.saturating_sub(alone.toll.0 + 1);
    let launches = alone.launches.iter().collect::<Vec<_>>();
    let narrow = alone.pays() && !leaves_choice(&launches, (cost, ceiling), &[node]);
    narrow.then_some(Ineligible::FewOfferings)
}

fn alone<'a>(view: &View<'a>, leaving: &Leaving<'a>, node: &'a Node, options: &Options) -> Removed {
    let leaving = leaving.with([node]);
    let scheduled = schedule(view.snapshot, &leaving, options);
    let pods = moving(view, &leaving, &[node]);
    let ids = pods.iter().map(|pod| &pod.id).collect::<BTreeSet<_>>();
    let mut plan = scheduled.plan;
    plan.placements.retain(|placed| ids.contains(&placed.pod));
    let (mut moves, mut cost) = (plan.placements, 0);
    plan.launches.retain(|launch| launch.pods.iter().any(|pod| ids.contains(pod)));
    for launch in &plan.launches {
        let own = launch.pods.iter().filter(|pod| ids.contains(pod)).collect::<Vec<_>>();
        cost += share(launch, own.len());
        let place = |pod: &model::PodId| Placement { pod: pod.clone(), node: launch.name.clone() };
        moves.extend(own.into_iter().map(place));
    }
    moves.sort();
    let mut stranded = scheduled.stranded;
    stranded.retain(|left| ids.contains(&left.pod));
    let pool = node.pool().and_then(|name| view.pools.get(name));
    let each = pool.and_then(|pool| pool.disruption.saving_per_move);
    Removed {
        moved: pods.len(),
        moves,
        launches: plan.launches,
        stranded,
        saves: node.price.map(|price| price.0 as i64 - cost),
        toll: each.unwrap_or(DEFAULT_SAVING_PER_MOVE) * pods.len() as u64,
    }
}
