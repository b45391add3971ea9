//! The reader against recorded exchanges: what it asks for, in which order, and what it makes of each answer.

use super::*;
use crate::live::{Observation, assemble};
use crate::{DumpOptions, Severity};
use bytes::Bytes;
use catalog::Catalog;
use futures::StreamExt;
use http::{Request, Response, StatusCode};
use http_body_util::StreamBody;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

type Parts = futures::stream::BoxStream<'static, Result<http_body::Frame<Bytes>, Infallible>>;

/// One answer.
#[derive(Clone, Debug)]
struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Whether the answer stays open after the body, as a watch does.
    open: bool,
    /// Whether there is no answer at all.
    broken: bool,
}

fn reply(status: u16, body: impl ToString) -> Reply {
    let body = body.to_string().into_bytes();
    Reply { status, headers: Vec::new(), body, open: false, broken: false }
}

fn broken() -> Reply {
    Reply { broken: true, ..reply(0, "") }
}

fn page(version: u64, items: Vec<Value>, next: Option<&str>, remaining: Option<u64>) -> Reply {
    let metadata = json!({
        "resourceVersion": version.to_string(), "continue": next, "remainingItemCount": remaining,
    });
    reply(200, json!({ "metadata": metadata, "items": items }))
}

fn list(version: u64, items: Vec<Value>) -> Reply {
    page(version, items, None, None)
}

/// What a consistent list of one object says of `count` objects.
fn mark(version: u64, count: u64) -> Reply {
    match count {
        0 => list(version, vec![]),
        1 => list(version, vec![json!({})]),
        more => page(version, vec![json!({})], Some("more"), Some(more - 1)),
    }
}

fn events(events: &[(&str, u64, Value)]) -> Reply {
    let line = |(kind, version, object): &(&str, u64, Value)| {
        let mut object = object.clone();
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        json!({ "type": kind, "object": object }).to_string() + "\n"
    };
    Reply { open: true, ..reply(200, events.iter().map(line).collect::<String>()) }
}

/// An API server that answers from a script: by what is asked for (`list pods`, `next pods`, `mark pods`, `watch pods`, `waiting pods`) one
/// reply after the other, the last one again and again; everything else is empty.
#[derive(Clone, Default)]
struct Server {
    replies: Arc<Mutex<BTreeMap<String, VecDeque<Reply>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn answer(&self, asked: &str, replies: impl IntoIterator<Item = Reply>) -> &Self {
        self.replies.lock().unwrap().insert(asked.to_owned(), replies.into_iter().collect());
        self
    }

    fn reader(&self) -> ClusterReader {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let response = server.respond(&request.uri().to_string());
            async move { response }
        });
        ClusterReader::new(kube::Client::new(service, "default"))
    }

    fn respond(&self, uri: &str) -> Result<Response<StreamBody<Parts>>, std::io::Error> {
        let asked = name_of(uri);
        self.asked.lock().unwrap().push(asked.clone());
        let reply = self.next(&asked);
        if reply.broken {
            return Err(std::io::ErrorKind::ConnectionReset.into());
        }
        let mut response = Response::builder().status(StatusCode::from_u16(reply.status).unwrap());
        for (name, value) in reply.headers {
            response = response.header(name, value);
        }
        // In two parts, so that no reader relies on whole ones.
        let (first, second) = reply.body.split_at(reply.body.len() / 2);
        let parts = [first, second].map(|part| Ok(http_body::Frame::data(part.to_vec().into())));
        let parts = futures::stream::iter(parts);
        let body = match reply.open {
            true => parts.chain(futures::stream::pending()).boxed(),
            false => parts.boxed(),
        };
        Ok(response.body(StreamBody::new(body)).unwrap())
    }

    fn next(&self, asked: &str) -> Reply {
        let mut replies = self.replies.lock().unwrap();
        match replies.get_mut(asked) {
            Some(queue) if queue.len() > 1 => queue.pop_front().unwrap(),
            Some(queue) => queue.front().unwrap().clone(),
            None if asked.starts_with("watch") => events(&[]),
            None => list(10, vec![]),
        }
    }

    /// What was asked of these resources since the last time.
    fn asked(&self, resources: &[&str]) -> Vec<String> {
        let asked = std::mem::take(&mut *self.asked.lock().unwrap());
        let concerns =
            |asked: &String| resources.iter().any(|name| asked.ends_with(&format!(" {name}")));
        asked.into_iter().filter(concerns).collect()
    }
}

