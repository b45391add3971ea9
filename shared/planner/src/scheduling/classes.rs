//! Pending pods in classes: pods of a class are interchangeable, so that work grows with classes and not with pods.

use super::dimensions::Dimensions;
use super::topology::Terms;
use super::volumes::{Attachments, VolumeTerms, Volumes};
use crate::leaving::Leaving;
use model::reason::Unsupported;
use model::{Labels, Pod, PodSpec, Reason, Snapshot};
use std::collections::BTreeMap;
use std::sync::Arc;

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
    let refusal = |pod: &Pod| {
        let feature = Unsupported::ResourceClaims;
        pod.spec.resource_claims.then_some(Reason::Unsupported { feature })
    };
    let mut refused = Vec::new();
    let mut groups: BTreeMap<Key<'a>, usize> = BTreeMap::new();
    let mut members: Vec<Vec<&'a Pod>> = Vec::new();
    // The reader shares what is equal, so most pods are told apart by where their parts are.
    let mut known = BTreeMap::new();
    let wants = |pod: &&Pod| pod.is_provisionable() || leaving.moves(pod);
    for pod in snapshot.pods.iter().filter(wants) {
        let parts = (Arc::as_ptr(&pod.spec), Arc::as_ptr(&pod.labels), pod.id.namespace.as_ptr());
        let own_volumes = !pod.spec.volumes.is_empty();
        if let Some(group) = known.get(&parts).filter(|_| !own_volumes) {
            let group: usize = *group;
            members[group].push(pod);
            continue;
        }
        match refusal(pod).map_or_else(|| volumes.terms(pod), Err) {
            Ok(terms) => {
                let labels = project(&pod.labels, selector_keys);
                let attachments = volumes.attachments(pod);
                let key = (&*pod.spec, labels, &*pod.id.namespace, terms, attachments);
                let next = groups.len();
                let group = *groups.entry(key).or_insert(next);
                members.resize_with(groups.len(), Vec::new);
                members[group].push(pod);
                known.insert(parts, group);
            }
            Err(reason) => refused.push((pod, reason)),
        }
    }
    let dimensions = Dimensions::of(groups.keys().map(|(spec, ..)| &spec.requests));
    let class = |((spec, _, _, volumes, attachments), group): (Key<'a>, usize)| {
        let mut pods = std::mem::take(&mut members[group]);
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
