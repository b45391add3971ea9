//! The nodes of the cluster once the plan is carried out, and what each may hold.

use super::Findings;
use super::leaving::Leaving;
use super::storage::Storage;
use model::pod::HostPort;
use model::pool::ApiVersion;
use model::taints::untolerated;
use model::{
    Labels, Launch, Node, NodeClaim, NodePool, Plan, Pod, PodSpec, Resources, Snapshot, Taint,
    labels,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A node that is there, on its way, or planned.
pub(super) struct Host<'a> {
    pub(super) name: Arc<str>,
    pub(super) launched: bool,
    pub(super) labels: Labels,
    taints: Vec<Taint>,
    room: Resources,
    /// Host ports of daemons that are sure to come.
    daemon_ports: Vec<&'a HostPort>,
    /// Pods that run on it.
    pub(super) running: Vec<&'a Pod>,
    /// Pods that the plan puts on it.
    pub(super) planned: Vec<&'a Pod>,
    storage: Arc<Storage<'a>>,
    /// The hostnames of nodes that stay: to these, local volumes tie.
    hostnames: Arc<BTreeSet<String>>,
}

/// All hosts.
pub(super) fn hosts<'a>(
    snapshot: &'a Snapshot,
    plan: &'a Plan,
    leaving: &Leaving<'_>,
    findings: &mut Findings,
) -> Vec<Host<'a>> {
    let volumes = Arc::new(Storage::new(snapshot));
    let mut running: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
    let stays = |pod: &&Pod| !pod.is_terminal() && !leaving.moves(pod);
    for pod in snapshot.pods.iter().filter(stays) {
        if let Some(node) = &pod.node_name {
            running.entry(node).or_default().push(pod);
        }
    }
    let names = snapshot.nodes.iter().map(|node| &node.name).collect::<BTreeSet<_>>();
    let ids = snapshot.nodes.iter().map(|node| node.provider_id.as_str());
    let ids = ids.filter(|id| !id.is_empty()).collect::<BTreeSet<_>>();
    let mut hosts = Vec::new();
    for node in &snapshot.nodes {
        let pods = running.remove(&*node.name).unwrap_or_default();
        hosts.push(of_node(snapshot, node, pods, &volumes));
    }
    for claim in snapshot
        .node_claims
        .iter()
        .filter(|claim| claim.node_name.as_ref().is_none_or(|name| !names.contains(name)))
        .filter(|claim| claim.provider_id.as_deref().is_none_or(|id| !ids.contains(id)))
    {
        hosts.push(of_claim(snapshot, claim, &volumes));
    }
    for launch in &plan.launches {
        match of_launch(snapshot, launch, &volumes) {
            Some(host) => hosts.push(host),
            None => findings
                .add(&launch.name, "is launched from a pool or type that is not in the snapshot"),
        }
    }
    let staying = snapshot.nodes.iter().filter(|node| !node.deleting);
    let names = staying.filter_map(|node| node.label(labels::HOSTNAME).map(str::to_owned));
    let names = Arc::new(names.collect::<BTreeSet<_>>());
    hosts.iter_mut().for_each(|host| host.hostnames = names.clone());
    hosts
}

fn of_node<'a>(
    snapshot: &'a Snapshot,
    node: &'a Node,
    running: Vec<&'a Pod>,
    storage: &Arc<Storage<'a>>,
) -> Host<'a> {
    let pool =
        node.pool().and_then(|name| snapshot.node_pools.iter().find(|pool| pool.name == name));
    let passing = |taint: &Taint| {
        !node.initialized()
            && (goes_by_itself(taint)
                || pool.is_some_and(|pool| pool.startup_taints.contains(taint)))
    };
    Host {
        name: node.name.clone(),
        launched: false,
        labels: node.labels.clone(),
        taints: node.taints.iter().filter(|taint| !passing(taint)).cloned().collect(),
        room: node.allocatable.clone(),
        daemon_ports: Vec::new(),
        running,
        planned: Vec::new(),
        storage: storage.clone(),
        hostnames: Arc::default(),
    }
}

fn goes_by_itself(taint: &Taint) -> bool {
    let known = [
        labels::NOT_READY_TAINT,
        labels::UNREACHABLE_TAINT,
        labels::UNINITIALIZED_TAINT,
        labels::UNREGISTERED_TAINT,
    ];
    known.contains(&taint.key.as_str()) || taint.key.starts_with(labels::READINESS_TAINT_PREFIX)
}

