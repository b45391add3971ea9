//! What the webhook knows of the cluster, and which changes of it are worth a knock. Pure.

use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// An object's uid.
pub(crate) type Uid = Arc<str>;

/// The knocks there are; the names are the events' detail-types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    /// Pods that the kube-scheduler found no node for.
    PodsPending,
    /// A node or claim of ours is being deleted.
    NodeDeleting,
    /// A node that a claim waits for has come further: registration and initialisation do not wait for the minute.
    NodeChanged,
    /// The spec of a pool or class has changed.
    ConfigurationChanged,
}

impl Topic {
    /// All of them.
    pub(crate) const ALL: [Self; 4] =
        [Self::PodsPending, Self::NodeDeleting, Self::NodeChanged, Self::ConfigurationChanged];

    /// The event's detail-type.
    pub(crate) fn detail_type(self) -> &'static str {
        match self {
            Self::PodsPending => "Pods Pending",
            Self::NodeDeleting => "Node Deleting",
            Self::NodeChanged => "Node Changed",
            Self::ConfigurationChanged => "Configuration Changed",
        }
    }
}

/// A provisionable pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PendingPod {
    /// Since when the kube-scheduler has found no node for it.
    pub(crate) since: Timestamp,
    /// `namespace/name`.
    pub(crate) name: Arc<str>,
}

/// How far a node has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Readiness {
    /// Whether its kubelet says that it is ready.
    pub(crate) ready: bool,
    /// Its taints, as `key:effect`.
    pub(crate) taints: BTreeSet<String>,
    /// The resources that it has some of.
    pub(crate) resources: BTreeSet<String>,
}

impl Readiness {
    /// Whether the node has come further than it was.
    fn is_ahead_of(&self, before: &Self) -> bool {
        self.ready && !before.ready
            || !before.taints.is_subset(&self.taints)
            || !self.resources.is_subset(&before.resources)
    }
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// `aws:///<zone>/<instance id>`.
    pub(crate) provider_id: Option<String>,
    /// Whether a pool made it.
    pub(crate) ours: bool,
    /// Whether it is being deleted.
    pub(crate) deleting: bool,
    /// How far it has come.
    pub(crate) readiness: Readiness,
}

/// A claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// The instance, once it has launched.
    pub(crate) provider_id: Option<String>,
    /// Whether its node is set up.
    pub(crate) initialized: bool,
    /// Whether it is being deleted.
    pub(crate) deleting: bool,
}

impl Claim {
    fn waits_for(&self, node: &Node) -> bool {
        self.waits() && self.provider_id.is_some() && self.provider_id == node.provider_id
    }

    fn waits(&self) -> bool {
        !self.initialized && !self.deleting
    }
}

/// A change of the objects of one kind.
#[derive(Clone, Debug)]
pub(crate) enum Delta<T> {
    /// The object is there, or is there changed.
    Apply(Uid, T),
    /// The object is gone, or of no interest any more.
    Delete(Uid),
    /// These are all there are.
    Replace(BTreeMap<Uid, T>),
}

/// A pool or class: its name, and the generation of its spec.
pub(crate) type Spec = (Arc<str>, i64);

/// A change of what is watched.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Of provisionable pods.
    Pods(Delta<PendingPod>),
    /// Of nodes.
    Nodes(Delta<Node>),
    /// Of claims.
    Claims(Delta<Claim>),
    /// Of pools or classes of the kind named.
    Specs(&'static str, Delta<Spec>),
}

/// Something worth a knock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Occurrence {
    /// Which knock.
    pub(crate) topic: Topic,
    /// The object, as shown in the event.
    pub(crate) object: Arc<str>,
    /// Why.
    pub(crate) reason: &'static str,
}

fn occurrence(topic: Topic, object: &Arc<str>, reason: &'static str) -> Occurrence {
    Occurrence { topic, object: Arc::clone(object), reason }
}

/// What is known.
#[derive(Debug, Default)]
pub(crate) struct Board {
    pods: BTreeMap<Uid, PendingPod>,
    nodes: BTreeMap<Uid, Node>,
    claims: BTreeMap<Uid, Claim>,
    specs: BTreeMap<&'static str, BTreeMap<Uid, Spec>>,
    /// How far the nodes of waiting claims were when they were last knocked for, by claim.
    awaited: BTreeMap<Uid, Readiness>,
}

impl Board {
    /// The provisionable pods.
    pub(crate) fn pods(&self) -> &BTreeMap<Uid, PendingPod> {
        &self.pods
    }

    /// Takes a change in; what of it is worth a knock.
    pub(crate) fn apply(&mut self, change: Change) -> Vec<Occurrence> {
        match change {
            Change::Pods(delta) => self.apply_pods(delta),
            Change::Nodes(delta) => self.apply_nodes(delta),
            Change::Claims(delta) => self.apply_claims(delta),
            Change::Specs(kind, delta) => self.apply_specs(kind, delta),
        }
    }

