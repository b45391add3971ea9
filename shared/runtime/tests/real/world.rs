//! The world of one test: an account, a cluster, and functions that come and go.

use super::objects::{class, pool};
use super::seen::Seen;
use super::stack::Stack;
use super::wire::{self, Call, When, Wire};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use joiner_runtime::installation::{Installation, InstallationError, Knocked, TurnError};
use observe::cluster::Connection;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Mutex, MutexGuard};

pub(crate) const CLAIMS: &str = "/apis/karpenter.sh/v1/nodeclaims";
pub(crate) const NODES: &str = "/api/v1/nodes";
pub(crate) const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const REPLICA_SETS: &str = "/apis/apps/v1/namespaces/default/replicasets";
pub(crate) const BUDGETS: &str = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
pub(crate) const PROVISIONERS: &str = "/apis/karpenter.sh/v1alpha5/provisioners";
const TEMPLATES: &str = "/apis/karpenter.k8s.aws/v1alpha1/awsnodetemplates";
const PODS: &str = "/api/v1/namespaces/default/pods";
pub(crate) const POOLS: &str = "/apis/karpenter.sh/v1/nodepools";
pub(crate) const CLASSES: &str = "/apis/karpenter.k8s.aws/v1/ec2nodeclasses";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/joiner/leases/joiner";
pub(crate) const CONFIG_MAPS: &str = "/api/v1/namespaces/joiner/configmaps";
/// Whatever a test waits for comes within seconds; two minutes are for machines that are busy.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Tests of one binary take turns: they share its stack.
static ONE: Mutex<()> = Mutex::const_new(());

/// One test's world.
pub(crate) struct World {
    stack: &'static Stack,
    server: kube::Client,
    settings: BTreeMap<String, String>,
    /// Instances that were there before the test's round began.
    before: BTreeSet<String>,
    _one: MutexGuard<'static, ()>,
}

/// A function's process: its clients, and what it remembers while it is warm.
pub(crate) struct Function {
    pub(crate) wire: Arc<Wire>,
    pub(crate) installation: Installation,
}

/// How a function ended whose calls were to be cut.
pub(crate) enum Ended {
    /// It failed for another reason: the machine is busy, and a deadline has passed.
    Failed,
    /// It had fewer calls than that.
    Unharmed {
        /// All its calls.
        calls: Vec<Call>,
    },
    /// At this call.
    Cut {
        /// The call.
        call: Call,
        /// Whether the cluster or the account may have been changed before that, beyond the lease.
        touched: bool,
    },
}

impl World {
    /// The world of this binary's stack, empty; `None` if there are no real parts.
    pub(crate) async fn open() -> Option<Self> {
        let one = ONE.lock().await;
        let stack = Stack::get()?;
        let kubeconfig = Path::new(stack.variable("KUBECONFIG"));
        let connection = Connection::from_kubeconfig(Some(kubeconfig), None).await.unwrap();
        let mut world = Self {
            stack,
            server: connection.client,
            settings: BTreeMap::new(),
            before: BTreeSet::new(),
            _one: one,
        };
        world.control("POST", "reset", &json!({})).await;
        world.prepare().await;
        world.reset().await;
        Some(world)
    }

    async fn prepare(&mut self) {
        let aws = self.aws(&Arc::default());
        let sqs = aws_sdk_sqs::Client::new(&aws);
        for (setting, name) in
            [("FOLLOW_UP_QUEUE_URL", "schedule"), ("DEAD_LETTER_QUEUE_URL", "dead")]
        {
            let made = sqs.create_queue().queue_name(name).send().await.unwrap();
            self.settings.insert(setting.to_owned(), made.queue_url.unwrap());
        }
        self.s3().create_bucket().bucket("turns").send().await.unwrap();
        let own = [
            ("CLUSTER_NAME", self.stack.variable("CLUSTER_NAME")),
            ("TURNS_BUCKET", "turns"),
            ("METRICS", "none"),
            ("PLANNER_STEPS", "1000000"),
        ];
        self.settings.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
        for path in [POOLS, PROVISIONERS, CLASSES, TEMPLATES] {
            self.delete_all(path).await;
        }
        self.apply(CLASSES, &class()).await;
        self.apply(POOLS, &pool(&["m5.xlarge"], &["us-east-1a"])).await;
    }

