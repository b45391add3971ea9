//! The world: its records, its clock, and one event after the other.

use super::event::{ClaimId, Event, InstanceId, TurnId};
use super::invariants::{Rule, Violation};
use super::log::Log;
use super::odds::Odds;
use super::setup::Setup;
use super::watch::Watch;
use super::{controllers::Controller, doors::Inbox, ec2::Ec2, turn::Lease, turn::Turn};
use crate::kube_scheduler::{ClassId, NodeId, PodKey, Queue, SchedulerCache};
use crate::world::api_server::ApiServer;
use crate::world::event::EventQueue;
use crate::{Random, SimTime};
use model::{Node, NodeClaim, Pod, PodId, UnavailableOffering};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A pod, as long as its object exists.
pub(super) struct PodRecord {
    pub(super) id: PodId,
    pub(super) class: ClassId,
    /// The controller that made it; none if a daemonset did.
    pub(super) controller: Option<usize>,
    pub(super) daemon: bool,
    pub(super) node: Option<NodeId>,
    pub(super) created_at: SimTime,
    /// Whether it still counts on its node for the kube-scheduler.
    pub(super) assigned: bool,
    /// Whether the kube-scheduler knows that it is being deleted.
    pub(super) ending: bool,
}

/// A node, as long as its object exists.
pub(super) struct NodeRecord {
    pub(super) name: Arc<str>,
    pub(super) instance: Option<InstanceId>,
    /// Whether its kubelet answers.
    pub(super) alive: bool,
    /// Whether it is someone else's.
    pub(super) foreign: bool,
    /// The claim that owns it, once it has registered.
    pub(super) owner: Option<ClaimId>,
    pub(super) pods: BTreeSet<PodKey>,
}

/// A claim, as long as its object exists.
pub(super) struct ClaimRecord {
    pub(super) name: Arc<str>,
    /// Changes with every write.
    pub(super) version: u64,
    /// The instance that was written on it.
    pub(super) instance: Option<InstanceId>,
}

/// The world of one run.
pub(super) struct World {
    pub(super) setup: Setup,
    pub(super) odds: Odds,
    pub(super) random: Random,
    pub(super) now: SimTime,
    pub(super) events: EventQueue<Event>,
    pub(super) api: ApiServer<ClaimId>,
    pub(super) pods: BTreeMap<PodKey, PodRecord>,
    pub(super) nodes: BTreeMap<NodeId, NodeRecord>,
    pub(super) claims: BTreeMap<ClaimId, ClaimRecord>,
    pub(super) pod_keys: BTreeMap<PodId, PodKey>,
    pub(super) node_ids: BTreeMap<Arc<str>, NodeId>,
    pub(super) claim_ids: BTreeMap<Arc<str>, ClaimId>,
    /// The next number of a pod, node or claim.
    pub(super) next: usize,
    pub(super) ec2: Ec2,
    pub(super) cache: SchedulerCache,
    pub(super) queue: Queue,
    pub(super) scheduler_awake: bool,
    pub(super) next_backoff: Option<SimTime>,
    pub(super) controllers: Vec<Controller>,
    pub(super) inbox: Inbox,
    pub(super) lease: Lease,
    pub(super) turns: BTreeMap<TurnId, Turn>,
    pub(super) turns_begun: usize,
    /// The ConfigMap of offerings without capacity.
    pub(super) unavailable: Vec<UnavailableOffering>,
    pub(super) watch: Watch,
    pub(super) log: Log,
    pub(super) violations: Vec<Violation>,
    pub(super) calm: bool,
    /// For tests of the tests: every node counts as someone else's.
    pub(super) all_foreign: bool,
    /// For tests of the tests: no budget allows any node.
    pub(super) no_budgets: bool,
    /// Claims that Joiner takes away without need.
    pub(super) voluntary: BTreeSet<ClaimId>,
}

