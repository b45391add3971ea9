//! Consolidates clusters with the real planner and prints a line for each.
//!
//! `cargo run --release -p joiner-planner --example consolidate` makes a cluster of 5,000 nodes and 100,000 pods at 40% use and
//! prints, separated by tabs: `nodes pods use plan_ms peak_mib usd_h after_usd_h moved turn_ms
//! intended`, the last two of a turn's whole `plan` within a budget of 10%.
//! With packing problems as arguments (see the example `pack`) it packs each as an upstream-like packer does, consolidates that
//! cluster again and again, a tenth of its nodes at a time, until nothing more is to be gained, and prints:
//! `problem usd_h after_usd_h lower_bound_usd_h above_bound rounds moved moved_per_usd_month`.

use joiner_planner as planner;
use model::pool::Budget;
use model::resources::{CPU, MEMORY, PODS};
use model::{
    InstanceType, Launch, MicroUsdPerHour, Node, Pod, PodId, PodSpec, Resources, Snapshot,
};
use model::{Labels, labels, pod::PodPhase};
use planner::{Consolidation, Options, Scope};
use simulation::workload::Workload;
use simulation::{Decider, Random, baseline::Upstream, scenario::Scenario};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

mod problem;

type Failure = Box<dyn std::error::Error>;

/// Hours of a month, as AWS counts them.
const HOURS: f64 = 730.0;
/// Rounds after which a cluster counts as one that never rests.
const MOST_ROUNDS: usize = 400;

fn main() -> Result<(), Failure> {
    let files = std::env::args().skip(1).collect::<Vec<_>>();
    if files.is_empty() {
        return large(5_000, 100_000);
    }
    println!(
        "problem\tusd_h\tafter_usd_h\tlower_bound_usd_h\tabove_bound\trounds\tmoved\tmoved_per_usd_month"
    );
    files.iter().try_for_each(|path| again_and_again(path))
}

fn large(nodes: usize, pods: usize) -> Result<(), Failure> {
    let snapshot = half_used(nodes, pods)?;
    let start = Instant::now();
    let answer = planner::consolidate(&snapshot, &Scope::default(), &Options::default());
    let (elapsed, peak) = (start.elapsed().as_millis(), peak_mib());
    let (turn, intended) = one_turn(snapshot.clone());
    println!("nodes\tpods\tuse\tplan_ms\tpeak_mib\tusd_h\tafter_usd_h\tmoved\tturn_ms\tintended");
    let (count, used) = (snapshot.pods.len(), used(&snapshot));
    let (now, after) = (answer.current.usd(), answer.after.usd());
    println!(
        "{nodes}\t{count}\t{used}%\t{elapsed}\t{peak}\t{now:.2}\t{after:.2}\t{}\t{turn}\t{intended}",
        answer.moved
    );
    Ok(())
}

/// How long a turn's plan takes in milliseconds, and how many nodes it intends to take away.
fn one_turn(mut snapshot: Snapshot) -> (u128, usize) {
    for pool in &mut snapshot.node_pools {
        pool.disruption.consolidate_after = Some(model::Duration(0));
        pool.disruption.budgets = vec![Budget::always("10%")];
    }
    let start = Instant::now();
    let plan = planner::plan(&snapshot, &Options::default());
    let elapsed = start.elapsed().as_millis();
    (elapsed, plan.disruptions.iter().map(|planned| planned.nodes.len()).sum())
}