fn name_of(uri: &str) -> String {
    let (path, query) = uri.split_once('?').unwrap();
    let plural = path.rsplit('/').next().unwrap();
    let has = |text: &str| query.split('&').any(|part| part.starts_with(text));
    let verb = match () {
        () if has("watch=1") => "watch",
        () if has("continue=") => "next",
        () if query.split('&').any(|part| part == "limit=1") => "mark",
        () if has("fieldSelector=spec.nodeName") => "waiting",
        () => "list",
    };
    format!("{verb} {plural}")
}

fn pod(name: &str, node: Option<&str>) -> Value {
    let conditions =
        json!([{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable" }]);
    let conditions = if node.is_some() { json!([]) } else { conditions };
    json!({
        "metadata": { "name": name, "namespace": "shop", "resourceVersion": "5" },
        "spec": { "nodeName": node, "containers": [{ "name": "a", "resources": { "requests": { "cpu": "1" } } }] },
        "status": { "phase": if node.is_some() { "Running" } else { "Pending" }, "conditions": conditions },
    })
}

/// A node; one of Joiner's if it has a pool.
fn node(name: &str, pool: Option<&str>) -> Value {
    let labels = pool.map(|pool| json!({ "karpenter.sh/nodepool": pool }));
    json!({ "metadata": { "name": name, "labels": labels }, "status": { "capacity": { "cpu": "4" } } })
}

async fn read(reader: &mut ClusterReader) -> Observation {
    try_read(reader, &Scope::default()).await.unwrap()
}

async fn try_read(
    reader: &mut ClusterReader,
    scope: &Scope,
) -> Result<Observation, ClusterReadError> {
    let reading =
        tokio::time::timeout(std::time::Duration::from_secs(30), reader.read(scope)).await;
    let reading = reading.expect("a read hangs")?;
    Ok(assemble(reading, &Catalog::embedded().unwrap(), &DumpOptions::default()))
}

fn pods(observation: &Observation) -> Vec<String> {
    let place =
        |pod: &model::Pod| format!("{}@{}", pod.id.name, pod.node_name.as_deref().unwrap_or("-"));
    observation.snapshot.pods.iter().map(place).collect()
}

/// A server with one node of Joiner's and these pods on it, at version 10.
fn busy(names: &[&str]) -> Server {
    let server = Server::default();
    server.answer("list nodes", [list(10, vec![node("n1", Some("default"))])]);
    server.answer("mark nodes", [mark(20, 1)]);
    server.answer("mark nodeclaims", [mark(20, 0)]);
    let pods = names.iter().map(|name| pod(name, Some("n1"))).collect::<Vec<_>>();
    server.answer("list pods", [list(10, pods)]);
    server
}

#[tokio::test]
async fn claims_are_read_before_nodes_and_nodes_before_pods() {
    let server = busy(&["a"]);
    let mut reader = server.reader();
    let core = ["nodeclaims", "nodes", "pods"];
    read(&mut reader).await;
    assert_eq!(server.asked(&core), ["list nodeclaims", "list nodes", "list pods"]);
    server.answer("mark pods", [mark(20, 1)]);
    read(&mut reader).await;
    let warm = ["mark nodeclaims", "mark nodes", "mark pods"];
    let bursts = ["watch nodeclaims", "watch nodes", "watch pods"];
    assert_eq!(server.asked(&core), [warm, bursts].concat());
}

#[tokio::test]
async fn lists_are_read_page_by_page() {
    let server = busy(&[]);
    let first = page(10, vec![pod("a", Some("n1"))], Some("t/1="), Some(1));
    server.answer("list pods", [first]);
    server.answer("next pods", [list(10, vec![pod("b", Some("n1"))])]);
    assert_eq!(pods(&read(&mut server.reader()).await), ["a@n1", "b@n1"]);
}

#[tokio::test]
async fn a_list_that_expires_in_the_middle_begins_anew() {
    let server = busy(&[]);
    let first = page(10, vec![pod("old", Some("n1"))], Some("t"), None);
    server.answer("list pods", [first, list(12, vec![pod("new", Some("n1"))])]);
    server.answer("next pods", [reply(410, json!({ "kind": "Status", "reason": "Expired" }))]);
    assert_eq!(pods(&read(&mut server.reader()).await), ["new@n1"]);
}

/// Answers `asked` so and expects the error that the read ends with.
async fn check_error(asked: &str, answer: Reply, expected: ClusterReadError) {
    let server = busy(&["a"]);
    server.answer(asked, [answer]);
    let found = try_read(&mut server.reader(), &Scope::default()).await;
    assert_eq!(found.err(), Some(expected), "{asked}");
}

#[tokio::test]
async fn a_failed_read_of_claims_nodes_or_pods_stops_the_turn() {
    let what = || "pods".to_owned();
    let denied = |resource: &str, group: &str| ClusterReadError::Denied {
        verb: "list".to_owned(),
        resource: resource.to_owned(),
        group: group.to_owned(),
    };
    check_error("list nodes", reply(403, ""), denied("nodes", "")).await;
    check_error("list nodeclaims", reply(403, ""), denied("nodeclaims", "karpenter.sh")).await;
    let busy = Reply { headers: vec![("retry-after", "3".to_owned())], ..reply(429, "") };
    let throttled = ClusterReadError::Throttled { what: what(), retry_after_s: Some(3) };
    check_error("list pods", busy, throttled).await;
    let message = "etcdserver: leader changed".to_owned();
    let failing = reply(500, json!({ "kind": "Status", "message": message }));
    let error = ClusterReadError::Server { what: what(), status: 500, message };
    check_error("list pods", failing, error).await;
    check_error("list pods", reply(410, ""), ClusterReadError::Gone { what: what() }).await;
    let cause = "it answers 401".to_owned();
    let error = ClusterReadError::Unauthenticated { what: what(), cause };
    check_error("list pods", reply(401, ""), error).await;
    let error = ClusterReadError::NotFound { what: what() };
    check_error("list pods", reply(404, ""), error).await;
}

#[tokio::test]
async fn an_answer_cut_short_is_not_taken_for_all() {
    let server = busy(&["a"]);
    let mut whole = list(10, vec![pod("a", Some("n1")), pod("b", Some("n1"))]);
    whole.body.truncate(whole.body.len() - 30);
    server.answer("list pods", [whole]);
    let found = try_read(&mut server.reader(), &Scope::default()).await;
    assert!(matches!(found, Err(ClusterReadError::Malformed { .. })), "{found:?}");
}

#[tokio::test]
async fn a_connection_that_broke_while_frozen_is_tried_once_more() {
    let server = busy(&[]);
    server.answer("list pods", [broken(), list(10, vec![pod("a", Some("n1"))])]);
    assert_eq!(pods(&read(&mut server.reader()).await), ["a@n1"]);
    server.answer("list pods", [broken()]);
    let found = try_read(&mut server.reader(), &Scope::default()).await;
    assert!(matches!(found, Err(ClusterReadError::Unreachable { .. })), "{found:?}");
    assert_eq!(server.asked(&["pods"]).len(), 4);
}

#[tokio::test]
async fn a_half_written_object_is_found_and_the_rest_goes_on() {
    let server = busy(&[]);
    let broken = json!({ "metadata": { "name": "half", "namespace": "shop" }, "spec": { "nodeName": "n1" } });
    server.answer("list pods", [list(10, vec![broken, pod("a", Some("n1"))])]);
    let observation = read(&mut server.reader()).await;
    assert_eq!(pods(&observation), ["a@n1"]);
    assert_eq!(observation.unreadable_pods, ["shop/half"]);
    let found = observation.findings.iter().find(|finding| finding.rule == "unreadable").unwrap();
    assert_eq!((found.object.as_str(), found.severity), ("Pod shop/half", Severity::Error));
    assert!(observation.snapshot.nodes[0].unschedulable, "nothing new goes beside it");
}

#[tokio::test]
async fn a_cluster_without_the_definitions_has_none_of_their_objects() {
    let server = Server::default();
    let of_karpenter = ["nodeclaims", "nodepools", "nodeoverlays", "provisioners"];
    for plural in
        of_karpenter.into_iter().chain(["ec2nodeclasses", "awsnodetemplates", "capacitybuffers"])
    {
        server.answer(&format!("list {plural}"), [reply(404, "404 page not found")]);
    }
    let observation = read(&mut server.reader()).await;
    assert_eq!(observation.stale, []);
    assert_eq!(observation.snapshot.node_claims, []);
}

/// Reads warm: pods `a` and `b` at 10, then these events, a mark, and what a full list would give.
async fn check_resume(burst: Reply, at: Reply, relisted: bool, expected: &[&str]) {
    let server = busy(&["a", "b"]);
    let mut reader = server.reader();
    read(&mut reader).await;
    server.answer("mark pods", [at]).answer("watch pods", [burst]);
    server.answer("list pods", [list(30, vec![pod("listed", Some("n1"))])]);
    server.asked(&[]);
    assert_eq!(pods(&read(&mut reader).await), expected);
    assert_eq!(server.asked(&["pods"]).contains(&"list pods".to_owned()), relisted);
}

#[tokio::test]
async fn a_warm_copy_is_brought_up_to_date_by_events() {
    let changes = [
        ("DELETED", 12, pod("a", Some("n1"))),
        ("ADDED", 13, pod("c", None)),
        ("MODIFIED", 14, pod("c", Some("n1"))),
    ];
    check_resume(events(&changes), mark(20, 2), false, &["b@n1", "c@n1"]).await;
    check_resume(events(&[]), mark(20, 2), false, &["a@n1", "b@n1"]).await;
}

#[tokio::test]
async fn what_happens_after_the_mark_waits_for_the_next_turn() {
    let changes = [("ADDED", 20, pod("c", None)), ("DELETED", 21, pod("a", Some("n1")))];
    check_resume(events(&changes), mark(20, 3), false, &["a@n1", "b@n1", "c@-"]).await;
    let bookmark = json!({ "metadata": {} });
    let changes = [("BOOKMARK", 25, bookmark), ("DELETED", 26, pod("a", Some("n1")))];
    check_resume(events(&changes), mark(20, 2), false, &["a@n1", "b@n1"]).await;
}

#[tokio::test]
async fn a_watch_that_the_server_ends_is_gone_on_with() {
    let server = busy(&["a"]);
    let mut reader = server.reader();
    read(&mut reader).await;
    let event = |kind, version, name| events(&[(kind, version, pod(name, Some("n1")))]);
    let first = Reply { open: false, ..event("ADDED", 12, "b") };
    server
        .answer("watch pods", [first, event("ADDED", 13, "c")])
        .answer("mark pods", [mark(20, 3)]);
    server.asked(&[]);
    assert_eq!(pods(&read(&mut reader).await), ["a@n1", "b@n1", "c@n1"]);
    assert_eq!(server.asked(&["pods"]), ["mark pods", "watch pods", "watch pods"]);
}

#[tokio::test]
async fn anything_odd_about_a_burst_means_a_full_list() {
    let listed = &["listed@n1"];
    let gone = json!({ "kind": "Status", "code": 410, "metadata": {} });
    check_resume(events(&[("ERROR", 11, gone)]), mark(20, 2), true, listed).await;
    check_resume(events(&[("SURPRISE", 11, pod("a", None))]), mark(20, 2), true, listed).await;
    check_resume(events(&[]), mark(20, 3), true, listed).await;
    check_resume(events(&[]), mark(9, 2), true, listed).await;
    check_resume(reply(410, ""), mark(20, 2), true, listed).await;
    check_resume(reply(200, ""), mark(20, 2), true, listed).await;
    let ended = Reply { open: false, ..events(&[("DELETED", 11, pod("a", None))]) };
    check_resume(ended, mark(20, 1), true, listed).await;
    let garbled = Reply { open: true, ..reply(200, "{\"type\":\n") };
    check_resume(garbled, mark(20, 2), true, listed).await;
}

#[tokio::test]
async fn an_idle_turn_without_nodes_of_its_own_lists_no_running_pods() {
    let server = Server::default();
    server.answer("list nodes", [list(10, vec![node("n1", None)])]);
    let mut reader = server.reader();
    let observation = read(&mut reader).await;
    assert_eq!(server.asked(&["pods"]), ["waiting pods"]);
    assert!(!observation.all_pods);
    server.answer("waiting pods", [list(10, vec![pod("w", None)])]);
    server.answer("list pods", [list(10, vec![pod("w", None), pod("a", Some("n1"))])]);
    server.answer("mark nodes", [mark(10, 1)]);
    let observation = read(&mut reader).await;
    assert_eq!(server.asked(&["pods"]), ["waiting pods", "list pods"]);
    assert_eq!(
        (pods(&observation), observation.all_pods),
        (vec!["a@n1".into(), "w@-".into()], true)
    );
}

#[tokio::test]
async fn what_can_do_without_falls_back_to_its_last_copy() {
    let server = busy(&["a"]);
    let date = |text: &str| vec![("date", text.to_owned())];
    let class = json!({ "metadata": { "name": "gp3" }, "provisioner": "ebs.csi.aws.com" });
    let classes = list(10, vec![class]);
    let first = date("Mon, 23 Nov 2026 00:00:00 GMT");
    server.answer("list storageclasses", [Reply { headers: first, ..classes }]);
    server.answer("list csinodes", [reply(403, "")]);
    let mut reader = server.reader();
    let observation = read(&mut reader).await;
    let stale = |observation: &Observation| {
        let short = |read: &StaleRead| (read.kind.clone(), read.age_s);
        observation.stale.iter().map(short).collect::<Vec<_>>()
    };
    assert_eq!(stale(&observation), [("CSINode".to_owned(), None)]);
    let told = |observation: &Observation| {
        let mut told = observation.findings.iter().filter(|f| f.rule == "cluster-read");
        told.next().map(|finding| finding.message.clone()).unwrap_or_default()
    };
    let message = told(&observation);
    assert!(
        message.contains("list csinodes is forbidden")
            && message.contains("apiGroups: [\"storage.k8s.io\"]"),
        "{message}"
    );
    server.answer("list csinodes", [list(10, vec![])]);
    server.answer("mark pods", [mark(20, 1)]);
    let later = date("Mon, 23 Nov 2026 00:10:00 GMT");
    server.answer("mark nodeclaims", [Reply { headers: later, ..mark(20, 0) }]);
    server.answer("watch storageclasses", [reply(500, "")]);
    server.answer("list storageclasses", [reply(500, "")]);
    let observation = read(&mut reader).await;
    assert_eq!(stale(&observation), [("StorageClass".to_owned(), Some(600))]);
    assert!(
        told(&observation).contains("the copy of 600 s ago stands in"),
        "{}",
        told(&observation)
    );
    assert_eq!(observation.snapshot.storage_classes.len(), 1);
}

#[tokio::test]
async fn the_servers_clock_counts_and_a_skew_is_told() {
    let server = busy(&["a"]);
    let headers = vec![("date", "Thu, 01 Jan 2026 00:00:00 GMT".to_owned())];
    server.answer("list pods", [Reply { headers, ..list(10, vec![]) }]);
    let observation = read(&mut server.reader()).await;
    assert_eq!(observation.snapshot.now, model::Timestamp(1_767_225_600));
    let rules = observation.findings.iter().map(|finding| finding.rule.as_str());
    assert!(rules.collect::<Vec<_>>().contains(&"clock-skew"));
}

#[tokio::test]
async fn what_disruption_depends_on_is_kept_of_every_object() {
    let server = busy(&["a"]);
    let since = "2026-01-01T00:00:00Z";
    let condition = |kind: &str, status: &str| json!({ "type": kind, "status": status, "lastTransitionTime": since });
    let conditions = json!([condition("PodScheduled", "True"), condition("Ready", "True")]);
    let mut bound = pod("b", Some("n1"));
    bound["status"] = json!({ "phase": "Running", "conditions": conditions });
    server.answer("list pods", [list(10, vec![bound])]);
    let conditions = json!([condition("Ready", "False")]);
    let node = json!({ "metadata": { "name": "n1" }, "status": { "conditions": conditions } });
    server.answer("list nodes", [list(10, vec![node])]);
    let budget = json!({ "metadata": { "name": "x", "namespace": "shop" }, "spec": { "unhealthyPodEvictionPolicy": "AlwaysAllow" } });
    server.answer("list poddisruptionbudgets", [list(10, vec![budget])]);
    let annotations = json!({ "joiner.dev/interruption": r#"{"kind":"rebalance","at":5}"# });
    let claim = json!({ "metadata": { "name": "c", "annotations": annotations }, "spec": {} });
    server.answer("list nodeclaims", [list(10, vec![claim])]);
    let snapshot = read(&mut server.reader()).await.snapshot;
    let at = model::Timestamp(1_767_225_600);
    assert_eq!((snapshot.pods[0].bound_at, snapshot.pods[0].ready), (Some(at), true));
    assert_eq!(snapshot.nodes[0].faults, [("Ready".to_owned(), at)]);
    assert!(snapshot.pod_disruption_budgets[0].unready_may_go);
    assert!(snapshot.node_claims[0].interruption.is_some());
    let class = json!({ "metadata": { "name": "default" }, "spec": {} });
    server.answer("list ec2nodeclasses", [list(10, vec![class])]);
    let snapshot = read(&mut server.reader()).await.snapshot;
    assert!(snapshot.node_classes[0].hash.is_some(), "a live class is whole");
}

#[tokio::test]
async fn config_maps_are_read_by_name() {
    let server = busy(&["a"]);
    let object = json!({ "metadata": { "name": "joiner" }, "data": { "until": "7" } });
    server.answer("list configmaps", [list(10, vec![object])]);
    let name = ConfigMapName { namespace: "joiner".to_owned(), name: "joiner".to_owned() };
    let scope = Scope { config_maps: vec![name.clone()], ..Scope::default() };
    let reading = server.reader().read(&scope).await.unwrap();
    assert_eq!(reading.config_maps[&name]["until"], "7");
}

#[tokio::test]
async fn classes_go_on_as_they_are() {
    let server = busy(&["a"]);
    let class = json!({ "metadata": { "name": "default", "managedFields": [{}] }, "spec": { "userData": "x" } });
    server.answer("list ec2nodeclasses", [list(10, vec![class])]);
    let reading = server.reader().read(&Scope::default()).await.unwrap();
    let expected = json!({
        "apiVersion": "karpenter.k8s.aws/v1", "kind": "EC2NodeClass",
        "metadata": { "name": "default" }, "spec": { "userData": "x" },
    });
    assert_eq!(reading.classes, [expected]);
}

#[tokio::test]
async fn packed_answers_are_unpacked_and_counted_as_they_came() {
    use std::io::Write as _;
    let server = busy(&[]);
    let many = (0..200).map(|index| pod(&format!("p{index:03}"), Some("n1"))).collect();
    let plain = list(10, many).body;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&plain).unwrap();
    let body = packed.finish().unwrap();
    let (sent, headers) = (body.len() as u64, vec![("content-encoding", "gzip".to_owned())]);
    server.answer("list pods", [Reply { headers, body, ..reply(200, "") }]);
    let observation = read(&mut server.reader()).await;
    assert_eq!(observation.snapshot.pods.len(), 200);
    assert!(observation.traffic.bytes < sent + 2000 && observation.traffic.bytes > sent);
}
