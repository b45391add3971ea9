//! A snapshot as a packing problem: which pods wait, what is free on nodes that are there or on their way.

use super::packer::{Existing, PackClass, PackType, Packing};
use model::taints::untolerated;
use model::{
    InstanceType, Labels, NodePool, Pod, PodSpec, Requirement, Resources, Snapshot, labels,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The problem, with the names of what its numbers stand for.
pub(super) struct View<'a> {
    pub(super) packing: Packing,
    pub(super) types: Vec<&'a InstanceType>,
    pub(super) zones: Vec<String>,
    /// The pods, in the order of `packing.pods`.
    pub(super) pods: Vec<&'a Pod>,
    /// The names of `packing.existing`, nodes or claims.
    pub(super) hosts: Vec<&'a str>,
}

/// The pool that is bought for: the one of the highest weight. The baselines know only one.
pub(super) fn pool(snapshot: &Snapshot) -> Option<&NodePool> {
    snapshot.node_pools.iter().filter(|pool| pool.problem.is_none()).max_by_key(|pool| pool.weight)
}

/// Pods that need a node.
pub(super) fn pending(snapshot: &Snapshot) -> Vec<&Pod> {
    snapshot.pods.iter().filter(|pod| pod.is_provisionable()).collect()
}

#[derive(Default)]
struct Numbers(BTreeMap<String, usize>);

impl Numbers {
    fn of(&mut self, name: &str) -> usize {
        if let Some(number) = self.0.get(name) {
            return *number;
        }
        let next = self.0.len();
        self.0.insert(name.to_owned(), next);
        next
    }

    fn sparse(&mut self, resources: &Resources) -> Vec<(usize, i64)> {
        let above_zero = resources.iter().filter(|(_, amount)| *amount > 0);
        above_zero.map(|(name, amount)| (self.of(name.as_str()), amount)).collect()
    }
}

/// A node of the cluster, registered or not, with what its pods use.
struct Host<'a> {
    name: &'a str,
    initialized: bool,
    labels: &'a Labels,
    taints: &'a [model::Taint],
    free: Resources,
    pods: Vec<&'a Pod>,
}

impl<'a> View<'a> {
    /// The problem of placing `pods`, in their order, with these types to buy.
    pub(super) fn new(
        snapshot: &'a Snapshot,
        pods: Vec<&'a Pod>,
        types: Vec<&'a InstanceType>,
    ) -> Self {
        let mut numbers = Numbers::default();
        let daemons = daemon_load(snapshot);
        let zones = zones(&types);
        let (class_of, classes) = classes(&pods);
        let hosts = hosts(snapshot, &daemons);
        let pack_class = |pod: &&Pod| pack_class(&mut numbers, pod, &types, &zones);
        let pack_classes: Vec<PackClass> = classes.iter().map(pack_class).collect();
        let pack_types =
            types.iter().map(|known| pack_type(&mut numbers, known, &daemons, &zones)).collect();
        let existing =
            hosts.iter().map(|host| existing(&mut numbers, host, &classes, &zones)).collect();
        let packing = Packing {
            types: pack_types,
            zone_count: zones.len(),
            classes: pack_classes,
            existing,
            pods: class_of,
        };
        let hosts = hosts.iter().map(|host| host.name).collect();
        Self { packing, types, zones, pods, hosts }
    }
}

fn zones(types: &[&InstanceType]) -> Vec<String> {
    let offerings = types.iter().flat_map(|known| &known.offerings);
    let mut zones: Vec<String> = offerings.map(|offering| offering.zone.clone()).collect();
    zones.sort();
    zones.dedup();
    zones.truncate(64);
    zones
}

fn daemon_load(snapshot: &Snapshot) -> Resources {
    let mut load = Resources::new();
    for daemon_set in &snapshot.daemon_sets {
        load.add(&daemon_set.spec.requests);
    }
    load
}

/// The class of each pod, and one pod of each class.
fn classes<'a>(pods: &[&'a Pod]) -> (Vec<usize>, Vec<&'a Pod>) {
    let mut known: BTreeMap<(&Arc<PodSpec>, &Arc<Labels>), usize> = BTreeMap::new();
    let mut classes: Vec<&Pod> = Vec::new();
    let class = |pod: &&'a Pod| {
        *known.entry((&pod.spec, &pod.labels)).or_insert_with(|| {
            classes.push(pod);
            classes.len() - 1
        })
    };
    (pods.iter().map(class).collect(), classes)
}

fn pack_class(
    numbers: &mut Numbers,
    pod: &Pod,
    types: &[&InstanceType],
    zones: &[String],
) -> PackClass {
    let spec = &pod.spec;
    let on = |key: &str| {
        let spread = spec.topology_spread.iter().find(|spread| {
            let hard = spread.when_unsatisfiable == model::pod::WhenUnsatisfiable::DoNotSchedule;
            hard && spread.topology_key == key
        });
        spread.map(|spread| spread.max_skew.max(1) as u32)
    };
    let alone = spec.pod_anti_affinity.iter().any(|term| term.topology_key == labels::HOSTNAME);
    let wanted = wanted(spec);
    let of_type = |known: &InstanceType| {
        let meets = |requirement: &Requirement| {
            of_offering(requirement) || requirement.matches(&known.labels)
        };
        wanted.iter().all(meets)
    };
    let zone_allowed = |zone: &String| {
        let in_zone = wanted.iter().filter(|requirement| requirement.key == labels::ZONE);
        in_zone.into_iter().all(|requirement| requirement.value_set().allows(Some(zone)))
    };
    let allowed = zones.iter().enumerate().filter(|(_, zone)| zone_allowed(zone));
    PackClass {
        requests: numbers.sparse(&spec.requests),
        types: (0..types.len()).filter(|index| of_type(types[*index])).collect(),
        zones: allowed.fold(0, |bits, (index, _)| bits | (1 << index)),
        zone_skew: on(labels::ZONE),
        per_node: if alone { Some(1) } else { on(labels::HOSTNAME) },
    }
}

