//! Random clusters, as the objects that a dump and an API server hold.
//!
//! All share one API server, so each keeps to itself: its pods select its own label, live in its own namespaces, and speak of a
//! rack that no other cluster has.

use fastrand::Rng;
use serde_json::{Value, json};

const ZONES: [&str; 3] = ["us-east-1a", "us-east-1b", "us-east-1c"];
const HOST: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";

/// A cluster with pods that wait.
pub(crate) struct Cluster {
    pub(crate) number: usize,
    /// Whether its groups want to be near or away from others.
    pub(crate) tangled: bool,
    /// Whether the kube-scheduler is told where the plan has each pod.
    pub(crate) guided: bool,
    /// What only a dump holds: pools, their class, daemon sets.
    pub(crate) kept: Vec<Value>,
    pub(crate) nodes: Vec<Value>,
    pub(crate) running: Vec<Value>,
    pub(crate) waiting: Vec<Value>,
    pub(crate) daemon_sets: Vec<Value>,
}

/// A rule that a group of pods may have.
type Rule = fn(&mut Group, &mut Rng);

/// Rules that concern a group's own pods and their nodes.
const OWN: [Rule; 18] = [
    |group, rng| group.spread(ZONE, rng.i32(1..3), json!({})),
    |group, _| group.spread(ZONE, 1, json!({ "minDomains": 2 })),
    |group, _| group.spread(ZONE, 1, json!({ "nodeTaintsPolicy": "Honor" })),
    |group, _| group.spread(ZONE, 1, json!({ "whenUnsatisfiable": "ScheduleAnyway" })),
    |group, _| {
        group.versions = 2;
        group.spread(ZONE, 1, json!({ "matchLabelKeys": ["version"] }));
    },
    |group, rng| group.spread(HOST, rng.i32(1..4), json!({})),
    |group, _| group.spread(HOST, 1, json!({ "whenUnsatisfiable": "ScheduleAnyway" })),
    |group, _| {
        let rack = group.rack();
        group.spread(&rack, 1, json!({ "nodeAffinityPolicy": "Ignore" }));
    },
    |group, _| group.term("podAntiAffinity", HOST, group.number),
    |group, _| {
        group.count = group.count.min(3);
        group.term("podAntiAffinity", ZONE, group.number);
    },
    |group, _| {
        group.count = group.count.min(4);
        group.term("podAffinity", HOST, group.number);
    },
    |group, _| group.term("podAffinity", ZONE, group.number),
    |group, rng| group.spec["nodeSelector"][ZONE] = json!(ZONES[rng.usize(0..3)]),
    |group, rng| group.away_from_zone(ZONES[rng.usize(0..3)]),
    |group, _| group.tolerate(),
    |group, _| {
        group.tolerate();
        group.spec["nodeSelector"]["team"] = json!("batch");
    },
    |group, rng| {
        let port = rng.i32(8000..8003);
        group.spec["containers"][0]["ports"] = json!([{ "containerPort": port, "hostPort": port }]);
    },
    |group, _| group.elsewhere = true,
];

/// Rules that tie groups to each other, in any direction.
const BETWEEN: [Rule; 4] = [
    |group, rng| group.term("podAntiAffinity", HOST, rng.usize(0..4)),
    |group, rng| group.term("podAntiAffinity", ZONE, rng.usize(0..4)),
    |group, rng| group.term("podAffinity", HOST, rng.usize(0..4)),
    |group, rng| group.term("podAffinity", ZONE, rng.usize(0..4)),
];

/// Pods that are alike.
struct Group {
    cluster: usize,
    number: usize,
    count: usize,
    /// How many values its pods have of the label `version`.
    versions: usize,
    elsewhere: bool,
    spec: Value,
}

impl Group {
    fn random(cluster: usize, number: usize, tangled: bool, rng: &mut Rng) -> Self {
        let cpu = rng.choice([50, 100, 100, 200, 250, 250, 500, 500, 1000, 2000]).unwrap();
        let memory = rng.choice([64, 128, 256, 256, 512, 1024, 2048, 4096]).unwrap();
        let requests = json!({ "cpu": format!("{cpu}m"), "memory": format!("{memory}Mi") });
        let container =
            json!({ "name": "main", "image": "none", "resources": { "requests": requests } });
        let spec = json!({
            "nodeSelector": { "cluster": cluster.to_string() },
            "containers": [container],
            "terminationGracePeriodSeconds": 0,
        });
        let mut group =
            Self { cluster, number, count: rng.usize(1..16), versions: 1, elsewhere: false, spec };
        for _ in 0..rng.usize(0..3) {
            OWN[rng.usize(0..OWN.len())](&mut group, rng);
        }
        if tangled {
            BETWEEN[rng.usize(0..BETWEEN.len())](&mut group, rng);
        }
        group
    }

    fn rack(&self) -> String {
        format!("rack-{}", self.cluster)
    }

    fn push(&mut self, path: &str, value: Value) {
        let mut at = &mut self.spec;
        for name in path.split('.') {
            at = &mut at[name];
        }
        if at.is_null() {
            *at = json!([]);
        }
        at.as_array_mut().unwrap().push(value);
    }

