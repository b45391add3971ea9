//! What a seed makes of the world: types, pools, workloads, budgets, and what will go wrong.

use super::event::Mishap;
use super::odds::Odds;
use super::pace::Pace;
use super::workloads;
use crate::{Random, SimTime};
use model::disruption::Window;
use model::pool::{ApiVersion, Budget, ConsolidationPolicy, Disruption};
use model::resources::{CPU, MEMORY, NODES, PODS};
use model::snapshot::{DaemonSet, PodDisruptionBudget};
use model::taints::{Effect, Taint};
use model::{
    CapacityType, Duration, InstanceType, Labels, MicroUsdPerHour, NodeClass, NodePool, Offering,
    Operator, PodSpec, Requirement, Requirements, Resources, Snapshot, Timestamp, Toleration,
    labels,
};
use std::sync::Arc;

/// The key of all pools' types in the snapshot.
pub(super) const TYPES: &str = "default";
const ZONES: [&str; 3] = ["us-east-1a", "us-east-1b", "us-east-1c"];

/// A workload and its controller.
#[derive(Clone, Debug)]
pub(super) struct Workload {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) arrives: SimTime,
    pub(super) replicas: u32,
    pub(super) labels: Arc<Labels>,
    pub(super) spec: Arc<PodSpec>,
    pub(super) do_not_disrupt: bool,
    /// Later numbers of replicas.
    pub(super) scales: Vec<(SimTime, u32)>,
}

/// What kind of controller makes the pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Every pod gets a new name.
    ReplicaSet,
    /// A pod comes again under its name once it is gone.
    StatefulSet,
    /// A pod runs for so many milliseconds, and comes again if it was stopped before.
    Job(i64),
}

/// A pool that allows no disruption for a part of each period: a budget of no nodes with a schedule and a duration.
#[derive(Clone, Debug)]
pub(super) struct Quiet {
    pub(super) pool: String,
    pub(super) period_s: i64,
    pub(super) lasts_s: i64,
}

impl Quiet {
    /// As it is worked out where the pool is read.
    pub(super) fn window(&self, now: Timestamp) -> Window {
        let begun = now.0 - now.0.rem_euclid(self.period_s);
        if self.is_on(now) {
            return Window::Until(Timestamp(begun + self.lasts_s));
        }
        Window::From(Timestamp(begun + self.period_s))
    }

    pub(super) fn is_on(&self, now: Timestamp) -> bool {
        now.0.rem_euclid(self.period_s) < self.lasts_s
    }
}

/// A disruption budget and how it is kept.
#[derive(Clone, Debug)]
pub(super) struct PodBudget {
    pub(super) budget: PodDisruptionBudget,
    /// How many of the wanted pods may be missing; none if it blocks for good.
    pub(super) max_unavailable: u32,
    /// The workload that it protects.
    pub(super) workload: usize,
}

/// Everything that a run depends on.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) seed: u64,
    /// Pools, classes, types and daemonsets; no pods, nodes or claims.
    pub(super) cluster: Snapshot,
    pub(super) workloads: Vec<Workload>,
    pub(super) budgets: Vec<PodBudget>,
    pub(super) mishaps: Vec<(SimTime, Mishap)>,
    pub(super) odds: Odds,
    /// How many nodes of someone else there are.
    pub(super) foreign: usize,
    /// When some pools disturb nobody.
    pub(super) quiet: Vec<Quiet>,
    /// Whether a node of upstream's Karpenter is there too.
    pub(super) upstream_node: bool,
    /// From then on nothing goes wrong.
    pub(super) calm_at: SimTime,
    pub(super) end: SimTime,
    pub(super) pace: Pace,
    /// The planner's effort.
    pub(super) options: planner::Options,
}

