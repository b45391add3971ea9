//! Thousands of different pods with rules about who shares a node: too many for patterns.
//!
//! The pods that force the most nodes get one each, then every other pod goes, the largest first, to the node that it makes
//! least dearer. A node's kind stays open: it is the cheapest that holds what is on it.

use super::buy::{Bought, Market};
use super::diversity::is_asked;
use super::place::{DemandKey, Demands};
use super::tallies::Tallies;
use crate::packing::bitset::Bitset;
use model::Pod;
use model::pod::HostPort;
use std::collections::BTreeMap;

/// Nodes that a pod is tried on before the rest is only searched for one that takes it at all.
const TRIED: usize = 6;
/// Nodes that are asked at most before a new one is bought: those that refuse a pod now may take smaller ones later.
const ASKED: usize = 256;

/// With more demands than this, rules over hosts make patterns pointless: hardly two nodes are alike.
const MANY: usize = 600;

/// Whether the demands are packed here.
pub(super) fn is_bulk(market: &Market<'_, '_>, demands: &Demands<'_>) -> bool {
    let ruled = |(class, _): &DemandKey| {
        Tallies::limits(&market.classes[*class].terms, market.topology).next().is_some()
    };
    demands.len() > MANY && !is_asked(market.candidates) && demands.keys().any(ruled)
}

/// Candidates that some pods may use, none dominated by another, cheapest first.
struct Kinds {
    candidates: Vec<usize>,
    prices: Vec<u64>,
}

/// What restricts a node: its candidates, by what is on it so far.
struct Family {
    allowed: Bitset,
    kinds: Kinds,
    /// The nodes restricted so, and the one that is tried next.
    nodes: Vec<usize>,
    next: usize,
}

/// Pods that are placed together: one, but for those that must share a node.
struct Unit<'a> {
    key: DemandKey,
    size: Vec<i64>,
    family: usize,
    pods: Vec<&'a Pod>,
}

struct Node<'a> {
    family: usize,
    /// Its position among its family's nodes.
    at: usize,
    /// The position of its kind among its family's.
    kind: usize,
    total: Vec<i64>,
    tallies: Tallies,
    ports: Vec<&'a HostPort>,
    pods: Vec<(usize, Option<usize>, &'a Pod)>,
}

/// A place for a unit: what it adds to the price, the room that is left, the node, its family and kind then.
type Offer = (u64, u64, usize, usize, usize);

/// A packing in the making.
pub(super) struct Bulk<'a, 's, 'm> {
    market: &'m Market<'a, 's>,
    families: Vec<Family>,
    known: BTreeMap<Bitset, usize>,
    /// By two families, what a node of both is.
    meets: BTreeMap<(usize, usize), Option<usize>>,
    nodes: Vec<Node<'a>>,
    /// By rule over hosts, the nodes with a pod that it counts.
    touched: BTreeMap<usize, usize>,
}

