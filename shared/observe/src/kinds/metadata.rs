//! `metadata`, which all kinds share.

use crate::wire::{Read, boolean, field, labels, list, required, text, timestamp};
use model::labels::TERMINATION_FINALIZER;
use model::pod::Owner;
use model::{Labels, Timestamp};
use serde_json::Value;

/// What names an object and describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// `default` where a namespaced object names none; meaningless for others.
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) labels: Labels,
    pub(crate) annotations: Labels,
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) deletion_at: Option<Timestamp>,
    pub(crate) owner: Option<Owner>,
    /// Whether it carries the finalizer `karpenter.sh/termination`.
    pub(crate) finalizer: bool,
}

/// Reads `metadata` of an object.
pub(crate) fn read(object: &Value) -> Read<Metadata> {
    required(object, "metadata", read_metadata)
}

fn read_metadata(metadata: &Value) -> Read<Metadata> {
    let name = field(metadata, "name", text)?;
    // A template that was never created has only the beginning of a name.
    let generated = field(metadata, "generateName", text)?;
    let name = match name.or(generated) {
        Some(name) => name.to_owned(),
        None => required(metadata, "name", text)?.to_owned(),
    };
    let namespace = field(metadata, "namespace", text)?.filter(|text| !text.is_empty());
    let owners = list(metadata, "ownerReferences", owner)?;
    Ok(Metadata {
        namespace: namespace.unwrap_or("default").to_owned(),
        name,
        uid: field(metadata, "uid", text)?.unwrap_or_default().to_owned(),
        labels: field(metadata, "labels", labels)?.unwrap_or_default(),
        annotations: field(metadata, "annotations", labels)?.unwrap_or_default(),
        created_at: field(metadata, "creationTimestamp", timestamp)?,
        deletion_at: field(metadata, "deletionTimestamp", timestamp)?,
        owner: owners.into_iter().flatten().next(),
        finalizer: list(metadata, "finalizers", text)?.contains(&TERMINATION_FINALIZER),
    })
}

/// The owner, if it is the one that controls the object.
fn owner(reference: &Value) -> Read<Option<Owner>> {
    let controls = field(reference, "controller", boolean)?.unwrap_or(false);
    let kind = required(reference, "kind", text)?.to_owned();
    let name = required(reference, "name", text)?.to_owned();
    Ok(controls.then_some(Owner { kind, name }))
}

impl Metadata {
    /// An annotation's value.
    pub(crate) fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(String::as_str)
    }
}
