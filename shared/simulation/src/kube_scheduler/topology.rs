//! Rules between pods: hard topology spread, required affinity and anti-affinity, and other pods' anti-affinity.

use super::cache::{CachedNode, Class, ClassId, SchedulerCache};
use super::filter::selects;
use model::pod::{InclusionPolicy, PodAffinityTerm, TopologySpread, WhenUnsatisfiable};
use model::taints::untolerated;
use model::{LabelSelector, Labels};
use std::collections::{BTreeMap, BTreeSet};

/// What the rules between pods allow, worked out once for each scheduling attempt.
pub(super) struct Topology<'a> {
    spreads: Vec<Spread<'a>>,
    required: Vec<Affinity<'a>>,
    forbidden: Vec<(&'a str, BTreeSet<&'a str>)>,
}

struct Spread<'a> {
    key: &'a str,
    counts: BTreeMap<&'a str, i64>,
    /// The most that a domain may have before the pod comes.
    most: i64,
}

struct Affinity<'a> {
    key: &'a str,
    domains: BTreeSet<&'a str>,
    /// No pod matches anywhere, and the pod itself would: the first of its kind may go anywhere.
    first_of_kind: bool,
}

impl<'a> Topology<'a> {
    /// Counts what the class's rules speak of.
    pub(super) fn prepare(cache: &'a SchedulerCache, id: ClassId) -> Self {
        let class = &cache.known(id).class;
        let hard = |spread: &&TopologySpread| {
            spread.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule
        };
        let spreads = class.spec.topology_spread.iter().filter(hard);
        let terms = &class.spec.pod_affinity;
        Self {
            spreads: spreads.map(|spread| Spread::count(cache, id, spread)).collect(),
            required: terms.iter().map(|term| Affinity::count(cache, class, term)).collect(),
            forbidden: forbidden(cache, class),
        }
    }

    /// Whether a node with these labels is in an allowed domain of every rule.
    pub(super) fn allows(&self, labels: &Labels) -> bool {
        let value = |key: &str| labels.get(key).map(String::as_str);
        let spread = |spread: &Spread<'_>| {
            let count =
                value(spread.key).map(|domain| spread.counts.get(domain).copied().unwrap_or(0));
            count.is_some_and(|count| count <= spread.most)
        };
        let affine = |term: &Affinity<'_>| {
            value(term.key)
                .is_some_and(|domain| term.first_of_kind || term.domains.contains(domain))
        };
        let repelled = |(key, domains): &(&str, BTreeSet<&str>)| {
            value(key).is_some_and(|domain| domains.contains(domain))
        };
        self.spreads.iter().all(spread)
            && self.required.iter().all(affine)
            && !self.forbidden.iter().any(repelled)
    }
}

impl<'a> Spread<'a> {
    fn count(cache: &'a SchedulerCache, id: ClassId, spread: &'a TopologySpread) -> Self {
        let class = &cache.known(id).class;
        let selector = spread_selector(class, spread);
        let counts = domain_counts(cache, id, spread, &selector);
        let too_few =
            spread.min_domains.is_some_and(|domains| (counts.len() as i64) < i64::from(domains));
        let least = if too_few { 0 } else { counts.values().copied().min().unwrap_or(0) };
        let own = i64::from(selector.matches(&class.labels));
        Self { key: &spread.topology_key, counts, most: least + i64::from(spread.max_skew) - own }
    }
}

/// Matching pods by domain, over the nodes that count for the constraint.
pub(super) fn domain_counts<'a>(
    cache: &'a SchedulerCache,
    id: ClassId,
    spread: &TopologySpread,
    selector: &LabelSelector,
) -> BTreeMap<&'a str, i64> {
    let known = cache.known(id);
    let same = matching(cache, |other| {
        other.namespace == known.class.namespace && selector.matches(&other.labels)
    });
    let counts_node = |node: &&CachedNode| {
        let affine = spread.node_affinity_policy == InclusionPolicy::Ignore || selects(known, node);
        let ignored = spread.node_taints_policy == InclusionPolicy::Ignore;
        affine
            && (ignored || untolerated(&node.info.taints, &known.class.spec.tolerations).is_none())
    };
    let mut counts = BTreeMap::new();
    for node in cache.nodes.values().filter(counts_node) {
        if let Some(domain) = node.info.labels.get(&spread.topology_key) {
            *counts.entry(domain.as_str()).or_insert(0) += staying_on(node, &same);
        }
    }
    counts
}

