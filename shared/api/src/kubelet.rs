//! Settings of the kubelet: wire types, rules, conversion.

use crate::duration;
use crate::finding::{Findings, field};
use crate::schema::{QuantityText, wire};
use model::pool::Kubelet;
use model::{Labels, Quantity, Resources};
use serde_json::{Value, json};
use std::collections::BTreeMap;

type Signals = BTreeMap<String, String>;

wire! {
    /// Settings of the kubelet.
    KubeletConfiguration {
        /// The container runtime, which only a Provisioner has: containerd, or dockerd on old AL2 images.
        #[schemars(skip)]
        container_runtime: String,
        /// The addresses of the cluster's DNS servers.
        #[serde(rename = "clusterDNS")]
        cluster_dns: Vec<String>,
        /// The most pods per node.
        #[schemars(range(min = 0))]
        max_pods: i32,
        /// The most pods per vCPU; never more than maxPods.
        #[schemars(range(min = 0))]
        pods_per_core: i32,
        /// Reserved for the system: cpu, memory, ephemeral-storage, pid.
        system_reserved: BTreeMap<String, QuantityText>,
        /// Reserved for Kubernetes' own daemons: cpu, memory, ephemeral-storage, pid.
        kube_reserved: BTreeMap<String, QuantityText>,
        /// Hard eviction thresholds by signal: a percentage or a quantity.
        eviction_hard: BTreeMap<String, String>,
        /// Soft eviction thresholds by signal: a percentage or a quantity.
        eviction_soft: BTreeMap<String, String>,
        /// How long a soft threshold must be passed, by signal.
        eviction_soft_grace_period: BTreeMap<String, String>,
        /// The most seconds that a pod gets to end when a soft threshold is passed.
        eviction_max_pod_grace_period: i32,
        /// The percentage of disk use at which images are always collected.
        #[serde(rename = "imageGCHighThresholdPercent")]
        #[schemars(range(min = 0, max = 100))]
        image_gc_high_threshold_percent: i32,
        /// The percentage of disk use below which images are never collected.
        #[serde(rename = "imageGCLowThresholdPercent")]
        #[schemars(range(min = 0, max = 100))]
        image_gc_low_threshold_percent: i32,
        /// Whether CPU limits are enforced by CFS quota.
        #[serde(rename = "cpuCFSQuota")]
        cpu_cfs_quota: bool,
    }
}

const RESERVED: &[&str] = &["cpu", "memory", "ephemeral-storage", "pid"];
const SIGNALS: &[&str] = &[
    "memory.available",
    "nodefs.available",
    "nodefs.inodesFree",
    "imagefs.available",
    "imagefs.inodesFree",
    "pid.available",
];

/// The schema of the settings as a Provisioner has them.
pub(crate) fn add_container_runtime(kubelet_schema: &mut Value) {
    let Some(Value::Object(properties)) = kubelet_schema.get_mut("properties") else { return };
    let runtime = json!({
        "type": "string",
        "enum": ["containerd", "dockerd"],
        "description": "The container runtime: containerd, or dockerd on old AL2 images."
    });
    properties.insert("containerRuntime".to_owned(), runtime);
}

/// Checks and converts the settings at `path`.
pub(crate) fn read(wire: KubeletConfiguration, path: &str, findings: &mut Findings) -> Kubelet {
    let at = |name: &str| field(path, name);
    let system_reserved = reserved(wire.system_reserved, &at("systemReserved"), findings);
    let kube_reserved = reserved(wire.kube_reserved, &at("kubeReserved"), findings);
    let soft = wire.eviction_soft.unwrap_or_default();
    check_grace_periods(
        &soft,
        &wire.eviction_soft_grace_period.unwrap_or_default(),
        path,
        findings,
    );
    let high_and_low =
        wire.image_gc_high_threshold_percent.zip(wire.image_gc_low_threshold_percent);
    findings.require(
        high_and_low.is_none_or(|(high, low)| high > low),
        "image-gc-thresholds",
        &at("imageGCHighThresholdPercent"),
        "must be greater than imageGCLowThresholdPercent",
    );
    Kubelet {
        max_pods: wire.max_pods.map(i64::from),
        pods_per_core: wire.pods_per_core.map(i64::from),
        system_reserved,
        kube_reserved,
        eviction_hard: thresholds(
            wire.eviction_hard.unwrap_or_default(),
            &at("evictionHard"),
            findings,
        ),
        eviction_soft: thresholds(soft, &at("evictionSoft"), findings),
    }
}

