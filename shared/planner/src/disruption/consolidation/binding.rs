//! Whether the kube-scheduler would find room as well: it binds moved pods by its own rules, not where the plan has them.
//!
//! It spreads: a pod goes to the node with the largest share of free CPU and memory (`NodeResourcesFit`, `LeastAllocated`). A plan that
//! needs its pods in just the right places comes apart then: some wait, a node is bought for them, and the next turn consolidates
//! that. So a group is only taken if its pods, the largest first, as they are evicted, also find room that way, or if it saves much, even
//! after nodes for those that do not.

use super::Group;
use crate::disruption::Turn;
use crate::disruption::moving;
use model::resources::{CPU, MEMORY, PODS};
use model::{Node, Pod, PodSpec, Resources};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Pods that would find no room get nodes of their own. What that costs must be earned so many times by the rest.
const EARNED: i128 = 2;
/// And the rest must be so much of the price of what goes, in hundredths. Less moves pods in circles (three times as many in a day of
/// churn, for nothing); without any, a cluster of large pods stays 28% over its bound instead of 2% (the takeover of `azure`).
const LARGE: i128 = 30;

/// CPU in thousandths, memory in bytes, pods.
type Room = [i64; 3];

/// The cluster as the kube-scheduler fills it.
pub(super) struct Binding<'v, 'a> {
    turn: &'v Turn<'v, 'a>,
    all: Vec<Room>,
    free: Vec<Room>,
    /// By free share, the least first.
    order: BTreeSet<(i64, usize)>,
    index: BTreeMap<Arc<str>, usize>,
    daemons: Room,
}

impl<'v, 'a> Binding<'v, 'a> {
    /// With the pods that wait in the places that the plan has for them.
    pub(super) fn new(turn: &'v Turn<'v, 'a>) -> Self {
        let mut daemons = [0; 3];
        for set in &turn.view.snapshot.daemon_sets {
            add(&mut daemons, room(&set.spec.requests));
        }
        let (all, free, order) = (Vec::new(), Vec::new(), BTreeSet::new());
        let mut own = Self { turn, all, free, order, index: BTreeMap::new(), daemons };
        let takes = |node: &&&Node| super::is_ready(node) && !turn.leaving.contains(&node.name);
        let mut nodes = turn.view.snapshot.nodes.iter().collect::<Vec<_>>();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        for node in nodes.iter().filter(takes) {
            let mut free = room(&node.allocatable);
            let pods = turn.view.pods_of_node(&node.name).iter().filter(|pod| !pod.is_terminal());
            pods.for_each(|pod| subtract(&mut free, room(&pod.spec.requests)));
            own.push(node.name.clone(), room(&node.allocatable), free);
        }
        let waiting = turn.view.snapshot.pods.iter().map(|pod| (&pod.id, pod));
        let waiting = waiting.collect::<BTreeMap<_, _>>();
        for placed in &turn.base.plan.placements {
            let at = own.index.get(&placed.node).copied();
            if let Some((at, pod)) = at.zip(waiting.get(&placed.pod)) {
                own.put(at, room(&pod.spec.requests));
            }
        }
        own
    }

    fn push(&mut self, name: Arc<str>, all: Room, free: Room) {
        let at = self.all.len();
        self.index.insert(name, at);
        self.all.push(all);
        self.free.push(free);
        self.order.insert((share(free, all), at));
    }

    fn put(&mut self, at: usize, size: Room) {
        self.order.remove(&(share(self.free[at], self.all[at]), at));
        subtract(&mut self.free[at], size);
        self.order.insert((share(self.free[at], self.all[at]), at));
    }

    /// Whether the pods of the group find room, or are worth what they cost where not; if so they have it from now on.
    pub(super) fn holds(&mut self, group: &Group) -> bool {
        let before = (self.all.clone(), self.free.clone(), self.order.clone(), self.index.clone());
        if self.bind(group) {
            return true;
        }
        (self.all, self.free, self.order, self.index) = before;
        false
    }

