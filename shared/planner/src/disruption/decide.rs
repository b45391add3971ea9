//! One turn's decisions about what goes, in their order.

use super::budgets::Allowance;
use super::eligibility::Eligibility;
use super::methods::{self, Forced};
use super::progress::{self, Begun, Verdict};
use super::replacement::{self, attempt};
use super::{Intention, Turn, busy, consolidation, emptiness};
use crate::Options;
use crate::leaving::Leaving;
use crate::places::Places;
use crate::scheduling::{Scheduled, schedule};
use crate::view::View;
use model::disruption::Stage;
use model::{
    DisruptionReason, Duration, Ineligible, Kept, Launch, Node, PlannedDisruption, Removal, Step,
    Timestamp,
};
use std::collections::BTreeSet;

/// A proposal is looked at again after so many seconds before anything is touched (karpenter core, `validation.go`).
const CONFIRM_AFTER_S: i64 = 15;
/// Pods that were evicted for cost are bound again after so many seconds.
const SETTLES_AFTER_S: i64 = 15;
/// Trials in one turn: each may show nodes that cannot go, whose share of the budgets others then get.
const ROUNDS: usize = 4;
/// Nodes of which people are told what keeps them, at most.
const KEPT: usize = 20;

/// What a turn takes away, and where the pods go then.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disruptions<'a> {
    /// Places for all pods.
    pub(crate) scheduled: Scheduled,
    /// Where that is, by pod.
    pub(crate) places: Places,
    /// All that is on its way out once the plan is carried out.
    pub(crate) leaving: Leaving<'a>,
    /// What begins, goes on or ends.
    pub(crate) told: Vec<PlannedDisruption>,
    /// Nodes whose claims are deleted now.
    pub(crate) removals: Vec<Removal>,
    /// Marks and cordons.
    pub(crate) steps: Vec<Step>,
    /// What keeps nodes that should go, for people.
    pub(crate) kept: Vec<Kept>,
    /// When to look again.
    pub(crate) wake_at: Option<Timestamp>,
}

/// What the methods settled on, before it is written down.
#[derive(Default)]
pub(super) struct Settled<'a> {
    /// What goes by force.
    pub(super) forced: Vec<Forced<'a>>,
    /// What has begun, and what becomes of it.
    pub(super) begun: Vec<(Begun<'a>, Verdict)>,
    /// What begins now.
    pub(super) begins: Vec<Intention<'a>>,
    /// Empty nodes.
    pub(super) empty: Vec<Removal>,
    /// What is proposed, whether its claims say so already, and until when it waits.
    pub(super) proposed: Vec<(Intention<'a>, bool, Timestamp)>,
    /// What was proposed and is right no more.
    pub(super) withdrawn: Vec<Begun<'a>>,
}

/// Decides what goes.
pub(crate) fn disrupt<'a>(view: &View<'a>, options: &Options) -> Disruptions<'a> {
    let leaving = Leaving::of(view);
    let (forced, due) = methods::forced(view, &leaving);
    let mut settled = Settled { forced, ..Settled::default() };
    let mut found = settle(view, &mut settled, options);
    found.wake(due.into_iter().chain(methods::next_expiry(view)));
    // What is called off by this turn still counts: its mark may stay, should a call fail.
    let mut allowance = Allowance::new(view, &found.leaving.and(&leaving));
    settled.begins = found.replace(view, &mut allowance, options);
    settled.empty = found.empty(view, &mut allowance);
    found.consolidate(view, &mut allowance, &mut settled, options);
    found.wake(allowance.opens_at);
    found.write(view, settled);
    found.kept.extend(methods::kept(view, &found.leaving));
    found.kept.sort_by(|a, b| a.node.cmp(&b.node));
    found.kept.dedup_by(|a, b| a.node == b.node);
    found.kept.truncate(KEPT);
    found
}