/// The constraint's selector, with the pod's own values of `matchLabelKeys`.
pub(super) fn spread_selector(class: &Class, spread: &TopologySpread) -> LabelSelector {
    let own = |key: &String| class.labels.get(key).map(|value| (key.clone(), value.clone()));
    let labels: Labels = spread.match_label_keys.iter().filter_map(own).collect();
    let joined = LabelSelector::from_labels(&labels).expressions.unwrap_or_default();
    match &spread.selector.expressions {
        Some(expressions) => {
            LabelSelector::new(expressions.iter().cloned().chain(joined).collect())
        }
        None => LabelSelector::nothing(),
    }
}

impl<'a> Affinity<'a> {
    fn count(cache: &'a SchedulerCache, class: &Class, term: &'a PodAffinityTerm) -> Self {
        let domains = domains_with(cache, term, |other| selected(term, class, other));
        let first_of_kind = domains.is_empty() && selected(term, class, class);
        Self { key: &term.topology_key, domains, first_of_kind }
    }
}

/// Domains that the class's own anti-affinity, or that of pods already bound, leaves out.
fn forbidden<'a>(cache: &'a SchedulerCache, class: &'a Class) -> Vec<(&'a str, BTreeSet<&'a str>)> {
    let own = class.spec.pod_anti_affinity.iter().map(|term| {
        (
            term.topology_key.as_str(),
            domains_with(cache, term, |other| selected(term, class, other)),
        )
    });
    let repelling = cache.repelling.iter().map(|id| &cache.known(*id).class);
    let inverse = repelling.flat_map(|other| {
        let against =
            other.spec.pod_anti_affinity.iter().filter(|term| selected(term, other, class));
        against.map(move |term| {
            (term.topology_key.as_str(), domains_with(cache, term, |pod| pod == other))
        })
    });
    own.chain(inverse).collect()
}

fn domains_with<'a>(
    cache: &'a SchedulerCache,
    term: &PodAffinityTerm,
    wanted: impl Fn(&Class) -> bool,
) -> BTreeSet<&'a str> {
    let same = matching(cache, wanted);
    let holders = cache.nodes.values().filter(|node| pods_on(node, &same) > 0);
    holders
        .filter_map(|node| node.info.labels.get(&term.topology_key).map(String::as_str))
        .collect()
}

/// Whether `term`, which stands on a pod of class `of`, selects pods of class `other`.
/// A namespace selector is taken to match every namespace, which is what the empty one does.
fn selected(term: &PodAffinityTerm, of: &Class, other: &Class) -> bool {
    let unnamed = term.namespaces.is_empty() && term.namespace_selector.is_none();
    let named = term.namespaces.iter().any(|namespace| **namespace == *other.namespace);
    let namespace = if unnamed {
        of.namespace == other.namespace
    } else {
        named || term.namespace_selector.is_some()
    };
    namespace && term.selector.matches(&other.labels)
}

fn matching(cache: &SchedulerCache, wanted: impl Fn(&Class) -> bool) -> Vec<bool> {
    cache.classes.iter().map(|known| wanted(&known.class)).collect()
}

fn pods_on(node: &CachedNode, wanted: &[bool]) -> i64 {
    node.pods.iter().filter(|(class, _)| wanted[class.0]).map(|(_, count)| i64::from(*count)).sum()
}

/// Without those that are being deleted.
fn staying_on(node: &CachedNode, wanted: &[bool]) -> i64 {
    let ending = node.ending.iter().filter(|(class, _)| wanted[class.0]);
    pods_on(node, wanted) - ending.map(|(_, count)| i64::from(*count)).sum::<i64>()
}
