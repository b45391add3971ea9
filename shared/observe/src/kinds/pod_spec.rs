//! A pod's spec, in a pod or in a template.

use super::requests;
use super::selectors::{
    node_selector, pod_affinity_term, preferred_node_term, preferred_pod_term, toleration,
    topology_spread,
};
use crate::wire::{
    Read, boolean, deep, each, field, integer, integer32, labels, list, mapping, required, text,
    wrong,
};
use model::labels::normalize;
use model::pod::{HostPort, NodeSelectorTerm, PodAffinityTerm, PodVolume, Weighted};
use model::{Labels, PodSpec};
use serde_json::Value;

/// Kubernetes' default of `terminationGracePeriodSeconds`.
const DEFAULT_GRACE_S: i64 = 30;

/// Reads the spec of a pod with these labels; its status may show resources allocated during a resize.
pub(crate) fn read(spec: &Value, status: Option<&Value>, own: &Labels) -> Read<PodSpec> {
    mapping(spec)?;
    if field(spec, "containers", |value| each(value, mapping))?.unwrap_or_default().is_empty() {
        required(spec, "containers", |value| Err::<(), _>(wrong(value, "a list of containers")))?;
    }
    let node_selector = field(spec, "nodeSelector", labels)?.unwrap_or_default();
    let scheduler = field(spec, "schedulerName", text)?.unwrap_or_default();
    let mut read = PodSpec {
        requests: requests::effective(spec, status)?,
        node_selector: with_todays_names(node_selector),
        tolerations: list(spec, "tolerations", toleration)?,
        topology_spread: list(spec, "topologySpreadConstraints", |value| {
            topology_spread(value, own)
        })?,
        host_ports: host_ports(spec)?,
        volumes: list(spec, "volumes", volume)?.into_iter().flatten().collect(),
        priority: field(spec, "priority", integer32)?.unwrap_or(0),
        termination_grace_period_s: field(spec, "terminationGracePeriodSeconds", integer)?
            .unwrap_or(DEFAULT_GRACE_S),
        resource_claims: !list(spec, "resourceClaims", mapping)?.is_empty(),
        scheduler_name: if scheduler == "default-scheduler" { "" } else { scheduler }.to_owned(),
        ..PodSpec::default()
    };
    field(spec, "affinity", |value| affinity(value, &mut read, own))?;
    Ok(read)
}

/// Labels with today's names for old keys.
pub(crate) fn with_todays_names(labels: Labels) -> Labels {
    labels.into_iter().map(|(key, value)| (normalize(&key).to_owned(), value)).collect()
}

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

fn affinity(value: &Value, spec: &mut PodSpec, own: &Labels) -> Read<()> {
    let node = |value| -> Read<(Vec<NodeSelectorTerm>, Vec<Weighted<NodeSelectorTerm>>)> {
        let required = field(value, REQUIRED, node_selector)?.unwrap_or_default();
        Ok((required, list(value, PREFERRED, preferred_node_term)?))
    };
    let pods = |value| -> Read<(Vec<PodAffinityTerm>, Vec<Weighted<PodAffinityTerm>>)> {
        let required = list(value, REQUIRED, |term| pod_affinity_term(term, own))?;
        Ok((required, list(value, PREFERRED, |term| preferred_pod_term(term, own))?))
    };
    (spec.node_affinity, spec.preferred_node_affinity) =
        field(value, "nodeAffinity", node)?.unwrap_or_default();
    (spec.pod_affinity, spec.preferred_pod_affinity) =
        field(value, "podAffinity", pods)?.unwrap_or_default();
    (spec.pod_anti_affinity, spec.preferred_pod_anti_affinity) =
        field(value, "podAntiAffinity", pods)?.unwrap_or_default();
    Ok(())
}

/// Ports of regular containers on the node; on the host's network every container port is one.
fn host_ports(spec: &Value) -> Read<Vec<HostPort>> {
    let host_network = field(spec, "hostNetwork", boolean)?.unwrap_or(false);
    let port = |port: &Value| {
        let on_host = field(port, "hostPort", integer)?.filter(|number| *number != 0);
        let of_container = field(port, "containerPort", integer)?.filter(|_| host_network);
        let Some(number) = on_host.or(of_container) else { return Ok(None) };
        let number = u16::try_from(number)
            .map_err(|_| wrong(&Value::from(number), "a port of 1 to 65535").under("hostPort"))?;
        let ip = field(port, "hostIP", text)?.unwrap_or_default().to_owned();
        let protocol = field(port, "protocol", text)?.unwrap_or("TCP").to_owned();
        Ok(Some(HostPort { ip, port: number, protocol }))
    };
    let of_container = |container| list(container, "ports", port);
    let mut ports =
        list(spec, "containers", of_container)?.into_iter().flatten().flatten().collect::<Vec<_>>();
    ports.sort();
    ports.dedup();
    Ok(ports)
}

fn volume(value: &Value) -> Read<Option<PodVolume>> {
    let claim = |value| required(value, "claimName", text);
    if let Some(name) = field(value, "persistentVolumeClaim", claim)? {
        return Ok(Some(PodVolume::Claim(name.to_owned())));
    }
    let template = ["volumeClaimTemplate", "spec", "storageClassName"];
    let storage_class = field(value, "ephemeral", |ephemeral| deep(ephemeral, &template, text))?;
    let Some(storage_class) = storage_class else { return Ok(None) };
    Ok(Some(PodVolume::Ephemeral {
        volume: required(value, "name", text)?.to_owned(),
        storage_class: storage_class.map(str::to_owned),
    }))
}
