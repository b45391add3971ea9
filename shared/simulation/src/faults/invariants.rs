//! What must hold after every step, whatever goes wrong (ARCHITECTURE.md, invariants).

use super::carry_out::type_of;
use super::ec2;
use super::event::{ClaimId, InstanceId};
use super::turn::Turn;
use super::world::World;
use crate::SimTime;
use model::claim::NodeClaim;
use model::disruption::{Stage, Window};
use model::pool::{ApiVersion, Budget};
use model::resources::NODES;
use model::step::DeleteReason;
use model::taints::{Effect, Taint, tolerates};
use model::{DisruptionReason, NodePool, PodId, Resources, Step, Timestamp, labels};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// An instance may be without an owner for as long as a node may take to register, in milliseconds.
const OWNERLESS_MS: i64 = 900_000;
/// A pod is deleted past its budget this much before its deadline less its grace, at most: the margin and a turn, in seconds.
const EARLY_S: i64 = 30;

/// An invariant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// No decision launches twice.
    OneLaunchPerDecision,
    /// No instance is left without an owner for longer than the registration timeout.
    EveryInstanceHasAnOwner,
    /// Only nodes of this cluster, made by Joiner, are ever drained or terminated.
    OnlyOwnNodes,
    /// Node disruption budgets are never broken by a voluntary action.
    NodeBudgets,
    /// Pod disruption budgets are never broken by a voluntary action.
    PodBudgets,
    /// `karpenter.sh/do-not-disrupt` is never broken by a voluntary action.
    DoNotDisrupt,
    /// No instance is terminated under pods that could still have been evicted.
    DrainedFirst,
    /// Limits are never exceeded, counting what is in flight.
    Limits,
    /// The check of the plan finds nothing.
    PlanPassesCheck,
    /// At the end every pod that can be placed is placed.
    EverythingPlaced,
    /// At the end nothing is left over.
    NothingLeaks,
    /// At the end planning again disrupts nothing more.
    Settles,
    /// No pod is evicted from a node that AWS takes before its place was asked for, unless there is no time left.
    ReplacedFirst,
}

/// An invariant broken: which, when, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant.
    pub rule: Rule,
    /// When.
    pub at: SimTime,
    /// What broke it.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {:.3} s: {}", self.rule, self.at.0 as f64 / 1000.0, self.what)
    }
}

impl World {
    /// What can be told of the world as a whole, after every call and every minute.
    pub(super) fn check_world(&mut self) {
        let doubled = self.ec2.bought.iter().filter(|(_, (size, count))| count > size);
        for (batch, (size, count)) in doubled.map(|(k, v)| (k.clone(), *v)).collect::<Vec<_>>() {
            let what = format!("batch {batch} of {size} was bought {count} times");
            self.violate(Rule::OneLaunchPerDecision, what);
        }
        self.check_owners();
        self.check_limits();
    }

    fn check_owners(&mut self) {
        let owned = self.claims.values().filter_map(|record| record.instance);
        let owned = owned.collect::<BTreeSet<_>>();
        let waiting = self.api.all().node_claims.iter().filter(|claim| claim.provider_id.is_none());
        let waiting = waiting.filter_map(|claim| Some(claim.launch.as_ref()?.batch.clone()));
        let waiting = waiting.collect::<BTreeSet<_>>();
        let now = self.now;
        for id in self.own_instances().collect::<Vec<_>>() {
            let record = &mut self.ec2.instances[id.0];
            let batch = record.instance.tags.get(labels::BATCH);
            let has_owner =
                owned.contains(&id) || batch.is_some_and(|batch| waiting.contains(batch));
            if has_owner {
                record.ownerless_since = None;
                continue;
            }
            let since = *record.ownerless_since.get_or_insert(now);
            if now.since_ms(since) > OWNERLESS_MS {
                let what = format!("{} has no claim", record.instance.id);
                self.violate(Rule::EveryInstanceHasAnOwner, what);
            }
        }
    }

