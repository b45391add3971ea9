//! What the same pods would have cost had everything been known and moved at once.
//!
//! Both oracles see the pods of every tenth minute as they would be if each were bound when it came; nodes come and go without delay,
//! and pods move without a pause. The bounded one keeps what it has and takes what the planner's consolidation finds, round by round, each
//! round a tenth of the nodes, one round for each 15 s of the ten minutes, and no pod for less than the pool's saving per move.

use crate::SimTime;
use crate::run::waiting;
use crate::scenario::Scenario;
use model::pod::PodPhase;
use model::{InstanceType, Launch, MicroUsdPerHour, Node, Placement, PodId, Snapshot, labels};
use planner::{Options, Scope};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The oracles look at every tenth minute.
const EVERY_S: i64 = 600;
/// Rounds in that time: a proposal waits 15 s before it is carried out.
const ROUNDS: usize = 40;

/// What the nodes cost at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Seconds since the start.
    pub at_s: i64,
    /// What all nodes cost.
    pub cost: MicroUsdPerHour,
}

/// The oracle that is bounded like Joiner.
pub struct Oracle<'a> {
    scenario: &'a Scenario,
    arrivals: &'a [SimTime],
    cluster: Snapshot,
    made: usize,
    /// Pods moved so far.
    pub moved: u64,
}

/// The moments that the oracles look at.
pub(super) fn moments(length_s: i64) -> impl Iterator<Item = i64> {
    (0..=length_s / EVERY_S).map(|step| step * EVERY_S)
}

/// What a packing of everything anew costs.
pub fn repacked(scenario: &Scenario, arrivals: &[SimTime], at_s: i64) -> Point {
    let snapshot = crate::run::live(scenario, arrivals, at_s);
    let plan = planner::plan(&snapshot, &Options::default());
    Point { at_s, cost: plan.cost.planned }
}

impl<'a> Oracle<'a> {
    /// Before the first pod.
    pub fn new(scenario: &'a Scenario, arrivals: &'a [SimTime]) -> Self {
        let mut cluster = scenario.snapshot();
        // Nothing is taken away by plans: that is asked for by itself.
        cluster.node_pools.iter_mut().for_each(|pool| pool.disruption.consolidate_after = None);
        Self { scenario, arrivals, cluster, made: 0, moved: 0 }
    }

    /// Lets the pods of the moment in, and repacks.
    pub fn repack(&mut self, at_s: i64) -> Point {
        self.cluster.now = SimTime::from_s(at_s).timestamp();
        self.change(at_s);
        let plan = planner::plan(&self.cluster, &Options::default());
        self.bind(&plan.placements);
        self.launch(&plan.launches);
        self.drop_empty();
        for _ in 0..ROUNDS {
            let tenth = self.cluster.nodes.len().div_ceil(10);
            let scope = Scope { nodes_of_a_pool: Some(tenth), ..Scope::default() };
            let found = planner::consolidate(&self.cluster, &scope, &Options::default());
            if found.steps.is_empty() {
                break;
            }
            self.moved += found.moved as u64;
            for step in found.steps {
                self.bind(&step.moves);
                self.launch(&step.launches);
                let gone = step.nodes.iter().collect::<BTreeSet<_>>();
                self.cluster.nodes.retain(|node| !gone.contains(&node.name));
            }
        }
        let cost = self.cluster.nodes.iter().filter_map(|node| node.price).sum();
        Point { at_s, cost }
    }

    /// Pods come and go; a rollout gives a Deployment's pods other names.
    fn change(&mut self, at_s: i64) {
        let length_s = self.scenario.length_s;
        let mut wanted = BTreeMap::new();
        for (request, arrived) in self.scenario.workload.requests.iter().zip(self.arrivals) {
            let past = request.changes.iter().filter(|(change_s, _)| *change_s <= at_s);
            let rollouts = past.filter(|(_, change)| *change == crate::workload::Change::Rollout);
            let rollouts = rollouts.count();
            for index in 0..request.live(*arrived, at_s, length_s) {
                let pod = waiting(request, &format!("{}-{rollouts}-{index}", request.name));
                wanted.insert(pod.id.clone(), pod);
            }
        }
        self.cluster.pods.retain(|pod| wanted.remove(&pod.id).is_some());
        self.cluster.pods.extend(wanted.into_values());
    }

    fn bind(&mut self, placements: &[Placement]) {
        let places = placements.iter().map(|placed| (&placed.pod, &placed.node));
        self.bind_to(&places.collect());
    }

    fn bind_to(&mut self, places: &BTreeMap<&PodId, &Arc<str>>) {
        for pod in &mut self.cluster.pods {
            if let Some(node) = places.get(&pod.id) {
                pod.node_name = Some(Arc::clone(node));
                (pod.phase, pod.unschedulable, pod.ready) = (PodPhase::Running, false, true);
            }
        }
    }

    fn launch(&mut self, launches: &[Launch]) {
        let types = self.scenario.instance_types.clone();
        let mut places = BTreeMap::new();
        for launch in launches {
            let known = types.iter().find(|known| known.name == launch.offering.instance_type);
            let Some(known) = known else { continue };
            self.made += 1;
            let node = node(self.made, &self.scenario.pool.name, known, launch);
            places.extend(launch.pods.iter().map(|pod| (pod, node.name.clone())));
            self.cluster.nodes.push(node);
        }
        self.bind_to(&places.iter().map(|(pod, node)| (*pod, node)).collect());
    }

    fn drop_empty(&mut self) {
        let used = self.cluster.pods.iter().filter_map(|pod| pod.node_name.clone());
        let used = used.collect::<BTreeSet<_>>();
        self.cluster.nodes.retain(|node| used.contains(&node.name));
    }
}

fn node(number: usize, pool: &str, known: &InstanceType, launch: &Launch) -> Node {
    let name = format!("node-{number:06}");
    let offering = &launch.offering;
    let own = [
        (labels::NODE_POOL, pool),
        (labels::INITIALIZED, "true"),
        (labels::REGISTERED, "true"),
        (labels::HOSTNAME, &name),
        (labels::ZONE, &offering.zone),
        (labels::INSTANCE_TYPE, &known.name),
        (labels::CAPACITY_TYPE, offering.capacity_type.as_str()),
    ];
    let mut all = known.labels.clone();
    all.extend(launch.labels.clone());
    all.extend(own.map(|(key, value)| (key.to_owned(), value.to_owned())));
    Node {
        name: name.as_str().into(),
        labels: all,
        allocatable: known.allocatable.clone(),
        capacity: known.capacity.clone(),
        ready: true,
        price: Some(offering.price),
        ..Node::default()
    }
}
