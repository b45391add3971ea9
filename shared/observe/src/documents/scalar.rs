//! What a plain YAML scalar means, by the rules of YAML 1.1 as kubectl's parser (go-yaml version 2) follows them.

use serde_json::{Number, Value};

/// The value of an unquoted scalar.
pub(crate) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Value::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Value::Bool(false)
        }
        _ if looks_numeric(text) => number(text).unwrap_or_else(|| Value::from(text)),
        _ => Value::from(text),
    }
}

/// The key that a scalar makes: keys of other types become strings, as in JSON.
pub(crate) fn key(text: &str) -> String {
    match resolve(text) {
        Value::String(text) => text,
        Value::Null => "null".to_owned(),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            other.to_string()
        }
    }
}

fn looks_numeric(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))
}

fn number(text: &str) -> Option<Value> {
    let plain = text.replace('_', "");
    integer(&plain).map(Value::from).or_else(|| float(&plain))
}

/// Decimal, or with the prefixes `0x`, `0b`, `0o`, or octal with a mere `0`.
fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        Some("0o" | "0O") => (8, &digits[2..]),
        Some(_) if digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    match negative {
        true => 0_i64.checked_sub_unsigned(magnitude).map(Number::from),
        false => Some(Number::from(magnitude)),
    }
}

/// A decimal fraction or exponent; infinity and not-a-number stay text, for JSON has neither.
fn float(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let decimal =
        unsigned.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    let digit = unsigned.starts_with(|c: char| c.is_ascii_digit())
        || unsigned
            .strip_prefix('.')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let value = text.parse::<f64>().ok().filter(|_| decimal && digit)?;
    let whole = value.fract() == 0.0 && value.abs() < 9e15;
    if whole { Some(Value::from(value as i64)) } else { Number::from_f64(value).map(Value::Number) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(text: &str, expected: Value) {
        assert_eq!(resolve(text), expected, "{text:?}");
    }

    #[test]
    fn plain_scalars_follow_yaml_1_1() {
        for text in ["yes", "on", "y", "True"] {
            check(text, json!(true));
        }
        for text in ["no", "off", "N", "FALSE"] {
            check(text, json!(false));
        }
        for text in ["", "~", "null"] {
            check(text, Value::Null);
        }
        check("yEs", json!("yEs"));
        check("1000", json!(1000));
        check("-5", json!(-5));
        check("+5", json!(5));
        check("0777", json!(511));
        check("0o17", json!(15));
        check("0x1F", json!(31));
        check("0b101", json!(5));
        check("-0x10", json!(-16));
        check("1_000", json!(1000));
        check("0888", json!(888));
        check("0", json!(0));
        check("1.5", json!(1.5));
        check(".5", json!(0.5));
        check("1e3", json!(1000));
        check("1.", json!(1));
        check("18446744073709551615", json!(18_446_744_073_709_551_615_u64));
        check(".inf", json!(".inf"));
        check("-", json!("-"));
        check("1Gi", json!("1Gi"));
        check("100m", json!("100m"));
        check("2023-01-30", json!("2023-01-30"));
        check("1.2.3", json!("1.2.3"));
        check("0x", json!("0x"));
        check("0x-1", json!("0x-1"));
    }

    #[test]
    fn keys_are_strings() {
        assert_eq!(key("on"), "true");
        assert_eq!(key("0x10"), "16");
        assert_eq!(key("~"), "null");
        assert_eq!(key("cpu"), "cpu");
    }
}
