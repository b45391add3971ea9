//! The lower bound of a whole turn: no nodes that hold the same pods cost less, wherever existing nodes take pods off them.

use super::buy::{Market, kinds};
use super::constraints::HostRules;
use super::slots::Slot;
use crate::packing::bitset::Bitset;
use crate::packing::problem::{Item, Problem};
use crate::packing::prove;
use std::collections::BTreeMap;

/// Room that is there for nothing.
pub(crate) struct Free {
    /// By dimension.
    pub(crate) room: Vec<i64>,
    /// The classes that it could hold.
    pub(crate) classes: Bitset,
}

impl Free {
    /// The slot's room before anything is placed.
    pub(crate) fn new(slot: &Slot<'_>, classes: Bitset) -> Self {
        Self { room: slot.room.clone(), classes }
    }
}

/// A bound on the price of new nodes for `counts` pods of each class, of which `free` room can take some.
/// Zones are left open, and so are affinities: leaving rules out only lowers the bound.
pub(crate) fn bound(market: &Market<'_, '_>, counts: &[u32], free: &[Free], spilled: bool) -> u64 {
    let placed = (0..counts.len()).filter(|class| counts[*class] > 0).collect::<Vec<_>>();
    let classes = placed.iter().map(|class| &market.classes[*class]).collect::<Vec<_>>();
    let rules = HostRules::new(&classes, market.topology);
    let tiers = market.tiers();
    let mut merged: BTreeMap<(Vec<i64>, Bitset, Option<usize>), Vec<usize>> = BTreeMap::new();
    for (position, class) in placed.iter().enumerate() {
        let allowed = allowed(market, *class, &tiers, spilled);
        let grouped = (!rules.groups[position].is_empty()).then_some(position);
        merged
            .entry((market.classes[*class].size.clone(), allowed, grouped))
            .or_default()
            .push(position);
    }
    let item =
        |((size, _, grouped), positions): (&(Vec<i64>, Bitset, Option<usize>), &Vec<usize>)| Item {
            size: size.clone(),
            count: positions.iter().map(|position| counts[placed[*position]]).sum(),
            groups: grouped.map(|position| rules.groups[position].clone()).unwrap_or_default(),
            conflicts: Vec::new(),
        };
    let items = merged.iter().map(item).collect::<Vec<_>>();
    let allowed = merged.keys().map(|(_, allowed, _)| allowed).collect::<Vec<_>>();
    let (_, kinds) = kinds(market.candidates, &allowed);
    let dimensions = items.first().map_or(0, |item| item.size.len());
    let problem =
        Problem { dimensions, items, kinds, group_limits: rules.limits, conflicting: false };
    let free = free
        .iter()
        .map(|free| (free.room.clone(), items_of(free, merged.values(), &placed)))
        .collect::<Vec<_>>();
    prove(&problem, &free, market.steps)
}

/// The candidates that may be bought for the class: those of the first weight that accepts it, or of all once limits made pods spill.
fn allowed(market: &Market<'_, '_>, class: usize, tiers: &[Bitset], spilled: bool) -> Bitset {
    let mut allowed = market.fitting[class].clone();
    if let Some(tier) = tiers.iter().find(|tier| tier.meets(&allowed)).filter(|_| !spilled) {
        allowed.intersect(tier);
    }
    allowed
}

fn items_of<'m>(
    free: &Free,
    merged: impl Iterator<Item = &'m Vec<usize>>,
    placed: &[usize],
) -> Bitset {
    let mut items = Bitset::new(placed.len());
    for (item, positions) in merged.enumerate() {
        if positions.iter().any(|position| free.classes.contains(placed[*position])) {
            items.insert(item);
        }
    }
    items
}