/// The node selector and the first term of required node affinity; upstream tries the others only later.
fn wanted(spec: &PodSpec) -> Vec<Requirement> {
    let selector = spec.node_selector.iter();
    let equal = |(key, value): (&String, &String)| {
        Requirement::new(key, model::Operator::In, [value.as_str()])
    };
    let affinity =
        spec.node_affinity.first().map(|term| term.requirements.clone()).unwrap_or_default();
    selector.map(equal).chain(affinity).collect()
}

fn of_offering(requirement: &Requirement) -> bool {
    [labels::ZONE, labels::CAPACITY_TYPE, labels::NODE_POOL].contains(&requirement.key.as_str())
}

fn pack_type(
    numbers: &mut Numbers,
    known: &InstanceType,
    daemons: &Resources,
    zones: &[String],
) -> PackType {
    let mut left = known.allocatable.clone();
    left.subtract(daemons);
    let zone = |name: &String| zones.iter().position(|zone| zone == name);
    let offered = known.offerings.iter().filter(|offering| offering.available);
    PackType {
        free: dense(numbers, &left),
        offerings: offered
            .filter_map(|offering| Some((zone(&offering.zone)?, offering.price)))
            .collect(),
    }
}

fn dense(numbers: &mut Numbers, resources: &Resources) -> Vec<i64> {
    let mut amounts = Vec::new();
    for (name, amount) in resources.iter() {
        let index = numbers.of(name.as_str());
        if amounts.len() <= index {
            amounts.resize(index + 1, 0);
        }
        amounts[index] = amount;
    }
    amounts
}

/// Nodes that may take pods: initialised ones first, then by name; then claims without a node, by name.
fn hosts<'a>(snapshot: &'a Snapshot, daemons: &Resources) -> Vec<Host<'a>> {
    let usable = snapshot.nodes.iter().filter(|node| !node.deleting && !node.unschedulable);
    let mut hosts: Vec<Host<'a>> = usable
        .map(|node| Host {
            name: &node.name,
            initialized: node.initialized(),
            labels: &node.labels,
            taints: if node.initialized() { &node.taints } else { &[] },
            free: node.allocatable.clone(),
            pods: Vec::new(),
        })
        .collect();
    hosts.sort_by_key(|host| host.name);
    for pod in snapshot.pods.iter().filter(|pod| !pod.is_terminal()) {
        let found = pod
            .node_name
            .as_deref()
            .and_then(|name| hosts.binary_search_by_key(&name, |host| host.name).ok());
        if let Some(index) = found {
            hosts[index].free.subtract(&pod.spec.requests);
            hosts[index].pods.push(pod);
        }
    }
    hosts.sort_by_key(|host| !host.initialized);
    let in_flight =
        snapshot.node_claims.iter().filter(|claim| claim.node_name.is_none() && !claim.deleting);
    let mut claims: Vec<Host<'a>> = in_flight
        .map(|claim| {
            let mut free = claim.allocatable.clone();
            free.subtract(daemons);
            let (labels, taints) = (&claim.labels, &claim.taints[..]);
            Host { name: &claim.name, initialized: false, labels, taints, free, pods: Vec::new() }
        })
        .collect();
    claims.sort_by_key(|host| host.name);
    hosts.extend(claims);
    hosts
}

fn existing(
    numbers: &mut Numbers,
    host: &Host<'_>,
    classes: &[&Pod],
    zones: &[String],
) -> Existing {
    let same = |class: &&Pod, pod: &&&Pod| {
        let equal_labels = Arc::ptr_eq(&pod.labels, &class.labels) || pod.labels == class.labels;
        equal_labels && (Arc::ptr_eq(&pod.spec, &class.spec) || pod.spec == class.spec)
    };
    let related = |class: &&Pod| {
        !class.spec.topology_spread.is_empty() || !class.spec.pod_anti_affinity.is_empty()
    };
    let count = |class: &&Pod| {
        if related(class) {
            host.pods.iter().filter(|pod| same(class, pod)).count() as u32
        } else {
            0
        }
    };
    let admits = |class: &&Pod| {
        let labels_match =
            wanted(&class.spec).iter().all(|requirement| requirement.matches(host.labels));
        labels_match && untolerated(host.taints, &class.spec.tolerations).is_none()
    };
    let zone = host.labels.get(labels::ZONE);
    Existing {
        free: dense(numbers, &host.free),
        zone: zone.and_then(|zone| zones.iter().position(|known| known == zone)),
        counts: classes.iter().map(count).collect(),
        admits: classes.iter().map(admits).collect(),
    }
}
