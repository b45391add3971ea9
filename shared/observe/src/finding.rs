//! What is odd about a dump, and where.

use serde::Serialize;
use std::fmt;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something is left out of the plan because of it.
    Error,
    /// Something may be planned otherwise than meant.
    Warning,
    /// Something was assumed.
    Note,
}

/// Where in the input a finding is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The file's name as given.
    pub file: String,
    /// Which document of the file, from 1.
    pub document: usize,
    /// Which item of the document, from 1, if it is a list.
    pub item: Option<usize>,
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
}

/// Something odd about a dump.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DumpFinding {
    /// How bad it is.
    pub severity: Severity,
    /// Where it is; `None` if it concerns the dump as a whole.
    pub place: Option<Place>,
    /// The object: `Pod shop/cart-0`; empty if it concerns no single one.
    pub object: String,
    /// The field: `spec.containers[0].resources`; empty if it concerns no single one.
    pub path: String,
    /// The rule's id: short, stable, kebab-case.
    pub rule: String,
    /// The cause and what to do.
    pub message: String,
}

impl DumpFinding {
    /// A finding about the dump as a whole.
    pub(crate) fn general(severity: Severity, rule: &str, message: String) -> Self {
        let (object, path) = (String::new(), String::new());
        Self { severity, place: None, object, path, rule: rule.to_owned(), message }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

impl fmt::Display for Place {
    /// `dump.yaml:12`, or where there is no line `dump.json document 1 item 4`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.file == "-" { "standard input" } else { &self.file })?;
        match (self.line, self.item) {
            (Some(line), _) => write!(f, ":{line}"),
            (None, Some(item)) => write!(f, " document {} item {item}", self.document),
            (None, None) => write!(f, " document {}", self.document),
        }
    }
}

impl fmt::Display for DumpFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.as_ref().map_or(Ok(()), |place| write!(f, "{place}: "))?;
        for part in [&self.object, &self.path].into_iter().filter(|part| !part.is_empty()) {
            write!(f, "{part}: ")?;
        }
        f.write_str(&self.message)
    }
}
