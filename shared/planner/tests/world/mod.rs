//! A cluster driven by hand: it carries plans out, lets nodes join and binds pods, and counts what was bought.

#![allow(dead_code, reason = "each test binary uses a part")]

use joiner_planner::{Options, check, plan};
use model::claim::Progress;
use model::node_class::InstanceState;
use model::pod::{Owner, PodPhase};
use model::pool::{ApiVersion, Budget};
use model::resources::{CPU, MEMORY, PODS};
use model::taints::{Effect, Taint, untolerated};
use model::{
    CapacityType, Duration, Instance, InstanceType, Labels, Launch, LaunchRequest, MicroUsdPerHour,
    Node, NodeClaim, NodePool, Offering, Plan, Pod, PodId, PodSpec, Resources, Snapshot, Step,
    Timestamp, labels,
};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const START: i64 = 1_000_000;
/// Seconds from a launch to a ready node.
const JOINS_AFTER_S: i64 = 60;

pub(crate) struct World {
    pub(crate) snapshot: Snapshot,
    /// Nodes bought since the beginning.
    pub(crate) bought: usize,
    /// The instances terminated, in order.
    pub(crate) terminated: Vec<String>,
    /// What was asked of the API server, in order: `12 evict shop/web-1`, with the seconds since the beginning.
    pub(crate) log: Vec<String>,
    serial: usize,
    /// Successors of stateful sets' pods, which come when those have gone.
    coming: Vec<(Timestamp, Pod)>,
}

pub(crate) fn instance_type(name: &str, cpu: i64, price: u64) -> InstanceType {
    let capacity = Resources::new().with(CPU, cpu * 1000).with(MEMORY, cpu << 32).with(PODS, 20);
    let offering = |zone: &str| Offering {
        zone: zone.to_owned(),
        zone_id: String::new(),
        capacity_type: CapacityType::OnDemand,
        price: MicroUsdPerHour(price),
        estimated: false,
        available: true,
        reservation: None,
        parts: Default::default(),
    };
    InstanceType {
        name: name.to_owned(),
        labels: Labels::from([
            (labels::ARCH.to_owned(), "amd64".to_owned()),
            (labels::OS.to_owned(), "linux".to_owned()),
        ]),
        capacity: capacity.clone(),
        allocatable: capacity,
        offerings: ["z-a", "z-b"].map(offering).into(),
    }
}

pub(crate) fn pool(name: &str) -> NodePool {
    NodePool::new(name, ApiVersion::V1, "default", "all")
}

pub(crate) fn budget(nodes: &str, reasons: &[&str]) -> Budget {
    let reasons = reasons.iter().map(|reason| (*reason).to_owned()).collect();
    Budget { reasons, ..Budget::always(nodes) }
}

impl World {
    /// An empty cluster with one pool, `default`, and types of 2 and 4 CPUs at $0.10 and $0.20 an hour.
    pub(crate) fn new() -> Self {
        let types = vec![instance_type("t2", 2, 100_000), instance_type("t4", 4, 200_000)];
        let snapshot = Snapshot {
            now: Timestamp(START),
            region: "us-test-1".to_owned(),
            node_pools: vec![pool("default")],
            instance_types: [("all".to_owned(), Arc::new(types))].into(),
            instances: Some(Vec::new()),
            ..Snapshot::default()
        };
        Self {
            snapshot,
            bought: 0,
            terminated: Vec::new(),
            log: Vec::new(),
            serial: 0,
            coming: Vec::new(),
        }
    }

    pub(crate) fn pool(&mut self) -> &mut NodePool {
        &mut self.snapshot.node_pools[0]
    }

    pub(crate) fn claim(&mut self, name: &str) -> &mut NodeClaim {
        self.snapshot.node_claims.iter_mut().find(|claim| &*claim.name == name).unwrap()
    }

