//! `NodePool`, karpenter.sh/v1 and v1beta1.
//! Sources: karpenter core v1 and v1beta1 `nodepool.go`, `nodeclaim.go`.

use crate::conditions::{Condition, not_ready};
use crate::disruption::{self, BetaDisruptionRules, DisruptionRules, span_or_never};
use crate::finding::{Findings, field};
use crate::kubelet::{self, KubeletConfiguration};
use crate::label_rules::{self, Dialect};
use crate::object::{Decoded, decode};
use crate::requirements::{self, NodeRequirement};
use crate::schema::{QuantityText, object, structural, wire};
use crate::taints::{self, NodeTaint};
use crate::{Object, Reading, limits, pool_annotations};
use model::NodePool;
use model::pool::ApiVersion;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::OnceLock;

wire! {
    /// Labels and annotations of a pool's nodes.
    TemplateMetadata {
        /// Labels of the nodes.
        #[schemars(extend("maxProperties" = 100))]
        labels: BTreeMap<String, String>,
        /// Annotations of the nodes.
        annotations: BTreeMap<String, String>,
    }
}

wire! {
    /// Which node class nodes are made by.
    NodeClassReference {
        /// The class's API group: karpenter.k8s.aws.
        #[schemars(required, length(min = 1))]
        group: String,
        /// The class's kind: EC2NodeClass.
        #[schemars(required, length(min = 1))]
        kind: String,
        /// The class's name.
        #[schemars(required, length(min = 1))]
        name: String,
    }
}

wire! {
    /// Which node class nodes are made by, as v1beta1 says it.
    BetaNodeClassReference {
        /// The class's API version.
        api_version: String,
        /// The class's kind: EC2NodeClass.
        kind: String,
        /// The class's name.
        #[schemars(required, length(min = 1))]
        name: String,
    }
}

wire! {
    /// What a pool's nodes are.
    TemplateSpec {
        /// Requirements on the nodes.
        #[schemars(required, length(max = 100))]
        requirements: Vec<NodeRequirement>,
        /// Taints of the nodes.
        taints: Vec<NodeTaint>,
        /// Taints that go once a node is set up; pods need not tolerate them.
        startup_taints: Vec<NodeTaint>,
        /// The node class.
        #[schemars(required)]
        node_class_ref: NodeClassReference,
        /// The age at which nodes are replaced, or Never.
        #[schemars(regex(pattern = r"^(([0-9]+(s|m|h))+|Never)$"), extend("default" = "720h"))]
        expire_after: String,
        /// How long a node may take to drain; as long as it needs if unset.
        #[schemars(regex(pattern = r"^([0-9]+(s|m|h))+$"))]
        termination_grace_period: String,
    }
}

wire! {
    /// What a pool's nodes are, as v1beta1 says it.
    BetaTemplateSpec {
        /// Requirements on the nodes.
        #[schemars(required, length(max = 100))]
        requirements: Vec<NodeRequirement>,
        /// Taints of the nodes.
        taints: Vec<NodeTaint>,
        /// Taints that go once a node is set up; pods need not tolerate them.
        startup_taints: Vec<NodeTaint>,
        /// The node class.
        #[schemars(required)]
        node_class_ref: BetaNodeClassReference,
        /// Settings of the kubelet.
        kubelet: KubeletConfiguration,
        /// How long a node may take to drain; as long as it needs if unset.
        #[schemars(regex(pattern = r"^([0-9]+(s|m|h))+$"))]
        termination_grace_period: String,
    }
}

wire! {
    /// What a pool's nodes are made from.
    Template {
        /// Labels and annotations of the nodes.
        metadata: TemplateMetadata,
        /// What the nodes are.
        #[schemars(required)]
        spec: TemplateSpec,
    }
}

wire! {
    /// What a pool's nodes are made from, as v1beta1 says it.
    BetaTemplate {
        /// Labels and annotations of the nodes.
        metadata: TemplateMetadata,
        /// What the nodes are.
        #[schemars(required)]
        spec: BetaTemplateSpec,
    }
}

wire! {
    /// A pool of nodes.
    NodePoolSpec {
        /// What the nodes are made from.
        #[schemars(required)]
        template: Template,
        /// When nodes may be removed or replaced.
        #[schemars(extend("default" = {}))]
        disruption: DisruptionRules,
        /// The most that the nodes may have together; nodes counts them.
        limits: BTreeMap<String, QuantityText>,
        /// Pools of a higher weight are tried first; 0 if unset.
        #[schemars(range(min = 1, max = 100))]
        weight: i32,
        /// A fixed number of nodes, which pending pods do not change.
        #[schemars(range(min = 0))]
        replicas: i64,
    }
}

