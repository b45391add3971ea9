//! Pools of a fixed number of nodes (`replicas`): what is missing is bought, what is too much goes, and nothing is consolidated
//! (karpenter core, `static/provisioning` and `static/deprovisioning`).
//!
//! A node of such a pool that is to be replaced is first joined by another one, so that its pods find room in the pool itself.

use super::budgets::Allowance;
use super::consolidation::disruption;
use super::eligibility::{Candidate, Eligibility};
use super::methods::causes;
use crate::leaving::Leaving;
use crate::scheduling::{Bought, Limits, Market, Scene, launches};
use crate::view::View;
use model::{Launch, MicroUsdPerHour, Node, NodeClaim, NodePool, Plan, Snapshot};
use std::collections::BTreeMap;

/// At most so many nodes of a pool are bought in one turn; the next one goes on.
const MOST: usize = 500;

/// By static pool, how many nodes it has beyond its replicas.
pub(super) struct Extra<'a>(BTreeMap<&'a str, usize>);

impl<'a> Extra<'a> {
    /// Counts what does not leave.
    pub(super) fn of(view: &View<'a>, leaving: &Leaving<'_>) -> Self {
        let fixed = view.pools.values().filter_map(|pool| {
            let replicas = pool.replicas? as usize;
            Some((pool.name.as_str(), live(view, leaving, pool).saturating_sub(replicas)))
        });
        Self(fixed.collect())
    }

    /// Whether another node of the pool may go.
    pub(super) fn has(&self, pool: &NodePool) -> bool {
        pool.replicas.is_none() || self.0.get(pool.name.as_str()).is_some_and(|left| *left > 0)
    }

    /// One more goes.
    pub(super) fn take(&mut self, pool: &NodePool) {
        if let Some(left) = self.0.get_mut(pool.name.as_str()) {
            *left = left.saturating_sub(1);
        }
    }
}

/// The pool's claims, and its nodes without one, that do not leave.
fn live(view: &View<'_>, leaving: &Leaving<'_>, pool: &NodePool) -> usize {
    let stays = |claim: &&NodeClaim| {
        let node = view.node_of_claim(claim);
        let leaves = node.is_some_and(|node| node.deleting || leaving.contains(&node.name));
        claim.pool == pool.name && !claim.deleting && !leaving.contains(&claim.name) && !leaves
    };
    let alone = |node: &&Node| {
        let id = crate::view::instance_id(&node.provider_id);
        let own = node.pool() == Some(pool.name.as_str()) && view.claim_of_instance(id).is_none();
        own && !node.deleting && !leaving.contains(&node.name)
    };
    let claims = view.snapshot.node_claims.iter().filter(stays).count();
    claims + view.snapshot.nodes.iter().filter(alone).count()
}

/// The pool's nodes that are to be replaced, whatever keeps them.
fn worn<'a>(view: &View<'a>, leaving: &Leaving<'_>, pool: &NodePool) -> Vec<&'a Node> {
    let own = |node: &&Node| {
        node.pool() == Some(pool.name.as_str()) && !leaving.contains(&node.name) && !node.deleting
    };
    let nodes = view.snapshot.nodes.iter().filter(own);
    nodes.filter(|node| !causes(view, node).is_empty()).collect()
}

/// The nodes of static pools that are too many, but for those that others were bought for: empty ones first, then those that are
/// the cheapest to disrupt.
pub(super) fn surplus<'a>(
    view: &View<'a>,
    leaving: &Leaving<'_>,
    candidate: &mut impl FnMut(&'a Node) -> Option<Candidate<'a>>,
) -> Vec<Candidate<'a>> {
    let mut found = Vec::new();
    for pool in view.pools.values() {
        let Some(replicas) = pool.replicas else { continue };
        let worn = worn(view, leaving, pool);
        let wanted = replicas as usize + worn.len();
        let too_many = live(view, leaving, pool).saturating_sub(wanted);
        let own = |node: &&Node| node.pool() == Some(pool.name.as_str());
        let mut nodes = view.snapshot.nodes.iter().filter(own).collect::<Vec<_>>();
        nodes.retain(|node| !worn.iter().any(|worn| worn.name == node.name));
        nodes.sort_by_cached_key(|node| (disruption(view, node), node.name.clone()));
        found.extend(nodes.into_iter().filter_map(&mut *candidate).take(too_many));
    }
    found
}

/// Adds what the plan must buy for static pools.
pub(crate) fn fill(view: &View<'_>, leaving: &Leaving<'_>, plan: &mut Plan) {
    let mut bought = Vec::new();
    for pool in view.pools.values().filter(|pool| is_usable(pool)) {
        let missing = missing(view, leaving, pool);
        if missing > 0 {
            bought.extend(cheapest(view.snapshot, pool, leaving, missing.min(MOST)));
        }
    }
    plan.cost.planned += bought.iter().map(|launch| launch.offering.price).sum::<MicroUsdPerHour>();
    plan.cost.estimated |= bought.iter().any(|launch| launch.offering.estimated);
    plan.launches.extend(bought);
}

fn is_usable(pool: &NodePool) -> bool {
    pool.problem.is_none() && pool.min_values.is_empty()
}

/// How many nodes the pool lacks: for its replicas, and for those that are replaced within its budgets.
fn missing(view: &View<'_>, leaving: &Leaving<'_>, pool: &NodePool) -> usize {
    let Some(replicas) = pool.replicas else { return 0 };
    let mut eligibility = Eligibility::new(view, leaving, &[]);
    let mut allowance = Allowance::new(view, leaving);
    let mut replaced = 0;
    for node in worn(view, leaving, pool) {
        let reasons = causes(view, node);
        let goes = reasons.into_iter().find(|reason| eligibility.of(node, *reason).is_ok());
        let within = goes.and_then(|reason| allowance.left(pool, reason).ok());
        replaced += usize::from(within.is_some_and(|left| left > replaced));
    }
    (replicas as usize + replaced).saturating_sub(live(view, leaving, pool))
}

/// So many nodes of the pool's cheapest offering that holds its daemons, within its limits.
fn cheapest(
    snapshot: &Snapshot,
    pool: &NodePool,
    leaving: &Leaving<'_>,
    count: usize,
) -> Vec<Launch> {
    let open = NodePool { replicas: None, ..pool.clone() };
    let alone = Snapshot { pods: Vec::new(), node_pools: vec![open], ..snapshot.clone() };
    let scene = Scene::new(&alone, leaving);
    let (candidates, bundles) = (&scene.candidates, BTreeMap::new());
    let holds = |at: &usize| candidates.list[*at].usable.iter().all(|room| *room >= 0);
    let price = |at: &usize| candidates.list[*at].offering.price;
    let mut fitting = (0..candidates.list.len()).filter(holds).collect::<Vec<_>>();
    fitting.sort_by_key(|at| (price(at), *at));
    let paid = fitting.iter().position(|at| !candidates.reserved.contains(*at));
    // What is reserved comes first, then the cheapest other offering alone.
    fitting.truncate(paid.map_or(fitting.len(), |paid| paid + 1));
    let mut limits = Limits::new(candidates, &scene.slots);
    let mut nodes = Vec::new();
    for best in fitting {
        while nodes.len() < count && limits.allow(&candidates.list[best]) {
            limits.take(&candidates.list[best]);
            nodes.push(Bought { candidate: best, pods: Vec::new() });
        }
    }
    let market = Market {
        candidates,
        classes: &scene.classes.list,
        fitting: &scene.fitting,
        topology: &scene.topology,
        bundles: &bundles,
        steps: 0,
    };
    launches(&market, nodes, &limits)
}
