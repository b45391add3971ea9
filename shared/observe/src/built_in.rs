//! Pools for a cluster without any, made after the nodes that it has.
//!
//! A cluster with managed node groups tells by its nodes what its pods may ask for: their labels and their taints. Nodes
//! that are alike in what some pod speaks of become one pool.

use crate::finding::{DumpFinding, Severity};
use crate::kinds::node;
use model::labels::{ARCH, CAPACITY_TYPE, EKS_CAPACITY_TYPE, EKS_NODE_GROUP, OS};
use model::pool::ApiVersion;
use model::resources::CPU;
use model::{
    CapacityType, Effect, Labels, Node, NodeClass, NodePool, Operator, PodSpec, Requirement,
    Requirements, Snapshot, Taint, labels,
};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The name of the plain pool (and of the class of all) that stands in where a cluster has none; the names of the other
/// built-in pools begin with it.
pub const DEFAULT_POOL: &str = "joiner-default";
/// Pools made at most; nodes beyond them count as plain ones.
const MOST_POOLS: usize = 20;
/// Characters of a pool's name: it becomes a label's value of 63 at most, and nodes add a number to it.
const LONGEST_NAME: usize = 50;
/// What nodes run on unless they say otherwise.
const USUAL_ARCH: &str = "amd64";
/// Karpenter's getting-started categories.
const USUAL_CATEGORIES: [&str; 3] = ["c", "m", "r"];
/// The vCPUs of the largest node that a built-in pool buys where nothing asks for more.
const USUAL_CPU: i64 = 64;

/// Adds built-in pools to a cluster without any. The nodes' prices must be known already: only nodes with one are looked at.
pub(crate) fn add(snapshot: &mut Snapshot, findings: &mut Vec<DumpFinding>) {
    if !snapshot.node_pools.is_empty() {
        return;
    }
    let mut groups = groups(snapshot);
    findings.extend(merge_smallest(&mut groups));
    let names = names(&groups);
    let asked = snapshot.pods.iter().map(|pod| pod.spec.requests.get(CPU));
    let largest_pod = asked.max().unwrap_or(0) / 1000 + 1;
    let pools = names
        .into_iter()
        .zip(&groups)
        .map(|(name, (key, group))| pool(name, key, group, largest_pod));
    let mut pools = pools.collect::<Vec<_>>();
    pools.sort_by(|a, b| a.name.cmp(&b.name));
    let described = pools.iter().map(describe).collect::<Vec<_>>().join(", ");
    let (noun, verb) = if pools.len() == 1 { ("pool", "stands") } else { ("pools", "stand") };
    let message = format!(
        "the input has no node pool; the built-in {noun} {described} {verb} in: linux on Nitro instances, no bare \
         metal, none above {USUAL_CPU} vCPUs unless nodes or pods are that large, and where nothing else is told {USUAL_ARCH}, on-demand, categories c m r"
    );
    findings.push(DumpFinding::general(Severity::Note, "pool-built-in", message));
    snapshot.node_pools = pools;
    let class = NodeClass { name: DEFAULT_POOL.to_owned(), ..NodeClass::default() };
    snapshot.node_classes.push(class);
}

/// What tells the nodes of one group from others. The plain group has neither labels nor taints, and is the first.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    labels: Labels,
    taints: Vec<Taint>,
}

/// What the nodes of a group are.
#[derive(Clone, Debug, Default)]
struct Group {
    nodes: usize,
    arches: BTreeSet<String>,
    ways: BTreeSet<CapacityType>,
    /// Instance types without their sizes: `m5`, `inf2`.
    families: BTreeSet<String>,
    /// The vCPUs of the largest node.
    largest: i64,
}

impl Group {
    fn add(&mut self, node: &Node) {
        let Some((name, way)) = node::bought_as(node) else { return };
        self.nodes += 1;
        self.arches.extend(node.label(ARCH).map(str::to_owned));
        self.ways.insert(way);
        self.families.extend(name.split('.').next().map(str::to_owned));
        self.largest = self.largest.max(node.capacity.get(CPU) / 1000);
    }

    fn merge(&mut self, other: Self) {
        self.nodes += other.nodes;
        self.arches.extend(other.arches);
        self.ways.extend(other.ways);
        self.families.extend(other.families);
        self.largest = self.largest.max(other.largest);
    }
}

