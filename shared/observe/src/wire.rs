//! Reading fields of objects: absent and null are the same, a wrong type is an error that names its field.

use model::resources::display_amount;
use model::{Labels, Quantity, Resources, Timestamp};
use serde_json::{Map, Value};

/// Far more than any pod, node or volume has: 2^50 milli-cores, bytes or pieces. Larger amounts are refused, so that no sum overflows.
pub(crate) const LARGEST_AMOUNT: i64 = 1 << 50;

/// A field that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldError {
    /// The field: `spec.containers[0].resources`.
    pub(crate) path: String,
    /// The cause and what to do.
    pub(crate) message: String,
}

pub(crate) type Read<T> = Result<T, FieldError>;

impl FieldError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { path: String::new(), message: message.into() }
    }

    /// The same error, seen from the object that has the field `step` (`spec`, `[2]`).
    pub(crate) fn under(self, step: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        Self { path: format!("{step}{dot}{}", self.path), ..self }
    }
}

/// Reads the field `key` of an object, if it is there.
pub(crate) fn field<'v, T>(
    object: &'v Value,
    key: &str,
    read: impl FnOnce(&'v Value) -> Read<T>,
) -> Read<Option<T>> {
    let value = mapping(object)?.get(key).filter(|value| !value.is_null());
    value.map(|value| read(value).map_err(|error| error.under(key))).transpose()
}

/// Reads the field at the end of a path; `None` if a step of it is missing.
pub(crate) fn deep<'v, T>(
    object: &'v Value,
    path: &[&str],
    read: impl FnOnce(&'v Value) -> Read<T>,
) -> Read<Option<T>> {
    match path {
        [] => read(object).map(Some),
        [key, rest @ ..] => {
            field(object, key, |value| deep(value, rest, read)).map(Option::flatten)
        }
    }
}

/// Reads a field that must be there.
pub(crate) fn required<'v, T>(
    object: &'v Value,
    key: &str,
    read: impl FnOnce(&'v Value) -> Read<T>,
) -> Read<T> {
    field(object, key, read)?.ok_or_else(|| FieldError::new("is missing").under(key))
}

/// Reads all elements of the list in the field `key`; none if it is not there.
pub(crate) fn list<'v, T>(
    object: &'v Value,
    key: &str,
    read: impl FnMut(&'v Value) -> Read<T>,
) -> Read<Vec<T>> {
    field(object, key, |value| each(value, read)).map(Option::unwrap_or_default)
}

/// Reads all elements of a list.
pub(crate) fn each<'v, T>(
    value: &'v Value,
    mut read: impl FnMut(&'v Value) -> Read<T>,
) -> Read<Vec<T>> {
    let elements = value.as_array().ok_or_else(|| wrong(value, "a list"))?;
    let element = |(index, value)| {
        read(value).map_err(|error: FieldError| error.under(&format!("[{index}]")))
    };
    elements.iter().enumerate().map(element).collect()
}

pub(crate) fn mapping(value: &Value) -> Read<&Map<String, Value>> {
    value.as_object().ok_or_else(|| wrong(value, "an object"))
}

pub(crate) fn text(value: &Value) -> Read<&str> {
    value.as_str().ok_or_else(|| wrong(value, "text"))
}

pub(crate) fn string(value: &Value) -> Read<String> {
    text(value).map(str::to_owned)
}

pub(crate) fn boolean(value: &Value) -> Read<bool> {
    value.as_bool().ok_or_else(|| wrong(value, "true or false"))
}

pub(crate) fn integer(value: &Value) -> Read<i64> {
    value.as_i64().ok_or_else(|| wrong(value, "a whole number"))
}

/// A whole number of 32 bits.
pub(crate) fn integer32(value: &Value) -> Read<i32> {
    let number = integer(value)?;
    number.try_into().map_err(|_| wrong(value, "a whole number of 32 bits"))
}

