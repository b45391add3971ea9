//! Which nodes may be taken away without force, and what keeps the others.

use crate::leaving::Leaving;
use crate::view::View;
use model::pool::ConsolidationPolicy;
use model::snapshot::PodDisruptionBudget;
use model::taints::{disrupted, tolerates};
use model::{
    CapacityType, DisruptionReason, Ineligible, Labels, Node, NodeClaim, NodePool, Pod, PodId,
    Timestamp,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A node that may be taken away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'a> {
    /// The node.
    pub(crate) node: &'a Node,
    /// Its claim; none where AWS was not asked (a dump) and the claim is another's.
    pub(crate) claim: Option<&'a NodeClaim>,
    /// Its pool.
    pub(crate) pool: &'a NodePool,
}

/// Answers for every node of a turn.
pub(crate) struct Eligibility<'v, 'a> {
    view: &'v View<'a>,
    leaving: &'v Leaving<'a>,
    /// Nodes that pods are on their way to, with one of them.
    coming: BTreeMap<&'v str, &'v PodId>,
    /// By namespace.
    budgets: BTreeMap<&'a str, Vec<&'a PodDisruptionBudget>>,
    /// By namespace and labels, the budgets that select such pods.
    memo: BTreeMap<(&'a str, *const Labels), Vec<&'a PodDisruptionBudget>>,
}

impl<'v, 'a> Eligibility<'v, 'a> {
    /// For a turn in which these pods are on their way to these nodes.
    pub(crate) fn new(
        view: &'v View<'a>,
        leaving: &'v Leaving<'a>,
        placements: &'v [model::Placement],
    ) -> Self {
        let mut budgets: BTreeMap<&str, Vec<&PodDisruptionBudget>> = BTreeMap::new();
        for budget in &view.snapshot.pod_disruption_budgets {
            budgets.entry(&budget.namespace).or_default().push(budget);
        }
        budgets.values_mut().for_each(|own| own.sort_by(|a, b| a.name.cmp(&b.name)));
        // Room that is kept free can be kept elsewhere.
        let coming = placements.iter().filter(|placement| !placement.pod.is_virtual());
        let coming = coming.map(|placement| (&*placement.node, &placement.pod));
        Self { view, leaving, coming: coming.collect(), budgets, memo: BTreeMap::new() }
    }

    /// Whether the node may go for this reason, but for budgets of its pool.
    pub(crate) fn of(
        &mut self,
        node: &'a Node,
        reason: DisruptionReason,
    ) -> Result<Candidate<'a>, Ineligible> {
        let candidate = self.candidate(node)?;
        self.in_peace(&candidate)?;
        rules(&candidate, reason)?;
        let forced = reason == DisruptionReason::Drifted
            && candidate.claim.is_some_and(|claim| claim.termination_grace_period.is_some());
        if !forced {
            self.pods_may_go(node)?;
        }
        if reason == DisruptionReason::Underutilized {
            self.quiet(&candidate)?;
        }
        Ok(candidate)
    }

