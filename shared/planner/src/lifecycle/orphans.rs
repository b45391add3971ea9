//! Instances that Joiner bought and that no claim names.

use super::Lifecycle;
use crate::view::View;
use model::step::TerminateReason;
use model::{Instance, Step, labels};
use std::collections::BTreeMap;

/// Claims are written before their instances, so that an instance without one after this many seconds has lost it
/// (aws, `nodeclaim/garbagecollection`).
const ORPHAN_AFTER_S: i64 = 30;

/// Terminates instances that carry a batch of Joiner's, have no claim, and that no claim waits for.
pub(super) fn orphans(view: &View<'_>, found: &mut Lifecycle) {
    let mut waiting: BTreeMap<&str, usize> = BTreeMap::new();
    for claim in view.claims.iter().filter(|claim| claim.provider_id.is_none() && !claim.deleting) {
        let batch = claim.launch.as_ref().map(|launch| launch.batch.as_str());
        *waiting.entry(batch.unwrap_or_default()).or_default() += 1;
    }
    let instances = view.instances().into_iter().flat_map(BTreeMap::values);
    for instance in instances.filter(|instance| instance.is_live()) {
        let Some(batch) = instance.tags.get(labels::BATCH) else { continue };
        if view.claim_of_instance(&instance.id).is_some() {
            continue;
        }
        if let Some(count) = waiting.get_mut(batch.as_str()).filter(|count| **count > 0) {
            *count -= 1;
            continue;
        }
        terminate(view, instance, found);
    }
}

fn terminate(view: &View<'_>, instance: &Instance, found: &mut Lifecycle) {
    let age = view.snapshot.now.since(instance.launched_at).0;
    if age < ORPHAN_AFTER_S {
        return found.wake_after(view.snapshot, ORPHAN_AFTER_S - age);
    }
    let reason = TerminateReason::NoClaim;
    found.steps.push(Step::Terminate { instance: instance.id.clone(), reason });
    if let Some(node) = view.node_of_instance(&instance.id).filter(|node| !node.deleting) {
        found.steps.push(Step::DeleteNode { node: node.name.clone() });
    }
}
