//! Where a node is, as far as topology rules over labels can tell: its values of all the labels that some rule speaks of.
//!
//! Nodes with equal values are in one cell. With rules over zones alone the cells are the zones.

use super::candidates::Candidates;
use super::slots::Slot;
use super::terms::hard;
use crate::leaving::Leaving;
use model::{PodSpec, Snapshot, labels};
use std::collections::{BTreeMap, BTreeSet};

/// By key, the value that a node has of it, as an index into the key's domains.
type Cell = Vec<Option<usize>>;

/// The cells of a turn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cells {
    keys: Vec<String>,
    /// By key, its values.
    domains: Vec<Vec<String>>,
    list: Vec<Cell>,
}

impl Cells {
    /// The cells of what is there and of what could be bought, by position of the slots and of the candidates.
    pub(crate) fn new(
        keys: Vec<String>,
        slots: &[Slot<'_>],
        candidates: &Candidates<'_>,
    ) -> (Self, Vec<usize>, Vec<usize>) {
        let of_slot = |slot: &Slot<'_>| {
            keys.iter().map(|key| slot.label(key).map(str::to_owned)).collect::<Vec<_>>()
        };
        let of_candidate = |at: usize| {
            let candidate = &candidates.list[at];
            let value = |key: &String| candidates.label(candidate, key).map(str::to_owned);
            keys.iter().map(value).collect::<Vec<_>>()
        };
        let of_slots = slots.iter().map(of_slot).collect::<Vec<_>>();
        let of_candidates = (0..candidates.list.len()).map(of_candidate).collect::<Vec<_>>();
        let all = of_slots.iter().chain(&of_candidates).collect::<BTreeSet<_>>();
        let index = all.iter().enumerate().map(|(at, values)| (*values, at));
        let index = index.collect::<BTreeMap<_, _>>();
        let known = |values: &Vec<Option<String>>| index.get(values).copied().unwrap_or(0);
        let in_slots = of_slots.iter().map(known).collect();
        let in_candidates = of_candidates.iter().map(known).collect();
        let domains_of = |key: usize| {
            let values = all.iter().filter_map(|values| values[key].clone());
            values.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
        };
        let domains = (0..keys.len()).map(domains_of).collect::<Vec<_>>();
        let place = |(key, value): (usize, &Option<String>)| {
            value.as_ref().and_then(|value| domains[key].binary_search(value).ok())
        };
        let cell = |values: &&Vec<Option<String>>| values.iter().enumerate().map(place).collect();
        let list = all.iter().map(cell).collect();
        (Self { keys, domains, list }, in_slots, in_candidates)
    }

    /// How many cells there are.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// The position of a key among those that rules speak of.
    pub(super) fn position(&self, key: &str) -> Option<usize> {
        self.keys.iter().position(|known| known == labels::normalize(key))
    }

    /// The name of a key.
    pub(super) fn key(&self, key: usize) -> &str {
        &self.keys[key]
    }

    /// How many values the key has.
    pub(super) fn domains(&self, key: usize) -> usize {
        self.domains[key].len()
    }

    /// The cell's value of the key, as an index; `None` if its nodes do not have the label.
    pub(super) fn domain(&self, cell: usize, key: usize) -> Option<usize> {
        self.list[cell][key]
    }
}

/// The labels that hard rules of pods speak of, but for the hostname; the zone is the first.
pub(crate) fn topology_keys(snapshot: &Snapshot, leaving: &Leaving<'_>) -> Vec<String> {
    let mut keys = BTreeSet::new();
    let mut last: Option<(*const PodSpec, bool)> = None;
    for pod in snapshot.pods.iter().filter(|pod| !pod.is_terminal()) {
        let runs = pod.node_name.is_some() && !leaving.moves(pod);
        let this = (std::sync::Arc::as_ptr(&pod.spec), runs);
        if last != Some(this) {
            collect(&pod.spec, runs, &mut keys);
            last = Some(this);
        }
    }
    let others = keys.into_iter().filter(|key| ![labels::ZONE, labels::HOSTNAME].contains(key));
    std::iter::once(labels::ZONE).chain(others).map(str::to_owned).collect()
}

/// Of pods that run and stay only the anti-affinities still bind others.
fn collect<'s>(spec: &'s PodSpec, runs: bool, keys: &mut BTreeSet<&'s str>) {
    keys.extend(spec.pod_anti_affinity.iter().map(|term| labels::normalize(&term.topology_key)));
    if runs {
        return;
    }
    let hard = hard(&spec.topology_spread);
    keys.extend(hard.map(|spread| labels::normalize(&spread.topology_key)));
    keys.extend(spec.pod_affinity.iter().map(|term| labels::normalize(&term.topology_key)));
}
