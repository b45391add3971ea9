//! Claims without an instance: adopted, bought again with the same token, or given up.

use super::Lifecycle;
use crate::view::View;
use model::resources::NODES;
use model::step::DeleteReason;
use model::{Instance, LaunchRequest, NodeClaim, Resources, Step, labels};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A claim that has no instance after this many seconds is given up (karpenter core, `nodeclaim/lifecycle/liveness.go`).
const LAUNCH_TIMEOUT_S: i64 = 300;
/// Seconds until a launch without a certain answer is looked at again.
const LOOK_AGAIN_S: i64 = 5;

type Batch<'a> = (&'a LaunchRequest, Vec<&'a NodeClaim>);

/// Adopts instances of batches, then repeats or gives up what is left. Nothing is done where AWS was not asked.
pub(super) fn launching(view: &View<'_>, found: &mut Lifecycle) {
    let Some(instances) = view.instances() else { return };
    for (batch, (request, claims)) in batches(view) {
        let bought = instances.values().copied().filter(|instance| of_batch(instance, batch));
        let mut free = bought.filter(|instance| {
            instance.is_live() && view.claim_of_instance(&instance.id).is_none()
        });
        let (mut left, before) = (Vec::new(), found.steps.len());
        for claim in claims.iter().filter(|claim| claim.provider_id.is_none() && !claim.deleting) {
            match free.next() {
                Some(instance) => found.steps.push(adopt(claim, instance)),
                None => left.push(*claim),
            }
        }
        let adopting = found.steps.len() > before;
        if !left.is_empty() && adopting {
            // The call would answer with what is being adopted now, and AWS may just not show the rest yet.
            found.wake_after(view.snapshot, LOOK_AGAIN_S);
        } else if !left.is_empty() {
            buy_or_give_up(view, request, &claims, &left, found);
        }
    }
}

/// Joiner's claims by batch.
fn batches<'a>(view: &View<'a>) -> BTreeMap<&'a str, Batch<'a>> {
    let mut all: BTreeMap<_, Batch<'_>> = BTreeMap::new();
    for claim in &view.claims {
        if let Some(request) = &claim.launch {
            all.entry(request.batch.as_str()).or_insert((request, Vec::new())).1.push(claim);
        }
    }
    all
}

fn of_batch(instance: &Instance, batch: &str) -> bool {
    instance.tags.get(labels::BATCH).is_some_and(|tag| tag == batch)
}

fn adopt(claim: &NodeClaim, instance: &Instance) -> Step {
    Step::Adopt { claim: claim.name.clone(), instance: instance.id.clone() }
}

/// Whether the pool has more claims than it may: two turns wrote theirs at once. What was not surely bought is given up then.
fn exceeds_limits(view: &View<'_>, left: &[&NodeClaim]) -> bool {
    let Some(pool) = left.first().and_then(|claim| view.pools.get(claim.pool.as_str())) else {
        return false;
    };
    if pool.limits.is_empty() {
        return false;
    }
    let mut used = Resources::new();
    for claim in view.snapshot.node_claims.iter().filter(|claim| claim.pool == pool.name) {
        used.add(&claim.capacity);
        used.add(&Resources::new().with(NODES, 1));
    }
    pool.limits.iter().any(|(name, limit)| used.get(name.as_str()) > limit)
}

/// All claims of a batch are written before its call. So a batch that is not whole was never bought, or has lost claims since:
/// repeating its call would buy more than there are claims.
fn buy_or_give_up(
    view: &View<'_>,
    request: &LaunchRequest,
    claims: &[&NodeClaim],
    left: &[&NodeClaim],
    found: &mut Lifecycle,
) {
    let whole = claims.len() == request.size as usize && claims.iter().all(|claim| !claim.deleting);
    let late = left.iter().any(|claim| view.age_s(claim) >= LAUNCH_TIMEOUT_S);
    if whole && !late && !exceeds_limits(view, left) {
        let claims = left.iter().map(|claim| claim.name.clone()).collect::<Vec<Arc<str>>>();
        found.steps.push(Step::Launch { batch: request.batch.clone(), claims });
        return found.wake_after(view.snapshot, LOOK_AGAIN_S);
    }
    let give_up = |claim: &&NodeClaim| Step::Delete {
        claim: claim.name.clone(),
        reason: DeleteReason::NotLaunched,
    };
    found.steps.extend(left.iter().map(give_up));
    found.wake_after(view.snapshot, 1);
}
