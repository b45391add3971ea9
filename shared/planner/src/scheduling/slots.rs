//! Nodes that are there or on their way, with the room they have.

use super::dimensions::{Dimensions, take};
use super::volumes::{Attachments, Volumes};
use crate::leaving::Leaving;
use model::node::Node;
use model::pod::{HostPort, NodeSelectorTerm, Weighted, selects};
use model::snapshot::DaemonSet;
use model::taints::Effect;
use model::{Labels, NodeClaim, Pod, PodId, PodSpec, Snapshot, Taint, labels};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A node, or a claim whose node has not come yet.
pub(crate) struct Slot<'a> {
    /// The node's name, or the claim's.
    pub(crate) name: Arc<str>,
    labels: Cow<'a, Labels>,
    /// Taints that a pod must tolerate to be bound here sooner or later.
    pub(crate) taints: Vec<Taint>,
    /// What is left for pods, by dimension.
    pub(crate) room: Vec<i64>,
    /// Its cell, as an index into the turn's cells.
    pub(crate) cell: usize,
    /// Host ports taken.
    pub(crate) ports: Vec<HostPort>,
    /// Volumes attached, and those of the pods planned onto it.
    attached: Attachments<'a>,
    /// How many volumes of each driver it can attach, if that is known.
    attachable: &'a [(String, u32)],
    /// Whether pods can be planned onto it.
    pub(crate) usable: bool,
    /// Whether it is set up.
    initialized: bool,
    /// Whether it has the label of the hostname, or will have it.
    hostname: bool,
    /// The pods that it was bought for.
    pub(crate) nominated: BTreeSet<&'a PodId>,
    /// The pool that it counts for.
    pub(crate) pool: Option<&'a str>,
    /// What counts against the pool's limits.
    pub(crate) capacity: &'a model::Resources,
}

impl<'a> Slot<'a> {
    /// Whether these volumes can be attached too.
    pub(crate) fn can_attach(&self, more: &Attachments<'a>) -> bool {
        let exceeds = |(driver, limit): &(String, u32)| {
            let of_driver = |(own, _, _): &&(&str, &str, &str)| own == driver;
            let count = self.attached.union(more).filter(of_driver).count();
            more.iter().any(|(own, _, _)| own == driver) && count > *limit as usize
        };
        more.is_empty() || !self.attachable.iter().any(exceeds)
    }

    /// Attaches them.
    pub(crate) fn attach(&mut self, more: &Attachments<'a>) {
        self.attached.extend(more);
    }

    /// What is attached.
    pub(crate) fn attached(&self) -> &Attachments<'a> {
        &self.attached
    }

    /// Has just these attached.
    pub(crate) fn set_attached(&mut self, attached: Attachments<'a>) {
        self.attached = attached;
    }

    /// The value of a label, under today's name or under the old one.
    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        let old = || labels::ALIASES.iter().find(|(_, new)| *new == key).map(|(old, _)| *old);
        let value = self.labels.get(key).or_else(|| self.labels.get(old()?));
        value.map(String::as_str)
    }

    /// Whether a pod with this selector and these terms may be bound here.
    pub(crate) fn matches(&self, selector: &Labels, terms: &[NodeSelectorTerm]) -> bool {
        selects(selector, terms, (&self.name, &self.labels))
    }

    /// How well a pod's soft rules about nodes are met here: the weights of its preferences, less taints that it would rather avoid.
    pub(crate) fn preference(&self, spec: &PodSpec) -> i64 {
        if spec.preferred_node_affinity.is_empty() && self.taints.is_empty() {
            return 0;
        }
        let met = |preferred: &&Weighted<NodeSelectorTerm>| {
            preferred.term.matches(&self.name, &self.labels)
        };
        let weights = spec
            .preferred_node_affinity
            .iter()
            .filter(met)
            .map(|preferred| i64::from(preferred.weight));
        let soft = |taint: &&Taint| {
            taint.effect == Effect::PreferNoSchedule
                && !model::taints::tolerates(&spec.tolerations, taint)
        };
        weights.sum::<i64>() - 100 * self.taints.iter().filter(soft).count() as i64
    }

    /// Whether the node is a domain of rules over hostnames: without the label the kube-scheduler lets no such pod onto it.
    pub(crate) fn has_hostname(&self) -> bool {
        self.hostname
    }

    /// Whether the ports are free.
    pub(crate) fn ports_free(&self, ports: &[HostPort]) -> bool {
        !ports.iter().any(|port| self.ports.iter().any(|taken| taken.conflicts(port)))
    }
}

