//! Nothing is taken away against the rules: budgets of pools, what protects nodes and pods, and places for all who must move.

use super::leaving::{is_of, taken_by_aws};
use model::disruption::{Stage, Window};
use model::pool::{ApiVersion, Budget};
use model::{DisruptionReason, Node, NodeClaim, NodePool, Plan, Pod, PodId, Snapshot, Step};
use std::collections::{BTreeMap, BTreeSet};

/// A node that the plan takes away, or begins to.
struct Taken<'a> {
    node: &'a Node,
    claim: Option<&'a NodeClaim>,
    pool: Option<&'a NodePool>,
    reason: DisruptionReason,
    /// Whether it goes now; else its replacements are waited for.
    now: bool,
    /// Whether AWS takes it, and does not only say that it might.
    by_aws: bool,
    /// Whether it was not yet on its way out.
    fresh: bool,
}

/// By node, what is wrong with taking it away.
pub(crate) fn faults(snapshot: &Snapshot, plan: &Plan) -> BTreeMap<String, String> {
    let taken = taken(snapshot, plan);
    let mut on_node: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
    if !taken.is_empty() {
        let live = snapshot.pods.iter().filter(|pod| !pod.is_terminal());
        for pod in live {
            if let Some(node) = pod.node_name.as_deref() {
                on_node.entry(node).or_default().push(pod);
            }
        }
    }
    let ready = ready_places(snapshot, plan);
    let mut faults = over_budget(snapshot, &taken);
    for own in &taken {
        let pods = on_node.get(&*own.node.name).map_or(&[][..], Vec::as_slice);
        let fault = own.unprotected(snapshot, pods).err().or_else(|| own.moved(&ready, pods));
        faults.extend(fault.map(|fault| (own.node.name.to_string(), fault)));
    }
    let known = taken.iter().map(|own| &*own.node.name).collect::<BTreeSet<_>>();
    for removal in plan.removals.iter().filter(|removal| !known.contains(&*removal.node)) {
        faults.insert(removal.node.to_string(), "is removed but is no node of a pool".to_owned());
    }
    for placement in plan.placements.iter().filter(|placement| known.contains(&*placement.node)) {
        faults.insert(placement.node.to_string(), "is removed and given pods at once".to_owned());
    }
    faults
}

fn taken<'a>(snapshot: &'a Snapshot, plan: &Plan) -> Vec<Taken<'a>> {
    let mut all = Vec::new();
    let aws = taken_by_aws(snapshot);
    let mut add = |node: &'a Node, reason, now| {
        let claim = snapshot.node_claims.iter().find(|claim| is_of(node, claim));
        let name = node.pool().or(claim.map(|claim| claim.pool.as_str()));
        let pool = snapshot.node_pools.iter().find(|pool| Some(pool.name.as_str()) == name);
        let fresh = !on_its_way(node, claim);
        let by_aws = claim.is_some_and(|claim| aws.contains(&claim.name));
        if name.is_some() {
            all.push(Taken { node, claim, pool, reason, now, by_aws, fresh });
        }
    };
    let nodes = snapshot.nodes.iter().map(|node| (&*node.name, node)).collect::<BTreeMap<_, _>>();
    for removal in &plan.removals {
        if let Some(node) = nodes.get(&*removal.node) {
            add(node, removal.reason, true);
        }
    }
    for step in &plan.steps {
        let Step::MarkDisruption { claim, disruption: Some(disruption) } = step else { continue };
        let claim = snapshot.node_claims.iter().find(|known| known.name == *claim);
        let of = |node: &&Node| claim.is_some_and(|claim| is_of(node, claim));
        let begins = disruption.stage == Stage::Committed;
        let node = snapshot.nodes.iter().find(of).filter(|_| begins);
        if let Some(node) = node {
            add(node, disruption.reason, false);
        }
    }
    let now = all.iter().filter(|own| own.now).map(|own| own.node.name.clone());
    let now = now.collect::<BTreeSet<_>>();
    all.retain(|own| own.now || !now.contains(&own.node.name));
    all
}

fn on_its_way(node: &Node, claim: Option<&NodeClaim>) -> bool {
    let begun = claim.and_then(|claim| claim.disruption.as_ref());
    let committed = begun.is_some_and(|begun| begun.stage == Stage::Committed);
    node.deleting || committed || claim.is_some_and(|claim| claim.deleting)
}

