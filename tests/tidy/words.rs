//! Words that are written in one place only, and words that do not belong in a product.

use crate::Finding;
use crate::source::Source;

/// Where the names of labels, annotations, taints and tags are.
pub(crate) const HOME: &str = "shared/model/src/labels.rs";
/// What Karpenter's names begin with.
const KARPENTER: [&str; 2] = ["karpenter.sh/", "karpenter.k8s.aws/"];
/// How the product was made is nobody's business who reads it. In parts, so that this file does not contain them.
const FOREIGN: [&[&str]; 7] = [
    &["/wo", "rk/"],
    &["/ro", "ot/"],
    &["bash", "_jobs"],
    &["clau", "de"],
    &["anthro", "pic"],
    &["chat", "gpt"],
    &["language ", "model"],
];

/// The constants of the home: name and value.
pub(crate) fn names(home: &Source) -> Vec<(String, String)> {
    let constant = |(line, value): &(usize, String)| {
        let code = home.code.get(line - 1)?.trim().strip_prefix("pub const ")?;
        let (name, rest) = code.split_once(':')?;
        rest.trim_start().starts_with("&str").then(|| (name.to_owned(), value.clone()))
    };
    home.strings.iter().filter_map(constant).collect()
}

/// Names of labels that are written out instead of imported.
pub(crate) fn labels(source: &Source, known: &[(String, String)]) -> Vec<Finding> {
    if source.is_test || source.file == HOME || source.file.contains("/examples/") {
        return Vec::new();
    }
    let finding = |(line, text): &(usize, String)| {
        let constant = known.iter().find(|(_, value)| value == text);
        let message = match constant {
            Some((name, _)) => format!("use model::labels::{name}"),
            None if is_karpenters(text) => format!("give {text} a name in {HOME} and use that"),
            None => return None,
        };
        Some(Finding::new(&source.file, *line, message))
    };
    source.strings.iter().filter_map(finding).collect()
}

/// Whether the text is a name of Karpenter's, and not an API version.
fn is_karpenters(text: &str) -> bool {
    let rest = KARPENTER.into_iter().find_map(|prefix| text.strip_prefix(prefix));
    let version = |rest: &str| {
        rest.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    rest.is_some_and(|rest| !version(rest) && !rest.contains(char::is_whitespace))
}

/// Lines that tell of how the product was made.
pub(crate) fn foreign(file: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.to_lowercase();
        for word in FOREIGN.map(<[&str]>::concat).into_iter().filter(|word| stands_in(&line, word))
        {
            let message = format!("{word:?} tells of how the product was made: leave it out");
            findings.push(Finding::new(file, at + 1, message));
        }
    }
    findings
}

/// Whether the word is there and does not continue another.
fn stands_in(line: &str, word: &str) -> bool {
    let begins =
        |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || ".-_*".contains(c));
    line.match_indices(word).any(|(at, _)| begins(at))
}

#[cfg(test)]
mod proofs {
    use super::*;

    #[test]
    fn names_written_twice_are_found() {
        let home = Source::new(HOME, "pub const ZONE: &str = \"topology.kubernetes.io/zone\";\n");
        let known = names(&home);
        let check = |file: &str, text: &str, expected: &[usize]| {
            let found = labels(&Source::new(file, text), &known);
            let lines = found.iter().map(|finding| finding.line).collect::<Vec<_>>();
            assert_eq!(lines, expected, "{text}");
        };
        check("a.rs", "let zone = \"topology.kubernetes.io/zone\";", &[1]);
        check("a.rs", "// topology.kubernetes.io/zone\nlet zone = labels::ZONE;", &[]);
        check("a.rs", "\nlet new = \"karpenter.sh/new\";", &[2]);
        check("a.rs", "let version = \"karpenter.k8s.aws/v1beta1\";", &[]);
        check("a/tests.rs", "let zone = \"topology.kubernetes.io/zone\";", &[]);
        check("a.rs", "#[cfg(test)]\nmod tests {\n    let new = \"karpenter.sh/new\";\n}", &[]);
    }

    #[test]
    fn what_tells_of_the_making_is_found() {
        let path = FOREIGN[0].concat();
        let check = |text: String, expected: usize| {
            assert_eq!(foreign("a.md", &text).len(), expected, "{text}");
        };
        check(format!("see {path}notes.md"), 1);
        check(format!("in home{path}notes.md and ..{path}x"), 0);
        check("a network/file".to_owned(), 0);
    }
}
