//! The scheduling checklist: one line for each thing that must hold, in a file for each topic.
//!
//! A line is `what holds | the cluster | what the plan must be`; `README.md` beside the files tells the words. The tables in
//! `docs/scheduling-rules.md` are made of the same lines, and a test holds that they are up to date
//! (`UPDATE_DOCS=1 cargo test -p joiner-planner --test checklist` renews them).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "checklist/cluster.rs"]
mod cluster;
#[path = "checklist/expected.rs"]
mod expected;

use joiner_planner::{Options, check, plan};
use std::path::{Path, PathBuf};

/// Fewer lines would make a hole in what is covered.
const FEWEST: usize = 120;

struct Line {
    holds: String,
    cluster: String,
    expected: String,
}

fn topics() -> Vec<(String, Vec<Line>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checklist");
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let text = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "txt");
    let mut files = entries.filter(text).collect::<Vec<_>>();
    files.sort();
    let topic = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        (name, text.lines().filter_map(|line| read(line, &path)).collect())
    };
    files.into_iter().map(topic).collect()
}

fn read(line: &str, path: &Path) -> Option<Line> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let parts = line.split('|').map(str::trim).collect::<Vec<_>>();
    let [holds, cluster, expected] = parts[..] else {
        panic!("{}: three parts with | between them, not {line:?}", path.display())
    };
    let own = str::to_owned;
    Some(Line { holds: own(holds), cluster: own(cluster), expected: own(expected) })
}

/// What is wrong with the line's plan, if anything is.
fn failure(line: &Line) -> Option<String> {
    let snapshot = cluster::read(&line.cluster);
    let plan = plan(&snapshot, &Options { steps: 1_000_000 });
    let mut problems = expected::compare(&line.expected, &snapshot, &plan);
    problems.extend(check(&snapshot, &plan).iter().map(ToString::to_string));
    let mut turned = snapshot.clone();
    turned.pods.reverse();
    turned.nodes.reverse();
    turned.node_pools.reverse();
    if joiner_planner::plan(&turned, &Options { steps: 1_000_000 }) != plan {
        problems.push("the plan depends on the order of objects".to_owned());
    }
    let listed = problems.iter().map(|problem| format!("    {problem}\n")).collect::<String>();
    (!problems.is_empty()).then(|| format!("  {}\n    {}\n{listed}", line.holds, line.cluster))
}

#[test]
fn every_line_of_the_checklist_holds() {
    let wanted = std::env::var("LINE").unwrap_or_default();
    let topics = topics();
    let lines = topics.iter().flat_map(|(_, lines)| lines).collect::<Vec<_>>();
    assert!(lines.len() >= FEWEST, "only {} lines", lines.len());
    let chosen = lines.iter().filter(|line| line.holds.contains(&wanted));
    let failures = chosen.filter_map(|line| failure(line)).collect::<Vec<_>>();
    assert!(failures.is_empty(), "{} lines fail:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn the_page_made_of_the_checklist_is_up_to_date() {
    let mut page = String::from(
        "# What the scheduling decides, line by line\n\nMade of `tests/checklist/*.txt` by `UPDATE_DOCS=1 cargo test -p joiner-planner --test \
         checklist`; each line is a test. The words are told in [tests/checklist/README.md](../tests/checklist/README.md).\n",
    );
    for (topic, lines) in topics() {
        page += &format!(
            "\n## {}\n\n| what holds | the cluster | the plan |\n|---|---|---|\n",
            topic.replace('-', " ")
        );
        for line in lines {
            page += &format!("| {} | `{}` | `{}` |\n", line.holds, line.cluster, line.expected);
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/scheduling-rules.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "renew it: UPDATE_DOCS=1 cargo test -p joiner-planner --test checklist"
    );
}
