//! What is read of pods, nodes and claims: a few fields of each, so that a page of pods takes kilobytes and a whole pod is never held.

use crate::board::{Claim, Node, PendingPod, Readiness};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{ApiResource, ClusterResourceScope, NamespaceResourceScope};
use model::labels;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// An object cut down to its identity and to what a knock depends on.
#[derive(Clone, Debug, Deserialize)]
#[serde(bound = "W: Wire", from = "Whole<W>")]
pub(crate) struct Slim<W: Wire> {
    metadata: ObjectMeta,
    /// What a knock depends on; `None` if the object is of no interest.
    pub(crate) kept: Option<W::Kept>,
}

/// The wire form of a kind: the fields that are read, and what is kept of them.
pub(crate) trait Wire: Clone + std::fmt::Debug + 'static {
    /// The fields read of the spec.
    type Spec: DeserializeOwned + Default;
    /// The fields read of the status.
    type Status: DeserializeOwned + Default;
    /// What is kept.
    type Kept: Clone + std::fmt::Debug + Send;
    /// What names the kind and version if they are not fixed.
    type Dynamic: Send + Sync + 'static;
    /// Cluster or namespace.
    type Scope;
    /// What is kept of one object.
    fn keep(metadata: &Metadata, spec: Self::Spec, status: Self::Status) -> Option<Self::Kept>;
    /// Group, version, kind and plural.
    fn names(dynamic: &Self::Dynamic) -> [Cow<'_, str>; 4];
}

/// The part of an object's metadata that is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    creation_timestamp: Option<Timestamp>,
    deletion_timestamp: Option<Timestamp>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<Owner>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Owner {
    kind: String,
}

#[derive(Deserialize)]
#[serde(bound = "W: Wire", default)]
struct Whole<W: Wire> {
    metadata: Metadata,
    spec: W::Spec,
    status: W::Status,
}

impl<W: Wire> Default for Whole<W> {
    fn default() -> Self {
        let (metadata, spec, status) = Default::default();
        Self { metadata, spec, status }
    }
}

impl<W: Wire> From<Whole<W>> for Slim<W> {
    fn from(Whole { mut metadata, spec, status }: Whole<W>) -> Self {
        let kept = W::keep(&metadata, spec, status);
        let metadata = ObjectMeta {
            name: metadata.name.take(),
            namespace: metadata.namespace.take(),
            uid: metadata.uid.take(),
            resource_version: metadata.resource_version.take(),
            ..ObjectMeta::default()
        };
        Self { metadata, kept }
    }
}

impl<W: Wire> kube::Resource for Slim<W> {
    type DynamicType = W::Dynamic;
    type Scope = W::Scope;

