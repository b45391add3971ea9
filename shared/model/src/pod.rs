//! Pods, as far as a decision about nodes depends on them.

use crate::{LabelSelector, Labels, Requirement, Resources, Timestamp, Toleration};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A pod's namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodId {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

impl PodId {
    /// Whether it names a pod that stands for room that is kept free: no object of Kubernetes is called so.
    pub fn is_virtual(&self) -> bool {
        self.name.contains('~')
    }

    /// An id from its two parts.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for PodId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Serialize for PodId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PodId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let missing = || serde::de::Error::custom(format!("{text:?} is not namespace/name"));
        text.split_once('/').map(|(namespace, name)| Self::new(namespace, name)).ok_or_else(missing)
    }
}

/// The controller that owns a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// The kind: `ReplicaSet`, `DaemonSet`, `Node` (for static pods).
    pub kind: String,
    /// The owner's name.
    pub name: String,
}

/// Where a pod is in its life.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum PodPhase {
    /// Accepted, not all containers started.
    #[default]
    Pending,
    /// Bound and started.
    Running,
    /// All containers ended well.
    Succeeded,
    /// All containers ended, one of them badly.
    Failed,
    /// The node does not answer.
    Unknown,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// Namespace and name.
    pub id: PodId,
    /// The object's UID, empty if the source had none.
    pub uid: String,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// Its labels.
    pub labels: Arc<Labels>,
    /// Its controlling owner.
    pub owner: Option<Owner>,
    /// What it needs; shared between pods that need the same.
    pub spec: Arc<PodSpec>,
    /// The node it is bound to.
    pub node_name: Option<Arc<str>>,
    /// The node the kube-scheduler intends for it after a preemption (`status.nominatedNodeName`).
    pub nominated_node: Option<Arc<str>>,
    /// Its phase.
    pub phase: PodPhase,
    /// Whether the kube-scheduler said that it is unschedulable (`PodScheduled=False`, reason `Unschedulable`).
    pub unschedulable: bool,
    /// Whether it is held back by scheduling gates.
    pub gated: bool,
    /// When its graceful deletion ends, if it is being deleted.
    pub deletion_at: Option<Timestamp>,
    /// Whether `karpenter.sh/do-not-disrupt` (or the legacy `do-not-evict`) is set and in force at the snapshot's `now`.
    pub do_not_disrupt: bool,
    /// The annotation `controller.kubernetes.io/pod-deletion-cost`, zero if it has none.
    pub deletion_cost: i32,
    /// When it was bound, if that is known.
    #[serde(default)]
    pub bound_at: Option<Timestamp>,
    /// Whether its condition `Ready` is true.
    #[serde(default)]
    pub ready: bool,
}

impl Pod {
    /// A pod on no node that the kube-scheduler has given up for now.
    pub fn waiting(id: PodId, labels: Arc<Labels>, spec: Arc<PodSpec>) -> Self {
        Self {
            id,
            uid: String::new(),
            created_at: None,
            labels,
            owner: None,
            spec,
            node_name: None,
            nominated_node: None,
            phase: PodPhase::Pending,
            unschedulable: true,
            gated: false,
            deletion_at: None,
            do_not_disrupt: false,
            deletion_cost: 0,
            bound_at: None,
            ready: false,
        }
    }

    /// Whether a daemonset owns it.
    pub fn is_daemon(&self) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.kind == "DaemonSet")
    }

    /// Whether it stands for room that is kept free: it is planned like others, and never told of or written to.
    pub fn is_virtual(&self) -> bool {
        self.id.is_virtual()
    }

    /// Whether it is a mirror of a static pod, which no scheduler places.
    pub fn is_static(&self) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.kind == "Node")
    }

    /// Whether it has ended and holds nothing any more.
    pub fn is_terminal(&self) -> bool {
        matches!(self.phase, PodPhase::Succeeded | PodPhase::Failed)
    }

    /// Whether Joiner should find a node for it: the kube-scheduler found none, and no daemonset or node controls it.
    pub fn is_provisionable(&self) -> bool {
        let waits = self.node_name.is_none() && self.nominated_node.is_none() && !self.gated;
        waits
            && self.unschedulable
            && self.deletion_at.is_none()
            && !self.is_terminal()
            && !self.is_daemon()
            && !self.is_static()
    }

    /// Whether it would be scheduled anew if its node went: it runs, and no daemonset or node controls it.
    pub fn is_reschedulable(&self) -> bool {
        !self.is_terminal() && self.deletion_at.is_none() && !self.is_daemon() && !self.is_static()
    }
}

/// What a pod needs of a node. Two pods with equal specs and labels are interchangeable to the planner.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PodSpec {
    /// Effective requests: containers, init containers and sidecars by Kubernetes' rule, pod-level resources, overhead; `pods` is 1.
    pub requests: Resources,
    /// `nodeSelector`, sorted.
    pub node_selector: Labels,
    /// Required node affinity: the terms are alternatives; empty means none is required.
    pub node_affinity: Vec<NodeSelectorTerm>,
    /// Preferred node affinity.
    pub preferred_node_affinity: Vec<Weighted<NodeSelectorTerm>>,
    /// Tolerations.
    pub tolerations: Vec<Toleration>,
    /// Topology spread constraints, hard and soft.
    pub topology_spread: Vec<TopologySpread>,
    /// Required pod affinity; all terms must hold.
    pub pod_affinity: Vec<PodAffinityTerm>,
    /// Required pod anti-affinity; all terms must hold.
    pub pod_anti_affinity: Vec<PodAffinityTerm>,
    /// Preferred pod affinity.
    pub preferred_pod_affinity: Vec<Weighted<PodAffinityTerm>>,
    /// Preferred pod anti-affinity.
    pub preferred_pod_anti_affinity: Vec<Weighted<PodAffinityTerm>>,
    /// Host ports of regular containers.
    pub host_ports: Vec<HostPort>,
    /// Volumes that may tie it to a zone or count against a node's attachments.
    pub volumes: Vec<PodVolume>,
    /// Priority, zero if none.
    pub priority: i32,
    /// Seconds between the request to stop and the kill; Kubernetes' default is 30.
    pub termination_grace_period_s: i64,
    /// Whether it asks for dynamic resources (`resourceClaims`).
    pub resource_claims: bool,
    /// The scheduler that places it, empty for the default one.
    pub scheduler_name: String,
}

