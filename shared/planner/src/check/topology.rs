//! Spread, affinity and anti-affinity, by binding the planned pods one after another as the kube-scheduler may.
//!
//! A plan is right if some order binds every pod where the plan has it.

use super::Findings;
use super::hosts::Host;
use model::pod::{PodAffinityTerm, WhenUnsatisfiable};
use model::{LabelSelector, Labels, Pod, PodId, PodSpec};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Which pods are counted beside those of the selector alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scope<'a> {
    /// All that the selector finds.
    All,
    /// Those on nodes that a pod of this spec could be on.
    NodesOf(*const PodSpec),
    /// Those that all these affinity terms find.
    Also(&'a [PodAffinityTerm]),
}

/// How many pods a selector finds in each domain, by namespace, selector, key and scope.
type Key<'a> = (&'a str, &'a LabelSelector, &'a str, Scope<'a>);

#[derive(Clone)]
struct Counter<'a, 'h> {
    hosts: &'h [Host<'a>],
    /// Pods selected, by term and domain.
    selected: BTreeMap<Key<'a>, BTreeMap<String, u32>>,
    /// Pods that carry the anti-affinity, by term and domain.
    carriers: BTreeMap<Key<'a>, BTreeMap<String, u32>>,
    /// By pod labels, the terms that select them.
    selects: BTreeMap<(Arc<str>, *const Labels), Vec<Key<'a>>>,
    /// By spec, the hosts that its pods could be on by labels.
    eligible: BTreeMap<*const PodSpec, Vec<bool>>,
    /// By term, the domains of the hosts that count, each once.
    domains: BTreeMap<Key<'a>, BTreeSet<&'h String>>,
}

/// Pods of lesser rank are bound first.
type Rank = (Reverse<i32>, bool);

/// Binds the planned pods in several fair orders and reports those that no order found binds.
pub(super) fn check(hosts: &[Host<'_>], findings: &mut Findings) {
    let counter = Counter::new(hosts);
    if counter.selected.is_empty() {
        return;
    }
    let turns = in_turns(hosts);
    let ranks: [fn(&Pod) -> Rank; 4] = [
        |_| (Reverse(0), false),
        |pod| (Reverse(pod.spec.priority), false),
        |pod| (Reverse(0), spread_keys(pod).next().is_none()),
        |pod| (Reverse(0), pod.spec.pod_affinity.is_empty()),
    ];
    let mut fewest: Option<Vec<(PodId, String)>> = None;
    for rank in ranks {
        let mut waiting = turns.clone();
        waiting.sort_by_key(|(pod, _)| rank(pod));
        let refused = bind_all(hosts, counter.clone(), waiting);
        if fewest.as_ref().is_none_or(|fewest| refused.len() < fewest.len()) {
            fewest = Some(refused);
        }
        if fewest.as_ref().is_some_and(Vec::is_empty) {
            return;
        }
    }
    for (pod, problem) in fewest.unwrap_or_default() {
        findings.add(pod, problem);
    }
}

/// Binds pods until none of the rest can be; returns those, and why.
fn bind_all<'a>(
    hosts: &[Host<'a>],
    mut counter: Counter<'a, '_>,
    mut waiting: Vec<(&'a Pod, usize)>,
) -> Vec<(PodId, String)> {
    for (at, host) in hosts.iter().enumerate() {
        host.running.iter().for_each(|pod| counter.bind(pod, at));
    }
    loop {
        let before = waiting.len();
        waiting.retain(|(pod, host)| {
            let refused = counter.refuses(pod, *host).is_some();
            if !refused {
                counter.bind(pod, *host);
            }
            refused
        });
        if waiting.is_empty() || waiting.len() == before {
            break;
        }
    }
    let problem = |(pod, host): (&'a Pod, usize)| {
        let rule = counter.refuses(pod, host).unwrap_or_default();
        (pod.id.clone(), format!("cannot be bound to {}: {rule}", hosts[host].name))
    };
    waiting.into_iter().map(problem).collect()
}

/// The planned pods, taking turns among zones and nodes, so that spreads fill evenly.
fn in_turns<'a>(hosts: &[Host<'a>]) -> Vec<(&'a Pod, usize)> {
    let mut ranks: BTreeMap<(*const PodSpec, &str), u32> = BTreeMap::new();
    let mut pods = Vec::new();
    for (at, host) in hosts.iter().enumerate() {
        let zone = host.labels.get(model::labels::ZONE).map_or("", String::as_str);
        for pod in &host.planned {
            let rank = ranks.entry((Arc::as_ptr(&pod.spec), zone)).or_default();
            *rank += 1;
            pods.push((*rank, *pod, at));
        }
    }
    pods.sort_by(|a, b| (a.0, &a.1.id).cmp(&(b.0, &b.1.id)));
    pods.into_iter().map(|(_, pod, at)| (pod, at)).collect()
}

