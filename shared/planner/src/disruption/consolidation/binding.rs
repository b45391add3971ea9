//! Whether the kube-scheduler would find room as well: it binds moved pods by its own rules, not where the plan has them.
//!
//! It spreads: a pod goes to the node with the largest share of free CPU and memory (`NodeResourcesFit`, `LeastAllocated`) among those that
//! its rules leave it; of the rules that look at other pods only the zone is known here, which is the planned one. A plan that needs its
//! pods in just the right places comes apart then: some wait, a node is bought for them, and the next turn consolidates that. So a group is
//! only taken if its pods, the largest first, as they are evicted, also find room that way, or if it saves much, even after nodes for those
//! that do not.

use super::Group;
use crate::disruption::Turn;
use crate::disruption::moving;
use crate::view::View;
use model::pod::selects;
use model::resources::{CPU, MEMORY, PODS};
use model::taints::untolerated;
use model::{Duration, Launch, Node, Placement, PodSpec, Resources, labels};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// When a group is worth taking although pods of it would find no room and get nodes of their own.
struct Worthwhile {
    /// What those nodes cost must be earned so many times by the rest.
    earned: i128,
    /// And the rest must be so much of the price of what goes, in hundredths.
    large: i128,
}

/// While pods come and go, less moves pods in circles (three times as many in a day of churn, for nothing).
const RESTLESS: Worthwhile = Worthwhile { earned: 2, large: 30 };
/// Where little changes, the next group mends what this one leaves; asking for more, a cluster of large pods stays 12% over its bound
/// instead of 4% (the takeover of `azure`).
const SETTLED: Worthwhile = Worthwhile { earned: 1, large: 10 };
/// A cluster is settled if so few of its pods, in hundredths,
const NEW: usize = 2;
/// were bound within so much time.
const NEW_S: Duration = Duration(600);

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

/// A node that pods may be bound to.
struct Host<'a> {
    all: Room,
    zone: &'a str,
    /// None if it is yet to be bought.
    node: Option<&'a Node>,
}

/// The cluster as the kube-scheduler fills it.
pub(super) struct Binding<'v, 'a> {
    pub(super) turn: &'v Turn<'v, 'a>,
    hosts: Vec<Host<'v>>,
    free: Vec<Room>,
    /// By free share, the least first.
    order: BTreeSet<(i64, usize)>,
    index: BTreeMap<&'a str, usize>,
    daemons: Room,
    /// Since the last group that was taken.
    changes: Vec<Change>,
    /// Whether little changes.
    pub(super) settled: bool,
}