/// One term of a node affinity: all its requirements must hold. A term without any matches nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeSelectorTerm {
    /// `matchExpressions`.
    pub requirements: Vec<Requirement>,
    /// `matchFields`, of which only `metadata.name` exists.
    pub fields: Vec<Requirement>,
}

impl NodeSelectorTerm {
    /// Whether a node with this name and these labels matches.
    pub fn matches(&self, name: &str, labels: &Labels) -> bool {
        let named = |field: &Requirement| {
            field.key == "metadata.name" && field.value_set().allows(Some(name))
        };
        let some = !(self.requirements.is_empty() && self.fields.is_empty());
        some && self.requirements.iter().all(|requirement| requirement.matches(labels))
            && self.fields.iter().all(named)
    }
}

/// Whether a pod with this selector and one of these terms, if it has any, may be on the node of this name and these labels.
pub fn selects(
    selector: &Labels,
    terms: &[NodeSelectorTerm],
    (name, labels): (&str, &Labels),
) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
        && (terms.is_empty() || terms.iter().any(|term| term.matches(name, labels)))
}

/// Something preferred, with its weight of 1 to 100.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Weighted<T> {
    /// The weight.
    pub weight: i32,
    /// What is preferred.
    pub term: T,
}

/// What happens when a spread constraint cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WhenUnsatisfiable {
    /// The pod waits.
    DoNotSchedule,
    /// The pod is placed all the same.
    ScheduleAnyway,
}

/// Whether nodes that a pod's affinity or tolerations leave out count as domains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum InclusionPolicy {
    /// They do not count.
    Honor,
    /// They count.
    Ignore,
}

/// A topology spread constraint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopologySpread {
    /// How far the fullest domain may be ahead of the emptiest, at least 1.
    pub max_skew: i32,
    /// The node label whose values are the domains.
    pub topology_key: String,
    /// Hard or soft.
    pub when_unsatisfiable: WhenUnsatisfiable,
    /// The pods counted.
    pub selector: LabelSelector,
    /// Fewer domains than this count the emptiest as zero.
    pub min_domains: Option<i32>,
    /// Pod label keys; the pod's own values of them are in the selector already.
    pub match_label_keys: Vec<String>,
    /// `nodeAffinityPolicy`, by default `Honor`.
    pub node_affinity_policy: InclusionPolicy,
    /// `nodeTaintsPolicy`, by default `Ignore`.
    pub node_taints_policy: InclusionPolicy,
}

/// A pod affinity or anti-affinity term.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PodAffinityTerm {
    /// The node label whose values are the domains.
    pub topology_key: String,
    /// The pods meant.
    pub selector: LabelSelector,
    /// Namespaces named; empty together with no selector means the pod's own.
    pub namespaces: Vec<String>,
    /// Selector of namespaces, if there is one.
    pub namespace_selector: Option<LabelSelector>,
}

/// A port that a pod takes on its node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HostPort {
    /// The address; empty, `0.0.0.0` and `::` mean all addresses.
    pub ip: String,
    /// The port.
    pub port: u16,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
}

impl HostPort {
    /// Whether two pods with these ports cannot share a node.
    pub fn conflicts(&self, other: &Self) -> bool {
        let all = |ip: &str| matches!(ip, "" | "0.0.0.0" | "::");
        let same_address = self.ip == other.ip || all(&self.ip) || all(&other.ip);
        self.port == other.port && self.protocol == other.protocol && same_address
    }
}

/// A pod's volume, as far as it restricts nodes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PodVolume {
    /// A persistent volume claim of the pod's namespace, by name.
    Claim(String),
    /// A generic ephemeral volume: its claim is named `<pod>-<volume>`; the storage class, if the template names one.
    Ephemeral {
        /// The volume's name in the pod.
        volume: String,
        /// The storage class named by the template.
        storage_class: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_with_a_slash() {
        let id = PodId::new("shop", "cart-0");
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"shop/cart-0\"");
        assert_eq!(serde_json::from_str::<PodId>("\"shop/cart-0\"").unwrap(), id);
        assert!(serde_json::from_str::<PodId>("\"cart-0\"").is_err());
    }

    #[test]
    fn host_ports_conflict_on_equal_or_unspecified_addresses() {
        let port = |ip: &str, port, protocol: &str| HostPort {
            ip: ip.into(),
            port,
            protocol: protocol.into(),
        };
        let check = |a: &HostPort, b: &HostPort, expected| {
            assert_eq!(a.conflicts(b), expected, "{a:?} {b:?}")
        };
        check(&port("", 80, "TCP"), &port("10.0.0.1", 80, "TCP"), true);
        check(&port("10.0.0.1", 80, "TCP"), &port("10.0.0.2", 80, "TCP"), false);
        check(&port("10.0.0.1", 80, "TCP"), &port("10.0.0.1", 80, "UDP"), false);
        check(&port("", 80, "TCP"), &port("", 81, "TCP"), false);
    }

    #[test]
    fn an_empty_term_matches_no_node() {
        assert!(!NodeSelectorTerm::default().matches("n", &Labels::new()));
    }
}
