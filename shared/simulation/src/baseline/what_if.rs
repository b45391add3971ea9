//! What a baseline's packer would do with the pods of nodes that are taken away.

use super::packer::{Claim, Policy, Target, pack_without};
use super::upstream::rank;
use super::view::{View, pending, pool};
use model::{InstanceType, MicroUsdPerHour, Node, Pod, Snapshot};
use std::collections::{BTreeMap, BTreeSet};

/// The cluster with all pods that could be moved.
pub(super) struct WhatIf<'a> {
    pub(super) view: View<'a>,
    /// The pool that is bought for.
    pub(super) pool: &'a str,
    policy: Policy,
    /// By node, its pods that would move, as positions in `view.pods`.
    moving: BTreeMap<&'a str, Vec<usize>>,
    waiting: Vec<usize>,
    index: BTreeMap<&'a str, usize>,
    /// Which hosts take moved pods: those that are set up.
    ready: BTreeSet<&'a str>,
    /// Which hosts take no pods at all.
    closed: Vec<usize>,
}

/// Where the pods would go.
pub(super) enum Answer {
    /// Onto nodes that are there.
    Fits,
    /// One node would have to be bought for them.
    Buys(Box<Claim>),
    /// Neither.
    No,
}

impl<'a> WhatIf<'a> {
    /// For the pods of `nodes`, with these types to buy; nodes that are `restless` take no pods.
    pub(super) fn new(
        snapshot: &'a Snapshot,
        nodes: &[&'a Node],
        types: Vec<&'a InstanceType>,
        restless: &BTreeSet<&str>,
        policy: Policy,
    ) -> Self {
        let of_nodes: BTreeSet<&str> = nodes.iter().map(|node| &*node.name).collect();
        let moves = |pod: &&Pod| {
            pod.node_name.as_deref().is_some_and(|node| of_nodes.contains(node))
                && pod.is_reschedulable()
        };
        let mut pods = pending(snapshot);
        pods.extend(snapshot.pods.iter().filter(moves));
        pods.sort_by_key(|pod| rank(pod));
        let view = View::new(snapshot, pods, types);
        let (mut moving, mut waiting): (BTreeMap<&str, Vec<usize>>, _) = Default::default();
        for (at, pod) in view.pods.iter().enumerate() {
            match pod.node_name.as_deref() {
                Some(node) => moving.entry(node).or_default().push(at),
                None => Vec::push(&mut waiting, at),
            }
        }
        let index: BTreeMap<&str, usize> =
            view.hosts.iter().enumerate().map(|(at, name)| (*name, at)).collect();
        let set_up = snapshot.nodes.iter().filter(|node| node.initialized() && node.ready);
        let closed = restless.iter().filter_map(|name| index.get(name).copied()).collect();
        let ready = set_up.map(|node| &*node.name).collect();
        let pool = pool(snapshot).map_or("", |pool| pool.name.as_str());
        Self { view, pool, policy, moving, waiting, index, ready, closed }
    }

    /// Where the pods of `nodes` go if these are taken away, the waiting pods included.
    pub(super) fn without(&self, nodes: &[&Node]) -> Answer {
        let own = nodes.iter().flat_map(|node| self.moving.get(&*node.name).into_iter().flatten());
        let mut pods: Vec<usize> = own.chain(&self.waiting).copied().collect();
        pods.sort_unstable();
        let gone = nodes.iter().filter_map(|node| self.index.get(&*node.name).copied());
        let gone: Vec<usize> = gone.chain(self.closed.iter().copied()).collect();
        let classes: Vec<usize> = pods.iter().map(|at| self.view.packing.pods[*at]).collect();
        let mut packed = pack_without(&self.view.packing, &classes, &gone, self.policy);
        let bad = |(target, at): (&Target, &usize)| {
            let moved = self.view.pods[*at].node_name.is_some();
            match target {
                Target::Nowhere => moved,
                Target::Existing(host) => moved && !self.ready.contains(self.view.hosts[*host]),
                Target::Claim(_) => false,
            }
        };
        if packed.targets.iter().zip(&pods).any(bad) {
            return Answer::No;
        }
        match (packed.claims.pop(), packed.claims.is_empty()) {
            (None, _) => Answer::Fits,
            (Some(claim), true) => Answer::Buys(Box::new(claim)),
            (Some(_), false) => Answer::No,
        }
    }

    /// How many of the node's pods would move.
    pub(super) fn moved(&self, node: &Node) -> usize {
        self.moving.get(&*node.name).map_or(0, Vec::len)
    }
}

/// What the nodes cost together.
pub(super) fn price(nodes: &[&Node]) -> MicroUsdPerHour {
    nodes.iter().filter_map(|node| node.price).sum()
}

/// The types that the pool may use.
pub(super) fn types(snapshot: &Snapshot) -> Vec<&InstanceType> {
    let types = pool(snapshot).and_then(|pool| snapshot.instance_types.get(&pool.instance_types));
    types.into_iter().flat_map(|types| types.iter()).collect()
}
