//! All that keeps a pod from a node that a pool could buy. The planner stops at the first obstacle; this finds every one.

use super::obstacle::Obstacle;
use model::pod::NodeSelectorTerm;
use model::{
    InstanceType, NodePool, Offering, Operator, PodSpec, Requirement, Snapshot, ValueSet, labels,
    taints,
};
use std::collections::BTreeMap;

/// A node that a pool could buy.
#[derive(Clone, Copy)]
pub(super) struct Prospect<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) pool: &'a NodePool,
    pub(super) instance_type: &'a InstanceType,
    pub(super) offering: &'a Offering,
}

/// What a node will carry under a key.
enum Label<'a> {
    Known(Option<&'a str>),
    /// The pool leaves it open: the node gets what its pods ask for.
    Open(&'a ValueSet),
}

/// What a pod asks of its node, and where its volumes are.
pub(super) struct Wanted<'a> {
    pub(super) spec: &'a PodSpec,
    /// For each volume, the places where it can be used.
    pub(super) volumes: &'a [Vec<NodeSelectorTerm>],
}

/// An open label is put on for `Exists` with this value, as the planner does.
const ANY_VALUE: &str = "joiner";

impl<'a> Prospect<'a> {
    /// Every obstacle of the type and the offering, in the order of their ranks; taints and limits are the pool's.
    pub(super) fn obstacles(&self, wanted: &Wanted<'_>) -> Vec<Obstacle> {
        let mut found = self.excluded_by_pool();
        found.extend(self.unselected(wanted.spec));
        for places in wanted.volumes.iter().filter(|places| !places.is_empty()) {
            let volume = |(key, wanted, value)| Obstacle::Volume { key, wanted, value };
            found.extend(self.best_term(places).into_iter().map(volume));
        }
        if !self.offering.available {
            let zone = self.offering.zone.clone();
            let capacity_type = self.offering.capacity_type;
            found.push(Obstacle::OutOfCapacity { zone, capacity_type });
        }
        found.extend(self.too_small(wanted.spec));
        found.sort_by_key(Obstacle::rank);
        found.dedup();
        found
    }

    fn excluded_by_pool(&self) -> Vec<Obstacle> {
        let known = self.pool.requirements.iter().filter(|(key, _)| labels::is_well_known(key));
        let excluded = |(key, set): (&str, &ValueSet)| {
            let Label::Known(value) = self.label(key) else { return None };
            let (key, value) = (key.to_owned(), value.map(str::to_owned));
            let allowed = set.clone();
            (!set.allows(value.as_deref())).then_some(Obstacle::PoolRequirement {
                key,
                allowed,
                value,
            })
        };
        known.filter_map(excluded).collect()
    }

    fn unselected(&self, spec: &PodSpec) -> Vec<Obstacle> {
        let selector = spec.node_selector.iter();
        let mut sets = selector
            .map(|(key, value)| Requirement::new(key, Operator::In, [value.as_str()]))
            .collect::<Vec<_>>();
        let alone = self.unmet(&sets);
        let terms = spec.node_affinity.iter().map(|term| {
            let mut all = sets.clone();
            all.extend(term.requirements.iter().cloned());
            let mut unmet = self.unmet(&all);
            unmet.extend(unmet_fields(term));
            unmet
        });
        let best = terms.min_by_key(Vec::len).unwrap_or(alone);
        sets.clear();
        let obstacle = |(key, wanted, value)| Obstacle::PodRequirement { key, wanted, value };
        best.into_iter().map(obstacle).collect()
    }

    /// What is unmet of the term that comes nearest.
    fn best_term(&self, terms: &[NodeSelectorTerm]) -> Vec<Unmet> {
        let unmet = |term: &NodeSelectorTerm| {
            let mut unmet = self.unmet(&term.requirements);
            unmet.extend(unmet_fields(term));
            unmet
        };
        terms.iter().map(unmet).min_by_key(Vec::len).unwrap_or_default()
    }

