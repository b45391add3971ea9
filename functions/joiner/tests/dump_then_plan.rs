//! From a cluster to its plan as a visitor goes: the dump script runs with a kubectl that answers from a fixture, and what it
//! writes is planned. What the script leaves out must not change the plan.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Kinds, and what the script asks kubectl for.
const KINDS: &[(&str, &str)] = &[
    ("Pod", "pods"),
    ("Node", "nodes"),
    ("DaemonSet", "daemonsets.apps"),
    ("PodDisruptionBudget", "poddisruptionbudgets.policy"),
    ("PersistentVolumeClaim", "persistentvolumeclaims"),
    ("PersistentVolume", "persistentvolumes"),
    ("StorageClass", "storageclasses.storage.k8s.io"),
    ("NodeClaim", "nodeclaims.karpenter.sh"),
    ("CSINode", "csinodes.storage.k8s.io"),
    ("Provisioner", "provisioners.karpenter.sh"),
    ("AWSNodeTemplate", "awsnodetemplates.karpenter.k8s.aws"),
    ("NodePool", "nodepools.karpenter.sh"),
    ("EC2NodeClass", "ec2nodeclasses.karpenter.k8s.aws"),
];

/// Answers from files and refuses every kind that has none, as kubectl does.
const KUBECTL: &str = r#"#!/bin/sh
if [ ! -f "$ANSWERS/$2" ]; then
  echo "error: the server doesn't have a resource type \"$2\"" >&2
  exit 1
fi
cat "$ANSWERS/$2"
"#;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/observe/fixtures").join(name)
}

fn joiner(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(env!("CARGO_BIN_EXE_joiner")).args(arguments).output().unwrap();
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {messages}");
    output.stdout
}

/// The plan as JSON, without the findings: those tell places in the file.
fn plan(file: &Path, repack: bool) -> Value {
    let file = file.display().to_string();
    let mut arguments = vec!["plan", "--output", "json", "-f", &file];
    arguments.extend(repack.then_some("--repack"));
    let mut document = serde_json::from_slice::<Value>(&joiner(&arguments)).unwrap();
    document["findings"].take();
    document
}

/// What the fixture has, by kind, as kubectl answers; what the script does not know is left out.
fn write_answers(fixture: &Path, directory: &Path) {
    let mut objects = Vec::new();
    let files = [fixture.to_owned()];
    observe::documents::read_files(&files, &mut |found| objects.push(found.unwrap().value))
        .unwrap();
    for (kind, resource) in KINDS {
        let items = objects.iter().filter(|object| object["kind"] == *kind).collect::<Vec<_>>();
        if !items.is_empty() {
            let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
            fs::write(directory.join(resource), list.to_string()).unwrap();
        }
    }
}

fn installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Plans the fixture and what the script makes of it with one of the filters.
fn check(name: &str, filter: &str) {
    if filter == "jq" && !installed(filter) {
        eprintln!("SKIPPED: {filter} is not installed, so {name} was not dumped with it");
        return;
    }
    let directory = std::env::temp_dir()
        .join(format!("joiner-dump-then-plan-{name}-{filter}-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let (kubectl, script, dump) =
        (directory.join("kubectl"), directory.join("dump.sh"), directory.join("dump.json"));
    fs::write(&kubectl, KUBECTL).unwrap();
    fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(&script, joiner(&["dump", "--script"])).unwrap();
    write_answers(&fixture(name), &directory);
    let output = Command::new("sh")
        .args([&script, &dump])
        .env("KUBECTL", &kubectl)
        .env("JOINER_FILTER", filter)
        .env("ANSWERS", &directory)
        .output()
        .unwrap();
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {filter}: {messages}");
    for repack in [false, true] {
        let (found, expected) = (plan(&dump, repack), plan(&fixture(name), repack));
        for (field, expected) in expected.as_object().unwrap() {
            let of = format!("{field} of {name} by {filter}, repack {repack}");
            assert_eq!(&found[field], expected, "{of}\n{messages}");
        }
    }
    fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_dump_made_with_jq_gives_the_same_plan() {
    ["node-groups.yaml", "gen3.yaml", "v1.yaml"].iter().for_each(|name| check(name, "jq"));
}

#[test]
fn a_dump_made_with_python_gives_the_same_plan() {
    ["node-groups.yaml", "gen3.yaml", "v1.yaml"].iter().for_each(|name| check(name, "python3"));
}

#[test]
fn a_managed_cluster_is_packed_anew_as_a_whole() {
    let plan = plan(&fixture("node-groups.yaml"), true);
    assert_eq!(plan["unschedulable"], json!([]));
    assert_eq!(plan["repack"]["replacedNodes"].as_array().unwrap().len(), 6);
    assert_eq!(plan["repack"]["waitingPods"], 1);
    assert!(plan["repack"]["savesMicroUsdPerHour"].as_i64().unwrap() > 0);
    let held = |pool: &str| {
        let nodes = plan["nodes"].as_array().unwrap().iter();
        let of_pool = nodes.filter(|node| node["nodePool"] == pool);
        of_pool.flat_map(|node| node["pods"].as_array().unwrap()).count()
    };
    assert_eq!(held("joiner-default-gpu"), 3);
    assert_eq!(held("joiner-default") + held("joiner-default-workers"), 10);
}
