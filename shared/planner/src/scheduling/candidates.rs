//! The nodes that could be launched: each pool's instance types in each zone as each capacity type, with their labels.
//!
//! A candidate's labels are all known, so that a pod's requirements are tested as the kube-scheduler will test them.

use super::cells::Cells;
use super::classes::{Class, Classes};
use super::daemons::Left;
use super::dimensions::Dimensions;
use super::reservations::{self, Reservations};
use super::slots::Slot;
use crate::packing::bitset::Bitset;
use model::pod::{HostPort, NodeSelectorTerm};
use model::{
    InstanceType, Labels, Launch, NodePool, Offering, Operator, PodSpec, Requirement, Snapshot,
    labels,
};
use std::collections::BTreeMap;
use std::rc::Rc;

/// A node that could be launched.
pub(crate) struct Candidate<'a> {
    /// The pool, as an index into `Candidates::pools`.
    pub(crate) pool: usize,
    /// The instance type.
    pub(crate) instance_type: &'a InstanceType,
    /// The offering.
    pub(crate) offering: &'a Offering,
    /// The price by which it is compared with others, in micro-dollars an hour.
    pub(crate) price: u64,
    /// The zone, as an index into the turn's zones.
    pub(crate) zone: usize,
    /// The cell, as an index into the turn's cells.
    pub(crate) cell: usize,
    /// What pods may use once the daemons are there, by dimension.
    pub(crate) usable: Rc<Vec<i64>>,
    /// Host ports that the daemons take.
    ports: Rc<Vec<HostPort>>,
    /// The daemons' share of the node, in millionths.
    pub(crate) daemons: u64,
    /// Labels put on because pods ask for them, where the pool leaves the value open.
    pub(crate) chosen: Rc<Labels>,
}

/// All candidates of a turn.
pub(crate) struct Candidates<'a> {
    /// The usable pools, by name.
    pub(crate) pools: Vec<&'a NodePool>,
    /// The candidates, by pool, instance type and offering.
    pub(crate) list: Vec<Candidate<'a>>,
    /// By pool, its candidates.
    pub(crate) of_pool: Vec<Bitset>,
    /// By pool, its candidates by price, then by their offering.
    pub(crate) by_price: Vec<Vec<usize>>,
    /// By cell, its candidates.
    pub(crate) of_cell: Vec<Bitset>,
    /// Those in capacity reservations.
    pub(crate) reserved: Bitset,
    /// What those reservations hold.
    pub(crate) reservations: Reservations,
    /// What tells places apart for topology rules.
    pub(crate) cells: Rc<Cells>,
    /// The names of the zones, ascending.
    pub(crate) zones: Vec<String>,
    region: &'a str,
}

/// Label values that pools leave open are tried in at most so many combinations for each pool.
const MOST_VARIANTS: usize = 64;

impl<'a> Candidates<'a> {
    /// Enumerates the candidates of the snapshot's usable pools.
    pub(crate) fn new(snapshot: &'a Snapshot, classes: &Classes<'a>, keys: &[String]) -> Self {
        let zones = zones(snapshot);
        let mut pools =
            snapshot.node_pools.iter().filter(|pool| is_usable(pool)).collect::<Vec<_>>();
        pools.sort_by(|a, b| a.name.cmp(&b.name));
        let mut all = Self {
            pools,
            list: Vec::new(),
            of_pool: Vec::new(),
            by_price: Vec::new(),
            of_cell: Vec::new(),
            reserved: Bitset::new(0),
            reservations: Reservations::new(snapshot),
            cells: Rc::default(),
            zones,
            region: &snapshot.region,
        };
        for pool in 0..all.pools.len() {
            all.add_pool(snapshot, pool, classes, keys);
        }
        all.index();
        all
    }

    /// Tells the cells of the slots and of the candidates apart.
    pub(crate) fn partition(&mut self, keys: Vec<String>, slots: &mut [Slot<'_>]) {
        let (cells, of_slots, of_candidates) = Cells::new(keys, slots, self);
        slots.iter_mut().zip(of_slots).for_each(|(slot, cell)| slot.cell = cell);
        self.of_cell = vec![Bitset::new(self.list.len()); cells.len()];
        for (at, cell) in of_candidates.into_iter().enumerate() {
            self.list[at].cell = cell;
            self.of_cell[cell].insert(at);
        }
        self.cells = Rc::new(cells);
    }

    /// The cell of a node that the plan launches, if it is launched from a candidate.
    pub(crate) fn cell_of(&self, launch: &Launch) -> Option<usize> {
        let is = |candidate: &&Candidate<'_>| {
            candidate.instance_type.name == launch.offering.instance_type
                && candidate.offering.zone == launch.offering.zone
                && candidate.offering.capacity_type == launch.offering.capacity_type
                && candidate.reservation() == launch.offering.reservation.as_deref()
                && self.pools[candidate.pool].name == launch.node_pool
                && *candidate.chosen == launch.labels
        };
        self.list.iter().find(is).map(|candidate| candidate.cell)
    }