impl<'a, 'h> Counter<'a, 'h> {
    fn new(hosts: &'h [Host<'a>]) -> Self {
        let mut counter = Self {
            hosts,
            selected: BTreeMap::new(),
            carriers: BTreeMap::new(),
            selects: BTreeMap::new(),
            eligible: BTreeMap::new(),
            domains: BTreeMap::new(),
        };
        let mut seen = BTreeSet::new();
        for pod in hosts.iter().flat_map(|host| &host.planned) {
            if seen.insert((Arc::as_ptr(&pod.spec), &*pod.id.namespace)) {
                spread_keys(pod).for_each(|(key, _)| counter.know(key, pod));
                pod.spec
                    .pod_anti_affinity
                    .iter()
                    .map(|term| key(pod, term))
                    .chain(affinity_keys(pod))
                    .for_each(|key| counter.know(key, pod));
            }
        }
        for pod in hosts
            .iter()
            .flat_map(|host| &host.running)
            .filter(|pod| !pod.spec.pod_anti_affinity.is_empty())
        {
            pod.spec
                .pod_anti_affinity
                .iter()
                .flat_map(|term| keys(pod, term))
                .for_each(|key| counter.know(key, pod));
        }
        counter
    }

    fn know(&mut self, key: Key<'a>, pod: &'a Pod) {
        self.selected.entry(key).or_default();
        if matches!(key.3, Scope::NodesOf(_)) {
            let eligible = self.hosts.iter().map(|host| host.selected_by(&pod.spec)).collect();
            self.eligible.entry(Arc::as_ptr(&pod.spec)).or_insert(eligible);
        }
        let counting = (0..self.hosts.len()).filter(|host| self.counts_there(&key, *host));
        let domains = counting.filter_map(|host| self.domain(host, key.2)).collect();
        self.domains.insert(key, domains);
    }

    fn domain(&self, host: usize, key: &str) -> Option<&'h String> {
        let labels = &self.hosts[host].labels;
        labels.get(key).or_else(|| labels.get(model::labels::normalize(key)))
    }

    fn counts_there(&self, key: &Key<'a>, host: usize) -> bool {
        match key.3 {
            Scope::All | Scope::Also(_) => true,
            Scope::NodesOf(spec) => self.eligible.get(&spec).is_none_or(|hosts| hosts[host]),
        }
    }

    fn selecting(&mut self, pod: &'a Pod) -> Vec<Key<'a>> {
        let known = (pod.id.namespace.clone(), Arc::as_ptr(&pod.labels));
        let find = || {
            self.selected
                .keys()
                .filter(|key| key.0 == &*pod.id.namespace && finds(key, pod))
                .copied()
                .collect::<Vec<_>>()
        };
        self.selects.entry(known).or_insert_with(find).clone()
    }

    fn bind(&mut self, pod: &'a Pod, host: usize) {
        for key in self.selecting(pod).into_iter().filter(|_| pod.deletion_at.is_none()) {
            if let Some(domain) =
                self.domain(host, key.2).filter(|_| self.counts_there(&key, host)).cloned()
            {
                *self.selected.entry(key).or_default().entry(domain).or_default() += 1;
            }
        }
        for key in pod.spec.pod_anti_affinity.iter().flat_map(|term| keys(pod, term)) {
            if let Some(domain) = self.domain(host, key.2).cloned() {
                *self.carriers.entry(key).or_default().entry(domain).or_default() += 1;
            }
        }
    }

    fn count(&self, key: &Key<'a>, domain: &str) -> u32 {
        self.selected.get(key).and_then(|domains| domains.get(domain)).copied().unwrap_or(0)
    }

    /// The rule that keeps the pod from the host now.
    fn refuses(&mut self, pod: &'a Pod, host: usize) -> Option<String> {
        let selecting = self.selecting(pod);
        self.refuses_spread(pod, host)
            .or_else(|| self.refuses_affinity(pod, host, &selecting))
            .or_else(|| self.refuses_anti_affinity(pod, host, &selecting))
    }

    fn refuses_spread(&self, pod: &'a Pod, host: usize) -> Option<String> {
        spread_keys(pod).find_map(|(key, skew)| {
            let Some(domain) = self.domain(host, key.2) else {
                return Some(format!("the node has no label {}", key.2));
            };
            let own = u32::from(key.1.matches(&pod.labels));
            let count = self.count(&key, domain) + own;
            // The emptiest domain only matters once there are more than the skew itself allows.
            (count > skew && count > skew + self.least(&key))
                .then(|| format!("spread over {} would exceed {skew}", key.2))
        })
    }

    /// The pods in the emptiest domain among the nodes that count.
    fn least(&self, key: &Key<'a>) -> u32 {
        let counts = self.selected.get(key);
        let count = |domain: &String| counts?.get(domain).copied();
        let domains = self.domains.get(key).into_iter().flatten();
        domains.map(|domain| count(domain).unwrap_or(0)).min().unwrap_or(0)
    }

    fn refuses_affinity(&self, pod: &'a Pod, host: usize, selecting: &[Key<'a>]) -> Option<String> {
        affinity_keys(pod).find_map(|key| {
            let nowhere = self
                .selected
                .get(&key)
                .is_none_or(|domains| domains.values().all(|count| *count == 0));
            let first = nowhere && selecting.contains(&key);
            let there = self.domain(host, key.2).is_some_and(|domain| self.count(&key, domain) > 0);
            (!first && !there).then(|| format!("no pod that affinity over {} asks for", key.2))
        })
    }

    fn refuses_anti_affinity(
        &self,
        pod: &'a Pod,
        host: usize,
        selecting: &[Key<'a>],
    ) -> Option<String> {
        let own = pod.spec.pod_anti_affinity.iter().map(|term| key(pod, term));
        let own = own
            .filter(|key| {
                self.domain(host, key.2).is_some_and(|domain| self.count(key, domain) > 0)
            })
            .map(|key| key.2)
            .next();
        let carried = |key: &&Key<'a>| {
            let domains = self.carriers.get(*key);
            self.domain(host, key.2).is_some_and(|domain| {
                domains.is_some_and(|domains| domains.get(domain).is_some_and(|count| *count > 0))
            })
        };
        let others = selecting.iter().find(carried).map(|key| key.2);
        own.or(others).map(|key| format!("anti-affinity over {key}"))
    }
}