/// A map of text to text. Numbers and booleans, which the API server refuses, are taken as what they spell.
pub(crate) fn labels(value: &Value) -> Read<Labels> {
    let entry = |(key, value): (&String, &Value)| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Array(_) | Value::Object(_) => return Err(wrong(value, "text").under(key)),
        };
        Ok((key.clone(), text))
    };
    mapping(value)?.iter().map(entry).collect()
}

/// A moment as Kubernetes writes it (RFC 3339).
pub(crate) fn timestamp(value: &Value) -> Read<Timestamp> {
    let moment = text(value)?.parse::<jiff::Timestamp>();
    let seconds = moment.map(|moment| Timestamp(moment.as_second()));
    seconds.map_err(|_| wrong(value, "a moment like 2026-01-31T12:00:00Z"))
}

/// Amounts by resource; names keep their order of writing nowhere, zero amounts are dropped.
pub(crate) fn resources(value: &Value) -> Read<Resources> {
    let amounts = mapping(value)?.iter().map(|(name, value)| {
        let amount = amount(name, value).map_err(|error| error.under(name))?;
        Ok((name.as_str().into(), amount))
    });
    let amounts = amounts.collect::<Read<Vec<_>>>()?;
    Ok(amounts.into_iter().filter(|(_, amount)| *amount != 0).collect())
}

fn amount(name: &str, value: &Value) -> Read<i64> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null => return Ok(0),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            return Err(wrong(value, "a quantity"));
        }
    };
    let quantity = text.parse::<Quantity>().map_err(|error| FieldError::new(error.to_string()))?;
    let amount = quantity.amount_of(name);
    if quantity.is_negative() {
        return Err(FieldError::new(format!("{text} is negative; a quantity must be 0 or more")));
    }
    if amount > LARGEST_AMOUNT {
        let largest = display_amount(name, LARGEST_AMOUNT);
        return Err(FieldError::new(format!("{text} is absurdly large; the most is {largest}")));
    }
    Ok(amount)
}

/// What stands where something else should.
pub(crate) fn wrong(value: &Value, expected: &str) -> FieldError {
    let found = match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => format!("{:?}", text.chars().take(60).collect::<String>()),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    };
    FieldError::new(format!("must be {expected}, not {found}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(value: Value, expected: Result<&[(&str, i64)], (&str, &str)>) {
        let found = resources(&value);
        match expected {
            Ok(amounts) => {
                let amounts = amounts.iter().map(|(name, amount)| ((*name).into(), *amount));
                assert_eq!(found, Ok(amounts.collect()), "{value}");
            }
            Err((path, message)) => {
                let error = found.unwrap_err();
                assert_eq!(error.path, path, "{value}");
                assert!(error.message.contains(message), "{value}: {}", error.message);
            }
        }
    }

    #[test]
    fn amounts_are_read_and_impossible_ones_refused() {
        check(json!({"cpu": "100m", "memory": "1Gi"}), Ok(&[("cpu", 100), ("memory", 1 << 30)]));
        check(json!({"cpu": 2, "nvidia.com/gpu": 0}), Ok(&[("cpu", 2000)]));
        check(json!({"cpu": 0.5}), Ok(&[("cpu", 500)]));
        check(json!({"cpu": "-1"}), Err(("cpu", "negative")));
        check(json!({"memory": "9E"}), Err(("memory", "absurdly large")));
        check(json!({"memory": "lots"}), Err(("memory", "is not a quantity")));
        check(json!({"memory": [1]}), Err(("memory", "must be a quantity, not a list")));
        check(json!([]), Err(("", "must be an object, not a list")));
    }

    #[test]
    fn errors_name_the_whole_path() {
        let value = json!({"spec": {"ports": [{"port": 1}, {"port": "x"}]}});
        let ports = |spec| list(spec, "ports", |port| required(port, "port", integer));
        let error = field(&value, "spec", ports).unwrap_err();
        assert_eq!(error.path, "spec.ports[1].port");
        assert_eq!(deep(&value, &["spec", "none", "deeper"], integer), Ok(None));
        let missing = required(&value, "name", text).unwrap_err();
        assert_eq!((missing.path.as_str(), missing.message.as_str()), ("name", "is missing"));
    }
}
