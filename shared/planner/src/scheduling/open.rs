//! A node opened in this turn for pods that must share it: its type stays open while pods join.

use super::candidates::Candidates;
use super::classes::Class;
use super::dimensions::fits;
use super::limits::Limits;
use crate::packing::bitset::Bitset;
use model::pod::HostPort;
use model::{MicroUsdPerHour, Pod};

/// An open node.
pub(crate) struct Open<'a> {
    /// The candidates that hold all that is on it.
    possible: Bitset,
    /// The cell.
    pub(crate) cell: usize,
    total: Vec<i64>,
    /// What is on it: the class and the pod.
    pub(crate) pods: Vec<(usize, &'a Pod)>,
    chosen: Option<usize>,
}

impl<'a> Open<'a> {
    /// An empty node in a cell for a class with these candidates; `None` if there are none in the cell.
    pub(crate) fn new(candidates: &Candidates<'_>, fitting: &Bitset, cell: usize) -> Option<Self> {
        let mut possible = fitting.clone();
        possible.intersect(&candidates.of_cell[cell]);
        (!possible.is_empty()).then(|| Self {
            possible,
            cell,
            total: Vec::new(),
            pods: Vec::new(),
            chosen: None,
        })
    }

    /// Whether its candidate is decided.
    pub(crate) fn is_closed(&self) -> bool {
        self.chosen.is_some()
    }

    /// Buys the best candidate that the limits allow, if they allow one.
    pub(crate) fn close(&mut self, candidates: &Candidates<'_>, limits: &mut Limits) {
        super::diversity::keep_diverse(candidates, &mut self.possible);
        let affordable = |at: &usize| limits.allow(&candidates.list[*at]);
        let mut reserved = self.possible.clone();
        reserved.intersect(&candidates.reserved);
        self.chosen = best(candidates, reserved.iter().filter(affordable))
            .or_else(|| best(candidates, self.possible.iter().filter(affordable)));
        if let Some(chosen) = self.chosen.map(|at| &candidates.list[at]) {
            limits.take(chosen);
        }
    }

    /// The candidate bought.
    pub(crate) fn bought(&self) -> Option<usize> {
        self.chosen
    }

    /// The price of the cheapest candidate.
    pub(crate) fn price(&self, candidates: &Candidates<'_>) -> MicroUsdPerHour {
        best(candidates, self.possible.iter())
            .map_or(MicroUsdPerHour::ZERO, |at| MicroUsdPerHour(candidates.list[at].price))
    }

    /// What one more of the class would add to the price, if it fits.
    pub(crate) fn price_with(
        &self,
        candidates: &Candidates<'_>,
        class: &Class<'_>,
        fitting: &Bitset,
    ) -> Option<MicroUsdPerHour> {
        let after = best(candidates, self.narrowed(candidates, class, fitting).iter())?;
        Some(MicroUsdPerHour(candidates.list[after].price).saturating_sub(self.price(candidates)))
    }

    /// Whether some candidate holds one more of the class.
    pub(crate) fn holds_one_more(
        &self,
        candidates: &Candidates<'_>,
        class: &Class<'_>,
        fitting: &Bitset,
    ) -> bool {
        match self.chosen {
            Some(chosen) => {
                fitting.contains(chosen) && fits(&self.with(class), &candidates.list[chosen].usable)
            }
            None => !self.narrowed(candidates, class, fitting).is_empty(),
        }
    }

    /// Whether the ports are free.
    pub(crate) fn ports_free(&self, classes: &[Class<'_>], ports: &[HostPort]) -> bool {
        let mut taken = self.pods.iter().flat_map(|(class, _)| &classes[*class].spec.host_ports);
        !taken.any(|taken| ports.iter().any(|port| taken.conflicts(port)))
    }

    /// Puts a pod on it.
    pub(crate) fn add(
        &mut self,
        candidates: &Candidates<'_>,
        index: usize,
        class: &Class<'_>,
        fitting: &Bitset,
        pod: &'a Pod,
    ) {
        self.possible = self.narrowed(candidates, class, fitting);
        self.total = self.with(class);
        self.pods.push((index, pod));
    }

    fn with(&self, class: &Class<'_>) -> Vec<i64> {
        let mut total = class.size.clone();
        total
            .iter_mut()
            .zip(&self.total)
            .for_each(|(total, size)| *total = total.saturating_add(*size));
        total
    }

    fn narrowed(&self, candidates: &Candidates<'_>, class: &Class<'_>, fitting: &Bitset) -> Bitset {
        let mut possible = self.possible.clone();
        possible.intersect(fitting);
        candidates.large_enough(&possible, &self.with(class))
    }
}

/// The cheapest candidate among those of the pools with the highest weight.
fn best(candidates: &Candidates<'_>, possible: impl Iterator<Item = usize>) -> Option<usize> {
    let rank = |at: &usize| {
        let candidate = &candidates.list[*at];
        let weight = candidates.pools[candidate.pool].weight;
        (std::cmp::Reverse(weight), candidate.price, *at)
    };
    possible.min_by_key(rank)
}