fn of_claim<'a>(
    snapshot: &'a Snapshot,
    claim: &'a NodeClaim,
    storage: &Arc<Storage<'a>>,
) -> Host<'a> {
    let mut all = claim.labels.clone();
    let facts =
        [(labels::ZONE, claim.zone.clone()), (labels::INSTANCE_TYPE, claim.instance_type.clone())];
    all.extend(facts.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    all.extend(claim.capacity_type.map(|capacity_type| {
        (labels::CAPACITY_TYPE.to_owned(), capacity_type.as_str().to_owned())
    }));
    all.entry(labels::NODE_POOL.to_owned()).or_insert_with(|| claim.pool.clone());
    // Every node has a hostname of its own, whatever it will be.
    all.entry(labels::HOSTNAME.to_owned()).or_insert_with(|| claim.name.to_string());
    let taints =
        claim.taints.iter().filter(|taint| !goes_by_itself(taint)).cloned().collect::<Vec<_>>();
    let daemons = daemons(snapshot, &claim.name, &all, &taints);
    Host {
        name: claim.name.clone(),
        launched: false,
        labels: all,
        taints,
        room: without(&claim.allocatable, &daemons),
        daemon_ports: ports(&daemons),
        running: Vec::new(),
        planned: Vec::new(),
        storage: storage.clone(),
        hostnames: Arc::default(),
    }
}

fn of_launch<'a>(
    snapshot: &'a Snapshot,
    launch: &'a Launch,
    storage: &Arc<Storage<'a>>,
) -> Option<Host<'a>> {
    let pool = snapshot.node_pools.iter().find(|pool| pool.name == launch.node_pool)?;
    let types = snapshot.instance_types.get(&pool.instance_types)?;
    let instance_type =
        types.iter().find(|instance_type| instance_type.name == launch.offering.instance_type)?;
    let labels = launch_labels(snapshot, pool, launch, &instance_type.labels);
    let daemons = daemons(snapshot, &launch.name, &labels, &pool.taints);
    let taints = pool.taints.clone();
    Some(Host {
        name: launch.name.clone(),
        launched: true,
        labels,
        taints,
        room: without(&instance_type.allocatable, &daemons),
        daemon_ports: ports(&daemons),
        running: Vec::new(),
        planned: Vec::new(),
        storage: storage.clone(),
        hostnames: Arc::default(),
    })
}

/// The labels that the launched node will carry.
pub(super) fn launch_labels(
    snapshot: &Snapshot,
    pool: &NodePool,
    launch: &Launch,
    of_type: &Labels,
) -> Labels {
    let mut all = of_type.clone();
    let fixed = pool.requirements.iter().filter(|(key, _)| !labels::is_well_known(key));
    all.extend(fixed.filter_map(|(key, set)| Some((key.to_owned(), set.single()?.to_owned()))));
    all.extend(pool.labels.clone());
    all.extend(launch.labels.clone());
    let pool_label = if pool.api_version == ApiVersion::Legacy {
        labels::PROVISIONER_NAME
    } else {
        labels::NODE_POOL
    };
    let facts = [
        (labels::INSTANCE_TYPE, launch.offering.instance_type.as_str()),
        (labels::ZONE, launch.offering.zone.as_str()),
        (labels::CAPACITY_TYPE, launch.offering.capacity_type.as_str()),
        (labels::REGION, snapshot.region.as_str()),
        (labels::HOSTNAME, &launch.name),
        (labels::INITIALIZED, "true"),
        (labels::REGISTERED, "true"),
        (pool_label, pool.name.as_str()),
    ];
    all.extend(facts.map(|(key, value)| (key.to_owned(), value.to_owned())));
    if launch.offering.reservation.is_some()
        && let Some((_, offering)) = super::purchases::find(snapshot, pool, &launch.offering)
        && let Some(own) = &offering.reservation
    {
        all.insert(labels::RESERVATION_ID.to_owned(), own.id.clone());
        all.insert(labels::RESERVATION_TYPE.to_owned(), own.kind().to_owned());
    }
    all
}

/// What the daemons that a new node will carry need.
fn daemons<'a>(
    snapshot: &'a Snapshot,
    name: &str,
    own: &Labels,
    taints: &[Taint],
) -> Vec<&'a PodSpec> {
    let runs = |spec: &&PodSpec| {
        untolerated(taints, &spec.tolerations).is_none() && may_be_on(spec, name, own)
    };
    snapshot.daemon_sets.iter().map(|daemon_set| &*daemon_set.spec).filter(runs).collect()
}

fn without(allocatable: &Resources, daemons: &[&PodSpec]) -> Resources {
    let mut room = allocatable.clone();
    daemons.iter().for_each(|spec| room.subtract(&spec.requests));
    room
}