    pub(crate) fn instance(&mut self, id: &str) -> &mut Instance {
        let all = self.snapshot.instances.as_mut().unwrap();
        all.iter_mut().find(|instance| instance.id == id).unwrap()
    }

    pub(crate) fn node(&mut self, name: &str) -> &mut Node {
        self.snapshot.nodes.iter_mut().find(|node| &*node.name == name).unwrap()
    }

    pub(crate) fn pod(&mut self, name: &str) -> &mut Pod {
        self.snapshot.pods.iter_mut().find(|pod| &*pod.id.name == name).unwrap()
    }

    /// A node of the pool `default` that is set up: claim `name`, node `name`, instance `i-name`.
    pub(crate) fn add_node(&mut self, name: &str, kind: &str, age_s: i64) {
        let created_at = Timestamp(self.snapshot.now.0 - age_s);
        let mut claim = self.claim_of(name, "default", kind, "z-a", "first", created_at);
        claim.progress = Progress { launched: true, registered: true, initialized: true };
        claim.node_name = Some(name.into());
        let mut node = node_of(&claim);
        node.labels.insert(labels::INITIALIZED.to_owned(), "true".to_owned());
        node.finalizer = true;
        self.snapshot.nodes.push(node);
        self.snapshot.node_claims.push(claim);
    }

    /// A running pod of the replica set `web` with so many milli-CPUs.
    pub(crate) fn add_pod(&mut self, name: &str, node: &str, cpu: i64) {
        let requests = Resources::new().with(CPU, cpu).with(PODS, 1);
        let spec = PodSpec { requests, termination_grace_period_s: 30, ..PodSpec::default() };
        let labels = Arc::new([("app".to_owned(), "web".to_owned())].into());
        self.snapshot.pods.push(Pod {
            uid: format!("uid-{name}"),
            created_at: Some(Timestamp(START - 1000)),
            owner: Some(Owner { kind: "ReplicaSet".to_owned(), name: "web".to_owned() }),
            node_name: Some(node.into()),
            phase: PodPhase::Running,
            unschedulable: false,
            bound_at: Some(Timestamp(START - 1000)),
            ready: true,
            ..Pod::waiting(PodId::new("shop", name), labels, Arc::new(spec))
        });
    }

    fn claim_of(
        &mut self,
        name: &str,
        pool: &str,
        kind: &str,
        zone: &str,
        batch: &str,
        created_at: Timestamp,
    ) -> NodeClaim {
        let types = &self.snapshot.instance_types["all"];
        let kind = types.iter().find(|known| known.name == kind).unwrap().clone();
        self.snapshot.instances.as_mut().unwrap().push(Instance {
            id: format!("i-{name}"),
            instance_type: kind.name.clone(),
            zone: zone.to_owned(),
            capacity_type: CapacityType::OnDemand,
            state: InstanceState::Running,
            launched_at: created_at,
            private_dns_name: String::new(),
            image_id: "ami-1".to_owned(),
            subnet_id: "subnet-1".to_owned(),
            security_group_ids: vec!["sg-1".to_owned()],
            reservation_id: None,
            placement_group: Vec::new(),
            tags: [(labels::BATCH.to_owned(), batch.to_owned())].into(),
            interruption: None,
        });
        let mut all = kind.labels.clone();
        all.extend([
            (labels::NODE_POOL.to_owned(), pool.to_owned()),
            (labels::INSTANCE_TYPE.to_owned(), kind.name.clone()),
            (labels::ZONE.to_owned(), zone.to_owned()),
            (labels::CAPACITY_TYPE.to_owned(), "on-demand".to_owned()),
        ]);
        NodeClaim {
            name: name.into(),
            uid: format!("uid-{name}"),
            pool: pool.to_owned(),
            node_class: "default".to_owned(),
            provider_id: Some(format!("aws:///{zone}/i-{name}")),
            instance_type: Some(kind.name.clone()),
            zone: Some(zone.to_owned()),
            capacity_type: Some(CapacityType::OnDemand),
            labels: all,
            allocatable: kind.allocatable.clone(),
            capacity: kind.capacity.clone(),
            price: Some(kind.offerings[0].price),
            created_at: Some(created_at),
            launch: Some(request(batch)),
            finalizer: true,
            progress: Progress { launched: true, ..Progress::default() },
            ..NodeClaim::default()
        }
    }