    fn index(&mut self) {
        let size = self.list.len();
        self.reserved = reservations::reserved(self);
        self.of_pool = vec![Bitset::new(size); self.pools.len()];
        for (at, candidate) in self.list.iter().enumerate() {
            self.of_pool[candidate.pool].insert(at);
        }
        let list = &self.list;
        let rank = |at: &usize| {
            let (of, offering) = (list[*at].instance_type, list[*at].offering);
            (list[*at].price, &of.name, &offering.zone, offering.capacity_type, *at)
        };
        let sorted = |members: &Bitset| {
            let mut order = members.iter().collect::<Vec<_>>();
            order.sort_by_key(rank);
            order
        };
        self.by_price = self.of_pool.iter().map(sorted).collect();
    }

    fn add_pool(
        &mut self,
        snapshot: &'a Snapshot,
        pool: usize,
        classes: &Classes<'a>,
        keys: &[String],
    ) {
        let node_pool = self.pools[pool];
        let Some(types) = snapshot.instance_types.get(&node_pool.instance_types) else { return };
        let mut types = types.iter().collect::<Vec<_>>();
        types.sort_by(|a, b| a.name.cmp(&b.name));
        let variants =
            variants(node_pool, &classes.list, keys).into_iter().map(Rc::new).collect::<Vec<_>>();
        for instance_type in types {
            if !self.type_accepted(node_pool, instance_type) {
                continue;
            }
            for chosen in &variants {
                self.add_type(snapshot, pool, instance_type, chosen, &classes.dimensions);
            }
        }
    }

    /// Whether the type's own labels meet the pool's requirements; those of offerings are tested with the offerings.
    fn type_accepted(&self, pool: &NodePool, instance_type: &InstanceType) -> bool {
        let of_type = |key: &str| labels::is_well_known(key) && !is_of_offering(key);
        let mut requirements = pool.requirements.iter().filter(|(key, _)| of_type(key));
        requirements.all(|(key, set)| set.allows(type_label(instance_type, key)))
    }

    fn add_type(
        &mut self,
        snapshot: &'a Snapshot,
        pool: usize,
        instance_type: &'a InstanceType,
        chosen: &Rc<Labels>,
        dimensions: &Dimensions,
    ) {
        let mut offerings = instance_type
            .offerings
            .iter()
            .filter(|offering| offering.available)
            .collect::<Vec<_>>();
        offerings.sort_by_key(|offering| (&offering.zone, offering.capacity_type, offering.price));
        let mut usable: BTreeMap<Vec<usize>, Left> = BTreeMap::new();
        for offering in offerings {
            let Ok(zone) = self.zones.binary_search(&offering.zone) else { continue };
            let mut candidate = Candidate {
                pool,
                instance_type,
                offering,
                price: reservations::comparable(instance_type, offering),
                zone,
                cell: 0,
                usable: Rc::default(),
                ports: Rc::default(),
                daemons: 0,
                chosen: chosen.clone(),
            };
            let accepted =
                self.pools[pool].requirements.iter().filter(|(key, _)| is_of_offering(key));
            if !accepted.into_iter().all(|(key, set)| set.allows(self.label(&candidate, key))) {
                continue;
            }
            let daemons = self.daemons(snapshot, &candidate);
            let left = usable.entry(daemons).or_insert_with_key(|daemons| {
                Left::new(snapshot, instance_type, daemons, dimensions)
            });
            candidate.usable = left.room.clone();
            candidate.ports = left.ports.clone();
            candidate.daemons = left.share;
            if candidate.usable.iter().all(|room| *room >= 0) {
                self.list.push(candidate);
            }
        }
    }

    /// The daemonsets whose pods will run on the candidate.
    fn daemons(&self, snapshot: &Snapshot, candidate: &Candidate<'_>) -> Vec<usize> {
        let runs = |spec: &PodSpec| {
            let tolerated =
                model::taints::untolerated(&self.pools[candidate.pool].taints, &spec.tolerations)
                    .is_none();
            tolerated && self.matches_alone(candidate, spec)
        };
        (0..snapshot.daemon_sets.len()).filter(|at| runs(&snapshot.daemon_sets[*at].spec)).collect()
    }

