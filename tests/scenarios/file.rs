//! Reading a scenario's file: its header, and the snapshot of all other documents.

use catalog::Catalog;
use model::{Pod, PodId, Snapshot};
use observe::{DumpOptions, Severity, documents, read_dump};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The document of kind `Scenario`. What is not named must not happen.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Header {
    #[allow(dead_code, reason = "says what the document is")]
    kind: String,
    /// What the scenario shows, in a sentence.
    pub(crate) description: String,
    /// The region, if no node tells it.
    #[serde(default)]
    region: Option<String>,
    /// Copies of pods: `web: 3` makes `web-0` to `web-2` of the pod `web`.
    #[serde(default)]
    replicas: BTreeMap<String, usize>,
    /// Rules of the findings that the reader must report; notes need not be listed.
    #[serde(default)]
    findings: Vec<String>,
    /// The nodes to launch.
    #[serde(default)]
    pub(crate) launches: Vec<ExpectedLaunch>,
    /// The pods that go to nodes or claims that are there.
    #[serde(default)]
    pub(crate) placed: Vec<ExpectedPlacement>,
    /// The pods that stay.
    #[serde(default)]
    pub(crate) unschedulable: Vec<ExpectedRefusal>,
    /// The nodes to take away.
    #[serde(default)]
    pub(crate) removals: Vec<String>,
    /// The most that the launches may cost, in dollars per hour: "1.25".
    #[serde(default)]
    pub(crate) cost_at_most: Option<String>,
    /// Why the scenario fails today, if it does; it is told when it no longer does.
    #[serde(default)]
    pub(crate) fails: Option<String>,
}

/// Launches that look alike. A name that ends in `*` stands for all that begin so.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ExpectedLaunch {
    /// The pool.
    pub(crate) pool: String,
    /// How many; one if it is not said.
    #[serde(default = "one")]
    pub(crate) count: usize,
    /// Instance types of which each launch has one; any if it is not said.
    #[serde(default)]
    pub(crate) types: Vec<String>,
    /// The zone.
    #[serde(default)]
    pub(crate) zone: Option<String>,
    /// The capacity type.
    #[serde(default)]
    pub(crate) capacity_type: Option<String>,
    /// Labels that the launch must put on its node.
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    /// Pods of which it must hold at least one each.
    #[serde(default)]
    pub(crate) holds: Vec<String>,
    /// How many pods it holds.
    #[serde(default)]
    pub(crate) pod_count: Option<usize>,
}

/// Pods that go to one node.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ExpectedPlacement {
    /// The pod, by name.
    pub(crate) pod: String,
    /// The node or claim.
    pub(crate) node: String,
    /// How many such pods; one if it is not said.
    #[serde(default = "one")]
    pub(crate) count: usize,
}

/// Pods that stay for the same reason.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ExpectedRefusal {
    /// The pod, by name.
    pub(crate) pod: String,
    /// A part of the text of one of its reasons.
    pub(crate) reason: String,
    /// How many such pods; one if it is not said.
    #[serde(default = "one")]
    pub(crate) count: usize,
}

fn one() -> usize {
    1
}

/// A scenario, read.
pub(crate) struct Scenario {
    pub(crate) header: Header,
    pub(crate) snapshot: Snapshot,
    /// What the reader found and should not have, or the other way round.
    pub(crate) problems: Vec<String>,
}

impl Scenario {
    /// Reads a file; one that is no scenario is a mistake of its author and told by a panic.
    pub(crate) fn read(path: &Path, catalog: &Catalog) -> Self {
        let paths = [path.to_path_buf()];
        let header = header(&paths);
        let options = DumpOptions { region: header.region.clone(), ..DumpOptions::default() };
        let dump = read_dump(&paths, catalog, &options).unwrap();
        let problems = surprises(&dump.findings, &header.findings);
        let mut snapshot = dump.snapshot;
        for (name, copies) in &header.replicas {
            replicate(&mut snapshot.pods, name, *copies);
        }
        Self { header, snapshot, problems }
    }
}

fn header(paths: &[PathBuf]) -> Header {
    let mut headers = Vec::new();
    documents::read_files(paths, &mut |document| match document {
        Ok(document) if document.value.get("kind").and_then(Value::as_str) == Some("Scenario") => {
            headers.push(document.value);
        }
        Ok(_) => {}
        Err(error) => panic!("{error}"),
    })
    .unwrap();
    assert_eq!(headers.len(), 1, "{}: one document of kind Scenario", paths[0].display());
    let header = serde_json::from_value(headers.remove(0));
    header.unwrap_or_else(|error| panic!("{}: Scenario: {error}", paths[0].display()))
}

fn surprises(findings: &[observe::DumpFinding], expected: &[String]) -> Vec<String> {
    let serious = findings.iter().filter(|finding| finding.severity != Severity::Note);
    let unexpected = serious.filter(|finding| !expected.contains(&finding.rule));
    let mut problems = unexpected
        .map(|finding| format!("reader: {finding} ({})", finding.rule))
        .collect::<Vec<_>>();
    let found = |rule: &&String| findings.iter().any(|finding| finding.rule == **rule);
    let missing = expected.iter().filter(|rule| !found(rule));
    problems.extend(missing.map(|rule| format!("reader: {rule} is not found")));
    problems
}

fn replicate(pods: &mut Vec<Pod>, name: &str, copies: usize) {
    let at = pods.iter().position(|pod| &*pod.id.name == name);
    let pod = pods.remove(at.unwrap_or_else(|| panic!("replicas: there is no pod {name}")));
    let copy = |number| {
        let id = PodId::new(&pod.id.namespace, &format!("{name}-{number}"));
        Pod { id, ..pod.clone() }
    };
    pods.extend((0..copies).map(copy));
}
