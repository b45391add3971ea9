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
use model::{Node, Placement, Pod, PodSpec, Resources};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Pods that would find no room get nodes of their own. What that costs must be earned so many times by the rest.
const EARNED: i128 = 2;
/// And the rest must be so much of the price of what goes, in hundredths. Less moves pods in circles (three times as many in a day of
/// churn, for nothing); without any, a cluster of large pods stays 28% over its bound instead of 2% (the takeover of `azure`).
const LARGE: i128 = 30;

/// CPU in thousandths, memory in bytes, pods.
type Room = [i64; 3];

/// What a group changed, to be taken back.
enum Change {
    /// A pod of this size was put there.
    Put(usize, Room),
    /// The node goes.
    Gone(usize),
    /// The last one was bought.
    Bought,
}

/// The cluster as the kube-scheduler fills it.
pub(super) struct Binding<'v, 'a> {
    turn: &'v Turn<'v, 'a>,
    all: Vec<Room>,
    free: Vec<Room>,
    /// By free share, the least first.
    order: BTreeSet<(i64, usize)>,
    index: BTreeMap<&'a str, usize>,
    daemons: Room,
    /// Since the last group that was taken.
    changes: Vec<Change>,
}

impl<'v, 'a> Binding<'v, 'a> {
    /// With the pods that wait in the places that the plan has for them.
    pub(super) fn new(turn: &'v Turn<'v, 'a>) -> Self {
        let mut daemons = [0; 3];
        for set in &turn.view.snapshot.daemon_sets {
            add(&mut daemons, room(&set.spec.requests));
        }
        let (all, free, changes) = (Vec::new(), Vec::new(), Vec::new());
        let (order, index) = (BTreeSet::new(), BTreeMap::new());
        let mut own = Self { turn, all, free, order, index, daemons, changes };
        let takes = |node: &&Node| super::is_ready(node) && !turn.leaving.contains(&node.name);
        let mut nodes = turn.view.snapshot.nodes.iter().filter(takes).collect::<Vec<_>>();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        for node in nodes {
            let mut free = room(&node.allocatable);
            let pods = turn.view.pods_of_node(&node.name).iter().filter(|pod| !pod.is_terminal());
            pods.for_each(|pod| subtract(&mut free, room(&pod.spec.requests)));
            let at = own.push(room(&node.allocatable), free);
            own.index.insert(&node.name, at);
        }
        let placements = turn.base.plan.placements.iter();
        let placed =
            placements.map(|placed| (&placed.pod, &placed.node)).collect::<BTreeMap<_, _>>();
        for pod in &turn.view.snapshot.pods {
            let at = placed.get(&pod.id).and_then(|node| own.index.get(&***node)).copied();
            at.into_iter().for_each(|at| own.put(at, room(&pod.spec.requests)));
        }
        own
    }

    fn push(&mut self, all: Room, free: Room) -> usize {
        let at = self.all.len();
        self.all.push(all);
        self.free.push(free);
        self.order.insert((share(free, all), at));
        at
    }

    fn rank(&self, at: usize) -> (i64, usize) {
        (share(self.free[at], self.all[at]), at)
    }

    fn put(&mut self, at: usize, size: Room) {
        self.order.remove(&self.rank(at));
        subtract(&mut self.free[at], size);
        self.order.insert(self.rank(at));
        self.changes.push(Change::Put(at, size));
    }

    /// Whether the pods of the group find room, or are worth what they cost where not; if so they have it from now on.
    pub(super) fn holds(&mut self, group: &Group) -> bool {
        self.changes.clear();
        let held = self.bind(group);
        if !held {
            self.take_back();
        }
        held
    }

    fn take_back(&mut self) {
        while let Some(change) = self.changes.pop() {
            match change {
                Change::Put(at, size) => {
                    self.order.remove(&self.rank(at));
                    add(&mut self.free[at], size);
                    self.order.insert(self.rank(at));
                }
                Change::Gone(at) => {
                    self.order.insert(self.rank(at));
                }
                Change::Bought => {
                    self.order.remove(&self.rank(self.all.len() - 1));
                    self.all.pop();
                    self.free.pop();
                }
            }
        }
    }

    fn bind(&mut self, group: &Group) -> bool {
        let view = self.turn.view;
        let nodes = group.nodes.iter().filter_map(|name| view.node(name)).collect::<Vec<_>>();
        for at in nodes.iter().filter_map(|node| self.index.get(&*node.name)).copied() {
            self.order.remove(&(share(self.free[at], self.all[at]), at));
            self.changes.push(Change::Gone(at));
        }
        let index = &self.index;
        let place = |moved: &'_ Placement| Some((moved.pod.clone(), *index.get(&*moved.node)?));
        let mut planned = group.moves.iter().filter_map(place).collect::<BTreeMap<_, _>>();
        for launch in &group.launches {
            let bought = self.buy(&launch.node_pool, &launch.offering.instance_type);
            planned.extend(launch.pods.iter().cloned().zip(bought.into_iter().cycle()));
        }
        let leaving = self.turn.leaving.with(nodes.iter().copied());
        let mut pods = moving(view, &leaving, &nodes);
        pods.sort_by_key(|pod| Reverse(evicted_by(&pod.spec.requests)));
        let (bound, free): (Vec<&Pod>, Vec<&Pod>) =
            pods.into_iter().partition(|pod| has_rules(&pod.spec));
        for pod in bound {
            let at = planned.get(&pod.id).copied();
            at.into_iter().for_each(|at| self.put(at, room(&pod.spec.requests)));
        }
        let missed = free.into_iter().map(|pod| room(&pod.spec.requests));
        let missed = missed.filter(|size| !self.bind_pod(*size)).collect::<Vec<_>>();
        let gain = i128::from(group.gain);
        let large = gain * 100 >= i128::from(price(&nodes)) * LARGE;
        missed.is_empty() || large && worth(&nodes, &missed) * EARNED < gain
    }

    fn buy(&mut self, pool: &str, instance_type: &str) -> Option<usize> {
        let snapshot = self.turn.view.snapshot;
        let types = snapshot.instance_types.get(&self.turn.view.pools.get(pool)?.instance_types)?;
        let known = types.iter().find(|known| known.name == instance_type)?;
        let all = room(&known.allocatable);
        let mut free = all;
        subtract(&mut free, self.daemons);
        self.changes.push(Change::Bought);
        Some(self.push(all, free))
    }

    /// Onto the emptiest node that has room.
    fn bind_pod(&mut self, size: Room) -> bool {
        let fits = |at: usize| self.free[at].iter().zip(size).all(|(free, size)| *free >= size);
        let found = self.order.iter().rev().map(|(_, at)| *at).find(|at| fits(*at));
        found.inspect(|at| self.put(*at, size)).is_some()
    }
}

/// By which running pods are evicted, the most first: thousandths of a core, with 8 GiB of memory counted as one core, as AWS
/// prices them about.
pub(crate) fn evicted_by(requests: &Resources) -> i64 {
    requests.get(CPU) + (requests.get(MEMORY) >> 20) * 1000 / 8192
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
