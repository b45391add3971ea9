//! Only what Joiner made is taken away: every step that evicts, cordons, deletes or terminates is of a claim of its own, and no pod
//! is forced to go before its time.

use super::Findings;
use model::disruption::InterruptionKind;
use model::{
    DisruptionReason, Interruption, Node, NodeClaim, Plan, Pod, PodId, Snapshot, Step, Timestamp,
    labels,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

/// A pod on interrupted capacity is let go at most so many seconds before it would have to be.
const SPARE_S: i64 = 15;

/// Checks every step that takes something away.
pub(super) fn check(snapshot: &Snapshot, plan: &Plan, findings: &mut Findings) {
    let owned = Owned::new(snapshot);
    for step in &plan.steps {
        if let Some((subject, problem)) = owned.fault(step) {
            findings.add(subject, problem);
        }
    }
}

/// What Joiner made, by name and id.
pub(crate) struct Owned<'a> {
    claims: BTreeMap<&'a str, &'a NodeClaim>,
    nodes: BTreeSet<&'a str>,
    instances: BTreeSet<&'a str>,
    pods: BTreeMap<&'a PodId, &'a Pod>,
    by_node: BTreeMap<&'a str, &'a NodeClaim>,
    /// What AWS tells now, by instance.
    told: BTreeMap<&'a str, Interruption>,
    now: Timestamp,
}

fn id_of(provider_id: &str) -> &str {
    provider_id.rsplit('/').next().unwrap_or_default()
}

impl<'a> Owned<'a> {
    /// A claim with a launch request, an instance that such a claim names or that carries a batch, and a node of such an
    /// instance; or (the instance gone) a node that is being deleted and still carries the finalizer.
    pub(crate) fn new(snapshot: &'a Snapshot) -> Self {
        let own = snapshot.node_claims.iter().filter(|claim| claim.launch.is_some());
        let claims = own.map(|claim| (&*claim.name, claim)).collect::<BTreeMap<_, _>>();
        let named = claims
            .values()
            .filter_map(|claim| Some((id_of(claim.provider_id.as_deref()?), *claim)));
        let named = named.collect::<BTreeMap<_, _>>();
        let known = snapshot.instances.iter().flatten().map(|known| (known.id.as_str(), known));
        let known = known.collect::<BTreeMap<_, _>>();
        let bought = known.values().filter(|known| known.tags.contains_key(labels::BATCH));
        let mut instances = bought.map(|known| known.id.as_str()).collect::<BTreeSet<_>>();
        instances.extend(named.keys());
        let owned = |node: &&&Node| {
            let id = id_of(&node.provider_id);
            let orphan = !known.contains_key(id) && node.finalizer && node.deleting;
            !id.is_empty() && (instances.contains(id) || orphan)
        };
        let nodes = snapshot.nodes.iter().collect::<Vec<_>>();
        let of_claim = |node: &&'a Node| Some((&*node.name, *named.get(id_of(&node.provider_id))?));
        Self {
            nodes: nodes.iter().filter(owned).map(|node| &*node.name).collect(),
            by_node: nodes.iter().filter_map(of_claim).collect(),
            pods: snapshot.pods.iter().map(|pod| (&pod.id, pod)).collect(),
            told: known.iter().filter_map(|(id, known)| Some((*id, known.interruption?))).collect(),
            now: snapshot.now,
            claims,
            instances,
        }
    }

