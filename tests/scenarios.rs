//! Scenario files: a cluster in Kubernetes objects, and what must become of it.
//!
//! Each file of `tests/scenarios` goes the real way: read as a dump, planned, checked. Then its plan is carried out on
//! paper, twice: first the new nodes are on their way, then they are there and their pods run. Neither time may a new
//! plan change anything. The README beside this file tells how to add one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "scenarios/aftermath.rs"]
mod aftermath;
#[path = "scenarios/expectation.rs"]
mod expectation;
#[path = "scenarios/file.rs"]
mod file;
#[path = "scenarios/launched.rs"]
mod launched;

use catalog::Catalog;
use file::Scenario;
use model::{Plan, Snapshot};
use planner::Options;
use std::path::{Path, PathBuf};

/// Fewer would make a hole in what is covered: a file was lost, or the directory is the wrong one.
const FEWEST: usize = 25;

#[test]
fn every_scenario_ends_where_planning_again_changes_nothing() {
    let wanted = std::env::var("SCENARIO").unwrap_or_default();
    let files = files();
    assert!(files.len() >= FEWEST, "only {} scenario files", files.len());
    let chosen = files.iter().filter(|file| stem(file).contains(&wanted)).collect::<Vec<_>>();
    assert!(!chosen.is_empty(), "no scenario's name contains SCENARIO={wanted}");
    let catalog = Catalog::embedded().unwrap();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let failures = std::thread::scope(|scope| {
        let run = |worker: usize| {
            let mine = chosen.iter().skip(worker).step_by(workers);
            mine.filter_map(|file| failure(file, &catalog)).collect::<Vec<_>>()
        };
        let threads = (0..workers).map(|worker| scope.spawn(move || run(worker)));
        let threads = threads.collect::<Vec<_>>();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(
        failures.is_empty(),
        "{} of {} scenarios fail:\n\n{}",
        failures.len(),
        chosen.len(),
        failures.join("\n")
    );
}

fn files() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let yaml = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "yaml");
    let mut files = entries.filter(yaml).collect::<Vec<_>>();
    files.sort();
    files
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

/// What is wrong with one scenario, with the plan beside it; `None` if all is as it should be.
fn failure(path: &Path, catalog: &Catalog) -> Option<String> {
    let scenario = Scenario::read(path, catalog);
    let plan = planner::plan(&scenario.snapshot, &Options::default());
    let mut problems = scenario.problems.clone();
    problems.extend(sound(&scenario.snapshot, &plan));
    problems.extend(expectation::compare(&scenario.header, &plan));
    problems.extend(order_does_not_matter(&scenario.snapshot, &plan));
    problems.extend(aftermath::changes(&scenario.snapshot, &plan));
    if let Some(reason) = &scenario.header.fails {
        let fixed = format!("{}: holds now; remove `fails: {reason}`\n", stem(path));
        return problems.is_empty().then_some(fixed);
    }
    let listed = problems.iter().map(|problem| format!("  - {problem}\n")).collect::<String>();
    let title = format!("{}: {}", stem(path), scenario.header.description.trim());
    (!problems.is_empty()).then(|| format!("{title}\n{listed}{}", expectation::render(&plan)))
}

/// What must hold for every plan.
fn sound(snapshot: &Snapshot, plan: &Plan) -> Vec<String> {
    let violations = planner::check(snapshot, plan);
    let mut problems =
        violations.iter().map(|violation| format!("check: {violation}")).collect::<Vec<_>>();
    if plan.cost.lower_bound > plan.cost.planned {
        problems.push("the lower bound is above the cost".to_owned());
    }
    problems
}

fn order_does_not_matter(snapshot: &Snapshot, plan: &Plan) -> Option<String> {
    let mut turned = snapshot.clone();
    turned.pods.reverse();
    turned.nodes.reverse();
    turned.node_claims.reverse();
    turned.node_pools.reverse();
    turned.node_classes.reverse();
    turned.daemon_sets.reverse();
    turned.volumes.reverse();
    turned.volume_claims.reverse();
    let other = planner::plan(&turned, &Options::default());
    (other != *plan).then(|| {
        format!(
            "the plan depends on the order of objects; reversed:\n{}",
            expectation::render(&other)
        )
    })
}
