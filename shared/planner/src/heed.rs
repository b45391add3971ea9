//! What the check refuses is given up, and the rest of the plan is kept.

use crate::check::{Owned, Violation, check, faults_of_disruptions, is_of};
use model::step::DeleteReason;
use model::{Launch, NodeClaim, Plan, PodId, Reason, Snapshot, Step, Unschedulable};
use std::collections::{BTreeMap, BTreeSet};

/// Giving some pods up may take from others what they were placed by; after so many rounds what is wrong is left to be told.
const ROUNDS: usize = 8;

/// Gives up the pods and launches that the check refuses, checks again, and returns the plan with what is still wrong.
/// A plan without violations is returned as it is.
pub fn heed(snapshot: &Snapshot, mut plan: Plan) -> (Plan, Vec<Violation>) {
    for _ in 0..ROUNDS {
        let violations = check(snapshot, &plan);
        if violations.is_empty() || !give_up(snapshot, &mut plan, &violations) {
            return (plan, violations);
        }
    }
    let violations = check(snapshot, &plan);
    (plan, violations)
}

/// Takes the refused out of the plan; false if no violation names a pod or a launch of it.
fn give_up(snapshot: &Snapshot, plan: &mut Plan, violations: &[Violation]) -> bool {
    let (steps, removals) = (plan.steps.len(), plan.removals.len());
    keep_nodes(snapshot, plan);
    let owned = Owned::new(snapshot);
    plan.steps.retain(|step| owned.fault(step).is_none());
    let refused =
        violations.iter().map(|violation| (violation.subject.as_str(), violation.problem.as_str()));
    let refused = refused.collect::<BTreeMap<_, _>>();
    let mut lost: Vec<Unschedulable> = Vec::new();
    let mut keep = |pod: &PodId, whole: Option<&&str>| {
        let problem = whole.copied().or_else(|| refused.get(pod.to_string().as_str()).copied());
        lost.extend(problem.map(|problem| unschedulable(pod, problem)));
        problem.is_none()
    };
    plan.placements.retain(|placement| keep(&placement.pod, None));
    for launch in &mut plan.launches {
        let whole = refused.get(&*launch.name);
        launch.pods.retain(|pod| keep(pod, whole));
    }
    let fixed = snapshot.node_pools.iter().filter(|pool| pool.replicas.is_some());
    let fixed = fixed.map(|pool| pool.name.as_str()).collect::<BTreeSet<_>>();
    let launches = plan.launches.len();
    plan.launches.retain(|launch: &Launch| {
        let of_static_pool = fixed.contains(launch.node_pool.as_str());
        let kept = of_static_pool && !refused.contains_key(&*launch.name);
        kept || !launch.pods.is_empty()
    });
    let fewer = plan.launches.len() < launches;
    let any_lost = !lost.is_empty();
    // A pod that is refused a place while it runs stays where it is, and does not wait.
    let running = snapshot.pods.iter().filter(|pod| pod.node_name.is_some()).map(|pod| &pod.id);
    let running = running.collect::<BTreeSet<_>>();
    plan.unschedulable.extend(lost.into_iter().filter(|left| !running.contains(&left.pod)));
    plan.unschedulable.sort_by(|a, b| a.pod.cmp(&b.pod));
    plan.cost.planned = plan.launches.iter().map(|launch| launch.offering.price).sum();
    // The bound was for more pods: without a new one, nothing is claimed.
    plan.cost.lower_bound = model::MicroUsdPerHour::ZERO;
    any_lost || fewer || plan.steps.len() < steps || plan.removals.len() < removals
}

/// Gives up taking away the nodes that may not be: their claims are neither marked nor deleted.
fn keep_nodes(snapshot: &Snapshot, plan: &mut Plan) {
    let refused = faults_of_disruptions(snapshot, plan);
    let nodes = snapshot.nodes.iter().filter(|node| refused.contains_key(&*node.name));
    let nodes = nodes.collect::<Vec<_>>();
    let of_node = |claim: &&NodeClaim| nodes.iter().any(|node| is_of(node, claim));
    let claims = snapshot.node_claims.iter().filter(of_node).map(|claim| &claim.name);
    let claims = claims.collect::<BTreeSet<_>>();
    plan.removals.retain(|removal| !refused.contains_key(&*removal.node));
    plan.steps.retain(|step| match step {
        Step::Delete { claim, reason: DeleteReason::Disrupted(_) }
        | Step::MarkDisruption { claim, disruption: Some(_) } => !claims.contains(claim),
        Step::Cordon { node } => !refused.contains_key(&**node),
        Step::Delete { .. }
        | Step::MarkDisruption { .. }
        | Step::Launch { .. }
        | Step::Adopt { .. }
        | Step::Register { .. }
        | Step::Initialize { .. }
        | Step::MarkInterrupted { .. }
        | Step::Uncordon { .. }
        | Step::Evict { .. }
        | Step::ForceDelete { .. }
        | Step::Terminate { .. }
        | Step::ReleaseNode { .. }
        | Step::ReleaseClaim { .. }
        | Step::DeleteNode { .. }
        | Step::MarkEmpty { .. } => true,
    });
    plan.disruptions.retain(|told| !told.nodes.iter().any(|node| refused.contains_key(&**node)));
}

fn unschedulable(pod: &PodId, problem: &str) -> Unschedulable {
    Unschedulable { pod: pod.clone(), reasons: vec![Reason::Check { problem: problem.to_owned() }] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_is_refused_is_given_up_with_its_reason() {
        let id = PodId::new("shop", "cart");
        let placement = model::Placement { pod: id.clone(), node: "nowhere".into() };
        let plan = Plan { placements: vec![placement], ..Plan::default() };
        assert!(!check(&Snapshot::default(), &plan).is_empty());
        let (heeded, violations) = heed(&Snapshot::default(), plan);
        assert_eq!(violations, []);
        assert!(heeded.placements.is_empty());
        assert!(matches!(heeded.unschedulable[0].reasons[..], [Reason::Check { .. }]));
        assert_eq!(heeded.unschedulable[0].pod, id);
    }
}