impl World {
    /// The world before its first event.
    pub(super) fn new(setup: Setup, log: Log) -> Self {
        let mut world = Self {
            odds: setup.odds,
            random: Random::new(setup.seed ^ 0x5EED_0FA1),
            now: SimTime::default(),
            events: EventQueue::default(),
            api: ApiServer::new(setup.cluster.clone()),
            pods: BTreeMap::new(),
            nodes: BTreeMap::new(),
            claims: BTreeMap::new(),
            pod_keys: BTreeMap::new(),
            node_ids: BTreeMap::new(),
            claim_ids: BTreeMap::new(),
            next: 0,
            ec2: Ec2::default(),
            cache: SchedulerCache::default(),
            queue: Queue::default(),
            scheduler_awake: false,
            next_backoff: None,
            controllers: Vec::new(),
            inbox: Inbox::default(),
            lease: Lease::default(),
            turns: BTreeMap::new(),
            turns_begun: 0,
            unavailable: Vec::new(),
            watch: Watch::default(),
            log,
            violations: Vec::new(),
            calm: false,
            all_foreign: false,
            no_budgets: false,
            voluntary: BTreeSet::new(),
            setup,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        self.start_controllers();
        for number in 0..self.setup.foreign {
            self.add_foreign_node(number);
        }
        if self.setup.upstream_node {
            self.add_upstream_node();
        }
        for (at, mishap) in self.setup.mishaps.clone() {
            self.events.push(at, Event::Mishap(mishap));
        }
        let first = self.random.between(0, 59_999);
        self.after_ms(first, Event::Minute);
        self.events.push(self.setup.calm_at, Event::Calm);
    }

    /// Lets the next thing happen; false when the time is up.
    pub(super) fn step(&mut self) -> bool {
        // What lies after the end stays: the end may be put off.
        let due = self.events.next_at().is_some_and(|at| at <= self.setup.end);
        let Some((at, event)) = due.then(|| self.events.pop()).flatten() else { return false };
        self.now = at;
        self.handle(event);
        true
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::SchedulerRuns => self.run_scheduler(),
            Event::PodStarts(pod) => self.start_pod(pod),
            Event::PodReady(pod) => self.ready_pod(pod),
            Event::PodDone(pod) => self.finish_pod(pod),
            Event::PodStops(pod) => self.stop_pod(pod),
            Event::NodeJoins(instance) => self.join_node(instance),
            Event::NodeReady(node) => self.ready_node(node),
            Event::StartupEnds(node) => self.end_startup(node),
            Event::InstanceGone(instance) => self.end_instance(instance),
            Event::NodeUnreachable(node) => self.lose_node(node),
            Event::NodeTaintEvicts(node) => self.evict_by_taint(node),
            Event::NodeCollected(node) => self.collect_node(node),
            Event::PodsCollected(node) => self.collect_pods(node),
            Event::Reconcile(controller) => self.reconcile(controller),
            Event::Scale(controller, replicas) => self.scale(controller, replicas),
            Event::Taken(instance) => self.take_instance(instance),
            Event::Arrives(message) => self.message_arrives(message),
            Event::Invoked(door) => self.invoke(door),
            Event::WindowCloses(window) => self.close_window(window),
            Event::CallEnds(turn, call) => self.end_call(turn, call),
            Event::Mishap(mishap) => self.suffer(mishap),
            Event::Minute => self.tick(),
            Event::Calm => self.calm_down(),
        }
    }

    fn calm_down(&mut self) {
        self.calm = true;
        self.odds = Odds::none();
        self.log.say(self.now, || "from now on nothing goes wrong".to_owned());
    }

    pub(super) fn after_ms(&mut self, milliseconds: i64, event: Event) {
        self.events.push(self.now.plus_ms(milliseconds), event);
    }

    /// Whether something of these odds in a thousand happens.
    pub(super) fn happens(&mut self, per_mille: u64) -> bool {
        per_mille > 0 && self.random.below(1000) < per_mille
    }

    pub(super) fn next_number(&mut self) -> usize {
        self.next += 1;
        self.next
    }

    pub(super) fn violate(&mut self, rule: Rule, what: impl Into<String>) {
        let violation = Violation { rule, at: self.now, what: what.into() };
        self.log.say(self.now, || format!("VIOLATION {violation}"));
        let known = |other: &Violation| other.rule == rule && other.what == violation.what;
        if !self.violations.iter().any(known) {
            self.violations.push(violation);
        }
    }

    pub(super) fn pod(&mut self, key: PodKey) -> Option<&mut Pod> {
        self.api.pod(key)
    }

    pub(super) fn node(&mut self, id: NodeId) -> Option<&mut Node> {
        self.api.node(id)
    }

    /// The claim, to be changed: whoever has read it before finds it changed.
    pub(super) fn change_claim(&mut self, id: ClaimId) -> Option<&mut NodeClaim> {
        if let Some(record) = self.claims.get_mut(&id) {
            record.version += 1;
        }
        self.api.claim(id)
    }
}