fn ports<'a>(daemons: &[&'a PodSpec]) -> Vec<&'a HostPort> {
    daemons.iter().flat_map(|spec| &spec.host_ports).collect()
}

/// Whether the node's labels are what the pod's selector and required affinity ask for. Old label names count as today's.
fn may_be_on(spec: &PodSpec, name: &str, own: &Labels) -> bool {
    let has = |(key, value): (&String, &String)| {
        own.get(key).or_else(|| own.get(labels::normalize(key))) == Some(value)
    };
    let selected = spec.node_selector.iter().all(has);
    if !selected || spec.node_affinity.is_empty() {
        return selected;
    }
    let mut both = own.clone();
    for (old, new) in labels::ALIASES {
        if let Some(value) = own.get(*new) {
            both.entry((*old).to_owned()).or_insert_with(|| value.clone());
        }
    }
    spec.node_affinity.iter().any(|term| term.matches(name, &both))
}

impl Host<'_> {
    /// Whether a pod could be on this host by its labels.
    pub(super) fn selected_by(&self, spec: &PodSpec) -> bool {
        may_be_on(spec, &self.name, &self.labels)
    }

    /// Whether a pod tolerates the taints that stay.
    pub(super) fn tolerated_by(&self, spec: &PodSpec) -> bool {
        untolerated(&self.taints, &spec.tolerations).is_none()
    }

    /// The value of a label, under today's name or under the old one.
    pub(super) fn label(&self, key: &str) -> Option<&str> {
        let old = || labels::ALIASES.iter().find(|(_, new)| *new == key).map(|(old, _)| *old);
        self.labels.get(key).or_else(|| self.labels.get(old()?)).map(String::as_str)
    }

    /// Resources, labels, taints, ports and volumes of the planned pods.
    pub(super) fn check(&self, findings: &mut Findings) {
        if self.planned.is_empty() {
            return;
        }
        self.check_room(findings);
        self.check_ports(findings);
        for problem in self.storage.too_many(&self.name, &self.running, &self.planned) {
            findings.add(&self.name, problem);
        }
        let mut last = None;
        for pod in &self.planned {
            if last != Some(Arc::as_ptr(&pod.spec)) {
                self.check_pod(pod, findings);
                last = Some(Arc::as_ptr(&pod.spec)).filter(|_| pod.spec.volumes.is_empty());
            }
        }
    }

    fn check_room(&self, findings: &mut Findings) {
        let mut used = Resources::new();
        for pod in self.running.iter().filter(|_| !self.launched).chain(&self.planned) {
            used.add(&pod.spec.requests);
        }
        let asked = self.planned.iter().flat_map(|pod| {
            pod.spec.requests.iter().filter(|(_, amount)| *amount > 0).map(|(name, _)| name)
        });
        for name in asked.collect::<BTreeSet<_>>() {
            let (used, room) = (used.get(name.as_str()), self.room.get(name.as_str()));
            if used > room {
                findings.add(&self.name, format!("holds {name} {used} but has {room}"));
            }
        }
    }

    fn check_ports(&self, findings: &mut Findings) {
        let mut taken: Vec<(&HostPort, &Pod)> = self
            .running
            .iter()
            .flat_map(|pod| pod.spec.host_ports.iter().map(|port| (port, *pod)))
            .collect();
        for pod in &self.planned {
            for port in &pod.spec.host_ports {
                if self.daemon_ports.iter().any(|other| other.conflicts(port)) {
                    let message = format!("host port {} of {} is a daemon's", port.port, pod.id);
                    findings.add(&self.name, message);
                }
                if let Some((_, other)) = taken.iter().find(|(other, _)| other.conflicts(port)) {
                    findings.add(
                        &self.name,
                        format!("host port {} is wanted by {} and {}", port.port, pod.id, other.id),
                    );
                }
            }
            taken.extend(pod.spec.host_ports.iter().map(|port| (port, *pod)));
        }
    }

    fn check_pod(&self, pod: &Pod, findings: &mut Findings) {
        if let Some(taint) = untolerated(&self.taints, &pod.spec.tolerations) {
            findings.add(&pod.id, format!("does not tolerate {taint} of {}", self.name));
        }
        if !self.selected_by(&pod.spec) {
            findings
                .add(&pod.id, format!("may not be on {} by node selector or affinity", self.name));
        }
        for problem in self.storage.problems(pod, &self.labels, &self.hostnames) {
            findings.add(&pod.id, format!("{problem} on {}", self.name));
        }
    }
}
