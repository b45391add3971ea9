//! `NodeClaim`, karpenter.sh/v1 and v1beta1.
//! Source: karpenter core v1 `nodeclaim.go`, `nodeclaim_status.go`.

use crate::conditions::Condition;
use crate::disruption::span_or_never;
use crate::finding::{Findings, field};
use crate::kubelet::KubeletConfiguration;
use crate::label_rules::Dialect;
use crate::metadata::Metadata;
use crate::node_pool::{BetaNodeClassReference, NodeClassReference};
use crate::object::{Decoded, decode};
use crate::requirements::{self, NodeRequirement};
use crate::schema::{QuantityText, object, structural, wire};
use crate::taints::{self, NodeTaint};
use crate::{Object, Reading, duration, kubelet, limits};
use model::claim::Progress;
use model::{CapacityType, Labels, LaunchRequest, NodeClaim, labels};
use serde::de::DeserializeOwned;
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
    let decoded = decode::<NodeClaimSpec, _>(schema(), value, &mut findings);
    let claim = decoded.map(|Decoded { metadata, spec, status }| {
        let wanted = Wanted {
            taints: spec.taints,
            startup_taints: spec.startup_taints,
            requirements: spec.requirements,
            node_class: spec.node_class_ref.and_then(|class| class.name),
            termination_grace_period: spec.termination_grace_period,
            expire_after: spec.expire_after,
        };
        convert(metadata, wanted, status, &mut findings)
    });
    Reading { objects: claim.into_iter().collect(), findings: findings.into_vec() }
}

/// Reads a NodeClaim of v1beta1.
pub(crate) fn read_beta(value: &Value) -> Reading {
    let mut findings = Findings::default();
    let decoded = decode::<BetaNodeClaimSpec, _>(beta_schema(), value, &mut findings);
    let claim = decoded.map(|Decoded { metadata, spec, status }| {
        spec.kubelet.map(|wire| kubelet::read(wire, "spec.kubelet", &mut findings));
        let wanted = Wanted {
            taints: spec.taints,
            startup_taints: spec.startup_taints,
            requirements: spec.requirements,
            node_class: spec.node_class_ref.and_then(|class| class.name),
            termination_grace_period: spec.termination_grace_period,
            // In v1beta1 the pool alone says when nodes expire.
            expire_after: None,
        };
        convert(metadata, wanted, status, &mut findings)
    });
    Reading { objects: claim.into_iter().collect(), findings: findings.into_vec() }
}

/// What the spec asks for, in either version.
struct Wanted {
    taints: Option<Vec<NodeTaint>>,
    startup_taints: Option<Vec<NodeTaint>>,
    requirements: Option<Vec<NodeRequirement>>,
    node_class: Option<String>,
    termination_grace_period: Option<String>,
    expire_after: Option<String>,
}

