//! The snapshot, indexed.

use model::{Instance, Interruption, Node, NodeClaim, NodePool, Pod, Snapshot};
use std::collections::BTreeMap;

/// The snapshot with its claims, nodes and instances found by name.
pub(crate) struct View<'a> {
    pub(crate) snapshot: &'a Snapshot,
    /// Joiner's own claims, by name.
    pub(crate) claims: Vec<&'a NodeClaim>,
    pub(crate) pools: BTreeMap<&'a str, &'a NodePool>,
    claims_by_instance: BTreeMap<&'a str, &'a NodeClaim>,
    nodes_by_instance: BTreeMap<&'a str, &'a Node>,
    nodes: BTreeMap<&'a str, &'a Node>,
    pods_by_node: BTreeMap<&'a str, Vec<&'a Pod>>,
    instances: Option<BTreeMap<&'a str, &'a Instance>>,
}

/// The instance's id in `aws:///<zone>/<id>`; empty if there is none.
pub(crate) fn instance_id(provider_id: &str) -> &str {
    provider_id.rsplit('/').next().unwrap_or_default()
}

impl<'a> View<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot) -> Self {
        let mut claims = snapshot.node_claims.iter().collect::<Vec<_>>();
        claims.sort_by(|a, b| a.name.cmp(&b.name));
        let of_claim = |claim: &&'a NodeClaim| {
            claim.provider_id.as_deref().map(|id| (instance_id(id), *claim))
        };
        let mut pods_by_node: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for pod in &snapshot.pods {
            if let Some(node) = pod.node_name.as_deref() {
                pods_by_node.entry(node).or_default().push(pod);
            }
        }
        pods_by_node.values_mut().for_each(|pods| pods.sort_by(|a, b| a.id.cmp(&b.id)));
        let has_id = |node: &&Node| !node.provider_id.is_empty();
        let nodes = snapshot.nodes.iter().filter(has_id);
        let instances = snapshot.instances.as_ref();
        Self {
            snapshot,
            claims_by_instance: claims.iter().filter_map(of_claim).collect(),
            claims: claims.into_iter().filter(|claim| claim.launch.is_some()).collect(),
            pools: snapshot.node_pools.iter().map(|pool| (pool.name.as_str(), pool)).collect(),
            nodes: snapshot.nodes.iter().map(|node| (&*node.name, node)).collect(),
            nodes_by_instance: nodes.map(|node| (instance_id(&node.provider_id), node)).collect(),
            pods_by_node,
            instances: instances
                .map(|all| all.iter().map(|instance| (instance.id.as_str(), instance)).collect()),
        }
    }

    /// The claim (Joiner's or not) whose instance this is.
    pub(crate) fn claim_of_instance(&self, id: &str) -> Option<&'a NodeClaim> {
        self.claims_by_instance.get(id).copied()
    }

    /// Joiner's claim of the node.
    pub(crate) fn claim_of_node(&self, node: &Node) -> Option<&'a NodeClaim> {
        let id = instance_id(&node.provider_id);
        self.claim_of_instance(id).filter(|claim| claim.launch.is_some())
    }

    /// Whether Joiner may take the node away: it made it. In a dump, where AWS was not asked, any pool's node counts: nothing
    /// is carried out there, and the question is what Joiner would do in another's place.
    pub(crate) fn is_managed(&self, node: &Node) -> bool {
        let what_if = self.instances.is_none() && node.pool().is_some();
        what_if || self.claim_of_node(node).is_some()
    }

    /// The claim's node.
    pub(crate) fn node_of_claim(&self, claim: &NodeClaim) -> Option<&'a Node> {
        let id = instance_id(claim.provider_id.as_deref()?);
        self.nodes_by_instance.get(id).copied()
    }

    /// The node of the instance.
    pub(crate) fn node_of_instance(&self, id: &str) -> Option<&'a Node> {
        self.nodes_by_instance.get(id).copied()
    }

    /// The node of that name.
    pub(crate) fn node(&self, name: &str) -> Option<&'a Node> {
        self.nodes.get(name).copied()
    }

    /// What AWS told about the claim's instance: what is written on the claim, or what it tells now if that is new or worse.
    pub(crate) fn interruption(&self, claim: &NodeClaim) -> Option<Interruption> {
        let instance = claim.provider_id.as_deref().and_then(|id| self.instance(instance_id(id)));
        let now = instance.filter(|_| claim.launch.is_some()).and_then(|found| found.interruption);
        let news = now.filter(|new| new.outweighs(claim.interruption.as_ref()));
        news.or(claim.interruption)
    }

    /// The pods bound to the node, by name.
    pub(crate) fn pods_of_node(&self, node: &str) -> &[&'a Pod] {
        self.pods_by_node.get(node).map_or(&[], Vec::as_slice)
    }

    /// All instances by id; `None` where AWS was not asked.
    pub(crate) fn instances(&self) -> Option<&BTreeMap<&'a str, &'a Instance>> {
        self.instances.as_ref()
    }

    /// The instance of that id, if AWS tells of it.
    pub(crate) fn instance(&self, id: &str) -> Option<&'a Instance> {
        self.instances.as_ref()?.get(id).copied()
    }

    /// Seconds since the claim was created; none if that is not known.
    pub(crate) fn age_s(&self, claim: &NodeClaim) -> i64 {
        claim.created_at.map_or(0, |at| self.snapshot.now.since(at).0)
    }
}
