//! The custom resources of Karpenter as Joiner reads them.
//!
//! Owns: the wire types of `Provisioner` and `AWSNodeTemplate` (legacy), `NodePool`, `NodeClaim` and `EC2NodeClass` (v1beta1 and v1), `NodeOverlay`,
//! their schemas, defaults and validation rules, and their conversion into one model.
//! May import: `model`, serde, schemars. Does not know: files, YAML, AWS, Kubernetes clients, the clock, or instance types.
//!
//! A value is read in two steps. First it is fitted to its kind's structural schema: wrong types, missing and unknown fields and
//! values out of range become findings, and only what fits goes on, with the schema's defaults. Then rules between fields are
//! checked while it is converted. A pool or class with an error is not dropped: its `problem` says why it cannot be used.

mod aws_node_template;
mod block_devices;
mod class_spec;
mod conditions;
mod crd;
mod cron;
mod digest;
mod disruption;
mod duration;
mod ec2_node_class;
mod finding;
mod kubelet;
mod label_rules;
mod limits;
mod link;
mod metadata;
mod names;
mod node_claim;
mod node_overlay;
mod node_pool;
mod object;
mod pool_annotations;
mod provisioner;
mod requirements;
mod schema;
mod selector_map;
mod selector_terms;
mod tags;
mod taints;
#[cfg(test)]
mod tests;
mod walk;
mod windows;

pub use class_spec::{node_class_spec, pool_kubelet};
pub use crd::custom_resource_definitions;
pub use finding::{Finding, Severity};
pub use link::link;
pub use windows::set_windows;

use serde_json::Value;

/// An object in the model's terms.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// From a `Provisioner` or a `NodePool`.
    NodePool(model::NodePool),
    /// From an `AWSNodeTemplate`, an `EC2NodeClass`, or a `Provisioner` with inline settings.
    NodeClass(model::NodeClass),
    /// From a `NodeClaim`.
    NodeClaim(model::NodeClaim),
    /// From a `NodeOverlay`.
    NodeOverlay(model::NodeOverlay),
}

/// What reading one value gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The objects: none if the value has no name, two for a `Provisioner` with inline settings, else one.
    pub objects: Vec<Object>,
    /// What is wrong with the value, in the order of its fields.
    pub findings: Vec<Finding>,
}

/// Reads one object as its JSON value; `None` if its API version and kind are none of ours.
pub fn read(object: &Value) -> Option<Reading> {
    let text = |key: &str| object.get(key).and_then(Value::as_str);
    let read = match (text("apiVersion")?, text("kind")?) {
        ("karpenter.sh/v1alpha5", "Provisioner") => provisioner::read,
        ("karpenter.k8s.aws/v1alpha1", "AWSNodeTemplate") => aws_node_template::read,
        ("karpenter.sh/v1", "NodePool") => node_pool::read,
        ("karpenter.sh/v1beta1", "NodePool") => node_pool::read_beta,
        ("karpenter.sh/v1", "NodeClaim") => node_claim::read,
        ("karpenter.sh/v1beta1", "NodeClaim") => node_claim::read_beta,
        ("karpenter.sh/v1alpha1", "NodeOverlay") => node_overlay::read,
        ("karpenter.k8s.aws/v1", "EC2NodeClass") => ec2_node_class::read,
        ("karpenter.k8s.aws/v1beta1", "EC2NodeClass") => ec2_node_class::read_beta,
        _ => return None,
    };
    let mut reading = read(object);
    reading.objects.iter_mut().for_each(|read| add_hash(read, object));
    Some(reading)
}

/// Pools and classes carry the digest of what their nodes are made by; a claim carries the one that it was made by.
fn add_hash(read: &mut Object, object: &Value) {
    let told = |digest: String| Some(format!("{}/{digest}", digest::VERSION));
    match read {
        Object::NodePool(pool) => {
            pool.hash = told(digest::of_pool(pool, pool_kubelet(object).as_ref()));
        }
        Object::NodeClass(class) => {
            class.hash = node_class_spec(object).and_then(|spec| told(spec.hash));
        }
        Object::NodeClaim(_) | Object::NodeOverlay(_) => {}
    }
}

/// The requirements that a `Provisioner` with requirements of these keys gets besides, in their wire form.
/// Old names of label keys count as today's.
pub fn default_requirements(keys: &[&str]) -> Vec<Value> {
    let has_key = |key: &str| keys.iter().any(|given| model::labels::normalize(given) == key);
    let wire = |requirement: model::Requirement| {
        serde_json::json!({
            "key": requirement.key,
            "operator": requirement.operator.as_str(),
            "values": requirement.values,
        })
    };
    provisioner::defaults(has_key).into_iter().map(wire).collect()
}
