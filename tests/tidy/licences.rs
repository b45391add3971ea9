//! Licences of all dependencies, by what their manifests say.

use crate::Finding;
use serde_json::Value;

/// Licences that go with Apache-2.0 in one program.
const ALLOWED: [&str; 15] = [
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "MIT",
    "MIT-0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "0BSD",
    "ISC",
    "MPL-2.0",
    "Unicode-3.0",
    "Zlib",
    "Unlicense",
    "CC0-1.0",
    // Of data, not of code: the root certificates that the AWS SDK carries.
    "CDLA-Permissive-2.0",
];

/// A dependency: name and version, and its licence if it names one.
pub(crate) struct Package {
    name: String,
    licence: Option<String>,
}

/// All packages that are not ours, from `cargo metadata`.
pub(crate) fn packages(metadata: &Value) -> Vec<Package> {
    let foreign = |package: &&Value| !package["source"].is_null();
    let read = |package: &Value| Package {
        name: format!(
            "{} {}",
            package["name"].as_str().unwrap_or_default(),
            package["version"].as_str().unwrap_or_default()
        ),
        licence: package["license"].as_str().map(str::to_owned),
    };
    metadata["packages"].as_array().unwrap().iter().filter(foreign).map(read).collect()
}

/// A licence that does not go with ours.
pub(crate) fn finding(package: &Package) -> Option<Finding> {
    let message = match &package.licence {
        None => format!("{} names no licence: do without it", package.name),
        Some(licence) if permits(licence) => return None,
        Some(licence) => format!("{} has the licence {licence}: do without it", package.name),
    };
    Some(Finding::new("Cargo.lock", 0, message))
}

/// Whether the expression leaves a choice of allowed licences. `a OR b` needs one of them, `a AND b` both.
fn permits(expression: &str) -> bool {
    let expression = expression.trim().replace('/', " OR ");
    if let Some((left, right)) = split(&expression, " OR ") {
        return permits(left) || permits(right);
    }
    if let Some((left, right)) = split(&expression, " AND ") {
        return permits(left) && permits(right);
    }
    let inner = expression.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    inner.map_or_else(|| ALLOWED.contains(&expression.trim()), permits)
}

/// Splits at the first such word outside brackets.
fn split<'a>(expression: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let outside = |at: &usize| {
        let before = &expression[..*at];
        before.matches('(').count() == before.matches(')').count()
    };
    let at = expression.match_indices(word).map(|(at, _)| at).find(outside)?;
    Some((&expression[..at], &expression[at + word.len()..]))
}

#[cfg(test)]
mod proofs {
    use super::*;

    fn check(licence: Option<&str>, permitted: bool) {
        let package = Package { name: "a 1.0.0".into(), licence: licence.map(str::to_owned) };
        assert_eq!(finding(&package).is_none(), permitted, "{licence:?}");
    }

    #[test]
    fn licences_are_read_as_expressions() {
        check(Some("MIT"), true);
        check(Some("MIT/Apache-2.0"), true);
        check(Some("Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT"), true);
        check(Some("(MIT OR Apache-2.0) AND Unicode-3.0"), true);
        check(Some("GPL-3.0-only"), false);
        check(Some("GPL-3.0-only OR MIT"), true);
        check(Some("MIT AND GPL-3.0-only"), false);
        check(Some("(MIT OR GPL-2.0) AND (AGPL-3.0 OR LGPL-2.1)"), false);
        check(None, false);
    }
}
