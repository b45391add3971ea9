//! Everything that a decision depends on, read at one moment.

use crate::volume::{CsiNode, StorageClass, Volume, VolumeClaim};
use crate::{
    Instance, InstanceType, LabelSelector, Labels, Node, NodeClaim, NodeClass, NodePool, Pod,
    PodSpec, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A daemonset: the load that every fitting new node will carry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonSet {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What its pods need: from a live pod where there is one (admission may have added to the template), else from the template.
    pub spec: Arc<PodSpec>,
}

/// A pod disruption budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodDisruptionBudget {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The pods that it protects.
    pub selector: LabelSelector,
    /// How many of them may be disrupted now.
    pub disruptions_allowed: i32,
    /// Whether pods that are not ready may go whatever the budget says (`unhealthyPodEvictionPolicy: AlwaysAllow`).
    #[serde(default)]
    pub unready_may_go: bool,
}

/// An immutable picture of the cluster and of what AWS offers it. The plan is a function of it alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The moment that it shows.
    pub now: Timestamp,
    /// The region: `us-east-1`.
    pub region: String,
    /// Pods, in any order.
    pub pods: Vec<Pod>,
    /// Nodes, in any order.
    pub nodes: Vec<Node>,
    /// Node claims, in any order.
    pub node_claims: Vec<NodeClaim>,
    /// Node pools, in any order.
    pub node_pools: Vec<NodePool>,
    /// Node classes, in any order.
    pub node_classes: Vec<NodeClass>,
    /// Instance types by the key that pools name.
    pub instance_types: BTreeMap<String, Arc<Vec<InstanceType>>>,
    /// Daemonsets, in any order.
    pub daemon_sets: Vec<DaemonSet>,
    /// Disruption budgets, in any order.
    pub pod_disruption_budgets: Vec<PodDisruptionBudget>,
    /// Volume claims, in any order.
    pub volume_claims: Vec<VolumeClaim>,
    /// Volumes, in any order.
    pub volumes: Vec<Volume>,
    /// Storage classes, in any order.
    pub storage_classes: Vec<StorageClass>,
    /// Attachment limits, in any order.
    pub csi_nodes: Vec<CsiNode>,
    /// Labels of namespaces by name, where they are known.
    pub namespaces: BTreeMap<String, Labels>,
    /// Since when nodes have been without pods of their own, by node name, where that is known.
    pub empty_since: BTreeMap<String, Timestamp>,
    /// Instances that carry the cluster's tag, in any order; `None` where AWS was not asked (dumps).
    #[serde(default)]
    pub instances: Option<Vec<Instance>>,
    /// Volumes attached to nodes, by node name: a node waits for those of its evicted pods before it goes.
    #[serde(default)]
    pub attached_volumes: BTreeMap<String, Vec<String>>,
}
