//! What consolidation would do to a cluster if nothing bounded it: no budgets, no windows, no waiting.

use crate::Options;
use crate::disruption::consolidation::{Group, Question, Terms, is_ready, is_used};
use crate::disruption::eligibility::Eligibility;
use crate::leaving::Leaving;
use crate::scheduling::schedule;
use crate::view::View;
use model::disruption::DEFAULT_SAVING_PER_MOVE;
use model::{
    CapacityType, DisruptionReason, Ineligible, Launch, MicroUsdPerHour, Node, Placement, Snapshot,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What to look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Nodes of no pool may go too, as those of managed node groups.
    pub foreign: bool,
    /// The least that must be saved for each moved pod, instead of what the pools say.
    pub saving_per_move: Option<MicroUsdPerHour>,
    /// At most so many nodes of each pool go; `None` means any number.
    pub nodes_of_a_pool: Option<usize>,
}

/// A step of the consolidation: nodes that go together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsolidationStep {
    /// The nodes that go, by name.
    pub nodes: Vec<Arc<str>>,
    /// What is bought for them.
    pub launches: Vec<Launch>,
    /// Where pods go that need no new node.
    pub moves: Vec<Placement>,
    /// How many pods are moved.
    pub moved: usize,
    /// What the nodes cost less what is bought, in micro-dollars an hour.
    pub saves: i64,
}

/// The whole consolidation of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consolidation {
    /// The steps, those first that save most for each pod moved.
    pub steps: Vec<ConsolidationStep>,
    /// What all nodes of a known price cost now.
    pub current: MicroUsdPerHour,
    /// What they cost after all steps.
    pub after: MicroUsdPerHour,
    /// How many pods are moved.
    pub moved: usize,
}

/// What consolidation would do, once the pods that wait have their places.
pub fn consolidate(snapshot: &Snapshot, scope: &Scope, options: &Options) -> Consolidation {
    let view = View::new(snapshot);
    let leaving = Leaving::of(&view);
    let base = schedule(snapshot, &leaving, options);
    let ready = |node: &&Node| is_ready(node) && !leaving.contains(&node.name);
    let groups = Question {
        view: &view,
        leaving: &leaving,
        base: &base,
        candidates: candidates(&view, &leaving, scope),
        targets: snapshot.nodes.iter().filter(ready).map(|node| &*node.name).collect(),
        allowed: allowed(snapshot, scope),
        proposed: Vec::new(),
        largest: usize::MAX,
        steps: options.steps,
    }
    .answer();
    let current = snapshot.nodes.iter().filter_map(|node| node.price).sum::<MicroUsdPerHour>();
    let saved = groups.iter().map(|group| group.saves.max(0) as u64).sum();
    let step = |group: Group| ConsolidationStep {
        nodes: group.nodes,
        launches: group.launches,
        moves: group.moves,
        moved: group.moved,
        saves: group.saves,
    };
    let steps = groups.into_iter().map(step).collect::<Vec<_>>();
    Consolidation {
        current,
        after: current.saturating_sub(MicroUsdPerHour(saved)),
        moved: steps.iter().map(|step| step.moved).sum(),
        steps,
    }
}

fn allowed<'a>(snapshot: &'a Snapshot, scope: &Scope) -> BTreeMap<&'a str, usize> {
    let bounded = snapshot.node_pools.iter().map(|pool| pool.name.as_str()).chain([""]);
    let most = scope.nodes_of_a_pool;
    bounded.filter_map(|name| Some((name, most?))).collect()
}

fn candidates<'a>(
    view: &View<'a>,
    leaving: &Leaving<'a>,
    scope: &Scope,
) -> BTreeMap<&'a str, Terms> {
    let mut eligibility = Eligibility::new(view, leaving, &[]);
    let mut candidates = BTreeMap::new();
    for node in view.snapshot.nodes.iter().filter(|node| is_used(view, node)) {
        let paid_anyway = node.capacity_type() == CapacityType::Reserved;
        if paid_anyway
            || node.price.is_none()
            || obstacle(view, &mut eligibility, scope, node).is_some()
        {
            continue;
        }
        let pool = node.pool().and_then(|name| view.pools.get(name));
        let own = pool.and_then(|pool| pool.disruption.saving_per_move);
        let saving_per_move = scope.saving_per_move.or(own).unwrap_or(DEFAULT_SAVING_PER_MOVE);
        candidates.insert(&*node.name, Terms { saving_per_move, replaceable: true });
    }
    candidates
}

/// What keeps the node whatever the time, the budgets and the policies.
fn obstacle<'a>(
    view: &View<'a>,
    eligibility: &mut Eligibility<'_, 'a>,
    scope: &Scope,
    node: &'a Node,
) -> Option<Ineligible> {
    let foreign = scope.foreign && !view.is_managed(node);
    let found = eligibility.of(node, DisruptionReason::Underutilized).err()?;
    let of_time = matches!(
        found,
        Ineligible::TooSoon { .. }
            | Ineligible::Policy { .. }
            | Ineligible::WindowClosed { .. }
            | Ineligible::Budget { .. }
    );
    let of_owner =
        matches!(found, Ineligible::NoClaim | Ineligible::NotJoiners | Ineligible::PoolGone { .. });
    if of_owner && foreign && node.do_not_disrupt {
        return Some(Ineligible::DoNotDisrupt);
    }
    if of_time || (of_owner && foreign && is_ready(node)) {
        return eligibility.pods_may_go(node).err();
    }
    Some(found)
}
