//! Reads a cluster of the checklist: statements with `;` between them, told in `README.md`.

use model::claim::NodeClaim;
use model::pod::{
    HostPort, InclusionPolicy, NodeSelectorTerm, Owner, PodAffinityTerm, PodPhase, PodVolume,
    TopologySpread, Weighted, WhenUnsatisfiable,
};
use model::pool::ApiVersion;
use model::resources::{CPU, MEMORY, NVIDIA_GPU, PODS};
use model::snapshot::DaemonSet;
use model::volume::{CsiNode, StorageClass, Volume, VolumeClaim};
use model::{
    CapacityType, Effect, InstanceType, LabelSelector, Labels, MicroUsdPerHour, Node, NodePool,
    Offering, Operator, Pod, PodId, PodSpec, Quantity, Requirement, Requirements, Resources,
    Snapshot, Taint, Timestamp, Toleration, labels,
};
use std::collections::VecDeque;
use std::sync::Arc;

/// Name, vCPUs, architecture, operating system, GPUs, price of an hour in cents; each has 4 GiB and 5 pods for a vCPU.
const TYPES: [(&str, i64, &str, &str, i64, u64); 6] = [
    ("c2", 2, "amd64", "linux", 0, 10),
    ("c4", 4, "amd64", "linux", 0, 20),
    ("c8", 8, "amd64", "linux", 0, 40),
    ("a4", 4, "arm64", "linux", 0, 25),
    ("w4", 4, "amd64", "windows", 0, 30),
    ("g4", 4, "amd64", "linux", 1, 100),
];

/// The cluster that the statements tell of; with a pool `default` if none is named.
pub(crate) fn read(text: &str) -> Snapshot {
    let types = TYPES.map(|(name, cpus, arch, os, gpus, cents)| {
        instance_type(name, cpus, (arch, os), gpus, cents * 10_000)
    });
    let mut snapshot = Snapshot {
        now: Timestamp(1_000_000),
        region: "test".to_owned(),
        instance_types: [("all".to_owned(), Arc::new(types.to_vec()))].into(),
        ..Snapshot::default()
    };
    for statement in text.split(';') {
        let mut words = Words(statement.split_whitespace().collect());
        let count = words.0.front().and_then(|word| word.parse::<usize>().ok());
        count.iter().for_each(|_| _ = words.next());
        match words.next() {
            "" => {}
            "pool" => pool(&mut snapshot, words),
            "node" => node(&mut snapshot, words, false),
            "claim" => node(&mut snapshot, words, true),
            "pod" => pod(&mut snapshot, words, count.unwrap_or(1)),
            "daemon" => daemon(&mut snapshot, words),
            "class" => class(&mut snapshot, words),
            "pvc" => claim(&mut snapshot, words),
            "pv" => volume(&mut snapshot, words),
            "namespace" => {
                let name = words.next().to_owned();
                let own = std::iter::from_fn(|| words.pair()).collect();
                snapshot.namespaces.insert(name, own);
            }
            other => panic!("no statement begins with {other:?}"),
        }
    }
    if snapshot.node_pools.is_empty() {
        pool(&mut snapshot, Words(VecDeque::new()));
    }
    snapshot
}

struct Words<'w>(VecDeque<&'w str>);

