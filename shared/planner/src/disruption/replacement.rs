//! Replacement first: what begins, what is called off, and what goes now that its pods have places.

use super::decide::{Disruptions, Settled};
use super::methods::Forced;
use super::progress::{Begun, Verdict, moving};
use super::tell::share;
use super::{Intention, consolidation};
use crate::Options;
use crate::leaving::Leaving;
use crate::places::{Place, Places};
use crate::scheduling::{Scheduled, schedule};
use crate::view::View;
use model::disruption::{Disruption, Stage};
use model::{
    DisruptionReason, Duration, Ineligible, Launch, MicroUsdPerHour, Node, Pod, PodId, Removal,
    Step, labels,
};
use std::collections::BTreeSet;

/// Nodes on their way are looked at again after so many seconds, should no event tell of them.
const LOOK_AGAIN_S: i64 = 10;

/// Places for all pods if the intentions are carried out, and which of them cannot be, with the reason.
pub(super) struct Trial<'a> {
    pub(super) leaving: Leaving<'a>,
    pub(super) scheduled: Scheduled,
    /// By position.
    pub(super) refused: Vec<(usize, Ineligible)>,
}

/// Tries the intentions: every pod of their nodes must have a place, none that waits may lose its own, and nothing may cost more
/// than it may.
pub(super) fn attempt<'a>(
    view: &View<'a>,
    leaving: &Leaving<'a>,
    base: &Scheduled,
    wanted: &[Intention<'a>],
    options: &Options,
) -> Trial<'a> {
    let nodes = wanted.iter().flat_map(|intention| &intention.nodes);
    let leaving = leaving.with(nodes.map(|candidate| candidate.node));
    let scheduled = schedule(view.snapshot, &leaving, options);
    let mut refused = Vec::new();
    let kept_free = kept_free(base, &scheduled);
    for (at, intention) in wanted.iter().enumerate() {
        let pods = moving(view, &leaving, &intention.nodes());
        let fault = fault(intention, (&pods, &kept_free), &scheduled);
        refused.extend(fault.map(|reason| (at, reason)));
    }
    if refused.is_empty() {
        // Which of them is in the way is not known: the later half waits for the next turn.
        let displaced = displaced(base, &scheduled);
        let later = wanted.len() / 2..wanted.len();
        refused.extend(displaced.into_iter().flat_map(|pod| {
            later.clone().map(move |at| (at, Ineligible::Displaces { pod: pod.clone() }))
        }));
    }
    Trial { leaving, scheduled, refused }
}

/// Room that was kept free on nodes that are there and must be bought then: it counts as what is taken away does.
fn kept_free<'t>(base: &Scheduled, then: &'t Scheduled) -> Vec<&'t PodId> {
    let bought = then.plan.launches.iter().flat_map(|launch| &launch.pods);
    let there = |pod: &&PodId| base.plan.placements.iter().any(|placed| placed.pod == **pod);
    bought.filter(|pod| pod.is_virtual()).filter(there).collect()
}

fn fault(
    intention: &Intention<'_>,
    (pods, kept_free): (&[&Pod], &[&PodId]),
    then: &Scheduled,
) -> Option<Ineligible> {
    let ids = pods.iter().map(|pod| &pod.id).chain(kept_free.iter().copied());
    let ids = ids.collect::<BTreeSet<_>>();
    if let Some(left) = then.stranded.iter().find(|left| ids.contains(&left.pod)) {
        return Some(Ineligible::Stranded { pod: left.pod.clone(), reasons: left.reasons.clone() });
    }
    let ceiling = intention.ceiling?;
    let price = price(&then.plan.launches, &ids);
    if price > ceiling {
        return Some(Ineligible::TooDear);
    }
    let own = |launch: &&Launch| launch.pods.iter().any(|pod| ids.contains(pod));
    let own = then.plan.launches.iter().filter(own).collect::<Vec<_>>();
    let wide = consolidation::leaves_choice(&own, (price.0, ceiling.0), &intention.nodes());
    (!wide).then_some(Ineligible::FewOfferings)
}

/// What is bought for these pods. New nodes may be shared with others: each bears its part.
pub(super) fn price(launches: &[Launch], pods: &BTreeSet<&PodId>) -> MicroUsdPerHour {
    let bought = |launch: &Launch| {
        share(launch, launch.pods.iter().filter(|pod| pods.contains(pod)).count()).max(0) as u64
    };
    MicroUsdPerHour(launches.iter().map(bought).sum())
}

/// A pod that waits in vain then, but would not otherwise.
fn displaced(base: &Scheduled, then: &Scheduled) -> Option<PodId> {
    let without = |scheduled: &'_ Scheduled| {
        let both = scheduled.plan.unschedulable.iter().chain(&scheduled.stranded);
        both.map(|left| left.pod.clone()).collect::<BTreeSet<_>>()
    };
    let before = without(base);
    without(then).into_iter().find(|pod| !before.contains(pod))
}

