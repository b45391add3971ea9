//! The lower bound of a whole turn: no nodes that hold the same pods cost less, wherever existing nodes take pods off them.

use super::buy::Market;
use super::constraints::HostRules;
use super::slots::Slot;
use super::translate::{Part, translate};
use crate::packing::bitset::Bitset;
use crate::packing::prove;

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
    let part = |class: &usize| Part {
        size: market.classes[*class].size.clone(),
        allowed: allowed(market, *class, &tiers, spilled),
        count: counts[*class],
    };
    let parts = placed.iter().map(part).collect::<Vec<_>>();
    let translation = translate(market.candidates, &parts, &rules, false);
    let of_items = |free: &Free| (free.room.clone(), items_of(free, &translation.parts, &placed));
    let free = free.iter().map(of_items).collect::<Vec<_>>();
    prove(&translation.problem, &free, market.steps)
}

/// The candidates that may be bought for the class: those of the first weight that accepts it, or of all once limits made pods spill.
fn allowed(market: &Market<'_, '_>, class: usize, tiers: &[Bitset], spilled: bool) -> Bitset {
    let mut allowed = market.fitting[class].clone();
    if let Some(tier) = tiers.iter().find(|tier| tier.meets(&allowed)).filter(|_| !spilled) {
        allowed.intersect(tier);
    }
    allowed
}

fn items_of(free: &Free, parts: &[Vec<usize>], placed: &[usize]) -> Bitset {
    let mut items = Bitset::new(parts.len());
    for (item, positions) in parts.iter().enumerate() {
        if positions.iter().any(|position| free.classes.contains(placed[*position])) {
            items.insert(item);
        }
    }
    items
}
