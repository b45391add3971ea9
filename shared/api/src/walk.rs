//! Checks a value against a structural schema, takes out what does not belong and fills in defaults, as an API server does.
//! Unlike an API server it goes on after the first error, so that one broken field costs only itself.

use crate::finding::{Findings, field, item};
use crate::schema::QUANTITY_PATTERN;
use model::Quantity;
use model::quantity::QuantityError;
use regex_lite::Regex;
use serde_json::{Map, Value, json};

/// The part of `value` that fits `schema`; `None` if nothing does.
pub(crate) fn fit(
    schema: &Value,
    value: &Value,
    path: &str,
    findings: &mut Findings,
) -> Option<Value> {
    if schema.get("pattern").is_some_and(|pattern| *pattern == QUANTITY_PATTERN) {
        return fit_quantity(value, path, findings);
    }
    let wanted = schema.get("type").and_then(Value::as_str).unwrap_or_default();
    let fitting = match (wanted, value) {
        ("object", Value::Object(map)) => fit_object(schema, map, path, findings),
        ("array", Value::Array(list)) => fit_list(schema, list, path, findings),
        ("string", Value::String(_)) | ("boolean", Value::Bool(_)) => value.clone(),
        ("integer", Value::Number(_)) => match integer(value) {
            Some(integer) => json!(integer),
            None => return wrong_type(wanted, value, path, findings),
        },
        _ => return wrong_type(wanted, value, path, findings),
    };
    let kept = check_enum(schema, &fitting, path, findings)
        && check_range(schema, &fitting, path, findings)
        && check_length(schema, &fitting, path, findings)
        && check_pattern(schema, &fitting, path, findings);
    kept.then_some(fitting)
}

fn wrong_type(wanted: &str, value: &Value, path: &str, findings: &mut Findings) -> Option<Value> {
    findings.error("type", path, format!("must be {}, not {}", article(wanted), shown(value)));
    None
}

fn article(kind: &str) -> String {
    let vowel = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
}

/// A value as a message shows it: scalars in full if they are short, the rest by kind.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let text = value.to_string();
            if text.chars().count() <= 60 {
                text
            } else {
                format!("{}...", text.chars().take(57).collect::<String>())
            }
        }
    }
}

fn integer(value: &Value) -> Option<i64> {
    let whole = |number: &f64| number.fract() == 0.0 && number.abs() < 9e15;
    value.as_i64().or_else(|| value.as_f64().filter(whole).map(|number| number as i64))
}

fn fit_quantity(value: &Value, path: &str, findings: &mut Findings) -> Option<Value> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            return wrong_type("integer or quantity", value, path, findings);
        }
    };
    match text.parse::<Quantity>() {
        Ok(quantity) if quantity.is_negative() => {
            findings.error("quantity-negative", path, format!("{text:?} must not be negative"));
            None
        }
        Ok(_) => Some(Value::String(text)),
        Err(error @ QuantityError::Syntax(_)) => {
            findings.error("quantity", path, error.to_string());
            None
        }
        Err(error @ QuantityError::TooLarge(_)) => {
            findings.error("quantity-too-large", path, error.to_string());
            None
        }
    }
}

fn fit_object(
    schema: &Value,
    map: &Map<String, Value>,
    path: &str,
    findings: &mut Findings,
) -> Value {
    let fields = schema.get("properties").and_then(Value::as_object);
    let values = schema.get("additionalProperties");
    if fields.is_none() && values.is_none() {
        return Value::Object(map.clone());
    }
    let mut fitting = Map::new();
    for (key, value) in map.iter().filter(|(_, value)| !value.is_null()) {
        let path = field(path, key);
        let Some(part) = fields.and_then(|fields| fields.get(key)).or(values) else {
            let known = fields.map(nearest_names(key)).unwrap_or_default();
            findings.warning(
                "unknown-field",
                &path,
                format!("no such field; it is left out{known}"),
            );
            continue;
        };
        if let Some(value) = fit(part, value, &path, findings) {
            fitting.insert(key.clone(), value);
        }
    }
    check_required(schema, map, path, findings);
    fields.into_iter().flatten().for_each(|(key, part)| {
        fill_default(key, part, map, &mut fitting, path, findings);
    });
    Value::Object(fitting)
}

