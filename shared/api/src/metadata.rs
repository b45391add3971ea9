//! What every object has: a name, labels, annotations, times.

use crate::duration::parse_timestamp;
use crate::finding::{Findings, field};
use crate::names;
use crate::walk::shown;
use model::labels::TERMINATION_FINALIZER;
use model::{Labels, Timestamp};
use serde_json::{Map, Value};

/// The metadata that Joiner reads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metadata {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) labels: Labels,
    pub(crate) annotations: Labels,
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) deleting: bool,
    /// When its deletion was asked for, where `deleting` has a moment that can be read.
    pub(crate) deletion_at: Option<Timestamp>,
    /// Whether it carries the finalizer `karpenter.sh/termination`.
    pub(crate) finalizer: bool,
}

/// Reads `metadata`; `None`, with a finding, if there is no name.
pub(crate) fn read(object: &Value, findings: &mut Findings) -> Option<Metadata> {
    let empty = Map::new();
    let metadata = match object.get("metadata") {
        Some(Value::Object(metadata)) => metadata,
        Some(other) if !other.is_null() => {
            findings.error("type", "metadata", format!("must be an object, not {}", shown(other)));
            &empty
        }
        _ => &empty,
    };
    let name = name(metadata, findings)?;
    let finalizers = metadata.get("finalizers").and_then(Value::as_array);
    Some(Metadata {
        name,
        uid: metadata.get("uid").and_then(Value::as_str).unwrap_or_default().to_owned(),
        annotations: strings(metadata, "annotations", findings),
        labels: strings(metadata, "labels", findings),
        created_at: time(metadata, "creationTimestamp", findings),
        deleting: metadata.get("deletionTimestamp").is_some_and(|value| !value.is_null()),
        deletion_at: time(metadata, "deletionTimestamp", findings),
        finalizer: finalizers.into_iter().flatten().any(|name| name == TERMINATION_FINALIZER),
    })
}

fn name(metadata: &Map<String, Value>, findings: &mut Findings) -> Option<String> {
    const PATH: &str = "metadata.name";
    match metadata.get("name") {
        Some(Value::String(name)) if !name.is_empty() => {
            let message = format!(
                "{name:?} is not a name: use at most 253 lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit"
            );
            findings.require(names::is_subdomain(name), "name", PATH, &message);
            Some(name.clone())
        }
        Some(other) if !other.is_null() && *other != "" => {
            findings.error("type", PATH, format!("must be a string, not {}", shown(other)));
            None
        }
        _ => {
            findings.error("required", PATH, "must be given; an object without a name is left out");
            None
        }
    }
}

fn strings(metadata: &Map<String, Value>, key: &str, findings: &mut Findings) -> Labels {
    let path = field("metadata", key);
    let Some(value) = metadata.get(key).filter(|value| !value.is_null()) else {
        return Labels::new();
    };
    let Some(map) = value.as_object() else {
        findings.error("type", &path, format!("must be an object, not {}", shown(value)));
        return Labels::new();
    };
    let mut labels = Labels::new();
    for (key, value) in map {
        match value {
            Value::String(text) => drop(labels.insert(key.clone(), text.clone())),
            other @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_)) => findings.error(
                "type",
                &field(&path, key),
                format!("must be a string, not {}", shown(other)),
            ),
        }
    }
    labels
}

fn time(metadata: &Map<String, Value>, key: &str, findings: &mut Findings) -> Option<Timestamp> {
    let value = metadata.get(key).filter(|value| !value.is_null())?;
    let moment = value.as_str().and_then(parse_timestamp);
    let message = format!("{} is not an RFC 3339 time; it is left out", shown(value));
    if moment.is_none() {
        findings.warning("time", &field("metadata", key), message);
    }
    moment
}
