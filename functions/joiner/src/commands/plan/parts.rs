//! What of a plan's cost is not what instances do for pods.

use model::{Launch, MicroUsdPerHour, Plan};
use serde::Serialize;

/// Sums over all nodes to launch.
#[derive(Debug, Serialize)]
pub(crate) struct Parts {
    #[serde(rename = "volumesMicroUsdPerHour")]
    pub(crate) volumes: MicroUsdPerHour,
    #[serde(rename = "spotPremiumMicroUsdPerHour")]
    pub(crate) spot_premium: MicroUsdPerHour,
    #[serde(rename = "daemonsMicroUsdPerHour")]
    pub(crate) daemons: MicroUsdPerHour,
}

impl Parts {
    pub(crate) fn of(plan: &Plan) -> Self {
        let sum = |part: fn(&Launch) -> MicroUsdPerHour| plan.launches.iter().map(part).sum();
        Self {
            volumes: sum(|launch| launch.parts.volumes),
            spot_premium: sum(|launch| launch.parts.premium),
            daemons: sum(|launch| launch.daemons),
        }
    }
}