    /// By what was bought: a claim that was written too late and never bought costs nothing.
    fn check_limits(&mut self) {
        let limited = self.api.all().node_pools.iter().filter(|pool| !pool.limits.is_empty());
        for (name, limits) in
            limited.map(|pool| (pool.name.clone(), pool.limits.clone())).collect::<Vec<_>>()
        {
            let mut used = Resources::new();
            let types = self.types();
            for id in &self.ec2.live {
                let record = &self.ec2.instances[id.0];
                let of_pool = record.bootstrap.labels.get(labels::NODE_POOL) == Some(&name);
                let known = type_of(&types, &record.instance.instance_type);
                if let Some(known) = known.filter(|_| of_pool && record.instance.is_live()) {
                    used.add(&known.capacity);
                    used.add(&Resources::new().with(NODES, 1));
                }
            }
            let over = limits.iter().find(|(name, limit)| used.get(name.as_str()) > *limit);
            if let Some((resource, limit)) = over {
                let used = used.get(resource.as_str());
                let what = format!("pool {name} has {used} of {resource}, its limit is {limit}");
                self.violate(Rule::Limits, what);
            }
        }
    }

    /// An instance is about to be written on a claim.
    pub(super) fn check_assignment(&mut self, claim: ClaimId, instance: InstanceId) {
        let twice = self.claims.iter().any(|(id, record)| {
            let (same, has) = (*id == claim, record.instance);
            (same && has.is_some_and(|has| has != instance)) || (!same && has == Some(instance))
        });
        if twice {
            let name = self.claims.get(&claim).map(|record| record.name.clone());
            let what = format!("claim {name:?} and instance {} are not one to one", instance.0);
            self.violate(Rule::OneLaunchPerDecision, what);
        }
    }

    /// A step is about to be taken.
    pub(super) fn check_step(&mut self, turn: &Turn, step: &Step) {
        match step {
            Step::Delete { claim, reason } => {
                self.check_own_claim(claim);
                if let DeleteReason::Disrupted(reason) = reason {
                    self.check_voluntary(turn, claim, *reason);
                }
            }
            Step::MarkDisruption { claim, disruption } => {
                self.check_own_claim(claim);
                let committed = disruption.as_ref().filter(|known| known.stage == Stage::Committed);
                match committed {
                    Some(disruption) => self.check_voluntary(turn, claim, disruption.reason),
                    None => {
                        self.claim_ids.get(claim).map(|id| self.voluntary.remove(id));
                    }
                }
            }
            Step::MarkInterrupted { claim, .. } | Step::ReleaseClaim { claim } => {
                self.check_own_claim(claim);
            }
            Step::Cordon { node }
            | Step::Uncordon { node }
            | Step::ReleaseNode { node }
            | Step::DeleteNode { node }
            | Step::MarkEmpty { node, .. }
            | Step::Register { node, .. }
            | Step::Initialize { node, .. } => self.check_own_node(node),
            Step::Evict { pod, uid, .. } => self.check_eviction(pod, uid),
            Step::ForceDelete { pod, uid, .. } => self.check_force(pod, uid),
            Step::Launch { .. } | Step::Adopt { .. } | Step::Terminate { .. } => {}
        }
    }

    fn check_own_claim(&mut self, name: &Arc<str>) {
        let id = self.claim_ids.get(name);
        let foreign =
            id.and_then(|id| self.api.see_claim(*id)).is_some_and(|claim| claim.launch.is_none());
        if foreign {
            self.violate(Rule::OnlyOwnNodes, format!("claim {name} is not Joiner's"));
        }
    }

    fn check_own_node(&mut self, name: &Arc<str>) {
        let id = self.node_ids.get(name);
        let known = id.and_then(|id| self.nodes.get(id));
        if known.is_some_and(|node| node.foreign || self.all_foreign) {
            self.violate(Rule::OnlyOwnNodes, format!("node {name} is not Joiner's"));
        }
    }