fn convert(
    metadata: Metadata,
    wanted: Wanted,
    status: NodeClaimStatus,
    findings: &mut Findings,
) -> Object {
    let (taints, startup_taints) = taints::read(
        wanted.taints.unwrap_or_default(),
        wanted.startup_taints.unwrap_or_default(),
        "spec",
        findings,
    );
    let given = wanted.requirements.unwrap_or_default();
    let required = requirements::read(given, Dialect::Claim, "spec.requirements", findings);
    let launch = launch(&metadata.annotations, findings);
    let bought = status.provider_id.as_ref().is_some_and(|id| !id.is_empty());
    let planned = launch.as_ref().and_then(|launch| launch.offerings.first());
    let all = labels_of(&metadata.labels, &required);
    let label = |key: &str| all.get(key).cloned();
    let pool = label(labels::NODE_POOL).or_else(|| label(labels::PROVISIONER_NAME));
    let told = label(labels::CAPACITY_TYPE).and_then(|text| CapacityType::parse(&text));
    Object::NodeClaim(NodeClaim {
        pool: pool.unwrap_or_default(),
        instance_type: label(labels::INSTANCE_TYPE)
            .or_else(|| planned.map(|offering| offering.instance_type.clone())),
        zone: label(labels::ZONE).or_else(|| planned.map(|offering| offering.zone.clone())),
        capacity_type: told.or_else(|| planned.map(|offering| offering.capacity_type)),
        nominated: launch.as_ref().map(|launch| launch.pods.clone()).unwrap_or_default(),
        launch: launch.map(|launch| if bought { past(launch) } else { launch }),
        name: metadata.name.into(),
        uid: metadata.uid,
        node_class: wanted.node_class.unwrap_or_default(),
        node_name: status.node_name.filter(|name| !name.is_empty()).map(Into::into),
        provider_id: status.provider_id.filter(|id| !id.is_empty()),
        labels: all,
        taints,
        startup_taints,
        allocatable: limits::resources(&status.allocatable.unwrap_or_default()),
        capacity: limits::resources(&status.capacity.unwrap_or_default()),
        price: None,
        progress: progress(&status.conditions.unwrap_or_default()),
        created_at: metadata.created_at,
        deleting: metadata.deleting,
        deletion_at: metadata.deletion_at,
        finalizer: metadata.finalizer,
        termination_grace_period: wanted
            .termination_grace_period
            .and_then(|text| duration::parse(&text)),
        expire_after: wanted
            .expire_after
            .and_then(|text| span_or_never(&text, "spec.expireAfter", findings)),
        ..of_annotations(&metadata.annotations, findings)
    })
}

/// What annotations tell of a claim's way out, and of what it was made by.
fn of_annotations(annotations: &Labels, findings: &mut Findings) -> NodeClaim {
    let asked_again = "what AWS told is found again when it is asked";
    let not_begun = "the disruption counts as not begun";
    NodeClaim {
        interruption: written(annotations, labels::INTERRUPTION, asked_again, findings),
        disruption: written(annotations, labels::DISRUPTION, not_begun, findings),
        pool_hash: hash(annotations, labels::NODE_POOL_HASH, labels::NODE_POOL_HASH_VERSION),
        class_hash: hash(annotations, labels::NODE_CLASS_HASH, labels::NODE_CLASS_HASH_VERSION),
        ..NodeClaim::default()
    }
}

/// What is still needed of a request whose instance was bought: thousands of claims are kept in memory.
fn past(launch: LaunchRequest) -> LaunchRequest {
    LaunchRequest { offerings: Vec::new(), pods: Vec::new(), ..launch }
}

/// The launch request that Joiner wrote on the claim before it bought anything.
fn launch(annotations: &Labels, findings: &mut Findings) -> Option<LaunchRequest> {
    let otherwise =
        "the claim counts as one that Joiner did not launch, delete it if it has no instance";
    written(annotations, labels::LAUNCH, otherwise, findings)
}

/// What Joiner wrote on the claim as JSON; what cannot be read is told, with what happens otherwise.
fn written<T: DeserializeOwned>(
    annotations: &Labels,
    key: &str,
    otherwise: &str,
    findings: &mut Findings,
) -> Option<T> {
    match serde_json::from_str(annotations.get(key)?) {
        Ok(read) => Some(read),
        Err(error) => {
            let path = field("metadata.annotations", key);
            let message = format!("cannot be read: {error}; {otherwise}");
            findings.warning("claim-annotation", &path, message);
            None
        }
    }
}

/// `version/hash`, where both are known.
fn hash(annotations: &Labels, hash: &str, version: &str) -> Option<String> {
    let told = |key| annotations.get(key).filter(|text| !text.is_empty());
    Some(format!("{}/{}", told(version)?, told(hash)?))
}

fn progress(conditions: &[Condition]) -> Progress {
    let holds = |kind: &str| {
        let of_kind = |condition: &&Condition| condition.kind.as_deref() == Some(kind);
        let condition = conditions.iter().find(of_kind);
        condition.is_some_and(|condition| condition.status.as_deref() == Some("True"))
    };
    Progress {
        launched: holds("Launched"),
        registered: holds("Registered"),
        initialized: holds("Initialized"),
    }
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
