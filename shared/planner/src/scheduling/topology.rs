//! Spread, affinity and anti-affinity: which pods are counted in which domain, and where one more may go.

use super::classes::Class;
use super::slots::Slot;
use crate::leaving::Leaving;
use model::pod::{NodeSelectorTerm, PodAffinityTerm, WhenUnsatisfiable};
use model::{LabelSelector, Labels, Pod, PodSpec, Reason, Snapshot, labels};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Stands for every namespace in a term with a selector of namespaces: to keep away from too many is safe.
pub(super) const ANY_NAMESPACE: &str = "*";

/// The two kinds of domain that are decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Each node is a domain.
    Host,
    /// Each zone is a domain.
    Zone,
}

impl Level {
    fn of(topology_key: &str) -> Option<Self> {
        match labels::normalize(topology_key) {
            labels::HOSTNAME => Some(Self::Host),
            labels::ZONE => Some(Self::Zone),
            _ => None,
        }
    }

    fn key(self) -> String {
        match self {
            Self::Host => labels::HOSTNAME.to_owned(),
            Self::Zone => labels::ZONE.to_owned(),
        }
    }
}

/// What a class has to do with each term, as indices into `Topology`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    /// Hard spreads, with their greatest skew.
    pub(crate) spreads: Vec<(usize, u32)>,
    /// Required affinities.
    pub(crate) affinities: Vec<usize>,
    /// Required anti-affinities.
    pub(crate) antis: Vec<usize>,
    /// The terms, whoever has them, that select this class's pods.
    pub(crate) matches: Vec<usize>,
}

/// Spreads count only pods on nodes that the pod itself could use (`nodeAffinityPolicy: Honor`).
type NodeFilter<'a> = (&'a Labels, &'a [NodeSelectorTerm]);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct TermKey<'a> {
    level: Level,
    namespace: &'a str,
    selector: &'a LabelSelector,
    filter: Option<NodeFilter<'a>>,
    /// Affinity counts only pods that all terms of the pod select, as the kube-scheduler does.
    also: &'a [PodAffinityTerm],
}

#[derive(Clone, Debug, Default)]
struct Counts {
    zones: Vec<u32>,
    hosts: BTreeMap<usize, u32>,
    total: u32,
}

impl Counts {
    fn add(&mut self, host: Option<usize>, zone: Option<usize>, count: u32) {
        self.total += count;
        if let Some(host) = host {
            *self.hosts.entry(host).or_default() += count;
        }
        if let Some(zone) = zone {
            self.zones[zone] += count;
        }
    }

    fn remove(&mut self, host: Option<usize>, zone: Option<usize>, count: u32) {
        self.total = self.total.saturating_sub(count);
        if let Some(own) = host.and_then(|host| self.hosts.get_mut(&host)) {
            *own = own.saturating_sub(count);
        }
        if let Some(zone) = zone {
            self.zones[zone] = self.zones[zone].saturating_sub(count);
        }
    }

    fn at(&self, level: Level, domain: usize) -> u32 {
        match level {
            Level::Host => self.hosts.get(&domain).copied().unwrap_or(0),
            Level::Zone => self.zones[domain],
        }
    }
}

/// The terms of a turn, and where their pods are.
pub(crate) struct Topology<'a> {
    terms: Vec<TermKey<'a>>,
    /// By term, the pods that it selects.
    counts: Vec<Counts>,
    /// By term, the pods that have it as an anti-affinity.
    holders: Vec<Counts>,
    /// Both as they were before anything was placed.
    running: Option<Box<(Vec<Counts>, Vec<Counts>)>>,
}