    /// Lets so many seconds pass in steps, with a turn at the beginning of each.
    pub(crate) fn run(&mut self, seconds: i64, step_s: i64) {
        for _ in 0..seconds / step_s {
            self.turn();
            self.pass(step_s);
        }
    }

    /// One turn: the plan must be the same when made again, and free of violations.
    pub(crate) fn turn(&mut self) -> Plan {
        let plan = self.plan();
        self.carry_out(&plan);
        plan
    }

    /// What the planner would do now.
    pub(crate) fn plan(&self) -> Plan {
        let made = plan(&self.snapshot, &Options { steps: 300_000 });
        let again = plan(&self.snapshot, &Options { steps: 300_000 });
        assert_eq!(made, again, "the same snapshot gives the same plan");
        assert_eq!(check(&self.snapshot, &made), vec![], "at {}", self.snapshot.now.0 - START);
        made
    }

    fn note(&mut self, what: String) {
        self.log.push(format!("{} {what}", self.snapshot.now.0 - START));
    }

    /// Does what the plan says.
    pub(crate) fn carry_out(&mut self, plan: &Plan) {
        for launch in &plan.launches {
            self.launch(launch);
        }
        for step in &plan.steps {
            self.take(step);
        }
    }

    fn launch(&mut self, launch: &Launch) {
        self.bought += 1;
        self.serial += 1;
        let name = format!("new-{}", self.serial);
        self.note(format!("launch {name} {}", launch.offering.instance_type));
        let now = self.snapshot.now;
        let batch = format!("batch-{}", self.serial);
        let (kind, zone) = (&launch.offering.instance_type, &launch.offering.zone);
        let mut claim = self.claim_of(&name, &launch.node_pool, kind, zone, &batch, now);
        claim.labels.extend(launch.labels.clone());
        claim.nominated.clone_from(&launch.pods);
        if let Some(request) = &mut claim.launch {
            request.replaces.clone_from(&launch.replaces);
            request.pods.clone_from(&launch.pods);
        }
        self.snapshot.node_claims.push(claim);
    }

    fn take(&mut self, step: &Step) {
        let now = self.snapshot.now;
        match step {
            Step::Launch { .. } | Step::Adopt { .. } => {
                unreachable!("nothing is bought without an answer here")
            }
            Step::Register { claim, node } => {
                self.claim(claim).progress.registered = true;
                self.claim(claim).node_name = Some(node.clone());
                self.node(node).finalizer = true;
            }
            Step::Initialize { claim, node } => {
                self.claim(claim).progress.initialized = true;
                self.node(node).labels.insert(labels::INITIALIZED.to_owned(), "true".to_owned());
            }
            Step::Delete { claim, .. } => {
                self.note(format!("delete {claim}"));
                self.claim(claim).deleting = true;
                self.claim(claim).deletion_at = Some(now);
            }
            Step::MarkInterrupted { claim, interruption } => {
                self.note(format!("interrupted {claim}"));
                self.claim(claim).interruption = Some(*interruption);
            }
            Step::MarkDisruption { claim, disruption } => {
                let stage = disruption.as_ref().map(|told| format!("{:?}", told.stage));
                self.note(format!("{} {claim}", stage.unwrap_or("called-off".to_owned())));
                self.claim(claim).disruption.clone_from(disruption);
            }
            Step::Cordon { node } => {
                self.note(format!("cordon {node}"));
                self.node(node).taints.push(disrupted());
            }
            Step::Uncordon { node } => {
                self.note(format!("uncordon {node}"));
                self.node(node).taints.retain(|taint| *taint != disrupted());
            }
            Step::Evict { pod, .. } => self.evict(pod),
            Step::ForceDelete { pod, grace_s, .. } => {
                self.note(format!("force {pod}"));
                self.end(pod, *grace_s);
            }
            Step::Terminate { instance, .. } => {
                self.note(format!("terminate {instance}"));
                self.terminated.push(instance.clone());
                self.instance(instance).state = InstanceState::ShuttingDown;
            }
            Step::ReleaseNode { node } => self.snapshot.nodes.retain(|known| known.name != *node),
            Step::ReleaseClaim { claim } => {
                self.snapshot.node_claims.retain(|known| known.name != *claim);
            }
            Step::DeleteNode { node } => self.node(node).deleting = true,
            Step::MarkEmpty { node, since } => {
                let node = node.to_string();
                match since {
                    Some(_) => self.snapshot.empty_since.insert(node, now),
                    None => self.snapshot.empty_since.remove(&node),
                };
            }
        }
    }