impl<'w> Words<'w> {
    /// The next word; an empty one at the end.
    fn next(&mut self) -> &'w str {
        self.0.pop_front().unwrap_or_default()
    }

    fn take(&mut self, word: &str) -> bool {
        let is_next = self.0.front() == Some(&word);
        if is_next {
            self.next();
        }
        is_next
    }

    fn number(&mut self) -> i64 {
        let word = self.next();
        word.parse().unwrap_or_else(|_| panic!("a number is expected, not {word:?}"))
    }

    /// `KEY=VALUE`, if that is next.
    fn pair(&mut self) -> Option<(String, String)> {
        let (name, value) = self.0.front()?.split_once('=')?;
        self.next();
        Some((key(name), value.to_owned()))
    }

    /// `KEY in A,B`, `KEY notin A`, `KEY exists`, `KEY absent`, `KEY > 3`, or `KEY=A`.
    fn requirement(&mut self) -> Requirement {
        if let Some((key, value)) = self.pair() {
            return Requirement::new(&key, Operator::In, [value]);
        }
        let key = key(self.next());
        let operator = match self.next() {
            "in" => Operator::In,
            "notin" => Operator::NotIn,
            "exists" => return Requirement::new(&key, Operator::Exists, [""; 0]),
            "absent" => return Requirement::new(&key, Operator::DoesNotExist, [""; 0]),
            ">" => Operator::Gt,
            "<" => Operator::Lt,
            ">=" => Operator::Gte,
            "<=" => Operator::Lte,
            other => panic!("no operator is {other:?}"),
        };
        Requirement::new(&key, operator, self.next().split(','))
    }

    fn term(&mut self) -> NodeSelectorTerm {
        let mut requirements = vec![self.requirement()];
        while self.take("and") {
            requirements.push(self.requirement());
        }
        NodeSelectorTerm { requirements, fields: Vec::new() }
    }

    /// `KEY[=VALUE]:Effect`
    fn taint(&mut self) -> Taint {
        let word = self.next();
        let (of, effect) = word.split_once(':').unwrap_or((word, "NoSchedule"));
        let (key, value) = of.split_once('=').unwrap_or((of, ""));
        let effect = Effect::parse(effect).unwrap_or_else(|| panic!("no effect is {effect:?}"));
        Taint { key: key.to_owned(), value: value.to_owned(), effect }
    }

    /// `of K=V` or `of everything` or `of nothing`; else the pod's own labels.
    fn selector(&mut self, own: &Labels) -> LabelSelector {
        if !self.take("of") {
            return LabelSelector::from_labels(own);
        }
        if self.take("everything") {
            return LabelSelector::new(Vec::new());
        }
        if self.take("nothing") {
            return LabelSelector::nothing();
        }
        LabelSelector::from_labels(&self.pair().into_iter().collect())
    }

    fn affinity(&mut self, own: &Labels) -> PodAffinityTerm {
        let topology_key = key(self.next());
        let selector = self.selector(own);
        let named = if self.take("in") { self.next() } else { "" };
        let selected = self.take("where").then(|| {
            if self.take("any") {
                return LabelSelector::new(Vec::new());
            }
            LabelSelector::from_labels(&self.pair().into_iter().collect())
        });
        PodAffinityTerm {
            topology_key,
            selector,
            namespaces: named
                .split(',')
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            namespace_selector: selected,
        }
    }

    fn spread(&mut self, own: &Labels) -> TopologySpread {
        let mut spread = TopologySpread {
            max_skew: 1,
            topology_key: key(self.next()),
            when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
            selector: self.selector(own),
            min_domains: None,
            match_label_keys: Vec::new(),
            node_affinity_policy: InclusionPolicy::Honor,
            node_taints_policy: InclusionPolicy::Ignore,
        };
        loop {
            if self.take("skew") {
                spread.max_skew = self.number() as i32;
            } else if self.take("domains") {
                spread.min_domains = Some(self.number() as i32);
            } else if self.take("soft") {
                spread.when_unsatisfiable = WhenUnsatisfiable::ScheduleAnyway;
            } else if self.take("ignoring-affinity") {
                spread.node_affinity_policy = InclusionPolicy::Ignore;
            } else if self.take("honoring-taints") {
                spread.node_taints_policy = InclusionPolicy::Honor;
            } else {
                return spread;
            }
        }
    }
}

/// The label that a short name stands for.
fn key(name: &str) -> String {
    let long = match name {
        "zone" => labels::ZONE,
        "hostname" => labels::HOSTNAME,
        "arch" => labels::ARCH,
        "os" => labels::OS,
        "type" => labels::INSTANCE_TYPE,
        "paid" => labels::CAPACITY_TYPE,
        "cpus" => "karpenter.k8s.aws/instance-cpu",
        "pool" => labels::NODE_POOL,
        other => other,
    };
    long.to_owned()
}

