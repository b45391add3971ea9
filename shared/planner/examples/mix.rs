//! Plans upstream's scheduling benchmark with the real `plan` and `check`, on one thread.
//!
//! `cargo run --release -p joiner-planner --example mix -- PODS [--preferences] [--existing NODES]` prints, separated by tabs:
//! `pods nodes unscheduled plan_ms peak_mib usd_h violations`, the time being the best of three.
//! The mix is that of Karpenter's `scheduling_benchmark_test.go`: 400 generated instance types; a fifth of the pods each generic,
//! with a zonal spread, a hostname spread, a zonal affinity to themselves, a hostname anti-affinity. `--preferences`: pods that
//! prefer a zone, to be alone in it (which cannot be) and to be alone on their node. `--existing`: beside so many nodes with
//! twenty running pods each.

use joiner_planner as planner;
use model::pool::ApiVersion;
use model::resources::{CPU, MEMORY, PODS};
use model::{
    CapacityType, InstanceType, Labels, MicroUsdPerHour, Node, NodePool, Offering, Resources,
    Snapshot, labels,
};
use pods::{Draw, Rule};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[path = "mix/pods.rs"]
mod pods;
#[allow(dead_code, reason = "reading problems is the other examples' part")]
mod problem;

/// Running pods of a node that exists.
const PODS_OF_A_NODE: usize = 20;
/// Plans made, of which the quickest counts.
const TIMES: usize = 3;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let pods = arguments.next().ok_or("how many pods?")?.parse::<usize>()?;
    let (mut preferences, mut existing) = (false, 0);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--preferences" => preferences = true,
            "--existing" => {
                existing = arguments.next().ok_or("how many nodes?")?.parse::<usize>()?
            }
            other => return Err(format!("{other} is not known").into()),
        }
    }
    let snapshot = snapshot(pods, preferences, existing);
    let mut best = Duration::MAX;
    let mut plan = model::Plan::default();
    for _ in 0..TIMES {
        let start = Instant::now();
        let made = planner::plan(&snapshot, &planner::Options::default());
        best = best.min(start.elapsed());
        plan = made;
    }
    let peak = peak_mib();
    let violations = planner::check(&snapshot, &plan);
    violations.iter().take(5).for_each(|violation| eprintln!("{violation}"));
    println!("pods\tnodes\tunscheduled\tplan_ms\tpeak_mib\tusd_h\tviolations");
    let (nodes, left) = (plan.launches.len(), plan.unschedulable.len());
    let (ms, cost) = (best.as_secs_f64() * 1000.0, plan.cost.planned.usd());
    println!("{pods}\t{nodes}\t{left}\t{ms:.1}\t{peak}\t{cost:.2}\t{}", violations.len());
    Ok(())
}

fn snapshot(pods: usize, preferences: bool, existing: usize) -> Snapshot {
    let mut draw = Draw::new(42);
    let pool = NodePool::new("default", ApiVersion::V1, "default", "fake");
    let types = (1..=400).map(instance_type).collect::<Vec<_>>();
    let mut snapshot = Snapshot {
        region: "test".to_owned(),
        node_pools: vec![pool],
        instance_types: [("fake".to_owned(), Arc::new(types))].into(),
        ..Snapshot::default()
    };
    snapshot.pods =
        if preferences { (0..pods).map(|_| draw.preference()).collect() } else { draw.mix(pods) };
    (0..existing).for_each(|number| add_node(&mut snapshot, number, &mut draw));
    snapshot
}

/// The type of so many vCPUs.
fn instance_type(cpus: i64) -> InstanceType {
    let capacity =
        Resources::new().with(CPU, cpus * 1000).with(MEMORY, cpus << 31).with(PODS, cpus * 10);
    let mut allocatable = capacity.clone();
    allocatable.subtract(&Resources::new().with(CPU, 100).with(MEMORY, 10 << 20));
    let price = cpus as f64 * 0.1 + (cpus << 31) as f64 * 0.1 / 1e9;
    let offering = |(zone, capacity_type): (&str, CapacityType)| Offering {
        zone: zone.to_owned(),
        zone_id: String::new(),
        capacity_type,
        price: MicroUsdPerHour((price * 1e6) as u64),
        estimated: false,
        available: true,
        reservation: None,
        parts: Default::default(),
    };
    let spot = ["zone-1", "zone-2"].map(|zone| (zone, CapacityType::Spot));
    let on_demand = ["zone-1", "zone-2", "zone-3"].map(|zone| (zone, CapacityType::OnDemand));
    let own = [(labels::ARCH, "amd64"), (labels::OS, "linux")];
    InstanceType {
        name: format!("fake-it-{:03}", cpus - 1),
        labels: own.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        capacity,
        allocatable,
        offerings: spot.into_iter().chain(on_demand).map(offering).collect(),
    }
}

/// A node of 24 vCPUs with running pods, of which one has the hostname anti-affinity.
fn add_node(snapshot: &mut Snapshot, number: usize, draw: &mut Draw) {
    const RULES: [Rule; 2] = [Rule::Generic, Rule::ZonalAffinity];
    let of_type = instance_type(24);
    let name: Arc<str> = format!("node-{number:05}").into();
    let own = [
        (labels::NODE_POOL, "default"),
        (labels::INITIALIZED, "true"),
        (labels::REGISTERED, "true"),
        (labels::HOSTNAME, &*name),
        (labels::ZONE, ["zone-1", "zone-2", "zone-3"][number % 3]),
        (labels::INSTANCE_TYPE, &of_type.name),
        (labels::CAPACITY_TYPE, "on-demand"),
    ];
    let mut all: Labels = of_type.labels.clone();
    all.extend(own.map(|(key, value)| (key.to_owned(), value.to_owned())));
    for at in 0..PODS_OF_A_NODE {
        let rule = if at == 0 { Rule::HostAntiAffinity } else { RULES[at % RULES.len()] };
        let mut pod = draw.pod(rule);
        pod.node_name = Some(name.clone());
        pod.phase = model::pod::PodPhase::Running;
        pod.unschedulable = false;
        snapshot.pods.push(pod);
    }
    snapshot.nodes.push(Node {
        name,
        labels: all,
        allocatable: of_type.allocatable,
        capacity: of_type.capacity,
        ready: true,
        ..Node::default()
    });
}

/// The most memory that the process has had, in MiB (`VmHWM`); 0 where the system does not tell.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}
