//! Taking nodes away: why, how far it has come, and under which rules.

use crate::{MicroUsdPerHour, Timestamp};
use serde::{Deserialize, Serialize};

/// Why a node is taken away, in the order in which the reasons come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DisruptionReason {
    /// AWS takes the instance away, or told that it will.
    Interrupted,
    /// Its node has been unhealthy for too long.
    Unhealthy,
    /// It is older than its pool allows.
    Expired,
    /// It is not what its pool and class would make today, or its pool was asked to rotate.
    Drifted,
    /// It has had no pods but daemons for long enough.
    Empty,
    /// Its pods fit elsewhere for less.
    Underutilized,
}

impl DisruptionReason {
    /// As budgets and conditions name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Interrupted => "Interrupted",
            Self::Unhealthy => "Unhealthy",
            Self::Expired => "Expired",
            Self::Drifted => "Drifted",
            Self::Empty => "Empty",
            Self::Underutilized => "Underutilized",
        }
    }
}

/// What AWS told about an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InterruptionKind {
    /// Spot capacity is taken back two minutes later.
    SpotWarning,
    /// A spot instance is at a higher risk than others.
    Rebalance,
    /// AWS Health or EC2 planned maintenance or retirement.
    ScheduledChange,
    /// The instance stops or is terminated, by someone else.
    Stopping,
    /// A capacity reservation ends.
    ReservationEnding,
    /// The checks of the instance or its host have failed for two minutes.
    StatusImpaired,
}

/// What AWS told about a claim's instance: the annotation `joiner.dev/interruption`, as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Interruption {
    /// What it told.
    pub kind: InterruptionKind,
    /// When.
    pub at: Timestamp,
    /// When the instance goes, if that is known.
    #[serde(default)]
    pub deadline: Option<Timestamp>,
}

impl Interruption {
    /// Whether it is written over what was told before: only more urgent news are, so that marks may come in any order and any number.
    pub fn outweighs(&self, before: Option<&Self>) -> bool {
        before.is_none_or(|before| self.kind.urgency() > before.kind.urgency())
    }
}

impl InterruptionKind {
    /// The higher, the less time there is.
    const fn urgency(self) -> u8 {
        match self {
            Self::Rebalance => 0,
            Self::ScheduledChange => 1,
            Self::StatusImpaired => 2,
            Self::ReservationEnding => 3,
            Self::SpotWarning => 4,
            Self::Stopping => 5,
        }
    }

    /// Whether the node takes no new pods from then on. A rebalance recommendation is none of that kind: most instances live on.
    pub const fn takes_the_node(self) -> bool {
        !matches!(self, Self::Rebalance)
    }
}

/// How far the disruption of a node has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// It is only intended: nothing is touched until it has been found right once more.
    Proposed,
    /// The node is cordoned and its replacements are bought; it goes when they are set up.
    Committed,
}

/// A disruption that has begun: the annotation `joiner.dev/disruption` of each claim that goes, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Disruption {
    /// The same on all claims that go together, and on the launch requests of what replaces them.
    pub id: String,
    /// Why.
    pub reason: DisruptionReason,
    /// How far it has come.
    pub stage: Stage,
    /// Since when it has been at this stage.
    pub since: Timestamp,
}

/// When a budget holds, worked out where it was read: cron and time zones are not the planner's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Window {
    /// At all times.
    #[default]
    Always,
    /// Now, until then.
    Until(Timestamp),
    /// Not now; next from then on.
    From(Timestamp),
    /// Not now and never again (a schedule of a date that does not come).
    Never,
}

/// What is done about rebalance recommendations, which are no warnings: most instances live on for hours.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Rebalance {
    /// Nothing but an event, as Karpenter does.
    #[default]
    Ignore,
    /// The node is replaced, its replacement first.
    Replace,
}

/// Why a claim is not what its pool and class would make today.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "drift", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Drift {
    /// The pool's template has changed.
    NodePoolDrifted,
    /// The class's template has changed.
    NodeClassDrifted,
    /// The pool's requirements no longer allow the node's label.
    RequirementsDrifted {
        /// The label's key.
        key: String,
    },
    /// The catalog no longer has the type in this pool's zones.
    InstanceTypeNotFound,
    /// The class no longer selects the image.
    ImageDrifted,
    /// The class no longer selects the subnet.
    SubnetDrifted,
    /// The class selects other security groups.
    SecurityGroupDrifted,
    /// The class no longer selects the capacity reservation.
    CapacityReservationDrifted,
    /// The class names another placement group, or none.
    PlacementGroupDrifted,
    /// The pool was asked to replace its nodes (`joiner rotate`).
    Rotated,
}

/// A node that a plan takes away or prepares to, alone or together with others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedDisruption {
    /// Names it on claims and launches.
    pub id: String,
    /// Why.
    pub reason: DisruptionReason,
    /// The stage that it reaches by this plan; `None` if its nodes go now.
    pub stage: Option<Stage>,
    /// The nodes that go, by name.
    pub nodes: Vec<std::sync::Arc<str>>,
    /// The launches of this plan that replace them, by name.
    pub launches: Vec<std::sync::Arc<str>>,
    /// Where their pods are expected to go: a node, a claim, or a launch of this plan.
    pub moves: Vec<crate::Placement>,
    /// Pods of theirs that have no place to go, and why: they run until their node is gone, so they are not among those that wait.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stranded: Vec<crate::Unschedulable>,
    /// What the nodes cost less what their replacements do, in millionths of a dollar an hour; below zero if it costs more.
    #[serde(rename = "savesMicroUsdPerHour")]
    pub saves: i64,
}

/// The least that a pool's consolidation must save for each pod that it moves, unless the pool says otherwise:
/// $0.10 a month of 730 hours.
pub const DEFAULT_SAVING_PER_MOVE: MicroUsdPerHour = MicroUsdPerHour(137);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_more_urgent_news_are_written_over_older_ones() {
        use InterruptionKind::{Rebalance, SpotWarning, Stopping};
        let told = |kind, at| Interruption { kind, at: Timestamp(at), deadline: None };
        let check = |kind, before: Option<InterruptionKind>, expected: bool| {
            let before = before.map(|kind| told(kind, 1));
            assert_eq!(told(kind, 2).outweighs(before.as_ref()), expected, "{kind:?} {before:?}");
        };
        check(Rebalance, None, true);
        check(SpotWarning, Some(Rebalance), true);
        check(SpotWarning, Some(SpotWarning), false);
        check(Rebalance, Some(SpotWarning), false);
        check(Stopping, Some(SpotWarning), true);
        check(SpotWarning, Some(Stopping), false);
    }
}