/// The groups of the nodes with a known price. There always is a plain one, so that pods that ask for nothing have a pool.
fn groups(snapshot: &Snapshot) -> BTreeMap<Key, Group> {
    let spoken = Spoken::of(snapshot);
    let mut groups = BTreeMap::from([(Key::default(), Group::default())]);
    for node in snapshot.nodes.iter().filter(|node| node.price.is_some()) {
        let labels = node.labels.iter().filter(|(key, value)| spoken.has(key, value));
        let labels = labels.map(|(key, value)| (key.clone(), value.clone())).collect();
        let mut taints =
            node.taints.iter().filter(|taint| lasts(taint)).cloned().collect::<Vec<_>>();
        taints.sort();
        taints.dedup();
        groups.entry(Key { labels, taints }).or_default().add(node);
    }
    groups
}

/// Label values that pods and daemonsets ask for or avoid; `None` stands for every value of the key.
#[derive(Debug, Default)]
struct Spoken<'a>(BTreeMap<&'a str, Option<BTreeSet<&'a str>>>);

impl<'a> Spoken<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let mut spoken = Self::default();
        let pods = snapshot.pods.iter().filter(|pod| pod.is_reschedulable());
        pods.for_each(|pod| spoken.add(&pod.spec));
        snapshot.daemon_sets.iter().for_each(|set| spoken.add(&set.spec));
        spoken
    }

    fn add(&mut self, spec: &'a PodSpec) {
        for (key, value) in &spec.node_selector {
            self.add_values(key, std::slice::from_ref(value));
        }
        for requirement in spec.node_affinity.iter().flat_map(|term| &term.requirements) {
            match requirement.operator {
                Operator::In | Operator::NotIn => {
                    self.add_values(&requirement.key, &requirement.values);
                }
                Operator::Exists
                | Operator::DoesNotExist
                | Operator::Gt
                | Operator::Lt
                | Operator::Gte
                | Operator::Lte => drop(self.0.insert(&requirement.key, None)),
            }
        }
    }

    fn add_values(&mut self, key: &'a str, values: &'a [String]) {
        let known = self.0.entry(key).or_insert_with(|| Some(BTreeSet::new()));
        if let Some(known) = known {
            known.extend(values.iter().map(String::as_str));
        }
    }

    fn has(&self, key: &str, value: &str) -> bool {
        let named = || match self.0.get(key) {
            Some(Some(values)) => values.contains(value),
            Some(None) => true,
            None => false,
        };
        is_custom(key) && named()
    }
}

/// Whether the label is the cluster's own: neither the instance type, the offering, the node nor its pool decides its value.
fn is_custom(key: &str) -> bool {
    const OF_NODE_OR_POOL: [&str; 5] = [
        labels::HOSTNAME,
        labels::NODE_POOL,
        labels::PROVISIONER_NAME,
        labels::INITIALIZED,
        labels::REGISTERED,
    ];
    !labels::is_well_known(labels::normalize(key)) && !OF_NODE_OR_POOL.contains(&key)
}

/// Whether the taint is meant to keep pods away for as long as the node is there. Taints of the node's condition, of its
/// start and of its end pass (well-known taints of Kubernetes; Karpenter, Cluster Autoscaler, the AWS node termination
/// handler; CSI drivers' and CNI plugins' agents).
fn lasts(taint: &Taint) -> bool {
    const PREFIXES: [&str; 6] = [
        "node.kubernetes.io/",
        "node.cloudprovider.kubernetes.io/",
        labels::KARPENTER_PREFIX,
        "aws-node-termination-handler/",
        "ToBeDeletedByClusterAutoscaler",
        labels::READINESS_TAINT_PREFIX,
    ];
    let passes = PREFIXES.iter().any(|prefix| taint.key.starts_with(prefix))
        || taint.key.ends_with("not-ready");
    taint.effect != Effect::PreferNoSchedule && !passes
}

