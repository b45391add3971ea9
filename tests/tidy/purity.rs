//! The planner knows no clock, environment, file, network, thread or randomness, and no arithmetic that differs between machines.

use crate::Finding;
use crate::source::Source;

const PLANNER: &str = "shared/planner/src/";
/// What gives different answers at different times or on different machines, or reaches out.
const FORBIDDEN: [&str; 20] = [
    "std::time",
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "std::io",
    "HashMap",
    "HashSet",
    "RandomState",
    "include_str",
    "include_bytes",
    ".mul_add(",
    ".powf(",
    ".powi(",
    ".exp(",
    ".ln(",
    ".log2(",
    ".log10(",
    "println!(",
];

/// What of it a file of the planner uses.
pub(crate) fn findings(source: &Source) -> Vec<Finding> {
    if !source.file.starts_with(PLANNER) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (at, line) in source.code.iter().enumerate() {
        for word in FORBIDDEN.into_iter().filter(|word| line.contains(word)) {
            let message =
                format!("no {word} in the planner: what a plan depends on is in the snapshot");
            findings.push(Finding::new(&source.file, at + 1, message));
        }
    }
    findings
}

#[cfg(test)]
mod proofs {
    use super::*;

    #[test]
    fn the_world_is_found_in_the_planner_only() {
        let text = "use std::time::Instant;\nlet x = y.powf(0.5);\nlet z = y.sqrt();\n";
        let check = |file: &str, expected: &[usize]| {
            let found = findings(&Source::new(file, text));
            assert_eq!(found.iter().map(|finding| finding.line).collect::<Vec<_>>(), expected);
        };
        check("shared/planner/src/a/b.rs", &[1, 2]);
        check("shared/simulation/src/a.rs", &[]);
    }
}
