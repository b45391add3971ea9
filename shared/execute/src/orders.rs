//! What a plan is carried out with.

use model::node_class::{ClusterFacts, KubeletSettings, ResolvedNodeClass};
use model::{NodeClaim, NodePool, Snapshot};
use std::collections::BTreeMap;

/// The snapshot that the plan was made for, and what launches need beside it.
#[derive(Clone, Copy, Debug)]
pub struct Orders<'a> {
    /// The snapshot.
    pub snapshot: &'a Snapshot,
    /// Node classes by name.
    pub classes: &'a BTreeMap<String, ResolvedNodeClass>,
    /// Kubelet settings of pools that hold them, by pool.
    pub pool_kubelets: &'a BTreeMap<String, KubeletSettings>,
    /// Pools and node classes as they were read, whose status is kept.
    pub objects: &'a [serde_json::Value],
    /// The cluster.
    pub cluster: &'a ClusterFacts,
    /// Names this turn: unique among turns, at most 40 characters of `a-z`, `0-9` and `-`.
    pub turn: &'a str,
}

impl<'a> Orders<'a> {
    /// The pool of that name.
    pub(crate) fn pool(&self, name: &str) -> Option<&'a NodePool> {
        self.snapshot.node_pools.iter().find(|pool| pool.name == name)
    }

    /// The claim of that name.
    pub(crate) fn claim(&self, name: &str) -> Option<&'a NodeClaim> {
        self.snapshot.node_claims.iter().find(|claim| &*claim.name == name)
    }

    /// The claim whose node this is.
    pub(crate) fn claim_of_node(&self, node: &str) -> Option<&'a NodeClaim> {
        let known = self.snapshot.nodes.iter().find(|known| &*known.name == node);
        let id = known.map(|node| node.provider_id.as_str()).filter(|id| !id.is_empty());
        let own = |claim: &&NodeClaim| {
            claim.node_name.as_deref() == Some(node)
                || (id.is_some() && claim.provider_id.as_deref() == id)
        };
        self.snapshot.node_claims.iter().find(own)
    }

    /// This moment, as Kubernetes writes it.
    pub(crate) fn now(&self) -> String {
        jiff::Timestamp::from_second(self.snapshot.now.0).unwrap_or_default().to_string()
    }
}
