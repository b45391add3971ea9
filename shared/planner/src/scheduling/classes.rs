//! Pending pods in classes: pods of a class are interchangeable, so that work grows with classes and not with pods.

use super::dimensions::Dimensions;
use super::topology::{ANY_NAMESPACE, Terms, namespaces};
use super::volumes::{Attachments, VolumeTerms, Volumes};
use crate::leaving::Leaving;
use model::pod::{PodAffinityTerm, TopologySpread, WhenUnsatisfiable};
use model::reason::Unsupported;
use model::{Labels, Pod, PodSpec, Reason, Snapshot};
use std::collections::BTreeMap;

/// Pods with equal needs.
pub(crate) struct Class<'a> {
    /// What each of them needs.
    pub(crate) spec: &'a PodSpec,
    /// Where their volumes let them be.
    pub(crate) volumes: VolumeTerms,
    /// What their node must attach.
    pub(crate) attachments: Attachments<'a>,
    /// The pods, oldest first.
    pub(crate) pods: Vec<&'a Pod>,
    /// The requests, by dimension.
    pub(crate) size: Vec<i64>,
    /// The topology terms that it has, and those that select it.
    pub(crate) terms: Terms,
}

/// The classes of a turn and the pods that no class can take.
pub(crate) struct Classes<'a> {
    /// The classes: important pods first, then large ones.
    pub(crate) list: Vec<Class<'a>>,
    /// The resources that they ask for.
    pub(crate) dimensions: Dimensions,
    /// Pods that need what is not there or not decided yet, with the reason.
    pub(crate) refused: Vec<(&'a Pod, Reason)>,
}

type Key<'a> = (&'a PodSpec, Labels, &'a str, VolumeTerms, Attachments<'a>);

/// Groups the pods that wait for a node or must leave theirs.
pub(crate) fn classify<'a>(
    snapshot: &'a Snapshot,
    leaving: &Leaving<'_>,
    selector_keys: &[String],
) -> Classes<'a> {
    let volumes = Volumes::new(snapshot);
    let undecided = undecided_terms(snapshot, leaving);
    let repelled = |pod: &Pod| undecided.iter().any(|(owner, term)| repels(term, owner, pod));
    let refusal = |pod: &Pod| {
        let repelled =
            || repelled(pod).then_some(Reason::Unsupported { feature: Unsupported::AffinityKey });
        unsupported(&pod.spec, &pod.id.namespace).or_else(repelled)
    };
    let mut refused = Vec::new();
    let mut groups: BTreeMap<Key<'a>, Vec<&'a Pod>> = BTreeMap::new();
    let wants = |pod: &&Pod| pod.is_provisionable() || leaving.moves(pod);
    for pod in snapshot.pods.iter().filter(wants) {
        match refusal(pod).map_or_else(|| volumes.terms(pod), Err) {
            Ok(terms) => {
                let labels = project(&pod.labels, selector_keys);
                let attachments = volumes.attachments(pod);
                let key = (&*pod.spec, labels, &*pod.id.namespace, terms, attachments);
                groups.entry(key).or_default().push(pod);
            }
            Err(reason) => refused.push((pod, reason)),
        }
    }
    let dimensions = Dimensions::of(groups.keys().map(|(spec, ..)| &spec.requests));
    let class = |((spec, _, _, volumes, attachments), mut pods): (Key<'a>, Vec<&'a Pod>)| {
        pods.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Class {
            spec,
            volumes,
            attachments,
            pods,
            size: dimensions.vector(&spec.requests),
            terms: Terms::default(),
        }
    };
    let mut list = groups.into_iter().map(class).collect::<Vec<_>>();
    list.sort_by(|a, b| order(a).cmp(&order(b)));
    refused.sort_by(|a, b| a.0.id.cmp(&b.0.id));
    Classes { list, dimensions, refused }
}

/// The anti-affinities of running pods over labels that are not decided: what they select is left alone, never placed wrongly.
fn undecided_terms<'a>(
    snapshot: &'a Snapshot,
    leaving: &Leaving<'_>,
) -> Vec<(&'a str, &'a PodAffinityTerm)> {
    let running = |pod: &&Pod| pod.node_name.is_some() && !pod.is_terminal() && !leaving.moves(pod);
    let running = snapshot.pods.iter().filter(running);
    let terms = running
        .flat_map(|pod| pod.spec.pod_anti_affinity.iter().map(|term| (&*pod.id.namespace, term)));
    let mut terms = terms.filter(|(_, term)| !is_known(&term.topology_key)).collect::<Vec<_>>();
    terms.sort_unstable();
    terms.dedup();
    terms
}

