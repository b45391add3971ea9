//! Claims whose instances AWS takes: marked and cordoned at once, deleted when their replacements were asked for.

use super::decide::Disruptions;
use super::progress::moving;
use crate::interruption::{deadline, is_lost, latest};
use crate::leaving::is_taken;
use crate::places::Place;
use crate::view::View;
use model::step::DeleteReason;
use model::{DisruptionReason, Duration, Interruption, Node, NodeClaim, Pod, Removal, Step};

impl<'a> Disruptions<'a> {
    /// Takes the next step of each.
    pub(super) fn interrupt(&mut self, view: &View<'a>) {
        for claim in view.claims.iter().copied() {
            let Some(told) = view.interruption(claim) else { continue };
            if claim.interruption.map(|known| known.kind) != Some(told.kind) {
                let (claim, interruption) = (claim.name.clone(), told);
                self.steps.push(Step::MarkInterrupted { claim, interruption });
            }
            if is_taken(told) && !claim.deleting {
                self.take(view, claim, told);
            }
        }
    }

    fn take(&mut self, view: &View<'a>, claim: &'a NodeClaim, told: Interruption) {
        let reason = DisruptionReason::Interrupted;
        let id = format!("interrupted-{}", claim.name);
        let Some(node) = view.node_of_claim(claim) else {
            self.tell(view, (&id, reason, None), &[]);
            let (claim, reason) = (claim.name.clone(), DeleteReason::Disrupted(reason));
            return self.steps.push(Step::Delete { claim, reason });
        };
        self.tell(view, (&id, reason, None), &[node]);
        self.cordon(view, node);
        if self.is_asked_for(view, node, told) {
            self.removals.push(Removal { node: node.name.clone(), reason, saves: node.price });
        } else {
            self.wake([view.snapshot.now.plus(Duration(1))]);
        }
    }

    /// Whether nothing is left to buy for the node's pods, or there is no time to.
    fn is_asked_for(&self, view: &View<'a>, node: &Node, told: Interruption) -> bool {
        let pods = moving(view, &self.leaving, &[node]);
        let bought_now = |pod: &&Pod| matches!(self.places.of(&pod.id), Some(Place::Bought(_)));
        let due = |pod: &&Pod| {
            let latest = |end| latest(end, pod.spec.termination_grace_period_s);
            deadline(told).is_some_and(|end| latest(end) <= view.snapshot.now)
        };
        is_lost(told) || !pods.iter().any(bought_now) || pods.iter().any(due)
    }
}
