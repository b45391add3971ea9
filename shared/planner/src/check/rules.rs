//! The topology rules of pods as the kube-scheduler reads them: what each counts, and on which nodes.

use super::hosts::Host;
use model::pod::{InclusionPolicy, PodAffinityTerm, TopologySpread, WhenUnsatisfiable};
use model::{LabelSelector, Labels, Pod, PodSpec, Snapshot, labels};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Pods meant by a selector in some namespaces; `None` means all namespaces.
type Meant<'a> = (Option<Arc<BTreeSet<String>>>, &'a LabelSelector);

/// Which nodes count for a spread: those that pods of the spec could be on, by affinity, by taints, and by the labels of all its hard
/// spreads.
type Counting = (*const PodSpec, bool, bool, bool);

/// What is counted, by which label, on which nodes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rule<'a> {
    key: &'a str,
    /// All must mean the pod.
    meant: Vec<Meant<'a>>,
    counting: Option<Counting>,
}

/// A spread of a kind of pods.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread {
    pub(super) rule: usize,
    pub(super) skew: u32,
    pub(super) min_domains: u32,
    /// Whether the pod itself is counted.
    pub(super) own: bool,
}

/// What a kind of pods has to do with the rules.
#[derive(Clone, Debug, Default)]
pub(super) struct Kind {
    pub(super) spreads: Vec<Spread>,
    pub(super) affinities: Vec<usize>,
    pub(super) antis: Vec<usize>,
    /// The rules that count its pods.
    pub(super) counted: Vec<usize>,
}

/// Pods that no rule tells apart.
type KindKey = (Arc<str>, *const Labels, *const PodSpec);

/// All rules of a plan.
pub(super) struct Rules<'a> {
    namespaces: &'a BTreeMap<String, Labels>,
    list: Vec<Rule<'a>>,
    index: BTreeMap<Rule<'a>, usize>,
    pub(super) kinds: Vec<Kind>,
    known: BTreeMap<KindKey, usize>,
    /// Namespaces that some pod is in.
    inhabited: BTreeSet<String>,
}