    fn bind(&mut self, group: &Group) -> bool {
        let view = self.turn.view;
        let nodes = group.nodes.iter().filter_map(|name| view.node(name)).collect::<Vec<_>>();
        for node in &nodes {
            if let Some(at) = self.index.remove(&node.name) {
                self.order.remove(&(share(self.free[at], self.all[at]), at));
            }
        }
        let mut planned = BTreeMap::new();
        planned.extend(group.moves.iter().map(|moved| (&moved.pod, &moved.node)));
        for launch in &group.launches {
            planned.extend(launch.pods.iter().map(|pod| (pod, &launch.name)));
            self.buy(&launch.name, &launch.node_pool, &launch.offering.instance_type);
        }
        let leaving = self.turn.leaving.with(nodes.iter().copied());
        let (mut bound, mut free): (Vec<&Pod>, Vec<&Pod>) =
            moving(view, &leaving, &nodes).into_iter().partition(|pod| has_rules(&pod.spec));
        let rank = |pod: &&Pod| {
            let size = room(&pod.spec.requests);
            Reverse(size[0] + (size[1] >> 20) * 1000 / 8192)
        };
        bound.sort_by_key(rank);
        free.sort_by_key(rank);
        for pod in bound {
            let Some(at) = planned.get(&pod.id).and_then(|name| self.index.get(*name)) else {
                continue;
            };
            self.put(*at, room(&pod.spec.requests));
        }
        let missed = free.into_iter().map(|pod| room(&pod.spec.requests));
        let missed = missed.filter(|size| !self.bind_pod(*size)).collect::<Vec<_>>();
        let gain = i128::from(group.gain);
        let large = gain * 100 >= i128::from(price(&nodes)) * LARGE;
        missed.is_empty() || large && worth(&nodes, &missed) * EARNED < gain
    }

    fn buy(&mut self, name: &Arc<str>, pool: &str, instance_type: &str) {
        let snapshot = self.turn.view.snapshot;
        let pool = self.turn.view.pools.get(pool);
        let types = pool.and_then(|pool| snapshot.instance_types.get(&pool.instance_types));
        let mut types = types.into_iter().flat_map(|types| types.iter());
        if let Some(known) = types.find(|known| known.name == instance_type) {
            let all = room(&known.allocatable);
            let mut free = all;
            subtract(&mut free, self.daemons);
            self.push(name.clone(), all, free);
        }
    }

    /// Onto the emptiest node that has room.
    fn bind_pod(&mut self, size: Room) -> bool {
        let fits = |at: usize| self.free[at].iter().zip(size).all(|(free, size)| *free >= size);
        let found = self.order.iter().rev().map(|(_, at)| *at).find(|at| fits(*at));
        found.inspect(|at| self.put(*at, size)).is_some()
    }
}

/// Whether more than room decides where the pod may go: such pods are taken to go where they are planned.
fn has_rules(spec: &PodSpec) -> bool {
    let free = spec.node_selector.is_empty()
        && spec.node_affinity.is_empty()
        && spec.topology_spread.is_empty()
        && spec.pod_affinity.is_empty()
        && spec.pod_anti_affinity.is_empty()
        && spec.tolerations.is_empty();
    !free
}

fn price(nodes: &[&Node]) -> u64 {
    nodes.iter().filter_map(|node| node.price).map(|price| price.0).sum()
}

/// What the pods that find no room bear of the price of these nodes, in micro-dollars an hour.
fn worth(nodes: &[&Node], missed: &[Room]) -> i128 {
    let mut whole = [0; 3];
    nodes.iter().for_each(|node| add(&mut whole, room(&node.allocatable)));
    let price = price(nodes);
    let part =
        |(own, all): (&i64, i64)| i128::from(*own) * i128::from(price) / i128::from(all.max(1));
    missed.iter().map(|size| size.iter().zip(whole).map(part).max().unwrap_or(0)).sum()
}

fn room(resources: &Resources) -> Room {
    [CPU, MEMORY, PODS].map(|name| resources.get(name))
}

fn add(room: &mut Room, more: Room) {
    room.iter_mut().zip(more).for_each(|(own, more)| *own += more);
}

fn subtract(room: &mut Room, size: Room) {
    room.iter_mut().zip(size).for_each(|(own, size)| *own -= size);
}

/// The free shares of CPU and memory together, in thousandths.
fn share(free: Room, all: Room) -> i64 {
    (0..2).map(|at| i128::from(free[at]) * 1000 / i128::from(all[at].max(1))).sum::<i128>() as i64
}