    fn kind(dynamic: &W::Dynamic) -> Cow<'_, str> {
        let [_, _, kind, _] = W::names(dynamic);
        kind
    }

    fn group(dynamic: &W::Dynamic) -> Cow<'_, str> {
        let [group, ..] = W::names(dynamic);
        group
    }

    fn version(dynamic: &W::Dynamic) -> Cow<'_, str> {
        let [_, version, ..] = W::names(dynamic);
        version
    }

    fn plural(dynamic: &W::Dynamic) -> Cow<'_, str> {
        let [.., plural] = W::names(dynamic);
        plural
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Metadata {
    fn name(&self) -> String {
        self.name.clone().unwrap_or_default()
    }

    fn label(&self, key: &str) -> bool {
        self.labels.as_ref().is_some_and(|labels| labels.contains_key(key))
    }

    fn owned_by(&self, kind: &str) -> bool {
        self.owner_references.iter().flatten().any(|owner| owner.kind == kind)
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    reason: Option<String>,
    last_transition_time: Option<Timestamp>,
}

/// A pod's fields that say whether a node is wanted for it.
#[derive(Clone, Debug)]
pub(crate) struct PodWire;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodSpec {
    node_name: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodStatus {
    phase: Option<String>,
    nominated_node_name: Option<String>,
    conditions: Option<Vec<Condition>>,
}

impl PodStatus {
    /// The condition by which the kube-scheduler says that it found no node.
    fn unschedulable(&self) -> Option<&Condition> {
        let matches = |condition: &&Condition| {
            condition.kind == "PodScheduled"
                && condition.status == "False"
                && condition.reason.as_deref() == Some("Unschedulable")
        };
        self.conditions.iter().flatten().find(matches)
    }

    /// Whether the pod already has a node, or has one promised by preemption, or needs none any more.
    fn is_settled(&self, spec: &PodSpec) -> bool {
        let given = |name: &Option<String>| name.as_ref().is_some_and(|name| !name.is_empty());
        given(&spec.node_name)
            || given(&self.nominated_node_name)
            || matches!(self.phase.as_deref(), Some("Succeeded" | "Failed"))
    }
}

impl Wire for PodWire {
    type Spec = PodSpec;
    type Status = PodStatus;
    type Kept = PendingPod;
    type Dynamic = ();
    type Scope = NamespaceResourceScope;

    /// A provisionable pod, by the rules of karpenter core's `IsProvisionable`; and one that is being deleted needs no node.
    fn keep(metadata: &Metadata, spec: PodSpec, status: PodStatus) -> Option<PendingPod> {
        let condition = status.unschedulable()?;
        let foreign = metadata.owned_by("DaemonSet") || metadata.owned_by("Node");
        if status.is_settled(&spec) || foreign || metadata.deletion_timestamp.is_some() {
            return None;
        }
        let since = condition.last_transition_time.or(metadata.creation_timestamp);
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        Some(PendingPod {
            since: since.unwrap_or(Timestamp::UNIX_EPOCH),
            name: format!("{namespace}/{}", metadata.name()).into(),
        })
    }

    fn names((): &()) -> [Cow<'_, str>; 4] {
        ["".into(), "v1".into(), "Pod".into(), "pods".into()]
    }
}

/// A node's fields that say how far it has come.
#[derive(Clone, Debug)]
pub(crate) struct NodeWire;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct NodeSpec {
    #[serde(rename = "providerID")]
    provider_id: Option<String>,
    taints: Option<Vec<Taint>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Taint {
    key: String,
    effect: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NodeStatus {
    allocatable: Option<BTreeMap<String, String>>,
    conditions: Option<Vec<Condition>>,
}

impl Wire for NodeWire {
    type Spec = NodeSpec;
    type Status = NodeStatus;
    type Kept = Node;
    type Dynamic = ();
    type Scope = ClusterResourceScope;

    fn keep(metadata: &Metadata, spec: NodeSpec, status: NodeStatus) -> Option<Node> {
        let taints = spec.taints.into_iter().flatten();
        let resources = status.allocatable.into_iter().flatten();
        let is_ready =
            |condition: &Condition| condition.kind == "Ready" && condition.status == "True";
        Some(Node {
            name: metadata.name().into(),
            provider_id: spec.provider_id.filter(|id| !id.is_empty()),
            ours: metadata.label(labels::NODE_POOL) || metadata.label(labels::PROVISIONER_NAME),
            deleting: metadata.deletion_timestamp.is_some(),
            readiness: Readiness {
                ready: status.conditions.iter().flatten().any(is_ready),
                taints: taints.map(|taint| format!("{}:{}", taint.key, taint.effect)).collect(),
                resources: resources
                    .filter(|(_, amount)| amount != "0")
                    .map(|(name, _)| name)
                    .collect::<BTreeSet<_>>(),
            },
        })
    }

    fn names((): &()) -> [Cow<'_, str>; 4] {
        ["".into(), "v1".into(), "Node".into(), "nodes".into()]
    }
}

/// A claim's fields that say which node it waits for.
#[derive(Clone, Debug)]
pub(crate) struct ClaimWire;

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct NoSpec {}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ClaimStatus {
    #[serde(rename = "providerID")]
    provider_id: Option<String>,
    conditions: Option<Vec<Condition>>,
}

impl Wire for ClaimWire {
    type Spec = NoSpec;
    type Status = ClaimStatus;
    type Kept = Claim;
    type Dynamic = ApiResource;
    type Scope = ClusterResourceScope;

    fn keep(metadata: &Metadata, _: NoSpec, status: ClaimStatus) -> Option<Claim> {
        let is_initialized =
            |condition: &Condition| condition.kind == "Initialized" && condition.status == "True";
        Some(Claim {
            name: metadata.name().into(),
            provider_id: status.provider_id.filter(|id| !id.is_empty()),
            initialized: status.conditions.iter().flatten().any(is_initialized),
            deleting: metadata.deletion_timestamp.is_some(),
        })
    }

    fn names(dynamic: &ApiResource) -> [Cow<'_, str>; 4] {
        [
            dynamic.group.as_str().into(),
            dynamic.version.as_str().into(),
            dynamic.kind.as_str().into(),
            dynamic.plural.as_str().into(),
        ]
    }
}

#[cfg(test)]
#[path = "kinds/tests.rs"]
mod tests;
