//! The webhook as a process against a real control plane: knocks, a leader's death, admission through kubectl.
//!
//! Runs where `tests/real/up` has set KUBECONFIG and JOINER_REAL_STATE, with the webhook built (JOINER_WEBHOOK, or beside this
//! test). Elsewhere it says SKIPPED, and with JOINER_REQUIRE_CLUSTER=1 it fails.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// The longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// The webhook's binary, or why there is nothing to test.
fn binary() -> Result<PathBuf, &'static str> {
    for variable in ["KUBECONFIG", "JOINER_REAL_STATE"] {
        if std::env::var_os(variable).is_none() {
            return Err("no control plane: source what tests/real/up prints");
        }
    }
    let beside = || {
        let test = std::env::current_exe().ok()?;
        Some(test.parent()?.parent()?.join("webhook"))
    };
    let given = std::env::var_os("JOINER_WEBHOOK").map(PathBuf::from);
    let binary = given.or_else(beside).filter(|binary| binary.is_file());
    binary.ok_or("no webhook: cargo build -p webhook, or name one in JOINER_WEBHOOK")
}

fn kubectl(arguments: &[&str], input: &Value) -> Output {
    let mut command =
        Command::new(std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".to_owned()));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn apply(object: &Value) {
    let output = kubectl(&["apply", "-f", "-"], object);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Tries until it gives something.
fn wait<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let (_never, pause) = channel::<()>();
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(found) = attempt() {
            return found;
        }
        let _ = pause.recv_timeout(Duration::from_millis(200));
    }
    panic!("{what}: not within {PATIENCE:?}");
}

/// An event bus that takes everything: its address, and the events as they come.
fn bus() -> (String, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (events, taken) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let events = events.clone();
            std::thread::spawn(move || while take(stream.as_ref().unwrap(), &events).is_some() {});
        }
    });
    (address, taken)
}

/// One PutEvents call.
fn take(stream: &TcpStream, events: &std::sync::mpsc::Sender<Value>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim().to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let call: Value = serde_json::from_slice(&body).ok()?;
    let entries = call["Entries"].as_array()?;
    for entry in entries {
        let _ = events.send(entry.clone());
    }
    let answers = entries.iter().map(|_| json!({ "EventId": "1" })).collect::<Vec<_>>();
    let answer = json!({ "FailedEntryCount": 0, "Entries": answers }).to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length";
    (&*stream).write_all(format!("{head}: {}\r\n\r\n{answer}", answer.len()).as_bytes()).ok()
}

struct Replica {
    process: Child,
    metrics: u16,
    admission: u16,
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Replica {
    fn start(binary: &PathBuf, namespace: &str, bus: &str) -> Self {
        let (metrics, admission) = (free_port(), free_port());
        let mut command = Command::new(binary);
        command.args([
            "--cluster-name",
            "demo",
            "--namespace",
            namespace,
            "--admission-hosts",
            "127.0.0.1",
        ]);
        command.args(["--listen", &format!("127.0.0.1:{admission}")]);
        command.args(["--metrics-listen", &format!("127.0.0.1:{metrics}")]);
        command.env("AWS_ENDPOINT_URL", bus).env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", "testing").env("AWS_SECRET_ACCESS_KEY", "testing");
        Self { process: command.stdout(Stdio::null()).spawn().unwrap(), metrics, admission }
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.metrics)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nconnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    fn is_ready(&self) -> bool {
        self.get("/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    fn leads(&self) -> bool {
        self.get("/metrics").is_some_and(|answer| answer.contains("\njoiner_webhook_leader 1\n"))
    }
}

/// The detail of the next event of that type with that reason; others are passed over, and counted.
fn next(events: &Receiver<Value>, detail_type: &str, reason: &str) -> (Value, usize) {
    let deadline = Instant::now() + PATIENCE;
    let mut others = 0;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let event =
            events.recv_timeout(left).unwrap_or_else(|_| panic!("no {detail_type}: {reason}"));
        let detail: Value = serde_json::from_str(event["Detail"].as_str().unwrap()).unwrap();
        assert_eq!(event["EventBusName"], "joiner-demo");
        assert_eq!(event["Source"], "joiner");
        if event["DetailType"] == detail_type && detail["reason"] == reason {
            return (detail, others);
        }
        others += usize::from(event["DetailType"] == detail_type);
    }
}

/// Pods that no node can hold.
fn pods(namespace: &str, count: usize) -> Value {
    let labels = json!({ "app": "nowhere" });
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": "nowhere", "namespace": namespace },
        "spec": {
            "replicas": count,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": {
                    "nodeSelector": { "joiner.dev/nowhere": "true" },
                    "containers": [{ "name": "c", "image": "registry.invalid/c" }],
                },
            },
        },
    })
}

