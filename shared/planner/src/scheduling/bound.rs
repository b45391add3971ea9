//! The lower bound of a whole turn: no nodes that hold the same pods cost less, wherever existing nodes take pods off them.

use super::buy::Market;
use super::constraints::HostRules;
use super::slots::Slot;
use super::translate::{Part, translate};
use crate::packing::bitset::Bitset;
use crate::packing::problem::Kind;
use crate::packing::{prove, prove_divisible};

/// With more classes or nodes than this only the sum of the requests is bounded.
const MANY: usize = 600;

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
    // Pods that only reservations take cost nothing; others may leave their pool's for those of a lower weight.
    let spilled = spilled || !market.candidates.reserved.is_empty();
    let paid = |class: &usize| counts[*class] > 0 && !market.paid(*class).is_empty();
    let placed = (0..counts.len()).filter(paid).collect::<Vec<_>>();
    if placed.len() > MANY || free.len() > MANY {
        let tiers = market.tiers();
        let mut within = Bitset::new(market.candidates.list.len());
        placed.iter().for_each(|class| within.unite(&allowed(market, *class, &tiers, spilled)));
        let counts = placed.iter().map(|class| (*class, u64::from(counts[*class])));
        return divisible(market, counts, &within, free);
    }
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

/// A bound by the sum of all requests: for more classes than a packing could tell apart.
pub(crate) fn divisible(
    market: &Market<'_, '_>,
    counts: impl Iterator<Item = (usize, u64)>,
    within: &Bitset,
    free: &[Free],
) -> u64 {
    let mut total = vec![0; market.classes.first().map_or(0, |class| class.size.len())];
    for (class, count) in counts {
        super::dimensions::take(&mut total, &market.classes[class].size, -(count as i64));
    }
    let mut items = Bitset::new(1);
    items.insert(0);
    let kind = |at: usize| {
        let candidate = &market.candidates.list[at];
        (candidate.offering.price.0, candidate.usable.to_vec())
    };
    let kinds = within.iter().map(kind).collect::<std::collections::BTreeSet<_>>();
    let kind = |(price, capacity)| Kind { capacity, price, allowed: items.clone() };
    let kinds = kinds.into_iter().map(kind).collect::<Vec<_>>();
    let free = free.iter().map(|free| (free.room.clone(), items.clone())).collect::<Vec<_>>();
    prove_divisible(&kinds, &total, &free)
}

/// The candidates that may be bought for the class: those of the first weight that accepts it, or of all once limits made pods spill.
fn allowed(market: &Market<'_, '_>, class: usize, tiers: &[Bitset], spilled: bool) -> Bitset {
    let mut allowed = market.paid(class);
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