    /// The account, over this wire.
    pub(crate) fn aws(&self, wire: &Arc<Wire>) -> SdkConfig {
        self.aws_as(wire, self.stack.variable("AWS_ACCESS_KEY_ID"))
    }

    /// The account with another access key.
    pub(crate) fn aws_as(&self, wire: &Arc<Wire>, key: &str) -> SdkConfig {
        let others = self.stack.variable("AWS_ENDPOINT_URL_EC2");
        let flow = self.stack.variable("AWS_ENDPOINT_URL");
        let secret = self.stack.variable("AWS_SECRET_ACCESS_KEY");
        let credentials = Credentials::new(key, secret, None, None, "test");
        let region = Region::new(self.stack.variable("AWS_REGION").to_owned());
        let plain = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(region)
            .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(
                credentials,
            ))
            .endpoint_url(others)
            .sleep_impl(aws_smithy_async::rt::sleep::SharedAsyncSleep::new(
                aws_smithy_async::rt::sleep::TokioSleep::new(),
            ))
            .http_client(wire::aws(wire, others, flow));
        plain.build()
    }

    pub(crate) fn s3(&self) -> aws_sdk_s3::Client {
        let aws = self.aws(&Arc::default());
        let config = aws_sdk_s3::config::Builder::from(&aws).force_path_style(true).build();
        aws_sdk_s3::Client::from_conf(config)
    }

    pub(crate) fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.aws(&Arc::default()))
    }

    pub(crate) fn ec2(&self) -> aws_sdk_ec2::Client {
        aws_sdk_ec2::Client::new(&self.aws(&Arc::default()))
    }

    pub(crate) fn setting(&self, name: &str) -> &str {
        &self.settings[name]
    }

    /// A function that has just begun.
    pub(crate) async fn function(&self) -> Function {
        let wire = Arc::default();
        self.begin(&wire).await.unwrap()
    }

    /// A function over this wire.
    pub(crate) async fn begin(&self, wire: &Arc<Wire>) -> Result<Function, InstallationError> {
        self.begin_as(wire, &self.aws(wire)).await
    }

    /// A function over this wire, with this identity.
    pub(crate) async fn begin_as(
        &self,
        wire: &Arc<Wire>,
        aws: &SdkConfig,
    ) -> Result<Function, InstallationError> {
        let environment = |name: &str| self.settings.get(name).cloned();
        let cluster = wire::cluster(wire, &self.server);
        let installation = Installation::new(&environment, aws, Some(cluster)).await?;
        Ok(Function { wire: Arc::clone(wire), installation })
    }

    /// A function that lives until `life` is over, or until the call of this number among those that count. Whoever dies so leaves
    /// its lease behind; 15 seconds later it is free.
    pub(crate) async fn mortal(
        &self,
        (number, when, counts): (usize, When, fn(&Call) -> bool),
        life: impl AsyncFnOnce(Function) -> bool,
    ) -> Ended {
        // What is remembered of AWS spares calls: without it, each function makes all of them.
        self.delete_all(CONFIG_MAPS).await;
        let wire = Arc::<Wire>::default();
        wire.cut_at(number, when, counts);
        let life = async {
            let function = self.begin(&wire).await.unwrap();
            life(function).await
        };
        let well = tokio::select! {
            biased;
            () = wire.is_cut() => None,
            well = life => Some(well),
        };
        let mut calls = wire.calls();
        match well {
            Some(true) => return Ended::Unharmed { calls },
            Some(false) => return Ended::Failed,
            None => {}
        }
        self.let_the_lease_end().await;
        let of_number = calls.iter().enumerate().filter(|(_, call)| counts(call)).nth(number - 1);
        let call = calls.remove(of_number.unwrap().0);
        let touched = calls.iter().any(Call::lasts) || when == When::After && call.lasts();
        Ended::Cut { touched, call }
    }

    /// Makes the lease as old as it is 16 seconds after its holder's end.
    pub(crate) async fn let_the_lease_end(&self) {
        let old = json!({ "spec": { "renewTime": "2020-01-01T00:00:00.000000Z" } });
        let _ = self.api("PATCH", LEASE, &old).await;
    }

    /// Asks the API server, past all wires.
    pub(crate) async fn api(&self, method: &str, path: &str, body: &Value) -> Result<Value, u16> {
        let patch = method == "PATCH";
        let kind = if patch { "application/merge-patch+json" } else { "application/json" };
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = http::Request::builder().method(method).uri(path);
        let request = request.header("content-type", kind).body(bytes).unwrap();
        match self.server.request::<Value>(request).await {
            Ok(answer) => Ok(answer),
            Err(kube::Error::Api(status)) => Err(status.code),
            Err(error) => panic!("{method} {path}: {error}"),
        }
    }

    /// Creates an object.
    pub(crate) async fn apply(&self, path: &str, object: &Value) -> Value {
        self.api("POST", path, object)
            .await
            .unwrap_or_else(|code| panic!("{path}: {code}: {object}"))
    }

    pub(crate) async fn list(&self, path: &str) -> Vec<Value> {
        let list = self.api("GET", path, &Value::Null).await.unwrap();
        list["items"].as_array().cloned().unwrap_or_default()
    }

    pub(crate) async fn delete_all(&self, path: &str) {
        let now = json!({ "gracePeriodSeconds": 0 });
        for object in self.list(path).await {
            let one = format!("{path}/{}", object["metadata"]["name"].as_str().unwrap());
            if object["metadata"]["finalizers"].is_array() {
                let _ =
                    self.api("PATCH", &one, &json!({ "metadata": { "finalizers": null } })).await;
            }
            let _ = self.api("DELETE", &one, &now).await;
        }
    }

    /// Asks the emulator of AWS itself.
    pub(crate) async fn control(&self, method: &str, path: &str, body: &Value) -> Value {
        let url = self.stack.variable("JOINER_FAULTS_URL");
        let (host, root) = url.trim_start_matches("http://").split_once('/').unwrap();
        let body = body.to_string();
        let request = format!(
            "{method} /{root}/{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{method} {path}: {head} {body}");
        serde_json::from_str(body).unwrap()
    }

    /// How often AWS was asked to do this since the round began.
    pub(crate) async fn asked(&self, action: &str) -> u64 {
        let counts = self.control("GET", "calls/count", &json!({})).await;
        counts[action].as_u64().unwrap_or(0)
    }

    /// All answers of AWS are as they should be again.
    pub(crate) async fn mend(&self) {
        self.control("DELETE", "faults", &json!({})).await;
    }

    /// Has AWS fail.
    pub(crate) async fn fault(&self, fault: Value) {
        self.control("POST", "faults", &fault).await;
    }

    pub(crate) async fn seen(&self) -> Seen {
        let instances = self.control("GET", "instances", &json!({})).await;
        let all = instances.as_array().cloned().unwrap_or_default();
        let known = |each: &Value| self.before.contains(each["id"].as_str().unwrap());
        Seen {
            claims: self.list(CLAIMS).await,
            nodes: self.list(NODES).await,
            pods: self.list(PODS).await,
            instances: all.into_iter().filter(|each| !known(each)).collect(),
        }
    }

    /// Ends everything, so that the next round begins with nothing.
    pub(crate) async fn reset(&mut self) {
        self.control("DELETE", "faults", &json!({})).await;
        let _ = self.api("DELETE", LEASE, &Value::Null).await;
        self.delete_all(CONFIG_MAPS).await;
        for path in [DEPLOYMENTS, REPLICA_SETS, BUDGETS] {
            self.delete_all(path).await;
        }
        self.eventually("nothing is left", async || {
            let seen = self.seen().await;
            for path in [PODS, CLAIMS, NODES] {
                self.delete_all(path).await;
            }
            for instance in seen.live() {
                self.control("POST", "terminate", &json!({ "instance": instance["id"] })).await;
            }
            seen.is_empty()
        })
        .await;
        let seen = self.seen().await;
        self.before
            .extend(seen.instances.iter().map(|each| each["id"].as_str().unwrap().to_owned()));
        self.control("DELETE", "calls", &json!({})).await;
    }

    /// Pods of which a node of 4 cores holds one; their uids.
    pub(crate) async fn pods(&self, count: usize) -> Vec<Value> {
        self.more_pods(0, count).await
    }

    /// Pods from this number on, up to so many in all; the uids of the new ones.
    pub(crate) async fn more_pods(&self, from: usize, count: usize) -> Vec<Value> {
        let mut uids = Vec::new();
        for number in from..count {
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": { "name": format!("web-{number}") },
                "spec": { "terminationGracePeriodSeconds": 0, "containers": [{
                    "name": "main", "image": "web",
                    "resources": { "requests": { "cpu": "2500m", "memory": "1Gi" } },
                }]},
            });
            uids.push(self.apply(PODS, &pod).await["metadata"]["uid"].clone());
        }
        self.eventually("the scheduler has given up the pods", async || {
            let pods = self.list(PODS).await;
            pods.iter().all(|pod| pod["status"]["conditions"].is_array()) && pods.len() == count
        })
        .await;
        uids
    }

    /// Deletes all claims, past their finalizers.
    pub(crate) async fn forget_claims(&self) {
        self.delete_all(CLAIMS).await;
    }

    pub(crate) async fn delete_pods(&self) {
        self.delete_all(PODS).await;
        self.eventually("the pods are gone", async || self.list(PODS).await.is_empty()).await;
    }

    /// Waits for a condition; fails loudly if it does not come.
    pub(crate) async fn eventually(&self, what: &str, mut condition: impl AsyncFnMut() -> bool) {
        let begun = Instant::now();
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        while !condition().await {
            if begun.elapsed() > PATIENCE {
                panic!("not within {PATIENCE:?}: {what}; {}", self.told(&self.seen().await));
            }
            ticks.tick().await;
        }
    }

    fn told(&self, seen: &Seen) -> String {
        format!("there is\n{seen:?}and this was done:\n{}", self.audit())
    }

    /// Who took which pod or node away, bound it or changed its taints: the last lines of the API server's audit log, in short.
    fn audit(&self) -> String {
        const LAST: usize = 40;
        let path = Path::new(self.stack.variable("JOINER_REAL_STATE")).join("logs/audit.log");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let told = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let told = told.map(|event| {
            let part = |pointer: &str| event.pointer(pointer).unwrap_or(&Value::Null).clone();
            let who = [part("/stageTimestamp"), part("/userAgent"), part("/verb")];
            let what =
                ["resource", "subresource", "name"].map(|key| part(&format!("/objectRef/{key}")));
            let how = [part("/responseStatus/code"), part("/requestObject/spec/taints")];
            let all = who.into_iter().chain(what).chain(how).filter(|part| !part.is_null());
            all.map(|part| part.to_string()).collect::<Vec<_>>().join(" ")
        });
        let told = told.collect::<Vec<_>>();
        told[told.len().saturating_sub(LAST)..].join("\n")
    }

    /// Takes turns until the world is as described.
    pub(crate) async fn turns(
        &self,
        function: &mut Function,
        what: &str,
        mut done: impl FnMut(&Seen) -> bool,
    ) -> Seen {
        let begun = Instant::now();
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            let seen = self.seen().await;
            if done(&seen) {
                return seen;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "not within {PATIENCE:?}: {what}; {}",
                self.told(&seen)
            );
            // A turn that fails is followed by another, here as there.
            if let Err(error) = function.turn().await {
                eprintln!("a turn failed ({error}); the next one goes on");
            }
            ticks.tick().await;
        }
    }

    /// Goes on until so many pods run on nodes that are set up, each bought once; these are the pods that were there.
    pub(crate) async fn pods_run(
        &self,
        function: &mut Function,
        uids: &[Value],
        about: &str,
    ) -> Seen {
        let count = uids.len();
        let done = |seen: &Seen| seen.running(count) && seen.claims_are("Initialized", count);
        let seen = self.turns(function, &format!("{about}: all pods run"), done).await;
        let kept = seen.pods.iter().map(|pod| pod["metadata"]["uid"].clone()).collect::<Vec<_>>();
        assert_eq!(kept, uids, "{about}: pods were lost");
        seen.is_whole(count, about);
        seen
    }
}

impl Function {
    /// One invocation.
    pub(crate) async fn turn(&mut self) -> Result<Knocked, TurnError> {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.installation.knock("Pods Pending", &format!("{number:08x}")).await
    }

    /// One invocation that must take its turn.
    pub(crate) async fn report(&mut self) -> joiner_runtime::Report {
        match self.turn().await.unwrap() {
            Knocked::Turned(report) => *report,
            other @ (Knocked::Busy | Knocked::Paused) => panic!("no turn was taken: {other:?}"),
        }
    }
}
