//! What functions leave of their last turns for `joiner status`, in one small ConfigMap: a key for each function.

use crate::configuration::Mode;
use crate::installation::{Knocked, TurnError};
use crate::report::Report;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The ConfigMap, in Joiner's namespace.
pub const STATUS_CONFIG_MAP: &str = "joiner-status";
/// Turns that did nothing are told so often, in seconds.
const EVERY_S: i64 = 60;
/// Reasons and findings of a turn, at most.
const MOST: usize = 10;
/// Characters of each, at most: with `MOST` of both, a function's turn takes less than 8 KB.
const LONGEST: usize = 300;

/// One function's last turn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Standing {
    /// When it ended, in seconds since 1970.
    pub at: i64,
    /// Its name; empty if it did not begin.
    pub turn: String,
    /// What woke it.
    pub trigger: String,
    /// What it was allowed to do.
    pub mode: Mode,
    /// Why it failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Pods that waited.
    pub pending_pods: usize,
    /// Pods for which there was no place.
    pub unschedulable_pods: usize,
    /// Nodes that the plan buys.
    pub launches: usize,
    /// Instances bought.
    pub launched: usize,
    /// Instances terminated.
    pub terminated: usize,
    /// Actions that failed.
    pub failures: usize,
    /// What the check refused.
    pub violations: usize,
    /// Joiner's nodes and claims.
    pub claims: usize,
    /// What they cost, in micro-dollars per hour.
    pub nodes_micro_usd_per_hour: u64,
    /// The price of the planned launches, in micro-dollars per hour.
    pub planned_micro_usd_per_hour: u64,
    /// What taking nodes away saves, in micro-dollars per hour.
    pub saves_micro_usd_per_hour: i64,
    /// Milliseconds of the turn.
    pub milliseconds: u64,
    /// Why pods had no place, and how many pods; the most frequent first.
    pub reasons: Vec<(String, usize)>,
    /// What was odd.
    pub findings: Vec<String>,
}

impl Standing {
    /// What became of a knock; `None` if nothing did.
    pub(crate) fn of(trigger: &str, knocked: &Result<Knocked, TurnError>) -> Option<Self> {
        let at = jiff::Timestamp::now().as_second();
        match knocked {
            Ok(Knocked::Turned(report)) => Some(Self::of_report(report, at)),
            Ok(Knocked::Busy | Knocked::Paused) => None,
            Err(error) => Some(Self {
                at,
                trigger: trigger.to_owned(),
                error: Some(clip(&error.to_string())),
                ..Self::default()
            }),
        }
    }

    fn of_report(report: &Report, at: i64) -> Self {
        let mut reasons = report.reasons.iter().map(|(why, pods)| (clip(why), *pods));
        let mut reasons = reasons.by_ref().collect::<Vec<_>>();
        reasons.sort_by_key(|(_, pods)| std::cmp::Reverse(*pods));
        reasons.truncate(MOST);
        Self {
            at,
            turn: report.turn.clone(),
            trigger: report.trigger.clone(),
            mode: report.mode,
            error: None,
            pending_pods: report.pending_pods,
            unschedulable_pods: report.unschedulable_pods,
            launches: report.launches,
            launched: report.launched,
            terminated: report.terminated,
            failures: report.failures,
            violations: report.violations,
            claims: report.claims,
            nodes_micro_usd_per_hour: report.nodes_micro_usd_per_hour,
            planned_micro_usd_per_hour: report.planned_micro_usd_per_hour,
            saves_micro_usd_per_hour: report.saves_micro_usd_per_hour,
            milliseconds: report.milliseconds.get("turn").copied().unwrap_or(0),
            reasons,
            findings: report.findings.iter().take(MOST).map(|text| clip(text)).collect(),
        }
    }

    /// Whether it did anything, or went wrong.
    fn is_news(&self) -> bool {
        self.error.is_some()
            || self.launched + self.terminated + self.failures + self.violations > 0
    }

    /// As data of the ConfigMap.
    pub(crate) fn to_config_map_data(&self, function: &str) -> Value {
        json!({ function: serde_json::to_string(self).unwrap_or_default() })
    }

    /// From the ConfigMap's data, by function. What cannot be read is left out: another version wrote it.
    pub fn from_config_map_data(data: &Value) -> BTreeMap<String, Self> {
        let pairs = data.as_object().into_iter().flatten();
        let read = |(name, text): (&String, &Value)| {
            Some((name.clone(), serde_json::from_str(text.as_str()?).ok()?))
        };
        pairs.filter_map(read).collect()
    }
}

fn clip(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

/// When a warm function told last.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    at: Option<i64>,
}

impl Told {
    /// Whether this is to be told now; then it counts as told.
    pub(crate) fn is_due(&mut self, standing: &Standing, now: i64) -> bool {
        // A tick comes a little early at times.
        let due = standing.is_news() || self.at.is_none_or(|at| now - at >= EVERY_S - 5);
        if due {
            self.at = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_turns_are_told_once_a_minute_and_others_at_once() {
        let mut told = Told::default();
        let idle = Standing::default();
        let bought = Standing { launched: 1, ..Standing::default() };
        let failed = Standing { error: Some("no".to_owned()), ..Standing::default() };
        let due = [(&idle, 0), (&idle, 20), (&bought, 21), (&idle, 40), (&failed, 41), (&idle, 96)];
        let due = due.map(|(standing, now)| told.is_due(standing, now));
        assert_eq!(due, [true, false, true, false, true, true]);
    }

    #[test]
    fn a_turn_is_told_in_bounded_bytes_and_read_back() {
        let reasons = (0..100).map(|number| (format!("{number:03}{}", "x".repeat(1000)), number));
        let report = Report {
            turn: "t".to_owned(),
            reasons: reasons.collect(),
            findings: vec!["y".repeat(1000); 100],
            ..Report::default()
        };
        let standing = Standing::of_report(&report, 7);
        let data = standing.to_config_map_data("on-schedule");
        assert!(data.to_string().len() < 8_000, "{} bytes", data.to_string().len());
        assert_eq!(standing.reasons[0].1, 99, "the most frequent first");
        assert_eq!(Standing::from_config_map_data(&data)["on-schedule"], standing);
        assert!(Standing::from_config_map_data(&json!({ "a": "odd" })).is_empty());
    }
}
