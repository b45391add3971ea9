//! What pods and room are worth: what they would cost if all pods were bought nodes anew.

use super::buy::Market;
use super::constraints::HostRules;
use super::translate::{Part, translate};
use crate::packing::bitset::Bitset;
use crate::packing::worths;

/// Worths in micro-dollars an hour, for steering only.
pub(crate) struct Worth {
    /// By class, for one pod.
    pub(crate) classes: Vec<f64>,
    /// By dimension, for one unit of room.
    pub(crate) dimensions: Vec<f64>,
}

/// What each class's pods add to the least price of all pods. A class that no pool takes is worth its size.
pub(crate) fn worth(market: &Market<'_, '_>) -> Worth {
    let fits = |class: &usize| !market.fitting[*class].is_empty();
    let known = (0..market.classes.len()).filter(fits).collect::<Vec<_>>();
    let classes = known.iter().map(|class| &market.classes[*class]).collect::<Vec<_>>();
    let rules = HostRules::new(&classes, market.topology);
    let part = |class: &usize| Part {
        size: market.classes[*class].size.clone(),
        allowed: market.fitting[*class].clone(),
        count: market.classes[*class].pods.len() as u32,
    };
    let parts = known.iter().map(part).collect::<Vec<_>>();
    let translation = translate(market.candidates, &parts, &rules, false);
    let worths = worths(&translation.problem, market.steps);
    let dimensions = market.classes.first().map_or(0, |class| class.size.len());
    let mut prices = worths.dimensions;
    prices.resize(dimensions, 0.0);
    let by_size = |size: &[i64]| {
        size.iter().zip(&prices).map(|(size, price)| *size as f64 * price).sum::<f64>()
    };
    let mut of_class = market.classes.iter().map(|class| by_size(&class.size)).collect::<Vec<_>>();
    for (item, positions) in translation.parts.iter().enumerate() {
        for position in positions {
            of_class[known[*position]] = worths.items[item];
        }
    }
    Worth { classes: of_class, dimensions: prices }
}

/// The candidates that some packing could need: of each pool weight those that no other undercuts for all pods of the turn.
pub(crate) fn useful(market: &Market<'_, '_>) -> Bitset {
    // Reservations hold so many nodes each, so that none of them makes another superfluous.
    let mut useful = market.candidates.reserved.clone();
    for tier in market.tiers() {
        let mut parts = Vec::new();
        for (class, of) in market.classes.iter().enumerate() {
            let by_cell = market.topology.needs_cell(&of.terms);
            let cells = if by_cell { market.candidates.cells.len() } else { 0 };
            let cells = (0..cells).map(Some).chain((!by_cell).then_some(None));
            parts.extend(cells.map(|cell| {
                let mut allowed = market.fitting_in(class, cell);
                allowed.intersect(&tier);
                market.candidates.reserved.iter().for_each(|at| allowed.remove(at));
                Part { size: of.size.clone(), allowed, count: 1 }
            }));
        }
        let groups = vec![Vec::new(); parts.len()];
        let rules = HostRules { groups, ..HostRules::default() };
        let translation = translate(market.candidates, &parts, &rules, false);
        translation.kinds.iter().for_each(|at| useful.insert(*at));
    }
    useful
}