    /// What is wrong with the step, and of what it is wrong.
    pub(crate) fn fault(&self, step: &Step) -> Option<(String, String)> {
        let is = |wrong: bool, of: &dyn Display, problem: &str| {
            wrong.then(|| (of.to_string(), problem.to_owned()))
        };
        match step {
            Step::Delete { claim, .. }
            | Step::Adopt { claim, .. }
            | Step::Register { claim, .. }
            | Step::Initialize { claim, .. }
            | Step::MarkInterrupted { claim, .. }
            | Step::MarkDisruption { claim, .. }
            | Step::ReleaseClaim { claim } => {
                let foreign = !self.claims.contains_key(&**claim);
                is(foreign, claim, "is no claim of Joiner's, and a step changes it")
            }
            Step::Launch { batch, claims } => {
                let foreign = !claims.iter().all(|claim| self.claims.contains_key(&**claim));
                is(foreign, batch, "is bought for claims that are not there")
            }
            Step::Cordon { node }
            | Step::DeleteNode { node }
            | Step::ReleaseNode { node }
            | Step::MarkEmpty { node, .. }
            | Step::Uncordon { node } => {
                let foreign = !self.nodes.contains(&**node);
                is(foreign, node, "is no node of Joiner's, and a step takes it away")
            }
            Step::Evict { pod, node, .. } => {
                let foreign = !self.nodes.contains(&**node);
                let kept = self.pods.get(pod).is_some_and(|pod| pod.do_not_disrupt);
                is(foreign, node, "is no node of Joiner's, and a step takes it away")
                    .or_else(|| is(kept, pod, "must not be disturbed, and a step evicts it"))
            }
            Step::ForceDelete { pod, .. } => self.fault_of_force(pod),
            Step::Terminate { instance, .. } => {
                let foreign = !self.instances.contains(instance.as_str());
                is(foreign, instance, "is no instance that Joiner bought, and a step terminates it")
            }
        }
    }

    /// A pod is deleted past its budgets only where its node has a deadline, and only when its own grace would pass it.
    fn fault_of_force(&self, pod: &PodId) -> Option<(String, String)> {
        let told = |problem: &str| Some((pod.to_string(), problem.to_owned()));
        let known = self.pods.get(pod)?;
        let node = known.node_name.as_deref().filter(|node| self.nodes.contains(node));
        let Some(node) = node else {
            return told("runs on no node of Joiner's, and a step deletes it");
        };
        let Some(claim) = self.by_node.get(node) else {
            return told("runs on a node without a deadline, and a step deletes it");
        };
        let begun = claim.disruption.as_ref().map(|begun| begun.reason);
        let now = self.told.get(id_of(claim.provider_id.as_deref().unwrap_or_default()));
        let of_aws = || claim.interruption.into_iter().chain(now.copied());
        let impaired = of_aws().any(|told| told.kind == InterruptionKind::StatusImpaired);
        if impaired || begun == Some(DisruptionReason::Unhealthy) {
            return None;
        }
        let own = claim.deletion_at.zip(claim.termination_grace_period);
        let own = own.map(|(at, grace)| at.plus(grace));
        let ends = of_aws().filter_map(ends_at).chain(own).min();
        let late = ends.is_some_and(|ends| {
            self.now.0 + known.spec.termination_grace_period_s + SPARE_S >= ends.0
        });
        if late { None } else { told("still has time before its node goes, and a step deletes it") }
    }
}

/// When the instance goes, if AWS told.
fn ends_at(told: Interruption) -> Option<Timestamp> {
    match told.kind {
        InterruptionKind::Rebalance | InterruptionKind::StatusImpaired => None,
        InterruptionKind::ScheduledChange => told.deadline,
        InterruptionKind::SpotWarning
        | InterruptionKind::ReservationEnding
        | InterruptionKind::Stopping => Some(told.deadline.unwrap_or(Timestamp(told.at.0 + 120))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::step::TerminateReason;

    #[test]
    fn what_joiner_did_not_make_is_not_taken_away() {
        let foreign = Node {
            name: "n".into(),
            provider_id: "aws:///us-east-1a/i-1".to_owned(),
            finalizer: true,
            ..Node::default()
        };
        let theirs = NodeClaim {
            name: "a".into(),
            provider_id: Some(foreign.provider_id.clone()),
            ..NodeClaim::default()
        };
        let nodes = vec![foreign];
        let snapshot = Snapshot { nodes, node_claims: vec![theirs], ..Snapshot::default() };
        let reason = TerminateReason::Drained;
        let steps = [
            Step::Cordon { node: "n".into() },
            Step::ReleaseClaim { claim: "a".into() },
            Step::Terminate { instance: "i-1".to_owned(), reason },
        ];
        for step in steps {
            assert!(Owned::new(&snapshot).fault(&step).is_some(), "{step:?}");
        }
    }
}
