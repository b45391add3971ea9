//! `Provisioner`, karpenter.sh/v1alpha5: the legacy node pool.
//! Sources: karpenter core v0.31 `provisioner.go`, `provisioner_validation.go`; defaults: karpenter-provider-aws v0.31 webhook.

use crate::conditions::Condition;
use crate::finding::{Findings, field};
use crate::kubelet::{self, KubeletConfiguration};
use crate::label_rules::{self, Dialect};
use crate::object::{Decoded, decode};
use crate::requirements::{self, LegacyRequirement};
use crate::schema::{OpenObject, QuantityText, object, structural, wire};
use crate::taints::{self, LegacyTaint};
use crate::{Object, Reading, aws_node_template, limits, pool_annotations};
use model::pool::{ApiVersion, Budget, ConsolidationPolicy, Disruption};
use model::{Duration, NodePool, Operator, Requirement, labels};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::OnceLock;

wire! {
    /// Which node template a Provisioner uses.
    ProviderRef {
        /// The template's kind: AWSNodeTemplate.
        kind: String,
        /// The template's name.
        #[schemars(required, length(min = 1))]
        name: String,
        /// The template's API version.
        api_version: String,
    }
}

wire! {
    /// The most that a Provisioner's nodes may have together.
    Limits {
        /// Amounts by resource.
        resources: BTreeMap<String, QuantityText>,
    }
}

wire! {
    /// Whether nodes are removed or replaced to save money.
    Consolidation {
        /// Whether they are; not if unset.
        enabled: bool,
    }
}

wire! {
    /// The nodes that a Provisioner makes.
    ProvisionerSpec {
        /// Annotations of the nodes.
        annotations: BTreeMap<String, String>,
        /// Labels of the nodes.
        labels: BTreeMap<String, String>,
        /// Taints of the nodes.
        taints: Vec<LegacyTaint>,
        /// Taints that go once a node is set up; pods need not tolerate them.
        startup_taints: Vec<LegacyTaint>,
        /// Requirements on the nodes.
        requirements: Vec<LegacyRequirement>,
        /// Settings of the kubelet.
        kubelet_configuration: KubeletConfiguration,
        /// Settings of AWS, in place of providerRef. Deprecated.
        provider: OpenObject,
        /// The node template, in place of provider.
        provider_ref: ProviderRef,
        /// Seconds after which an empty node is removed; never if unset. Excludes consolidation.
        #[schemars(range(min = 0))]
        ttl_seconds_after_empty: i64,
        /// Seconds after which a node is replaced; never if unset.
        #[schemars(range(min = 0))]
        ttl_seconds_until_expired: i64,
        /// The most that the nodes may have together; no bound if unset.
        limits: Limits,
        /// Provisioners of a higher weight are tried first; 0 if unset.
        #[schemars(range(min = 1, max = 100))]
        weight: i32,
        /// Whether nodes are removed or replaced to save money.
        consolidation: Consolidation,
    }
}

wire! {
    /// What is known of a Provisioner.
    ProvisionerStatus {
        /// When it last made a node.
        last_scale_time: String,
        /// Conditions: Active.
        conditions: Vec<Condition>,
        /// What its nodes have together.
        resources: BTreeMap<String, QuantityText>,
    }
}

/// The schema of the whole object.
pub(crate) fn schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let mut spec = structural::<ProvisionerSpec>();
        kubelet::add_container_runtime(&mut spec["properties"]["kubeletConfiguration"]);
        let status = structural::<ProvisionerStatus>();
        object(
            "The nodes that may be made for pending pods. Legacy: see NodePool.",
            spec,
            Some(status),
        )
    })
}

/// Reads a Provisioner; with inline `provider` settings its node class too.
pub(crate) fn read(value: &Value) -> Reading {
    let mut findings = Findings::default();
    let decoded = decode(schema(), value, &mut findings);
    let objects = decoded.map(|decoded| convert(decoded, &mut findings)).unwrap_or_default();
    Reading { objects, findings: findings.into_vec() }
}

type Provisioner = Decoded<ProvisionerSpec, ProvisionerStatus>;