    fn spread(&mut self, key: &str, skew: i32, more: Value) {
        let taken = self.spec["topologySpreadConstraints"].as_array();
        if taken.is_some_and(|all| all.iter().any(|known| known["topologyKey"] == key)) {
            return;
        }
        let mut constraint = json!({
            "maxSkew": skew,
            "topologyKey": key,
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": { "matchLabels": { "app": format!("app-{}", self.number) } },
        });
        let Value::Object(more) = more else { return };
        constraint.as_object_mut().unwrap().extend(more);
        self.push("topologySpreadConstraints", constraint);
    }

    fn term(&mut self, kind: &str, key: &str, other: usize) {
        let mut term = json!({
            "topologyKey": key,
            "labelSelector": { "matchLabels": { "app": format!("app-{other}") } },
        });
        if other != self.number {
            // Whoever speaks of others finds them in both of the cluster's namespaces.
            let own = json!({ "matchLabels": { "cluster": self.cluster.to_string() } });
            term["namespaceSelector"] = own;
        }
        let path = format!("affinity.{kind}.requiredDuringSchedulingIgnoredDuringExecution");
        self.push(&path, term);
    }

    fn away_from_zone(&mut self, zone: &str) {
        let term = json!({ "key": ZONE, "operator": "NotIn", "values": [zone] });
        self.spec["affinity"]["nodeAffinity"] = json!({
            "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [{ "matchExpressions": [term] }] }
        });
    }

    fn tolerate(&mut self) {
        self.push("tolerations", json!({ "key": "dedicated", "operator": "Exists" }));
    }

    fn pod(&self, index: usize, node: Option<&str>) -> Value {
        let (number, apart) = (self.number, if self.elsewhere { "-b" } else { "" });
        let mut spec = self.spec.clone();
        let mut name = format!("app-{number}-{index}");
        if let Some(node) = node {
            spec["nodeName"] = json!(node);
            name = format!("old-{name}");
        }
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": format!("c{}{apart}", self.cluster),
                "labels": { "app": format!("app-{number}"), "version": (index % self.versions).to_string() },
            },
            "spec": spec,
        })
    }
}

impl Cluster {
    /// Every third cluster is tangled, every second one guided.
    pub(crate) fn random(number: usize) -> Self {
        let (tangled, guided) = (number % 3 == 2, number % 2 == 1);
        let mut rng = Rng::with_seed(number as u64);
        let groups =
            (0..rng.usize(1..6)).map(|group| Group::random(number, group, tangled, &mut rng));
        let groups = groups.collect::<Vec<_>>();
        let pods =
            |group: &Group| (0..group.count).map(|at| group.pod(at, None)).collect::<Vec<_>>();
        let mut kept = vec![class(), pool(number, "first", &mut rng)];
        if rng.bool() {
            let mut second = pool(number, "second", &mut rng);
            second["spec"]["template"]["spec"]["taints"] =
                json!([{ "key": "dedicated", "value": "batch", "effect": "NoSchedule" }]);
            second["spec"]["template"]["metadata"]["labels"]["team"] = json!("batch");
            kept.push(second);
        }
        let nodes = (0..rng.usize(0..3)).map(|at| node(number, at, ZONES[rng.usize(0..3)]));
        let nodes = nodes.collect::<Vec<_>>();
        let running = running(&groups, &nodes);
        let daemon_sets = (0..rng.usize(0..3)).map(|at| daemon_set(number, at, &mut rng)).collect();
        let waiting = groups.iter().flat_map(pods).collect();
        Self { number, tangled, guided, kept, nodes, running, waiting, daemon_sets }
    }

    /// The namespaces that its pods live in.
    pub(crate) fn namespaces(&self) -> [String; 2] {
        ["", "-b"].map(|apart| format!("c{}{apart}", self.number))
    }

    /// What a dump holds beside nodes and pods.
    pub(crate) fn described(&self) -> Vec<Value> {
        [&self.kept[..], &self.daemon_sets, &self.namespace_objects()].concat()
    }

    pub(crate) fn namespace_objects(&self) -> Vec<Value> {
        let labels = json!({ "cluster": self.number.to_string() });
        let object = |name: String| {
            let metadata = json!({ "name": name, "labels": labels });
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": metadata })
        };
        self.namespaces().map(object).into()
    }
}

fn class() -> Value {
    let tags = json!([{ "tags": { "karpenter.sh/discovery": "demo" } }]);
    let ids = ["use1-az1", "use1-az2", "use1-az4"];
    let subnet = |(zone, id): (&str, &str)| json!({ "id": format!("subnet-{zone}"), "zone": zone, "zoneID": id });
    let subnets = ZONES.into_iter().zip(ids).map(subnet).collect::<Vec<_>>();
    json!({
        "apiVersion": "karpenter.k8s.aws/v1",
        "kind": "EC2NodeClass",
        "metadata": { "name": "default" },
        "spec": {
            "amiSelectorTerms": [{ "alias": "al2023@latest" }],
            "role": "nodes",
            "subnetSelectorTerms": tags,
            "securityGroupSelectorTerms": tags,
        },
        "status": { "subnets": subnets },
    })
}

