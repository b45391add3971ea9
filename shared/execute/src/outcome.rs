//! What became of a plan.

use crate::{CloudError, ClusterError};
use model::UnavailableOffering;
use serde::Serialize;

/// One action and what became of it: one line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// The verb: `launch`, `register`, `evict`.
    pub action: &'static str,
    /// What it was done to.
    pub object: String,
    /// Why, or what came of it, in a few words.
    pub detail: String,
    /// What went wrong, if something did.
    pub error: Option<String>,
    /// The price of what was bought, in micro-dollars per hour.
    #[serde(rename = "microUsdPerHour", skip_serializing_if = "Option::is_none")]
    pub price: Option<u64>,
}

/// What became of all actions of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The actions, in the order in which they ended.
    pub actions: Vec<Action>,
    /// Offerings that turned out to have no capacity.
    pub unavailable: Vec<UnavailableOffering>,
    /// How many instances were bought.
    pub launched: usize,
    /// How many instances were terminated.
    pub terminated: usize,
    /// Whether something is left that the next turn should see soon.
    pub look_again: bool,
}

impl Outcome {
    /// Records an action.
    pub(crate) fn record(
        &mut self,
        action: &'static str,
        object: impl Into<String>,
        detail: impl Into<String>,
        result: Result<(), String>,
    ) {
        let error = result.err();
        self.look_again |= error.is_some();
        let (object, detail) = (object.into(), detail.into());
        self.actions.push(Action { action, object, detail, error, price: None });
    }

    /// Records an action that changed the cluster.
    pub(crate) fn record_cluster(
        &mut self,
        action: &'static str,
        object: impl Into<String>,
        detail: impl Into<String>,
        result: Result<(), ClusterError>,
    ) {
        self.record(action, object, detail, result.map_err(|error| error.to_string()));
    }

    /// Records an action that changed AWS.
    pub(crate) fn record_cloud(
        &mut self,
        action: &'static str,
        object: impl Into<String>,
        detail: impl Into<String>,
        result: Result<(), CloudError>,
    ) {
        self.record(action, object, detail, result.map_err(|error| error.to_string()));
    }

    /// The actions that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Action> {
        self.actions.iter().filter(|action| action.error.is_some())
    }
}
