//! Rules of disruption of a NodePool: wire types, rules, conversion.
//! Sources: karpenter core v1 and v1beta1 `nodepool.go`.

use crate::duration;
use crate::finding::{Findings, field, item};
use crate::schema::wire;
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
    let budgets = wire.budgets.unwrap_or_default().into_iter().enumerate();
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

/// An unreadable number of nodes counts as none, as upstream has it.
fn budget(wire: NodeBudget, path: &str, findings: &mut Findings) -> Budget {
    findings.require(
        wire.schedule.is_some() == wire.duration.is_some(),
        "budget-schedule",
        path,
        "schedule and duration must stand together or not at all",
    );
    if let Some(schedule) = &wire.schedule {
        let message = format!(
            "{schedule:?} is not a cron schedule: write five fields, as in \"0 9 * * mon-fri\", or @daily"
        );
        findings.require(is_cron(schedule), "cron", &field(path, "schedule"), &message);
    }
    let span = |text: &String| span_or_never(text, &field(path, "duration"), findings);
    Budget {
        duration: wire.duration.as_ref().and_then(span),
        nodes: wire.nodes.unwrap_or_else(|| "0".to_owned()),
        reasons: wire.reasons.into_iter().flatten().map(|reason| reason.0).collect(),
        schedule: wire.schedule,
        window: model::disruption::Window::Always,
    }
}

/// Least and greatest value of each cron field.
const CRON_FIELDS: [(u32, u32); 5] = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)];
const CRON_NAMES: [&[&str]; 5] = [
    &[],
    &[],
    &[],
    &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
];

fn is_cron(text: &str) -> bool {
    if let Some(name) = text.strip_prefix('@') {
        let names = ["annually", "yearly", "monthly", "weekly", "daily", "midnight", "hourly"];
        return names.contains(&name);
    }
    let fields: Vec<_> = text.split_whitespace().collect();
    let part =
        |(index, field): (usize, &&str)| field.split(',').all(|part| is_cron_part(part, index));
    fields.len() == CRON_FIELDS.len() && fields.iter().enumerate().all(part)
}

fn is_cron_part(part: &str, index: usize) -> bool {
    let (range, step) =
        part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
    let step_fits = step.is_none_or(|step| step.parse::<u32>().is_ok_and(|step| step > 0));
    let value = |text: &str| cron_value(text, index);
    let range_fits = match range.split_once('-') {
        Some((from, to)) => value(from).zip(value(to)).is_some_and(|(from, to)| from <= to),
        None => range == "*" || range == "?" || value(range).is_some(),
    };
    step_fits && range_fits
}

fn cron_value(text: &str, index: usize) -> Option<u32> {
    let (least, most) = *CRON_FIELDS.get(index)?;
    let named = CRON_NAMES.get(index)?.iter().position(|name| name.eq_ignore_ascii_case(text));
    let number = named.map(|at| at as u32 + least).or_else(|| text.parse().ok())?;
    (least..=most).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_five_fields_or_a_name() {
        for text in
            ["@daily", "0 9 * * mon-fri", "*/15 0 1,15 * *", "0 0 1 JAN ?", "0-30/5 * * * 6"]
        {
            assert!(is_cron(text), "{text}");
        }
        for text in [
            "",
            "@often",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 7",
            "5-1 * * * *",
            "*/0 * * * *",
            "a * * * *",
        ] {
            assert!(!is_cron(text), "{text}");
        }
    }
}
