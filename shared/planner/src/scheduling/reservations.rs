//! Capacity reservations: nodes that are paid for anyway, so many of each.

use super::bound::Free;
use super::candidates::{Candidate, Candidates};
use crate::packing::bitset::Bitset;
use model::{CapacityType, InstanceType, NodeClaim, Offering, Snapshot, labels};
use std::collections::BTreeMap;

/// What reservations still hold, by id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reservations(BTreeMap<String, u32>);

impl Reservations {
    /// Those of the snapshot's offerings, less what claims will take that have no instance yet.
    pub(crate) fn new(snapshot: &Snapshot) -> Self {
        let types = snapshot.instance_types.values().flat_map(|types| types.iter());
        let known =
            types.flat_map(|of| of.offerings.iter().filter_map(|own| own.reservation.as_ref()));
        let mut left = Self(known.map(|known| (known.id.clone(), known.available)).collect());
        if left.0.is_empty() {
            return left;
        }
        for claim in snapshot.node_claims.iter().filter(|claim| claim.provider_id.is_none()) {
            claimed(claim).into_iter().for_each(|id| left.take(id));
        }
        left
    }

    /// Whether the offering can be bought: from no reservation, or from one that holds one more.
    pub(crate) fn allow(&self, offering: &Offering) -> bool {
        offering.reservation.as_ref().is_none_or(|own| self.holds(&own.id))
    }

    fn holds(&self, id: &str) -> bool {
        self.0.get(id).is_some_and(|left| *left > 0)
    }

    /// One less.
    pub(crate) fn take(&mut self, id: &str) {
        if let Some(left) = self.0.get_mut(id) {
            *left = left.saturating_sub(1);
        }
    }

    /// The reservations that hold more, with how many.
    pub(crate) fn open(&self) -> impl Iterator<Item = (&str, u32)> {
        self.0.iter().map(|(id, left)| (id.as_str(), *left)).filter(|(_, left)| *left > 0)
    }
}

/// The reservation that a claim is to be bought from.
fn claimed(claim: &NodeClaim) -> Option<&str> {
    let asked = claim.launch.as_ref().and_then(|launch| launch.offerings.first());
    let asked = asked.and_then(|offering| offering.reservation.as_deref());
    asked.or_else(|| claim.labels.get(labels::RESERVATION_ID).map(String::as_str))
}

/// What stands for the price of a node while nodes are compared: one in a reservation saves what an equal one on demand would cost,
/// and comes just after it, so that nothing but its own stage buys it.
pub(crate) fn comparable(of: &InstanceType, offering: &Offering) -> u64 {
    if offering.reservation.is_none() {
        return offering.price.0;
    }
    let on_demand = of.offerings.iter().filter(|own| own.capacity_type == CapacityType::OnDemand);
    on_demand.map(|own| own.price.0).min().unwrap_or(0).max(offering.price.0).saturating_add(1)
}

impl Candidate<'_> {
    /// The reservation that it is in, by id.
    pub(crate) fn reservation(&self) -> Option<&str> {
        self.offering.reservation.as_ref().map(|own| own.id.as_str())
    }
}

/// The room in reservations, for a bound: all nodes of one together, as large as the most roomy of its candidates.
pub(crate) fn free(candidates: &Candidates<'_>, fitting: &[Bitset]) -> Vec<Free> {
    let of = |(id, left): (&str, u32)| {
        let own = candidates.reserved.iter().map(|at| (at, &candidates.list[at]));
        let own = own.filter(|(_, candidate)| candidate.reservation() == Some(id));
        let (mut members, mut room) = (Bitset::new(candidates.list.len()), Vec::new());
        for (at, candidate) in own {
            members.insert(at);
            room.resize(candidate.usable.len(), 0);
            let both = room.iter_mut().zip(candidate.usable.iter());
            both.for_each(|(most, own): (&mut i64, &i64)| *most = (*most).max(*own));
        }
        room.iter_mut().for_each(|room| *room = room.saturating_mul(left.into()));
        let mut classes = Bitset::new(fitting.len());
        let held = (0..fitting.len()).filter(|class| fitting[*class].meets(&members));
        held.for_each(|class| classes.insert(class));
        (!classes.is_empty()).then_some(Free { room, classes })
    };
    candidates.reservations.open().filter_map(of).collect()
}

/// The candidates in reservations.
pub(crate) fn reserved(candidates: &Candidates<'_>) -> Bitset {
    let mut reserved = Bitset::new(candidates.list.len());
    let list = candidates.list.iter().enumerate();
    let own = list.filter(|(_, candidate)| candidate.offering.reservation.is_some());
    own.for_each(|(at, _)| reserved.insert(at));
    reserved
}