impl<'a> Disruptions<'a> {
    /// Writes down what was settled: marks that go first, so that a claim may get another one.
    pub(super) fn write(&mut self, view: &View<'a>, settled: Settled<'a>) {
        let plan = &self.scheduled.plan;
        self.places = Places::new(view, &plan.placements, &plan.launches);
        settled.withdrawn.iter().for_each(|own| self.unmark(own));
        for (begun, verdict) in &settled.begun {
            if *verdict == Verdict::CalledOff {
                self.call_off(view, begun);
            } else {
                self.go_on(view, begun);
            }
        }
        self.uncordon(view);
        self.interrupt(view);
        settled.forced.iter().for_each(|own| self.force(view, own));
        settled.begins.iter().for_each(|intention| self.begin(view, intention));
        for removal in settled.empty {
            self.tell_of_empty(view, &removal);
            self.removals.push(removal);
        }
        for (intention, marked, until) in settled.proposed {
            if !marked {
                self.mark(view, &intention, Stage::Proposed);
            }
            self.tell_of_proposal(&intention);
            self.wake([until]);
        }
        self.removals.sort_by(|a, b| a.node.cmp(&b.node));
    }

    /// Begins the intention, or ends it at once if all its pods have places on ready nodes.
    fn begin(&mut self, view: &View<'a>, intention: &Intention<'a>) {
        let (nodes, id) = (intention.nodes(), intention.id());
        if self.all_ready(view, &nodes) {
            self.tell(view, (&id, intention.reason, None), &nodes);
            return self.remove(intention.reason, &nodes);
        }
        self.tell(view, (&id, intention.reason, Some(Stage::Committed)), &nodes);
        self.mark(view, intention, Stage::Committed);
        nodes.iter().for_each(|node| self.cordon(view, node));
        self.wake([view.snapshot.now.plus(Duration(LOOK_AGAIN_S))]);
    }

    /// Whether every pod of the nodes has a place on a node that is ready.
    fn all_ready(&self, view: &View<'a>, nodes: &[&Node]) -> bool {
        let pods = moving(view, &self.leaving, nodes);
        pods.iter().all(|pod| self.places.of(&pod.id) == Some(Place::Ready))
    }

    /// Writes the intention on its claims.
    fn mark(&mut self, view: &View<'a>, intention: &Intention<'a>, stage: Stage) {
        let (id, reason, since) = (intention.id(), intention.reason, view.snapshot.now);
        let disruption = Disruption { id, reason, stage, since };
        let claims = intention.nodes.iter().filter_map(|candidate| candidate.claim);
        self.steps.extend(claims.map(|claim| Step::MarkDisruption {
            claim: claim.name.clone(),
            disruption: Some(disruption.clone()),
        }));
    }

    /// Keeps new pods away, if that is not done yet.
    pub(super) fn cordon(&mut self, view: &View<'a>, node: &Node) {
        if view.claim_of_node(node).is_some() && !is_cordoned(node) {
            self.steps.push(Step::Cordon { node: node.name.clone() });
        }
    }

    /// Its nodes go if all their pods have places that are ready; else its replacements are waited for.
    fn go_on(&mut self, view: &View<'a>, begun: &Begun<'a>) {
        if self.all_ready(view, &begun.nodes) {
            self.tell(view, (begun.id, begun.reason, None), &begun.nodes);
            return self.remove(begun.reason, &begun.nodes);
        }
        self.tell(view, (begun.id, begun.reason, Some(Stage::Committed)), &begun.nodes);
        begun.nodes.iter().for_each(|node| self.cordon(view, node));
        self.wake([view.snapshot.now.plus(Duration(LOOK_AGAIN_S))]);
    }

    /// Its nodes stay, and take pods again.
    fn call_off(&mut self, view: &View<'a>, begun: &Begun<'a>) {
        self.unmark(begun);
        self.wake([view.snapshot.now.plus(Duration(1))]);
    }

    /// Nodes that stay take pods again, also if that failed when their disruption was called off.
    fn uncordon(&mut self, view: &View<'a>) {
        let stays = |node: &&&Node| {
            is_cordoned(node)
                && !self.leaving.contains(&node.name)
                && view.claim_of_node(node).is_some()
        };
        let mut nodes = view.snapshot.nodes.iter().collect::<Vec<_>>();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        let steps =
            nodes.iter().filter(stays).map(|node| Step::Uncordon { node: node.name.clone() });
        self.steps.extend(steps.collect::<Vec<_>>());
    }

    fn unmark(&mut self, begun: &Begun<'a>) {
        for claim in &begun.claims {
            let claim = claim.name.clone();
            self.steps.push(Step::MarkDisruption { claim, disruption: None });
        }
    }

    /// What goes by force. Its claim says why, because that decides how its pods go.
    fn force(&mut self, view: &View<'a>, own: &Forced<'a>) {
        let name = own.claim.map_or(&own.node.name, |claim| &claim.name);
        let id = format!("{}-{name}", own.reason.as_str().to_lowercase());
        self.tell(view, (&id, own.reason, None), &[own.node]);
        self.steps.extend(own.claim.map(|claim| Step::MarkDisruption {
            claim: claim.name.clone(),
            disruption: Some(Disruption {
                id,
                reason: own.reason,
                stage: Stage::Committed,
                since: view.snapshot.now,
            }),
        }));
        self.remove(own.reason, &[own.node]);
    }

    /// Their claims are deleted.
    fn remove(&mut self, reason: DisruptionReason, nodes: &[&'a Node]) {
        let removal = |node: &&Node| Removal { node: node.name.clone(), reason, saves: node.price };
        self.removals.extend(nodes.iter().map(removal));
    }
}

fn is_cordoned(node: &Node) -> bool {
    node.taints.iter().any(|taint| taint.key == labels::DISRUPTED_TAINT)
}
