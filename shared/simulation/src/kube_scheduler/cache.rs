//! What the kube-scheduler knows: pod classes, nodes, and how many pods of each class are on each node.

use model::resources::{CPU, MEMORY};
use model::{Labels, PodSpec, Resources, Taint};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Pods without a CPU request count as this much when nodes are scored (`DefaultMilliCPURequest`, kube-scheduler).
const UNREQUESTED_MILLI_CPU: i64 = 100;
/// Pods without a memory request count as this much when nodes are scored (`DefaultMemoryRequest`, kube-scheduler).
const UNREQUESTED_MEMORY: i64 = 200 << 20;

/// A class of equal pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClassId(pub(crate) usize);

/// A node of the world, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeId(pub(crate) usize);

/// Equal pods: same namespace, labels and spec.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Class {
    pub(crate) namespace: Arc<str>,
    pub(crate) labels: Arc<Labels>,
    pub(crate) spec: Arc<PodSpec>,
}

/// What is worked out once per class.
pub(crate) struct KnownClass {
    pub(crate) class: Class,
    /// Requests above zero, by resource number.
    pub(crate) requests: Vec<(usize, i64)>,
    /// CPU and memory as they count in scores.
    pub(crate) scored: [i64; 2],
}

/// A node as the scheduler sees it.
pub(crate) struct NodeInfo {
    pub(crate) name: Arc<str>,
    pub(crate) labels: Labels,
    pub(crate) taints: Vec<Taint>,
    pub(crate) allocatable: Resources,
}

pub(crate) struct CachedNode {
    pub(crate) info: NodeInfo,
    pub(crate) allocatable: Vec<i64>,
    pub(crate) used: Vec<i64>,
    pub(crate) scored_used: [i64; 2],
    /// Pods by class; no zero counts.
    pub(crate) pods: BTreeMap<ClassId, u32>,
    /// Those of them that are being deleted: topology spread does not count them (kube-scheduler, `countPodsMatchSelector`).
    pub(crate) ending: BTreeMap<ClassId, u32>,
}

/// All that the scheduler knows.
#[derive(Default)]
pub(crate) struct SchedulerCache {
    resources: BTreeMap<String, usize>,
    pub(crate) classes: Vec<KnownClass>,
    ids: BTreeMap<Class, ClassId>,
    pub(crate) nodes: BTreeMap<NodeId, CachedNode>,
    /// Nodes in the order of their arrival.
    pub(crate) order: Vec<NodeId>,
    pub(crate) next_start: usize,
    /// Classes with required anti-affinity, which also keep others away.
    pub(crate) repelling: Vec<ClassId>,
}

impl SchedulerCache {
    /// The class's number.
    pub(crate) fn class(&mut self, class: &Class) -> ClassId {
        if let Some(id) = self.ids.get(class) {
            return *id;
        }
        let id = ClassId(self.classes.len());
        let requests = self.sparse(&class.spec.requests);
        let scored = |name, unrequested| match class.spec.requests.get(name) {
            0 => unrequested,
            amount => amount,
        };
        let scored = [scored(CPU, UNREQUESTED_MILLI_CPU), scored(MEMORY, UNREQUESTED_MEMORY)];
        if !class.spec.pod_anti_affinity.is_empty() {
            self.repelling.push(id);
        }
        self.classes.push(KnownClass { class: class.clone(), requests, scored });
        self.ids.insert(class.clone(), id);
        id
    }

    /// What is known of a class.
    pub(crate) fn known(&self, id: ClassId) -> &KnownClass {
        &self.classes[id.0]
    }

    /// A node appears.
    pub(crate) fn add_node(&mut self, id: NodeId, info: NodeInfo) {
        let mut allocatable = Vec::new();
        for (index, amount) in self.sparse(&info.allocatable) {
            *slot(&mut allocatable, index) = amount;
        }
        let node = CachedNode {
            info,
            allocatable,
            used: Vec::new(),
            scored_used: [0; 2],
            pods: BTreeMap::new(),
            ending: BTreeMap::new(),
        };
        self.nodes.insert(id, node);
        self.order.push(id);
    }

    /// A node goes.
    pub(crate) fn remove_node(&mut self, id: NodeId) {
        self.nodes.remove(&id);
        self.order.retain(|other| *other != id);
    }

    /// A node's taints change.
    pub(crate) fn set_taints(&mut self, id: NodeId, taints: Vec<Taint>) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.info.taints = taints;
        }
    }

    /// A node's labels change.
    pub(crate) fn set_labels(&mut self, id: NodeId, labels: Labels) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.info.labels = labels;
        }
    }

    /// A pod of the class is bound to the node.
    pub(crate) fn assign(&mut self, class: ClassId, id: NodeId) {
        self.account(class, id, 1);
        if let Some(node) = self.nodes.get_mut(&id) {
            *node.pods.entry(class).or_insert(0) += 1;
        }
    }

    /// A pod of the class leaves the node.
    pub(crate) fn release(&mut self, class: ClassId, id: NodeId) {
        self.account(class, id, -1);
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let left = node.pods.get(&class).copied().unwrap_or(0).saturating_sub(1);
        if left == 0 {
            node.pods.remove(&class)
        } else {
            node.pods.insert(class, left)
        };
    }

    /// So many more pods of the class on the node are being deleted, or (below zero) have gone.
    pub(crate) fn end(&mut self, class: ClassId, id: NodeId, more: i32) {
        if let Some(node) = self.nodes.get_mut(&id) {
            let count = node.ending.entry(class).or_insert(0);
            *count = count.saturating_add_signed(more);
            node.ending.retain(|_, count| *count > 0);
        }
    }

    /// Whether some node has more pods on it than it can hold.
    pub(crate) fn overfull(&self) -> Option<NodeId> {
        let over = |node: &CachedNode| {
            node.used
                .iter()
                .enumerate()
                .any(|(index, used)| *used > amount(&node.allocatable, index))
        };
        self.nodes.iter().find(|(_, node)| over(node)).map(|(id, _)| *id)
    }

    fn account(&mut self, class: ClassId, id: NodeId, sign: i64) {
        let known = &self.classes[class.0];
        let Some(node) = self.nodes.get_mut(&id) else { return };
        for (index, requested) in &known.requests {
            *slot(&mut node.used, *index) += sign * requested;
        }
        for (used, scored) in node.scored_used.iter_mut().zip(known.scored) {
            *used += sign * scored;
        }
    }

    fn sparse(&mut self, resources: &Resources) -> Vec<(usize, i64)> {
        let above_zero = resources.iter().filter(|(_, amount)| *amount > 0);
        above_zero.map(|(name, amount)| (self.number_of(name.as_str()), amount)).collect()
    }

    fn number_of(&mut self, resource: &str) -> usize {
        let next = self.resources.len();
        *self.resources.entry(resource.to_owned()).or_insert(next)
    }
}

/// The amount at `index`, zero beyond the end.
pub(crate) fn amount(amounts: &[i64], index: usize) -> i64 {
    amounts.get(index).copied().unwrap_or(0)
}

fn slot(amounts: &mut Vec<i64>, index: usize) -> &mut i64 {
    if amounts.len() <= index {
        amounts.resize(index + 1, 0);
    }
    &mut amounts[index]
}
