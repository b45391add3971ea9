//! Findings: what is wrong with an object, where, and by which rule.

use serde::Serialize;
use std::fmt;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The object cannot be used as it is; an API server or Karpenter would refuse it.
    Error,
    /// The object can be used, but a part of it has no effect or surprises.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One thing that is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The field: `spec.requirements[2].values`. Keys that are not plain names stand in brackets: `spec.labels["a.b/c"]`.
    pub path: String,
    /// The rule's id: short, stable, kebab-case.
    pub rule: &'static str,
    /// The cause and what to do.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {} [{}]", self.severity, self.path, self.message, self.rule)
    }
}

/// Fields that only matter where nodes are taken away.
pub(crate) const OF_TAKING_AWAY: [&str; 2] = ["spec.disruption.budgets", "metadata.annotations"];

/// Findings of one object, in the order in which they were made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    pub(crate) fn error(&mut self, rule: &'static str, path: &str, message: impl Into<String>) {
        self.push(Severity::Error, rule, path, message.into());
    }

    pub(crate) fn warning(&mut self, rule: &'static str, path: &str, message: impl Into<String>) {
        self.push(Severity::Warning, rule, path, message.into());
    }

    /// Records an error unless `holds`.
    pub(crate) fn require(&mut self, holds: bool, rule: &'static str, path: &str, message: &str) {
        if !holds {
            self.error(rule, path, message);
        }
    }

    fn push(&mut self, severity: Severity, rule: &'static str, path: &str, message: String) {
        let finding = Finding { severity, path: path.to_owned(), rule, message };
        if !self.0.contains(&finding) {
            self.0.push(finding);
        }
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The same findings, none worse than a warning, and without those of `rule`.
    pub(crate) fn softened_without(self, rule: &str) -> Self {
        let soften = |finding| Finding { severity: Severity::Warning, ..finding };
        Self(self.0.into_iter().filter(|finding| finding.rule != rule).map(soften).collect())
    }

    /// Why the object cannot be used: its first error, and how many there are. What is wrong with budgets and annotations keeps
    /// nodes from being taken away, not from being made.
    pub(crate) fn problem(&self) -> Option<String> {
        let of_making = |finding: &&Finding| {
            finding.severity == Severity::Error
                && !OF_TAKING_AWAY.iter().any(|path| finding.path.starts_with(path))
        };
        let errors = || self.0.iter().filter(of_making);
        let first = errors().next()?;
        let more = match errors().count() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        Some(format!("{}: {}{more}", first.path, first.message))
    }

    pub(crate) fn into_vec(self) -> Vec<Finding> {
        self.0
    }
}

/// The path of field or key `name` below `path`.
pub(crate) fn field(path: &str, name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match (path.is_empty(), !name.is_empty() && name.bytes().all(plain)) {
        (true, true) => name.to_owned(),
        (false, true) => format!("{path}.{name}"),
        (_, false) => format!("{path}[{name:?}]"),
    }
}

/// The path of item `index` of the list at `path`.
pub(crate) fn item(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_no_plain_names_stand_in_brackets() {
        assert_eq!(field("spec", "labels"), "spec.labels");
        assert_eq!(field("", "spec"), "spec");
        assert_eq!(field("spec.labels", "a.b/c"), "spec.labels[\"a.b/c\"]");
        assert_eq!(item("spec.taints", 2), "spec.taints[2]");
    }

    #[test]
    fn a_problem_is_the_first_error_and_counts_the_rest() {
        let mut findings = Findings::default();
        findings.warning("unknown-field", "spec.x", "no such field");
        assert_eq!(findings.problem(), None);
        findings.error("type", "spec.weight", "not an integer");
        assert_eq!(findings.problem().as_deref(), Some("spec.weight: not an integer"));
        findings.error("type", "spec.limits", "not an object");
        assert_eq!(findings.problem().as_deref(), Some("spec.weight: not an integer (and 1 more)"));
    }
}
