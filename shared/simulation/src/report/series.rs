//! What the charts show: values at the samples' times.

use crate::run::Part;
use crate::summary::{BoundPoint, Strategy, Summary};
use std::collections::BTreeMap;

/// A line, or a layer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Series {
    pub(super) name: String,
    /// Its style class.
    pub(super) class: String,
    pub(super) values: Vec<f64>,
}

/// The style class of a part.
pub(super) fn class(part: Part) -> &'static str {
    match part {
        Part::Joiner => "joiner",
        Part::Upstream => "upstream",
        Part::NodeGroup => "group",
        Part::Bound => "bound",
    }
}

/// The times of the samples, in seconds.
pub(super) fn times(summary: &Summary) -> Vec<i64> {
    summary
        .strategies
        .first()
        .map_or_else(Vec::new, |first| first.samples.iter().map(|sample| sample.at_s).collect())
}

fn line(strategy: &Strategy, value: impl Fn(&crate::world::Sample) -> f64) -> Series {
    let values = strategy.samples.iter().map(value).collect();
    Series { name: strategy.name.clone(), class: class(strategy.part).to_owned(), values }
}

/// Dollars per hour of each strategy, and the bound.
pub(super) fn cost(summary: &Summary) -> Vec<Series> {
    let of_strategy = |strategy: &Strategy| line(strategy, |sample| sample.cost.usd());
    let values = times(summary).iter().map(|at_s| bound_at(&summary.bound_points, *at_s)).collect();
    let bound = Series {
        name: Part::Bound.label().to_owned(),
        class: class(Part::Bound).to_owned(),
        values,
    };
    summary.strategies.iter().map(of_strategy).chain([bound]).collect()
}

/// Pending pods of each strategy.
pub(super) fn pending(summary: &Summary) -> Vec<Series> {
    summary
        .strategies
        .iter()
        .map(|strategy| line(strategy, |sample| sample.pending as f64))
        .collect()
}

/// The bound at a moment, on the straight line between its points.
fn bound_at(points: &[BoundPoint], at_s: i64) -> f64 {
    let after = points.partition_point(|point| point.at_s <= at_s);
    let (before, next) = (points.get(after.wrapping_sub(1)), points.get(after));
    match (before, next) {
        (Some(before), Some(next)) => {
            let share = (at_s - before.at_s) as f64 / (next.at_s - before.at_s).max(1) as f64;
            before.cost.usd() + (next.cost.usd() - before.cost.usd()) * share
        }
        (Some(only), None) | (None, Some(only)) => only.cost.usd(),
        (None, None) => 0.0,
    }
}

/// The instance types that are shown one by one, the most used of all strategies first.
pub(super) fn shown_types(summary: &Summary, count: usize) -> Vec<String> {
    let mut used: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, nodes) in
        summary.strategies.iter().flat_map(|strategy| &strategy.samples).flat_map(|s| &s.nodes)
    {
        *used.entry(name).or_insert(0) += nodes;
    }
    let mut types: Vec<(&str, u64)> = used.into_iter().collect();
    types.sort_by_key(|(name, nodes)| (std::cmp::Reverse(*nodes), *name));
    types.into_iter().take(count).map(|(name, _)| name.to_owned()).collect()
}

/// Nodes of one strategy by type: those shown that it has, then all others together.
pub(super) fn nodes(strategy: &Strategy, shown: &[String]) -> Vec<Series> {
    let of_type = |(index, name): (usize, &String)| Series {
        name: name.clone(),
        class: format!("type{index}"),
        values: strategy
            .samples
            .iter()
            .map(|s| s.nodes.get(name).copied().unwrap_or(0) as f64)
            .collect(),
    };
    let other = |sample: &crate::world::Sample| {
        let unshown = sample.nodes.iter().filter(|(name, _)| !shown.contains(name));
        unshown.map(|(_, nodes)| *nodes as f64).sum()
    };
    let others = Series {
        name: "other types".to_owned(),
        class: "other".to_owned(),
        values: strategy.samples.iter().map(other).collect(),
    };
    let layers = shown.iter().enumerate().map(of_type).chain([others]);
    layers.filter(|layer| layer.values.iter().any(|value| *value > 0.0)).collect()
}