/// All nodes and claims, the ones that are set up first, then by name.
pub(crate) fn slots<'a>(
    snapshot: &'a Snapshot,
    leaving: &Leaving<'_>,
    dimensions: &Dimensions,
) -> Vec<Slot<'a>> {
    let pods = pods_by_node(snapshot);
    let claims = joined(snapshot);
    let nodes = snapshot.nodes.iter().map(|node| {
        let on_it = pods.get(&*node.name).map_or(&[][..], Vec::as_slice);
        node_slot(snapshot, node, claims.get(&*node.name).copied(), on_it, dimensions)
    });
    let arrived = claims.values().map(|claim| &claim.name).collect::<BTreeSet<_>>();
    let coming = snapshot.node_claims.iter().filter(|claim| !arrived.contains(&claim.name));
    let mut slots = nodes
        .chain(coming.map(|claim| claim_slot(snapshot, claim, dimensions)))
        .collect::<Vec<_>>();
    for slot in slots.iter_mut().filter(|slot| leaving.contains(&slot.name)) {
        slot.usable = false;
    }
    reserve_for_moves(snapshot, leaving, &mut slots);
    attach_volumes(snapshot, &pods, &mut slots);
    slots.sort_by(|a, b| (!a.initialized, &a.name).cmp(&(!b.initialized, &b.name)));
    slots
}

/// The claims whose nodes have joined, by node; a claim may not name its node yet.
fn joined(snapshot: &Snapshot) -> BTreeMap<&str, &NodeClaim> {
    let has_id = |node: &&Node| !node.provider_id.is_empty();
    let ids = snapshot.nodes.iter().filter(has_id).map(|node| (node.provider_id.as_str(), node));
    let ids = ids.collect::<BTreeMap<_, _>>();
    let names = snapshot.nodes.iter().map(|node| (&*node.name, node)).collect::<BTreeMap<_, _>>();
    let node_of = |claim: &NodeClaim| {
        let named = claim.node_name.as_deref().and_then(|name| names.get(name));
        let joined = || claim.provider_id.as_deref().and_then(|id| ids.get(id));
        named.or_else(joined).copied()
    };
    let claims = snapshot.node_claims.iter();
    claims.filter_map(|claim| Some((&*node_of(claim)?.name, claim))).collect()
}

/// Room that was bought for pods of leaving nodes stays theirs until they have moved: placed anew they might not fit as they were packed.
fn reserve_for_moves<'a>(snapshot: &'a Snapshot, leaving: &Leaving<'_>, slots: &mut [Slot<'a>]) {
    let moving = snapshot.pods.iter().filter(|pod| leaving.moves(pod)).map(|pod| &pod.id);
    let moving = moving.collect::<BTreeSet<_>>();
    if moving.is_empty() {
        return;
    }
    let mut bought: BTreeMap<&str, Vec<&PodId>> = BTreeMap::new();
    let nodes = joined(snapshot).into_iter().map(|(node, claim)| (&*claim.name, node));
    let nodes = nodes.collect::<BTreeMap<_, _>>();
    for claim in &snapshot.node_claims {
        let pods = claim.launch.iter().flat_map(|launch| &launch.pods);
        let pods = pods.filter(|pod| moving.contains(pod)).collect::<Vec<_>>();
        if !pods.is_empty() {
            bought.insert(nodes.get(&*claim.name).copied().unwrap_or(&claim.name), pods);
        }
    }
    for slot in slots {
        slot.nominated.extend(bought.get(&*slot.name).into_iter().flatten());
    }
}

/// Notes what running pods have attached, where the node says how much it can.
fn attach_volumes<'a>(
    snapshot: &'a Snapshot,
    pods: &BTreeMap<&str, Vec<&'a Pod>>,
    slots: &mut [Slot<'a>],
) {
    let volumes = Volumes::new(snapshot);
    let known = snapshot.csi_nodes.iter().map(|csi| (csi.node.as_str(), csi.limits.as_slice()));
    let known = known.collect::<BTreeMap<_, _>>();
    for slot in slots {
        let Some(limits) = known.get(&*slot.name) else { continue };
        slot.attachable = limits;
        for pod in pods.get(&*slot.name).into_iter().flatten() {
            slot.attach(&volumes.attachments(pod));
        }
    }
}

fn pods_by_node(snapshot: &Snapshot) -> BTreeMap<&str, Vec<&Pod>> {
    let mut pods: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
    for pod in snapshot.pods.iter().filter(|pod| !pod.is_terminal()) {
        if let Some(node) = &pod.node_name {
            pods.entry(node).or_default().push(pod);
        }
    }
    pods
}