    /// The eviction API: refused while a budget that selects the pod allows none.
    fn evict(&mut self, id: &PodId) {
        let pod = self.snapshot.pods.iter().find(|pod| pod.id == *id).unwrap();
        let (labels, grace_s) = (pod.labels.clone(), pod.spec.termination_grace_period_s);
        let budgets = &mut self.snapshot.pod_disruption_budgets;
        let mut own = budgets.iter_mut().filter(|budget| budget.selector.matches(&labels));
        if own.any(|budget| budget.disruptions_allowed <= 0) {
            return self.note(format!("refused {id}"));
        }
        self.note(format!("evict {id}"));
        self.end(id, grace_s);
    }

    /// The pod begins to end, and its replica set makes another one.
    fn end(&mut self, id: &PodId, grace_s: i64) {
        let now = self.snapshot.now;
        let pod = self.snapshot.pods.iter_mut().find(|pod| pod.id == *id).unwrap();
        pod.deletion_at = Some(now.plus(Duration(grace_s)));
        pod.ready = false;
        let mut next = pod.clone();
        next.id = PodId::new(&id.namespace, &format!("{}+", id.name));
        next.uid = format!("{}+", next.uid);
        next.node_name = None;
        next.bound_at = None;
        next.deletion_at = None;
        next.phase = PodPhase::Pending;
        next.created_at = Some(now);
        if in_order(&next) {
            next.id = id.clone();
            self.coming.push((now.plus(Duration(grace_s)), next));
        } else {
            self.snapshot.pods.push(next);
        }
    }

    /// Time passes: pods end, instances go, nodes join, the kube-scheduler binds.
    pub(crate) fn pass(&mut self, seconds: i64) {
        self.snapshot.now = self.snapshot.now.plus(Duration(seconds));
        let now = self.snapshot.now;
        self.snapshot.pods.retain(|pod| pod.deletion_at.is_none_or(|at| at > now));
        let (due, later) =
            std::mem::take(&mut self.coming).into_iter().partition(|(at, _)| *at <= now);
        self.coming = later;
        let due: Vec<(Timestamp, Pod)> = due;
        self.snapshot.pods.extend(due.into_iter().map(|(_, pod)| pod));
        for instance in self.snapshot.instances.iter_mut().flatten() {
            if instance.state == InstanceState::ShuttingDown {
                instance.state = InstanceState::Terminated;
            }
        }
        self.join();
        self.bind();
        self.drop_past();
    }

    fn join(&mut self) {
        let now = self.snapshot.now;
        let comes = |claim: &&NodeClaim| {
            let old = claim.created_at.is_some_and(|at| now.since(at).0 >= JOINS_AFTER_S);
            claim.node_name.is_none() && old
        };
        let known = self.snapshot.nodes.iter().map(|node| node.provider_id.clone());
        let known = known.collect::<Vec<_>>();
        let alive = self.snapshot.instances.iter().flatten().filter(|instance| instance.is_live());
        let alive = alive.map(Instance::provider_id).collect::<Vec<_>>();
        let missing = |claim: &&NodeClaim| {
            let id = claim.provider_id.as_ref().unwrap();
            !known.contains(id) && alive.contains(id)
        };
        let nodes = self.snapshot.node_claims.iter().filter(comes).filter(missing).map(node_of);
        let nodes = nodes.collect::<Vec<_>>();
        self.snapshot.nodes.extend(nodes);
    }