impl<'a> Topology<'a> {
    /// Gathers the terms of pending and of running pods, tells the classes theirs, and counts the running pods.
    pub(crate) fn new(
        snapshot: &'a Snapshot,
        leaving: &Leaving<'_>,
        classes: &mut [Class<'a>],
        slots: &[Slot<'a>],
        zones: usize,
    ) -> Self {
        let mut index = BTreeMap::new();
        for class in classes.iter_mut() {
            let Some(pod) = class.pods.first() else { continue };
            class.terms = own_terms(class.spec, &pod.id.namespace, &mut index);
        }
        let running = snapshot
            .pods
            .iter()
            .filter(|pod| pod.node_name.is_some() && !pod.is_terminal() && !leaving.moves(pod))
            .collect::<Vec<_>>();
        for pod in running.iter().filter(|pod| !pod.spec.pod_anti_affinity.is_empty()) {
            anti_terms(&pod.spec, &pod.id.namespace, &mut index);
        }
        let mut terms = index.iter().map(|(key, at)| (*at, *key)).collect::<Vec<_>>();
        terms.sort_unstable_by_key(|(at, _)| *at);
        let terms = terms.into_iter().map(|(_, key)| key).collect::<Vec<_>>();
        let empty = Counts { zones: vec![0; zones], ..Counts::default() };
        let mut topology = Self {
            counts: vec![empty.clone(); terms.len()],
            holders: vec![empty; terms.len()],
            terms,
            running: None,
        };
        for class in classes.iter_mut() {
            class.terms.matches =
                class.pods.first().map_or_else(Vec::new, |pod| topology.matching(pod));
        }
        topology.count_running(&running, slots, &index);
        topology.running = Some(Box::new((topology.counts.clone(), topology.holders.clone())));
        topology
    }

    /// The topology as it was before anything was placed.
    pub(crate) fn before(&self) -> Self {
        let (counts, holders) = self.running.as_deref().cloned().unwrap_or_default();
        Self { terms: self.terms.clone(), counts, holders, running: None }
    }

    fn matching(&self, pod: &Pod) -> Vec<usize> {
        let selects = |term: &TermKey<'_>| {
            let named = term.namespace == ANY_NAMESPACE || term.namespace == &*pod.id.namespace;
            let also = |term: &PodAffinityTerm| term.selector.matches(&pod.labels);
            named && term.selector.matches(&pod.labels) && term.also.iter().all(also)
        };
        (0..self.terms.len()).filter(|at| selects(&self.terms[*at])).collect()
    }

    fn count_running(
        &mut self,
        running: &[&'a Pod],
        slots: &[Slot<'a>],
        index: &BTreeMap<TermKey<'a>, usize>,
    ) {
        if self.terms.is_empty() {
            return;
        }
        let names = slots
            .iter()
            .enumerate()
            .map(|(at, slot)| (&*slot.name, at))
            .collect::<BTreeMap<_, _>>();
        let mut memo: BTreeMap<(&str, *const Labels), Vec<usize>> = BTreeMap::new();
        for pod in running {
            let Some(host) = pod.node_name.as_ref().and_then(|name| names.get(&**name)) else {
                continue;
            };
            let slot = &slots[*host];
            let matches = memo
                .entry((&*pod.id.namespace, Arc::as_ptr(&pod.labels)))
                .or_insert_with(|| self.matching(pod));
            for term in matches.iter().filter(|_| pod.deletion_at.is_none()) {
                if self.terms[*term]
                    .filter
                    .is_none_or(|(selector, terms)| slot.matches(selector, terms))
                {
                    self.counts[*term].add(Some(*host), slot.zone, 1);
                }
            }
            for term in held(&pod.spec, &pod.id.namespace).filter_map(|key| index.get(&key)) {
                self.holders[*term].add(Some(*host), slot.zone, 1);
            }
        }
    }

    /// How many pods the term selects that have a place.
    pub(crate) fn total(&self, term: usize) -> u32 {
        self.counts[term].total
    }

    /// The level of a term.
    pub(crate) fn level(&self, term: usize) -> Level {
        self.terms[term].level
    }

    /// Whether the class's place must be known by zone: it has a zonal term, or counts in one.
    pub(crate) fn is_zonal(&self, terms: &Terms) -> bool {
        let own =
            terms.spreads.iter().map(|(term, _)| term).chain(&terms.affinities).chain(&terms.antis);
        own.chain(&terms.matches).any(|term| self.level(*term) == Level::Zone)
    }

    /// Whether the term is a spread's: only these heed where the pod itself may be.
    pub(crate) fn is_spread(&self, term: usize) -> bool {
        self.terms[term].filter.is_some()
    }

    /// Whether the class may be only on nodes that have the label of the hostname.
    pub(crate) fn needs_hostname(&self, terms: &Terms) -> bool {
        let mut own = terms.spreads.iter().map(|(term, _)| term).chain(&terms.affinities);
        own.any(|term| self.level(*term) == Level::Host)
    }

    /// Whether the class has a required affinity to pods of its own node.
    pub(crate) fn follows(&self, terms: &Terms) -> bool {
        terms.affinities.iter().any(|term| self.level(*term) == Level::Host)
    }

    /// Whether one more of the class may go to this domain. For zones, `eligible` are those that count for spreads;
    /// for hosts, a new node is always possible, so the emptiest domain has none.
    pub(crate) fn admits(
        &self,
        terms: &Terms,
        level: Level,
        domain: usize,
        eligible: &[usize],
    ) -> Result<(), Reason> {
        let key = || level.key();
        for (term, skew) in terms.spreads.iter().filter(|(term, _)| self.level(*term) == level) {
            let least = match level {
                Level::Host => 0,
                Level::Zone => {
                    eligible.iter().map(|zone| self.counts[*term].zones[*zone]).min().unwrap_or(0)
                }
            };
            let own = u32::from(terms.matches.contains(term));
            if self.counts[*term].at(level, domain) + own > least + skew {
                return Err(Reason::Spread { topology_key: key() });
            }
        }
        for term in terms.affinities.iter().filter(|term| self.level(**term) == level) {
            let bootstraps = self.counts[*term].total == 0 && terms.matches.contains(term);
            if !bootstraps && self.counts[*term].at(level, domain) == 0 {
                return Err(Reason::PodAffinity { topology_key: key() });
            }
        }
        let own = terms
            .antis
            .iter()
            .any(|term| self.level(*term) == level && self.counts[*term].at(level, domain) > 0);
        let others = terms
            .matches
            .iter()
            .any(|term| self.level(*term) == level && self.holders[*term].at(level, domain) > 0);
        if own || others { Err(Reason::PodAntiAffinity { topology_key: key() }) } else { Ok(()) }
    }

    /// Counts pods that have been given a place.
    pub(crate) fn place(
        &mut self,
        terms: &Terms,
        host: Option<usize>,
        zone: Option<usize>,
        count: u32,
    ) {
        for term in &terms.matches {
            self.counts[*term].add(host, zone, count);
        }
        for term in &terms.antis {
            self.holders[*term].add(host, zone, count);
        }
    }

    /// Takes pods out of the count that `place` put in.
    pub(crate) fn withdraw(
        &mut self,
        terms: &Terms,
        host: Option<usize>,
        zone: Option<usize>,
        count: u32,
    ) {
        for term in &terms.matches {
            self.counts[*term].remove(host, zone, count);
        }
        for term in &terms.antis {
            self.holders[*term].remove(host, zone, count);
        }
    }

    /// How full a zone is of pods that the class's own terms select: fuller zones come later.
    pub(crate) fn crowd(&self, terms: &Terms, zone: usize) -> u32 {
        let own = terms
            .spreads
            .iter()
            .map(|(term, _)| term)
            .filter(|term| self.level(**term) == Level::Zone);
        own.map(|term| self.counts[*term].zones[zone]).sum()
    }

    /// Whether some pod that the class's affinities ask for is in the zone.
    pub(crate) fn attracts(&self, terms: &Terms, zone: usize) -> bool {
        terms.affinities.iter().any(|term| self.counts[*term].zones[zone] > 0)
    }
}

type Index<'a> = BTreeMap<TermKey<'a>, usize>;

fn intern<'a>(index: &mut Index<'a>, key: TermKey<'a>) -> usize {
    let next = index.len();
    *index.entry(key).or_insert(next)
}

fn own_terms<'a>(spec: &'a PodSpec, namespace: &'a str, index: &mut Index<'a>) -> Terms {
    let mut terms = Terms::default();
    let hard = spec
        .topology_spread
        .iter()
        .filter(|spread| spread.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule);
    for spread in hard {
        let Some(level) = Level::of(&spread.topology_key) else { continue };
        let filter = Some((&spec.node_selector, spec.node_affinity.as_slice()));
        let term = intern(
            index,
            TermKey { level, namespace, selector: &spread.selector, filter, also: &[] },
        );
        terms.spreads.push((term, spread.max_skew.max(1) as u32));
    }
    let also = if spec.pod_affinity.len() > 1 { spec.pod_affinity.as_slice() } else { &[] };
    for affinity in &spec.pod_affinity {
        let Some(level) = Level::of(&affinity.topology_key) else { continue };
        terms.affinities.push(intern(
            index,
            TermKey { level, namespace, selector: &affinity.selector, filter: None, also },
        ));
    }
    terms.antis = anti_terms(spec, namespace, index);
    terms
}

fn anti_terms<'a>(spec: &'a PodSpec, namespace: &'a str, index: &mut Index<'a>) -> Vec<usize> {
    held(spec, namespace).map(|key| intern(index, key)).collect()
}

/// The anti-affinities of a pod, once for each namespace that they speak of.
fn held<'a>(spec: &'a PodSpec, namespace: &'a str) -> impl Iterator<Item = TermKey<'a>> {
    spec.pod_anti_affinity.iter().flat_map(move |anti| {
        let key = |namespace: &'a str| {
            let level = Level::of(&anti.topology_key)?;
            Some(TermKey { level, namespace, selector: &anti.selector, filter: None, also: &[] })
        };
        namespaces(anti, namespace).into_iter().filter_map(key)
    })
}

/// The namespaces of a term: those named, else the pod's own. A selector of namespaces may mean any of them.
pub(super) fn namespaces<'a>(term: &'a PodAffinityTerm, own: &'a str) -> Vec<&'a str> {
    if term.namespace_selector.is_some() {
        vec![ANY_NAMESPACE]
    } else if term.namespaces.is_empty() {
        vec![own]
    } else {
        term.namespaces.iter().map(String::as_str).collect()
    }
}
