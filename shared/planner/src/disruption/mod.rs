//! Taking nodes away: what must go, what should, and how far each has come.
//!
//! All methods of a turn share the budgets, in the order: what AWS takes, what is sick, what is old, what has drifted, what is
//! empty, what costs more than it need. Whatever moves running pods buys their new places first.

pub(crate) mod budgets;
pub(crate) mod consolidation;
mod decide;
mod drift;
pub(crate) mod eligibility;
mod emptiness;
mod expiration;
mod interrupted;
mod methods;
mod progress;
mod repair;
mod replacement;
mod static_pools;
mod tell;

pub(crate) use decide::disrupt;
pub(crate) use emptiness::busy;
pub(crate) use methods::causes as causes_of;
pub(crate) use progress::moving;
pub(crate) use static_pools::fill;
pub(crate) use tell::share;

use crate::Options;
use crate::leaving::Leaving;
use crate::scheduling::Scheduled;
use crate::view::View;
use eligibility::Candidate;
use model::{DisruptionReason, MicroUsdPerHour, Node, Placement};

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

/// Nodes that some method wants to take away, together.
#[derive(Clone, Debug)]
pub(crate) struct Intention<'a> {
    /// Why.
    pub(crate) reason: DisruptionReason,
    /// The nodes, by name.
    pub(crate) nodes: Vec<Candidate<'a>>,
    /// The most that what is bought for their pods may cost together; `None` for whatever it costs.
    pub(crate) ceiling: Option<MicroUsdPerHour>,
    /// What people are told while it is only proposed: where the pods would go, what would be bought, what that saves.
    pub(crate) expected: Expected,
}

impl<'a> Intention<'a> {
    /// The nodes alone.
    pub(crate) fn nodes(&self) -> Vec<&'a Node> {
        self.nodes.iter().map(|candidate| candidate.node).collect()
    }

    /// Whether the node is among them.
    pub(crate) fn takes(&self, node: &Node) -> bool {
        self.nodes.iter().any(|candidate| candidate.node.name == node.name)
    }

    /// Names it on claims and launches. A claim is in one disruption at a time, so the first one's name tells them apart.
    pub(crate) fn id(&self) -> String {
        let first = self.nodes.first();
        let name =
            first.map_or("", |first| first.claim.map_or(&*first.node.name, |claim| &*claim.name));
        format!("{}-{name}", self.reason.as_str().to_lowercase())
    }
}

/// What an intention is expected to bring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    /// Where the pods would go: nodes, claims, or the words that stand for what would be bought.
    pub(crate) moves: Vec<Placement>,
    /// Whether nodes would be bought for them.
    pub(crate) buys: bool,
    /// What it would save, in millionths of a dollar an hour.
    pub(crate) saves: i64,
}

/// An intention that was marked on its claims and waits to be found right once more.
#[derive(Clone, Debug)]
pub(crate) struct Proposal<'a> {
    /// Its nodes, by name.
    pub(crate) nodes: Vec<&'a Node>,
}
