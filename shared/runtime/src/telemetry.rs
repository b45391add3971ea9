//! Logs: JSON, one line per action and one per turn. WARN is for this week, ERROR for now.

use crate::heed::Heeded;
use crate::observed::Observed;
use crate::report::Report;
use execute::Outcome;
use model::Plan;

/// Writes logs as JSON to standard output from now on, from this level on (`info`).
pub fn init(level: &str) {
    let filter = tracing_subscriber::EnvFilter::try_new(level)
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().json().flatten_event(true).with_current_span(false);
    // A second call in one process (tests) changes nothing.
    let _ = lines.with_span_list(false).with_target(false).with_env_filter(filter).try_init();
}

/// What was odd about the world.
pub(crate) fn seen(observed: &Observed) {
    for finding in &observed.findings {
        tracing::warn!(finding, "odd");
    }
    for stale in &observed.stale {
        tracing::warn!(stale, "not read this turn");
    }
}

/// What was done at once about what AWS told.
pub(crate) fn heeded(outcome: &Outcome, heeded: &Heeded) {
    actions("", outcome);
    if heeded.foreign + heeded.no_news > 0 {
        tracing::info!(
            foreign = heeded.foreign,
            no_news = heeded.no_news,
            "events of instances that are not Joiner's, or that tell nothing new, are dropped"
        );
    }
}

/// What would be done, were this not a trial: what would be bought, and what would go.
pub(crate) fn would(turn: &str, plan: &Plan) {
    for launch in &plan.launches {
        let offering = &launch.offering;
        let (object, pods) = (&*launch.name, launch.pods.len());
        let (kind, zone, way) = (&offering.instance_type, &offering.zone, offering.capacity_type);
        let detail = format!("{kind} {zone} {way} for {pods} pods");
        let price = offering.price.0;
        tracing::info!(
            turn,
            action = "launch",
            object,
            detail,
            micro_usd_per_hour = price,
            "would"
        );
    }
    for going in &plan.disruptions {
        let object = going.nodes.join(" ");
        let (detail, saves) = (going.reason.as_str(), going.saves);
        tracing::info!(
            turn,
            action = "disrupt",
            object,
            detail,
            saves_micro_usd_per_hour = saves,
            "would"
        );
    }
}

/// What would be marked, were this not a trial.
pub(crate) fn would_heed(heeded: &Heeded) {
    for warned in heeded.warned() {
        let (object, detail) = (&warned.claim, format!("{:?}", warned.told.kind));
        tracing::info!(action = "mark", object, detail, "would");
    }
}

/// Nothing is done.
pub(crate) fn paused(trigger: &str, since: &str) {
    tracing::info!(trigger, since, "paused: nothing is read or written; `joiner resume` ends it");
}

/// What was done.
pub(crate) fn told(report: &Report, outcome: &Outcome) {
    actions(&report.turn, outcome);
    sum(report);
}

fn actions(turn: &str, outcome: &Outcome) {
    for action in &outcome.actions {
        let (verb, object, detail) = (action.action, &action.object, &action.detail);
        let price = action.price;
        match &action.error {
            None => tracing::info!(
                turn,
                action = verb,
                object,
                detail,
                micro_usd_per_hour = price,
                "done"
            ),
            Some(error) => {
                tracing::warn!(turn, action = verb, object, detail, error, "not done")
            }
        }
    }
}

fn sum(report: &Report) {
    let milliseconds = serde_json::to_string(&report.milliseconds).unwrap_or_default();
    let traffic = serde_json::to_string(&report.traffic).unwrap_or_default();
    tracing::info!(
        turn = report.turn,
        trigger = report.trigger,
        mode = report.mode.as_str(),
        pending_pods = report.pending_pods,
        placed_pods = report.placed_pods,
        launches = report.launches,
        launched = report.launched,
        terminated = report.terminated,
        unschedulable_pods = report.unschedulable_pods,
        steps = report.steps,
        failures = report.failures,
        violations = report.violations,
        claims = report.claims,
        planned_usd_per_hour = usd(report.planned_micro_usd_per_hour),
        bought_usd_per_hour = usd(report.bought_micro_usd_per_hour),
        lower_bound_usd_per_hour = usd(report.lower_bound_micro_usd_per_hour),
        nodes_usd_per_hour = usd(report.nodes_micro_usd_per_hour),
        saves_micro_usd_per_hour = report.saves_micro_usd_per_hour,
        wake_at = report.wake_at,
        milliseconds,
        traffic,
        "turn"
    );
}

/// Dollars with four digits: `0.0960`.
fn usd(micro: u64) -> String {
    format!("{}.{:04}", micro / 1_000_000, micro % 1_000_000 / 100)
}

#[cfg(test)]
mod tests {
    #[test]
    fn dollars_have_four_digits() {
        assert_eq!(super::usd(96_049), "0.0960");
        assert_eq!(super::usd(12_000_100), "12.0001");
    }
}