/// ` (did you mean ...?)` for a known field that differs from `key` in case only.
fn nearest_names(key: &str) -> impl Fn(&Map<String, Value>) -> String {
    move |fields| {
        let alike = fields.keys().find(|name| name.eq_ignore_ascii_case(key));
        alike.map(|name| format!(" (did you mean {name}?)")).unwrap_or_default()
    }
}

fn check_required(schema: &Value, map: &Map<String, Value>, path: &str, findings: &mut Findings) {
    let required = schema.get("required").and_then(Value::as_array);
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        if map.get(name).is_none_or(Value::is_null) {
            findings.error("required", &field(path, name), "must be given");
        }
    }
}

fn fill_default(
    key: &str,
    schema: &Value,
    given: &Map<String, Value>,
    fitting: &mut Map<String, Value>,
    path: &str,
    findings: &mut Findings,
) {
    let absent = given.get(key).is_none_or(Value::is_null);
    if let (true, Some(default)) = (absent, schema.get("default"))
        && let Some(value) = fit(schema, default, &field(path, key), findings)
    {
        fitting.insert(key.to_owned(), value);
    }
}

/// Items that do not fit leave an empty one in their place, so that the others keep their indices.
fn fit_list(schema: &Value, list: &[Value], path: &str, findings: &mut Findings) -> Value {
    let Some(part) = schema.get("items") else { return Value::Array(list.to_vec()) };
    let fitted = list.iter().enumerate().map(|(index, value)| {
        fit(part, value, &item(path, index), findings).unwrap_or_else(|| empty(part))
    });
    Value::Array(fitted.collect())
}

fn empty(schema: &Value) -> Value {
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => json!({}),
        Some("array") => json!([]),
        Some("integer") => json!(0),
        Some("boolean") => json!(false),
        _ => json!(""),
    }
}

fn check_enum(schema: &Value, value: &Value, path: &str, findings: &mut Findings) -> bool {
    let Some(Value::Array(allowed)) = schema.get("enum") else { return true };
    if allowed.contains(value) {
        return true;
    }
    let names = allowed.iter().filter_map(Value::as_str).filter(|name| !name.is_empty());
    let names = names.collect::<Vec<_>>().join(", ");
    findings.error("enum", path, format!("{} is none of {names}", shown(value)));
    false
}

fn check_range(schema: &Value, value: &Value, path: &str, findings: &mut Findings) -> bool {
    let Some(number) = value.as_i64() else { return true };
    let bound = |key: &str| schema.get(key).and_then(integer);
    let message = match (bound("minimum"), bound("maximum")) {
        (Some(least), Some(most)) if number < least || number > most => {
            format!("{number} is not between {least} and {most}")
        }
        (Some(least), _) if number < least => format!("{number} is less than {least}"),
        (_, Some(most)) if number > most => format!("{number} is more than {most}"),
        _ => return check_width(schema, number, path, findings),
    };
    findings.error("range", path, message);
    false
}

fn check_width(schema: &Value, number: i64, path: &str, findings: &mut Findings) -> bool {
    let narrow = schema.get("format").is_some_and(|format| *format == "int32");
    let fits = !narrow || i32::try_from(number).is_ok();
    findings.require(fits, "range", path, &format!("{number} does not fit 32 bits"));
    fits
}

fn check_length(schema: &Value, value: &Value, path: &str, findings: &mut Findings) -> bool {
    let (length, least, most, what) = match value {
        Value::String(text) => (text.chars().count(), "minLength", "maxLength", "characters"),
        Value::Array(list) => (list.len(), "minItems", "maxItems", "items"),
        Value::Object(map) => (map.len(), "minProperties", "maxProperties", "entries"),
        Value::Null | Value::Bool(_) | Value::Number(_) => return true,
    };
    let bound = |key: &str| schema.get(key).and_then(Value::as_u64).map(|bound| bound as usize);
    if let Some(least) = bound(least).filter(|least| length < *least) {
        findings.error("length", path, format!("{length} {what}: there must be at least {least}"));
    }
    if let Some(most) = bound(most).filter(|most| length > *most) {
        findings.error("length", path, format!("{length} {what}: there may be at most {most}"));
    }
    true
}

fn check_pattern(schema: &Value, value: &Value, path: &str, findings: &mut Findings) -> bool {
    let (Some(pattern), Some(text)) =
        (schema.get("pattern").and_then(Value::as_str), value.as_str())
    else {
        return true;
    };
    let fits = Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text));
    findings.require(fits, "pattern", path, &format!("{} does not match {pattern}", shown(value)));
    fits
}