fn key<'a>(pod: &'a Pod, term: &'a PodAffinityTerm) -> Key<'a> {
    (&pod.id.namespace, &term.selector, &term.topology_key, Scope::All)
}

/// The kube-scheduler counts for affinity only pods that all terms of the pod select.
fn affinity_keys(pod: &Pod) -> impl Iterator<Item = Key<'_>> {
    let scope = Scope::Also(&pod.spec.pod_affinity);
    let terms = pod.spec.pod_affinity.iter();
    terms.map(move |term| (&*pod.id.namespace, &term.selector, term.topology_key.as_str(), scope))
}

fn finds(key: &Key<'_>, pod: &Pod) -> bool {
    let others = match key.3 {
        Scope::All | Scope::NodesOf(_) => &[][..],
        Scope::Also(terms) => terms,
    };
    key.1.matches(&pod.labels) && others.iter().all(|term| term.selector.matches(&pod.labels))
}

/// One key for each namespace that the term names.
fn keys<'a>(pod: &'a Pod, term: &'a PodAffinityTerm) -> Vec<Key<'a>> {
    if term.namespaces.is_empty() {
        return vec![key(pod, term)];
    }
    let named = |namespace: &'a String| {
        (namespace.as_str(), &term.selector, term.topology_key.as_str(), Scope::All)
    };
    term.namespaces.iter().map(named).collect()
}

fn spread_keys(pod: &Pod) -> impl Iterator<Item = (Key<'_>, u32)> {
    let hard = pod
        .spec
        .topology_spread
        .iter()
        .filter(|spread| spread.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule);
    hard.map(|spread| {
        (
            (
                &*pod.id.namespace,
                &spread.selector,
                spread.topology_key.as_str(),
                Scope::NodesOf(Arc::as_ptr(&pod.spec)),
            ),
            spread.max_skew.max(1) as u32,
        )
    })
}
