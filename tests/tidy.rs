//! The house rules that compilers and clippy do not hold: who may import whom, what lies where, how large things grow.
//!
//! Every finding names the file, the line and what to do. Each rule is a function of text, and shown below it to find
//! what it should.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "tidy/layout.rs"]
mod layout;
#[path = "tidy/licences.rs"]
mod licences;
#[path = "tidy/purity.rs"]
mod purity;
#[path = "tidy/rust.rs"]
mod rust;
#[path = "tidy/sizes.rs"]
mod sizes;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/walls.rs"]
mod walls;
#[path = "tidy/words.rs"]
mod words;

use serde_json::Value;
use source::Source;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A rule broken: where, and what to do.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// The path from the top of the repository.
    file: String,
    /// The line, from 1; 0 if the finding is about the whole file.
    line: usize,
    /// What is wrong and what to do.
    message: String,
}

impl Finding {
    fn new(file: &str, line: usize, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.message),
            line => write!(f, "{}:{line}: {}", self.file, self.message),
        }
    }
}

fn assert_none(mut findings: Vec<Finding>) {
    findings.sort();
    let text = findings.iter().map(|finding| format!("{finding}\n")).collect::<String>();
    assert!(findings.is_empty(), "{} findings:\n{text}", findings.len());
}

/// The top of the repository.
fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// All files of the repository that people write, by path from its top.
fn files() -> Vec<String> {
    let mut files = Vec::new();
    let mut directories = vec![top()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if ["target", ".git", "node_modules", "dist", "cdk.out"].contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                directories.push(path);
            } else {
                let path = path.strip_prefix(top()).unwrap();
                files.push(path.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    files.sort();
    files
}

/// The Rust files, read.
fn sources() -> Vec<Source> {
    let rust = files().into_iter().filter(|file| file.ends_with(".rs"));
    let sources = rust.map(|file| {
        let text = std::fs::read_to_string(top().join(&file)).unwrap();
        Source::new(&file, &text)
    });
    let sources = sources.collect::<Vec<_>>();
    assert!(sources.len() > 100, "only {} Rust files found", sources.len());
    sources
}

fn over_sources(rule: impl Fn(&Source) -> Vec<Finding>) {
    assert_none(sources().iter().flat_map(rule).collect());
}

/// What `cargo metadata` says; `--no-deps` needs no network.
fn metadata(arguments: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--format-version", "1", "--locked"]).args(arguments);
    let output = command.current_dir(top()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn mains_are_doors_and_libraries_are_shared() {
    assert_none(layout::findings(&files(), &|file| {
        std::fs::read_to_string(top().join(file)).unwrap()
    }));
}

#[test]
fn crates_import_only_whom_they_may() {
    let packages = walls::packages(&metadata(&["--no-deps"]), &top());
    assert!(packages.len() > 5, "only {} packages found", packages.len());
    assert_none(packages.iter().flat_map(walls::findings).collect());
}

#[test]
fn dependencies_have_licences_that_go_with_ours() {
    let packages = licences::packages(&metadata(&[]));
    assert!(packages.len() > 30, "only {} dependencies found", packages.len());
    assert_none(packages.iter().filter_map(licences::finding).collect());
}

#[test]
fn files_and_functions_stay_small() {
    over_sources(sizes::findings);
}

#[test]
fn the_median_function_stays_under_ten_lines() {
    let sources = sources();
    let lengths = sources.iter().filter(|source| !source.is_test).flat_map(sizes::lengths);
    let median = sizes::median(lengths.map(|(_, _, length)| length).collect());
    assert!(median < 10, "the median function has {median} lines; split the longer ones");
}

#[test]
fn products_neither_panic_nor_reach_under_the_language() {
    over_sources(rust::findings);
}

#[test]
fn the_planner_knows_no_world() {
    over_sources(purity::findings);
}

#[test]
fn names_of_labels_are_written_once() {
    let sources = sources();
    let home = sources.iter().find(|source| source.file == words::HOME).unwrap();
    let known = words::names(home);
    assert!(known.len() > 20, "only {} names found in {}", known.len(), words::HOME);
    assert_none(sources.iter().flat_map(|source| words::labels(source, &known)).collect());
}

#[test]
fn files_tell_of_the_product_and_not_of_its_making() {
    let read = |file: &String| {
        let text = std::fs::read(top().join(file)).unwrap();
        Some((file.clone(), String::from_utf8(text).ok()?))
    };
    let texts = files().iter().filter_map(read).collect::<Vec<_>>();
    assert_none(texts.iter().flat_map(|(file, text)| words::foreign(file, text)).collect());
}
