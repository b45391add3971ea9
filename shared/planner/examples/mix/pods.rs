//! Pods of upstream's scheduling benchmark.

use model::pod::{
    InclusionPolicy, NodeSelectorTerm, PodAffinityTerm, TopologySpread, Weighted, WhenUnsatisfiable,
};
use model::resources::{CPU, MEMORY, PODS};
use model::{LabelSelector, Labels, Operator, Pod, PodId, PodSpec, Requirement, Resources, labels};
use simulation::Random;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The rule that a fifth of the pods has each.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    Generic,
    ZonalSpread,
    HostSpread,
    ZonalAffinity,
    HostAntiAffinity,
}

/// Draws pods one after another.
pub(crate) struct Draw {
    random: Random,
    drawn: usize,
    /// What was drawn before, shared as the reader of clusters shares it.
    specs: BTreeSet<Arc<PodSpec>>,
    labels: BTreeSet<Arc<Labels>>,
    namespace: Arc<str>,
}

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            drawn: 0,
            specs: BTreeSet::new(),
            labels: BTreeSet::new(),
            namespace: "default".into(),
        }
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.random.below(choices.len() as u64) as usize]
    }

    fn requests(&mut self) -> Resources {
        let cpu = self.of(&[100, 250, 500, 1000, 1500]);
        let mebibytes = self.of(&[100, 256, 512, 1024, 2048, 4096_i64]);
        Resources::new().with(CPU, cpu).with(MEMORY, mebibytes << 20).with(PODS, 1)
    }

    fn label(&mut self, key: &str) -> Labels {
        let value = self.of(&["a", "b", "c", "d", "e", "f", "g"]);
        Labels::from([(key.to_owned(), value.to_owned())])
    }

    /// A fifth of the pods under each rule; what does not divide by five is generic.
    pub(crate) fn mix(&mut self, count: usize) -> Vec<Pod> {
        use Rule::{Generic, HostAntiAffinity, HostSpread, ZonalAffinity, ZonalSpread};
        let fifth = count / 5;
        let rules = [Generic, ZonalSpread, HostSpread, ZonalAffinity, HostAntiAffinity];
        let mut pods = Vec::with_capacity(count);
        for rule in rules {
            pods.extend((0..fifth).map(|_| self.pod(rule)));
        }
        pods.extend((pods.len()..count).map(|_| self.pod(Generic)));
        pods
    }

    /// A pod under that rule.
    pub(crate) fn pod(&mut self, rule: Rule) -> Pod {
        let requests = self.requests();
        let mut spec = PodSpec { requests, ..PodSpec::default() };
        let own = match rule {
            Rule::Generic => self.label("my-label"),
            Rule::ZonalSpread | Rule::HostSpread => {
                let own = self.label("my-label");
                let zonal = rule == Rule::ZonalSpread;
                let key = if zonal { labels::ZONE } else { labels::HOSTNAME };
                spec.topology_spread = vec![spread(key, &self.label("my-label"))];
                own
            }
            Rule::ZonalAffinity => {
                let own = self.label("my-affininity");
                spec.pod_affinity = vec![term(labels::ZONE, &own)];
                own
            }
            Rule::HostAntiAffinity => {
                let own = nginx();
                spec.pod_anti_affinity = vec![term(labels::HOSTNAME, &own)];
                own
            }
        };
        self.finish(spec, own)
    }

    /// A pod that would rather be in one zone, alone in it, and alone on its node.
    pub(crate) fn preference(&mut self) -> Pod {
        let own = nginx();
        let first = NodeSelectorTerm {
            requirements: vec![Requirement::new(labels::ZONE, Operator::In, ["zone-1"])],
            fields: Vec::new(),
        };
        let spec = PodSpec {
            requests: self.requests(),
            preferred_node_affinity: vec![Weighted { weight: 1, term: first }],
            preferred_pod_anti_affinity: vec![
                Weighted { weight: 10, term: term(labels::ZONE, &own) },
                Weighted { weight: 1, term: term(labels::HOSTNAME, &own) },
            ],
            ..PodSpec::default()
        };
        self.finish(spec, own)
    }

    fn finish(&mut self, spec: PodSpec, own: Labels) -> Pod {
        self.drawn += 1;
        let name = format!("pod-{}", self.drawn).into();
        let id = PodId { namespace: self.namespace.clone(), name };
        let (labels, spec) = (share(&mut self.labels, own), share(&mut self.specs, spec));
        Pod::waiting(id, labels, spec)
    }
}

fn share<T: Ord>(known: &mut BTreeSet<Arc<T>>, new: T) -> Arc<T> {
    if let Some(known) = known.get(&new) {
        return known.clone();
    }
    let new = Arc::new(new);
    known.insert(new.clone());
    new
}

fn nginx() -> Labels {
    Labels::from([("app".to_owned(), "nginx".to_owned())])
}

fn spread(key: &str, selected: &Labels) -> TopologySpread {
    TopologySpread {
        max_skew: 1,
        topology_key: key.to_owned(),
        when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
        selector: LabelSelector::from_labels(selected),
        min_domains: None,
        match_label_keys: Vec::new(),
        node_affinity_policy: InclusionPolicy::Honor,
        node_taints_policy: InclusionPolicy::Ignore,
    }
}

fn term(key: &str, selected: &Labels) -> PodAffinityTerm {
    PodAffinityTerm {
        topology_key: key.to_owned(),
        selector: LabelSelector::from_labels(selected),
        namespaces: Vec::new(),
        namespace_selector: None,
    }
}
