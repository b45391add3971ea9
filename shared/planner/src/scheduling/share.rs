//! The part of a pool's capacity that is not spot (`joiner.dev/on-demand-share`), by CPU.
//!
//! Nodes are planned as if there were no such rule. Then spot nodes become on-demand ones, those first for which that costs least, until the
//! share is held: the same pods stay together, so that no other rule is touched.

use super::buy::{Bought, Market};
use super::candidates::Candidates;
use super::dimensions::{fits, take};
use super::limits::Limits;
use super::slots::Slot;
use crate::leaving::Leaving;
use crate::packing::bitset::Bitset;
use model::resources::CPU;
use model::{CapacityType, NodePool, Snapshot, labels};

/// CPU in thousandths, of all nodes of a pool and of those that are not spot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    all: i128,
    steady: i128,
}

impl Share {
    /// Counts a node, or takes it away again with a negative amount.
    pub(crate) fn add(&mut self, cpu: i64, way: CapacityType) {
        self.all += i128::from(cpu);
        if way != CapacityType::Spot {
            self.steady += i128::from(cpu);
        }
    }

    /// Whether it has less that is not spot, for its size, than another.
    pub(crate) fn is_below(&self, other: &Self) -> bool {
        self.steady * other.all < other.steady * self.all
    }

    /// Whether enough of it is not spot.
    pub(crate) fn holds(&self, pool: &NodePool) -> bool {
        self.steady * 100 >= self.all * i128::from(pool.on_demand_percent)
    }
}

/// By pool, what stays and what is on its way; empty if no pool asks for a share.
pub(crate) fn standing(
    snapshot: &Snapshot,
    candidates: &Candidates<'_>,
    slots: &[Slot<'_>],
    leaving: &Leaving<'_>,
) -> Vec<Share> {
    if snapshot.node_pools.iter().all(|pool| pool.on_demand_percent == 0) {
        return Vec::new();
    }
    let mut shares = vec![Share::default(); candidates.pools.len()];
    for slot in slots.iter().filter(|slot| !leaving.contains(&slot.name)) {
        let pool = candidates.pools.iter().position(|pool| slot.pool == Some(pool.name.as_str()));
        let way = slot.label(labels::CAPACITY_TYPE).and_then(CapacityType::parse);
        let way = way.unwrap_or(CapacityType::OnDemand);
        pool.into_iter().for_each(|pool| shares[pool].add(slot.capacity.get(CPU), way));
    }
    shares
}

/// A spot node, what would take its place, and what that costs more.
struct Change {
    node: usize,
    candidate: usize,
    more: u64,
    cpu: i64,
}

/// Turns as many spot nodes of each pool into others as its share asks for, the cheapest for their CPU first, and counts all of them. Pods
/// that ask for spot keep it.
pub(crate) fn hold(
    market: &Market<'_, '_>,
    shares: &mut [Share],
    nodes: &mut [Bought<'_>],
    limits: &Limits,
) {
    let list = &market.candidates.list;
    let cpu = |at: usize| list[at].instance_type.capacity.get(CPU);
    for (at, share) in shares.iter_mut().enumerate() {
        let pool = market.candidates.pools[at];
        let own = nodes.iter().filter(|node| list[node.candidate].pool == at);
        own.for_each(|node| {
            share.add(cpu(node.candidate), list[node.candidate].offering.capacity_type);
        });
        if share.holds(pool) {
            continue;
        }
        let change = |(index, node): (usize, &Bought<'_>)| change(market, limits, at, index, node);
        let mut changes = nodes.iter().enumerate().filter_map(change).collect::<Vec<_>>();
        changes
            .sort_by_key(|own| (own.more.saturating_mul(1_000) / own.cpu.max(1) as u64, own.node));
        for change in changes {
            if share.holds(pool) {
                break;
            }
            let node = &mut nodes[change.node];
            share.add(-cpu(node.candidate), CapacityType::Spot);
            share.add(change.cpu, CapacityType::OnDemand);
            node.candidate = change.candidate;
        }
    }
}

/// The cheapest on-demand candidate of the pool that holds what the spot node does.
fn change(
    market: &Market<'_, '_>,
    limits: &Limits,
    pool: usize,
    index: usize,
    node: &Bought<'_>,
) -> Option<Change> {
    let list = &market.candidates.list;
    let spot = &list[node.candidate];
    if spot.pool != pool || spot.offering.capacity_type != CapacityType::Spot {
        return None;
    }
    let mut possible: Bitset = market.candidates.of_pool[pool].clone();
    let mut total = vec![0_i64; spot.usable.len()];
    let mut last = None;
    for (class, cell, _) in &node.pods {
        take(&mut total, &market.classes[*class].size, -1);
        if last != Some((class, cell)) {
            possible.intersect(&market.fitting_in(*class, *cell));
            last = Some((class, cell));
        }
    }
    let serves = |at: &usize| {
        let other = &list[*at];
        let alike = market.candidates.pools[pool].min_values.is_empty()
            || std::ptr::eq(other.instance_type, spot.instance_type);
        other.offering.capacity_type == CapacityType::OnDemand
            && possible.contains(*at)
            && fits(&total, &other.usable)
            && other.chosen == spot.chosen
            && alike
            && limits.no_larger(pool, &other.instance_type.capacity, &spot.instance_type.capacity)
    };
    let candidate = market.candidates.by_price[pool].iter().copied().find(serves)?;
    let cpu = list[candidate].instance_type.capacity.get(CPU);
    let more = list[candidate].offering.price.0.saturating_sub(spot.offering.price.0);
    Some(Change { node: index, candidate, more, cpu })
}
