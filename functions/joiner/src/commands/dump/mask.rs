//! The allow-list of fields, applied as the script's filters do.

use serde_json::{Map, Value, json};
use std::sync::OnceLock;

/// The object with the fields that a dump keeps; `null` for a kind that it does not know.
pub(crate) fn masked(object: &Value) -> Value {
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    let Some(Value::Object(mask)) = all()["kinds"].get(kind) else { return Value::Null };
    let mut mask = mask.clone();
    mask.insert("apiVersion".to_owned(), json!(true));
    mask.insert("kind".to_owned(), json!(true));
    mask.insert("metadata".to_owned(), json!("metadata"));
    keep(object, &Value::Object(mask))
}

fn all() -> &'static Value {
    static ALL: OnceLock<Value> = OnceLock::new();
    ALL.get_or_init(|| serde_json::from_str(super::MASK).unwrap_or_default())
}

/// Keeps what the mask names: true keeps all, an object keeps its keys, a list does so for each item, a text stands for the mask of
/// that name, and "annotations" keeps the keys that begin with an allowed text.
fn keep(value: &Value, mask: &Value) -> Value {
    match (mask, value) {
        (Value::Bool(true), _) => value.clone(),
        (Value::String(name), _) if name == "annotations" => annotations(value),
        (Value::String(name), _) => keep(value, &all()[name.as_str()]),
        (Value::Array(masks), Value::Array(items)) => {
            let mask = masks.first().unwrap_or(&Value::Null);
            Value::Array(items.iter().map(|item| keep(item, mask)).collect())
        }
        (Value::Object(masks), Value::Object(fields)) => {
            let kept = masks.iter().filter_map(|(key, mask)| {
                fields.get(key).map(|value| (key.clone(), keep(value, mask)))
            });
            Value::Object(kept.collect())
        }
        (_, _) => Value::Null,
    }
}

fn annotations(value: &Value) -> Value {
    let Value::Object(fields) = value else { return Value::Null };
    let starts = all()["annotations"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let starts = starts.collect::<Vec<_>>();
    let kept = fields.iter().filter(|(key, _)| starts.iter().any(|start| key.starts_with(start)));
    Value::Object(kept.map(|(key, value)| (key.clone(), value.clone())).collect::<Map<_, _>>())
}