fn instance_type(
    name: &str,
    cpus: i64,
    (arch, os): (&str, &str),
    gpus: i64,
    price: u64,
) -> InstanceType {
    let mut capacity =
        Resources::new().with(CPU, cpus * 1000).with(MEMORY, cpus << 32).with(PODS, cpus * 5);
    if gpus > 0 {
        capacity.set(NVIDIA_GPU, gpus);
    }
    let offering = |zone: &str, capacity_type, price| Offering {
        zone: zone.to_owned(),
        zone_id: format!("id-{zone}"),
        capacity_type,
        price: MicroUsdPerHour(price),
        estimated: false,
        available: true,
        reservation: None,
        parts: Default::default(),
    };
    let offerings = ["a", "b", "c"].into_iter().flat_map(|zone| {
        [
            offering(zone, CapacityType::OnDemand, price),
            offering(zone, CapacityType::Spot, price * 4 / 10),
        ]
    });
    let own = [(labels::ARCH, arch), (labels::OS, os)];
    let mut all: Labels = own.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    all.insert(key("cpus"), cpus.to_string());
    if gpus > 0 {
        all.insert("karpenter.k8s.aws/instance-gpu-count".to_owned(), gpus.to_string());
    }
    InstanceType {
        name: name.to_owned(),
        labels: all,
        allocatable: capacity.clone(),
        capacity,
        offerings: offerings.collect(),
    }
}

fn pool(snapshot: &mut Snapshot, mut words: Words<'_>) {
    let named = words.0.front().is_some_and(|word| word.starts_with('#'));
    let name = if named { words.next().trim_start_matches('#') } else { "default" };
    let mut pool = NodePool::new(name, ApiVersion::V1, "default", "all");
    let mut requirements = Vec::new();
    while let Some(word) = words.0.front().copied() {
        match word {
            "weight" | "taint" | "startup" | "limit" | "min" | "static" | "broken" | "label" => {
                words.next();
            }
            _ => {
                requirements.push(words.requirement());
                continue;
            }
        }
        match word {
            "weight" => pool.weight = words.number() as i32,
            "taint" => pool.taints.push(words.taint()),
            "startup" => pool.startup_taints.push(words.taint()),
            "static" => pool.replicas = Some(words.number() as u32),
            "broken" => pool.problem = Some("it is broken".to_owned()),
            "label" => pool.labels.extend(words.pair()),
            "min" => {
                let count = words.number() as u32;
                pool.min_values.push((key(words.next()), count));
            }
            _ => {
                let (name, amount) = words.pair().unwrap();
                let amount = amount.parse::<Quantity>().unwrap().amount_of(&name);
                pool.limits.set(name, amount);
            }
        }
    }
    pool.requirements = Requirements::from_list(&requirements);
    snapshot.node_pools.push(pool);
}