impl Taken<'_> {
    /// Whether it goes whatever budgets and pods say.
    fn forced(&self) -> bool {
        match self.reason {
            DisruptionReason::Unhealthy => true,
            DisruptionReason::Expired => self.pool.is_none_or(|pool| {
                matches!(pool.api_version, ApiVersion::V1 | ApiVersion::BuiltIn)
            }),
            DisruptionReason::Interrupted => self.by_aws,
            DisruptionReason::Drifted
            | DisruptionReason::Empty
            | DisruptionReason::Underutilized => false,
        }
    }

    /// No annotation and, as long as nothing has begun, no disruption budget of its pods forbids it.
    fn unprotected(&self, snapshot: &Snapshot, pods: &[&Pod]) -> Result<(), String> {
        let has_deadline = self.claim.is_some_and(|claim| claim.termination_grace_period.is_some());
        if self.forced() {
            return Ok(());
        }
        if self.fresh && self.node.do_not_disrupt {
            return Err("is taken away although its annotation forbids it".to_owned());
        }
        if self.reason == DisruptionReason::Drifted && has_deadline {
            return Ok(());
        }
        if let Some(pod) = pods.iter().find(|pod| pod.do_not_disrupt) {
            return Err(format!("is taken away although {} must not be disturbed", pod.id));
        }
        let evicted = pods.iter().filter(|pod| !pod.is_static() && pod.deletion_at.is_none());
        for pod in evicted.filter(|_| self.fresh && self.reason != DisruptionReason::Empty) {
            let own = snapshot.pod_disruption_budgets.iter().filter(|budget| {
                *budget.namespace == *pod.id.namespace && budget.selector.matches(&pod.labels)
            });
            let blocks = |budget: &model::snapshot::PodDisruptionBudget| {
                budget.disruptions_allowed <= 0 && (pod.ready || !budget.unready_may_go)
            };
            let tolerated =
                model::taints::tolerates(&pod.spec.tolerations, &model::taints::disrupted());
            if let Some(budget) = own.clone().find(|budget| blocks(budget)).filter(|_| !tolerated) {
                return Err(format!("is taken away although {} protects {}", budget.name, pod.id));
            }
        }
        Ok(())
    }

    /// What is wrong with where its pods go, if it goes now.
    fn moved(&self, ready: &BTreeSet<&PodId>, pods: &[&Pod]) -> Option<String> {
        if self.forced() || !self.now {
            return None;
        }
        let stays = |pod: &&&Pod| {
            let moves = ready.contains(&pod.id) && self.reason != DisruptionReason::Empty;
            pod.is_reschedulable() && !moves
        };
        let pod = pods.iter().find(stays)?;
        Some(format!("is removed but {} has no other place that is ready", pod.id))
    }
}

/// The pods that the plan puts on nodes which are ready.
fn ready_places<'a>(snapshot: &Snapshot, plan: &'a Plan) -> BTreeSet<&'a PodId> {
    let ready = snapshot.nodes.iter().filter(|node| node.ready && node.initialized());
    let ready = ready.map(|node| &node.name).collect::<BTreeSet<_>>();
    let there = plan.placements.iter().filter(|placement| ready.contains(&placement.node));
    there.map(|placement| &placement.pod).collect()
}

/// By node, the pools whose budgets do not allow so many nodes to go.
fn over_budget(snapshot: &Snapshot, taken: &[Taken<'_>]) -> BTreeMap<String, String> {
    let mut faults = BTreeMap::new();
    for pool in &snapshot.node_pools {
        let of_pool = |own: &&Taken<'_>| own.pool.is_some_and(|other| other.name == pool.name);
        let fresh = taken.iter().filter(of_pool).filter(|own| own.fresh && !own.forced());
        let fresh = fresh.collect::<Vec<_>>();
        if fresh.is_empty() {
            continue;
        }
        let (total, going) = counts(snapshot, pool, taken);
        let reasons = fresh.iter().map(|own| own.reason).collect::<BTreeSet<_>>();
        let allowed = |reason: &DisruptionReason| allowed(pool, *reason, total);
        let most = reasons.iter().map(allowed).max().unwrap_or(0);
        for own in &fresh {
            let alike = fresh.iter().filter(|other| other.reason == own.reason).count();
            if alike + going > allowed(&own.reason) || fresh.len() + going > most {
                let problem = format!("is taken away beyond the budgets of pool {}", pool.name);
                faults.insert(own.node.name.to_string(), problem);
            }
        }
    }
    faults
}

/// The nodes of the pool that are set up, and those of them that are on their way out without the plan, or not ready.
fn counts(snapshot: &Snapshot, pool: &NodePool, taken: &[Taken<'_>]) -> (usize, usize) {
    let (mut total, mut going) = (0, 0);
    let of_pool = |node: &&Node| node.pool() == Some(&pool.name) && node.initialized();
    let claims = snapshot
        .node_claims
        .iter()
        .filter_map(|claim| Some((claim.provider_id.as_deref()?, claim)));
    let claims = claims.collect::<BTreeMap<_, _>>();
    let forced = taken.iter().filter(|own| own.forced()).map(|own| &*own.node.name);
    let forced = forced.collect::<BTreeSet<_>>();
    for node in snapshot.nodes.iter().filter(of_pool) {
        let claim = claims.get(node.provider_id.as_str()).copied();
        if claim.is_none_or(|claim| claim.launch.is_none()) && snapshot.instances.is_some() {
            continue;
        }
        total += 1;
        let gone = on_its_way(node, claim) || forced.contains(&*node.name);
        going += usize::from(gone || !node.ready);
    }
    (total, going)
}

fn allowed(pool: &NodePool, reason: DisruptionReason, total: usize) -> usize {
    let open = |window: Window| match window {
        Window::Always | Window::Until(_) => true,
        Window::From(_) | Window::Never => false,
    };
    if !open(pool.disruption.allowed) {
        return 0;
    }
    let bounds = |budget: &&Budget| {
        let named = |name: &String| name == reason.as_str();
        open(budget.window) && (budget.reasons.is_empty() || budget.reasons.iter().any(named))
    };
    let count = |budget: &Budget| match budget.nodes.strip_suffix('%') {
        Some(share) => {
            let share = share.parse::<usize>().ok().filter(|share| *share <= 100);
            share.map_or(0, |share| (share * total).div_ceil(100))
        }
        None => budget.nodes.parse().unwrap_or(0),
    };
    let own = pool.disruption.budgets.iter().filter(bounds).map(count).min();
    let old = matches!(pool.api_version, ApiVersion::Legacy | ApiVersion::BuiltIn);
    let tenth = (old && pool.disruption.budgets.is_empty()).then(|| total.div_ceil(10));
    own.or(tenth).unwrap_or(total)
}
