//! `CapacityBuffer` and `PodTemplate`: room that is kept free, and the pods that it is kept for.
//! Source: kubernetes/autoscaler, `cluster-autoscaler/apis/capacitybuffer` (autoscaling.x-k8s.io v1alpha1 and v1beta1).

use super::metadata::Metadata;
use super::pod_spec;
use crate::wire::{FieldError, Read, deep, field, integer, labels, required, text};
use model::{Labels, PodSpec, Quantity, Resources};
use serde_json::Value;

/// The kind of buffers, which own the pods that stand for the room.
pub(crate) const KIND: &str = "CapacityBuffer";
/// The only strategy that keeps nodes; others are for those who know them.
const ACTIVE: &str = "buffer.x-k8s.io/active-capacity";

/// What the pods of a buffer are like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A PodTemplate of the buffer's namespace, by name.
    Template(String),
    /// The pods of a workload of that kind and name.
    Workload(String, String),
}

/// A buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Buffer {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) replicas: Option<i64>,
    /// Of the workload's pods.
    pub(crate) percentage: Option<i64>,
    /// The most that all its pods may ask for.
    pub(crate) limits: Resources,
}

/// A pod template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) labels: Labels,
    pub(crate) spec: PodSpec,
}

/// Reads a buffer; none if another strategy than that of running nodes serves it, or if it goes.
pub(crate) fn buffer(object: &Value, metadata: Metadata) -> Read<Option<Buffer>> {
    required(object, "spec", |spec| {
        let strategy = field(spec, "provisioningStrategy", text)?.unwrap_or(ACTIVE);
        let template = deep(spec, &["podTemplateRef", "name"], text)?.map(str::to_owned);
        let kind = deep(spec, &["scalableRef", "kind"], text)?.map(str::to_owned);
        let name = deep(spec, &["scalableRef", "name"], text)?.map(str::to_owned);
        let shape = match (template, kind.zip(name)) {
            (Some(name), None) => Shape::Template(name),
            (None, Some((kind, name))) => Shape::Workload(kind, name),
            _ => return Err(FieldError::new("needs either podTemplateRef or scalableRef")),
        };
        let buffer = Buffer {
            namespace: metadata.namespace,
            name: metadata.name,
            shape,
            replicas: field(spec, "replicas", integer)?,
            percentage: field(spec, "percentage", integer)?,
            limits: field(spec, "limits", limits)?.unwrap_or_default(),
        };
        Ok((strategy == ACTIVE && metadata.deletion_at.is_none()).then_some(buffer))
    })
}

fn limits(value: &Value) -> Read<Resources> {
    let mut all = Resources::new();
    for (name, text) in labels(value)? {
        let amount = text.parse::<Quantity>();
        let amount = amount.map_err(|_| FieldError::new("is not a quantity").under(&name))?;
        let milli = name == model::resources::CPU;
        all.set(name.as_str(), if milli { amount.milli() } else { amount.units() });
    }
    Ok(all)
}

/// Reads a pod template.
pub(crate) fn template(object: &Value, metadata: Metadata) -> Read<Template> {
    required(object, "template", |template| {
        let labels = deep(template, &["metadata", "labels"], labels)?.unwrap_or_default();
        let spec = required(template, "spec", |spec| pod_spec::read(spec, None, &labels))?;
        Ok(Template { namespace: metadata.namespace, name: metadata.name, labels, spec })
    })
}
