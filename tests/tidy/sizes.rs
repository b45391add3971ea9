//! Files of at most 500 lines without their tests, functions of at most 70.

use crate::Finding;
use crate::source::Source;

const LONGEST_FILE: usize = 500;
const LONGEST_FUNCTION: usize = 70;

/// What is too long.
pub(crate) fn findings(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if source.lines > LONGEST_FILE && !source.is_test {
        let message =
            format!("{} lines without tests, at most {LONGEST_FILE}: split it", source.lines);
        findings.push(Finding::new(&source.file, 0, message));
    }
    for (line, name, length) in lengths(source) {
        if length > LONGEST_FUNCTION {
            let message =
                format!("fn {name} has {length} lines, at most {LONGEST_FUNCTION}: split it");
            findings.push(Finding::new(&source.file, line, message));
        }
    }
    findings
}

/// Line, name and length of each function outside tests. Relies on rustfmt: a function ends at the bracket under its beginning.
pub(crate) fn lengths(source: &Source) -> Vec<(usize, String, usize)> {
    let mut lengths = Vec::new();
    for (at, line) in source.code.iter().enumerate() {
        let Some(name) = function(line) else { continue };
        let indent = line.len() - line.trim_start().len();
        let closes = |line: &String| {
            let own = line.len() - line.trim_start().len() == indent;
            own && line.trim_start().starts_with('}')
        };
        let short = line.trim_end().ends_with(['}', ';']);
        let rest = if short { Some(0) } else { source.code[at..].iter().position(closes) };
        lengths.push((at + 1, name.to_owned(), rest.unwrap_or(0) + 1));
    }
    lengths
}

/// The name of the function that begins on this line.
fn function(line: &str) -> Option<&str> {
    const BEFORE: [&str; 4] = ["const", "async", "unsafe", "extern"];
    let (before, after) = line.split_once("fn ")?;
    let mut words = before.split_whitespace();
    let known =
        |word: &str| word.starts_with("pub") || word.ends_with(')') || BEFORE.contains(&word);
    let end = after.find(|character: char| !(character.is_alphanumeric() || character == '_'))?;
    (words.all(known) && end > 0).then(|| &after[..end])
}

/// The median, rounded down.
pub(crate) fn median(mut lengths: Vec<usize>) -> usize {
    lengths.sort_unstable();
    lengths.get(lengths.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod proofs {
    use super::*;

    fn check(file: &str, text: &str, expected: &[usize]) {
        let found = findings(&Source::new(file, text));
        assert_eq!(found.iter().map(|finding| finding.line).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn long_functions_and_files_are_found() {
        let body = |lines: usize| "        a();\n".repeat(lines);
        check(
            "a.rs",
            &format!(
                "impl A {{\n    pub(crate) const fn long(\n    ) {{\n{}    }}\n}}\n",
                body(68)
            ),
            &[2],
        );
        check("a.rs", &format!("impl A {{\n    fn short() {{\n{}    }}\n}}\n", body(68)), &[]);
        check("a.rs", &"// x\n".repeat(501), &[0]);
        check("a.rs", &"// x\n".repeat(500), &[]);
        check("a/tests.rs", &"// x\n".repeat(501), &[]);
        check(
            "a.rs",
            &format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    // x\n".repeat(501)),
            &[],
        );
    }

    #[test]
    fn the_median_is_that_of_functions() {
        let source =
            Source::new("a.rs", "fn a() {}\nfn b() {\n    c();\n}\nlet f = |x: fn (u8)| x;\n");
        let found = lengths(&source).into_iter().map(|(_, _, length)| length).collect::<Vec<_>>();
        assert_eq!(found, [1, 3]);
        assert_eq!(median(vec![9, 1, 5]), 5);
    }
}
