//! Taking nodes away: what must go, what should, and how far each has come.
//!
//! All methods of a turn share the budgets, in the order: what AWS takes, what is sick, what is old, what has drifted, what is
//! empty, what costs more than it need. Whatever moves running pods buys their new places first.

mod budgets;
mod consolidation;
mod eligibility;
mod emptiness;

pub(crate) use eligibility::disrupted;
pub(crate) use emptiness::busy;

use crate::Options;
use crate::leaving::Leaving;
use crate::scheduling::{Scheduled, schedule};
use crate::view::View;
use budgets::Allowance;
use eligibility::{Candidate, Eligibility};
use model::{DisruptionReason, MicroUsdPerHour, Node, PlannedDisruption, Removal, Step, Timestamp};

/// What the methods of a turn look at.
pub(crate) struct Turn<'v, 'a> {
    /// The snapshot, indexed.
    pub(crate) view: &'v View<'a>,
    /// What is on its way out already.
    pub(crate) leaving: &'v Leaving<'a>,
    /// Where pods go if nothing more is taken away.
    pub(crate) base: &'v Scheduled,
    /// How hard to look.
    pub(crate) options: &'v Options,
}

impl<'a> Turn<'_, 'a> {
    /// Where pods would go if these nodes were taken away too.
    pub(crate) fn without(&self, nodes: impl IntoIterator<Item = &'a Node>) -> Scheduled {
        schedule(self.view.snapshot, &self.leaving.with(nodes), self.options)
    }
}

/// Nodes that some method wants to take away, together.
#[derive(Clone, Debug)]
pub(crate) struct Intention<'a> {
    /// Why.
    pub(crate) reason: DisruptionReason,
    /// The nodes, by name.
    pub(crate) nodes: Vec<Candidate<'a>>,
    /// The most that what is bought for their pods may cost together; `None` for whatever it costs.
    pub(crate) ceiling: Option<MicroUsdPerHour>,
}

impl Intention<'_> {
    /// Names it on claims and launches. A claim is in one disruption at a time, so the first one's name tells them apart.
    pub(crate) fn id(&self) -> String {
        let first = self.nodes.first();
        let name =
            first.map_or("", |first| first.claim.map_or(&*first.node.name, |claim| &*claim.name));
        format!("{}-{name}", self.reason.as_str().to_lowercase())
    }
}

/// An intention that was marked on its claims and waits to be found right once more.
#[derive(Clone, Debug)]
pub(crate) struct Proposal<'a> {
    /// Its name.
    pub(crate) id: String,
    /// Since when it has been marked.
    pub(crate) since: Timestamp,
    /// Its nodes, by name.
    pub(crate) nodes: Vec<&'a Node>,
}

/// What a turn takes away, and where the pods go then.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disruptions<'a> {
    /// Places for all pods.
    pub(crate) scheduled: Scheduled,
    /// All that is on its way out once the plan is carried out.
    pub(crate) leaving: Leaving<'a>,
    /// What begins, goes on or ends.
    pub(crate) told: Vec<PlannedDisruption>,
    /// Nodes whose claims are deleted now.
    pub(crate) removals: Vec<Removal>,
    /// Marks and cordons.
    pub(crate) steps: Vec<Step>,
    /// When to look again.
    pub(crate) wake_at: Option<Timestamp>,
}

impl Disruptions<'_> {
    fn wake(&mut self, at: impl IntoIterator<Item = Timestamp>) {
        self.wake_at = self.wake_at.into_iter().chain(at).min();
    }
}

/// Decides what goes.
pub(crate) fn disrupt<'a>(view: &View<'a>, options: &Options) -> Disruptions<'a> {
    let leaving = Leaving::of(view);
    let scheduled = schedule(view.snapshot, &leaving, options);
    let mut found = Disruptions::default();
    {
        let placements = &scheduled.plan.placements;
        let mut eligibility = Eligibility::new(view, &leaving, placements);
        let mut allowance = Allowance::new(view, &leaving);
        let busy = busy(view, &leaving, placements);
        let empty = emptiness::emptiness(view, &busy, &mut eligibility, &mut allowance);
        found.removals.extend(empty.removals);
        let turn = Turn { view, leaving: &leaving, base: &scheduled, options };
        consolidation::consolidation(&turn, &mut eligibility, &mut allowance, &[]);
        found.wake(empty.due.into_iter().chain(allowance.opens_at));
    }
    Disruptions { scheduled, leaving, ..found }
}
