//! What to do: the planner's answer, which leaves no choices to whoever carries it out.

use crate::{CapacityType, DisruptionReason, MicroUsdPerHour, PlannedDisruption, PodId};
use crate::{PriceParts, Reason, Step, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// An offering that would do as well as the one planned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alternative {
    /// The instance type.
    pub instance_type: String,
    /// The zone's name.
    pub zone: String,
    /// How it is paid for.
    pub capacity_type: CapacityType,
    /// The price.
    #[serde(rename = "priceMicroUsdPerHour")]
    pub price: MicroUsdPerHour,
    /// Whether that price is estimated.
    #[serde(rename = "priceEstimated")]
    pub estimated: bool,
    /// The capacity reservation that it is bought from, by id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<String>,
}

/// A node to launch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Launch {
    /// The name that the plan gives it: the pool's and a number.
    pub name: Arc<str>,
    /// The pool.
    pub node_pool: String,
    /// The offering planned, the cheapest that holds the pods.
    #[serde(flatten)]
    pub offering: Alternative,
    /// What of its price is not the instance's own.
    #[serde(flatten)]
    pub parts: PriceParts,
    /// What of the instance's price goes to the daemonsets' pods, by their share of CPU and memory.
    #[serde(
        default,
        rename = "daemonsMicroUsdPerHour",
        skip_serializing_if = "MicroUsdPerHour::is_zero"
    )]
    pub daemons: MicroUsdPerHour,
    /// The pods that it is bought for.
    pub pods: Vec<PodId>,
    /// Labels that must be put on the node beside the pool's, because its pods ask for them.
    pub labels: crate::Labels,
    /// Other offerings that hold the same pods under the same constraints, cheapest first; thousands of launches may share one list.
    pub alternatives: Arc<Vec<Alternative>>,
    /// The disruption whose nodes it replaces, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
}

/// A pod and the existing (or claimed) node that it goes to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Placement {
    /// The pod.
    pub pod: PodId,
    /// The node's or claim's name.
    pub node: Arc<str>,
}

/// A pod that stays where it is: nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unschedulable {
    /// The pod.
    pub pod: PodId,
    /// Why, most useful first.
    pub reasons: Vec<Reason>,
}

/// A node to take away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Removal {
    /// The node's name.
    pub node: Arc<str>,
    /// Why.
    pub reason: DisruptionReason,
    /// What that saves, if the node's price is known.
    #[serde(rename = "savesMicroUsdPerHour")]
    pub saves: Option<MicroUsdPerHour>,
}

/// A node that should go, and what keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// The node's name.
    pub node: Arc<str>,
    /// Why it should go.
    pub reason: DisruptionReason,
    /// What keeps it.
    pub by: crate::Ineligible,
}

/// What the planned nodes cost, and the least that they could.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// The price of all nodes to launch.
    #[serde(rename = "microUsdPerHour")]
    pub planned: MicroUsdPerHour,
    /// No set of nodes that holds the same pods under the same rules costs less.
    #[serde(rename = "lowerBoundMicroUsdPerHour")]
    pub lower_bound: MicroUsdPerHour,
    /// Whether a price in it is estimated.
    pub estimated: bool,
}

/// A plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Nodes to launch.
    pub launches: Vec<Launch>,
    /// Pods that go to nodes that are there or on their way.
    pub placements: Vec<Placement>,
    /// Pods that cannot be placed.
    pub unschedulable: Vec<Unschedulable>,
    /// Nodes to take away.
    pub removals: Vec<Removal>,
    /// The disruptions behind removals, and those that begin or go on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disruptions: Vec<PlannedDisruption>,
    /// Nodes that should go and are kept, with the first thing that keeps each: at most a few of them, by name, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Kept>,
    /// What comes next for claims, nodes and instances that are there, in the order to be done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// Costs of the launches.
    pub cost: Cost,
    /// When to look again, if something is due before the next event.
    pub wake_at: Option<Timestamp>,
}
