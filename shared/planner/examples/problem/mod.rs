//! Packing problems in files.

use flate2::read::GzDecoder;
use model::pod::{InclusionPolicy, PodAffinityTerm, TopologySpread, WhenUnsatisfiable};
use model::pool::ApiVersion;
use model::{
    CapacityType, InstanceType, LabelSelector, Labels, MicroUsdPerHour, NodePool, Offering, Pod,
    PodId, PodSpec, Quantity, Resources, Snapshot, labels,
};
use serde_json::Value;
use std::io::Read;
use std::sync::Arc;

type Failure = Box<dyn std::error::Error>;

pub(crate) fn read(path: &str) -> Result<Value, Failure> {
    let bytes = std::fs::read(path)?;
    let mut text = Vec::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        GzDecoder::new(bytes.as_slice()).read_to_end(&mut text)?;
    } else {
        text = bytes;
    }
    Ok(serde_json::from_slice(&text)?)
}

pub(crate) fn snapshot(problem: &Value) -> Option<Snapshot> {
    let types = problem["instance_types"]
        .as_array()?
        .iter()
        .map(instance_type)
        .collect::<Option<Vec<_>>>()?;
    let pods = problem["pods"].as_array()?.iter().map(pods).collect::<Option<Vec<_>>>()?;
    let pool = NodePool::new("default", ApiVersion::V1, "default", "all");
    Some(Snapshot {
        region: "us-east-1".to_owned(),
        pods: pods.into_iter().flatten().collect(),
        node_pools: vec![pool],
        instance_types: [("all".to_owned(), Arc::new(types))].into(),
        ..Snapshot::default()
    })
}

fn resources(amounts: &Value) -> Option<Resources> {
    let amount = |(name, amount): (&String, &Value)| {
        let quantity = amount.as_str()?.parse::<Quantity>().ok()?;
        Some((name.as_str().into(), quantity.amount_of(name)))
    };
    amounts.as_object()?.iter().map(amount).collect()
}

fn instance_type(entry: &Value) -> Option<InstanceType> {
    let capacity = resources(&entry["capacity"])?;
    let mut allocatable = capacity.clone();
    allocatable.subtract(&resources(&entry["overhead"])?);
    let labels = [
        (labels::ARCH.to_owned(), entry["arch"].as_str()?.to_owned()),
        (labels::OS.to_owned(), "linux".to_owned()),
    ];
    let offerings =
        entry["offerings"].as_array()?.iter().map(offering).collect::<Option<Vec<_>>>()?;
    Some(InstanceType {
        name: entry["name"].as_str()?.to_owned(),
        labels: labels.into(),
        capacity,
        allocatable,
        offerings,
    })
}

fn offering(entry: &Value) -> Option<Offering> {
    Some(Offering {
        zone: entry["zone"].as_str()?.to_owned(),
        zone_id: String::new(),
        capacity_type: CapacityType::parse(entry["capacity_type"].as_str()?)?,
        price: MicroUsdPerHour::from_usd(entry["price"].as_f64()?)?,
        estimated: false,
        available: true,
        reservation: None,
        parts: Default::default(),
    })
}

fn pods(entry: &Value) -> Option<Vec<Pod>> {
    let name = entry["name"].as_str()?;
    let labels = Arc::new(Labels::from([("app".to_owned(), name.to_owned())]));
    let selector = LabelSelector::from_labels(&labels);
    let spread = |key: &str, skew: &Value| {
        skew.as_i64().map(|skew| TopologySpread {
            max_skew: skew as i32,
            topology_key: key.to_owned(),
            when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
            selector: selector.clone(),
            min_domains: None,
            match_label_keys: Vec::new(),
            node_affinity_policy: InclusionPolicy::Honor,
            node_taints_policy: InclusionPolicy::Ignore,
        })
    };
    let apart = PodAffinityTerm {
        topology_key: labels::HOSTNAME.to_owned(),
        selector: selector.clone(),
        namespaces: Vec::new(),
        namespace_selector: None,
    };
    let mut requests = resources(&entry["requests"])?;
    requests.set(model::resources::PODS, 1);
    let spreads = [
        spread(labels::ZONE, &entry["zone_spread"]),
        spread(labels::HOSTNAME, &entry["host_spread"]),
    ];
    let spec = Arc::new(PodSpec {
        requests,
        topology_spread: spreads.into_iter().flatten().collect(),
        pod_anti_affinity: if entry["anti_affinity_host"].as_bool() == Some(true) {
            vec![apart]
        } else {
            Vec::new()
        },
        ..PodSpec::default()
    });
    let pod = |number: u64| {
        let id = PodId::new("default", &format!("{name}-{number}"));
        Pod::waiting(id, labels.clone(), spec.clone())
    };
    Some((0..entry["count"].as_u64()?).map(pod).collect())
}