impl<'v, 'a> Binding<'v, 'a> {
    /// With the pods that wait in the places that the plan has for them.
    pub(super) fn new(turn: &'v Turn<'v, 'a>) -> Self {
        let mut daemons = [0; 3];
        for set in &turn.view.snapshot.daemon_sets {
            add(&mut daemons, room(&set.spec.requests));
        }
        let (hosts, free, changes) = (Vec::new(), Vec::new(), Vec::new());
        let (order, index) = (BTreeSet::new(), BTreeMap::new());
        let settled = is_settled(turn.view);
        let mut own = Self { turn, hosts, free, order, index, daemons, changes, settled };
        let takes = |node: &&Node| super::is_ready(node) && !turn.leaving.contains(&node.name);
        let mut nodes = turn.view.snapshot.nodes.iter().filter(takes).collect::<Vec<_>>();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        for node in nodes {
            let mut free = room(&node.allocatable);
            let pods = turn.view.pods_of_node(&node.name).iter().filter(|pod| !pod.is_terminal());
            pods.for_each(|pod| subtract(&mut free, room(&pod.spec.requests)));
            let zone = node.label(labels::ZONE).unwrap_or_default();
            let host = Host { all: room(&node.allocatable), zone, node: Some(node) };
            let at = own.push(host, free);
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

    fn push(&mut self, host: Host<'v>, free: Room) -> usize {
        let at = self.hosts.len();
        self.hosts.push(host);
        self.free.push(free);
        self.order.insert(self.rank(at));
        at
    }

    fn rank(&self, at: usize) -> (i64, usize) {
        (share(self.free[at], self.hosts[at].all), at)
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
                    self.order.remove(&self.rank(self.hosts.len() - 1));
                    self.hosts.pop();
                    self.free.pop();
                }
            }
        }
    }

    fn bind(&mut self, group: &Group) -> bool {
        let view = self.turn.view;
        let nodes = group.nodes.iter().filter_map(|name| view.node(name)).collect::<Vec<_>>();
        for at in nodes.iter().filter_map(|node| self.index.get(&*node.name)).copied() {
            self.order.remove(&self.rank(at));
            self.changes.push(Change::Gone(at));
        }
        let index = &self.index;
        let place = |moved: &'_ Placement| Some((moved.pod.clone(), *index.get(&*moved.node)?));
        let mut planned = group.moves.iter().filter_map(place).collect::<BTreeMap<_, _>>();
        for launch in &group.launches {
            let bought = self.buy(launch);
            planned.extend(launch.pods.iter().cloned().zip(bought.into_iter().cycle()));
        }
        let leaving = self.turn.leaving.with(nodes.iter().copied());
        let mut pods = moving(view, &leaving, &nodes);
        pods.sort_by_key(|pod| (!has_rules(&pod.spec), Reverse(evicted_by(&pod.spec.requests))));
        let mut missed = Vec::new();
        for pod in pods {
            if !self.bind_pod(&pod.spec, planned.get(&pod.id).copied()) {
                missed.push(room(&pod.spec.requests));
            }
        }
        missed.is_empty() || self.is_worthwhile(group.gain, &nodes, &missed)
    }

    fn is_worthwhile(&self, gain: i64, nodes: &[&Node], missed: &[Room]) -> bool {
        let Worthwhile { earned, large } = if self.settled { SETTLED } else { RESTLESS };
        let gain = i128::from(gain);
        gain * 100 >= i128::from(price(nodes)) * large && worth(nodes, missed) * earned < gain
    }

    fn buy(&mut self, launch: &Launch) -> Option<usize> {
        let snapshot = self.turn.view.snapshot;
        let pool = self.turn.view.pools.get(launch.node_pool.as_str())?;
        let types = snapshot.instance_types.get(&pool.instance_types)?;
        let known = types.iter().find(|known| known.name == launch.offering.instance_type)?;
        let mut offerings = known.offerings.iter();
        let zone = &*offerings.find(|own| own.zone == launch.offering.zone)?.zone;
        let all = room(&known.allocatable);
        let mut free = all;
        subtract(&mut free, self.daemons);
        self.changes.push(Change::Bought);
        Some(self.push(Host { all, zone, node: None }, free))
    }

    /// Onto the emptiest node that has room and that its rules leave it. What must go together or apart is known of the planned place only.
    fn bind_pod(&mut self, spec: &PodSpec, planned: Option<usize>) -> bool {
        let size = room(&spec.requests);
        let zone = planned.filter(|_| has_rules(spec)).map(|at| self.hosts[at].zone);
        let fits = |at: &usize| {
            let host = &self.hosts[*at];
            let free = self.free[*at].iter().zip(size).all(|(free, size)| *free >= size);
            free && zone.is_none_or(|zone| host.zone == zone)
                && (planned == Some(*at) || admits(host.node, spec))
        };
        let found = self.order.iter().rev().map(|(_, at)| *at).find(fits);
        found.inspect(|at| self.put(*at, size)).is_some()
    }
}

/// Whether the node's labels and taints let such pods onto it. Of one that is yet to be bought little is known.
fn admits(node: Option<&Node>, spec: &PodSpec) -> bool {
    let Some(node) = node else {
        return spec.node_selector.is_empty() && spec.node_affinity.is_empty();
    };
    untolerated(&node.taints, &spec.tolerations).is_none()
        && selects(&spec.node_selector, &spec.node_affinity, (&node.name, &node.labels))
}

/// By which running pods are evicted, the most first: thousandths of a core, with 8 GiB of memory counted as one core, as AWS
/// prices them about.
pub(crate) fn evicted_by(requests: &Resources) -> i64 {
    requests.get(CPU) + (requests.get(MEMORY) >> 20) * 1000 / 8192
}

/// Whether few of the pods that could be moved came lately.
fn is_settled(view: &View<'_>) -> bool {
    let bound = view.snapshot.pods.iter().filter(|pod| pod.node_name.is_some());
    let (mut new, mut all) = (0, 0);
    for pod in bound.filter(|pod| pod.is_reschedulable()) {
        let at = pod.bound_at.or(pod.created_at);
        new += usize::from(at.is_some_and(|at| view.snapshot.now.since(at) < NEW_S));
        all += 1;
    }
    new * 100 <= all * NEW
}

/// Whether more than room decides where the pod may go.
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
