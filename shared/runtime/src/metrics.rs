//! CloudWatch metrics, embedded in the log: upstream's names where the meaning is the same.

use crate::configuration::Metrics;
use crate::report::Report;
use serde_json::{Map, Value, json};

type Metric = (&'static str, &'static str, fn(&Report) -> f64);

/// The ten by default; more cost $0.30 a month each.
const FEW: [Metric; 10] = [
    ("karpenter_nodeclaims_created_total", "Count", |report| report.launched as f64),
    ("karpenter_nodeclaims_terminated_total", "Count", |report| report.terminated as f64),
    ("karpenter_scheduler_queue_depth", "Count", |report| report.pending_pods as f64),
    ("karpenter_scheduler_unschedulable_pods_count", "Count", |report| {
        report.unschedulable_pods as f64
    }),
    ("karpenter_scheduler_scheduling_duration_seconds", "Seconds", |report| {
        seconds(report, "plan")
    }),
    ("karpenter_cloudprovider_errors_total", "Count", |report| report.failures as f64),
    ("joiner_turn_duration_seconds", "Seconds", |report| seconds(report, "turn")),
    ("joiner_nodes_usd_per_hour", "None", |report| report.nodes_micro_usd_per_hour as f64 / 1e6),
    ("joiner_planned_usd_per_hour", "None", |report| {
        report.planned_micro_usd_per_hour as f64 / 1e6
    }),
    ("joiner_check_violations_total", "Count", |report| report.violations as f64),
];

/// Beside those, on request.
const MORE: [Metric; 7] = [
    ("karpenter_nodes_created_total", "Count", |report| report.launches as f64),
    ("karpenter_cluster_state_node_count", "Count", |report| report.claims as f64),
    ("karpenter_pods_scheduled_total", "Count", |report| report.placed_pods as f64),
    ("joiner_lower_bound_usd_per_hour", "None", |report| {
        report.lower_bound_micro_usd_per_hour as f64 / 1e6
    }),
    ("joiner_observe_duration_seconds", "Seconds", |report| seconds(report, "observe")),
    ("joiner_execute_duration_seconds", "Seconds", |report| seconds(report, "execute")),
    ("joiner_steps_total", "Count", |report| report.steps as f64),
];

fn seconds(report: &Report, part: &str) -> f64 {
    report.milliseconds.get(part).copied().unwrap_or(0) as f64 / 1e3
}

/// Prints the metrics of a turn, as CloudWatch's embedded metric format.
pub(crate) fn write(which: Metrics, cluster: &str, report: &Report) {
    if let Some(line) = embedded(which, cluster, report, jiff::Timestamp::now().as_millisecond()) {
        println!("{line}");
    }
}

/// Prints how many events told of Joiner's instances, and how many of others: among all metrics only, for each has its price.
pub(crate) fn heeded(which: Metrics, cluster: &str, own: usize, foreign: usize) {
    if which == Metrics::All {
        let all = [
            ("karpenter_interruption_received_messages_total", "Count", own as f64),
            ("joiner_interruption_foreign_messages_total", "Count", foreign as f64),
        ];
        println!("{}", line(cluster, &all, jiff::Timestamp::now().as_millisecond()));
    }
}

fn embedded(which: Metrics, cluster: &str, report: &Report, now_ms: i64) -> Option<Value> {
    let all = match which {
        Metrics::None => return None,
        Metrics::Few => FEW.to_vec(),
        Metrics::All => FEW.iter().chain(&MORE).copied().collect(),
    };
    let all = all.iter().map(|(name, unit, of)| (*name, *unit, of(report))).collect::<Vec<_>>();
    Some(line(cluster, &all, now_ms))
}

/// One line of names, units and values.
fn line(cluster: &str, all: &[(&str, &str, f64)], now_ms: i64) -> Value {
    let named = all.iter().map(|(name, unit, _)| json!({ "Name": name, "Unit": unit }));
    let metrics = named.collect::<Vec<_>>();
    let values = all.iter().map(|(name, _, value)| ((*name).to_owned(), json!(value)));
    let mut line = values.collect::<Map<_, _>>();
    line.insert("Cluster".to_owned(), json!(cluster));
    line.insert("_aws".to_owned(), json!({
        "Timestamp": now_ms,
        "CloudWatchMetrics": [{ "Namespace": "Joiner", "Dimensions": [["Cluster"]], "Metrics": metrics }],
    }));
    Value::Object(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_at_most_ten_metrics_are_written() {
        let report = Report { launched: 3, ..Report::default() };
        let line = embedded(Metrics::Few, "demo", &report, 1).unwrap();
        let names = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
        assert_eq!(names.len(), 10);
        assert_eq!(line["karpenter_nodeclaims_created_total"], 3.0);
        assert!(names.iter().all(|name| line[name["Name"].as_str().unwrap()].is_number()));
        assert_eq!(embedded(Metrics::None, "demo", &report, 1), None);
    }
}
