//! Spread, affinity and anti-affinity: which pods are counted in which domain, and where one more may go.

use super::candidates::{Atoms, Candidates};
use super::cells::Cells;
use super::classes::Class;
use super::slots::Slot;
use super::terms::{Filter, Index, TermKey, hard};
pub(crate) use super::terms::{Level, Terms};
use crate::leaving::Leaving;
use crate::packing::bitset::Bitset;
use model::{Labels, Pod, Reason, Snapshot, labels};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

#[derive(Clone, Debug, Default)]
struct Counts {
    /// By domain of the term's key; of the zone for a term over hosts.
    domains: Vec<u32>,
    /// By host, for a term over hosts.
    hosts: BTreeMap<usize, u32>,
    total: u32,
}

impl Counts {
    fn at_host(&self, host: usize) -> u32 {
        self.hosts.get(&host).copied().unwrap_or(0)
    }

    fn add(&mut self, host: Option<usize>, domain: Option<usize>, count: u32) {
        self.total += count;
        if let Some(host) = host {
            *self.hosts.entry(host).or_default() += count;
        }
        if let Some(domain) = domain {
            self.domains[domain] += count;
        }
    }

    fn remove(&mut self, host: Option<usize>, domain: Option<usize>, count: u32) {
        self.total = self.total.saturating_sub(count);
        if let Some(own) = host.and_then(|host| self.hosts.get_mut(&host)) {
            *own = own.saturating_sub(count);
        }
        if let Some(domain) = domain {
            self.domains[domain] = self.domains[domain].saturating_sub(count);
        }
    }
}

/// The nodes that count for a spread.
#[derive(Debug)]
struct Counting {
    slots: Bitset,
    /// The cells of new nodes that count.
    cells: Bitset,
}

/// A term, as far as placing pods needs it.
#[derive(Debug)]
struct Term {
    level: Level,
    /// The key of the counts by domain.
    key: usize,
    is_spread: bool,
    /// The nodes that count, if not all do.
    counting: Option<Rc<Counting>>,
    /// For a spread over a key, the domains that count.
    eligible: Vec<usize>,
}

/// The terms of a turn, and where their pods are.
pub(crate) struct Topology {
    cells: Rc<Cells>,
    terms: Rc<Vec<Term>>,
    /// How many slots there are: hosts from there on are new.
    slots: usize,
    /// By term, the pods that it selects.
    counts: Vec<Counts>,
    /// By term, the pods that have it as an anti-affinity.
    holders: Vec<Counts>,
    /// Both as they were before anything was placed.
    running: Option<Box<(Vec<Counts>, Vec<Counts>)>>,
}