wire! {
    /// A pool of nodes, as v1beta1 says it.
    BetaNodePoolSpec {
        /// What the nodes are made from.
        #[schemars(required)]
        template: BetaTemplate,
        /// When nodes may be removed or replaced.
        #[schemars(extend("default" = {}))]
        disruption: BetaDisruptionRules,
        /// The most that the nodes may have together; nodes counts them.
        limits: BTreeMap<String, QuantityText>,
        /// Pools of a higher weight are tried first; 0 if unset.
        #[schemars(range(min = 1, max = 100))]
        weight: i32,
    }
}

wire! {
    /// What is known of a pool.
    NodePoolStatus {
        /// What its nodes have together.
        resources: BTreeMap<String, QuantityText>,
        /// How many nodes it has.
        nodes: i64,
        /// The generation of the node class that was last looked at.
        node_class_observed_generation: i64,
        /// Conditions: ValidationSucceeded, NodeClassReady, NodeRegistrationHealthy, Ready.
        conditions: Vec<Condition>,
    }
}

/// The schema of the whole object in v1.
pub(crate) fn schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let (spec, status) = (structural::<NodePoolSpec>(), structural::<NodePoolStatus>());
        object("The nodes that may be made for pending pods.", spec, Some(status))
    })
}

/// The schema of the whole object in v1beta1.
pub(crate) fn beta_schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let (spec, status) = (structural::<BetaNodePoolSpec>(), structural::<NodePoolStatus>());
        object("The nodes that may be made for pending pods.", spec, Some(status))
    })
}

/// Reads a NodePool of v1.
pub(crate) fn read(value: &Value) -> Reading {
    let mut findings = Findings::default();
    let decoded = decode(schema(), value, &mut findings);
    let pool = decoded.map(|pool| convert(pool, ApiVersion::V1, &mut findings));
    Reading {
        objects: pool.map(Object::NodePool).into_iter().collect(),
        findings: findings.into_vec(),
    }
}

/// Reads a NodePool of v1beta1.
pub(crate) fn read_beta(value: &Value) -> Reading {
    let mut findings = Findings::default();
    let decoded = decode(beta_schema(), value, &mut findings);
    let pool = decoded.map(|pool| convert_beta(pool, &mut findings));
    Reading {
        objects: pool.map(Object::NodePool).into_iter().collect(),
        findings: findings.into_vec(),
    }
}

/// Says a v1beta1 pool as v1 does; only the kubelet's settings stay apart.
fn convert_beta(
    pool: Decoded<BetaNodePoolSpec, NodePoolStatus>,
    findings: &mut Findings,
) -> NodePool {
    let Decoded { metadata, spec, status } = pool;
    let template = spec.template.unwrap_or_default();
    let nodes = template.spec.unwrap_or_default();
    let kubelet = nodes.kubelet;
    let rules = spec.disruption.unwrap_or_default();
    let nodes = TemplateSpec {
        requirements: nodes.requirements,
        taints: nodes.taints,
        startup_taints: nodes.startup_taints,
        node_class_ref: nodes.node_class_ref.map(modernize_reference),
        expire_after: rules.expire_after.clone(),
        termination_grace_period: nodes.termination_grace_period,
    };
    let spec = NodePoolSpec {
        template: Some(Template { metadata: template.metadata, spec: Some(nodes) }),
        disruption: Some(disruption::modernize(rules, findings)),
        limits: spec.limits,
        weight: spec.weight,
        replicas: None,
    };
    let read_kubelet = |wire| kubelet::read(wire, "spec.template.spec.kubelet", findings);
    let kubelet = kubelet.map(read_kubelet);
    let pool = convert(Decoded { metadata, spec, status }, ApiVersion::V1Beta1, findings);
    NodePool { kubelet, ..pool }
}

/// Group and kind may be left out in v1beta1.
pub(crate) fn modernize_reference(beta: BetaNodeClassReference) -> NodeClassReference {
    let version = beta.api_version.filter(|version| !version.is_empty());
    let group = version.map_or_else(
        || CLASS_GROUP.to_owned(),
        |version| version.split_once('/').map_or("", |(group, _)| group).to_owned(),
    );
    let kind = beta.kind.filter(|kind| !kind.is_empty());
    NodeClassReference {
        group: Some(group),
        kind: kind.or_else(|| Some(CLASS_KIND.to_owned())),
        name: beta.name,
    }
}