    /// What a new leader knocks for, as it cannot know what the last one still sent.
    pub(crate) fn everything(&mut self) -> Vec<Occurrence> {
        const REASON: &str = "a new leader looks at everything once";
        let pods = self.pods.values().map(|pod| occurrence(Topic::PodsPending, &pod.name, REASON));
        let nodes = self.nodes.values().filter(|node| node.ours && node.deleting);
        let claims = self.claims.values().filter(|claim| claim.deleting);
        let deleting = nodes.map(|node| &node.name).chain(claims.map(|claim| &claim.name));
        let deleting = deleting.map(|name| occurrence(Topic::NodeDeleting, name, REASON));
        let specs = self.specs.values().flat_map(BTreeMap::values);
        let specs = specs.map(|(name, _)| occurrence(Topic::ConfigurationChanged, name, REASON));
        let mut all = pods.chain(deleting).chain(specs).collect::<Vec<_>>();
        self.awaited.clear();
        let nodes = self.nodes.keys().cloned().collect::<Vec<_>>();
        all.extend(nodes.iter().flat_map(|uid| self.look_at_node(uid)));
        all
    }

    fn apply_pods(&mut self, delta: Delta<PendingPod>) -> Vec<Occurrence> {
        const REASON: &str = "the kube-scheduler found no node";
        let changed = merge(&mut self.pods, delta);
        let new = changed.into_iter().filter(|(_, before)| before.is_none());
        let pods = new.filter_map(|(uid, _)| self.pods.get(&uid));
        pods.map(|pod| occurrence(Topic::PodsPending, &pod.name, REASON)).collect()
    }

    fn apply_nodes(&mut self, delta: Delta<Node>) -> Vec<Occurrence> {
        let mut found = Vec::new();
        let changed = merge(&mut self.nodes, delta);
        for (uid, before) in changed {
            let Some(node) = self.nodes.get(&uid) else { continue };
            let begins = node.deleting && !before.is_some_and(|before| before.deleting);
            if node.ours && begins {
                found.push(occurrence(
                    Topic::NodeDeleting,
                    &node.name,
                    "the node is being deleted",
                ));
            }
            found.extend(self.look_at_node(&uid));
        }
        found
    }

    fn apply_claims(&mut self, delta: Delta<Claim>) -> Vec<Occurrence> {
        const REASON: &str = "the claim is being deleted";
        let mut found = Vec::new();
        for (uid, before) in merge(&mut self.claims, delta) {
            let claim = self.claims.get(&uid);
            if claim.is_none_or(|claim| !claim.waits()) {
                self.awaited.remove(&uid);
            }
            let Some(claim) = claim else { continue };
            if claim.deleting && !before.is_some_and(|before| before.deleting) {
                found.push(occurrence(Topic::NodeDeleting, &claim.name, REASON));
            }
            found.extend(self.look_at_claim(&uid));
        }
        found
    }

    /// Knocks for the node if claims wait for it and it has come further since the last look.
    fn look_at_node(&mut self, uid: &Uid) -> Option<Occurrence> {
        let node = self.nodes.get(uid)?;
        let waiting = self.claims.iter().filter(|(_, claim)| claim.waits_for(node));
        let ahead = waiting.filter(|(uid, _)| look(&mut self.awaited, uid, node)).count() > 0;
        ahead.then(|| occurrence(Topic::NodeChanged, &node.name, COME_FURTHER))
    }

    /// Knocks for the node of the claim if it has come further since the last look.
    fn look_at_claim(&mut self, uid: &Uid) -> Option<Occurrence> {
        let claim = self.claims.get(uid).filter(|claim| claim.waits())?;
        let node = self.nodes.values().find(|node| claim.waits_for(node))?;
        let ahead = look(&mut self.awaited, uid, node);
        ahead.then(|| occurrence(Topic::NodeChanged, &node.name, COME_FURTHER))
    }

    fn apply_specs(&mut self, kind: &'static str, delta: Delta<Spec>) -> Vec<Occurrence> {
        const REASON: &str = "a pool or class was changed";
        let first = !self.specs.contains_key(kind);
        let known = self.specs.entry(kind).or_default();
        let changed = merge(known, delta);
        // What was there when the watch began has not changed.
        let changed = changed.into_iter().filter(|_| !first);
        let mut found = Vec::new();
        for (uid, before) in changed {
            let after = known.get(&uid);
            let generation = |spec: &Spec| spec.1;
            if after.map(generation) != before.as_ref().map(generation)
                && let Some((name, _)) = after.or(before.as_ref())
            {
                found.push(occurrence(Topic::ConfigurationChanged, name, REASON));
            }
        }
        found
    }
}

const COME_FURTHER: &str = "a node that a claim waits for has come further";

/// Remembers how far the node of this claim is; whether that is further than at the last look.
fn look(awaited: &mut BTreeMap<Uid, Readiness>, claim: &Uid, node: &Node) -> bool {
    let before = awaited.insert(Arc::clone(claim), node.readiness.clone());
    before.is_none_or(|before| node.readiness.is_ahead_of(&before))
}

/// Takes the change in; what changed, with what was there before.
fn merge<T>(known: &mut BTreeMap<Uid, T>, delta: Delta<T>) -> Vec<(Uid, Option<T>)> {
    match delta {
        Delta::Apply(uid, object) => {
            let before = known.insert(Arc::clone(&uid), object);
            vec![(uid, before)]
        }
        Delta::Delete(uid) => match known.remove(&uid) {
            Some(before) => vec![(uid, Some(before))],
            None => Vec::new(),
        },
        Delta::Replace(objects) => {
            let mut before = std::mem::replace(known, objects);
            let mut changed =
                known.keys().map(|uid| (Arc::clone(uid), before.remove(uid))).collect::<Vec<_>>();
            changed.extend(before.into_iter().map(|(uid, gone)| (uid, Some(gone))));
            changed
        }
    }
}

#[cfg(test)]
#[path = "board/tests.rs"]
mod tests;