    fn candidate(&self, node: &'a Node) -> Result<Candidate<'a>, Ineligible> {
        let known = self.view.claim_of_instance(crate::view::instance_id(&node.provider_id));
        let claim = self.view.claim_of_node(node);
        if !self.view.is_managed(node) {
            return Err(known.map_or(Ineligible::NoClaim, |_| Ineligible::NotJoiners));
        }
        let name = node.pool().or(claim.map(|claim| claim.pool.as_str())).unwrap_or_default();
        let pool = self.view.pools.get(name).copied();
        let pool = pool.ok_or_else(|| Ineligible::PoolGone { pool: name.to_owned() })?;
        Ok(Candidate { node, claim, pool })
    }

    /// Neither coming, nor going, nor about to be used.
    fn in_peace(&self, candidate: &Candidate<'a>) -> Result<(), Ineligible> {
        let Candidate { node, claim, .. } = candidate;
        let begun = claim.and_then(|claim| claim.disruption.as_ref());
        let begun = begun.filter(|begun| begun.stage == model::disruption::Stage::Committed);
        if let Some(begun) = begun {
            let (id, reason) = (begun.id.clone(), begun.reason);
            return Err(Ineligible::InDisruption { id, reason });
        }
        if self.leaving.contains(&node.name) {
            return Err(Ineligible::Leaving);
        }
        if !node.initialized() || claim.is_some_and(|claim| !claim.progress.initialized) {
            return Err(Ineligible::NotInitialized);
        }
        let nominated = claim.and_then(|claim| claim.nominated.first());
        if let Some(pod) = nominated.or(self.coming.get(&*node.name).copied()) {
            return Err(Ineligible::Nominated { pod: Some(pod.clone()) });
        }
        if node.do_not_disrupt { Err(Ineligible::DoNotDisrupt) } else { Ok(()) }
    }

    /// No pod is protected, by its annotation or by budgets.
    pub(crate) fn pods_may_go(&mut self, node: &Node) -> Result<(), Ineligible> {
        let view = self.view;
        let live = view.pods_of_node(&node.name).iter().copied().filter(|pod| !pod.is_terminal());
        for pod in live {
            if pod.do_not_disrupt {
                return Err(Ineligible::PodDoNotDisrupt { pod: pod.id.clone() });
            }
            self.budgets_allow(pod)?;
        }
        Ok(())
    }

    /// As the Eviction API would answer. Mirror pods and those that stay on a tainted node are never evicted.
    fn budgets_allow(&mut self, pod: &'a Pod) -> Result<(), Ineligible> {
        let stays = tolerates(&pod.spec.tolerations, &disrupted());
        if pod.is_static() || pod.deletion_at.is_some() || stays || self.budgets.is_empty() {
            return Ok(());
        }
        let own = self.budgets_of(pod);
        if own.len() > 1 {
            return Err(Ineligible::SeveralBudgets { pod: pod.id.clone() });
        }
        let blocks = |budget: &&&PodDisruptionBudget| {
            budget.disruptions_allowed <= 0 && (pod.ready || !budget.unready_may_go)
        };
        own.iter().find(blocks).map_or(Ok(()), |budget| {
            let (pod, budget) = (pod.id.clone(), budget.name.clone());
            Err(Ineligible::PodDisruptionBudget { pod, budget })
        })
    }

    fn budgets_of(&mut self, pod: &'a Pod) -> &[&'a PodDisruptionBudget] {
        let key = (&*pod.id.namespace, Arc::as_ptr(&pod.labels));
        let budgets = &self.budgets;
        self.memo.entry(key).or_insert_with(|| {
            let own = budgets.get(&*pod.id.namespace).into_iter().flatten();
            own.filter(|budget| budget.selector.matches(&pod.labels)).copied().collect()
        })
    }

    /// Nothing was bound to it, and it was not made, within the time that its pool asks for.
    fn quiet(&self, candidate: &Candidate<'a>) -> Result<(), Ineligible> {
        let Some(after) = candidate.pool.disruption.consolidate_after else { return Ok(()) };
        let until = self.last_change(candidate.node).plus(after);
        if until > self.view.snapshot.now { Err(Ineligible::TooSoon { until }) } else { Ok(()) }
    }

    /// When the newest of its pods was bound, or when it was made.
    pub(crate) fn last_change(&self, node: &Node) -> Timestamp {
        let own = |pod: &&&Pod| !pod.is_daemon() && !pod.is_static();
        let pods = self.view.pods_of_node(&node.name).iter().filter(own);
        let bound = pods.filter_map(|pod| pod.bound_at.or(pod.created_at));
        bound.chain(node.created_at).max().unwrap_or_default()
    }
}

/// What the pool has to say, by its kind and policy.
fn rules(candidate: &Candidate<'_>, reason: DisruptionReason) -> Result<(), Ineligible> {
    let pool = candidate.pool;
    let saves = matches!(reason, DisruptionReason::Underutilized | DisruptionReason::Empty);
    if saves && pool.replicas.is_some() {
        return Err(Ineligible::StaticPool { pool: pool.name.clone() });
    }
    let for_cost = reason == DisruptionReason::Underutilized;
    if for_cost && candidate.node.capacity_type() == CapacityType::Reserved {
        return Err(Ineligible::PaidAnyway);
    }
    let only_empty = for_cost && pool.disruption.policy == ConsolidationPolicy::WhenEmpty;
    if saves && (pool.disruption.consolidate_after.is_none() || only_empty) {
        return Err(Ineligible::Policy { pool: pool.name.clone() });
    }
    Ok(())
}
