//! `NodeClaim`, karpenter.sh/v1 and v1beta1.
//! Source: karpenter core v1 `nodeclaim.go`, `nodeclaim_status.go`.

use crate::conditions::Condition;
use crate::finding::Findings;
use crate::kubelet::KubeletConfiguration;
use crate::label_rules::Dialect;
use crate::metadata::Metadata;
use crate::node_pool::{BetaNodeClassReference, NodeClassReference};
use crate::object::{Decoded, decode};
use crate::requirements::{self, NodeRequirement};
use crate::schema::{QuantityText, object, structural, wire};
use crate::taints::{self, NodeTaint};
use crate::{Object, Reading, kubelet, limits};
use model::{CapacityType, Labels, NodeClaim, labels};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::OnceLock;

wire! {
    /// What a node must have room for.
    ResourceRequests {
        /// Amounts by resource.
        requests: BTreeMap<String, QuantityText>,
    }
}

wire! {
    /// A node asked for. It does not change once written.
    NodeClaimSpec {
        /// Taints of the node.
        taints: Vec<NodeTaint>,
        /// Taints that go once the node is set up.
        startup_taints: Vec<NodeTaint>,
        /// Requirements on the node.
        #[schemars(required, length(max = 100))]
        requirements: Vec<NodeRequirement>,
        /// What it must have room for.
        resources: ResourceRequests,
        /// The node class.
        #[schemars(required)]
        node_class_ref: NodeClassReference,
        /// How long it may take to drain; as long as it needs if unset.
        #[schemars(regex(pattern = r"^([0-9]+(s|m|h))+$"))]
        termination_grace_period: String,
        /// The age at which it is replaced, or Never.
        #[schemars(regex(pattern = r"^(([0-9]+(s|m|h))+|Never)$"), extend("default" = "720h"))]
        expire_after: String,
    }
}

wire! {
    /// A node asked for, as v1beta1 says it.
    BetaNodeClaimSpec {
        /// Taints of the node.
        taints: Vec<NodeTaint>,
        /// Taints that go once the node is set up.
        startup_taints: Vec<NodeTaint>,
        /// Requirements on the node.
        #[schemars(required, length(max = 100))]
        requirements: Vec<NodeRequirement>,
        /// What it must have room for.
        resources: ResourceRequests,
        /// The node class.
        #[schemars(required)]
        node_class_ref: BetaNodeClassReference,
        /// Settings of the kubelet.
        kubelet: KubeletConfiguration,
        /// How long it may take to drain; as long as it needs if unset.
        #[schemars(regex(pattern = r"^([0-9]+(s|m|h))+$"))]
        termination_grace_period: String,
    }
}

wire! {
    /// What is known of a claim.
    NodeClaimStatus {
        /// Its node's name, once it has registered.
        node_name: String,
        /// Its instance: aws:///zone/id.
        #[serde(rename = "providerID")]
        provider_id: String,
        /// Its image.
        #[serde(rename = "imageID")]
        image_id: String,
        /// What it has.
        capacity: BTreeMap<String, QuantityText>,
        /// What pods may use of it.
        allocatable: BTreeMap<String, QuantityText>,
        /// When a pod was last placed on it or removed from it.
        last_pod_event_time: String,
        /// Conditions: Launched, Registered, Initialized and others.
        conditions: Vec<Condition>,
    }
}

/// The schema of the whole object in v1.
pub(crate) fn schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let (spec, status) = (structural::<NodeClaimSpec>(), structural::<NodeClaimStatus>());
        object("A node asked for, arrived or not.", spec, Some(status))
    })
}

/// The schema of the whole object in v1beta1.
pub(crate) fn beta_schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let (spec, status) = (structural::<BetaNodeClaimSpec>(), structural::<NodeClaimStatus>());
        object("A node asked for, arrived or not.", spec, Some(status))
    })
}

/// Reads a NodeClaim of v1.
pub(crate) fn read(value: &Value) -> Reading {
    let mut findings = Findings::default();
    let decoded = decode(schema(), value, &mut findings);
    let claim = decoded.map(|Decoded { metadata, spec, status }| {
        let NodeClaimSpec { taints, startup_taints, requirements, .. } = spec;
        convert(metadata, (taints, startup_taints, requirements), status, &mut findings)
    });
    Reading { objects: claim.into_iter().collect(), findings: findings.into_vec() }
}

/// Reads a NodeClaim of v1beta1.
pub(crate) fn read_beta(value: &Value) -> Reading {
    let mut findings = Findings::default();
    let decoded = decode(beta_schema(), value, &mut findings);
    let claim = decoded.map(|Decoded { metadata, spec, status }| {
        let BetaNodeClaimSpec { taints, startup_taints, requirements, kubelet, .. } = spec;
        kubelet.map(|wire| kubelet::read(wire, "spec.kubelet", &mut findings));
        convert(metadata, (taints, startup_taints, requirements), status, &mut findings)
    });
    Reading { objects: claim.into_iter().collect(), findings: findings.into_vec() }
}

/// Taints, startup taints and requirements.
type Wanted = (Option<Vec<NodeTaint>>, Option<Vec<NodeTaint>>, Option<Vec<NodeRequirement>>);

fn convert(
    metadata: Metadata,
    (taints, startup_taints, given): Wanted,
    status: NodeClaimStatus,
    findings: &mut Findings,
) -> Object {
    let (taints, _) = taints::read(
        taints.unwrap_or_default(),
        startup_taints.unwrap_or_default(),
        "spec",
        findings,
    );
    let given = given.unwrap_or_default();
    let required = requirements::read(given, Dialect::Claim, "spec.requirements", findings);
    let all = labels_of(&metadata.labels, &required);
    let label = |key: &str| all.get(key).cloned();
    let pool = label(labels::NODE_POOL).or_else(|| label(labels::PROVISIONER_NAME));
    Object::NodeClaim(NodeClaim {
        nominated: Vec::new(),
        name: metadata.name.into(),
        pool: pool.unwrap_or_default(),
        node_name: status.node_name.filter(|name| !name.is_empty()).map(Into::into),
        provider_id: status.provider_id.filter(|id| !id.is_empty()),
        instance_type: label(labels::INSTANCE_TYPE),
        zone: label(labels::ZONE),
        capacity_type: label(labels::CAPACITY_TYPE).and_then(|text| CapacityType::parse(&text)),
        labels: all,
        taints,
        allocatable: limits::resources(&status.allocatable.unwrap_or_default()),
        capacity: limits::resources(&status.capacity.unwrap_or_default()),
        price: None,
        created_at: metadata.created_at,
        deleting: metadata.deleting,
        ..NodeClaim::default()
    })
}

/// The labels that follow from requirements with one value, and over them the claim's own.
fn labels_of(own: &Labels, required: &requirements::Read) -> Labels {
    let requirements = required.requirements();
    let single = |(key, set): (&str, &model::ValueSet)| {
        set.single().map(|value| (key.to_owned(), value.to_owned()))
    };
    let mut all: Labels = requirements.iter().filter_map(single).collect();
    all.extend(own.iter().map(|(key, value)| (labels::normalize(key).to_owned(), value.clone())));
    all
}