    fn unmet(&self, requirements: &[Requirement]) -> Vec<Unmet> {
        let mut sets: BTreeMap<&str, (ValueSet, Vec<&str>)> = BTreeMap::new();
        for requirement in requirements {
            let set = requirement.value_set();
            let (all, asked) = sets
                .entry(labels::normalize(&requirement.key))
                .or_insert_with(|| (ValueSet::absent_or_any(), Vec::new()));
            *all = all.intersection(&set);
            match requirement.operator {
                Operator::In => asked.extend(requirement.values.iter().map(String::as_str)),
                Operator::Exists => asked.push(ANY_VALUE),
                Operator::NotIn
                | Operator::DoesNotExist
                | Operator::Gt
                | Operator::Lt
                | Operator::Gte
                | Operator::Lte => {}
            }
        }
        let unmet = |(key, (set, asked)): (&str, (ValueSet, Vec<&str>))| {
            let value = match self.label(key) {
                Label::Known(value) if set.allows(value) => return None,
                Label::Known(value) => value.map(str::to_owned),
                Label::Open(open) => {
                    let chosen = |value: &&str| open.allows(Some(value)) && set.allows(Some(value));
                    if set.allows(None) || asked.iter().any(chosen) {
                        return None;
                    }
                    None
                }
            };
            Some((key.to_owned(), set, value))
        };
        sets.into_iter().filter_map(unmet).collect()
    }

    fn too_small(&self, spec: &PodSpec) -> Vec<Obstacle> {
        let mut room = self.instance_type.allocatable.clone();
        let mut taken = Vec::new();
        for daemon in self.daemons() {
            room.subtract(&daemon.requests);
            taken.extend(&daemon.host_ports);
        }
        let short = spec.requests.iter().filter_map(|(name, requested)| {
            let available = room.get(name.as_str());
            let resource = name.as_str().to_owned();
            (requested > 0 && requested > available).then_some(Obstacle::TooSmall {
                resource,
                requested,
                available,
            })
        });
        let port = |port: &&model::pod::HostPort| taken.iter().any(|taken| taken.conflicts(port));
        let ports = spec.host_ports.iter().filter(port);
        short.chain(ports.map(|port| Obstacle::HostPort { port: port.port })).collect()
    }

    /// What the daemons that will run on the node need.
    fn daemons(&self) -> impl Iterator<Item = &'a PodSpec> {
        let runs = move |spec: &&PodSpec| {
            let tolerated = taints::untolerated(&self.pool.taints, &spec.tolerations).is_none();
            tolerated && self.holds_daemon(spec)
        };
        self.snapshot.daemon_sets.iter().map(|daemons| &*daemons.spec).filter(runs)
    }

    fn holds_daemon(&self, spec: &PodSpec) -> bool {
        let has = |key: &str| match self.label(key) {
            Label::Known(value) => value,
            Label::Open(_) => None,
        };
        let selected =
            spec.node_selector.iter().all(|(key, value)| has(key) == Some(value.as_str()));
        let meets = |wanted: &Requirement| wanted.value_set().allows(has(&wanted.key));
        let unnamed =
            |term: &NodeSelectorTerm| term.fields.is_empty() || !term.requirements.is_empty();
        let term = |term: &NodeSelectorTerm| unnamed(term) && term.requirements.iter().all(meets);
        selected && (spec.node_affinity.is_empty() || spec.node_affinity.iter().any(term))
    }

    fn label(&self, key: &str) -> Label<'a> {
        let of_offering = |key| self.offering.label(key).or_else(|| self.pool.name_under(key));
        match labels::normalize(key) {
            labels::REGION => Label::Known(Some(&*self.snapshot.region)),
            labels::INITIALIZED | labels::REGISTERED => Label::Known(Some("true")),
            labels::INSTANCE_TYPE => Label::Known(Some(&*self.instance_type.name)),
            key => match of_offering(key) {
                Some(value) => Label::Known(Some(value)),
                None => self.other_label(key),
            },
        }
    }

    fn other_label(&self, key: &str) -> Label<'a> {
        let of_pool = self.pool.labels.get(key);
        let known = of_pool.or_else(|| self.instance_type.labels.get(key)).map(String::as_str);
        let required = self.pool.requirements.get(key).filter(|_| !labels::is_well_known(key));
        match (known, required) {
            (None, Some(set)) => match set.single() {
                Some(value) => Label::Known(Some(value)),
                None => Label::Open(set),
            },
            (known, _) => Label::Known(known),
        }
    }
}

/// A key, what is wanted there, and what there is.
type Unmet = (String, ValueSet, Option<String>);

/// A new node has none of the names that are there; a term without anything matches no node.
fn unmet_fields(term: &NodeSelectorTerm) -> Vec<Unmet> {
    let named = |field: &&Requirement| field.operator != Operator::NotIn;
    let fields = term.fields.iter().filter(named);
    let mut unmet =
        fields.map(|field| (field.key.clone(), field.value_set(), None)).collect::<Vec<_>>();
    if term.requirements.is_empty() && term.fields.is_empty() {
        unmet.push(("metadata.name".to_owned(), ValueSet::none(), None));
    }
    unmet
}