fn pool(cluster: usize, name: &str, rng: &mut Rng) -> Value {
    let within =
        |key: &str, values: Value| json!({ "key": key, "operator": "In", "values": values });
    let types = "node.kubernetes.io/instance-type";
    let wanted = match rng.usize(0..4) {
        0 => vec![within(types, json!(["m5.large", "m5.xlarge", "c6a.xlarge", "r6i.large"]))],
        1 => vec![within(types, json!(["m6i.2xlarge", "c5.large", "r5.xlarge"]))],
        _ => vec![
            within("karpenter.k8s.aws/instance-category", json!(["c", "m", "r"])),
            json!({ "key": "karpenter.k8s.aws/instance-generation", "operator": "Gt", "values": ["4"] }),
        ],
    };
    let mut requirements = wanted;
    requirements.push(within("kubernetes.io/arch", json!(["amd64"])));
    requirements.push(within(&format!("rack-{cluster}"), json!(["r1", "r2", "r3"])));
    let paid = if rng.bool() { json!(["on-demand"]) } else { json!(["on-demand", "spot"]) };
    requirements.push(within("karpenter.sh/capacity-type", paid));
    json!({
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": { "name": name },
        "spec": { "template": {
            "metadata": { "labels": { "cluster": cluster.to_string() } },
            "spec": {
                "nodeClassRef": { "group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default" },
                "requirements": requirements,
            },
        } },
    })
}

/// A node that is there, of nobody's pool.
fn node(cluster: usize, at: usize, zone: &str) -> Value {
    let name = format!("c{cluster}-old-{at}");
    let room = json!({ "cpu": "3920m", "memory": "14Gi", "pods": "58" });
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": name, "labels": {
            "cluster": cluster.to_string(),
            "kubernetes.io/arch": "amd64",
            "kubernetes.io/os": "linux",
            HOST: name,
            "node.kubernetes.io/instance-type": "m5.xlarge",
            "topology.kubernetes.io/region": "us-east-1",
            ZONE: zone,
        } },
        "spec": { "providerID": format!("aws:///{zone}/i-{name}") },
        "status": {
            "capacity": room,
            "allocatable": room,
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    })
}

/// One small pod of every group on each node but the first, whatever its rules say: they were bound before those rules were made.
fn running(groups: &[Group], nodes: &[Value]) -> Vec<Value> {
    let names = nodes.iter().skip(1).map(|node| node["metadata"]["name"].as_str().unwrap());
    let on = |(at, name): (usize, &str)| {
        groups
            .iter()
            .map(move |group| {
                let mut pod = group.pod(at, Some(name));
                pod["spec"]["containers"][0]["resources"]["requests"] = json!({ "cpu": "50m" });
                pod["spec"]["containers"][0].as_object_mut().unwrap().remove("ports");
                pod
            })
            .collect::<Vec<_>>()
    };
    names.enumerate().flat_map(on).collect()
}

fn daemon_set(cluster: usize, at: usize, rng: &mut Rng) -> Value {
    let name = format!("agent-{at}");
    let requests = json!({ "cpu": format!("{}m", rng.i32(1..6) * 50), "memory": "128Mi" });
    let mut container =
        json!({ "name": "main", "image": "none", "resources": { "requests": requests } });
    if rng.usize(0..4) == 0 {
        let port = 8000 + at;
        container["ports"] = json!([{ "containerPort": port, "hostPort": port }]);
    }
    let mut spec = json!({
        "nodeSelector": { "cluster": cluster.to_string() },
        "containers": [container],
        "terminationGracePeriodSeconds": 0,
    });
    if rng.bool() {
        spec["tolerations"] = json!([{ "operator": "Exists" }]);
    }
    if rng.usize(0..3) == 0 {
        spec["nodeSelector"][ZONE] = json!(ZONES[rng.usize(0..3)]);
    }
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": { "name": name, "namespace": format!("c{cluster}") },
        "spec": {
            "selector": { "matchLabels": { "agent": name } },
            "template": { "metadata": { "labels": { "agent": name } }, "spec": spec },
        },
    })
}

/// The pod that the daemon set's controller would make for a node, if it may run there: the kube-scheduler tells.
pub(crate) fn daemon(set: &Value, node: &str) -> Value {
    let template = &set["spec"]["template"];
    let mut spec = template["spec"].clone();
    let field = json!({ "key": "metadata.name", "operator": "In", "values": [node] });
    spec["affinity"]["nodeAffinity"] = json!({
        "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [{ "matchFields": [field] }] }
    });
    let set_name = set["metadata"]["name"].as_str().unwrap();
    let owner = json!({ "apiVersion": "apps/v1", "kind": "DaemonSet", "name": set_name, "uid": "none", "controller": true });
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("{set_name}-{node}"),
            "namespace": set["metadata"]["namespace"],
            "labels": template["metadata"]["labels"],
            "ownerReferences": [owner],
        },
        "spec": spec,
    })
}
