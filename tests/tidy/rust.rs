//! What no product code does: panic on purpose, or use `unsafe`; what every file is spared: sleeps and empty names.

use crate::Finding;
use crate::source::Source;

/// Calls that end the program; clippy finds most of them too, but only where it is run.
const PANICS: [&str; 6] =
    [".unwrap()", ".expect(\"", "panic!(", "todo!(", "unimplemented!(", "unreachable!("];
/// Endings of names that say nothing.
const EMPTY: [&str; 5] = ["Manager", "Helper", "Helpers", "Utils", "Service"];

/// What must not be in the file.
pub(crate) fn findings(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if source.file.ends_with("/lib.rs")
        && !source.text.first().is_some_and(|line| line.starts_with("//! "))
    {
        let message =
            "begin with a //! comment: what the crate owns, may import, and does not know";
        findings.push(Finding::new(&source.file, 1, message));
    }
    for (at, line) in source.code.iter().enumerate() {
        let mut add = |message: String| findings.push(Finding::new(&source.file, at + 1, message));
        if words(line).any(|word| word == "unsafe") {
            add("no unsafe code".to_owned());
        }
        if line.contains("thread::sleep") || line.contains("time::sleep(") {
            add("no sleeps: wait for what is meant".to_owned());
        }
        if let Some(name) = empty_name(line) {
            add(format!("{name} says nothing: use a noun of Kubernetes, Karpenter or EC2"));
        }
        if !source.is_test && !source.file.contains("/examples/") {
            for call in PANICS.into_iter().filter(|call| calls(line, &source.text[at], call)) {
                add(format!("no {call} outside tests: return an error"));
            }
        }
    }
    findings
}

/// A parser may have a method `expect` of its own, so that one is only found with a message.
fn calls(code: &str, text: &str, call: &str) -> bool {
    match call.strip_suffix('"') {
        Some(beginning) => code.contains(beginning) && text.contains(call),
        None => code.contains(call),
    }
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|character: char| !(character.is_alphanumeric() || character == '_'))
}

fn empty_name(line: &str) -> Option<&str> {
    let mut all = words(line);
    all.find(|word| ["struct", "enum", "trait", "type"].contains(word))?;
    all.next().filter(|name| EMPTY.iter().any(|empty| name.ends_with(empty)))
}

#[cfg(test)]
mod proofs {
    use super::*;

    fn check(file: &str, text: &str, expected: &[usize]) {
        let found = findings(&Source::new(file, text));
        assert_eq!(
            found.iter().map(|finding| finding.line).collect::<Vec<_>>(),
            expected,
            "{text}"
        );
    }

    #[test]
    fn each_rule_finds_what_it_should() {
        check("a.rs", "fn a() {\n    b().unwrap();\n}\n", &[2]);
        check("a.rs", "fn a() {\n    b().expect(\"b\");\n}\n", &[2]);
        check("a.rs", "fn a() {\n    self.expect(b'{');\n}\n", &[]);
        check("a.rs", "fn a() {\n    panic!(\"b\");\n}\n", &[2]);
        check("a.rs", "// b().unwrap()\n#[cfg(test)]\nmod tests {\n    b().unwrap();\n}\n", &[]);
        check("a/tests.rs", "b().unwrap();\n", &[]);
        check("a/tests.rs", "unsafe {}\n", &[1]);
        check("a.rs", "fn a() { \"unsafe\"; }\n", &[]);
        check("a.rs", "std::thread::sleep(d);\n", &[1]);
        check("a.rs", "pub(crate) struct PodManager;\n", &[1]);
        check("a.rs", "enum ServiceLevel {}\n", &[]);
        check("a/lib.rs", "mod a;\n", &[1]);
        check("a/lib.rs", "//! Owns a.\nmod a;\n", &[]);
    }
}
