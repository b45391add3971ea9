//! The world: one cluster, one region, one decider, from the first event to the last.

pub(crate) mod api_server;
mod ec2;
pub(crate) mod event;
mod faults;
mod kubelet;
mod meter;
mod scheduling;
mod steps;
mod taking;
mod turn;
mod workloads;

pub use event::Knock;
pub use faults::{Delivery, Faults, LaunchOutcome, NoFaults, TurnOutcome};
pub use meter::{Measured, Sample};
pub(crate) use workloads::arrivals;

use crate::kube_scheduler::{ClassId, NodeId, PodKey, Queue, SchedulerCache};
use crate::scenario::Scenario;
use crate::{Decider, Random, SimTime};
use api_server::ApiServer;
use event::{Event, EventQueue};
use meter::Meter;
use model::PodId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use turn::Turns;

/// How many times a run is sampled, at equal distances.
pub const SAMPLES: i64 = 720;

/// A pod's record.
struct PodRecord {
    class: ClassId,
    created_at: SimTime,
    duration_ms: Option<i64>,
    /// When its work is done, whatever becomes of the pod: one that is moved is followed by another with the rest of its time.
    ends_at: Option<SimTime>,
    /// The request of the trace that it belongs to; none for daemons.
    request: Option<usize>,
    replica_set: Option<usize>,
    daemon: bool,
    node: Option<NodeId>,
    /// Whether it is being deleted.
    ending: bool,
}

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NodePhase {
    Launching,
    Registered,
    Ready,
    /// Its claim is deleted; it goes when its pods have gone.
    Draining,
    Terminating,
    Gone,
}

/// A node's record, from the launch on.
struct NodeRecord {
    name: Arc<str>,
    instance_type: usize,
    offering: model::Alternative,
    phase: NodePhase,
    /// Whether it costs money now.
    billed: bool,
    pods: BTreeSet<PodKey>,
    /// Pods but for daemons.
    work: u32,
}

/// Keys by name.
#[derive(Default)]
struct Names {
    pods: BTreeMap<PodId, PodKey>,
    nodes: BTreeMap<Arc<str>, NodeId>,
    claims: BTreeMap<Arc<str>, NodeId>,
}

/// The world.
pub struct World<'a> {
    scenario: &'a Scenario,
    decider: Box<dyn Decider + 'a>,
    faults: Box<dyn Faults + 'a>,
    random: Random,
    now: SimTime,
    events: EventQueue<Event>,
    api: ApiServer<NodeId>,
    cache: SchedulerCache,
    queue: Queue,
    scheduler_awake: bool,
    next_backoff: Option<SimTime>,
    pods: Vec<PodRecord>,
    nodes: Vec<NodeRecord>,
    /// The nodes whose claims are there.
    live: BTreeSet<NodeId>,
    names: Names,
    replica_sets: Vec<workloads::ReplicaSet>,
    turns: Turns,
    meter: Meter,
}

impl<'a> World<'a> {
    /// The world before its first event.
    pub fn new(
        scenario: &'a Scenario,
        decider: Box<dyn Decider + 'a>,
        faults: Box<dyn Faults + 'a>,
    ) -> Self {
        let mut world = Self {
            scenario,
            decider,
            faults,
            random: Random::new(scenario.seed),
            now: SimTime::default(),
            events: EventQueue::default(),
            api: ApiServer::new(scenario.snapshot()),
            cache: SchedulerCache::default(),
            queue: Queue::default(),
            scheduler_awake: false,
            next_backoff: None,
            pods: Vec::new(),
            nodes: Vec::new(),
            live: BTreeSet::new(),
            names: Names::default(),
            replica_sets: Vec::new(),
            turns: Turns::default(),
            meter: Meter::default(),
        };
        world.plan_arrivals();
        world.plan_clock();
        world
    }

    /// Lets everything happen, and tells how far it is: the simulated seconds done.
    pub fn run(mut self, progress: &dyn Fn(i64)) -> Measured {
        while let Some(sampled) = self.step() {
            if sampled {
                progress(self.now.0 / 1000);
            }
        }
        let (end, waiting) = (self.end(), self.queue.len());
        self.meter.finish(end, waiting)
    }

    /// Lets the next thing happen and says whether it was a sample; `None` when the time is up.
    fn step(&mut self) -> Option<bool> {
        let (at, event) = self.events.pop().filter(|(at, _)| *at <= self.end())?;
        self.now = at;
        let sample = matches!(event, Event::Sample);
        self.handle(event);
        Some(sample)
    }

    fn end(&self) -> SimTime {
        SimTime::from_s(self.scenario.length_s)
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrival(request) => self.arrive(request),
            Event::PodEnds(pod) => self.end_pod(pod),
            Event::PodStops(pod) => self.delete_pod(pod),
            Event::Change(request, change) => self.change(request, change),
            Event::ScaleIn => self.scale_in(),
            Event::SchedulerRuns => self.run_scheduler(),
            Event::InstanceStarts(node) => self.start_instance(node),
            Event::NodeRegisters(node) => self.register_node(node),
            Event::NodeReady(node) => self.ready_node(node),
            Event::NodeGone(node) => self.node_gone(node),
            Event::Knock(knock) => self.answer(knock),
            Event::PlanExecutes(plan) => self.execute(*plan),
            Event::Sample => self.sample(),
        }
    }

    fn after_ms(&mut self, milliseconds: i64, event: Event) {
        self.events.push(self.now.plus_ms(milliseconds), event);
    }

    fn sample(&mut self) {
        debug_assert!(self.cache.overfull().is_none(), "a node has more on it than it holds");
        let pending = self.queue.len();
        self.meter.sample(self.now, pending);
        self.after_ms(self.sample_every_ms(), Event::Sample);
    }

    fn sample_every_ms(&self) -> i64 {
        (self.scenario.length_s * 1000 / SAMPLES).max(1000)
    }

    /// The clock's first samples and scheduled turns.
    fn plan_clock(&mut self) {
        self.events.push(SimTime(0), Event::Sample);
        let period = self.decider.cadence().period_ms();
        self.knock_after(period, Knock::Schedule);
    }
}

#[cfg(test)]
mod tests;
