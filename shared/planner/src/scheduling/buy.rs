//! Demand becomes nodes: pools of the highest weight first, among them the cheapest packing, within limits.

use super::bulk::{self, Bulk};
use super::candidates::Candidates;
use super::classes::Class;
use super::constraints::HostRules;
use super::diversity::{is_asked, is_diverse, keep_diverse};
use super::limits::Limits;
use super::place::{DemandKey, Demands};
use super::topology::Topology;
use super::translate::{Part, Translation, translate};
use crate::packing::bitset::Bitset;
use crate::packing::problem::Packed;
use crate::packing::solve;
use model::Pod;
use std::collections::BTreeMap;

/// A node to be bought.
pub(crate) struct Bought<'a> {
    /// The candidate.
    pub(crate) candidate: usize,
    /// Its pods, with their class, and the cell that they need if they need one.
    pub(crate) pods: Vec<(usize, Option<usize>, &'a Pod)>,
}

/// What buying needs to know.
pub(crate) struct Market<'a, 's> {
    pub(crate) candidates: &'s Candidates<'a>,
    pub(crate) classes: &'s [Class<'a>],
    /// By class, the candidates that can hold one of its pods.
    pub(crate) fitting: &'s [Bitset],
    pub(crate) topology: &'s Topology,
    /// Classes whose pods are bought one node together.
    pub(crate) bundles: &'s BTreeMap<usize, Bitset>,
    /// A bound on the work of one packing.
    pub(crate) steps: u64,
}

/// What was bought, what was not, and the bounds of the packings.
#[derive(Default)]
pub(crate) struct Purchase<'a> {
    pub(crate) nodes: Vec<Bought<'a>>,
    pub(crate) left: Demands<'a>,
    /// The sum of the bounds of all packings, which is a bound only if nothing was turned away by limits.
    pub(crate) bound: u64,
    /// Whether limits turned something away.
    pub(crate) limited: bool,
}

/// Limits are met by packing again what did not fit, at most so often.
const ROUNDS: usize = 12;

