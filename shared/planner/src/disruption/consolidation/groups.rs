//! What was found, as disruptions of their own: nodes whose pods share a new node go together, all others alone.

use super::price::{self, Replaced};
use super::search::Search;
use crate::scheduling::{Bought, launches};
use model::{Launch, Placement, Pod};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Nodes that go together for cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// Names it: the same nodes have the same id in every turn.
    pub(crate) id: String,
    /// The nodes, by name.
    pub(crate) nodes: Vec<Arc<str>>,
    /// What replaces them.
    pub(crate) launches: Vec<Launch>,
    /// Where the pods go that need no new node.
    pub(crate) moves: Vec<Placement>,
    /// How many pods are moved.
    pub(crate) moved: usize,
    /// What the nodes cost less what is bought, in micro-dollars an hour.
    pub(crate) saves: i64,
    /// Of that, what is above the least that moving the pods must save.
    pub(crate) gain: i64,
}

/// Gathers the groups of a search, those that save most for each pod moved first.
pub(super) fn groups<'h>(
    search: &Search<'_, '_>,
    home: impl Fn(&Pod) -> Option<&'h str>,
) -> Vec<Group> {
    let gone = search.found.iter().flat_map(|set| set.hosts.iter().copied()).collect::<Vec<_>>();
    let index = gone.iter().enumerate().map(|(at, host)| (name(search, *host), at));
    let index = index.collect::<BTreeMap<_, _>>();
    let home = |pod: &Pod| home(pod).and_then(|home| index.get(home)).copied();
    let mut parents = (0..gone.len()).collect::<Vec<_>>();
    // Nodes that were taken together go together, even if their pods share no new node: a spread that holds when all have moved
    // need not hold when some stay.
    let mut bought_for = Vec::new();
    for set in search.found.iter().filter(|set| !set.nodes.is_empty()) {
        let mut members =
            set.nodes.iter().flat_map(|node| &node.pods).filter_map(|pod| home(pod.2));
        let own = set.hosts.first().and_then(|host| index.get(name(search, *host))).copied();
        let Some(first) = own.or_else(|| members.next()) else { continue };
        let hosts = set.hosts.iter().filter_map(|host| index.get(name(search, *host)).copied());
        for member in members.chain(hosts) {
            join(&mut parents, first, member);
        }
        bought_for.push((first, set));
    }
    let mut of_root: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (at, host) in gone.iter().enumerate() {
        of_root.entry(root(&parents, at)).or_default().push(*host);
    }
    let mut moves = moves(search, &home, &parents);
    let group = |(of, hosts): (&usize, &Vec<usize>)| {
        let sets = bought_for.iter().filter(|(first, _)| root(&parents, *first) == *of);
        let nodes = sets.flat_map(|(_, set)| &set.nodes).collect::<Vec<_>>();
        make(search, hosts, &nodes, moves.remove(of).unwrap_or_default())
    };
    let mut groups = of_root.iter().filter_map(group).collect::<Vec<_>>();
    let rate = |group: &Group| group.saves * 1000 / (group.moved as i64 + 1);
    groups.sort_by(|a, b| (rate(b), &a.id).cmp(&(rate(a), &b.id)));
    groups
}

fn name<'x>(search: &'x Search<'_, '_>, host: usize) -> &'x str {
    &search.fleet.slots[host].name
}

fn root(parents: &[usize], mut at: usize) -> usize {
    while parents[at] != at {
        at = parents[at];
    }
    at
}

fn join(parents: &mut [usize], a: usize, b: usize) {
    let (a, b) = (root(parents, a), root(parents, b));
    parents[a.max(b)] = a.min(b);
}

/// By group, the pods that go to nodes which stay.
fn moves(
    search: &Search<'_, '_>,
    home: &impl Fn(&Pod) -> Option<usize>,
    parents: &[usize],
) -> BTreeMap<usize, Vec<Placement>> {
    let mut moves: BTreeMap<usize, Vec<Placement>> = BTreeMap::new();
    for (at, host) in search.fleet.hosts.iter().enumerate().filter(|(_, host)| !host.gone) {
        for pod in host.load.iter().flat_map(|(_, pods)| pods) {
            let Some(from) = home(pod) else { continue };
            let node = search.fleet.slots[at].name.clone();
            let placement = Placement { pod: pod.id.clone(), node };
            moves.entry(root(parents, from)).or_default().push(placement);
        }
    }
    moves.values_mut().for_each(|moves| moves.sort());
    moves
}

/// A group, if it saves something when EC2 gives the dearest of what it may.
fn make(
    search: &Search<'_, '_>,
    hosts: &[usize],
    nodes: &[&Bought<'_>],
    moves: Vec<Placement>,
) -> Option<Group> {
    let mut names =
        hosts.iter().map(|host| search.fleet.slots[*host].name.clone()).collect::<Vec<_>>();
    names.sort();
    let id = id(&names);
    let market = search.market.open(&search.fleet, 0);
    let copies =
        nodes.iter().map(|node| Bought { candidate: node.candidate, pods: node.pods.clone() });
    let mut launches = launches(&market, copies.collect(), &search.limits);
    for (at, launch) in launches.iter_mut().enumerate() {
        launch.name = format!("{}-{id}-{}", launch.node_pool, at + 1).into();
        launch.replaces = Some(id.clone());
    }
    let of = |host: &usize| &search.fleet.hosts[*host];
    let price = hosts.iter().map(|host| of(host).price).sum::<u64>();
    let toll = hosts.iter().map(|host| of(host).toll).sum::<u64>();
    let cost = launches.iter().map(|launch| launch.offering.price.0).sum::<u64>();
    let saves = price as i64 - cost as i64;
    let gain = saves - toll as i64;
    let pool = launches.iter().map(price::Choice::of).collect::<Vec<_>>();
    price::bound(&mut launches, gain);
    let replaced = Replaced {
        nodes: hosts.len(),
        all_spot: hosts.iter().all(|host| search.spot[*host]),
        gain,
        types: hosts.iter().map(|host| search.types[*host]).collect(),
    };
    let right =
        gain > price::overlap(cost as i64) && price::is_diverse(&launches, &pool, &replaced);
    let moved = moves.len() + launches.iter().map(|launch| launch.pods.len()).sum::<usize>();
    right.then_some(Group { id, nodes: names, launches, moves, moved, saves, gain })
}

/// FNV-1a over the names: the same on every machine, and short enough for a label.
fn id(nodes: &[Arc<str>]) -> String {
    let bytes = nodes.iter().flat_map(|name| name.bytes().chain([b'\n']));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}