    fn matches_alone(&self, candidate: &Candidate<'_>, spec: &PodSpec) -> bool {
        let selected =
            spec.node_selector.iter().all(|(key, value)| self.label(candidate, key) == Some(value));
        let meets = |requirement: &Requirement| {
            requirement.value_set().allows(self.label(candidate, &requirement.key))
        };
        let unnamed =
            |term: &NodeSelectorTerm| term.fields.is_empty() || !term.requirements.is_empty();
        selected
            && (spec.node_affinity.is_empty()
                || spec
                    .node_affinity
                    .iter()
                    .any(|term| unnamed(term) && term.requirements.iter().all(meets)))
    }

    /// A label that the candidate's node will carry.
    pub(crate) fn label<'c>(&'c self, candidate: &'c Candidate<'_>, key: &str) -> Option<&'c str> {
        let pool = self.pools[candidate.pool];
        match labels::normalize(key) {
            labels::REGION => Some(self.region),
            labels::INITIALIZED | labels::REGISTERED => Some("true"),
            key => candidate
                .offering
                .label(key)
                .or_else(|| pool.name_under(key))
                .or_else(|| custom_label(pool, candidate, key)),
        }
    }

    /// The candidates that the class's requirements, volumes and tolerations allow, whatever their size.
    pub(crate) fn allowed(&self, class: &Class<'_>, atoms: &mut Atoms) -> Bitset {
        let spec = class.spec;
        let mut allowed = self.selected(&spec.node_selector, &spec.node_affinity, atoms);
        for (pool, members) in self.pools.iter().zip(&self.of_pool) {
            if model::taints::untolerated(&pool.taints, &class.spec.tolerations).is_some() {
                members.iter().for_each(|at| allowed.remove(at));
            }
        }
        for terms in class.volumes.iter().filter(|terms| !terms.is_empty()) {
            allowed.intersect(&self.any_of(terms, atoms));
        }
        self.without_taken_port(&mut allowed, &class.spec.host_ports);
        allowed
    }

    /// Takes out the candidates whose daemons take one of the ports; returns the first that one takes.
    pub(crate) fn without_taken_port(&self, from: &mut Bitset, ports: &[HostPort]) -> Option<u16> {
        let taken = |at: usize| {
            let mut own = self.list[at].ports.iter();
            own.find_map(|own| ports.iter().find(|port| own.conflicts(port)))
        };
        if ports.is_empty() {
            return None;
        }
        let conflicts =
            from.iter().filter_map(|at| Some((at, taken(at)?.port))).collect::<Vec<_>>();
        conflicts.iter().for_each(|(at, _)| from.remove(*at));
        conflicts.first().map(|(_, port)| *port)
    }

    /// The candidates that a node selector and a required affinity allow.
    pub(crate) fn selected(
        &self,
        selector: &Labels,
        affinity: &[NodeSelectorTerm],
        atoms: &mut Atoms,
    ) -> Bitset {
        let mut selected = Bitset::full(self.list.len());
        for (key, value) in selector {
            let wanted = Requirement::new(key, Operator::In, [value.as_str()]);
            selected.intersect(atoms.get(self, &wanted));
        }
        if !affinity.is_empty() {
            selected.intersect(&self.any_of(affinity, atoms));
        }
        selected
    }

    /// The candidates that meet one of the terms.
    pub(crate) fn any_of(&self, terms: &[NodeSelectorTerm], atoms: &mut Atoms) -> Bitset {
        let mut any = Bitset::new(self.list.len());
        // A new node has none of the names that are there.
        let open = |term: &&NodeSelectorTerm| {
            let empty = term.fields.is_empty() && term.requirements.is_empty();
            !empty && term.fields.iter().all(|field| field.operator == Operator::NotIn)
        };
        for term in terms.iter().filter(open) {
            let mut all = Bitset::full(self.list.len());
            for requirement in &term.requirements {
                all.intersect(atoms.get(self, requirement));
            }
            any.unite(&all);
        }
        any
    }

    /// Those of `allowed` that have room for one pod of this size.
    pub(crate) fn large_enough(&self, allowed: &Bitset, size: &[i64]) -> Bitset {
        let mut fitting = Bitset::new(self.list.len());
        let fits = |at: &usize| super::dimensions::fits(size, &self.list[*at].usable);
        allowed.iter().filter(fits).for_each(|at| fitting.insert(at));
        fitting
    }
}

/// The candidates that meet single requirements, computed once each.
#[derive(Default)]
pub(crate) struct Atoms {
    known: BTreeMap<Requirement, Bitset>,
}

