//! The cluster's objects, kept as the snapshot that a turn would read, so that reading costs nothing.

use crate::kube_scheduler::{NodeId, PodKey};
use model::{Node, NodeClaim, Pod, Snapshot, Timestamp};
use std::collections::BTreeMap;

/// Objects, and where in the snapshot each is.
pub(crate) struct ApiServer<C> {
    snapshot: Snapshot,
    pods: Places<PodKey>,
    nodes: Places<NodeId>,
    claims: Places<C>,
}

/// Which key is at which place of a list that has no order of its own.
struct Places<K> {
    of: BTreeMap<K, usize>,
    at: Vec<K>,
}

impl<K: Copy + Ord> Places<K> {
    fn new() -> Self {
        Self { of: BTreeMap::new(), at: Vec::new() }
    }

    fn push<T>(&mut self, list: &mut Vec<T>, key: K, object: T) {
        self.of.insert(key, list.len());
        self.at.push(key);
        list.push(object);
    }

    fn remove<T>(&mut self, list: &mut Vec<T>, key: K) -> Option<T> {
        let place = self.of.remove(&key)?;
        self.at.swap_remove(place);
        if let Some(moved) = self.at.get(place) {
            self.of.insert(*moved, place);
        }
        Some(list.swap_remove(place))
    }

    fn see<'a, T>(&self, list: &'a [T], key: K) -> Option<&'a T> {
        self.of.get(&key).and_then(|place| list.get(*place))
    }

    fn get<'a, T>(&self, list: &'a mut [T], key: K) -> Option<&'a mut T> {
        self.of.get(&key).and_then(|place| list.get_mut(*place))
    }
}

impl<C: Copy + Ord> ApiServer<C> {
    /// A server with these objects and no pods, nodes or claims yet.
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        Self { snapshot, pods: Places::new(), nodes: Places::new(), claims: Places::new() }
    }

    /// What a turn reads at `now`.
    pub(crate) fn read(&mut self, now: Timestamp) -> &Snapshot {
        self.snapshot.now = now;
        &self.snapshot
    }

    /// All objects as they are.
    pub(crate) fn all(&self) -> &Snapshot {
        &self.snapshot
    }

    /// What has no key here: pools, types, budgets, instances. Pods, nodes and claims come and go only by their keys.
    pub(crate) fn rest(&mut self) -> &mut Snapshot {
        &mut self.snapshot
    }

    pub(crate) fn create_pod(&mut self, key: PodKey, pod: Pod) {
        self.pods.push(&mut self.snapshot.pods, key, pod);
    }

    pub(crate) fn delete_pod(&mut self, key: PodKey) {
        self.pods.remove(&mut self.snapshot.pods, key);
    }

    pub(crate) fn pod(&mut self, key: PodKey) -> Option<&mut Pod> {
        self.pods.get(&mut self.snapshot.pods, key)
    }

    /// The pod as it is.
    pub(crate) fn see_pod(&self, key: PodKey) -> Option<&Pod> {
        self.pods.see(&self.snapshot.pods, key)
    }

    /// The node as it is.
    pub(crate) fn see_node(&self, key: NodeId) -> Option<&Node> {
        self.nodes.see(&self.snapshot.nodes, key)
    }

    /// The claim as it is.
    pub(crate) fn see_claim(&self, key: C) -> Option<&NodeClaim> {
        self.claims.see(&self.snapshot.node_claims, key)
    }

    pub(crate) fn create_node(&mut self, key: NodeId, node: Node) {
        self.nodes.push(&mut self.snapshot.nodes, key, node);
    }

    pub(crate) fn delete_node(&mut self, key: NodeId) {
        if let Some(node) = self.nodes.remove(&mut self.snapshot.nodes, key) {
            self.snapshot.empty_since.remove(&*node.name);
        }
    }

    pub(crate) fn node(&mut self, key: NodeId) -> Option<&mut Node> {
        self.nodes.get(&mut self.snapshot.nodes, key)
    }

    pub(crate) fn create_claim(&mut self, key: C, claim: NodeClaim) {
        self.claims.push(&mut self.snapshot.node_claims, key, claim);
    }

    pub(crate) fn delete_claim(&mut self, key: C) {
        self.claims.remove(&mut self.snapshot.node_claims, key);
    }

    pub(crate) fn claim(&mut self, key: C) -> Option<&mut NodeClaim> {
        self.claims.get(&mut self.snapshot.node_claims, key)
    }

    /// Since when the node has been empty; `None` if it is not.
    pub(crate) fn set_empty_since(&mut self, node: &str, since: Option<Timestamp>) {
        match since {
            Some(since) => drop(self.snapshot.empty_since.insert(node.to_owned(), since)),
            None => drop(self.snapshot.empty_since.remove(node)),
        }
    }
}