impl Setup {
    /// The small world of a seed.
    pub(super) fn of_seed(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let calm_at = SimTime::from_s(random.between(600, 1500));
        let odds = Odds::of_seed(&mut random);
        let mut mishaps = mishaps(&mut random, calm_at);
        // A dead kubelet is repaired after half an hour, and its pods leave after five minutes more.
        let repair = mishaps.iter().any(|(_, mishap)| *mishap == Mishap::KubeletDies);
        let settle_s = if repair { 3300 } else { 1800 };
        let mut cluster = cluster(&types(&mut random));
        cluster.node_pools = pools(&mut random);
        let mut more = Random::new(seed ^ 0x4EA1_714D);
        mishaps.extend(retirement(&mut more, calm_at));
        let quiet = quiet(&mut more, &mut cluster.node_pools);
        let drains =
            cluster.node_pools.iter().take(1).all(|pool| pool.termination_grace_period.is_some());
        let (workloads, budgets) = workloads::of_seed(&mut random, &cluster, calm_at, drains);
        Self {
            seed,
            cluster,
            workloads,
            budgets,
            mishaps,
            odds,
            foreign: random.between(1, 3) as usize,
            quiet,
            upstream_node: random.below(3) == 0,
            calm_at,
            end: calm_at.plus_ms(settle_s * 1000),
            pace: Pace::default(),
            options: planner::Options { steps: 200_000 },
        }
    }
}

fn mishaps(random: &mut Random, calm_at: SimTime) -> Vec<(SimTime, Mishap)> {
    let mut all = Vec::new();
    for _ in 0..random.below(5) {
        let mishap = match random.below(10) {
            0 => Mishap::DeleteNode,
            1 => Mishap::DeleteClaim,
            2 => Mishap::DeletePod,
            3 => Mishap::KillInstance,
            4 => Mishap::KubeletDies,
            5 => Mishap::Storm { percent: 60, within_s: random.between(0, 60) },
            6 | 7 => Mishap::SpotWarning(None),
            8 => Mishap::PricesChange,
            _ => Mishap::PoolChanges("general".into()),
        };
        let latest_s = calm_at.0 / 1000 - 1;
        all.push((SimTime::from_s(random.between(90, latest_s)), mishap));
    }
    all
}

fn retirement(random: &mut Random, calm_at: SimTime) -> Option<(SimTime, Mishap)> {
    let told_s = random.between(90, calm_at.0 / 1000 - 1);
    (random.below(3) == 0).then_some((SimTime::from_s(told_s), Mishap::Retirement))
}

fn quiet(random: &mut Random, pools: &mut [NodePool]) -> Vec<Quiet> {
    let mut all = Vec::new();
    for pool in pools {
        if random.below(4) > 0 {
            continue;
        }
        let period_s = random.between(120, 900);
        let lasts_s = period_s * random.between(10, 60) / 100;
        let quiet = Quiet { pool: pool.name.clone(), period_s, lasts_s };
        let window = quiet.window(SimTime::default().timestamp());
        let nobody = Budget { window, ..Budget::always("0") };
        pool.disruption.budgets.push(nobody);
        all.push(quiet);
    }
    all
}

pub(super) fn cluster(types: &[InstanceType]) -> Snapshot {
    let class = NodeClass {
        name: "default".to_owned(),
        ephemeral_storage_bytes: 20 << 30,
        ..NodeClass::default()
    };
    Snapshot {
        region: "us-east-1".to_owned(),
        node_classes: vec![class],
        instance_types: [(TYPES.to_owned(), Arc::new(types.to_vec()))].into(),
        daemon_sets: vec![daemon_set("aws-node", 50), daemon_set("kube-proxy", 100)],
        ..Snapshot::default()
    }
}

fn daemon_set(name: &str, milli_cpu: i64) -> DaemonSet {
    let everywhere = Toleration { key: None, exists: true, value: String::new(), effect: None };
    DaemonSet {
        namespace: "kube-system".to_owned(),
        name: name.to_owned(),
        spec: Arc::new(PodSpec {
            requests: Resources::new().with(CPU, milli_cpu).with(MEMORY, 64 << 20).with(PODS, 1),
            tolerations: vec![everywhere],
            priority: 2_000_001_000,
            termination_grace_period_s: 30,
            ..PodSpec::default()
        }),
    }
}

/// Three categories of four sizes in three zones, on demand and as spot.
pub(super) fn types(random: &mut Random) -> Vec<InstanceType> {
    let categories = [("c6i", 2, 42_500), ("m6i", 4, 48_000), ("r6i", 8, 63_000)];
    let sizes = [("large", 2), ("xlarge", 4), ("2xlarge", 8), ("4xlarge", 16)];
    let mut all = Vec::new();
    for (family, gib, price) in categories {
        for (size, cores) in sizes {
            all.push(instance_type(family, size, cores, gib * cores, price * cores as u64, random));
        }
    }
    all
}

