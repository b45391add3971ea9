//! The syntax of names, label keys and label values (Kubernetes' apimachinery validation).

/// Whether the text is a DNS-1123 subdomain: what object names are.
pub(crate) fn is_subdomain(text: &str) -> bool {
    let label = |part: &str| {
        let edge =
            |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let bytes = part.as_bytes();
        let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
        bytes.iter().all(inner) && edge(bytes.first()) && edge(bytes.last())
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// Whether the text is a label value: empty, or at most 63 letters, digits, `-`, `_` and `.` with a letter or digit at both ends.
pub(crate) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_label_name(text)
}

fn is_label_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    text.len() <= 63 && bytes.iter().all(inner) && edge(bytes.first()) && edge(bytes.last())
}

/// Whether the text is a qualified name: a label name, with or without a `subdomain/` in front.
pub(crate) fn is_qualified(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && is_label_name(name),
        None => is_label_name(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_keys_are_qualified_names() {
        for text in ["a", "a.b/c", "karpenter.sh/capacity-type", "A_b-c.d", "jina.ai/node-type"] {
            assert!(is_qualified(text), "{text}");
        }
        for text in ["", "/a", "a/", "A.b/c", "a/b/c", "-a", "a b", "ä", &"x".repeat(64)] {
            assert!(!is_qualified(text), "{text}");
        }
    }

    #[test]
    fn label_values_may_be_empty() {
        for text in ["", "a", "c5.large", "True", "a_b"] {
            assert!(is_label_value(text), "{text}");
        }
        for text in ["a b", "-a", "a/", &"x".repeat(64)] {
            assert!(!is_label_value(text), "{text}");
        }
    }

    #[test]
    fn object_names_are_subdomains() {
        assert!(is_subdomain("default") && is_subdomain("a.b-c"));
        assert!(
            !is_subdomain("Default")
                && !is_subdomain("")
                && !is_subdomain("a..b")
                && !is_subdomain("a-")
        );
    }
}