impl<'a, 's, 'm> Bulk<'a, 's, 'm> {
    /// Nodes for all pods of the demands, each of which some candidate of `within` holds alone.
    pub(super) fn pack(
        market: &'m Market<'a, 's>,
        demands: &Demands<'a>,
        within: &Bitset,
    ) -> Vec<Bought<'a>> {
        let mut bulk = Self {
            market,
            families: Vec::new(),
            known: BTreeMap::new(),
            meets: BTreeMap::new(),
            nodes: Vec::new(),
            touched: BTreeMap::new(),
        };
        for unit in bulk.units(demands, within) {
            bulk.put(unit);
        }
        let families = &bulk.families;
        let bought = |node: Node<'a>| Bought {
            candidate: families[node.family].kinds.candidates[node.kind],
            pods: node.pods,
        };
        bulk.nodes.into_iter().map(bought).collect()
    }

    /// The units in the order in which they are placed.
    fn units(&mut self, demands: &Demands<'a>, within: &Bitset) -> Vec<Unit<'a>> {
        let wide = self.widened(demands);
        let forcing = self.forcing(demands);
        let largest = self.largest(within);
        let mut units = Vec::new();
        for (key, pods) in demands {
            let mut allowed = wide[&key.0].clone();
            allowed.intersect(within);
            if let Some(cell) = key.1 {
                allowed.intersect(&self.market.candidates.of_cell[cell]);
            }
            let family = self.family(allowed);
            let unit = self.market.unit(key.0);
            let size = &self.market.classes[key.0].size;
            let size = size.iter().map(|size| size.saturating_mul(unit as i64)).collect::<Vec<_>>();
            let share = |(size, largest): (&i64, &i64)| size.saturating_mul(1000) / largest.max(&1);
            let share = size.iter().zip(&largest).map(share).max().unwrap_or(0);
            let forces = forcing.is_some_and(|term| self.market.classes[key.0].terms.matches(term));
            for pods in pods.chunks(unit) {
                let of = Unit { key: *key, size: size.clone(), family, pods: pods.to_vec() };
                units.push(((!forces, std::cmp::Reverse(share)), of));
            }
        }
        units.sort_by_key(|(rank, _)| *rank);
        units.into_iter().map(|(_, unit)| unit).collect()
    }

    /// By class, its candidates whatever their size, as far as another class shows them: sizes are counted by node anyway.
    fn widened(&self, demands: &Demands<'a>) -> BTreeMap<usize, Bitset> {
        let fitting = |class: usize| &self.market.fitting[class];
        let mut classes = demands.keys().map(|(class, _)| *class).collect::<Vec<_>>();
        classes.dedup();
        let mut distinct: BTreeMap<(&Bitset, &Vec<i64>), Vec<usize>> = BTreeMap::new();
        for class in classes {
            let size = &self.market.classes[class].size;
            distinct.entry((fitting(class), size)).or_default().push(class);
        }
        let mut order = distinct.into_iter().collect::<Vec<_>>();
        order.sort_by_key(|((fitting, _), _)| std::cmp::Reverse(fitting.iter().count()));
        let mut wide: Vec<&Bitset> = Vec::new();
        let mut found = BTreeMap::new();
        for ((fitting, size), classes) in order {
            let same = |wide: &&&Bitset| {
                **wide == fitting || self.market.candidates.large_enough(wide, size) == *fitting
            };
            let own = wide.iter().find(same).copied().unwrap_or_else(|| {
                wide.push(fitting);
                fitting
            });
            found.extend(classes.into_iter().map(|class| (class, own.clone())));
        }
        found
    }

    /// The rule that forces the most nodes.
    fn forcing(&self, demands: &Demands<'a>) -> Option<usize> {
        let mut forced: BTreeMap<usize, (usize, u32)> = BTreeMap::new();
        for ((class, _), pods) in demands {
            for (term, limit) in
                Tallies::limits(&self.market.classes[*class].terms, self.market.topology)
            {
                let (count, least) = forced.entry(term).or_insert((0, limit));
                *count += pods.len();
                *least = (*least).min(limit);
            }
        }
        let nodes = |(term, (count, limit)): (&usize, &(usize, u32))| {
            (count / (*limit).max(1) as usize, std::cmp::Reverse(*term))
        };
        forced.iter().map(nodes).max().map(|(_, term)| term.0)
    }

    fn largest(&self, within: &Bitset) -> Vec<i64> {
        let mut largest = Vec::new();
        for at in within.iter() {
            let usable = &self.market.candidates.list[at].usable;
            largest.resize(usable.len(), 0);
            largest.iter_mut().zip(usable.iter()).for_each(|(most, own)| *most = (*most).max(*own));
        }
        largest
    }

    fn family(&mut self, allowed: Bitset) -> usize {
        if let Some(known) = self.known.get(&allowed) {
            return *known;
        }
        let kinds = Kinds::new(self.market, &allowed);
        self.known.insert(allowed.clone(), self.families.len());
        self.families.push(Family { allowed, kinds, nodes: Vec::new(), next: 0 });
        self.families.len() - 1
    }

    fn meet(&mut self, a: usize, b: usize) -> Option<usize> {
        if a == b {
            return Some(a);
        }
        let pair = (a.min(b), a.max(b));
        if let Some(known) = self.meets.get(&pair) {
            return *known;
        }
        let mut both = self.families[a].allowed.clone();
        both.intersect(&self.families[b].allowed);
        let met = (!both.is_empty()).then(|| self.family(both));
        self.meets.insert(pair, met);
        met
    }

    fn put(&mut self, unit: Unit<'a>) {
        let nothing = vec![0; unit.size.len()];
        let fresh = self.cheapest(unit.family, 0, &nothing, &unit.size);
        let alone = fresh.map_or(u64::MAX, |kind| self.families[unit.family].kinds.prices[kind]);
        // At nearly equal prices fewer nodes are better.
        let most = alone.saturating_add(alone / 100);
        match self.best(&unit).filter(|offer| offer.0 <= most) {
            Some((_, _, node, family, kind)) => self.join(node, family, kind, unit),
            None => {
                let family = unit.family;
                self.nodes.push(Node {
                    family,
                    at: self.families[family].nodes.len(),
                    kind: fresh.unwrap_or(0),
                    total: nothing,
                    tallies: Tallies::default(),
                    ports: Vec::new(),
                    pods: Vec::new(),
                });
                let node = self.nodes.len() - 1;
                self.families[family].nodes.push(node);
                self.join(node, family, fresh.unwrap_or(0), unit);
            }
        }
    }

    /// The best of some nodes, or the first that takes it.
    fn best(&mut self, unit: &Unit<'a>) -> Option<Offer> {
        if self.is_everywhere(unit) {
            return None;
        }
        let mut best: Option<Offer> = None;
        let mut tried = 0;
        let compatible = (0..self.families.len())
            .filter(|family| !self.families[*family].nodes.is_empty())
            .collect::<Vec<_>>();
        let mut lists = Vec::with_capacity(compatible.len());
        for family in compatible {
            lists.extend(self.meet(family, unit.family).map(|met| (family, met)));
        }
        let all = lists.iter().map(|(family, _)| self.families[*family].nodes.len()).sum::<usize>();
        let mut seen = vec![0_usize; lists.len()];
        let most = all.min(ASKED);
        while tried < most && (tried < TRIED || best.is_none()) {
            for (at, (family, met)) in lists.iter().enumerate() {
                let length = self.families[*family].nodes.len();
                if seen[at] == length {
                    continue;
                }
                let of = &mut self.families[*family];
                let node = of.nodes[of.next % length];
                of.next = (of.next + 1) % length;
                seen[at] += 1;
                tried += 1;
                let offer = self.offer(node, *met, unit);
                best = best.into_iter().chain(offer).min();
            }
        }
        best
    }

    /// Whether each node has a pod that must not meet another of the unit's kind.
    fn is_everywhere(&self, unit: &Unit<'a>) -> bool {
        let terms = &self.market.classes[unit.key.0].terms;
        let alone = |(term, limit): (usize, u32)| {
            let touched = self.touched.get(&term).copied().unwrap_or(0);
            limit == 1 && touched == self.nodes.len()
        };
        Tallies::limits(terms, self.market.topology).any(alone)
    }

    fn offer(&self, node: usize, met: usize, unit: &Unit<'a>) -> Option<Offer> {
        let of = &self.nodes[node];
        let class = &self.market.classes[unit.key.0];
        let ports = &class.spec.host_ports;
        let clash = ports.iter().any(|port| of.ports.iter().any(|own| own.conflicts(port)));
        if clash || !of.tallies.admit(&class.terms, self.market.topology) {
            return None;
        }
        let price = self.families[of.family].kinds.prices[of.kind];
        let from = if met == of.family {
            of.kind
        } else {
            self.families[met].kinds.prices.partition_point(|other| *other < price)
        };
        let kind = self.cheapest(met, from, &of.total, &unit.size)?;
        let kinds = &self.families[met].kinds;
        let usable = &self.market.candidates.list[kinds.candidates[kind]].usable;
        let room = |((usable, total), size): ((&i64, &i64), &i64)| {
            let left = usable.saturating_sub(*total).saturating_sub(*size).max(0);
            left.saturating_mul(1000) as u64 / (*usable).max(1) as u64
        };
        let left = usable.iter().zip(&of.total).zip(&unit.size).map(room).sum();
        Some((kinds.prices[kind].saturating_sub(price), left, node, met, kind))
    }

    /// The cheapest kind from there on that holds so much and that more.
    fn cheapest(&self, family: usize, from: usize, total: &[i64], more: &[i64]) -> Option<usize> {
        let kinds = &self.families[family].kinds;
        let list = &self.market.candidates.list;
        let holds = |kind: &usize| {
            let usable = list[kinds.candidates[*kind]].usable.iter();
            usable.zip(total).zip(more).all(|((usable, total), more)| {
                let after = total.saturating_add(*more);
                after <= 0 || after <= *usable
            })
        };
        (from..kinds.candidates.len()).find(holds)
    }

    fn join(&mut self, node: usize, family: usize, kind: usize, unit: Unit<'a>) {
        let class = &self.market.classes[unit.key.0];
        if self.nodes[node].family != family {
            let (old, at) = (self.nodes[node].family, self.nodes[node].at);
            self.families[old].nodes.swap_remove(at);
            if let Some(moved) = self.families[old].nodes.get(at) {
                self.nodes[*moved].at = at;
            }
            self.nodes[node].at = self.families[family].nodes.len();
            self.families[family].nodes.push(node);
        }
        let of = &mut self.nodes[node];
        (of.family, of.kind) = (family, kind);
        of.total.iter_mut().zip(&unit.size).for_each(|(sum, own)| *sum = sum.saturating_add(*own));
        for term in of.tallies.add(&class.terms, self.market.topology, unit.pods.len() as u32) {
            *self.touched.entry(term).or_default() += 1;
        }
        of.ports.extend(&class.spec.host_ports);
        of.pods.extend(unit.pods.into_iter().map(|pod| (unit.key.0, unit.key.1, pod)));
    }
}

impl Kinds {
    fn new(market: &Market<'_, '_>, allowed: &Bitset) -> Self {
        let list = &market.candidates.list;
        let price = |at: usize| list[at].price;
        let mut order = allowed.iter().collect::<Vec<_>>();
        order.sort_by(|a, b| {
            (price(*a), &list[*b].usable, *a).cmp(&(price(*b), &list[*a].usable, *b))
        });
        order.dedup_by(|later, first| {
            price(*later) == price(*first) && list[*later].usable == list[*first].usable
        });
        let mut kept: Vec<usize> = Vec::new();
        for at in order {
            let holds_all = |other: &usize| {
                let (own, other) = (&list[at].usable, &list[*other].usable);
                own.iter().zip(other.iter()).all(|(own, other)| own <= other)
            };
            if !kept.iter().rev().any(holds_all) {
                kept.push(at);
            }
        }
        Self { prices: kept.iter().map(|at| price(*at)).collect(), candidates: kept }
    }
}