fn repels(term: &PodAffinityTerm, owner: &str, pod: &Pod) -> bool {
    let named = |namespace: &&str| *namespace == ANY_NAMESPACE || **namespace == *pod.id.namespace;
    term.selector.matches(&pod.labels) && namespaces(term, owner).iter().any(named)
}

/// Important pods first, then those tied to a place by volumes, then by CPU and memory, the largest first, then by name.
fn order<'c>(class: &'c Class<'_>) -> impl Ord + use<'c> {
    let amount = |name: &str| std::cmp::Reverse(class.spec.requests.get(name));
    let first = class.pods.first().map(|pod| &pod.id);
    (
        std::cmp::Reverse(class.spec.priority),
        class.volumes.is_empty(),
        amount(model::resources::CPU),
        amount(model::resources::MEMORY),
        first,
    )
}

/// The labels that some selector speaks of; the others do not tell pods apart.
fn project(labels: &Labels, keys: &[String]) -> Labels {
    if keys.is_empty() {
        return Labels::new();
    }
    let wanted = |(key, _): &(&String, &String)| keys.binary_search(key).is_ok();
    labels.iter().filter(wanted).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// What the pod needs that this version does not decide, if anything.
fn unsupported(spec: &PodSpec, namespace: &str) -> Option<Reason> {
    let spread = spec
        .topology_spread
        .iter()
        .filter(|spread| spread.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule);
    let affinity = spec.pod_affinity.iter().chain(&spec.pod_anti_affinity);
    let claims = spec.resource_claims.then_some(Unsupported::ResourceClaims);
    let feature = claims
        .or_else(|| spread.clone().find_map(unsupported_spread))
        .or_else(|| affinity.clone().find_map(|term| unsupported_affinity(term, namespace)));
    feature.map(|feature| Reason::Unsupported { feature })
}

fn is_known(key: &str) -> bool {
    let key = model::labels::normalize(key);
    key == model::labels::HOSTNAME || key == model::labels::ZONE
}

fn unsupported_spread(spread: &TopologySpread) -> Option<Unsupported> {
    use model::pod::InclusionPolicy;
    let policies = (spread.node_affinity_policy, spread.node_taints_policy);
    if !is_known(&spread.topology_key) {
        Some(Unsupported::SpreadKey)
    } else if spread.min_domains.is_some_and(|domains| domains > 1) {
        Some(Unsupported::MinDomains)
    } else if policies != (InclusionPolicy::Honor, InclusionPolicy::Ignore) {
        Some(Unsupported::SpreadPolicy)
    } else {
        (!spread.match_label_keys.is_empty()).then_some(Unsupported::MatchLabelKeys)
    }
}

fn unsupported_affinity(term: &PodAffinityTerm, namespace: &str) -> Option<Unsupported> {
    if !is_known(&term.topology_key) {
        Some(Unsupported::AffinityKey)
    } else if term.uses_label_keys {
        Some(Unsupported::MatchLabelKeys)
    } else {
        (term.namespaces.iter().any(|named| named != namespace)
            || term.namespace_selector.is_some())
        .then_some(Unsupported::AffinityNamespaces)
    }
}

/// The label keys of all selectors that can make pods of equal needs differ.
pub(crate) fn selector_keys(snapshot: &Snapshot) -> Vec<String> {
    let mut keys = Vec::new();
    let mut last: Option<*const PodSpec> = None;
    for pod in snapshot.pods.iter().filter(|pod| !pod.is_terminal()) {
        let this = std::sync::Arc::as_ptr(&pod.spec);
        if last != Some(this) {
            collect_keys(&pod.spec, &mut keys);
            last = Some(this);
        }
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn collect_keys(spec: &PodSpec, keys: &mut Vec<String>) {
    let spreads = spec.topology_spread.iter().map(|spread| &spread.selector);
    let required =
        spec.pod_affinity.iter().chain(&spec.pod_anti_affinity).map(|term| &term.selector);
    let expressions =
        spreads.chain(required).filter_map(|selector| selector.expressions.as_ref()).flatten();
    keys.extend(expressions.map(|expression| expression.key().to_owned()));
}
