//! Only what Joiner made is taken away: every step that evicts, cordons, deletes or terminates is of a claim of its own.

use super::Findings;
use model::{NodeClaim, Plan, Snapshot, Step, labels};

/// Checks every step that takes something away.
pub(super) fn check(snapshot: &Snapshot, plan: &Plan, findings: &mut Findings) {
    for step in &plan.steps {
        if let Some((subject, problem)) = fault(snapshot, step) {
            findings.add(subject, problem);
        }
    }
}

/// What is wrong with the step, and of what it is wrong.
pub(crate) fn fault(snapshot: &Snapshot, step: &Step) -> Option<(String, &'static str)> {
    match step {
        Step::Delete { claim, .. }
        | Step::Adopt { claim, .. }
        | Step::Register { claim, .. }
        | Step::Initialize { claim, .. }
        | Step::MarkInterrupted { claim, .. }
        | Step::MarkDisruption { claim, .. }
        | Step::ReleaseClaim { claim } => {
            let own = claims(snapshot).any(|known| known.name == *claim);
            (!own).then(|| (claim.to_string(), "is no claim of Joiner's, and a step changes it"))
        }
        Step::Launch { batch, claims: names } => {
            let own =
                |name: &std::sync::Arc<str>| claims(snapshot).any(|known| known.name == *name);
            (!names.iter().all(own))
                .then(|| (batch.clone(), "is bought for claims that are not there"))
        }
        Step::Cordon { node }
        | Step::DeleteNode { node }
        | Step::ReleaseNode { node }
        | Step::MarkEmpty { node, .. }
        | Step::Uncordon { node }
        | Step::Evict { node, .. } => {
            let fault = "is no node of Joiner's, and a step takes it away";
            (!own_node(snapshot, node)).then(|| (node.to_string(), fault))
        }
        Step::ForceDelete { pod, .. } => {
            let of = snapshot.pods.iter().find(|known| known.id == *pod);
            let node = of.and_then(|pod| pod.node_name.as_deref());
            let fault = "runs on no node of Joiner's, and a step deletes it";
            (!node.is_some_and(|node| own_node(snapshot, node))).then(|| (pod.to_string(), fault))
        }
        Step::Terminate { instance, .. } => {
            let known = snapshot.instances.iter().flatten().find(|known| known.id == *instance);
            let own = known.is_some_and(|known| known.tags.contains_key(labels::BATCH));
            let fault = "is no instance that Joiner bought, and a step terminates it";
            (!own && !claimed(snapshot, instance)).then(|| (instance.clone(), fault))
        }
    }
}

fn claims(snapshot: &Snapshot) -> impl Iterator<Item = &NodeClaim> {
    snapshot.node_claims.iter().filter(|claim| claim.launch.is_some())
}

fn claimed(snapshot: &Snapshot, instance: &str) -> bool {
    let named = |claim: &NodeClaim| {
        claim.provider_id.as_deref().is_some_and(|id| id.ends_with(&format!("/{instance}")))
    };
    claims(snapshot).any(named)
}

/// A node whose instance a claim of Joiner's names, or which Joiner bought, or (the instance gone) which still carries its finalizer.
fn own_node(snapshot: &Snapshot, name: &str) -> bool {
    let Some(node) = snapshot.nodes.iter().find(|node| &*node.name == name) else { return false };
    let Some(id) = node.provider_id.rsplit('/').next().filter(|id| !id.is_empty()) else {
        return false;
    };
    let known = snapshot.instances.iter().flatten().find(|known| known.id == id);
    let bought = known.is_some_and(|known| known.tags.contains_key(labels::BATCH));
    claimed(snapshot, id) || bought || (known.is_none() && node.finalizer && node.deleting)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Node;
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
            assert!(fault(&snapshot, &step).is_some(), "{step:?}");
        }
    }
}
