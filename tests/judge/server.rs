//! A real API server and kube-scheduler of the test's own, and as much of a client as the judge needs.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Requests on their way at once.
const AT_ONCE: usize = 8;

/// The control plane, which ends with this process, and the proxy that speaks plain HTTP.
pub(crate) struct Server {
    proxy: Child,
    address: String,
    /// A directory of the stack's own.
    pub(crate) state: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.proxy.kill();
        let _ = self.proxy.wait();
        let down = Path::new(env!("CARGO_MANIFEST_DIR")).join("real/down");
        let _ = Command::new(down).arg("--state").arg(&self.state).output();
        let _ = std::fs::remove_dir_all(&self.state);
    }
}

impl Server {
    /// Starts them, or says why not.
    pub(crate) fn start() -> Result<Self, String> {
        let own = std::process::id();
        let state = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("judge-{own}"));
        std::fs::create_dir_all(&state).map_err(|error| error.to_string())?;
        let none = state.join("none.json");
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": [] });
        std::fs::write(&none, list.to_string()).map_err(|error| error.to_string())?;
        let up = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("real/up"))
            .args(["--only", "control-plane", "--scheduler-only", "--parent", &own.to_string()])
            .arg("--crds")
            .arg(&none)
            .arg("--state")
            .arg(&state)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("tests/real/up: {error}"))?;
        if !up.status.success() {
            return Err(String::from_utf8_lossy(&up.stderr).into_owned());
        }
        let (proxy, address) = proxy(&state)?;
        Ok(Self { proxy, address, state })
    }

    /// Creates all, several at a time, begun in their order.
    pub(crate) fn create(&self, objects: &[Value]) {
        self.each(objects.len(), |connection, at| {
            let object = &objects[at];
            connection.ask("POST", &collection(object), Some(object));
        });
    }

    /// Patches pods, or a part of them: `/status`.
    pub(crate) fn patch(&self, part: &str, pods: &[(&Value, Value)]) {
        self.each(pods.len(), |connection, at| {
            let (pod, change) = &pods[at];
            let name = pod["metadata"]["name"].as_str().unwrap();
            connection.ask("PATCH", &format!("{}/{name}{part}", collection(pod)), Some(change));
        });
    }

    /// Deletes pods, without grace.
    pub(crate) fn delete(&self, pods: &[Value]) {
        let now = json!({ "gracePeriodSeconds": 0 });
        self.each(pods.len(), |connection, at| {
            let name = pods[at]["metadata"]["name"].as_str().unwrap();
            connection.ask("DELETE", &format!("{}/{name}", collection(&pods[at])), Some(&now));
        });
    }

    /// The items of a list, each with its kind.
    pub(crate) fn list(&self, path: &str) -> Vec<Value> {
        let mut list = Connection::new(&self.address).ask("GET", path, None);
        let kind = list["kind"].as_str().unwrap().trim_end_matches("List").to_owned();
        let Value::Array(mut items) = list["items"].take() else {
            panic!("{path}: no list: {list}")
        };
        for item in &mut items {
            item["apiVersion"] = list["apiVersion"].clone();
            item["kind"] = json!(kind);
        }
        items
    }

    fn each(&self, count: usize, act: impl Fn(&mut Connection, usize) + Sync) {
        let next = AtomicUsize::new(0);
        let failed = Mutex::new(None);
        std::thread::scope(|scope| {
            let work = || {
                let mut connection = Connection::new(&self.address);
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= count || failed.lock().unwrap().is_some() {
                        return;
                    }
                    act(&mut connection, at);
                }
            };
            let workers = (0..AT_ONCE).map(|_| scope.spawn(work)).collect::<Vec<_>>();
            for worker in workers {
                if worker.join().is_err() {
                    *failed.lock().unwrap() = Some(());
                }
            }
        });
        assert!(failed.into_inner().unwrap().is_none(), "a request failed: see above");
    }
}

fn proxy(state: &Path) -> Result<(Child, String), String> {
    let environment = std::fs::read_to_string(state.join("env")).unwrap_or_default();
    let mut places = std::env::var("PATH").unwrap_or_default();
    let added = |line: &str| Some(line.strip_prefix("export PATH=\"$PATH:")?.to_owned());
    for place in environment.lines().filter_map(added) {
        places = format!("{places}:{}", place.trim_end_matches('"'));
    }
    let mut child = Command::new("kubectl")
        .args(["proxy", "--port=0", "--kubeconfig"])
        .arg(state.join("kubeconfig"))
        .env("PATH", places)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("kubectl: {error}"))?;
    let mut line = String::new();
    let told = child.stdout.take().map(BufReader::new);
    told.ok_or("kubectl proxy: no output")?.read_line(&mut line).map_err(|e| e.to_string())?;
    let address = line.trim().rsplit(' ').next().unwrap_or_default().to_owned();
    Ok((child, address))
}

/// Where objects of this kind are made.
fn collection(object: &Value) -> String {
    let namespace = object["metadata"]["namespace"].as_str();
    match (object["kind"].as_str().unwrap(), namespace) {
        ("Pod", Some(namespace)) => format!("/api/v1/namespaces/{namespace}/pods"),
        ("Node", None) => "/api/v1/nodes".to_owned(),
        ("Namespace", None) => "/api/v1/namespaces".to_owned(),
        (kind, _) => panic!("no place is known for a {kind}"),
    }
}

/// One connection, kept open.
struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    fn new(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    fn ask(&mut self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let body = body.map(Value::to_string).unwrap_or_default();
        let kind = if method == "PATCH" { "merge-patch+json" } else { "json" };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/{kind}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.stream.get_mut().write_all((head + &body).as_bytes()).unwrap();
        let (status, answer) = self.answer();
        let text = String::from_utf8_lossy(&answer);
        assert!((200..300).contains(&status), "{method} {path}: {status} {text}\n{body}");
        serde_json::from_slice(&answer).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn answer(&mut self) -> (u16, Vec<u8>) {
        let status = self.line();
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let (mut length, mut chunked) = (0, false);
        loop {
            let line = self.line().to_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            chunked |= line.starts_with("transfer-encoding:") && line.contains("chunked");
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        while chunked {
            let length = usize::from_str_radix(&self.line(), 16).unwrap();
            let begin = body.len();
            body.resize(begin + length, 0);
            self.stream.read_exact(&mut body[begin..]).unwrap();
            self.line();
            chunked = length > 0;
        }
        (status.unwrap_or(0), body)
    }
}