fn convert(provisioner: Provisioner, findings: &mut Findings) -> Vec<Object> {
    let Decoded { metadata, spec, status: _ } = provisioner;
    label_rules::check_pool_name(&metadata.name, findings);
    let (node_class, inline) = provider(&spec, &metadata.name, findings);
    let given = spec.requirements.unwrap_or_default().into_iter().map(Into::into).collect();
    let mut required = requirements::read(given, Dialect::Legacy, "spec.requirements", findings);
    add_defaults(&mut required);
    let each = |list: Option<Vec<LegacyTaint>>| {
        list.unwrap_or_default().into_iter().map(Into::into).collect()
    };
    let (taints, startup_taints) =
        taints::read(each(spec.taints), each(spec.startup_taints), "spec", findings);
    let mut rules = disruption(spec.ttl_seconds_after_empty, spec.consolidation.as_ref(), findings);
    pool_annotations::read(&metadata.annotations, &mut rules, findings);
    let spot_premium = pool_annotations::spot_premium(&metadata.annotations, findings);
    let on_demand_percent = pool_annotations::on_demand_percent(&metadata.annotations, findings);
    let resources = spec.limits.and_then(|limits| limits.resources).unwrap_or_default();
    let pool = NodePool {
        labels: label_rules::read(spec.labels.as_ref(), Dialect::Legacy, "spec.labels", findings),
        kubelet: spec
            .kubelet_configuration
            .map(|wire| kubelet::read(wire, "spec.kubeletConfiguration", findings)),
        name: metadata.name,
        uid: metadata.uid,
        hash: None,
        api_version: ApiVersion::Legacy,
        weight: spec.weight.unwrap_or(0),
        node_class,
        annotations: spec.annotations.unwrap_or_default(),
        requirements: required.requirements(),
        min_values: Vec::new(),
        taints,
        startup_taints,
        limits: limits::resources(&resources),
        expire_after: spec.ttl_seconds_until_expired.map(Duration),
        termination_grace_period: None,
        disruption: rules,
        spot_premium,
        on_demand_percent,
        replicas: None,
        instance_types: String::new(),
        problem: findings.problem(),
    };
    std::iter::once(Object::NodePool(pool)).chain(inline).collect()
}

/// The node class's name, and the class itself if it stands inline.
/// An inline class is named after the pool with a slash, which no object's name can have.
fn provider(
    spec: &ProvisionerSpec,
    name: &str,
    findings: &mut Findings,
) -> (String, Option<Object>) {
    const RULE: &str = "provider-or-provider-ref";
    match (&spec.provider, &spec.provider_ref) {
        (Some(_), Some(_)) => findings.error(
            RULE,
            "spec.provider",
            "may not stand beside providerRef; keep one of them",
        ),
        (None, None) => {
            findings.error(RULE, "spec.providerRef", "must be given: name an AWSNodeTemplate");
        }
        _ => {}
    }
    if let Some(reference) = &spec.provider_ref {
        check_reference(reference, findings);
        return (reference.name.clone().unwrap_or_default(), None);
    }
    let Some(OpenObject(settings)) = &spec.provider else { return (String::new(), None) };
    let class_name = format!("provisioner/{name}");
    let class = aws_node_template::read_inline(settings, &class_name, "spec.provider", findings);
    (class_name, Some(Object::NodeClass(class)))
}

fn check_reference(reference: &ProviderRef, findings: &mut Findings) {
    let kind = reference.kind.as_deref().unwrap_or("AWSNodeTemplate");
    let message = format!("{kind:?} is no kind of node template; write AWSNodeTemplate");
    let path = field("spec.providerRef", "kind");
    findings.require(
        kind.is_empty() || kind == "AWSNodeTemplate",
        "provider-kind",
        &path,
        &message,
    );
}

/// The requirements that the legacy webhook of karpenter-provider-aws adds where the key is absent.
pub(crate) fn defaults(has_key: impl Fn(&str) -> bool) -> Vec<Requirement> {
    let instance = |name: &str| format!("{}{name}", labels::INSTANCE_LABEL_PREFIX);
    let chosen = has_key(labels::INSTANCE_TYPE)
        || ["instance-family", "instance-category", "instance-generation"]
            .iter()
            .any(|name| has_key(&instance(name)));
    let plain =
        [(labels::OS, "linux"), (labels::ARCH, "amd64"), (labels::CAPACITY_TYPE, "on-demand")];
    let absent = plain.into_iter().filter(|(key, _)| !has_key(key));
    let mut list =
        absent.map(|(key, value)| Requirement::new(key, Operator::In, [value])).collect::<Vec<_>>();
    if !chosen {
        let category = instance("instance-category");
        list.push(Requirement::new(&category, Operator::In, ["c", "m", "r"]));
        let generation = instance("instance-generation");
        list.push(Requirement::new(&generation, Operator::Gt, ["2"]));
    }
    list
}

fn add_defaults(read: &mut requirements::Read) {
    let missing = defaults(|key| read.has_key(key));
    read.list.extend(missing);
}

/// The two legacy settings as one policy. Legacy pools have no budgets of their own: the default of today's pools bounds them, which
/// Karpenter gave them where it converted them.
fn disruption(
    ttl_after_empty: Option<i64>,
    consolidation: Option<&Consolidation>,
    findings: &mut Findings,
) -> Disruption {
    let enabled = consolidation.and_then(|consolidation| consolidation.enabled).unwrap_or(false);
    findings.require(
        !(enabled && ttl_after_empty.is_some()),
        "empty-or-consolidation",
        "spec.ttlSecondsAfterEmpty",
        "ttlSecondsAfterEmpty and consolidation.enabled exclude each other; keep one of them",
    );
    let (policy, consolidate_after) = match (ttl_after_empty, enabled) {
        (Some(seconds), _) => (ConsolidationPolicy::WhenEmpty, Some(Duration(seconds))),
        (None, true) => (ConsolidationPolicy::WhenEmptyOrUnderutilized, Some(Duration(0))),
        (None, false) => (ConsolidationPolicy::default(), None),
    };
    let budget = Budget::always("10%");
    Disruption { policy, consolidate_after, budgets: vec![budget], ..Disruption::default() }
}
