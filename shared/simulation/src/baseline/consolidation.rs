//! Upstream's consolidation around upstream's packer.
//!
//! Rules: kubernetes-sigs/karpenter `pkg/controllers/disruption` (v1.13). Every 10 s one method acts: empty nodes; else the first
//! nodes of the order, as many as can go together for at most one new node (binary search among at most 100); else one node
//! for none or one. What is bought must be cheaper than what goes. A decision is made again after 15 s, then the nodes are closed,
//! the new one is bought and waited for, and they go. Left out: spot, lifetimes in the order of candidates, time-outs (an
//! answer comes at once here, which only helps it).

use super::packer::Policy;
use super::upstream::{Upstream, launch};
use super::view::pool;
use super::what_if::{Answer, WhatIf, price, types};
use crate::{Cadence, Decider};
use model::{
    DisruptionReason, Duration, Launch, MicroUsdPerHour, Node, Plan, Pod, Removal, Snapshot, Step,
    Timestamp, labels,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How often it looks (`pollingPeriod`).
const POLL_MS: i64 = 10_000;
/// How long a decision waits to be made again (`consolidationTTL`).
const VALIDATE_AFTER: Duration = Duration(15);
/// The most nodes that go together (`MaxParallel`).
const MOST_TOGETHER: usize = 100;
/// A new node that has not come by then is given up.
const GIVE_UP_AFTER: Duration = Duration(600);

/// The decider: `Upstream`, and what has begun.
#[derive(Clone, Debug, Default)]
pub struct UpstreamConsolidation {
    /// What waits to be decided again.
    decided: Option<Command>,
    /// What waits for its new node.
    begun: Vec<Command>,
    made: u64,
    /// What the cluster was like when nothing was found.
    idle: Option<u64>,
}

/// Nodes that go, and what is bought in their place.
#[derive(Clone, Debug)]
struct Command {
    id: String,
    nodes: Vec<Arc<str>>,
    launch: Option<Launch>,
    since: Timestamp,
}

impl Decider for UpstreamConsolidation {
    fn decide(&mut self, snapshot: &Snapshot) -> Plan {
        let mut plan = Upstream.decide(snapshot);
        let empty = std::mem::take(&mut plan.removals);
        self.go_on(snapshot, &mut plan);
        let mut left = self.allowed(snapshot);
        let marked = |removal: &Removal| {
            self.begun.iter().any(|command| command.nodes.contains(&removal.node))
        };
        let empty: Vec<Removal> =
            empty.into_iter().filter(|removal| !marked(removal)).take(left).collect();
        left -= empty.len();
        let acted = !empty.is_empty();
        plan.removals.extend(empty);
        if !acted && left > 0 {
            self.consolidate(snapshot, left, &mut plan);
        }
        plan
    }

    fn cadence(&self) -> Cadence {
        Cadence::Batched { idle_ms: 1_000, max_ms: 10_000, tick_ms: POLL_MS }
    }
}

impl UpstreamConsolidation {
    /// What has begun ends when its node has come, or is called off.
    fn go_on(&mut self, snapshot: &Snapshot, plan: &mut Plan) {
        let mut claims: BTreeMap<&str, bool> = BTreeMap::new();
        for claim in &snapshot.node_claims {
            if let Some(id) = claim.launch.as_ref().and_then(|launch| launch.replaces.as_deref()) {
                claims.insert(id, claim.progress.initialized);
            }
        }
        let begun = std::mem::take(&mut self.begun);
        for command in begun {
            let late = snapshot.now.since(command.since) >= GIVE_UP_AFTER;
            match claims.get(command.id.as_str()) {
                Some(true) => plan.removals.extend(command.nodes.iter().map(removal)),
                Some(false) if !late => self.begun.push(command),
                None if snapshot.now.since(command.since) < VALIDATE_AFTER => {
                    self.begun.push(command);
                }
                Some(false) | None => plan.steps.extend(command.nodes.iter().map(uncordon)),
            }
        }
    }

    /// How many more nodes may go by the pool's budget, which is a percentage or a count.
    fn allowed(&self, snapshot: &Snapshot) -> usize {
        let set_up = snapshot.nodes.iter().filter(|node| node.initialized());
        let (mut total, mut going) = (0_usize, 0);
        for node in set_up {
            total += 1;
            going += usize::from(node.deleting || !node.ready || is_closed(node));
        }
        let budgets = pool(snapshot).into_iter().flat_map(|pool| &pool.disruption.budgets);
        let nodes = |budget: &model::pool::Budget| match budget.nodes.strip_suffix('%') {
            Some(share) => (total * share.parse().unwrap_or(0)).div_ceil(100),
            None => budget.nodes.parse().unwrap_or(0),
        };
        budgets.map(nodes).min().unwrap_or(total).saturating_sub(going)
    }

    fn consolidate(&mut self, snapshot: &Snapshot, left: usize, plan: &mut Plan) {
        let mut candidates = candidates(snapshot);
        if let Some(decided) = self.decided.take() {
            let ripe = decided.since.plus(VALIDATE_AFTER);
            if ripe > snapshot.now {
                plan.wake_at = plan.wake_at.into_iter().chain([ripe]).min();
                self.decided = Some(decided);
            } else {
                self.validate(snapshot, &candidates, left, decided, plan);
            }
            return;
        }
        let print = fingerprint(snapshot, &candidates);
        if candidates.is_empty() || self.idle == Some(print) {
            return;
        }
        let what_if = what_if(snapshot, &candidates);
        candidates.sort_by_key(|node| order(node, what_if.moved(node)));
        let found = together(&what_if, &candidates, left).or_else(|| {
            let alone =
                |node: &&'_ Node| Some((vec![node.name.clone()], option(&what_if, &[node])?));
            candidates.iter().find_map(alone)
        });
        self.idle = found.is_none().then_some(print);
        let Some((nodes, launch)) = found else { return };
        self.made += 1;
        self.decided = Some(Command {
            id: format!("underutilized-{}", self.made),
            nodes,
            launch,
            since: snapshot.now,
        });
        plan.wake_at = plan.wake_at.into_iter().chain([snapshot.now.plus(VALIDATE_AFTER)]).min();
    }

    /// The decision is made again: if it is still right, it begins.
    fn validate(
        &mut self,
        snapshot: &Snapshot,
        candidates: &[&Node],
        left: usize,
        mut decided: Command,
        plan: &mut Plan,
    ) {
        let own = |node: &&&Node| decided.nodes.contains(&node.name);
        let nodes: Vec<&Node> = candidates.iter().filter(own).copied().collect();
        if nodes.len() != decided.nodes.len() || nodes.len() > left {
            return;
        }
        let Some(again) = option(&what_if(snapshot, &nodes), &nodes) else { return };
        match (again, decided.launch.take()) {
            (None, _) => plan.removals.extend(decided.nodes.iter().map(removal)),
            (Some(_), None) => {}
            (Some(mut launch), Some(_)) => {
                launch.replaces = Some(decided.id.clone());
                launch.name = format!("{}-{}", launch.node_pool, decided.id).into();
                plan.steps.extend(decided.nodes.iter().map(cordon));
                plan.launches.push(launch);
                decided.since = snapshot.now;
                self.begun.push(decided);
            }
        }
    }
}

fn what_if<'a>(snapshot: &'a Snapshot, nodes: &[&'a Node]) -> WhatIf<'a> {
    let quiet: BTreeSet<&str> = quiet(snapshot).into_iter().map(|node| &*node.name).collect();
    let restless = snapshot.nodes.iter().filter(|node| node.initialized());
    let restless = restless.map(|node| &*node.name).filter(|name| !quiet.contains(name)).collect();
    WhatIf::new(snapshot, nodes, types(snapshot), &restless, Policy::Upstream)
}

/// The dearest for the least disturbance first.
fn order(node: &Node, pods: usize) -> (std::cmp::Reverse<u64>, &str) {
    let price = node.price.unwrap_or_default().0;
    (std::cmp::Reverse(price * 1000 / (pods as u64 + 1)), &node.name)
}

/// As many of the first nodes as can go together, by binary search, as upstream's `firstNConsolidationOption`.
fn together(
    what_if: &WhatIf<'_>,
    candidates: &[&Node],
    left: usize,
) -> Option<(Vec<Arc<str>>, Option<Launch>)> {
    let most = candidates.len().min(left).min(MOST_TOGETHER);
    let (mut low, mut high) = (2, most);
    let mut found = None;
    while low <= high {
        let count = low.midpoint(high);
        match option(what_if, &candidates[..count]) {
            Some(launch) => {
                let names = candidates[..count].iter().map(|node| node.name.clone());
                found = Some((names.collect(), launch));
                low = count + 1;
            }
            None => high = count - 1,
        }
    }
    found
}

/// What would be bought if the nodes went, if anything; `None` if they cannot go, or not for less.
fn option(what_if: &WhatIf<'_>, nodes: &[&Node]) -> Option<Option<Launch>> {
    let claim = match what_if.without(nodes) {
        Answer::No => return None,
        Answer::Fits => return Some(None),
        Answer::Buys(claim) => claim,
    };
    let mut most = price(nodes);
    if nodes.len() > 1 {
        let same = |node: &&&Node| {
            let own = node.label(labels::INSTANCE_TYPE);
            claim.types.iter().any(|known| Some(&*what_if.view.types[*known].name) == own)
        };
        let cheapest = nodes.iter().filter(same).filter_map(|node| node.price).min();
        most = most.min(cheapest.unwrap_or(MicroUsdPerHour(u64::MAX)));
    }
    let mut launch = launch(&what_if.view, what_if.pool, 0, &claim)?;
    std::sync::Arc::make_mut(&mut launch.alternatives).retain(|other| other.price < most);
    (launch.offering.price < most).then_some(Some(launch))
}

/// Nodes that may go: set up, with pods, and unchanged for as long as the pool asks.
fn candidates(snapshot: &Snapshot) -> Vec<&Node> {
    let used: BTreeSet<&str> = snapshot
        .pods
        .iter()
        .filter(|pod| pod.is_reschedulable())
        .filter_map(|pod| pod.node_name.as_deref())
        .collect();
    let goes = |node: &&Node| used.contains(&*node.name) && node.price.is_some();
    quiet(snapshot).into_iter().filter(goes).collect()
}

/// Nodes that are set up and to which nothing has been bound for as long as the pool asks.
fn quiet(snapshot: &Snapshot) -> Vec<&Node> {
    let after = pool(snapshot).and_then(|pool| pool.disruption.consolidate_after);
    let Some(after) = after else { return Vec::new() };
    let mut changed: BTreeMap<&str, Timestamp> = BTreeMap::new();
    for pod in snapshot.pods.iter().filter(|pod| !pod.is_daemon()) {
        let bound = pod.node_name.as_deref().zip(pod.bound_at);
        if let Some((node, at)) = bound {
            let last = changed.entry(node).or_default();
            *last = (*last).max(at);
        }
    }
    let rests = |node: &&Node| {
        let last = changed.get(&*node.name).copied().max(node.created_at);
        let open = node.initialized() && node.ready && !node.deleting && !is_closed(node);
        open && last.is_none_or(|last| last.plus(after) <= snapshot.now)
    };
    snapshot.nodes.iter().filter(rests).collect()
}

fn is_closed(node: &Node) -> bool {
    node.taints.iter().any(|taint| taint.key == labels::DISRUPTED_TAINT)
}

/// FNV-1a over what a decision depends on: candidates, and which pod is where.
fn fingerprint(snapshot: &Snapshot, candidates: &[&Node]) -> u64 {
    let hash = |hash: u64, bytes: &str| {
        bytes
            .bytes()
            .chain([0])
            .fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    };
    let start = candidates.iter().fold(0xcbf2_9ce4_8422_2325, |sum, node| hash(sum, &node.name));
    let of = |pod: &Pod| hash(hash(start, &pod.id.name), pod.node_name.as_deref().unwrap_or("-"));
    snapshot.pods.iter().fold(start, |sum, pod| sum.wrapping_add(of(pod)))
}

fn removal(node: &Arc<str>) -> Removal {
    Removal { node: node.clone(), reason: DisruptionReason::Underutilized, saves: None }
}

fn cordon(node: &Arc<str>) -> Step {
    Step::Cordon { node: node.clone() }
}

fn uncordon(node: &Arc<str>) -> Step {
    Step::Uncordon { node: node.clone() }
}
