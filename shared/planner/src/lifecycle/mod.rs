//! What comes next for claims, nodes and instances that are there. Each turn takes the step that the snapshot shows to be due;
//! nothing waits inside a turn.

mod drain;
mod ending;
mod joining;
mod launching;
mod marks;
mod orphans;
#[cfg(test)]
mod tests;

use crate::leaving::Leaving;
use crate::places::Places;
use crate::view::View;
use model::{Duration, Plan, Snapshot, Step, Timestamp};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The steps that are due, and when to look again for those that are not yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lifecycle {
    /// The steps, in the order to be done.
    pub(crate) steps: Vec<Step>,
    /// When to look again.
    pub(crate) wake_at: Option<Timestamp>,
}

impl Lifecycle {
    fn wake(&mut self, at: Timestamp) {
        self.wake_at = self.wake_at.into_iter().chain([at]).min();
    }

    fn wake_after(&mut self, snapshot: &Snapshot, seconds: i64) {
        self.wake(snapshot.now.plus(Duration(seconds)));
    }
}

/// Finds the steps for the snapshot and for what the plan takes away.
pub(crate) fn lifecycle(
    view: &View<'_>,
    leaving: &Leaving<'_>,
    places: &Places,
    plan: &Plan,
) -> Lifecycle {
    let mut found = Lifecycle::default();
    launching::launching(view, &mut found);
    joining::joining(view, &mut found);
    ending::removals(view, plan, &mut found);
    ending::ending(view, places, &mut found);
    orphans::orphans(view, &mut found);
    marks::marks(view, leaving, plan, &mut found);
    drain::largest_first(view, &mut found.steps);
    found
}

/// The claims that are given up by this turn, whatever else is planned: nothing may be placed on what is deleted at once.
pub(crate) fn given_up(view: &View<'_>) -> BTreeSet<Arc<str>> {
    let mut found = Lifecycle::default();
    launching::launching(view, &mut found);
    joining::joining(view, &mut found);
    let claim = |step| {
        let Step::Delete { claim, .. } = step else { return None };
        Some(claim)
    };
    found.steps.into_iter().filter_map(claim).collect()
}
