//! Rules of disruption of a NodePool: wire types, rules, conversion.
//! Sources: karpenter core v1 and v1beta1 `nodepool.go`.

use crate::cron::Cron;
use crate::duration;
use crate::finding::{Findings, field, item};
use crate::schema::wire;
use model::disruption::Window;
use model::pool::{self, Budget, ConsolidationPolicy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A reason to disrupt a node: `Underutilized`, `Empty` or `Drifted`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("enum" = ["Underutilized", "Empty", "Drifted"]))]
pub(crate) struct DisruptionReason(pub(crate) String);

wire! {
    /// How many nodes may be disrupted at once, and when.
    NodeBudget {
        /// A number of nodes or a percentage, rounded up.
        #[schemars(required, regex(pattern = r"^((100|[0-9]{1,2})%|[0-9]+)$"))]
        nodes: String,
        /// The reasons that it bounds; all if unset.
        #[schemars(length(max = 50))]
        reasons: Vec<DisruptionReason>,
        /// When it begins to hold, as cron in UTC; only with duration.
        schedule: String,
        /// For how long it holds; only with schedule.
        #[schemars(regex(pattern = r"^((([0-9]+(h|m))|([0-9]+h[0-9]+m))(0s)?)$"))]
        duration: String,
    }
}

wire! {
    /// When nodes may be removed or replaced.
    DisruptionRules {
        /// What may be consolidated.
        #[schemars(extend("enum" = ["WhenEmpty", "WhenEmptyOrUnderutilized", "Balanced"], "default" = "WhenEmptyOrUnderutilized"))]
        consolidation_policy: String,
        /// How long a node must have been unchanged first, or Never.
        #[schemars(regex(pattern = r"^(([0-9]+(s|m|h))+|Never)$"), extend("default" = "0s"))]
        consolidate_after: String,
        /// How many nodes may be disrupted at once; one tenth if unset.
        #[schemars(length(max = 50), extend("default" = [{ "nodes": "10%" }]))]
        budgets: Vec<NodeBudget>,
    }
}

wire! {
    /// When nodes may be removed or replaced, as v1beta1 says it.
    BetaDisruptionRules {
        /// What may be consolidated.
        #[schemars(extend("enum" = ["WhenEmpty", "WhenUnderutilized"], "default" = "WhenUnderutilized"))]
        consolidation_policy: String,
        /// How long a node must have been empty first, or Never; only with WhenEmpty.
        #[schemars(regex(pattern = r"^(([0-9]+(s|m|h))+|Never)$"))]
        consolidate_after: String,
        /// The age at which nodes are replaced, or Never.
        #[schemars(regex(pattern = r"^(([0-9]+(s|m|h))+|Never)$"), extend("default" = "720h"))]
        expire_after: String,
        /// How many nodes may be disrupted at once; one tenth if unset.
        #[schemars(length(max = 50), extend("default" = [{ "nodes": "10%" }]))]
        budgets: Vec<NodeBudget>,
    }
}

/// Checks what v1beta1 alone forbids, and says the rest as v1 does.
pub(crate) fn modernize(beta: BetaDisruptionRules, findings: &mut Findings) -> DisruptionRules {
    const PATH: &str = "spec.disruption.consolidateAfter";
    const RULE: &str = "consolidate-after";
    let when_empty = beta.consolidation_policy.as_deref() == Some("WhenEmpty");
    let after = beta.consolidate_after;
    let only_never = after.as_deref().is_none_or(|after| after == "Never");
    findings.require(
        when_empty || only_never,
        RULE,
        PATH,
        "may not stand beside WhenUnderutilized",
    );
    findings.require(!when_empty || after.is_some(), RULE, PATH, "must be given with WhenEmpty");
    let policy = if when_empty { "WhenEmpty" } else { "WhenEmptyOrUnderutilized" };
    DisruptionRules {
        consolidation_policy: Some(policy.to_owned()),
        consolidate_after: Some(after.unwrap_or_else(|| "0s".to_owned())),
        budgets: beta.budgets,
    }
}