impl<'a> Rules<'a> {
    /// The rules that planned pods have, and those by which running pods keep others away.
    pub(super) fn new(snapshot: &'a Snapshot, hosts: &[Host<'a>]) -> Self {
        let inhabited = snapshot.pods.iter().map(|pod| &*pod.id.namespace).collect::<BTreeSet<_>>();
        let mut rules = Self {
            namespaces: &snapshot.namespaces,
            list: Vec::new(),
            index: BTreeMap::new(),
            kinds: Vec::new(),
            known: BTreeMap::new(),
            inhabited: inhabited.into_iter().map(str::to_owned).collect(),
        };
        let mut firsts: Vec<&'a Pod> = Vec::new();
        for host in hosts {
            for pod in &host.planned {
                rules.add(pod, true, &mut firsts);
            }
        }
        for host in hosts {
            for pod in &host.running {
                rules.add(pod, false, &mut firsts);
            }
        }
        rules.find_counted(&firsts);
        rules
    }

    /// How many rules there are.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// The label whose values are the rule's domains, by today's name.
    pub(super) fn key(&self, rule: usize) -> &'a str {
        self.list[rule].key
    }

    /// By host, whether it counts for the rule; `None` if all do.
    pub(super) fn counting(&self, rule: usize, hosts: &[Host<'a>]) -> Option<Vec<bool>> {
        let (wanted, affinity, taints, several) = self.list[rule].counting?;
        let mut planned = hosts.iter().flat_map(|host| &host.planned);
        let pod = planned.find(|pod| Arc::as_ptr(&pod.spec) == wanted)?;
        let counts = |host: &Host<'_>| {
            (!affinity || host.selected_by(&pod.spec))
                && (!taints || host.tolerated_by(&pod.spec))
                && (!several || has_all_keys(host, &pod.spec))
        };
        Some(hosts.iter().map(counts).collect())
    }

    /// The kind of a pod.
    pub(super) fn kind(&self, pod: &Pod) -> Option<usize> {
        self.known.get(&key_of(pod)).copied()
    }

    fn add(&mut self, pod: &'a Pod, planned: bool, firsts: &mut Vec<&'a Pod>) {
        let next = self.kinds.len();
        let kind = *self.known.entry(key_of(pod)).or_insert(next);
        if kind < next && (!planned || self.has_own(kind, pod)) {
            return;
        }
        if kind == next {
            self.kinds.push(Kind::default());
            firsts.push(pod);
        }
        if planned {
            self.kinds[kind].spreads = self.spreads(pod);
            self.kinds[kind].affinities = self.affinities(pod);
        }
        self.kinds[kind].antis = self.antis(pod);
    }

    fn has_own(&self, kind: usize, pod: &Pod) -> bool {
        let wants = !(pod.spec.topology_spread.is_empty() && pod.spec.pod_affinity.is_empty());
        let has = !(self.kinds[kind].spreads.is_empty() && self.kinds[kind].affinities.is_empty());
        has || !wants
    }

    fn rule(&mut self, rule: Rule<'a>) -> usize {
        let next = self.list.len();

        *self.index.entry(rule).or_insert_with_key(|rule| {
            self.list.push(rule.clone());
            next
        })
    }

    fn spreads(&mut self, pod: &'a Pod) -> Vec<Spread> {
        let own_namespace = Arc::new(BTreeSet::from([pod.id.namespace.to_string()]));
        let spreads = pod.spec.topology_spread.iter().filter(hard);
        let read = |spread: &'a TopologySpread| {
            let affinity = spread.node_affinity_policy == InclusionPolicy::Honor;
            let taints = spread.node_taints_policy == InclusionPolicy::Honor;
            let asks = !(pod.spec.node_selector.is_empty() && pod.spec.node_affinity.is_empty());
            let several = pod.spec.topology_spread.iter().filter(hard).count() > 1;
            let counting = (Arc::as_ptr(&pod.spec), affinity && asks, taints, several);
            let rule = self.rule(Rule {
                key: labels::normalize(&spread.topology_key),
                meant: vec![(Some(own_namespace.clone()), &spread.selector)],
                counting: (counting.1 || counting.2 || several).then_some(counting),
            });
            Spread {
                rule,
                skew: spread.max_skew.max(1) as u32,
                min_domains: spread.min_domains.map_or(1, |domains| domains.max(1) as u32),
                own: spread.selector.matches(&pod.labels),
            }
        };
        spreads.map(read).collect()
    }

    /// The kube-scheduler counts for affinity only pods that all terms of the pod mean.
    fn affinities(&mut self, pod: &'a Pod) -> Vec<usize> {
        let terms = &pod.spec.pod_affinity;
        let all = terms.iter().map(|term| self.meant(pod, term, false)).collect::<Vec<_>>();
        let rule = |(term, first): (&'a PodAffinityTerm, &Meant<'a>)| {
            let mut meant = vec![first.clone()];
            meant.extend(all.iter().filter(|other| *other != first).cloned());
            let key = labels::normalize(&term.topology_key);
            self.rule(Rule { key, meant, counting: None })
        };
        terms.iter().zip(&all).map(rule).collect()
    }

    fn antis(&mut self, pod: &'a Pod) -> Vec<usize> {
        let mut antis = Vec::new();
        for term in &pod.spec.pod_anti_affinity {
            let meant = vec![self.meant(pod, term, true)];
            let key = labels::normalize(&term.topology_key);
            antis.push(self.rule(Rule { key, meant, counting: None }));
        }
        antis
    }

    /// The pods that a term means. Where a namespace's labels are not known, keeping away is the safe side.
    fn meant(&self, pod: &Pod, term: &'a PodAffinityTerm, away: bool) -> Meant<'a> {
        let mut names = term.namespaces.iter().cloned().collect::<BTreeSet<_>>();
        match &term.namespace_selector {
            None if names.is_empty() => names.extend([pod.id.namespace.to_string()]),
            None => {}
            Some(selector) if selector.expressions.as_ref().is_some_and(Vec::is_empty) => {
                return (None, &term.selector);
            }
            Some(selector) => {
                for name in self.namespaces.keys().chain(&self.inhabited) {
                    let known = self.namespaces.get(name);
                    let mut own = known.cloned().unwrap_or_default();
                    own.entry(labels::NAMESPACE_NAME.to_owned()).or_insert_with(|| name.clone());
                    if selector.matches(&own) || (away && known.is_none()) {
                        names.insert(name.clone());
                    }
                }
            }
        }
        (Some(Arc::new(names)), &term.selector)
    }

    fn find_counted(&mut self, firsts: &[&Pod]) {
        // Pods that differ in their specs alone are counted alike.
        let mut memo: BTreeMap<(&str, &Labels), Vec<usize>> = BTreeMap::new();
        for (kind, pod) in firsts.iter().enumerate() {
            let counted = memo.entry((&*pod.id.namespace, &*pod.labels)).or_insert_with(|| {
                (0..self.list.len()).filter(|rule| self.list[*rule].counts(pod)).collect()
            });
            self.kinds[kind].counted.clone_from(counted);
        }
    }
}

impl Rule<'_> {
    fn counts(&self, pod: &Pod) -> bool {
        self.meant.iter().all(|(namespaces, selector)| {
            let named = |names: &Arc<BTreeSet<String>>| names.contains(&*pod.id.namespace);
            namespaces.as_ref().is_none_or(named) && selector.matches(&pod.labels)
        })
    }
}

fn hard(spread: &&TopologySpread) -> bool {
    spread.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule
}

/// Whether the host has the labels of all hard spreads.
fn has_all_keys(host: &Host<'_>, spec: &PodSpec) -> bool {
    let mut spreads = spec.topology_spread.iter().filter(hard);
    spreads.all(|spread| host.labels.contains_key(labels::normalize(&spread.topology_key)))
}

fn key_of(pod: &Pod) -> KindKey {
    (pod.id.namespace.clone(), Arc::as_ptr(&pod.labels), Arc::as_ptr(&pod.spec))
}
