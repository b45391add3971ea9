//! The judge: plans for random clusters, taken to a real kube-scheduler.
//!
//! The planned nodes are made as Node objects, ready, with their labels, taints and room; then come their daemons, then all pods
//! that wait, in any order. What the kube-scheduler does not bind is planned again.
//!
//! In free clusters it binds as it likes, onto the emptiest node, and knows nothing of the plan, as with Joiner today. In guided ones
//! each pod names the node that the plan has for it (`status.nominatedNodeName`), which takes chance out: there the rules of the
//! planner and those of the kube-scheduler must agree.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "judge/cluster.rs"]
mod cluster;
#[path = "scenarios/launched.rs"]
mod launched;
#[path = "judge/server.rs"]
mod server;

use catalog::Catalog;
use cluster::Cluster;
use model::resources::CPU;
use model::{Node, Plan, PodId, Snapshot};
use observe::{DumpOptions, Severity, read_dump};
use planner::Options;
use serde_json::{Value, json};
use server::Server;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// How many clusters; `CLUSTERS` in the environment says another number, or `7..8` which.
const CLUSTERS: usize = 200;
/// The longest wait for the kube-scheduler to come to rest.
const PATIENCE: Duration = Duration::from_secs(600);
/// It has when nothing was bound for so long: after a change it tries a pod again within a second.
const QUIET: Duration = Duration::from_secs(4);

/// A cluster in a turn.
struct Turn<'a> {
    cluster: &'a Cluster,
    snapshot: Snapshot,
    plan: Plan,
}

impl<'a> Turn<'a> {
    fn new(cluster: &'a Cluster, objects: &[Value], catalog: &Catalog, directory: &Path) -> Self {
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
        let path = directory.join(format!("cluster-{}.json", cluster.number));
        std::fs::write(&path, list.to_string()).unwrap();
        let options =
            DumpOptions { region: Some("us-east-1".to_owned()), ..DumpOptions::default() };
        let dump = read_dump(&[path], catalog, &options).unwrap();
        let odd = dump.findings.iter().find(|finding| finding.severity != Severity::Note);
        assert!(odd.is_none(), "cluster {}: {}", cluster.number, odd.unwrap());
        let plan = planner::plan(&dump.snapshot, &Options::default());
        assert_eq!(planner::check(&dump.snapshot, &plan), [], "cluster {}", cluster.number);
        Self { cluster, snapshot: dump.snapshot, plan }
    }

    /// The planned nodes as objects.
    fn nodes(&self, turn: usize) -> Vec<Value> {
        let name = |node: &Node| format!("c{}-{turn}-{}", self.cluster.number, node.name);
        let nodes = self.plan.launches.iter().map(|launch| launched::node(&self.snapshot, launch));
        nodes.map(|node| object(&name(&node), &node)).collect()
    }

    fn placed(&self) -> BTreeSet<PodId> {
        let bought = self.plan.launches.iter().flat_map(|launch| &launch.pods);
        let there = self.plan.placements.iter().map(|placement| &placement.pod);
        bought.chain(there).cloned().collect()
    }

    /// Where the plan has each pod.
    fn places(&self) -> BTreeMap<PodId, String> {
        let new = |name: &str| format!("c{}-1-{name}", self.cluster.number);
        let bought =
            self.plan.launches.iter().flat_map(|launch| {
                launch.pods.iter().map(move |pod| (pod.clone(), new(&launch.name)))
            });
        let there = self.plan.placements.iter();
        let there = there.map(|placed| (placed.pod.clone(), placed.node.to_string()));
        bought.chain(there).collect()
    }

    fn cost(&self) -> u64 {
        self.plan.launches.iter().map(|launch| launch.offering.price.0).sum()
    }
}

fn object(name: &str, node: &Node) -> Value {
    let mut labels = node.labels.clone();
    labels.insert(model::labels::HOSTNAME.to_owned(), name.to_owned());
    let taint = |taint: &model::Taint| json!({ "key": taint.key, "value": taint.value, "effect": taint.effect.as_str() });
    let room = |resources: &model::Resources| {
        let amount = |name: &str, amount: i64| {
            if name == CPU { format!("{amount}m") } else { amount.to_string() }
        };
        resources
            .iter()
            .map(|(name, of)| (name.to_string(), amount(name.as_str(), of).into()))
            .collect::<serde_json::Map<_, Value>>()
    };
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": name, "labels": labels },
        "spec": { "taints": node.taints.iter().map(taint).collect::<Vec<_>>(), "providerID": format!("{}-{name}", node.provider_id) },
        "status": {
            "capacity": room(&node.capacity),
            "allocatable": room(&node.allocatable),
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    })
}