/// Where pods go with what leaves already, and what becomes of the disruptions that have begun.
fn settle<'a>(view: &View<'a>, settled: &mut Settled<'a>, options: &Options) -> Disruptions<'a> {
    let begun = progress::begun(view, Stage::Committed);
    settled.begun = begun.into_iter().map(|begun| (begun, Verdict::Waits)).collect();
    loop {
        let off = settled.begun.iter().filter(|(_, verdict)| *verdict == Verdict::CalledOff);
        let staying = off.flat_map(|(begun, _)| begun.nodes.iter().copied()).collect::<Vec<_>>();
        let forced = settled.forced.iter().map(|own| (own.node, own.claim, own.reason));
        let leaving = Leaving::but_for(view, &staying).with_deleted(forced);
        let scheduled = schedule(view.snapshot, &leaving, options);
        let plan = &scheduled.plan;
        let places = Places::new(view, &plan.placements, &plan.launches);
        let mut changed = false;
        let going = |(_, verdict): &&mut (Begun<'_>, Verdict)| *verdict != Verdict::CalledOff;
        for (begun, verdict) in settled.begun.iter_mut().filter(going) {
            *verdict = begun.verdict(view, &leaving, &places, &plan.launches);
            changed |= *verdict == Verdict::CalledOff;
        }
        if !changed {
            return Disruptions { scheduled, leaving, ..Disruptions::default() };
        }
    }
}

impl<'a> Disruptions<'a> {
    /// Looks again then, if not before.
    pub(super) fn wake(&mut self, at: impl IntoIterator<Item = Timestamp>) {
        self.wake_at = self.wake_at.into_iter().chain(at).min();
    }

    /// Finds the nodes to replace, and places for their pods.
    fn replace(
        &mut self,
        view: &View<'a>,
        allowance: &mut Allowance<'a>,
        options: &Options,
    ) -> Vec<Intention<'a>> {
        let mut refused = BTreeSet::new();
        for _ in 0..ROUNDS {
            let mut left = allowance.clone();
            let placements = &self.scheduled.plan.placements;
            let mut eligibility = Eligibility::new(view, &self.leaving, placements);
            let wanted =
                methods::graceful(view, &self.leaving, &mut eligibility, &mut left, &refused);
            allowance.opens_at = left.opens_at;
            if wanted.is_empty() {
                break;
            }
            let trial = attempt(view, &self.leaving, &self.scheduled, &wanted, options);
            if trial.refused.is_empty() {
                *allowance = left;
                (self.leaving, self.scheduled) = (trial.leaving, trial.scheduled);
                return wanted;
            }
            self.keep(&wanted, &trial.refused);
            let nodes = trial.refused.iter().flat_map(|(at, _)| &wanted[*at].nodes);
            refused.extend(nodes.map(|candidate| &*candidate.node.name));
        }
        Vec::new()
    }

    /// Remembers what kept nodes that should go.
    fn keep(&mut self, wanted: &[Intention<'a>], refused: &[(usize, Ineligible)]) {
        let told = refused.iter().flat_map(|(at, by)| {
            let intention = &wanted[*at];
            let of = move |node: &Node| Kept {
                node: node.name.clone(),
                reason: intention.reason,
                by: by.clone(),
            };
            intention.nodes().into_iter().map(of)
        });
        self.kept.extend(told);
    }

    /// Finds empty nodes, which take no pods from here on.
    fn empty(&mut self, view: &View<'a>, allowance: &mut Allowance<'a>) -> Vec<Removal> {
        let placements = &self.scheduled.plan.placements;
        let mut eligibility = Eligibility::new(view, &self.leaving, placements);
        let busy = busy(view, &self.leaving, placements);
        let empty = emptiness::emptiness(view, &busy, &mut eligibility, allowance);
        self.wake(empty.due);
        let nodes = empty.removals.iter().filter_map(|removal| view.node(&removal.node));
        self.leaving = self.leaving.with(nodes);
        empty.removals
    }

    /// Proposes, confirms and withdraws what consolidation wants.
    fn consolidate(
        &mut self,
        view: &View<'a>,
        allowance: &mut Allowance<'a>,
        settled: &mut Settled<'a>,
        options: &Options,
    ) {
        if self.in_motion(view, settled) {
            return;
        }
        let known = progress::begun(view, Stage::Proposed);
        let wanted = self.find(view, allowance, &known, options);
        let now = view.snapshot.now;
        let (mut confirmed, mut found_again) = (Vec::new(), BTreeSet::new());
        for intention in wanted {
            let old = known.iter().find(|own| own.is(&intention));
            found_again.extend(old.map(|old| old.id));
            let since = old.map_or(now, |old| old.since);
            let ripe = since.plus(Duration(CONFIRM_AFTER_S));
            if old.is_some() && ripe <= now {
                confirmed.push(intention);
            } else {
                settled.proposed.push((intention, old.is_some(), ripe));
            }
        }
        let confirmed = first_those_that_buy_nothing(confirmed, now, settled);
        let kept = self.confirm(view, confirmed, options);
        self.keep_cheaper(view, &kept);
        let stays = |id: &str| {
            let waits = settled.proposed.iter().any(|(own, ..)| own.id() == id);
            waits || kept.iter().any(|own| own.id() == id) || !ripe(&known, id, now)
        };
        found_again.retain(|id| stays(id));
        settled.withdrawn = known;
        settled.withdrawn.retain(|own| !found_again.contains(own.id));
        settled.begins.extend(kept);
    }

    /// What consolidation finds. What it proposes anew is tried as it will be when it is confirmed, or it would be proposed and
    /// withdrawn without end.
    fn find(
        &mut self,
        view: &View<'a>,
        allowance: &mut Allowance<'a>,
        known: &[Begun<'a>],
        options: &Options,
    ) -> Vec<Intention<'a>> {
        let proposals = known.iter().map(Begun::proposal).collect::<Vec<_>>();
        let mut refused = BTreeSet::new();
        for _ in 0..ROUNDS {
            let mut left = allowance.clone();
            let placements = &self.scheduled.plan.placements;
            let mut eligibility = Eligibility::new(view, &self.leaving, placements);
            let turn = Turn { view, leaving: &self.leaving, base: &self.scheduled, options };
            let known_or_refused = (&proposals[..], &refused);
            let wanted =
                consolidation::consolidation(&turn, &mut eligibility, &mut left, known_or_refused);
            let new = |intention: &&Intention<'_>| !known.iter().any(|own| own.is(intention));
            let new = wanted.iter().filter(new).cloned().collect::<Vec<_>>();
            let refuses =
                |new: &[_]| attempt(view, &self.leaving, &self.scheduled, new, options).refused;
            let amiss = if new.is_empty() { Vec::new() } else { refuses(&new) };
            if amiss.is_empty() {
                *allowance = left;
                return wanted;
            }
            let nodes = amiss.iter().flat_map(|(at, _)| &new[*at].nodes);
            refused.extend(nodes.map(|candidate| &*candidate.node.name));
        }
        Vec::new()
    }

    /// Whether pods are being moved for cost: where they end up is for the kube-scheduler to say, so what would be found now would
    /// count on room that may be taken. What is proposed waits meanwhile.
    fn in_motion(&mut self, view: &View<'a>, settled: &Settled<'a>) -> bool {
        let for_cost = |reason: DisruptionReason| reason == DisruptionReason::Underutilized;
        let waits = settled
            .begun
            .iter()
            .any(|(own, verdict)| for_cost(own.reason) && *verdict == Verdict::Waits);
        let gone = view
            .claims
            .iter()
            .filter(|claim| claim.disruption.as_ref().is_some_and(|own| for_cost(own.reason)));
        let settles = gone.filter_map(|claim| claim.deletion_at);
        let settles = settles.map(|at| at.plus(Duration(SETTLES_AFTER_S))).max();
        let settles = settles.filter(|at| *at > view.snapshot.now);
        self.wake(settles);
        waits || settles.is_some()
    }

    /// What is bought for consolidation must save even if EC2 gives the dearest of what it may.
    fn keep_cheaper(&mut self, view: &View<'a>, kept: &[Intention<'a>]) {
        for intention in kept {
            let Some(ceiling) = intention.ceiling else { continue };
            let pods = progress::moving(view, &self.leaving, &intention.nodes());
            let pods = pods.into_iter().map(|pod| &pod.id).collect::<BTreeSet<_>>();
            let launches = &mut self.scheduled.plan.launches;
            let planned = replacement::price(launches, &pods);
            let own = |launch: &&mut Launch| launch.pods.iter().any(|pod| pods.contains(pod));
            let mut launches = launches.iter_mut().filter(own).collect::<Vec<_>>();
            consolidation::keep_cheaper(&mut launches, planned.0, ceiling.0);
        }
    }

    /// Places for the pods of what was found right twice; returns what can still be carried out.
    fn confirm(
        &mut self,
        view: &View<'a>,
        mut wanted: Vec<Intention<'a>>,
        options: &Options,
    ) -> Vec<Intention<'a>> {
        for _ in 0..ROUNDS {
            if wanted.is_empty() {
                break;
            }
            let trial = attempt(view, &self.leaving, &self.scheduled, &wanted, options);
            if trial.refused.is_empty() {
                (self.leaving, self.scheduled) = (trial.leaving, trial.scheduled);
                return wanted;
            }
            let refused = trial.refused.iter().map(|(at, _)| *at).collect::<BTreeSet<_>>();
            refused.into_iter().rev().for_each(|at| drop(wanted.remove(at)));
        }
        Vec::new()
    }
}

/// Of what was found right twice, what needs no new nodes, if anything does: its pods may be bound where the others' were to go, so
/// those wait until that is seen.
fn first_those_that_buy_nothing<'a>(
    confirmed: Vec<Intention<'a>>,
    now: Timestamp,
    settled: &mut Settled<'a>,
) -> Vec<Intention<'a>> {
    let all_buy = confirmed.iter().all(|own| own.expected.buys);
    let (first, later): (Vec<_>, Vec<_>) =
        confirmed.into_iter().partition(|own| all_buy || !own.expected.buys);
    let until = now.plus(Duration(SETTLES_AFTER_S));
    settled.proposed.extend(later.into_iter().map(|intention| (intention, true, until)));
    first
}

fn ripe(known: &[Begun<'_>], id: &str, now: Timestamp) -> bool {
    let found = known.iter().find(|own| own.id == id);
    found.is_some_and(|own| own.since.plus(Duration(CONFIRM_AFTER_S)) <= now)
}