fn node_slot<'a>(
    snapshot: &'a Snapshot,
    node: &'a Node,
    claim: Option<&'a NodeClaim>,
    pods: &[&'a Pod],
    dimensions: &Dimensions,
) -> Slot<'a> {
    let initialized = node.initialized();
    let startup = startup_taints(snapshot, node.pool().filter(|_| !initialized));
    let taints = node
        .taints
        .iter()
        .filter(|taint| initialized || !(is_ephemeral(taint) || startup.contains(taint)));
    let mut slot = Slot {
        name: node.name.clone(),
        labels: Cow::Borrowed(&node.labels),
        taints: taints.cloned().collect(),
        room: dimensions.vector(&node.allocatable),
        cell: 0,
        ports: Vec::new(),
        attached: Attachments::new(),
        attachable: &[],
        usable: !node.deleting && !node.unschedulable && !claim.is_some_and(|claim| claim.deleting),
        initialized,
        hostname: node.label(labels::HOSTNAME).is_some(),
        nominated: claim.map(|claim| claim.nominated.iter().collect()).unwrap_or_default(),
        pool: node.pool(),
        capacity: &node.capacity,
    };
    for pod in pods {
        take(&mut slot.room, &dimensions.vector(&pod.spec.requests), 1);
        slot.ports.extend(pod.spec.host_ports.iter().cloned());
    }
    reserve_daemons(snapshot, &mut slot, pods, dimensions);
    slot
}

fn claim_slot<'a>(
    snapshot: &'a Snapshot,
    claim: &'a NodeClaim,
    dimensions: &Dimensions,
) -> Slot<'a> {
    let mut own = claim.labels.clone();
    let known = [(labels::ZONE, &claim.zone), (labels::INSTANCE_TYPE, &claim.instance_type)];
    for (key, value) in
        known.into_iter().filter_map(|(key, value)| value.as_ref().map(|value| (key, value)))
    {
        own.insert(key.to_owned(), value.clone());
    }
    if let Some(capacity_type) = claim.capacity_type {
        own.insert(labels::CAPACITY_TYPE.to_owned(), capacity_type.as_str().to_owned());
    }
    own.entry(labels::NODE_POOL.to_owned()).or_insert_with(|| claim.pool.clone());
    let mut slot = Slot {
        name: claim.name.clone(),
        labels: Cow::Owned(own),
        taints: claim.taints.iter().filter(|taint| !is_ephemeral(taint)).cloned().collect(),
        room: dimensions.vector(&claim.allocatable),
        cell: 0,
        ports: Vec::new(),
        attached: Attachments::new(),
        attachable: &[],
        usable: !claim.deleting,
        initialized: false,
        hostname: true,
        nominated: claim.nominated.iter().collect(),
        pool: Some(&claim.pool),
        capacity: &claim.capacity,
    };
    reserve_daemons(snapshot, &mut slot, &[], dimensions);
    slot
}

fn startup_taints<'a>(snapshot: &'a Snapshot, pool: Option<&str>) -> Vec<&'a Taint> {
    let pool = snapshot.node_pools.iter().find(|candidate| pool == Some(candidate.name.as_str()));
    pool.map(|pool| pool.startup_taints.iter().collect()).unwrap_or_default()
}

/// Whether the taint goes by itself while a node is set up.
fn is_ephemeral(taint: &Taint) -> bool {
    const NAMES: [&str; 4] = [
        labels::NOT_READY_TAINT,
        labels::UNREACHABLE_TAINT,
        labels::UNINITIALIZED_TAINT,
        labels::UNREGISTERED_TAINT,
    ];
    NAMES.contains(&taint.key.as_str()) || taint.key.starts_with(labels::READINESS_TAINT_PREFIX)
}

/// Takes away the room of daemons that will come but are not there yet.
fn reserve_daemons(
    snapshot: &Snapshot,
    slot: &mut Slot<'_>,
    pods: &[&Pod],
    dimensions: &Dimensions,
) {
    for daemon_set in snapshot.daemon_sets.iter().filter(|daemon_set| !runs(daemon_set, pods)) {
        let spec = &daemon_set.spec;
        let tolerated = model::taints::untolerated(&slot.taints, &spec.tolerations).is_none();
        if tolerated && slot.matches(&spec.node_selector, &spec.node_affinity) {
            take(&mut slot.room, &dimensions.vector(&spec.requests), 1);
            slot.ports.extend(spec.host_ports.iter().cloned());
        }
    }
}

fn runs(daemon_set: &DaemonSet, pods: &[&Pod]) -> bool {
    let owned = |pod: &&&Pod| {
        pod.owner
            .as_ref()
            .is_some_and(|owner| owner.kind == "DaemonSet" && owner.name == daemon_set.name)
    };
    pods.iter().filter(owned).any(|pod| *pod.id.namespace == *daemon_set.namespace)
}