    /// As what is read of a cluster has it: a claim that is set up keeps room only for pods that wait.
    fn drop_past(&mut self) {
        let waiting = self.snapshot.pods.iter().filter(|pod| pod.node_name.is_none());
        let waiting = waiting.map(|pod| pod.id.clone()).collect::<Vec<_>>();
        let claims = self.snapshot.node_claims.iter_mut();
        for claim in claims.filter(|claim| claim.progress.initialized) {
            claim.nominated.retain(|pod| waiting.contains(pod));
        }
    }

    fn bind(&mut self) {
        let mut free = BTreeMap::new();
        for node in &self.snapshot.nodes {
            free.insert(node.name.clone(), node.allocatable.clone());
        }
        for pod in &self.snapshot.pods {
            if let Some(room) = pod.node_name.as_ref().and_then(|name| free.get_mut(name)) {
                room.subtract(&pod.spec.requests);
            }
        }
        let now = self.snapshot.now;
        for pod in self.snapshot.pods.iter_mut().filter(|pod| pod.node_name.is_none()) {
            let fits = |node: &&Node| {
                node.ready
                    && untolerated(&node.taints, &pod.spec.tolerations).is_none()
                    && pod.spec.requests.fits(&free[&node.name])
            };
            let found = self.snapshot.nodes.iter().find(fits).map(|node| node.name.clone());
            pod.unschedulable = found.is_none();
            if let Some(name) = found {
                free.get_mut(&name).unwrap().subtract(&pod.spec.requests);
                pod.node_name = Some(name);
                pod.phase = PodPhase::Running;
                pod.ready = true;
                pod.bound_at = Some(now);
            }
        }
    }

    /// The names of the nodes that are there.
    pub(crate) fn nodes(&self) -> Vec<&str> {
        self.snapshot.nodes.iter().map(|node| &*node.name).collect()
    }

    /// The log's lines with these words.
    pub(crate) fn told(&self, word: &str) -> Vec<&str> {
        self.log.iter().map(String::as_str).filter(|line| line.contains(word)).collect()
    }

    /// Whether a pod waits for a node.
    pub(crate) fn anything_waits(&self) -> bool {
        self.snapshot.pods.iter().any(|pod| pod.node_name.is_none())
    }
}

fn in_order(pod: &Pod) -> bool {
    pod.owner.as_ref().is_some_and(|owner| owner.kind == "StatefulSet")
}

pub(crate) fn disrupted() -> Taint {
    Taint {
        key: labels::DISRUPTED_TAINT.to_owned(),
        value: String::new(),
        effect: Effect::NoSchedule,
    }
}

fn request(batch: &str) -> LaunchRequest {
    LaunchRequest {
        batch: batch.to_owned(),
        size: 1,
        node_class: "default".to_owned(),
        capacity_type: CapacityType::OnDemand,
        offerings: Vec::new(),
        labels: Labels::new(),
        pods: Vec::new(),
        requests: Resources::new(),
        replaces: None,
    }
}

fn node_of(claim: &NodeClaim) -> Node {
    let mut own = claim.labels.clone();
    own.insert(labels::HOSTNAME.to_owned(), claim.name.to_string());
    Node {
        name: claim.name.clone(),
        labels: own,
        allocatable: claim.allocatable.clone(),
        capacity: claim.capacity.clone(),
        provider_id: claim.provider_id.clone().unwrap(),
        created_at: claim.created_at,
        ready: true,
        price: claim.price,
        ..Node::default()
    }
}