impl Topology {
    /// Gathers the terms of pending and of running pods, tells the classes theirs, and counts the running pods.
    pub(crate) fn new<'a>(
        snapshot: &'a Snapshot,
        leaving: &Leaving<'_>,
        classes: &mut [Class<'a>],
        slots: &[Slot<'a>],
        candidates: &Candidates<'a>,
        atoms: &mut Atoms,
    ) -> Self {
        let cells = candidates.cells.clone();
        let mut index = Index::new(snapshot, &cells);
        for class in classes.iter_mut() {
            class.terms = class.pods.first().map(|pod| index.own(pod)).unwrap_or_default();
        }
        let stays =
            |pod: &&Pod| pod.node_name.is_some() && !pod.is_terminal() && !leaving.moves(pod);
        let running = snapshot.pods.iter().filter(stays).collect::<Vec<_>>();
        let holding = running.iter().filter(|pod| !pod.spec.pod_anti_affinity.is_empty());
        let held = holding.map(|pod| (*pod, index.antis(pod))).collect::<Vec<_>>();
        let keys = index.into_terms();
        let selecting = Selecting::new(&keys);
        for class in classes.iter_mut() {
            let matching = class.pods.first().map(|pod| selecting.terms(pod));
            class.terms.matches = matching.unwrap_or_default();
        }
        let terms = terms(&keys, slots, candidates, atoms);
        let empty =
            |term: &Term| Counts { domains: vec![0; cells.domains(term.key)], ..Counts::default() };
        let counts = terms.iter().map(empty).collect::<Vec<_>>();
        let mut topology = Self {
            holders: counts.clone(),
            counts,
            terms: Rc::new(terms),
            cells,
            slots: slots.len(),
            running: None,
        };
        topology.count_running(&running, &held, slots, &selecting);
        topology.running = Some(Box::new((topology.counts.clone(), topology.holders.clone())));
        topology
    }

    /// The topology as it was before anything was placed.
    pub(crate) fn before(&self) -> Self {
        let (counts, holders) = self.running.as_deref().cloned().unwrap_or_default();
        let (cells, terms) = (self.cells.clone(), self.terms.clone());
        Self { cells, terms, slots: self.slots, counts, holders, running: None }
    }

    fn count_running(
        &mut self,
        running: &[&Pod],
        held: &[(&Pod, Vec<usize>)],
        slots: &[Slot<'_>],
        selecting: &Selecting<'_>,
    ) {
        if self.terms.is_empty() {
            return;
        }
        let names = slots.iter().enumerate().map(|(at, slot)| (&*slot.name, at));
        let names = names.collect::<BTreeMap<_, _>>();
        let host = |pod: &Pod| pod.node_name.as_ref().and_then(|name| names.get(&**name)).copied();
        let mut memo: BTreeMap<(&str, *const Labels), Vec<usize>> = BTreeMap::new();
        for pod in running.iter().filter(|pod| pod.deletion_at.is_none()) {
            let Some(host) = host(pod) else { continue };
            let known = (&*pod.id.namespace, Arc::as_ptr(&pod.labels));
            let matches = memo.entry(known).or_insert_with(|| selecting.terms(pod));
            for term in matches.iter() {
                self.count(*term, Some(host), Some(slots[host].cell), 1);
            }
        }
        for (pod, terms) in held {
            let Some(host) = host(pod) else { continue };
            for term in terms {
                self.hold(*term, Some(host), Some(slots[host].cell), 1);
            }
        }
    }

    /// The host, if the term counts by host, and the domain of its key.
    fn spot(
        &self,
        term: usize,
        host: Option<usize>,
        cell: Option<usize>,
    ) -> (Option<usize>, Option<usize>) {
        let of = &self.terms[term];
        let host = host.filter(|_| of.level == Level::Host);
        (host, cell.and_then(|cell| self.cells.domain(cell, of.key)))
    }

    /// Whether pods there count for the term.
    fn counts_there(&self, term: usize, host: Option<usize>, cell: Option<usize>) -> bool {
        let there = |counting: &Rc<Counting>| match (host, cell) {
            (Some(host), _) if host < self.slots => counting.slots.contains(host),
            (_, cell) => cell.is_none_or(|cell| counting.cells.contains(cell)),
        };
        self.terms[term].counting.as_ref().is_none_or(there)
    }

    fn count(&mut self, term: usize, host: Option<usize>, cell: Option<usize>, count: u32) {
        if self.counts_there(term, host, cell) {
            let (host, domain) = self.spot(term, host, cell);
            self.counts[term].add(host, domain, count);
        }
    }

    fn hold(&mut self, term: usize, host: Option<usize>, cell: Option<usize>, count: u32) {
        let (host, domain) = self.spot(term, host, cell);
        self.holders[term].add(host, domain, count);
    }

    /// How many pods the term selects that have a place.
    pub(crate) fn total(&self, term: usize) -> u32 {
        self.counts[term].total
    }

    /// The level of a term.
    pub(crate) fn level(&self, term: usize) -> Level {
        self.terms[term].level
    }

    /// Whether each node is a domain of the term.
    pub(crate) fn is_over_hosts(&self, term: usize) -> bool {
        self.level(term) == Level::Host
    }

    /// Whether the class's place must be known by cell: it has a term over a key, or counts in one.
    pub(crate) fn needs_cell(&self, terms: &Terms) -> bool {
        let spreads = terms.spreads.iter().map(|spread| &spread.term);
        let own = spreads.chain(&terms.affinities).chain(&terms.antis);
        own.chain(&terms.matches).any(|term| !self.is_over_hosts(*term))
    }

    /// Whether the term is a spread's: only these heed where the pod itself may be.
    pub(crate) fn is_spread(&self, term: usize) -> bool {
        self.terms[term].is_spread
    }

    /// Whether the class may be only on nodes that have the label of the hostname.
    pub(crate) fn needs_hostname(&self, terms: &Terms) -> bool {
        let spreads = terms.spreads.iter().map(|spread| &spread.term);
        spreads.chain(&terms.affinities).any(|term| self.is_over_hosts(*term))
    }

    /// Whether the class has a required affinity to pods of its own node.
    pub(crate) fn follows(&self, terms: &Terms) -> bool {
        terms.affinities.iter().any(|term| self.is_over_hosts(*term))
    }

    /// Whether one more of the class may go to this host. A new node is always possible, so the emptiest host has none.
    pub(crate) fn admits_host(&self, terms: &Terms, host: usize) -> Result<(), Reason> {
        let key = || labels::HOSTNAME.to_owned();
        let over = |term: &usize| self.is_over_hosts(*term);
        for spread in terms.spreads.iter().filter(|spread| over(&spread.term)) {
            let after = self.counts[spread.term].at_host(host) + u32::from(spread.own);
            if after > spread.skew {
                return Err(Reason::Spread { topology_key: key() });
            }
        }
        for term in terms.affinities.iter().filter(|term| over(term)) {
            let bootstraps = self.counts[*term].total == 0 && terms.matches(*term);
            if !bootstraps && self.counts[*term].at_host(host) == 0 {
                return Err(Reason::PodAffinity { topology_key: key() });
            }
        }
        let own = terms.antis.iter().filter(|term| over(term));
        let others = terms.matches.iter().filter(|term| over(term));
        let crowded = own.into_iter().any(|term| self.counts[*term].at_host(host) > 0)
            || others.into_iter().any(|term| self.holders[*term].at_host(host) > 0);
        if crowded { Err(Reason::PodAntiAffinity { topology_key: key() }) } else { Ok(()) }
    }

    /// Whether one more of the class may go to this cell, by the rules over keys.
    pub(crate) fn admits_cell(&self, terms: &Terms, cell: usize) -> Result<(), Reason> {
        for spread in &terms.spreads {
            let Level::Key(key) = self.level(spread.term) else { continue };
            let domain = self.cells.domain(cell, key);
            let counts = &self.counts[spread.term].domains;
            let after = domain.map(|domain| counts[domain] + u32::from(spread.own));
            let eligible = &self.terms[spread.term].eligible;
            let few = eligible.len() < spread.min_domains as usize;
            let least = || eligible.iter().map(|domain| counts[*domain]).min().unwrap_or(0);
            if after
                .is_none_or(|after| after > spread.skew && (few || after > spread.skew + least()))
            {
                return Err(Reason::Spread { topology_key: self.cells.key(key).to_owned() });
            }
        }
        for term in &terms.affinities {
            let Level::Key(key) = self.level(*term) else { continue };
            let bootstraps = self.counts[*term].total == 0 && terms.matches(*term);
            let domain = self.cells.domain(cell, key);
            let there =
                domain.is_some_and(|domain| bootstraps || self.counts[*term].domains[domain] > 0);
            if !there {
                return Err(Reason::PodAffinity { topology_key: self.cells.key(key).to_owned() });
            }
        }
        let crowded = |counts: &[Counts], term: &usize| {
            let Level::Key(key) = self.level(*term) else { return None };
            let domain = self.cells.domain(cell, key)?;
            (counts[*term].domains[domain] > 0).then_some(key)
        };
        let own = terms.antis.iter().find_map(|term| crowded(&self.counts, term));
        let others = || terms.matches.iter().find_map(|term| crowded(&self.holders, term));
        match own.or_else(others) {
            Some(key) => {
                Err(Reason::PodAntiAffinity { topology_key: self.cells.key(key).to_owned() })
            }
            None => Ok(()),
        }
    }

    /// Counts pods that have been given a place.
    pub(crate) fn place(
        &mut self,
        terms: &Terms,
        host: Option<usize>,
        cell: Option<usize>,
        count: u32,
    ) {
        for term in &terms.matches {
            self.count(*term, host, cell, count);
        }
        for term in &terms.antis {
            self.hold(*term, host, cell, count);
        }
    }

    /// Takes pods out of the count that `place` put in.
    pub(crate) fn withdraw(
        &mut self,
        terms: &Terms,
        host: Option<usize>,
        cell: Option<usize>,
        count: u32,
    ) {
        for term in &terms.matches {
            if self.counts_there(*term, host, cell) {
                let (host, domain) = self.spot(*term, host, cell);
                self.counts[*term].remove(host, domain, count);
            }
        }
        for term in &terms.antis {
            let (host, domain) = self.spot(*term, host, cell);
            self.holders[*term].remove(host, domain, count);
        }
    }

    /// How full a cell is: of pods that are counted together with the class's, then of those that its own spreads count.
    /// Fuller cells come later. If all who are counted together stay balanced, whoever counts them is content, whatever the
    /// order in which the kube-scheduler binds.
    pub(crate) fn crowd(&self, terms: &Terms, cell: usize) -> (u32, u32) {
        let over_keys = |term: usize| !self.is_over_hosts(term);
        let with = terms.matches.iter().filter(|term| self.is_spread(**term) && over_keys(**term));
        let own = terms.spreads.iter().filter(|spread| over_keys(spread.term));
        let with = with.map(|term| self.in_cell(*term, cell)).sum();
        (with, own.map(|spread| self.in_cell(spread.term, cell)).sum())
    }

    /// Whether some pod that the class's affinities ask for is in the cell's domains.
    pub(crate) fn attracts(&self, terms: &Terms, cell: usize) -> bool {
        terms.affinities.iter().any(|term| self.in_cell(*term, cell) > 0)
    }

    fn in_cell(&self, term: usize, cell: usize) -> u32 {
        let domain = self.cells.domain(cell, self.terms[term].key);
        domain.map_or(0, |domain| self.counts[term].domains[domain])
    }
}

fn terms<'k>(
    keys: &[TermKey<'k>],
    slots: &[Slot<'_>],
    candidates: &Candidates<'_>,
    atoms: &mut Atoms,
) -> Vec<Term> {
    let mut memo: BTreeMap<Filter<'k>, Rc<Counting>> = BTreeMap::new();
    let cells = &candidates.cells;
    let mut term = |of: &TermKey<'k>| {
        let counting = of.filter.map(|filter| {
            let find = || Rc::new(counting(&filter, slots, candidates, atoms));
            memo.entry(filter).or_insert_with(find).clone()
        });
        let key = if let Level::Key(key) = of.level { key } else { 0 };
        let domains = counting.iter().flat_map(|counting| {
            let of_slots = counting.slots.iter().map(|slot| slots[slot].cell);
            of_slots.chain(counting.cells.iter())
        });
        let domains = domains.filter_map(|cell| cells.domain(cell, key));
        let eligible = domains.collect::<std::collections::BTreeSet<_>>();
        Term {
            level: of.level,
            key,
            is_spread: of.filter.is_some(),
            counting: counting.filter(|_| of.filter != Some(Filter::default())),
            eligible: eligible.into_iter().collect(),
        }
    };
    keys.iter().map(&mut term).collect()
}

/// The nodes that the filter lets count. Room makes no difference to the kube-scheduler.
fn counting(
    filter: &Filter<'_>,
    slots: &[Slot<'_>],
    candidates: &Candidates<'_>,
    atoms: &mut Atoms,
) -> Counting {
    let mut counted = Bitset::new(slots.len());
    let tolerated = |taints: &[model::Taint]| {
        let tolerates = |tolerations| model::taints::untolerated(taints, tolerations).is_none();
        filter.tolerations.is_none_or(tolerates)
    };
    let keys =
        hard(filter.spreads).filter_map(|spread| candidates.cells.position(&spread.topology_key));
    let keys = keys.collect::<Vec<_>>();
    let has_all = |cell| keys.iter().all(|key| candidates.cells.domain(cell, *key).is_some());
    for (at, slot) in slots.iter().enumerate() {
        let selected =
            filter.affinity.is_none_or(|(selector, terms)| slot.matches(selector, terms));
        if selected && has_all(slot.cell) && tolerated(&slot.taints) {
            counted.insert(at);
        }
    }
    let mut selected = match filter.affinity {
        Some((selector, terms)) => candidates.selected(selector, terms, atoms),
        None => Bitset::full(candidates.list.len()),
    };
    for (pool, members) in candidates.pools.iter().zip(&candidates.of_pool) {
        if !tolerated(&pool.taints) {
            members.iter().for_each(|at| selected.remove(at));
        }
    }
    let mut cells = Bitset::new(candidates.cells.len());
    for (cell, members) in candidates.of_cell.iter().enumerate() {
        if has_all(cell) && members.meets(&selected) {
            cells.insert(cell);
        }
    }
    Counting { slots: counted, cells }
}

/// Finds the terms that select a pod without trying all of them.
struct Selecting<'k> {
    terms: &'k [TermKey<'k>],
    /// By label and value, the terms that ask for it.
    asking: BTreeMap<(&'k str, &'k str), Vec<usize>>,
    /// Those that ask for no value.
    others: Vec<usize>,
}

impl<'k> Selecting<'k> {
    fn new(terms: &'k [TermKey<'k>]) -> Self {
        let mut found = Self { terms, asking: BTreeMap::new(), others: Vec::new() };
        for (at, term) in terms.iter().enumerate() {
            match term.wants() {
                Some((key, values)) => {
                    for value in values {
                        found.asking.entry((key, value)).or_default().push(at);
                    }
                }
                None => found.others.push(at),
            }
        }
        found
    }

    /// The terms that select the pod, ascending.
    fn terms(&self, pod: &Pod) -> Vec<usize> {
        let asked = pod
            .labels
            .iter()
            .filter_map(|(key, value)| self.asking.get(&(key.as_str(), value.as_str())));
        let maybe = asked.flatten().chain(&self.others);
        let selects = |at: &&usize| self.terms[**at].selects(&pod.id.namespace, &pod.labels);
        let mut found = maybe.filter(selects).copied().collect::<Vec<_>>();
        found.sort_unstable();
        found.dedup();
        found
    }
}