impl<'a> Market<'a, '_> {
    /// Buys for the demands. Where limits turn pods away, the important ones are served before the others.
    pub(crate) fn buy(&self, demands: Demands<'a>, limits: &mut Limits) -> Purchase<'a> {
        let priority = |class: usize| std::cmp::Reverse(self.classes[class].spec.priority);
        let priorities = demands.keys().map(|(class, _)| priority(*class));
        if !limits.any() || priorities.collect::<std::collections::BTreeSet<_>>().len() < 2 {
            return self.buy_alike(demands, limits);
        }
        let before = (demands.clone(), limits.clone());
        let purchase = self.buy_alike(demands, limits);
        if !purchase.limited {
            return purchase;
        }
        *limits = before.1;
        let mut by_priority: BTreeMap<_, Demands<'a>> = BTreeMap::new();
        for (key, pods) in before.0 {
            by_priority.entry(priority(key.0)).or_default().insert(key, pods);
        }
        let mut all = Purchase { limited: true, ..Purchase::default() };
        for demands in by_priority.into_values() {
            let part = self.buy_alike(demands, limits);
            all.nodes.extend(part.nodes);
            all.left.extend(part.left);
        }
        all
    }

    /// Buys for demands of equal importance, weight by weight.
    fn buy_alike(&self, demands: Demands<'a>, limits: &mut Limits) -> Purchase<'a> {
        let mut purchase = Purchase { left: demands, ..Purchase::default() };
        for tier in self.tiers() {
            let demands = std::mem::take(&mut purchase.left);
            let demands = self.buy_reserved(demands, &tier, limits, &mut purchase);
            let mut bought = tier;
            self.candidates.reserved.iter().for_each(|at| bought.remove(at));
            self.buy_tier(demands, &bought, limits, &mut purchase);
        }
        purchase
    }

    /// Fills what reservations hold, before anything is paid for; the pods that are left come back.
    fn buy_reserved(
        &self,
        demands: Demands<'a>,
        tier: &Bitset,
        limits: &mut Limits,
        purchase: &mut Purchase<'a>,
    ) -> Demands<'a> {
        let mut reserved = tier.clone();
        reserved.intersect(&self.candidates.reserved);
        if !reserved.iter().any(|at| limits.allow(&self.candidates.list[at])) {
            return demands;
        }
        let mut free = Purchase::default();
        self.buy_tier(demands, &reserved, limits, &mut free);
        purchase.nodes.extend(free.nodes);
        free.left
    }

    /// The candidates for a class outside reservations.
    pub(crate) fn paid(&self, class: usize) -> Bitset {
        let mut paid = self.fitting[class].clone();
        self.candidates.reserved.iter().for_each(|at| paid.remove(at));
        paid
    }

    /// The candidates of each weight, the highest weight first.
    pub(crate) fn tiers(&self) -> Vec<Bitset> {
        let mut tiers: BTreeMap<std::cmp::Reverse<i32>, Bitset> = BTreeMap::new();
        for (pool, members) in self.candidates.pools.iter().zip(&self.candidates.of_pool) {
            let tier = tiers
                .entry(std::cmp::Reverse(pool.weight))
                .or_insert_with(|| Bitset::new(self.candidates.list.len()));
            tier.unite(members);
        }
        tiers.into_values().collect()
    }

    fn buy_tier(
        &self,
        demands: Demands<'a>,
        tier: &Bitset,
        limits: &mut Limits,
        purchase: &mut Purchase<'a>,
    ) {
        let mut wanted = demands;
        let mut tried = false;
        for _ in 0..ROUNDS {
            let within = self.within(tier, limits);
            let (mut possible, refused): (Demands<'a>, Demands<'a>) = wanted
                .into_iter()
                .partition(|((class, cell), _)| within.meets(&self.bought_in(*class, *cell)));
            if limits.any() {
                purchase.limited |=
                    refused.keys().any(|(class, cell)| tier.meets(&self.fitting_in(*class, *cell)));
            }
            purchase.left.extend(refused);
            if possible.is_empty() {
                return;
            }
            if bulk::is_bulk(self, &possible) {
                self.buy_bulk(&mut possible, &within, limits, purchase);
                if possible.is_empty() {
                    return;
                }
                purchase.limited = true;
                wanted = possible;
                continue;
            }
            let apart = tried && is_asked(self.candidates);
            wanted = Demands::new();
            for mut batch in batches(possible, apart) {
                let keys = batch.keys().copied().collect::<Vec<_>>();
                let translation = self.translate(&batch, &within);
                let solution = solve(&translation.problem, self.steps);
                purchase.bound += solution.bound;
                self.accept(&translation, &keys, solution.nodes, &mut batch, limits, purchase);
                wanted.extend(batch.into_iter().filter(|(_, pods)| !pods.is_empty()));
            }
            if wanted.is_empty() {
                return;
            }
            (purchase.limited, tried) = (true, true);
        }
        purchase.left.extend(wanted);
    }

    /// Buys for many shapes at once; what limits turn away stays in the demands.
    fn buy_bulk(
        &self,
        demands: &mut Demands<'a>,
        within: &Bitset,
        limits: &mut Limits,
        purchase: &mut Purchase<'a>,
    ) {
        let pods = |class: usize, pods: &Vec<&Pod>| (class, pods.len() as u64);
        let counts = demands.iter().map(|((class, _), own)| pods(*class, own));
        purchase.bound += super::bound::divisible(self, counts, within, &[]);
        let mut nodes = Bulk::pack(self, demands, within);
        demands.clear();
        let price = |node: &Bought<'_>| self.candidates.list[node.candidate].price;
        if limits.any() || self.are_reserved(within) {
            nodes.sort_by_key(|node| price(node) * 1000 / node.pods.len().max(1) as u64);
        }
        for node in nodes {
            let candidate = &self.candidates.list[node.candidate];
            if !limits.allow(candidate) {
                for (class, cell, pod) in node.pods {
                    demands.entry((class, cell)).or_default().push(pod);
                }
                continue;
            }
            limits.take(candidate);
            purchase.nodes.push(node);
        }
    }

    /// Whether the candidates are those of reservations, which are never bought with others.
    fn are_reserved(&self, within: &Bitset) -> bool {
        within.meets(&self.candidates.reserved)
    }

    /// The candidates of the tier that the limits still allow one of.
    fn within(&self, tier: &Bitset, limits: &Limits) -> Bitset {
        if !limits.any() && !self.are_reserved(tier) {
            return tier.clone();
        }
        let mut within = Bitset::new(self.candidates.list.len());
        let allowed = |at: &usize| limits.allow(&self.candidates.list[*at]);
        tier.iter().filter(allowed).for_each(|at| within.insert(at));
        within
    }

    /// The candidates for a class in a cell.
    pub(crate) fn fitting_in(&self, class: usize, cell: Option<usize>) -> Bitset {
        let mut fitting = self.fitting[class].clone();
        if let Some(cell) = cell {
            fitting.intersect(&self.candidates.of_cell[cell]);
            keep_diverse(self.candidates, &mut fitting);
        }
        fitting
    }

    /// Those of them that may be bought: enough others would do as well, where their pool asks for that.
    fn bought_in(&self, class: usize, cell: Option<usize>) -> Bitset {
        let mut bought = self.fitting_in(class, cell);
        keep_diverse(self.candidates, &mut bought);
        bought
    }

    /// How many pods of the class are bought a place at once: all of those that must be together, else each alone.
    pub(super) fn unit(&self, class: usize) -> usize {
        if self.bundles.contains_key(&class) { self.classes[class].pods.len().max(1) } else { 1 }
    }

    fn translate(&self, demands: &Demands<'a>, within: &Bitset) -> Translation {
        let keys = demands.keys().copied().collect::<Vec<_>>();
        let classes = keys.iter().map(|(class, _)| &self.classes[*class]).collect::<Vec<_>>();
        let rules = HostRules::new(&classes, self.topology);
        let part = |((class, cell), pods): (&(usize, Option<usize>), &Vec<&Pod>)| {
            let mut allowed = self.bought_in(*class, *cell);
            allowed.intersect(within);
            let unit = self.unit(*class);
            let size =
                self.classes[*class].size.iter().map(|size| size.saturating_mul(unit as i64));
            Part { size: size.collect(), allowed, count: (pods.len() / unit) as u32 }
        };
        let parts = demands.iter().map(part).collect::<Vec<_>>();
        translate(self.candidates, &parts, &rules, true)
    }

    /// Whether enough offerings hold the node's pods for what its pool asks for.
    fn is_diverse(&self, translation: &Translation, keys: &[DemandKey], node: &Packed) -> bool {
        let chosen = translation.kinds[node.kind];
        let pool = self.candidates.list[chosen].pool;
        if self.candidates.pools[pool].min_values.is_empty() {
            return true;
        }
        let mut members = self.candidates.of_pool[pool].clone();
        for (item, _) in &node.pattern {
            for part in &translation.parts[*item] {
                members.intersect(&self.fitting_in(keys[*part].0, keys[*part].1));
            }
        }
        let members = members.iter().collect::<Vec<_>>();
        let total = translation.problem.total_size(&node.pattern);
        is_diverse(self.candidates, chosen, &members, &total)
    }

    /// What of the node its pods use, in thousandths summed over its resources.
    fn use_of(&self, translation: &Translation, node: &Packed) -> i64 {
        let capacity = &translation.problem.kinds[node.kind].capacity;
        let total = translation.problem.total_size(&node.pattern);
        total
            .iter()
            .zip(capacity)
            .map(|(used, all)| used.saturating_mul(1000) / (*all).max(1))
            .sum()
    }

    /// Keeps the nodes that the limits allow, those that hold most for their price first, and gives them their pods.
    fn accept(
        &self,
        translation: &Translation,
        keys: &[DemandKey],
        nodes: Vec<Packed>,
        demands: &mut Demands<'a>,
        limits: &mut Limits,
        purchase: &mut Purchase<'a>,
    ) {
        let mut nodes = nodes;
        let first = nodes.first().map(|node| translation.kinds[node.kind]);
        if first.is_some_and(|at| self.candidates.reserved.contains(at)) {
            nodes.sort_by_key(|node| {
                std::cmp::Reverse((self.use_of(translation, node), node.clone()))
            });
        } else if limits.any() {
            let held = |node: &Packed| {
                node.pattern.iter().map(|(_, count)| u64::from(*count)).sum::<u64>()
            };
            let rate = |node: &Packed| {
                translation.problem.kinds[node.kind].price * 1000 / held(node).max(1)
            };
            nodes.sort_by(|a, b| (rate(a), a).cmp(&(rate(b), b)));
        }
        for node in nodes {
            let candidate = translation.kinds[node.kind];
            if !limits.allow(&self.candidates.list[candidate]) {
                continue;
            }
            if !self.is_diverse(translation, keys, &node) {
                continue;
            }
            limits.take(&self.candidates.list[candidate]);
            let mut pods = Vec::new();
            for (item, count) in &node.pattern {
                let keys = translation.parts[*item].iter().map(|part| keys[*part]);
                let keys = keys.map(|key| (key, self.unit(key.0)));
                hand_out(keys, *count, demands, &mut pods);
            }
            purchase.nodes.push(Bought { candidate, pods });
        }
    }
}

/// All demands together or, where pods with different needs had too few offerings together, each alone.
fn batches(demands: Demands<'_>, apart: bool) -> Vec<Demands<'_>> {
    if !apart {
        return vec![demands];
    }
    demands.into_iter().map(|demand| Demands::from([demand])).collect()
}

/// Takes pods of an item's demands, in order.
fn hand_out<'a>(
    keys: impl Iterator<Item = (DemandKey, usize)>,
    count: u32,
    demands: &mut Demands<'a>,
    pods: &mut Vec<(usize, Option<usize>, &'a Pod)>,
) {
    let mut wanted = count as usize;
    for (key, unit) in keys {
        let Some(waiting) = demands.get_mut(&key) else { continue };
        let taken = (waiting.len() / unit).min(wanted);
        pods.extend(waiting.drain(..taken * unit).map(|pod| (key.0, key.1, pod)));
        wanted -= taken;
    }
}