impl Atoms {
    /// The candidates that meet the requirement.
    pub(crate) fn get(
        &mut self,
        candidates: &Candidates<'_>,
        requirement: &Requirement,
    ) -> &Bitset {
        self.known.entry(requirement.clone()).or_insert_with(|| {
            let set = requirement.value_set();
            let mut met = Bitset::new(candidates.list.len());
            let meets = |candidate: &Candidate<'_>| {
                set.allows(candidates.label(candidate, &requirement.key))
            };
            candidates
                .list
                .iter()
                .enumerate()
                .filter(|(_, candidate)| meets(candidate))
                .for_each(|(at, _)| met.insert(at));
            met
        })
    }
}

/// Whether pending pods may be planned onto the pool's nodes.
pub(crate) fn is_usable(pool: &NodePool) -> bool {
    pool.problem.is_none() && pool.replicas.is_none()
}

fn zones(snapshot: &Snapshot) -> Vec<String> {
    let offered = snapshot
        .instance_types
        .values()
        .flat_map(|types| types.iter())
        .flat_map(|instance_type| &instance_type.offerings);
    let offered = offered.map(|offering| offering.zone.as_str());
    let nodes = snapshot.nodes.iter().filter_map(|node| node.label(labels::ZONE));
    let claims = snapshot.node_claims.iter().filter_map(|claim| claim.zone.as_deref());
    let all = offered.chain(nodes).chain(claims).collect::<std::collections::BTreeSet<_>>();
    all.into_iter().map(str::to_owned).collect()
}

fn is_of_offering(key: &str) -> bool {
    let [id, kind] = [labels::RESERVATION_ID, labels::RESERVATION_TYPE];
    [labels::ZONE, labels::ZONE_ID, labels::CAPACITY_TYPE, labels::REGION, id, kind]
        .contains(&labels::normalize(key))
}

fn type_label<'t>(instance_type: &'t InstanceType, key: &str) -> Option<&'t str> {
    match labels::normalize(key) {
        labels::INSTANCE_TYPE => Some(&instance_type.name),
        key => instance_type.labels.get(key).map(String::as_str),
    }
}

fn custom_label<'c>(
    pool: &'c NodePool,
    candidate: &'c Candidate<'_>,
    key: &str,
) -> Option<&'c str> {
    let own = pool.labels.get(key).map(String::as_str);
    let fixed = || {
        pool.requirements
            .get(key)
            .filter(|_| !labels::is_well_known(key))
            .and_then(model::ValueSet::single)
    };
    own.or_else(|| candidate.chosen.get(key).map(String::as_str))
        .or_else(|| type_label(candidate.instance_type, key))
        .or_else(fixed)
}

/// The combinations of label values that the pool leaves open and that some class asks for, or that some topology rule
/// tells apart (`keys`).
fn variants(pool: &NodePool, classes: &[Class<'_>], keys: &[String]) -> Vec<Labels> {
    let mut variants = vec![Labels::new()];
    let open = pool.requirements.iter().filter(|(key, set)| {
        !labels::is_well_known(key) && !pool.labels.contains_key(*key) && set.single().is_none()
    });
    for (key, set) in open {
        let told_apart = keys.iter().any(|known| known == key) && !set.complement;
        let listed = set.values.iter().filter(|_| told_apart).cloned();
        let asked = asked_values(classes, key).into_iter().chain(listed);
        let values = asked
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .filter(|value| set.allows(Some(value)))
            .collect::<Vec<_>>();
        let more = values
            .iter()
            .flat_map(|value| variants.iter().map(|base| with(base, key, value)))
            .collect::<Vec<_>>();
        variants.extend(more);
        variants.truncate(MOST_VARIANTS);
    }
    variants
}

fn with(base: &Labels, key: &str, value: &str) -> Labels {
    let mut labels = base.clone();
    labels.insert(key.to_owned(), value.to_owned());
    labels
}

fn asked_values(classes: &[Class<'_>], key: &str) -> std::collections::BTreeSet<String> {
    let selected = classes.iter().filter_map(|class| class.spec.node_selector.get(key)).cloned();
    let terms = classes
        .iter()
        .flat_map(|class| class.spec.node_affinity.iter().chain(class.volumes.iter().flatten()));
    let required =
        terms.flat_map(|term| &term.requirements).filter(|requirement| requirement.key == key);
    let asked = required.flat_map(|requirement| match requirement.operator {
        Operator::In => requirement.values.clone(),
        Operator::Exists => vec!["joiner".to_owned()],
        Operator::NotIn
        | Operator::DoesNotExist
        | Operator::Gt
        | Operator::Lt
        | Operator::Gte
        | Operator::Lte => Vec::new(),
    });
    selected.chain(asked).collect()
}