/// Checks and converts the rules at `spec.disruption`.
pub(crate) fn read(wire: DisruptionRules, findings: &mut Findings) -> pool::Disruption {
    let policy = match wire.consolidation_policy.as_deref() {
        Some("WhenEmpty") => ConsolidationPolicy::WhenEmpty,
        Some("Balanced") => ConsolidationPolicy::Balanced,
        _ => ConsolidationPolicy::WhenEmptyOrUnderutilized,
    };
    // The schema fills in what is absent: budgets that are not there now were no list.
    let budgets = wire.budgets.unwrap_or_else(|| vec![NodeBudget::default()]);
    let budgets = budgets.into_iter().enumerate();
    pool::Disruption {
        policy,
        consolidate_after: wire
            .consolidate_after
            .as_deref()
            .and_then(|text| span_or_never(text, "spec.disruption.consolidateAfter", findings)),
        budgets: budgets
            .map(|(index, wire)| budget(wire, &item("spec.disruption.budgets", index), findings))
            .collect(),
        ..pool::Disruption::default()
    }
}

/// A span or `Never`, reporting what is too long to count.
pub(crate) fn span_or_never(
    text: &str,
    path: &str,
    findings: &mut Findings,
) -> Option<model::Duration> {
    let span = duration::parse_or_never(text);
    let message =
        format!("{text:?} is not a duration that can be counted: write 720h, 1h30m or Never");
    findings.require(span.is_some(), "duration", path, &message);
    span.flatten()
}

/// The reasons that budgets know.
const REASONS: [&str; 3] = ["Underutilized", "Empty", "Drifted"];
/// Any moment does to find out whether a schedule ever comes.
const ANY_MOMENT: model::Timestamp = model::Timestamp(0);

/// A budget that cannot be read allows no disruption at all until it can, as upstream has it.
fn budget(wire: NodeBudget, path: &str, findings: &mut Findings) -> Budget {
    let reasons = wire.reasons.into_iter().flatten().map(|reason| reason.0).collect::<Vec<_>>();
    let known = reasons.iter().all(|reason| REASONS.contains(&reason.as_str()));
    let window = window(&wire.schedule, &wire.duration, path, findings);
    match (window, wire.nodes) {
        (Some((schedule, duration)), Some(nodes)) if known => {
            Budget { nodes, reasons, schedule, duration, window: Window::Always }
        }
        _ => Budget::always("0"),
    }
}

/// Schedule and duration, of which there are both or none; `None` if they cannot be read.
fn window(
    schedule: &Option<String>,
    duration: &Option<String>,
    path: &str,
    findings: &mut Findings,
) -> Option<(Option<String>, Option<model::Duration>)> {
    let (schedule, duration) = match (schedule, duration) {
        (None, None) => return Some((None, None)),
        (Some(schedule), Some(duration)) => (schedule, duration),
        (Some(_), None) | (None, Some(_)) => {
            let message = "schedule and duration must stand together or not at all";
            findings.error("budget-schedule", path, message);
            return None;
        }
    };
    let span = duration::parse(duration);
    let message = format!("{duration:?} is not a duration that can be counted: write 8h or 1h30m");
    findings.require(span.is_some(), "duration", &field(path, "duration"), &message);
    let path = field(path, "schedule");
    let Some(cron) = Cron::parse(schedule) else {
        let message = format!(
            "{schedule:?} is not a cron schedule: write five fields, as in \"0 9 * * mon-fri\", or @daily"
        );
        findings.error("cron", &path, message);
        return None;
    };
    if cron.next(ANY_MOMENT).is_none() {
        let message = format!("{schedule:?} is a date that never comes; the budget never holds");
        findings.warning("cron-never", &path, message);
    }
    Some((Some(schedule.clone()), Some(span?)))
}