fn reserved(
    given: Option<BTreeMap<String, QuantityText>>,
    path: &str,
    findings: &mut Findings,
) -> Resources {
    let mut resources = Resources::new();
    for (name, quantity) in given.unwrap_or_default() {
        check_key(&name, RESERVED, &field(path, &name), findings);
        if let Some(quantity) = quantity.parse() {
            let amount = quantity.amount_of(&name);
            resources.set(name, amount);
        }
    }
    resources
}

fn check_key(key: &str, allowed: &[&str], path: &str, findings: &mut Findings) {
    let message = format!("{key:?} is none of {}", allowed.join(", "));
    findings.require(allowed.contains(&key), "kubelet-key", path, &message);
}

fn thresholds(given: Signals, path: &str, findings: &mut Findings) -> Labels {
    for (signal, threshold) in &given {
        let path = field(path, signal);
        check_key(signal, SIGNALS, &path, findings);
        let message =
            format!("{threshold:?} is neither a percentage from 0% to 100% nor a quantity");
        findings.require(is_threshold(threshold), "eviction-threshold", &path, &message);
    }
    given.into_iter().filter(|(_, threshold)| is_threshold(threshold)).collect()
}

fn is_threshold(text: &str) -> bool {
    match text.strip_suffix('%') {
        Some(number) => number.parse::<f64>().is_ok_and(|percent| (0.0..=100.0).contains(&percent)),
        None => text.parse::<Quantity>().is_ok_and(|quantity| !quantity.is_negative()),
    }
}

fn check_grace_periods(soft: &Signals, periods: &Signals, path: &str, findings: &mut Findings) {
    const RULE: &str = "eviction-grace-period";
    let at = |name: &str, signal: &str| field(&field(path, name), signal);
    for signal in soft.keys() {
        let path = at("evictionSoft", signal);
        let message = "must have its period in evictionSoftGracePeriod";
        findings.require(periods.contains_key(signal), RULE, &path, message);
    }
    for (signal, period) in periods {
        let path = at("evictionSoftGracePeriod", signal);
        check_key(signal, SIGNALS, &path, findings);
        let message = "must have its threshold in evictionSoft";
        findings.require(soft.contains_key(signal), RULE, &path, message);
        let message = format!("{period:?} is not a duration: write 90s or 1m30s");
        findings.require(duration::parse(period).is_some(), "duration", &path, &message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kubelet: Value, rules: &[&str]) {
        let wire = serde_json::from_value(kubelet.clone()).unwrap();
        let mut findings = Findings::default();
        read(wire, "spec.kubelet", &mut findings);
        let found: Vec<_> = findings.into_vec().iter().map(|finding| finding.rule).collect();
        assert_eq!(found, rules, "{kubelet}");
    }

    #[test]
    fn keys_thresholds_and_periods_are_checked() {
        check(json!({}), &[]);
        check(
            json!({"kubeReserved": {"cpu": "100m", "memory": "1Gi", "ephemeral-storage": "1Gi", "pid": 100}}),
            &[],
        );
        check(json!({"kubeReserved": {"gpu": "1"}}), &["kubelet-key"]);
        check(json!({"systemReserved": {"nvidia.com/gpu": "1"}}), &["kubelet-key"]);
        check(json!({"evictionHard": {"memory.available": "5%", "nodefs.available": "1Gi"}}), &[]);
        check(json!({"evictionHard": {"memory.free": "5%"}}), &["kubelet-key"]);
        check(json!({"evictionHard": {"memory.available": "101%"}}), &["eviction-threshold"]);
        check(json!({"evictionHard": {"memory.available": "-5%"}}), &["eviction-threshold"]);
        check(json!({"evictionHard": {"memory.available": "much"}}), &["eviction-threshold"]);
        check(json!({"evictionHard": {"memory.available": "-1Gi"}}), &["eviction-threshold"]);
        let soft = |period: &str| json!({"evictionSoft": {"memory.available": "10%"}, "evictionSoftGracePeriod": {"memory.available": period}});
        check(soft("5m"), &[]);
        check(soft("soon"), &["duration"]);
        check(json!({"evictionSoft": {"memory.available": "10%"}}), &["eviction-grace-period"]);
        check(
            json!({"evictionSoftGracePeriod": {"memory.available": "5m"}}),
            &["eviction-grace-period"],
        );
    }

    #[test]
    fn the_high_image_threshold_is_above_the_low_one() {
        let both = |high: i32, low: i32| json!({"imageGCHighThresholdPercent": high, "imageGCLowThresholdPercent": low});
        check(both(85, 80), &[]);
        check(both(80, 80), &["image-gc-thresholds"]);
        check(json!({"imageGCHighThresholdPercent": 1}), &[]);
    }
}