fn id(pod: &Value) -> PodId {
    let text = |name: &str| pod["metadata"][name].as_str().unwrap();
    PodId::new(text("namespace"), text("name"))
}

/// Why the kube-scheduler left the pod, if it has tried it.
fn refusal(pod: &Value) -> Option<&str> {
    let conditions = pod["status"]["conditions"].as_array()?;
    let told = conditions.iter().find(|each| each["type"] == "PodScheduled")?;
    told["message"].as_str()
}

/// The pods that are left when the kube-scheduler has come to rest.
fn left(server: &Server) -> Vec<Value> {
    let (_never, pause) = channel::<()>();
    let began = Instant::now();
    let (mut fewest, mut since) = (usize::MAX, Instant::now());
    loop {
        let mut waiting = server.list("/api/v1/pods?fieldSelector=spec.nodeName%3D");
        waiting.retain(|pod| !is_held(pod));
        if waiting.len() != fewest {
            (fewest, since) = (waiting.len(), Instant::now());
        }
        let tried = waiting.iter().all(|pod| refusal(pod).is_some());
        if waiting.is_empty() || (tried && since.elapsed() > QUIET) {
            return waiting;
        }
        assert!(
            began.elapsed() < PATIENCE,
            "the kube-scheduler does not come to rest: {fewest} pods"
        );
        let _ = pause.recv_timeout(Duration::from_millis(500));
    }
}

/// Makes nodes and what runs on each. A daemon that the kube-scheduler refuses for want of room fails the test.
fn join(server: &Server, clusters: &BTreeMap<usize, &Cluster>, nodes: &[(usize, Value)]) {
    let objects = nodes.iter().map(|(_, node)| node.clone()).collect::<Vec<_>>();
    server.create(&objects);
    let daemons = nodes.iter().flat_map(|(number, node)| {
        let name = node["metadata"]["name"].as_str().unwrap();
        clusters[number].daemon_sets.iter().map(move |set| cluster::daemon(set, name))
    });
    let daemons = daemons.collect::<Vec<_>>();
    let names = daemons.iter().map(id).collect::<BTreeSet<_>>();
    server.create(&daemons);
    let refused =
        left(server).into_iter().filter(|pod| names.contains(&id(pod))).collect::<Vec<_>>();
    for pod in &refused {
        let why = refusal(pod).unwrap_or_default();
        assert!(!why.contains("Insufficient") && !why.contains("free ports"), "{}: {why}", id(pod));
    }
    server.delete(&refused);
}

fn numbers() -> std::ops::Range<usize> {
    let told = std::env::var("CLUSTERS").unwrap_or_default();
    let number = |text: &str| text.parse::<usize>().unwrap();
    match told.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None if told.is_empty() => 0..CLUSTERS,
        None => 0..number(&told),
    }
}