/// `node NAME TYPE ZONE ...`, set up unless it says `new`; a claim is on its way.
fn node(snapshot: &mut Snapshot, mut words: Words<'_>, coming: bool) {
    let (name, kind, zone) = (words.next(), words.next(), words.next());
    let types = &snapshot.instance_types["all"];
    let of_type = types.iter().find(|known| known.name == kind);
    let of_type = of_type.unwrap_or_else(|| panic!("no type is {kind:?}")).clone();
    let mut node = Node {
        name: name.into(),
        allocatable: of_type.allocatable.clone(),
        capacity: of_type.capacity.clone(),
        ready: true,
        price: Some(of_type.offerings[0].price),
        ..Node::default()
    };
    let own = [
        (labels::ZONE, zone),
        (labels::INSTANCE_TYPE, kind),
        (labels::HOSTNAME, name),
        (labels::NODE_POOL, "default"),
        (labels::CAPACITY_TYPE, "on-demand"),
        (labels::INITIALIZED, "true"),
        (labels::REGISTERED, "true"),
    ];
    node.labels = of_type.labels.clone();
    node.labels.extend(own.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let mut taints = Vec::new();
    while let Some(word) = words.0.front().copied() {
        if let Some((key, value)) = words.pair() {
            node.labels.insert(key, value);
            continue;
        }
        words.next();
        match word {
            "taint" => taints.push(words.taint()),
            "cordoned" => node.unschedulable = true,
            "deleting" => node.deleting = true,
            "new" => drop(node.labels.remove(labels::INITIALIZED)),
            "without" => drop(node.labels.remove(&key(words.next()))),
            "attaches" => {
                let (driver, count) = words.pair().unwrap();
                let limits = vec![(driver, count.parse().unwrap())];
                snapshot.csi_nodes.push(CsiNode { node: name.to_owned(), limits });
            }
            other => panic!("nothing is known of {other:?} for a node"),
        }
    }
    if coming {
        let mut own = node.labels;
        own.remove(labels::HOSTNAME);
        snapshot.node_claims.push(NodeClaim {
            name: name.into(),
            pool: "default".to_owned(),
            node_class: "default".to_owned(),
            zone: Some(zone.to_owned()),
            instance_type: Some(kind.to_owned()),
            capacity_type: Some(CapacityType::OnDemand),
            labels: own,
            taints,
            allocatable: node.allocatable,
            capacity: node.capacity,
            ..NodeClaim::default()
        });
        return;
    }
    node.taints = taints;
    snapshot.nodes.push(node);
}

/// What a pod is beside its spec.
#[derive(Default)]
struct About {
    labels: Labels,
    namespace: String,
    on: Option<String>,
    ending: bool,
    owner: Option<Owner>,
    held: bool,
}

fn pod(snapshot: &mut Snapshot, mut words: Words<'_>, count: usize) {
    let name = words.next().to_owned();
    let mut about = About { namespace: "default".to_owned(), ..About::default() };
    let spec = Arc::new(spec(&mut words, &mut about));
    for number in 0..count {
        let own = if count == 1 { name.clone() } else { format!("{name}-{number}") };
        let node: Option<Arc<str>> = about.on.as_deref().map(Into::into);
        let (id, labels) = (PodId::new(&about.namespace, &own), Arc::new(about.labels.clone()));
        snapshot.pods.push(Pod {
            owner: about.owner.clone(),
            phase: if node.is_some() { PodPhase::Running } else { PodPhase::Pending },
            unschedulable: node.is_none(),
            ready: node.is_some(),
            node_name: node,
            gated: about.held,
            deletion_at: about.ending.then_some(Timestamp(1_000_030)),
            ..Pod::waiting(id, labels, spec.clone())
        });
    }
}

fn daemon(snapshot: &mut Snapshot, mut words: Words<'_>) {
    let name = words.next().to_owned();
    let spec = Arc::new(spec(&mut words, &mut About::default()));
    snapshot.daemon_sets.push(DaemonSet { namespace: "default".to_owned(), name, spec });
}

fn spec(words: &mut Words<'_>, about: &mut About) -> PodSpec {
    let requests = Resources::new().with(CPU, 500).with(MEMORY, 512 << 20).with(PODS, 1);
    let mut spec = PodSpec { requests, termination_grace_period_s: 30, ..PodSpec::default() };
    while let Some(word) = words.0.front().copied() {
        if let Some((name, value)) = words.pair() {
            let amount = |name: &str| value.parse::<Quantity>().unwrap().amount_of(name);
            match name.as_str() {
                "cpu" => spec.requests.set(CPU, amount(CPU)),
                "memory" => spec.requests.set(MEMORY, amount(MEMORY)),
                "gpu" => spec.requests.set(NVIDIA_GPU, amount(NVIDIA_GPU)),
                resource if resource.contains("resource/") => {
                    spec.requests.set(resource, amount(resource));
                }
                _ => drop(about.labels.insert(name, value)),
            }
            continue;
        }
        words.next();
        rule(word, words, &mut spec, about);
    }
    spec
}

fn rule(word: &str, words: &mut Words<'_>, spec: &mut PodSpec, about: &mut About) {
    let own = about.labels.clone();
    match word {
        "on" => about.on = Some(words.next().to_owned()),
        "ns" => about.namespace = words.next().to_owned(),
        "ending" => about.ending = true,
        "gated" => about.held = true,
        "owner" => {
            about.owner = Some(Owner { kind: words.next().to_owned(), name: "own".to_owned() })
        }
        "select" => spec.node_selector.extend(words.pair()),
        "require" | "or" => spec.node_affinity.push(words.term()),
        "prefer" => {
            let weight = words.number() as i32;
            spec.preferred_node_affinity.push(Weighted { weight, term: words.term() });
        }
        "spread" => spec.topology_spread.push(words.spread(&own)),
        "near" => spec.pod_affinity.push(words.affinity(&own)),
        "apart" => spec.pod_anti_affinity.push(words.affinity(&own)),
        "rather-near" => {
            let weight = words.number() as i32;
            spec.preferred_pod_affinity.push(Weighted { weight, term: words.affinity(&own) });
        }
        "rather-apart" => {
            let weight = words.number() as i32;
            spec.preferred_pod_anti_affinity.push(Weighted { weight, term: words.affinity(&own) });
        }
        "tolerate" => spec.tolerations.push(toleration(words.next())),
        "port" => spec.host_ports.push(HostPort {
            ip: String::new(),
            port: words.number() as u16,
            protocol: "TCP".to_owned(),
        }),
        "priority" => spec.priority = words.number() as i32,
        "uses" => spec.volumes.push(PodVolume::Claim(words.next().to_owned())),
        "scratch" => {
            let class = words.next();
            let storage_class = (class != "default").then(|| class.to_owned());
            let volume = format!("scratch-{}", spec.volumes.len());
            spec.volumes.push(PodVolume::Ephemeral { volume, storage_class });
        }
        "dra" => spec.resource_claims = true,
        other => panic!("nothing is known of {other:?} for a pod"),
    }
}

fn toleration(word: &str) -> Toleration {
    let (of, effect) =
        word.split_once(':').map_or((word, None), |(of, effect)| (of, Effect::parse(effect)));
    let (key, value) = of.split_once('=').map_or((of, None), |(key, value)| (key, Some(value)));
    Toleration {
        key: (key != "everything").then(|| key.to_owned()),
        exists: value.is_none(),
        value: value.unwrap_or_default().to_owned(),
        effect,
    }
}

/// `class NAME [at-once] [makes DRIVER] [default] [since N] [zone in a,b]`
fn class(snapshot: &mut Snapshot, mut words: Words<'_>) {
    let mut class = StorageClass {
        name: words.next().to_owned(),
        provisioner: "ebs.csi.aws.com".to_owned(),
        waits_for_consumer: true,
        allowed_topologies: Vec::new(),
        is_default: false,
        created_at: None,
    };
    while let Some(word) = words.0.front().copied() {
        match word {
            "at-once" => class.waits_for_consumer = words.next().is_empty(),
            "default" => class.is_default = !words.next().is_empty(),
            "makes" => {
                words.next();
                class.provisioner = words.next().to_owned();
            }
            "since" => {
                words.next();
                class.created_at = Some(Timestamp(words.number()));
            }
            _ => class.allowed_topologies.push(words.term()),
        }
    }
    snapshot.storage_classes.push(class);
}

/// `pvc NAME [class NAME] [bound VOLUME] [lost] [deleting]`
fn claim(snapshot: &mut Snapshot, mut words: Words<'_>) {
    let mut claim = VolumeClaim {
        namespace: "default".to_owned(),
        name: words.next().to_owned(),
        volume: None,
        storage_class: None,
        phase: "Pending".to_owned(),
        deleting: false,
    };
    loop {
        match words.next() {
            "" => break,
            "class" => claim.storage_class = Some(words.next().trim_matches('"').to_owned()),
            "bound" => {
                claim.volume = Some(words.next().to_owned());
                claim.phase = "Bound".to_owned();
            }
            "lost" => claim.phase = "Lost".to_owned(),
            "deleting" => claim.deleting = true,
            other => panic!("nothing is known of {other:?} for a claim"),
        }
    }
    snapshot.volume_claims.push(claim);
}

/// `pv NAME [local] [by DRIVER] [zone in a,b] ...`; the terms are alternatives.
fn volume(snapshot: &mut Snapshot, mut words: Words<'_>) {
    let mut volume = Volume {
        name: words.next().to_owned(),
        node_affinity: Vec::new(),
        driver: Some("ebs.csi.aws.com".to_owned()),
        local: false,
    };
    while let Some(word) = words.0.front().copied() {
        match word {
            "local" => volume.local = !words.next().is_empty(),
            "by" => {
                words.next();
                volume.driver = Some(words.next().to_owned()).filter(|driver| driver != "nfs");
            }
            _ => volume.node_affinity.push(words.term()),
        }
    }
    snapshot.volumes.push(volume);
}
