//! A spot storm: AWS takes back a part of a large cluster at once, and the clock runs.

use super::event::Mishap;
use super::log::Log;
use super::odds::Odds;
use super::pace::Pace;
use super::setup::{self, Kind, PodBudget, Setup, TYPES, Workload};
use super::watch::Watched;
use super::workloads::{NAMESPACE, spread};
use super::world::World;
use crate::SimTime;
use catalog::{Catalog, CatalogError, Request, Settings};
use model::pool::{Budget, ConsolidationPolicy, Kubelet};
use model::resources::{CPU, MEMORY, PODS};
use model::snapshot::PodDisruptionBudget;
use model::{
    Duration, LabelSelector, Labels, NodePool, Operator, PodSpec, Requirement, Requirements,
    Resources, Snapshot, labels,
};
use std::sync::Arc;

/// When the storm comes: the cluster has settled by then.
const STORM_AT_S: i64 = 900;
/// So long after the last warning it is over.
const AFTER_S: i64 = 240;
/// In how many zones the cluster has subnets.
const ZONES: usize = 3;

/// A storm over a cluster that Joiner bought.
#[derive(Clone, Copy, Debug)]
pub struct Storm {
    /// Pods, of sixty shapes.
    pub pods: u32,
    /// So many nodes in a hundred are taken.
    pub percent: u64,
    /// The warnings come within so many seconds.
    pub within_s: i64,
    /// The seed.
    pub seed: u64,
    /// How the functions work.
    pub pace: StormPace,
}

/// How the functions of a storm work.
#[derive(Clone, Copy, Debug)]
pub struct StormPace {
    /// Calls of the API server that a function has on their way.
    pub calls: usize,
    /// Claims that are marked at once.
    pub marks: usize,
    /// Claims of a batch that are written at once.
    pub writes: usize,
    /// Batches that are bought at once.
    pub fleets: usize,
    /// Milliseconds for reading the cluster and planning, at least; at most half as much again.
    pub observe_ms: i64,
}

impl Default for StormPace {
    /// As `execute` has it.
    fn default() -> Self {
        let Pace { calls, marks, writes, fleets, .. } = Pace::default();
        Self { calls, marks, writes, fleets, observe_ms: 600 }
    }
}

/// What became of a storm. Times are milliseconds from the first warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StormOutcome {
    /// Nodes before it.
    pub nodes: usize,
    /// Nodes that were warned.
    pub warned: usize,
    /// Pods that ran on them.
    pub pods: usize,
    /// Of them, those for which no place was ever asked.
    pub never_asked: usize,
    /// When their places were asked for, from their own warning on, in order.
    pub asked_ms: Vec<i64>,
    /// When plans were made until all places were asked for.
    pub plans_ms: Vec<i64>,
    /// When CreateFleet was sent for such pods, and for how many instances.
    pub calls: Vec<(i64, u32)>,
    /// Pods evicted before their place was asked for, with time left.
    pub evicted_early: usize,
    /// Pods evicted before their place was asked for, because there was no time left.
    pub evicted_in_need: usize,
    /// Pods that ran when their instance was taken.
    pub lost: usize,
    /// What the first of those plans was made from.
    pub seen: Option<Box<Snapshot>>,
    /// Invariants that were broken.
    pub violations: Vec<super::Violation>,
    /// What happened.
    pub log: Vec<String>,
}

impl Storm {
    /// Lets it come.
    ///
    /// # Errors
    /// If the embedded catalog cannot be read.
    pub fn run(&self, log: bool) -> Result<StormOutcome, CatalogError> {
        let mut world = World::new(self.setup()?, Log::new(log));
        world.watch.keeps = true;
        let mut nodes = 0;
        while world.step() {
            if world.watch.first_warning.is_none() {
                nodes = world.nodes.len();
            }
        }
        Ok(outcome(world, nodes))
    }

    fn setup(&self) -> Result<Setup, CatalogError> {
        let storm = Mishap::Storm { percent: self.percent, within_s: self.within_s };
        let (workloads, budgets) = workloads(self.pods);
        let end_s = STORM_AT_S + self.within_s + AFTER_S;
        Ok(Setup {
            seed: self.seed,
            cluster: cluster()?,
            workloads,
            budgets,
            mishaps: vec![(SimTime::from_s(STORM_AT_S), storm)],
            odds: Odds::none(),
            foreign: 0,
            quiet: Vec::new(),
            upstream_node: false,
            calm_at: SimTime::from_s(end_s),
            end: SimTime::from_s(end_s),
            pace: Pace {
                api: (10, 60),
                fleet: (1_000, 3_000),
                find: (150, 300),
                observe: (self.pace.observe_ms, self.pace.observe_ms * 3 / 2),
                window: (1_000, 1_000),
                calls: self.pace.calls,
                marks: self.pace.marks,
                steps: 16,
                writes: self.pace.writes,
                fleets: self.pace.fleets,
            },
            options: planner::Options::default(),
        })
    }
}