/// One thread for each core.
fn each<'a, T: Sync, R: Send>(items: &'a [T], act: impl Fn(&'a T) -> R + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = items.len().div_ceil(threads).max(1);
    let act = &act;
    std::thread::scope(|scope| {
        let work = |part: &'a [T]| part.iter().map(act).collect::<Vec<_>>();
        let threads = items.chunks(share).map(|part| scope.spawn(move || work(part)));
        let threads = threads.collect::<Vec<_>>();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// Replicas are alike: which of them is bound does not matter, only how many. By namespace and labels.
type Kind = (String, BTreeMap<String, String>);

/// Of a kind, how many pods wait, and for how many the plan has a place.
type Kinds = BTreeMap<Kind, (usize, usize)>;

fn kinds(turns: &[Turn]) -> Kinds {
    let mut kinds = Kinds::new();
    for turn in turns {
        let placed = turn.placed();
        for pod in turn.snapshot.pods.iter().filter(|pod| pod.node_name.is_none()) {
            let kind = (pod.id.namespace.to_string(), (*pod.labels).clone());
            let (waiting, planned) = kinds.entry(kind).or_default();
            *waiting += 1;
            *planned += usize::from(placed.contains(&pod.id));
        }
    }
    kinds
}

/// Pods that the plan has a place for, and the kube-scheduler has not.
fn missing(kinds: &Kinds, unbound: Vec<Value>) -> Vec<Value> {
    let mut by_kind: BTreeMap<Kind, Vec<Value>> = BTreeMap::new();
    for pod in unbound {
        let labels = serde_json::from_value(pod["metadata"]["labels"].clone()).unwrap();
        by_kind.entry((id(&pod).namespace.to_string(), labels)).or_default().push(pod);
    }
    let missing = by_kind.into_iter().flat_map(|(kind, mut pods)| {
        let (waiting, planned) = kinds[&kind];
        pods.truncate(planned.saturating_sub(waiting - pods.len()));
        pods
    });
    missing.collect()
}

fn tell(what: &str, pods: &[Value]) {
    for pod in pods {
        println!("{what}: {}: {}", id(pod), refusal(pod).unwrap_or_default());
    }
}

/// Plans for the clusters as they are before anything is made.
fn first_turns<'a>(server: &Server, clusters: &'a [Cluster], catalog: &Catalog) -> Vec<Turn<'a>> {
    each(clusters, |cluster| {
        let parts = [&cluster.nodes, &cluster.running, &cluster.waiting];
        let mut objects = cluster.described();
        objects.extend(parts.into_iter().flatten().cloned());
        Turn::new(cluster, &objects, catalog, &server.state)
    })
}

/// Plans again, from what the API server holds, for the clusters that pods are left in.
fn second_turns<'a>(
    server: &Server,
    clusters: &'a [Cluster],
    catalog: &Catalog,
    left: &[Value],
) -> Vec<Turn<'a>> {
    let namespaces = left.iter().map(|pod| id(pod).namespace.to_string()).collect::<BTreeSet<_>>();
    let concerned =
        |cluster: &&Cluster| cluster.namespaces().iter().any(|name| namespaces.contains(name));
    let concerned = clusters.iter().filter(concerned).collect::<Vec<_>>();
    each(&concerned, |cluster| {
        let mut objects = cluster.described();
        for namespace in cluster.namespaces() {
            objects.extend(server.list(&format!("/api/v1/namespaces/{namespace}/pods")));
        }
        let own = format!("/api/v1/nodes?labelSelector=cluster%3D{}", cluster.number);
        objects.extend(server.list(&own));
        Turn::new(cluster, &objects, catalog, &server.state)
    })
}

/// The planned nodes with the numbers of their clusters.
fn bought(turns: &[Turn], turn: usize) -> Vec<(usize, Value)> {
    let of = |planned: &Turn| {
        let number = planned.cluster.number;
        planned.nodes(turn).into_iter().map(move |node| (number, node)).collect::<Vec<_>>()
    };
    turns.iter().flat_map(of).collect()
}

/// What became of some clusters.
#[derive(Default)]
struct Verdict {
    clusters: usize,
    planned: usize,
    left_at_once: usize,
    left_after_two: usize,
    /// In millionths of a dollar an hour: of the first turn's nodes, and what the second added.
    cost: u64,
    added: u64,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |part: u64, whole: u64| 100.0 * part as f64 / whole.max(1) as f64;
        write!(
            f,
            "{} clusters, {} pods planned: {:.2}% bound at once, {:.2}% after two turns; ${:.2} an hour planned, {:.2}% more in the end",
            self.clusters,
            self.planned,
            share((self.planned - self.left_at_once) as u64, self.planned as u64),
            share((self.planned - self.left_after_two) as u64, self.planned as u64),
            self.cost as f64 / 1e6,
            share(self.added, self.cost),
        )
    }
}

/// Takes all clusters through two turns: the verdict on each way of `WAYS`.
fn judge(server: &Server, clusters: &[Cluster], catalog: &Catalog) -> Vec<Verdict> {
    let known = clusters.iter().map(|cluster| (cluster.number, cluster)).collect();
    let all = |part: fn(&Cluster) -> Vec<Value>| clusters.iter().flat_map(part).collect::<Vec<_>>();
    let first = first_turns(server, clusters, catalog);
    let kinds = kinds(&first);
    server.create(&all(Cluster::namespace_objects));
    server.create(&all(|cluster| cluster.running.clone()));
    let mut waiting = all(|cluster| cluster.waiting.clone());
    fastrand::Rng::with_seed(1).shuffle(&mut waiting);
    guide(server, &first, &mut waiting);
    let there = |cluster: &Cluster| {
        cluster.nodes.iter().map(|node| (cluster.number, node.clone())).collect::<Vec<_>>()
    };
    let mut nodes = clusters.iter().flat_map(there).collect::<Vec<_>>();
    nodes.extend(bought(&first, 1));
    join(server, &known, &nodes);
    release(server, &waiting);
    let left_at_once = missing(&kinds, left(server));
    tell("left", &left_at_once);
    let second = second_turns(server, clusters, catalog, &left_at_once);
    join(server, &known, &bought(&second, 2));
    let left_after_two = missing(&kinds, left(server));
    tell("left after two turns", &left_after_two);
    let verdict = |is: fn(&Cluster) -> bool| {
        let own = clusters.iter().filter(|cluster| is(cluster));
        let names = own.flat_map(Cluster::namespaces).collect::<BTreeSet<_>>();
        let of =
            |pods: &[Value]| pods.iter().filter(|pod| names.contains(&*id(pod).namespace)).count();
        let cost =
            |turns: &[Turn]| turns.iter().filter(|turn| is(turn.cluster)).map(Turn::cost).sum();
        let planned = kinds.iter().filter(|((namespace, _), _)| names.contains(namespace));
        Verdict {
            clusters: names.len() / 2,
            planned: planned.map(|(_, (_, planned))| planned).sum(),
            left_at_once: of(&left_at_once),
            left_after_two: of(&left_after_two),
            cost: cost(&first),
            added: cost(&second),
        }
    };
    WAYS.iter().map(|(_, is, _)| verdict(*is)).collect()
}

