//! Workloads of a seed, and their disruption budgets.

use super::setup::{Kind, PodBudget, Workload, batch_taint};
use crate::{Random, SimTime};
use model::pod::{InclusionPolicy, PodAffinityTerm, TopologySpread, WhenUnsatisfiable};
use model::resources::{CPU, MEMORY, PODS};
use model::snapshot::PodDisruptionBudget;
use model::{LabelSelector, Labels, PodSpec, Resources, Snapshot, Toleration, labels};
use std::sync::Arc;

/// The namespace of all workloads.
pub(super) const NAMESPACE: &str = "default";

/// Workloads and their budgets. Budgets that block for good come only where nodes may end in spite of them (`drains`).
pub(super) fn of_seed(
    random: &mut Random,
    cluster: &Snapshot,
    calm_at: SimTime,
    drains: bool,
) -> (Vec<Workload>, Vec<PodBudget>) {
    let batch = cluster.node_pools.iter().any(|pool| pool.name == "batch");
    let mut workloads = Vec::new();
    for number in 0..random.between(2, 5) {
        workloads.push(service(random, number, calm_at));
    }
    for number in 0..random.below(4) {
        workloads.push(job(random, number, batch, calm_at));
    }
    let mut budgets = Vec::new();
    for (index, workload) in workloads.iter().enumerate() {
        let jobs = matches!(workload.kind, Kind::Job(_));
        if !jobs && random.below(2) == 0 {
            let blocks = drains && random.below(4) == 0;
            let max_unavailable = if blocks { 0 } else { random.between(1, 2) as u32 };
            budgets.push(budget(workload, index, max_unavailable));
        }
    }
    (workloads, budgets)
}

fn budget(workload: &Workload, index: usize, max_unavailable: u32) -> PodBudget {
    let budget = PodDisruptionBudget {
        namespace: NAMESPACE.to_owned(),
        name: workload.name.clone(),
        selector: LabelSelector::from_labels(&workload.labels),
        disruptions_allowed: 0,
        unready_may_go: false,
    };
    PodBudget { budget, max_unavailable, workload: index }
}

fn service(random: &mut Random, number: i64, calm_at: SimTime) -> Workload {
    let name = format!("web{number}");
    let app = Labels::from([("app".to_owned(), name.clone())]);
    let mut spec = spec(random);
    let selector = LabelSelector::from_labels(&app);
    match random.below(5) {
        0 => spec.topology_spread = vec![spread(labels::ZONE, &selector)],
        1 => spec.topology_spread = vec![spread(labels::HOSTNAME, &selector)],
        2 => spec.pod_anti_affinity = vec![apart(&selector)],
        _ => {}
    }
    let latest_s = calm_at.0 / 1000 - 1;
    let mut scales = Vec::new();
    for _ in 0..random.below(4) {
        let at = SimTime::from_s(random.between(60, latest_s));
        scales.push((at, random.below(9) as u32));
    }
    Workload {
        name,
        kind: if random.below(4) == 0 { Kind::StatefulSet } else { Kind::ReplicaSet },
        arrives: SimTime::from_s(random.between(0, 300)),
        replicas: random.between(1, 8) as u32,
        labels: Arc::new(app),
        spec: Arc::new(spec),
        do_not_disrupt: false,
        scales,
    }
}

fn job(random: &mut Random, number: u64, batch: bool, calm_at: SimTime) -> Workload {
    let name = format!("job{number}");
    let mut spec = spec(random);
    if batch && random.below(2) == 0 {
        let taint = batch_taint();
        spec.node_selector.insert(labels::NODE_POOL.to_owned(), "batch".to_owned());
        spec.tolerations = vec![Toleration {
            key: Some(taint.key),
            exists: false,
            value: taint.value,
            effect: Some(taint.effect),
        }];
    }
    Workload {
        labels: Arc::new(Labels::from([("app".to_owned(), name.clone())])),
        name,
        kind: Kind::Job(random.between(60, 900) * 1000),
        arrives: SimTime::from_s(random.between(0, calm_at.0 / 1000 - 60)),
        replicas: random.between(1, 6) as u32,
        spec: Arc::new(spec),
        do_not_disrupt: random.below(3) == 0,
        scales: Vec::new(),
    }
}

fn spec(random: &mut Random) -> PodSpec {
    let milli_cpu = [100, 250, 500, 1000, 1700, 3500][random.below(6) as usize];
    let memory = [128_i64, 512, 1024, 4096][random.below(4) as usize] << 20;
    PodSpec {
        requests: Resources::new().with(CPU, milli_cpu).with(MEMORY, memory).with(PODS, 1),
        termination_grace_period_s: [0, 5, 30, 30, 60][random.below(5) as usize],
        ..PodSpec::default()
    }
}

pub(super) fn spread(key: &str, selector: &LabelSelector) -> TopologySpread {
    TopologySpread {
        max_skew: 1,
        topology_key: key.to_owned(),
        when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
        selector: selector.clone(),
        min_domains: None,
        match_label_keys: Vec::new(),
        node_affinity_policy: InclusionPolicy::Honor,
        node_taints_policy: InclusionPolicy::Ignore,
    }
}

fn apart(selector: &LabelSelector) -> PodAffinityTerm {
    PodAffinityTerm {
        topology_key: labels::HOSTNAME.to_owned(),
        selector: selector.clone(),
        namespaces: Vec::new(),
        namespace_selector: None,
    }
}
