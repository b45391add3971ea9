//! Runs the script under `sh` with a kubectl that answers from fixtures.

use super::*;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory of its own for one test.
struct Cluster {
    directory: PathBuf,
}

impl Cluster {
    fn new(test: &str) -> Self {
        let directory =
            std::env::temp_dir().join(format!("joiner-dump-{test}-{}", std::process::id()));
        fs::create_dir_all(directory.join("bin")).unwrap();
        fs::create_dir_all(directory.join("answers")).unwrap();
        fs::create_dir_all(directory.join("tmp")).unwrap();
        let cluster = Self { directory };
        cluster.executable("kubectl", KUBECTL);
        fs::write(cluster.path("joiner-dump.sh"), script()).unwrap();
        for tool in ["sh", "cat", "sed", "grep", "rm", "wc", "tr", "tail", "mktemp"] {
            cluster.link(tool);
        }
        cluster
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn executable(&self, name: &str, text: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Makes one of the machine's programs known to the script.
    fn link(&self, tool: &str) {
        let path = std::env::var_os("PATH").unwrap();
        let mut directories = std::env::split_paths(&path);
        let found = directories.find(|directory| directory.join(tool).is_file());
        let program = found.unwrap_or_else(|| panic!("{tool} is not installed")).join(tool);
        // What is called python3 may be a wrapper, which needs more than the script may rely on.
        let program = if tool == "python3" { interpreter(&program) } else { program };
        symlink(program, self.path("bin").join(tool)).unwrap();
    }

    fn answer(&self, kind: &str, items: Value) {
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
        fs::write(self.path("answers").join(kind), list.to_string()).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(self.path("bin").join("sh"))
            .arg(self.path("joiner-dump.sh"))
            .args(arguments)
            .env_clear()
            .env("PATH", self.path("bin"))
            .env("TMPDIR", self.path("tmp"))
            .env("ANSWERS", self.path("answers"))
            .current_dir(&self.directory)
            .output()
            .unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.directory));
    }
}

/// The interpreter itself.
fn interpreter(python: &Path) -> PathBuf {
    let show = ["-c", "import sys; print(sys.executable)"];
    let output = Command::new(python).args(show).output().unwrap();
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

/// Answers from files and refuses every kind that has none, as kubectl does.
const KUBECTL: &str = r#"#!/bin/sh
[ "$1" = get ] && [ "$3 $4 $5" = "--all-namespaces -o json" ] || { echo "unexpected: $*" >&2; exit 9; }
if [ -f "$ANSWERS/$2.denied" ]; then
  echo "Error from server (Forbidden): $2 is forbidden" >&2
  exit 1
fi
if [ ! -f "$ANSWERS/$2" ]; then
  echo "error: the server doesn't have a resource type \"$2\"" >&2
  exit 1
fi
cat "$ANSWERS/$2"
"#;

/// A pod in which everything that must not leave the cluster contains the word SECRET.
fn pod() -> Value {
    let container = json!({
        "name": "main", "image": "SECRET/image", "command": ["SECRET"], "args": ["--password=SECRET"],
        "env": [{ "name": "PASSWORD", "value": "SECRET" }], "envFrom": [{ "secretRef": { "name": "SECRET" } }],
        "resources": { "requests": { "cpu": "100m" } }, "ports": [{ "hostPort": 80, "containerPort": 80 }],
        "livenessProbe": { "httpGet": { "httpHeaders": [{ "name": "Authorization", "value": "SECRET" }] } }
    });
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "web-0", "namespace": "shop", "uid": "u1", "labels": { "app": "wéb \"quoted\"" },
            "annotations": {
                "karpenter.sh/do-not-disrupt": "true",
                "controller.kubernetes.io/pod-deletion-cost": "5",
                "kubectl.kubernetes.io/last-applied-configuration": "SECRET",
                "vault.hashicorp.com/token": "SECRET"
            },
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u2", "controller": true }],
            "managedFields": [{ "manager": "SECRET" }]
        },
        "spec": {
            "containers": [container], "initContainers": [container],
            "volumes": [
                { "name": "data", "persistentVolumeClaim": { "claimName": "data" } },
                { "name": "key", "secret": { "secretName": "SECRET" } },
                { "name": "inline", "csi": { "driver": "d", "volumeAttributes": { "token": "SECRET" } } }
            ],
            "nodeSelector": { "role": "web" }, "serviceAccountName": "SECRET", "imagePullSecrets": [{ "name": "SECRET" }]
        },
        "status": { "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "SECRET" }] }
    })
}

