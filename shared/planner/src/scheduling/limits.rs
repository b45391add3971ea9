//! What may still be bought before pools' limits are reached and reservations are used up.

use super::candidates::{Candidate, Candidates};
use super::reservations::Reservations;
use super::slots::Slot;
use model::resources::NODES;
use model::{Reason, Resources};

/// By pool, the limits and what counts against them.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    limits: Vec<Resources>,
    used: Vec<Resources>,
    /// What capacity reservations still hold.
    pub(crate) reservations: Reservations,
}

impl Limits {
    /// Counts the pools' nodes and claims.
    pub(crate) fn new(candidates: &Candidates<'_>, slots: &[Slot<'_>]) -> Self {
        let limits = candidates.pools.iter().map(|pool| pool.limits.clone()).collect();
        let used = vec![Resources::new(); candidates.pools.len()];
        let mut counted = Self { limits, used, reservations: candidates.reservations.clone() };
        for slot in slots {
            let pool =
                candidates.pools.iter().position(|pool| slot.pool == Some(pool.name.as_str()));
            if let Some(pool) = pool {
                counted.buy(pool, slot.capacity);
            }
        }
        counted
    }

    /// Whether any pool has a limit.
    pub(crate) fn any(&self) -> bool {
        self.limits.iter().any(|limits| !limits.is_empty())
    }

    /// The resource that keeps the pool from having one more node of this capacity.
    pub(crate) fn exceeded(&self, pool: usize, capacity: &Resources) -> Option<&str> {
        let after = |name: &str| {
            self.used[pool].get(name).saturating_add(if name == NODES {
                1
            } else {
                capacity.get(name)
            })
        };
        self.limits[pool]
            .iter()
            .find(|(name, limit)| after(name.as_str()) > *limit)
            .map(|(name, _)| name.as_str())
    }

    /// Whether one more node of the candidate may be bought.
    pub(crate) fn allow(&self, candidate: &Candidate<'_>) -> bool {
        self.reservations.allow(candidate.offering)
            && self.exceeded(candidate.pool, &candidate.instance_type.capacity).is_none()
    }

    /// Counts a node of the candidate.
    pub(crate) fn take(&mut self, candidate: &Candidate<'_>) {
        candidate.reservation().into_iter().for_each(|id| self.reservations.take(id));
        self.buy(candidate.pool, &candidate.instance_type.capacity);
    }

    /// Counts a node of this capacity.
    pub(crate) fn buy(&mut self, pool: usize, capacity: &Resources) {
        self.used[pool].add(capacity);
        self.used[pool].add(&Resources::new().with(NODES, 1));
    }

    /// The pool's limits leave room for `other` wherever they leave room for `capacity`.
    pub(crate) fn no_larger(&self, pool: usize, other: &Resources, capacity: &Resources) -> bool {
        self.limits[pool]
            .iter()
            .all(|(name, _)| other.get(name.as_str()) <= capacity.get(name.as_str()))
    }

    /// Whether a node of capacity `other` could stand where one of `capacity` is counted.
    pub(crate) fn allow_instead(
        &self,
        pool: usize,
        other: &Resources,
        capacity: &Resources,
    ) -> bool {
        let after = |name: &str| {
            self.used[pool]
                .get(name)
                .saturating_add(other.get(name))
                .saturating_sub(capacity.get(name))
        };
        self.limits[pool].iter().all(|(name, limit)| after(name.as_str()) <= limit)
    }

    /// The reason for the pool's refusal over `resource`.
    pub(crate) fn reason(&self, pool: usize, name: &str, resource: &str) -> Reason {
        let (limit, used) = (self.limits[pool].get(resource), self.used[pool].get(resource));
        Reason::Limit { pool: name.to_owned(), resource: resource.to_owned(), limit, used }
    }
}