    /// A node begins to go without need: budgets hold, and nobody has said that it must not be disturbed.
    fn check_voluntary(&mut self, turn: &Turn, name: &Arc<str>, reason: DisruptionReason) {
        let Some(id) = self.claim_ids.get(name).copied() else { return };
        let Some(claim) = self.api.see_claim(id) else { return };
        let pools = &self.api.all().node_pools;
        let Some(pool) = pools.iter().find(|pool| pool.name == claim.pool).cloned() else { return };
        if !is_voluntary(reason, &pool) || claim.deleting || self.voluntary.contains(&id) {
            return;
        }
        let begun = |other: &&ClaimId| {
            // Nodes whose instances are being terminated no longer count, as upstream.
            let instance =
                self.claims.get(other).and_then(|record| self.instance(record.instance?));
            let live = instance.is_some_and(|record| record.instance.is_live());
            let claim = self.api.see_claim(**other);
            **other != id && live && claim.is_some_and(|claim| claim.pool == pool.name)
        };
        let going = self.voluntary.iter().filter(begun).count() + 1;
        let total = turn.nodes_of_pool.get(&pool.name).copied().unwrap_or(0);
        let node = self.node_of_claim(claim);
        let protected = node.and_then(|node| self.protected_pod(node, turn.now, claim, reason));
        self.voluntary.insert(id);
        self.voluntary.retain(|id| self.claims.contains_key(id));
        let quiet = self.setup.quiet.iter().any(|own| own.pool == pool.name && own.is_on(turn.now));
        if self.no_budgets || quiet || going > allowed(&pool, reason, total) {
            let what =
                format!("{name} goes as {reason:?}: {going} of {total} nodes of {} go", pool.name);
            self.violate(Rule::NodeBudgets, what);
        }
        if let Some(pod) = protected {
            self.violate(Rule::DoNotDisrupt, format!("{name} goes as {reason:?} under {pod}"));
        }
    }

    fn node_of_claim(&self, claim: &NodeClaim) -> Option<crate::kube_scheduler::NodeId> {
        let instance = ec2::number(claim.provider_id.as_deref()?)?;
        self.instance(instance)?.node
    }

    /// A pod of the node that must not be disturbed, and that was there when the turn read pods.
    fn protected_pod(
        &self,
        node: crate::kube_scheduler::NodeId,
        read_at: Timestamp,
        claim: &NodeClaim,
        reason: DisruptionReason,
    ) -> Option<PodId> {
        if reason == DisruptionReason::Drifted && claim.termination_grace_period.is_some() {
            return None;
        }
        let pods = self.nodes.get(&node)?.pods.iter().filter_map(|pod| self.api.see_pod(*pod));
        let mut protected = pods.filter(|pod| {
            let known = pod.bound_at.is_some_and(|at| at.0 + 10 < read_at.0);
            pod.do_not_disrupt && known && !pod.is_terminal() && pod.deletion_at.is_none()
        });
        protected.next().map(|pod| pod.id.clone())
    }

    fn claim_under(&self, pod: &PodId, uid: &str) -> Option<&NodeClaim> {
        let key = self.pod_keys.get(pod)?;
        self.api.see_pod(*key).filter(|object| object.uid == uid)?;
        let node = self.nodes.get(&self.pods.get(key)?.node?)?;
        self.api.see_claim(self.claim_of(node.instance?)?)
    }

    fn check_eviction(&mut self, pod: &PodId, uid: &str) {
        self.check_own_pod(pod, uid);
        let object = self.pod_keys.get(pod).and_then(|key| self.api.see_pod(*key));
        let protected = object.is_some_and(|object| object.uid == uid && object.do_not_disrupt);
        let interrupted =
            self.claim_under(pod, uid).is_some_and(|claim| claim.interruption.is_some());
        if protected && !interrupted {
            self.violate(Rule::DoNotDisrupt, format!("{pod} is evicted"));
        }
        if let Some(key) = self.pod_keys.get(pod)
            && let Some(watched) = self.watch.pods.get(key)
            && watched.asked_at.is_none()
            && self.now < watched.latest()
        {
            self.violate(
                Rule::ReplacedFirst,
                format!("{pod} is evicted before its place was asked for"),
            );
        }
    }

    fn check_own_pod(&mut self, pod: &PodId, uid: &str) {
        let key = self.pod_keys.get(pod);
        let same = key.and_then(|key| self.api.see_pod(*key)).is_some_and(|pod| pod.uid == uid);
        let node = key.and_then(|key| self.pods.get(key)?.node);
        if same && node.and_then(|node| self.nodes.get(&node)).is_some_and(|node| node.foreign) {
            self.violate(Rule::OnlyOwnNodes, format!("{pod} runs on no node of Joiner's"));
        }
    }

