//! A JSON value as YAML, its keys sorted, as kubectl prints objects.

use serde_json::Value;

/// The document, with a line end.
pub(crate) fn render(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

/// Writes a value that begins on a line of its own.
fn block(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (index, (key, value)) in map.iter().enumerate() {
                pad(index, indent, text);
                text.push_str(&scalar(key));
                text.push(':');
                after_key(value, indent, text);
            }
        }
        Value::Array(elements) if !elements.is_empty() => {
            for (index, element) in elements.iter().enumerate() {
                pad(index, indent, text);
                text.push_str("- ");
                block(element, indent + 2, text);
            }
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Object(_)
        | Value::Array(_) => {
            text.push_str(&flow(value));
            text.push('\n');
        }
    }
}

/// The first entry stands where its parent left off.
fn pad(index: usize, indent: usize, text: &mut String) {
    if index > 0 {
        text.push_str(&" ".repeat(indent));
    }
}

fn after_key(value: &Value, indent: usize, text: &mut String) {
    // Lists stand under their key without more indentation, as kubectl prints them.
    let inner = match value {
        Value::Array(elements) if !elements.is_empty() => indent,
        Value::Object(map) if !map.is_empty() => indent + 2,
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Object(_)
        | Value::Array(_) => {
            text.push(' ');
            return block(value, indent, text);
        }
    };
    text.push('\n');
    text.push_str(&" ".repeat(inner));
    block(value, inner, text);
}

fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

/// Plain where no reader can take it for anything but text, else in double quotes, where JSON's escapes are YAML's.
fn scalar(text: &str) -> String {
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let word = WORDS.iter().any(|word| text.eq_ignore_ascii_case(word));
    if begins && text.chars().all(plain) && !word {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_laid_out_as_kubectl_does() {
        let value = json!({
            "b": [{"x": 1, "y": []}, "text", ["nested"]],
            "a": {"on": "on", "empty": {}, "none": null, "quoted": "a: b\n", "number": "1"},
        });
        let expected = "a:\n  empty: {}\n  none: null\n  number: \"1\"\n  \"on\": \"on\"\n  quoted: \"a: b\\n\"\n\
                        b:\n- x: 1\n  \"y\": []\n- text\n- - nested\n";
        assert_eq!(render(&value), expected);
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let value = json!({"list": [{"deep": {"a": [1, 2, {"b": "~"}], "c": "- x"}}], "z": "0x1"});
        let mut read = Vec::new();
        let text = render(&value);
        let mut bytes = text.as_bytes();
        observe::documents::read_stream("t", &mut bytes, &mut |found| read.push(found)).unwrap();
        assert_eq!(read.remove(0).map(|document| document.value), Ok(value));
    }
}