/// Counts the nodes of the smallest groups as plain ones if there are too many groups, and says so.
fn merge_smallest(groups: &mut BTreeMap<Key, Group>) -> Option<DumpFinding> {
    let mut sizes =
        groups.iter().map(|(key, group)| (Reverse(group.nodes), key.clone())).collect::<Vec<_>>();
    sizes.retain(|(_, key)| *key != Key::default());
    sizes.sort();
    let merged = sizes.into_iter().skip(MOST_POOLS - 1).map(|(_, key)| key).collect::<Vec<_>>();
    for group in merged.iter().filter_map(|key| groups.remove(key)).collect::<Vec<_>>() {
        groups.entry(Key::default()).or_default().merge(group);
    }
    let first = merged.first()?;
    let message = format!(
        "the nodes differ in more ways than {MOST_POOLS} built-in pools can tell; {} groups, the smallest, count as \
         {DEFAULT_POOL}, so that pods which ask for their labels get no node ({} first); add node pools to the input",
        merged.len(),
        told(&first.labels, &first.taints)
    );
    Some(DumpFinding::general(Severity::Warning, "pool-merged", message))
}

/// A name for each group: the first value that tells it apart, all of them if several groups share that, else a number too.
fn names(groups: &BTreeMap<Key, Group>) -> Vec<String> {
    let words = groups.keys().map(words).collect::<Vec<_>>();
    let first = |words: &[String]| words.first().cloned().unwrap_or_default();
    let mut taken = BTreeSet::new();
    let mut names = Vec::new();
    for own in &words {
        let shared = words.iter().filter(|other| first(other) == first(own)).count() > 1;
        let word = if shared { own.join("-") } else { first(own) };
        let base = clip(&format!("{DEFAULT_POOL}-{word}"), LONGEST_NAME);
        let numbered = (2..).map(|number| format!("{}-{number}", clip(&base, LONGEST_NAME - 4)));
        let mut tries = std::iter::once(base.clone()).chain(numbered);
        let name = tries.find(|name| !taken.contains(name)).unwrap_or(base);
        taken.insert(name.clone());
        names.push(name);
    }
    names
}

/// What a group may be called after: its node group, its labels' values, its taints' values. A value that says nothing
/// alone gives way to its key.
fn words(key: &Key) -> Vec<String> {
    let node_group = key.labels.get_key_value(EKS_NODE_GROUP);
    let taints = key.taints.iter().map(|taint| (&taint.key, &taint.value));
    let mut words = Vec::new();
    for (key, value) in node_group.into_iter().chain(&key.labels).chain(taints) {
        let key = key.rsplit('/').next().unwrap_or(key);
        let mute = ["", "true", "false", "yes", "no"].contains(&value.as_str())
            || value.bytes().all(|byte| byte.is_ascii_digit());
        let word = name_part(if mute { key } else { value });
        if !word.is_empty() && !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

/// The text as a part of a DNS label: lower case, digits, and single hyphens between them.
fn name_part(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let parts = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-")
}

/// At most so many of an ASCII name's characters, and no hyphen at its end.
fn clip(name: &str, most: usize) -> String {
    name.chars().take(most).collect::<String>().trim_end_matches('-').to_owned()
}

/// A pool like Karpenter's getting-started one, widened to what the group's nodes are.
fn pool(name: String, key: &Key, group: &Group, largest_pod: i64) -> NodePool {
    NodePool {
        labels: key.labels.clone(),
        requirements: Requirements::from_list(&requirements(key, group, largest_pod)),
        taints: key.taints.clone(),
        ..NodePool::new(&name, ApiVersion::BuiltIn, DEFAULT_POOL, "")
    }
}

fn requirements(key: &Key, group: &Group, largest_pod: i64) -> [Requirement; 8] {
    let instance = |key: &str| format!("{}instance-{key}", labels::INSTANCE_LABEL_PREFIX);
    let generation = oldest_generation(group).saturating_sub(1).to_string();
    [
        Requirement::new(ARCH, Operator::In, arches(group)),
        Requirement::new(OS, Operator::In, ["linux"]),
        Requirement::new(CAPACITY_TYPE, Operator::In, ways(key, group)),
        Requirement::new(&instance("category"), Operator::In, categories(group)),
        Requirement::new(&instance("generation"), Operator::Gt, [generation]),
        Requirement::new(&instance("hypervisor"), Operator::In, hypervisors(group)),
        Requirement::new(&instance("cpu"), Operator::Lte, [most_cpu(group, largest_pod)]),
        // Burstable types of these sizes hold little but the daemons.
        Requirement::new(&instance("size"), Operator::NotIn, ["nano", "micro", "small"]),
    ]
}

/// 64 vCPUs, so that not too much hangs on one node, or what the largest node has, or twice what the largest pod asks for.
fn most_cpu(group: &Group, largest_pod: i64) -> String {
    USUAL_CPU.max(group.largest).max(largest_pod * 2).to_string()
}

/// What the nodes run on: images may be made for that alone.
fn arches(group: &Group) -> Vec<String> {
    let usual = || vec![USUAL_ARCH.to_owned()];
    if group.arches.is_empty() { usual() } else { group.arches.iter().cloned().collect() }
}

/// On demand, and spot where there is some; no other than its own if the group is told apart by it.
fn ways(key: &Key, group: &Group) -> Vec<&'static str> {
    let spot = group.ways.contains(&CapacityType::Spot);
    let only_spot = spot && key.labels.contains_key(EKS_CAPACITY_TYPE);
    let on_demand = (!only_spot).then_some(CapacityType::OnDemand);
    let all = on_demand.into_iter().chain(spot.then_some(CapacityType::Spot));
    all.map(CapacityType::as_str).collect()
}

/// The usual categories and those of the nodes: who runs burstable or accelerated instances now may go on so.
fn categories(group: &Group) -> BTreeSet<String> {
    let own = group.families.iter().map(|family| split(family).0.to_owned());
    own.chain(USUAL_CATEGORIES.map(str::to_owned)).collect()
}

/// 3 as in Karpenter's getting-started pool, or less where the nodes are of an older generation (Inferentia began with `inf1`).
fn oldest_generation(group: &Group) -> u32 {
    let own = group.families.iter().map(|family| split(family).1);
    own.chain([3]).min().unwrap_or(3)
}

/// Nitro alone, but for the accelerators that came before it: what is older costs more than what replaced it.
fn hypervisors(group: &Group) -> Vec<&'static str> {
    const XEN: [&str; 4] = ["g3", "g3s", "p2", "p3"];
    let xen = group.families.iter().any(|family| XEN.contains(&family.as_str()));
    if xen { vec!["nitro", "xen"] } else { vec!["nitro"] }
}