fn fill(cluster: &Cluster) {
    cluster.answer("pods", json!([pod(), pod()]));
    cluster.answer("nodes", json!([{
        "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n1", "annotations": { "x": "SECRET" } },
        "spec": { "providerID": "aws:///us-east-1a/i-1", "taints": null },
        "status": { "allocatable": { "cpu": "2", "memory": "8Gi" }, "images": [{ "names": ["SECRET"] }], "addresses": [{ "address": "SECRET" }] }
    }]));
    cluster.answer("daemonsets.apps", json!([{
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": { "name": "d", "namespace": "kube-system" },
        "spec": { "selector": {}, "template": { "metadata": { "annotations": { "token": "SECRET" } }, "spec": pod()["spec"] } }
    }]));
    cluster.answer("persistentvolumes", json!([{
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": "pv" },
        "spec": { "csi": { "driver": "ebs.csi.aws.com", "volumeAttributes": { "token": "SECRET" } }, "capacity": { "storage": "1Gi" } }
    }]));
    cluster.answer("awsnodetemplates.karpenter.k8s.aws", json!([{
        "apiVersion": "karpenter.k8s.aws/v1alpha1", "kind": "AWSNodeTemplate", "metadata": { "name": "default" },
        "spec": { "subnetSelector": { "a": "b" }, "securityGroupSelector": { "a": "b" }, "userData": "SECRET", "context": "SECRET" }
    }]));
    cluster.answer("provisioners.karpenter.sh", json!([{
        "apiVersion": "karpenter.sh/v1alpha5", "kind": "Provisioner", "metadata": { "name": "inline" },
        "spec": { "provider": { "subnetSelector": { "a": "b" }, "userData": "SECRET" }, "annotations": { "token": "SECRET" }, "weight": 5 }
    }]));
    cluster.answer("ec2nodeclasses.karpenter.k8s.aws", json!([{
        "apiVersion": "karpenter.k8s.aws/v1", "kind": "EC2NodeClass", "metadata": { "name": "default" },
        "spec": { "role": "r", "userData": "SECRET", "tags": { "owner": "SECRET" } }
    }]));
}

/// The dump that one of the filters makes.
fn dump(test: &str, filter: &str) -> (Value, String) {
    let cluster = Cluster::new(&format!("{test}-{filter}"));
    cluster.link(filter);
    fill(&cluster);
    let output = cluster.run(&["-"]);
    let messages = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{messages}");
    let left = fs::read_dir(cluster.path("tmp")).unwrap().count();
    assert_eq!(left, 0, "temporary files stay behind");
    (serde_json::from_slice(&output.stdout).unwrap(), messages)
}

fn file_mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn no_secret_survives_and_what_the_planner_reads_does() {
    for filter in ["jq", "python3"] {
        let (dump, _) = dump("secrets", filter);
        assert!(!dump.to_string().contains("SECRET"), "{filter}: {dump}");
        assert_eq!(dump["kind"], "List");
        assert_eq!(dump["items"].as_array().unwrap().len(), 8);
        let pod = &dump["items"][0];
        assert_eq!(pod["spec"]["containers"][0]["resources"]["requests"]["cpu"], "100m");
        assert_eq!(pod["spec"]["containers"][0]["ports"][0]["hostPort"], 80);
        assert_eq!(pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"], "data");
        assert_eq!(pod["spec"]["nodeSelector"]["role"], "web");
        assert_eq!(pod["metadata"]["labels"]["app"], "wéb \"quoted\"");
        let annotations = json!({ "karpenter.sh/do-not-disrupt": "true", "controller.kubernetes.io/pod-deletion-cost": "5" });
        assert_eq!(pod["metadata"]["annotations"], annotations);
        assert_eq!(pod["metadata"]["ownerReferences"][0]["kind"], "ReplicaSet");
        assert_eq!(pod["status"]["conditions"][0]["reason"], "Unschedulable");
        let provisioner = &dump["items"][5]["spec"];
        assert_eq!(
            *provisioner,
            json!({ "provider": { "subnetSelector": { "a": "b" } }, "annotations": {}, "weight": 5 })
        );
    }
}

#[test]
fn both_filters_give_the_same_dump() {
    let ((by_jq, _), (by_python, _)) = (dump("same", "jq"), dump("same", "python3"));
    assert_eq!(by_jq, by_python);
}

#[test]
fn kinds_that_the_cluster_does_not_have_are_skipped() {
    let (_, messages) = dump("kinds", "jq");
    assert!(
        messages.contains("nodepools.karpenter.sh: the cluster has no such kind, skipped"),
        "{messages}"
    );
    assert!(messages.contains("pods: 2"), "{messages}");
}

#[test]
fn kinds_that_may_not_be_listed_are_left_out_but_pods_must_be() {
    let cluster = Cluster::new("denied");
    cluster.link("jq");
    fill(&cluster);
    fs::write(cluster.path("answers/csinodes.storage.k8s.io.denied"), "").unwrap();
    let output = cluster.run(&[]);
    let messages = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{messages}");
    assert!(
        messages.contains("csinodes.storage.k8s.io: left out: Error from server (Forbidden)"),
        "{messages}"
    );
    assert_eq!(file_mode(&cluster.path("joiner-dump.json")), 0o600);
    fs::write(cluster.path("answers/pods.denied"), "").unwrap();
    let output = cluster.run(&["other.json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!cluster.path("other.json").exists());
}

#[test]
fn without_a_filter_it_refuses() {
    let cluster = Cluster::new("neither");
    fill(&cluster);
    let output = cluster.run(&["-"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8(output.stderr).unwrap().contains("neither jq nor python3"));
}

#[test]
fn an_answer_that_is_no_json_fails() {
    for filter in ["jq", "python3"] {
        let cluster = Cluster::new(&format!("garbled-{filter}"));
        cluster.link(filter);
        fill(&cluster);
        fs::write(cluster.path("answers/nodes"), "{\"items\": [").unwrap();
        let output = cluster.run(&["-"]);
        assert_eq!(output.status.code(), Some(1), "{filter}");
        assert!(output.stdout.is_empty());
    }
}
