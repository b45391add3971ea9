//! Whatever a file says: reading it, planning it and explaining its first pod and node end without a panic, in a plan that the check accepts.
//!
//! The corpus is `tests/fuzz/corpus` and all scenarios. Each file is taken as it is, and then damaged by a numbered case, in its bytes, in
//! its lines or in the values of its objects. `JOINER_FUZZ=1000..9000` runs other cases, `JOINER_FUZZ=77` replays one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "fuzz/damage.rs"]
mod damage;

use catalog::Catalog;
use fastrand::Rng;
use model::Timestamp;
use observe::{DumpOptions, read_dump};
use planner::Options;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Run by whoever says nothing.
const CASES: Range<u64> = 0..300;
/// The planner may think less hard here.
const STEPS: u64 = 20_000;

#[test]
fn the_corpus_does_no_harm() {
    let catalog = Catalog::embedded().unwrap();
    let files = corpus();
    assert!(files.len() > 100, "only {} files", files.len());
    let own = files.iter().filter(|file| file.parent().is_some_and(|in_| in_.ends_with("corpus")));
    for file in own {
        assert!(!panics(file, &catalog), "{} does harm", file.display());
    }
}

#[test]
fn damaged_files_do_no_harm() {
    let catalog = Catalog::embedded().unwrap();
    let files = corpus();
    let texts = files.iter().map(|file| std::fs::read(file).unwrap()).collect::<Vec<_>>();
    let cases = cases();
    let next = AtomicU64::new(cases.start);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let run = || {
        let mut broken = Vec::new();
        loop {
            let case = next.fetch_add(1, Ordering::Relaxed);
            if case >= cases.end {
                return broken;
            }
            let damaged = damage::damage(&texts, &mut Rng::with_seed(case));
            let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{case}.yaml"));
            std::fs::write(&file, damaged).unwrap();
            if panics(&file, &catalog) {
                broken.push(format!("JOINER_FUZZ={case}, which reads {}", file.display()));
            } else {
                std::fs::remove_file(&file).unwrap();
            }
        }
    };
    let broken = std::thread::scope(|scope| {
        let threads = (0..workers).map(|_| scope.spawn(run)).collect::<Vec<_>>();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(
        broken.is_empty(),
        "these do harm; keep them in tests/fuzz/corpus:\n{}",
        broken.join("\n")
    );
}

fn cases() -> Range<u64> {
    let Ok(wanted) = std::env::var("JOINER_FUZZ") else { return CASES };
    let number =
        |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("JOINER_FUZZ={wanted}"));
    match wanted.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => number(&wanted)..number(&wanted) + 1,
    }
}

/// The files that cases begin with, in an order that does not change.
fn corpus() -> Vec<PathBuf> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let inside = |directory: &str| std::fs::read_dir(top.join(directory)).unwrap();
    let entries = ["fuzz/corpus", "scenarios"].into_iter().flat_map(inside);
    let files = entries.map(|entry| entry.unwrap().path());
    let mut files = files
        .filter(|file| file.extension().is_some_and(|of| of == "yaml" || of == "json"))
        .collect::<Vec<_>>();
    files.sort();
    files
}

/// Whether anything goes wrong with the file.
fn panics(file: &Path, catalog: &Catalog) -> bool {
    std::panic::catch_unwind(|| goes_well(file, catalog)).is_err()
}

fn goes_well(file: &Path, catalog: &Catalog) {
    let region = Some("us-east-1".to_owned());
    let options =
        DumpOptions { region, now: Some(Timestamp(1_790_000_000)), ..DumpOptions::default() };
    let dump = read_dump(&[file.to_path_buf()], catalog, &options).unwrap();
    let snapshot = dump.snapshot;
    let options = Options { steps: STEPS };
    let plan = planner::plan(&snapshot, &options);
    assert_eq!(planner::check(&snapshot, &plan), []);
    if let Some(pod) = snapshot.pods.first() {
        planner::explain_pod(&snapshot, &pod.id, &options);
    }
    if let Some(node) = snapshot.nodes.first() {
        planner::explain_node(&snapshot, &node.name, &options);
    }
    let told = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<model::Plan>(&told).unwrap(), plan);
}