fn configuration(replica: &Replica) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": "joiner-webhook" },
        "webhooks": [{
            "name": "validation.joiner.dev",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Ignore",
            "clientConfig": { "url": format!("https://127.0.0.1:{}/validate", replica.admission) },
            "rules": [{
                "apiGroups": ["karpenter.sh"], "apiVersions": ["v1"],
                "operations": ["CREATE", "UPDATE"], "resources": ["nodepools"],
            }],
        }],
    })
}

fn bad_pool() -> Value {
    json!({
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": { "name": "bad" },
        "spec": { "template": { "spec": {
            "nodeClassRef": { "group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default" },
            "requirements": [{ "key": "kubernetes.io/hostname", "operator": "Exists" }],
        } } },
    })
}

fn refuses_a_bad_pool_readably(replica: &Replica) {
    const CONFIGURATION: [&str; 2] = ["validatingwebhookconfiguration", "joiner-webhook"];
    kubectl(&[&["delete", "--ignore-not-found"], &CONFIGURATION[..]].concat(), &Value::Null);
    apply(&configuration(replica));
    // A server-side dry run asks the webhooks and keeps nothing, whatever they say.
    let said = wait("a refusal", || {
        let output = kubectl(&["create", "--dry-run=server", "-f", "-"], &bad_pool());
        (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
    });
    for part in [
        "NodePool \"bad\" has 1 error",
        "spec.template.spec.requirements[0].key",
        "label-restricted",
    ] {
        assert!(said.contains(part), "{said}");
    }
    kubectl(&[&["delete"], &CONFIGURATION[..]].concat(), &Value::Null);
}

#[test]
fn two_replicas_knock_once_survive_a_death_and_refuse_bad_pools() {
    let binary = match binary() {
        Ok(binary) => binary,
        Err(reason) => {
            assert!(
                std::env::var_os("JOINER_REQUIRE_CLUSTER").is_none_or(|value| value != "1"),
                "{reason}"
            );
            println!("SKIPPED: {reason}");
            return;
        }
    };
    let namespace = format!("webhook-{}", std::process::id());
    apply(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } }));
    let (address, events) = bus();
    let mut replicas = [0, 1].map(|_| Replica::start(&binary, &namespace, &address));
    wait("two ready replicas", || replicas.iter().all(Replica::is_ready).then_some(()));
    let leader = wait("a leader", || replicas.iter().position(Replica::leads));
    assert!(!replicas[1 - leader].leads(), "two leaders");

    apply(&pods(&namespace, 50));
    let (detail, _) = next(&events, "Pods Pending", "the kube-scheduler found no node");
    assert!(detail["count"].as_u64().unwrap() >= 50, "{detail}");
    assert_eq!(detail["pods"].as_array().unwrap().len(), 5, "{detail}");
    let (_, others) = next(&events, "Pods Pending", "pods are still without a node");
    assert_eq!(others, 0, "fifty pods are one knock");

    refuses_a_bad_pool_readably(&replicas[leader]);

    replicas[leader].process.kill().unwrap();
    let (detail, _) = next(&events, "Pods Pending", "a new leader looks at everything once");
    assert!(detail["count"].as_u64().unwrap() >= 50, "{detail}");
    assert!(replicas[1 - leader].leads());
    kubectl(&["delete", "namespace", "--wait=false", &namespace], &Value::Null);
}
