//! Structural schemas from the wire types: what a CustomResourceDefinition may hold, and no more.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// Declares a wire type: every field is optional in Rust, because what is missing is a finding and not the end of reading.
/// The doc comments become the schema's descriptions, `#[schemars(required)]` its list of required fields.
macro_rules! wire {
    ($(#[$meta:meta])* $name:ident { $( $(#[$field_meta:meta])* $field:ident : $type:ty ),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub(crate) struct $name {
            $( $(#[$field_meta])* #[serde(skip_serializing_if = "Option::is_none")] pub(crate) $field: Option<$type>, )*
        }
    };
}
pub(crate) use wire;

/// The pattern of a quantity, by which the schema walk knows one. From Kubernetes' own CRDs: sign, number, suffix.
pub(crate) const QUANTITY_PATTERN: &str = r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$";

/// A Kubernetes quantity as written; a bare number is kept as its text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Value")]
pub(crate) struct QuantityText(pub(crate) String);

impl From<Value> for QuantityText {
    fn from(value: Value) -> Self {
        Self(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }
}

impl QuantityText {
    /// The quantity, if it is one.
    pub(crate) fn parse(&self) -> Option<model::Quantity> {
        self.0.parse().ok()
    }
}

impl JsonSchema for QuantityText {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [{ "type": "integer" }, { "type": "string" }],
            "pattern": QUANTITY_PATTERN,
            "x-kubernetes-int-or-string": true,
        })
    }
}

/// An object of any fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct OpenObject(pub(crate) Map<String, Value>);

impl JsonSchema for OpenObject {
    fn schema_name() -> Cow<'static, str> {
        "Object".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
    }
}

/// The structural schema of a wire type.
pub(crate) fn structural<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    make_structural(&mut schema);
    schema
}

/// The schema of a whole object from those of its spec and status.
pub(crate) fn object(description: &str, spec: Value, status: Option<Value>) -> Value {
    let mut properties = json!({
        "apiVersion": { "type": "string", "description": "The group and version of this object's schema." },
        "kind": { "type": "string", "description": "The kind of this object." },
        "metadata": { "type": "object" },
        "spec": spec,
    });
    if let (Some(status), Some(properties)) = (status, properties.as_object_mut()) {
        properties.insert("status".to_owned(), status);
    }
    json!({ "type": "object", "description": description, "required": ["spec"], "properties": properties })
}

/// Takes away what an API server refuses in a structural schema: `$schema`, titles, `null` types and Rust's integer formats.
fn make_structural(schema: &mut Value) {
    unwrap_nullable(schema);
    let Some(map) = schema.as_object_mut() else { return };
    map.retain(|key, _| key != "$schema" && key != "title");
    if map.get("format").is_some_and(|format| *format != "int32" && *format != "int64") {
        map.remove("format");
    }
    if let Some(Value::Object(properties)) = map.get_mut("properties") {
        properties.values_mut().for_each(make_structural);
    }
    for key in ["items", "additionalProperties"] {
        map.get_mut(key).into_iter().for_each(make_structural);
    }
}

/// `type: [X, null]` and `anyOf: [X, null]` become X.
fn unwrap_nullable(schema: &mut Value) {
    let Some(map) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = map.get("type") {
        let only = types.iter().find(|name| **name != "null").cloned();
        map.insert("type".to_owned(), only.unwrap_or_default());
    }
    let is_null = |part: &Value| part.get("type").is_some_and(|name| *name == "null");
    let Some(Value::Array(parts)) = map.get("anyOf") else { return };
    let (true, Some(Value::Object(only))) =
        (parts.iter().any(is_null), parts.iter().find(|part| !is_null(part)).cloned())
    else {
        return;
    };
    map.remove("anyOf");
    for (key, value) in only {
        map.entry(key).or_insert(value);
    }
}
