//! Since when nodes have been empty: written on them, because functions keep nothing.

use super::Lifecycle;
use crate::disruption::busy;
use crate::leaving::Leaving;
use crate::view::View;
use model::{Plan, Step};

/// Marks nodes that have become empty, and takes the mark off those that are not any more.
pub(super) fn marks(view: &View<'_>, leaving: &Leaving<'_>, plan: &Plan, found: &mut Lifecycle) {
    let busy = busy(view, leaving, &plan.placements);
    let mut nodes = view.snapshot.nodes.iter().collect::<Vec<_>>();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    for node in nodes {
        let ours = view.claim_of_node(node).is_some_and(|claim| !claim.deleting);
        let pool = node.pool().and_then(|name| view.pools.get(name));
        let leaves_empty = pool.is_some_and(|pool| pool.disruption.consolidate_after.is_some());
        if !ours || leaving.contains(&node.name) || !node.initialized() || !leaves_empty {
            continue;
        }
        let marked = view.snapshot.empty_since.contains_key(&*node.name);
        let empty = !busy.contains(&*node.name);
        if empty != marked {
            let since = empty.then_some(view.snapshot.now);
            found.steps.push(Step::MarkEmpty { node: node.name.clone(), since });
        }
    }
}