/// The category and the generation of an instance family: `inf` and 2 of `inf2`; the generation is 3 where none is told.
fn split(family: &str) -> (&str, u32) {
    let letters = family.bytes().take_while(u8::is_ascii_lowercase).count();
    let (category, rest) = family.split_at(letters);
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    (category, rest[..digits].parse().unwrap_or(3))
}

/// `joiner-default-gpu (label dedicated=gpu; taint dedicated=gpu:NoSchedule; categories c g m r)`: what differs from the usual.
fn describe(pool: &NodePool) -> String {
    let category = format!("{}instance-category", labels::INSTANCE_LABEL_PREFIX);
    let unusual = |key: &str, usual: &[&str], noun: &str| {
        let values = pool.requirements.get(key).map(|set| set.values.iter().cloned().collect());
        let values: Vec<String> = values.unwrap_or_default();
        (values != usual).then(|| format!("{noun}{}", values.join(" ")))
    };
    let own = Some(told(&pool.labels, &pool.taints)).filter(|own| !own.is_empty());
    let parts = [
        own,
        unusual(ARCH, &[USUAL_ARCH], ""),
        unusual(CAPACITY_TYPE, &[CapacityType::OnDemand.as_str()], ""),
        unusual(&category, &USUAL_CATEGORIES, "categories "),
    ];
    let parts = parts.into_iter().flatten().collect::<Vec<_>>().join("; ");
    if parts.is_empty() { pool.name.clone() } else { format!("{} ({parts})", pool.name) }
}

/// Labels and taints in short: `labels a=b, role=web; taint dedicated=gpu:NoSchedule`.
fn told(labels: &Labels, taints: &[Taint]) -> String {
    let listed = |noun: &str, all: Vec<String>| {
        let plural = if all.len() == 1 { "" } else { "s" };
        (!all.is_empty()).then(|| format!("{noun}{plural} {}", all.join(", ")))
    };
    let labels = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let taints = taints.iter().map(Taint::to_string).collect();
    let parts = [listed("label", labels), listed("taint", taints)];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