const CLASS_GROUP: &str = "karpenter.k8s.aws";
const CLASS_KIND: &str = "EC2NodeClass";
const NODES: &str = "spec.template.spec";

fn convert(
    pool: Decoded<NodePoolSpec, NodePoolStatus>,
    api_version: ApiVersion,
    findings: &mut Findings,
) -> NodePool {
    let Decoded { metadata, spec, status } = pool;
    label_rules::check_pool_name(&metadata.name, findings);
    check_static(&spec, findings);
    let template = spec.template.unwrap_or_default();
    let TemplateMetadata { labels, annotations } = template.metadata.unwrap_or_default();
    let nodes = template.spec.unwrap_or_default();
    let at = |name: &str| field(NODES, name);
    let given = nodes.requirements.unwrap_or_default();
    let required = requirements::read(given, Dialect::Modern, &at("requirements"), findings);
    let startup_taints = nodes.startup_taints.unwrap_or_default();
    let (taints, startup_taints) =
        taints::read(nodes.taints.unwrap_or_default(), startup_taints, NODES, findings);
    let reference = nodes.node_class_ref.unwrap_or_default();
    let foreign = foreign_class(&reference, &at("nodeClassRef"), findings);
    let span = |text: Option<String>, name: &str, findings: &mut Findings| {
        text.and_then(|text| span_or_never(&text, &at(name), findings))
    };
    let labels_path = "spec.template.metadata.labels";
    let mut rules = disruption::read(spec.disruption.unwrap_or_default(), findings);
    pool_annotations::read(&metadata.annotations, &mut rules, findings);
    let spot_premium = pool_annotations::spot_premium(&metadata.annotations, findings);
    let on_demand_percent = pool_annotations::on_demand_percent(&metadata.annotations, findings);
    let pool = NodePool {
        name: metadata.name,
        uid: metadata.uid,
        hash: None,
        api_version,
        weight: spec.weight.unwrap_or(0),
        node_class: reference.name.unwrap_or_default(),
        labels: label_rules::read(labels.as_ref(), Dialect::Modern, labels_path, findings),
        annotations: annotations.unwrap_or_default(),
        requirements: required.requirements(),
        min_values: required.min_values,
        taints,
        startup_taints,
        limits: limits::resources(&spec.limits.unwrap_or_default()),
        expire_after: span(nodes.expire_after, "expireAfter", findings),
        termination_grace_period: span(
            nodes.termination_grace_period,
            "terminationGracePeriod",
            findings,
        ),
        disruption: rules,
        spot_premium,
        on_demand_percent,
        replicas: spec.replicas.map(|replicas| u32::try_from(replicas).unwrap_or(u32::MAX)),
        kubelet: None,
        instance_types: String::new(),
        problem: None,
    };
    let problem = findings.problem().or(foreign).or_else(|| not_ready(status.conditions.as_ref()));
    NodePool { problem, ..pool }
}

/// Classes of other providers are valid objects, but not ours to make nodes by.
fn foreign_class(
    reference: &NodeClassReference,
    path: &str,
    findings: &mut Findings,
) -> Option<String> {
    let group = reference.group.as_deref().filter(|group| !group.is_empty())?;
    let kind = reference.kind.as_deref().filter(|kind| !kind.is_empty())?;
    if (group, kind) == (CLASS_GROUP, CLASS_KIND) {
        return None;
    }
    let message = format!(
        "the node class is {kind} of {group:?}, which Joiner does not know; it reads {CLASS_KIND} of {CLASS_GROUP}"
    );
    findings.warning("node-class-kind", path, message.clone());
    Some(format!("{path}: {message}"))
}

/// A pool with a fixed number of nodes has no weight, and no limit but their number.
fn check_static(spec: &NodePoolSpec, findings: &mut Findings) {
    if spec.replicas.is_none() {
        return;
    }
    const RULE: &str = "static-pool";
    findings.require(spec.weight.is_none(), RULE, "spec.weight", "may not stand beside replicas");
    for name in spec.limits.iter().flatten().map(|(name, _)| name) {
        let path = field("spec.limits", name);
        let message = "may not stand beside replicas; only limits.nodes may";
        findings.require(name == model::resources::NODES, RULE, &path, message);
    }
}
