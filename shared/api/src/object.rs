//! From a value to metadata, spec and status: the part of reading that is the same for every kind.

use crate::finding::Findings;
use crate::metadata::{self, Metadata};
use crate::walk::{fit, shown};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// An object as its wire types hold it.
pub(crate) struct Decoded<S, T> {
    pub(crate) metadata: Metadata,
    pub(crate) spec: S,
    pub(crate) status: T,
}

/// Decodes an object by its schema; `None`, with a finding, only if it has no name.
/// Status is written by controllers: what is wrong there is a warning, and fields unknown there are no finding.
pub(crate) fn decode<S, T>(
    schema: &Value,
    object: &Value,
    findings: &mut Findings,
) -> Option<Decoded<S, T>>
where
    S: DeserializeOwned + Default,
    T: DeserializeOwned + Default,
{
    let metadata = metadata::read(object, findings);
    check_fields(object, findings);
    if object.get("spec").is_none_or(Value::is_null) {
        findings.error("required", "spec", "must be given");
    }
    let spec = part(schema, object, "spec", findings);
    let mut of_status = Findings::default();
    let status = part(schema, object, "status", &mut of_status);
    findings.extend(of_status.softened_without("unknown-field"));
    Some(Decoded { metadata: metadata?, spec, status })
}

fn check_fields(object: &Value, findings: &mut Findings) {
    const FIELDS: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
    for key in object.as_object().into_iter().flatten().map(|(key, _)| key) {
        if !FIELDS.contains(&key.as_str()) {
            let path = crate::finding::field("", key);
            findings.warning("unknown-field", &path, "no such field; it is left out");
        }
    }
}

/// One of the two halves; what is missing altogether is taken as empty.
fn part<P: DeserializeOwned + Default>(
    schema: &Value,
    object: &Value,
    name: &str,
    findings: &mut Findings,
) -> P {
    let given = object.get(name).filter(|value| !value.is_null());
    let schema = &schema["properties"][name];
    match given {
        Some(value) => decode_part(schema, value, name, findings),
        None => decode_part(schema, &json!({}), name, &mut Findings::default()),
    }
}

/// Decodes the value at `path` by `schema`, keeping what fits.
pub(crate) fn decode_part<P: DeserializeOwned + Default>(
    schema: &Value,
    value: &Value,
    path: &str,
    findings: &mut Findings,
) -> P {
    let Some(fitting) = fit(schema, value, path, findings) else { return P::default() };
    serde_json::from_value(fitting).unwrap_or_else(|error| {
        findings.error("type", path, format!("cannot be read: {error}: {}", shown(value)));
        P::default()
    })
}
