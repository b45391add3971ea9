//! What a turn sees.

use model::Snapshot;
use model::node_class::{ClusterFacts, KubeletSettings, ResolvedNodeClass};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

/// Everything that was read for one turn.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// What decisions depend on.
    pub snapshot: Arc<Snapshot>,
    /// Node classes by name.
    pub classes: BTreeMap<String, ResolvedNodeClass>,
    /// Kubelet settings of pools that hold them.
    pub pool_kubelets: BTreeMap<String, KubeletSettings>,
    /// Pools and node classes as they were read.
    pub objects: Vec<serde_json::Value>,
    /// The cluster.
    pub cluster: ClusterFacts,
    /// What is odd, for the log.
    pub findings: Vec<String>,
    /// What could not be read and stands for itself from an earlier time.
    pub stale: Vec<String>,
    /// Calls and bytes, by source.
    pub traffic: BTreeMap<&'static str, Traffic>,
}

/// How much was asked and answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Traffic {
    /// API calls.
    pub calls: u64,
    /// Bytes of answers, as they came over the wire where that is known.
    pub bytes: u64,
}

/// Why nothing can be decided: claims, nodes, pods or instances could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing is decided this turn: {0}")]
pub struct ObserveError(pub String);

/// Reads the world.
pub trait Observe: Send {
    /// Reads it once.
    fn observe(&mut self) -> impl Future<Output = Result<Observed, ObserveError>> + Send;
}