/// Makes the pods of guided clusters, held back, and tells the kube-scheduler where the plan has them.
fn guide(server: &Server, turns: &[Turn], waiting: &mut [Value]) {
    let guided = turns.iter().filter(|turn| turn.cluster.guided);
    let names = guided.clone().flat_map(|turn| turn.cluster.namespaces()).collect::<BTreeSet<_>>();
    let places = guided.flat_map(Turn::places).collect::<BTreeMap<_, _>>();
    for pod in waiting.iter_mut().filter(|pod| names.contains(&*id(pod).namespace)) {
        pod["spec"]["schedulingGates"] = json!([{ "name": "judge/nodes" }]);
    }
    let held = waiting.iter().filter(|pod| is_held(pod)).cloned().collect::<Vec<_>>();
    server.create(&held);
    let told = held.iter().filter_map(|pod| {
        Some((pod, json!({ "status": { "nominatedNodeName": places.get(&id(pod))? } })))
    });
    server.patch("/status", &told.collect::<Vec<_>>());
}

fn is_held(pod: &Value) -> bool {
    !pod["spec"]["schedulingGates"].is_null()
}

/// Makes the other pods, and lets those that are held back go.
fn release(server: &Server, waiting: &[Value]) {
    let (held, free): (Vec<&Value>, Vec<&Value>) = waiting.iter().partition(|pod| is_held(pod));
    let open = json!({ "spec": { "schedulingGates": null } });
    server.patch("", &held.into_iter().map(|pod| (pod, open.clone())).collect::<Vec<_>>());
    server.create(&free.into_iter().cloned().collect::<Vec<_>>());
}

/// Which clusters, and what must be reached: the least share of pods bound at once and after two turns, and the most that the second
/// turn may add to the cost, in hundredths of a percent.
type Way = (&'static str, fn(&Cluster) -> bool, [usize; 3]);

const WAYS: [Way; 4] = [
    ("guided, plain", |cluster| cluster.guided && !cluster.tangled, [9900, 9900, 100]),
    ("guided, tangled", |cluster| cluster.guided && cluster.tangled, [9700, 9800, 200]),
    ("free, plain", |cluster| !cluster.guided && !cluster.tangled, [9600, 9900, 900]),
    ("free, tangled", |cluster| !cluster.guided && cluster.tangled, [8000, 9000, 3000]),
];

#[test]
fn a_real_kube_scheduler_binds_what_is_planned() {
    let server = match Server::start() {
        Ok(server) => server,
        Err(why) => {
            let required = std::env::var("JOINER_REQUIRE_CLUSTER").is_ok_and(|value| value == "1");
            assert!(!required, "JOINER_REQUIRE_CLUSTER=1, and there is no kube-scheduler: {why}");
            eprintln!("\n!! SKIPPED: no kube-scheduler can be had, and nothing is proved: {why}\n");
            return;
        }
    };
    let catalog = Catalog::embedded().unwrap();
    let clusters = numbers().map(Cluster::random).collect::<Vec<_>>();
    let verdicts = judge(&server, &clusters, &catalog);
    for ((name, _, _), verdict) in WAYS.iter().zip(&verdicts) {
        println!("{name}: {verdict}");
    }
    for ((name, _, [at_once, after_two, added]), verdict) in WAYS.iter().zip(&verdicts) {
        let bound = |left| (verdict.planned - left) * 10_000;
        assert!(bound(verdict.left_at_once) >= at_once * verdict.planned, "{name}: at once");
        assert!(bound(verdict.left_after_two) >= after_two * verdict.planned, "{name}: in the end");
        assert!(verdict.added * 10_000 <= *added as u64 * verdict.cost, "{name}: cost");
    }
}