    /// Only a deadline lets a pod be deleted past its budget.
    fn check_force(&mut self, pod: &PodId, uid: &str) {
        self.check_own_pod(pod, uid);
        let Some(claim) = self.claim_under(pod, uid) else { return };
        let key = self.pod_keys.get(pod);
        let grace_s = key.and_then(|key| self.api.see_pod(*key));
        let grace_s = grace_s.map_or(0, |pod| pod.spec.termination_grace_period_s);
        let unhealthy = claim
            .disruption
            .as_ref()
            .is_some_and(|known| known.reason == DisruptionReason::Unhealthy);
        let by_id = claim.provider_id.as_deref().and_then(ec2::number);
        let told = by_id.and_then(|id| self.warning_of(id)?.deadline);
        let due = deadline(claim)
            .into_iter()
            .chain(told)
            .any(|deadline| self.now.timestamp().0 >= deadline.0 - grace_s - EARLY_S);
        if !due && !unhealthy {
            self.violate(Rule::PodBudgets, format!("{pod} is deleted past its budget"));
        }
    }

    /// An instance is about to be terminated: it is Joiner's, and no pod on it could still be evicted.
    pub(super) fn check_termination(&mut self, id: &str) {
        let Some(instance) = ec2::number(id) else { return };
        let Some(record) = self.instance(instance) else { return };
        let (node, ours) = (record.node, record.instance.tags.contains_key(labels::BATCH));
        if !ours {
            self.violate(Rule::OnlyOwnNodes, format!("{id} is terminated and not Joiner's"));
        }
        let claim = self.claim_of(instance).and_then(|claim| self.api.see_claim(claim));
        let late = claim.is_none_or(|claim| {
            claim.interruption.is_some()
                || deadline(claim).is_some_and(|at| self.now.timestamp() >= at)
        });
        let Some(host) = node.and_then(|node| self.nodes.get(&node)) else { return };
        let ready = node.and_then(|node| self.api.see_node(node)).is_some_and(|node| node.ready);
        if late || !host.alive || !ready {
            return;
        }
        let taint = Taint {
            key: labels::DISRUPTED_TAINT.to_owned(),
            value: String::new(),
            effect: Effect::NoSchedule,
        };
        let mut left = host.pods.iter().filter_map(|pod| self.api.see_pod(*pod)).filter(|pod| {
            !pod.is_terminal()
                && !tolerates(&pod.spec.tolerations, &taint)
                && pod.deletion_at.is_none_or(|at| self.now.timestamp().since(at).0 <= 60)
        });
        if let Some(pod) = left.next() {
            let what = format!("{id} is terminated under {}", pod.id);
            self.violate(Rule::DrainedFirst, what);
        }
    }
}

/// When the claim's node is to be gone, come what may.
fn deadline(claim: &NodeClaim) -> Option<Timestamp> {
    let interrupted = claim.interruption.and_then(|told| told.deadline);
    let grace = claim.deletion_at.zip(claim.termination_grace_period);
    let grace = grace.map(|(at, grace)| at.plus(grace));
    interrupted.into_iter().chain(grace).min()
}

/// Expiration of v1 pools is forceful, as Karpenter's is; interruption and repair are no choice.
fn is_voluntary(reason: DisruptionReason, pool: &NodePool) -> bool {
    match reason {
        DisruptionReason::Interrupted | DisruptionReason::Unhealthy => false,
        DisruptionReason::Expired => pool.api_version == ApiVersion::Legacy,
        DisruptionReason::Drifted | DisruptionReason::Empty | DisruptionReason::Underutilized => {
            true
        }
    }
}

fn allowed(pool: &NodePool, reason: DisruptionReason, total: usize) -> usize {
    let holds = |budget: &&Budget| {
        budget.window == Window::Always
            && (budget.reasons.is_empty()
                || budget.reasons.iter().any(|named| named == reason.as_str()))
    };
    let nodes = |budget: &Budget| match budget.nodes.strip_suffix('%') {
        Some(percent) => (total * percent.parse::<usize>().unwrap_or(0)).div_ceil(100),
        None => budget.nodes.parse().unwrap_or(0),
    };
    pool.disruption.budgets.iter().filter(holds).map(nodes).min().unwrap_or(usize::MAX)
}