fn instance_type(
    family: &str,
    size: &str,
    cores: i64,
    gib: i64,
    price: u64,
    random: &mut Random,
) -> InstanceType {
    let of_instance = |key: &str| format!("{}instance-{key}", labels::INSTANCE_LABEL_PREFIX);
    let pods = if cores < 4 { 29 } else { 58 };
    let capacity = |cpu, memory| Resources::new().with(CPU, cpu).with(MEMORY, memory);
    let mut offerings = Vec::new();
    for zone in ZONES {
        let spot = price * (30 + random.below(20)) / 100;
        for (capacity_type, price) in [(CapacityType::OnDemand, price), (CapacityType::Spot, spot)]
        {
            offerings.push(Offering {
                zone: zone.to_owned(),
                zone_id: String::new(),
                capacity_type,
                price: MicroUsdPerHour(price),
                estimated: false,
                available: true,
                reservation: None,
                parts: Default::default(),
            });
        }
    }
    InstanceType {
        name: format!("{family}.{size}"),
        labels: Labels::from([
            (labels::ARCH.to_owned(), "amd64".to_owned()),
            (labels::OS.to_owned(), "linux".to_owned()),
            (of_instance("category"), family[..1].to_owned()),
            (of_instance("family"), family.to_owned()),
            (of_instance("generation"), "6".to_owned()),
        ]),
        capacity: capacity(cores * 1000, gib << 30).with(PODS, pods),
        allocatable: capacity(cores * 1000 - 90, (gib << 30) * 9 / 10).with(PODS, pods),
        offerings,
    }
}

/// A pool that allows these capacity types.
pub(super) fn pool(name: &str, capacity_types: &[&str]) -> NodePool {
    let requirement =
        Requirement::new(labels::CAPACITY_TYPE, Operator::In, capacity_types.iter().copied());
    NodePool {
        requirements: Requirements::from_list(&[requirement]),
        hash: Some("v1/1".to_owned()),
        uid: format!("pool-{name}"),
        ..NodePool::new(name, ApiVersion::V1, "default", TYPES)
    }
}

fn pools(random: &mut Random) -> Vec<NodePool> {
    let ways: [&[&str]; 3] = [&["spot", "on-demand"], &["spot", "on-demand"], &["on-demand"]];
    let mut general = pool("general", ways[random.below(3) as usize]);
    general.disruption = disruption(random);
    general.termination_grace_period =
        (random.below(2) == 0).then(|| Duration(random.between(60, 300)));
    general.expire_after = (random.below(4) == 0).then(|| Duration(random.between(900, 2400)));
    if random.below(3) == 0 {
        let name = "example.com/agent".to_owned();
        let taint = Taint { key: name, value: String::new(), effect: Effect::NoSchedule };
        general.startup_taints = vec![taint];
    }
    let mut all = vec![general];
    if random.below(2) == 0 {
        let mut batch = pool("batch", &["spot"]);
        batch.taints = vec![batch_taint()];
        batch.disruption = disruption(random);
        if random.below(2) == 0 {
            batch.limits = Resources::new().with(CPU, random.between(8, 24) * 1000);
        }
        all.push(batch);
    }
    // Without a deadline, budgets of pods and a limit of nodes may wait for each other for good, as upstream's do.
    if random.below(4) == 0 && all[0].termination_grace_period.is_some() {
        all[0].limits = Resources::new().with(NODES, random.between(6, 10));
    }
    all
}

/// The taint of the second pool.
pub(super) fn batch_taint() -> Taint {
    Taint { key: "batch".to_owned(), value: "true".to_owned(), effect: Effect::NoSchedule }
}

fn disruption(random: &mut Random) -> Disruption {
    let nodes = ["10%", "1", "50%", "100%"][random.below(4) as usize];
    let budget = Budget::always(nodes);
    let policy = if random.below(4) == 0 {
        ConsolidationPolicy::WhenEmpty
    } else {
        ConsolidationPolicy::WhenEmptyOrUnderutilized
    };
    Disruption {
        policy,
        consolidate_after: (random.below(6) > 0).then(|| Duration(random.between(0, 90))),
        budgets: vec![budget],
        ..Disruption::default()
    }
}