/// A cluster of the catalog's types whose nodes are used by two fifths.
fn half_used(nodes: usize, pods: usize) -> Result<Snapshot, Failure> {
    const TYPES: [&str; 5] =
        ["m5.4xlarge", "c5.4xlarge", "r5.4xlarge", "m6i.4xlarge", "m5.2xlarge"];
    let nothing =
        Workload { name: String::new(), source: String::new(), requests: Vec::new(), spread_s: 0 };
    let catalog = catalog::Catalog::embedded()?;
    let scenario = Scenario::from_catalog(nothing, &catalog, "us-east-1", 3600, 1);
    let mut random = Random::new(1);
    let shapes = (0..30).map(|_| shape(&mut random)).collect::<Vec<_>>();
    let types = TYPES.map(|name| scenario.instance_types.iter().find(|known| known.name == name));
    let types = types.into_iter().flatten().collect::<Vec<_>>();
    let mut snapshot = Snapshot {
        region: scenario.region.clone(),
        instance_types: [("catalog".to_owned(), scenario.instance_types.clone())].into(),
        node_pools: vec![scenario.pool.clone()],
        ..Snapshot::default()
    };
    snapshot.node_pools.iter_mut().for_each(|pool| pool.instance_types = "catalog".to_owned());
    let labels = Arc::new(Labels::new());
    for number in 0..nodes {
        let of_type = types[random.below(types.len() as u64) as usize];
        let offering = &of_type.offerings[random.below(of_type.offerings.len() as u64) as usize];
        let name = format!("node-{number}");
        let node = node(&name, "default", of_type, &offering.zone, offering.price);
        let mut room = node.allocatable.clone();
        let share = random.between(26, 78);
        let most = [CPU, MEMORY].map(|name| node.allocatable.get(name) * (100 - share) / 100);
        while snapshot.pods.len() < pods {
            let spec = &shapes[random.below(30) as usize];
            room.subtract(&spec.requests);
            if room.get(CPU) < most[0] || room.get(MEMORY) < most[1] || room.get(PODS) < 0 {
                break;
            }
            let id = PodId::new("default", &format!("pod-{}", snapshot.pods.len()));
            snapshot.pods.push(pod(id, spec.clone(), labels.clone(), Some(node.name.clone())));
        }
        snapshot.nodes.push(node);
    }
    Ok(snapshot)
}

fn shape(random: &mut Random) -> Arc<PodSpec> {
    let cpu = random.between(1, 5) * 100;
    let memory = random.between(1, 7) * (256 << 20);
    let requests = Resources::new().with(CPU, cpu).with(MEMORY, memory).with(PODS, 1);
    Arc::new(PodSpec { requests, ..PodSpec::default() })
}

fn pod(id: PodId, spec: Arc<PodSpec>, labels: Arc<Labels>, node: Option<Arc<str>>) -> Pod {
    Pod {
        phase: PodPhase::Running,
        unschedulable: false,
        ready: true,
        node_name: node,
        ..Pod::waiting(id, labels, spec)
    }
}

fn node(
    name: &str,
    pool: &str,
    of_type: &InstanceType,
    zone: &str,
    price: MicroUsdPerHour,
) -> Node {
    let own = [
        (labels::NODE_POOL, pool),
        (labels::INITIALIZED, "true"),
        (labels::REGISTERED, "true"),
        (labels::HOSTNAME, name),
        (labels::ZONE, zone),
        (labels::INSTANCE_TYPE, &of_type.name),
        (labels::CAPACITY_TYPE, "on-demand"),
    ];
    let mut all = of_type.labels.clone();
    all.extend(own.map(|(key, value)| (key.to_owned(), value.to_owned())));
    Node {
        name: name.into(),
        labels: all,
        allocatable: of_type.allocatable.clone(),
        capacity: of_type.capacity.clone(),
        ready: true,
        price: Some(price),
        ..Node::default()
    }
}

/// How much of the CPU or of the memory is asked for, whichever is more, in hundredths.
fn used(snapshot: &Snapshot) -> i64 {
    let of = |name: &str| {
        let asked = snapshot.pods.iter().map(|pod| pod.spec.requests.get(name)).sum::<i64>();
        let all = snapshot.nodes.iter().map(|node| node.allocatable.get(name)).sum::<i64>();
        asked / (all / 100).max(1)
    };
    of(CPU).max(of(MEMORY))
}

