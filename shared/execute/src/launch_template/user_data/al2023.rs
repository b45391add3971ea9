//! Amazon Linux 2023: a MIME archive whose last part is a NodeConfig for nodeadm. Later NodeConfigs win over earlier ones, key by key.

use super::{Bootstrap, TemplateError, mime, yaml};
use serde_json::{Map, Value, json};

const NODE_CONFIG: &str = "application/node.eks.aws";
const API_VERSION: &str = "node.eks.aws/v1alpha1";

pub(super) fn render(bootstrap: &Bootstrap) -> Result<String, TemplateError> {
    let mut parts = users_parts(bootstrap)?;
    parts.push(mime::part(NODE_CONFIG, &yaml::text(&node_config(bootstrap)?)));
    Ok(mime::archive(&parts))
}

fn users_parts(bootstrap: &Bootstrap) -> Result<Vec<String>, TemplateError> {
    let text = bootstrap.users().unwrap_or_default();
    if text.trim_start().starts_with("[settings") {
        let message =
            "this is Bottlerocket's TOML; set amiFamily: Bottlerocket or give a NodeConfig";
        return Err(bootstrap.error("userData", message));
    }
    bootstrap.users_parts(if is_node_config(text) { NODE_CONFIG } else { mime::SHELL })
}

/// Whether user data that is not MIME is a NodeConfig, in YAML or JSON.
fn is_node_config(text: &str) -> bool {
    let names_it = |line: &str| {
        let line = line.trim_start().trim_start_matches('{').trim_start().trim_start_matches('"');
        line.starts_with("apiVersion") && line.contains("node.eks.aws/")
    };
    !text.trim_start().starts_with("#!") && text.lines().any(names_it)
}

fn node_config(bootstrap: &Bootstrap) -> Result<Value, TemplateError> {
    let cluster = bootstrap.cluster;
    if cluster.service_cidr.is_empty() {
        let message = "Amazon Linux 2023 needs the cluster's range of service addresses, and it is not known; grant eks:DescribeCluster";
        return Err(bootstrap.error("amiFamily", message));
    }
    let mut facts = json!({
        "name": cluster.name,
        "apiServerEndpoint": cluster.endpoint,
        "cidr": cluster.service_cidr,
    });
    if !cluster.certificate_authority.is_empty() {
        facts["certificateAuthority"] = json!(cluster.certificate_authority);
    }
    let flags = [format!("--node-labels=\"{}\"", bootstrap.joined_labels()?)];
    let mut spec = json!({
        "cluster": facts,
        "kubelet": { "config": kubelet_config(bootstrap), "flags": flags },
    });
    if bootstrap.spec.instance_store_raid0 {
        spec["instance"] = json!({ "localStorage": { "strategy": "RAID0" } });
    }
    Ok(json!({ "apiVersion": API_VERSION, "kind": "NodeConfig", "spec": spec }))
}

/// The kubelet's settings, by the names of its configuration file.
fn kubelet_config(bootstrap: &Bootstrap) -> Value {
    let kubelet = &bootstrap.kubelet;
    let taint = |taint: &model::Taint| match taint.value.as_str() {
        "" => json!({ "key": taint.key, "effect": taint.effect.as_str() }),
        value => json!({ "key": taint.key, "value": value, "effect": taint.effect.as_str() }),
    };
    let mut config = Map::new();
    let mut set = |key: &str, value: Value| {
        let empty = match &value {
            Value::Null => true,
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        };
        if !empty {
            config.insert(key.to_owned(), value);
        }
    };
    set("registerWithTaints", bootstrap.taints.iter().map(taint).collect());
    set("clusterDNS", json!(kubelet.cluster_dns));
    set("maxPods", json!(bootstrap.max_pods));
    set("podsPerCore", json!(kubelet.pods_per_core));
    set("systemReserved", json!(kubelet.system_reserved));
    set("kubeReserved", json!(kubelet.kube_reserved));
    set("evictionHard", json!(kubelet.eviction_hard));
    set("evictionSoft", json!(kubelet.eviction_soft));
    set("evictionSoftGracePeriod", json!(kubelet.eviction_soft_grace_period));
    set("evictionMaxPodGracePeriod", json!(kubelet.eviction_max_pod_grace_period));
    set("imageGCHighThresholdPercent", json!(kubelet.image_gc_high_threshold_percent));
    set("imageGCLowThresholdPercent", json!(kubelet.image_gc_low_threshold_percent));
    set("cpuCFSQuota", json!(kubelet.cpu_cfs_quota));
    Value::Object(config)
}