/// The catalog's types of at most 16 vCPUs, spot if it can be had.
fn cluster() -> Result<Snapshot, CatalogError> {
    let mut cluster = setup::cluster(&[]);
    let catalog = Catalog::embedded()?;
    let zones = catalog.usual_zones(&cluster.region, ZONES);
    let request = Request {
        region: &cluster.region,
        zones: &zones,
        class: &cluster.node_classes[0],
        kubelet: &Kubelet::default(),
        settings: &Settings::default(),
    };
    let types = catalog.instance_types(&request);
    cluster.instance_types.insert(TYPES.to_owned(), Arc::new(types));
    cluster.node_pools = vec![pool()];
    Ok(cluster)
}

fn pool() -> NodePool {
    let of_instance = |key: &str| format!("{}instance-{key}", labels::INSTANCE_LABEL_PREFIX);
    let requirements = [
        Requirement::new(labels::OS, Operator::In, ["linux"]),
        Requirement::new(labels::ARCH, Operator::In, ["amd64"]),
        Requirement::new(labels::CAPACITY_TYPE, Operator::In, ["spot", "on-demand"]),
        Requirement::new(&of_instance("category"), Operator::In, ["c", "m", "r"]),
        Requirement::new(&of_instance("generation"), Operator::Gt, ["4"]),
        Requirement::new(&of_instance("cpu"), Operator::Lt, ["17"]),
    ];
    let mut pool = setup::pool("general", &["spot", "on-demand"]);
    pool.requirements = Requirements::from_list(&requirements);
    let budget = Budget::always("10%");
    pool.disruption.policy = ConsolidationPolicy::WhenEmpty;
    pool.disruption.consolidate_after = Some(Duration(30));
    pool.disruption.budgets = vec![budget];
    pool
}

/// Sixty services; a third is spread over zones, half are protected by budgets of a tenth.
fn workloads(pods: u32) -> (Vec<Workload>, Vec<PodBudget>) {
    const SERVICES: u32 = 60;
    let (mut all, mut budgets) = (Vec::new(), Vec::new());
    for number in 0..SERVICES {
        let name = format!("service-{number}");
        let app = Labels::from([("app".to_owned(), name.clone())]);
        let milli_cpu = [100, 250, 250, 500, 500, 1_000, 2_000][number as usize % 7];
        let memory = [256_i64, 512, 1_024, 2_048, 4_096][number as usize % 5] << 20;
        let selector = LabelSelector::from_labels(&app);
        let spec = PodSpec {
            requests: Resources::new().with(CPU, milli_cpu).with(MEMORY, memory).with(PODS, 1),
            termination_grace_period_s: [5, 30, 30, 60][number as usize % 4],
            topology_spread: if number % 3 == 0 {
                vec![spread(labels::ZONE, &selector)]
            } else {
                Vec::new()
            },
            ..PodSpec::default()
        };
        // From two fifths of the average to eight fifths of it.
        let replicas = pods * (number + 20) / (SERVICES * 99 / 2);
        if number % 2 == 0 {
            let budget = PodDisruptionBudget {
                namespace: NAMESPACE.to_owned(),
                name: name.clone(),
                selector,
                disruptions_allowed: 0,
                unready_may_go: false,
            };
            let max_unavailable = (replicas / 10).max(1);
            budgets.push(PodBudget { budget, max_unavailable, workload: all.len() });
        }
        all.push(Workload {
            name,
            kind: Kind::ReplicaSet,
            arrives: SimTime::from_s(i64::from(number / 20)),
            replicas,
            labels: Arc::new(app),
            spec: Arc::new(spec),
            do_not_disrupt: false,
            scales: Vec::new(),
        });
    }
    (all, budgets)
}

fn outcome(world: World, nodes: usize) -> StormOutcome {
    let watch = world.watch;
    let first = watch.first_warning.unwrap_or_default();
    let pods = watch.pods.values().copied().collect::<Vec<_>>();
    let asked = pods.iter().filter_map(|pod| Some(pod.asked_at?.since_ms(pod.warned_at)));
    let mut asked = asked.collect::<Vec<_>>();
    asked.sort_unstable();
    let early = |pod: &&Watched| {
        pod.evicted_at.is_some_and(|at| pod.asked_at.is_none_or(|asked| at < asked))
    };
    let in_need = |pod: &&Watched| pod.evicted_at.is_some_and(|at| at >= pod.latest());
    let (needed, early) = pods.iter().filter(early).partition::<Vec<&Watched>, _>(in_need);
    StormOutcome {
        nodes,
        warned: watch.instances.len(),
        pods: pods.len(),
        never_asked: pods.len() - asked.len(),
        asked_ms: asked,
        plans_ms: watch.plans.iter().map(|at| at.since_ms(first)).collect(),
        calls: watch.calls.iter().map(|(at, size)| (at.since_ms(first), *size)).collect(),
        evicted_early: early.len(),
        evicted_in_need: needed.len(),
        lost: pods.iter().filter(|pod| pod.lost).count(),
        seen: watch.first_seen,
        violations: world.violations,
        log: world.log.into_lines(),
    }
}