fn again_and_again(path: &str) -> Result<(), Failure> {
    let problem = problem::read(path).map_err(|error| format!("{path}: {error}"))?;
    let waiting = problem::snapshot(&problem).ok_or_else(|| format!("{path}: no problem"))?;
    let name = problem["name"].as_str().unwrap_or(path);
    let mut cluster = waiting.clone();
    let mut made = 0;
    launch(&mut cluster, &Upstream.decide(&waiting).launches, &mut made);
    cluster.pods.retain(|pod| pod.node_name.is_some());
    let before = cost(&cluster);
    let (mut rounds, mut moved) = (0, 0);
    while rounds < MOST_ROUNDS {
        let tenth = cluster.nodes.len().div_ceil(10);
        let scope = Scope { nodes_of_a_pool: Some(tenth), ..Scope::default() };
        let answer = planner::consolidate(&cluster, &scope, &Options::default());
        if answer.steps.is_empty() {
            break;
        }
        carry_out(&mut cluster, &answer, &mut made);
        moved += answer.moved;
        rounds += 1;
        if std::env::var_os("VERBOSE").is_some() {
            let nodes = answer.steps.iter().map(|step| step.nodes.len()).sum::<usize>();
            eprintln!(
                "{name}: {:.4} now, {nodes} nodes of {} went",
                cost(&cluster).usd(),
                cluster.nodes.len()
            );
        }
    }
    let after = cost(&cluster);
    let anew = planner::repack(&cluster);
    let bound = planner::plan(&anew.snapshot, &Options::default()).cost.lower_bound;
    let above = after.gap_basis_points(bound).unwrap_or(0) as f64 / 100.0;
    let saved = (before.usd() - after.usd()) * HOURS;
    let rate = if saved > 0.0 { moved as f64 / saved } else { 0.0 };
    let (before, after, bound) = (before.usd(), after.usd(), bound.usd());
    println!(
        "{name}\t{before:.4}\t{after:.4}\t{bound:.4}\t{above:.2}%\t{rounds}\t{moved}\t{rate:.4}"
    );
    Ok(())
}

fn cost(cluster: &Snapshot) -> MicroUsdPerHour {
    cluster.nodes.iter().filter_map(|node| node.price).sum()
}

/// Nodes for the launches, with their pods.
fn launch(cluster: &mut Snapshot, launches: &[Launch], made: &mut usize) {
    let types = cluster.instance_types["all"].clone();
    let mut places = BTreeMap::new();
    for launch in launches {
        let offering = &launch.offering;
        let of_type = types.iter().find(|known| known.name == offering.instance_type);
        let Some(of_type) = of_type else { continue };
        *made += 1;
        let name = format!("node-{made:06}");
        let node = node(&name, &launch.node_pool, of_type, &offering.zone, offering.price);
        places.extend(launch.pods.iter().map(|pod| (pod.clone(), node.name.clone())));
        cluster.nodes.push(node);
    }
    bind(cluster, &places);
}

fn bind(cluster: &mut Snapshot, places: &BTreeMap<PodId, Arc<str>>) {
    for pod in &mut cluster.pods {
        if let Some(place) = places.get(&pod.id) {
            let (id, spec, labels) = (pod.id.clone(), pod.spec.clone(), pod.labels.clone());
            *pod = self::pod(id, spec, labels, Some(place.clone()));
        }
    }
}

fn carry_out(cluster: &mut Snapshot, answer: &Consolidation, made: &mut usize) {
    for step in &answer.steps {
        let moves = step.moves.iter().map(|moved| (moved.pod.clone(), moved.node.clone()));
        bind(cluster, &moves.collect());
        launch(cluster, &step.launches, made);
        cluster.nodes.retain(|node| !step.nodes.contains(&node.name));
    }
    let names =
        cluster.nodes.iter().map(|node| &node.name).collect::<std::collections::BTreeSet<_>>();
    let homeless = |pod: &&Pod| pod.node_name.as_ref().is_none_or(|node| !names.contains(node));
    let lost = cluster.pods.iter().filter(homeless).count();
    assert_eq!(lost, 0, "pods lost their node");
}

/// The most memory that the process has had, in MiB (`VmHWM`); 0 where the system does not tell.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}
