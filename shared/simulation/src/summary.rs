//! The figures of a run, as the table, the JSON and the report show them.

use crate::baseline::NodeGroup;
use crate::run::Part;
use crate::scenario::Scenario;
use crate::world::{Measured, Sample};
use model::MicroUsdPerHour;
use serde::Serialize;

/// Hours in a month, as AWS counts them.
const MONTH_HOURS: u64 = 730;

/// Everything about a run. Series over time are not part of the JSON.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The version of this format.
    pub version: u32,
    /// The trace's name.
    pub trace: String,
    /// Where the trace comes from.
    pub source: String,
    /// Over how many seconds arrivals were spread.
    pub spread_s: i64,
    /// The region.
    pub region: String,
    /// The zones.
    pub zones: Vec<String>,
    /// How many types the pool allows.
    pub instance_types: usize,
    /// The length in seconds.
    pub length_s: i64,
    /// The seed.
    pub seed: u64,
    /// Whether some price is estimated.
    pub prices_estimated: bool,
    /// The node group's type.
    pub node_group_type: String,
    /// The price of the node group's type.
    #[serde(rename = "nodeGroupPriceMicroUsdPerHour")]
    pub node_group_price: MicroUsdPerHour,
    /// The lower bound.
    pub bound: BoundSummary,
    /// Joiner first, then the baselines.
    pub strategies: Vec<Strategy>,
    /// The bound over time.
    #[serde(skip)]
    pub bound_points: Vec<BoundPoint>,
}

/// The bound at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundPoint {
    /// Seconds since the start.
    pub at_s: i64,
    /// No set of nodes that holds the live pods costs less.
    pub cost: MicroUsdPerHour,
}

/// The bound over the whole run.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BoundSummary {
    /// Micro-dollars over the run.
    pub total_micro_usd: u64,
    /// On average.
    #[serde(rename = "averageMicroUsdPerHour")]
    pub average: MicroUsdPerHour,
    /// At its highest.
    #[serde(rename = "peakMicroUsdPerHour")]
    pub peak: MicroUsdPerHour,
    /// A month at the average.
    pub month_micro_usd: u64,
}

/// What one decider came to.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Strategy {
    /// Which part of the run it was.
    #[serde(skip)]
    pub part: Part,
    /// Its name for people.
    pub name: String,
    /// Pods created.
    pub pods: u64,
    /// Pods still waiting at the end.
    pub never_bound: usize,
    /// Nodes started.
    pub nodes_started: u64,
    /// The most nodes at once.
    pub nodes_peak: u64,
    /// Nodes on average, in hundredths.
    pub nodes_average_hundredths: u64,
    /// Micro-dollars over the run.
    pub total_micro_usd: u64,
    /// On average.
    #[serde(rename = "averageMicroUsdPerHour")]
    pub average: MicroUsdPerHour,
    /// At its highest.
    #[serde(rename = "peakMicroUsdPerHour")]
    pub peak: MicroUsdPerHour,
    /// A month at the average.
    pub month_micro_usd: u64,
    /// How far the cost is over the bound, in hundredths of a per cent.
    pub gap_basis_points: Option<u64>,
    /// How long half of the bound pods waited at most, in milliseconds.
    pub pending_p50_ms: i64,
    /// How long 99 in 100 waited at most, in milliseconds.
    pub pending_p99_ms: i64,
    /// The longest wait, in milliseconds.
    pub pending_max_ms: i64,
    /// How long half of those waited at most that waited at all, that is for a node, in milliseconds.
    pub new_node_p50_ms: i64,
    /// Pods bound at once, without waiting.
    pub bound_at_once: usize,
    /// Pods evicted to take their nodes away.
    pub pods_moved: u64,
    /// Nodes taken away because their pods are cheaper elsewhere.
    pub nodes_consolidated: u64,
    /// What those cost a month less what was bought in their place, for each pod that was moved.
    pub month_saved_per_move_micro_usd: Option<u64>,
    /// Turns taken.
    pub turns: u64,
    /// Rule violations that the independent check found in its plans.
    pub violations: u64,
    /// The first of them.
    pub violation_texts: Vec<String>,
    /// The state over time.
    #[serde(skip)]
    pub samples: Vec<Sample>,
    #[serde(skip)]
    node_ms: u128,
}

fn saved_per_move(measured: &Measured) -> Option<u64> {
    let saved = measured.saved.max(0) as u64 * MONTH_HOURS;
    saved.checked_div(measured.pods_moved)
}

impl Part {
    /// Its name for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Joiner => "Joiner",
            Self::Upstream => "upstream-like",
            Self::NodeGroup => "node group",
            Self::Bound => "lower bound",
        }
    }
}

impl Strategy {
    /// The figures of a measured run; those that depend on its length come with the summary.
    pub(crate) fn new(part: Part, measured: Measured) -> Self {
        let waits = &measured.waits_ms;
        let waited = &waits[waits.partition_point(|wait| *wait == 0)..];
        Self {
            part,
            name: part.label().to_owned(),
            pods: measured.pods,
            never_bound: measured.never_bound,
            nodes_started: measured.nodes_started,
            nodes_peak: measured.peak_nodes,
            nodes_average_hundredths: 0,
            total_micro_usd: measured.cost_microusd,
            average: MicroUsdPerHour::ZERO,
            peak: measured.peak_cost,
            month_micro_usd: 0,
            gap_basis_points: None,
            pending_p50_ms: quantile(waits, 50),
            pending_p99_ms: quantile(waits, 99),
            pending_max_ms: quantile(waits, 100),
            new_node_p50_ms: quantile(waited, 50),
            bound_at_once: waits.len() - waited.len(),
            pods_moved: measured.pods_moved,
            nodes_consolidated: measured.nodes_consolidated,
            month_saved_per_move_micro_usd: saved_per_move(&measured),
            turns: measured.turns,
            violations: measured.violations,
            violation_texts: measured.violation_texts,
            samples: measured.samples,
            node_ms: measured.node_ms,
        }
    }

    fn over(&mut self, length_s: i64, bound: &BoundSummary) {
        let length_ms = (length_s * 1000).max(1) as u128;
        self.nodes_average_hundredths = (self.node_ms * 100 / length_ms) as u64;
        self.average = average(self.total_micro_usd, length_s);
        self.month_micro_usd = self.average.0 * MONTH_HOURS;
        self.gap_basis_points = self.average.gap_basis_points(bound.average);
    }
}

impl Summary {
    pub(crate) fn new(
        scenario: &Scenario,
        group: &NodeGroup,
        mut strategies: Vec<Strategy>,
        bound_points: Vec<BoundPoint>,
    ) -> Self {
        let bound = BoundSummary::over(&bound_points, scenario.length_s);
        for strategy in &mut strategies {
            strategy.over(scenario.length_s, &bound);
        }
        let types = &scenario.instance_types;
        let estimated =
            |known: &model::InstanceType| known.offerings.iter().any(|offering| offering.estimated);
        Self {
            version: 1,
            trace: scenario.workload.name.clone(),
            source: scenario.workload.source.clone(),
            spread_s: scenario.workload.spread_s,
            region: scenario.region.clone(),
            zones: scenario.zones(),
            instance_types: types.len(),
            length_s: scenario.length_s,
            seed: scenario.seed,
            prices_estimated: types.iter().any(estimated),
            node_group_type: group.instance_type().to_owned(),
            node_group_price: group.price(types).unwrap_or_default(),
            bound,
            strategies,
            bound_points,
        }
    }

    /// The strategy of that part.
    pub fn strategy(&self, part: Part) -> Option<&Strategy> {
        self.strategies.iter().find(|strategy| strategy.part == part)
    }
}

impl BoundSummary {
    /// The mean of neighbouring points counts for the time between them.
    fn over(points: &[BoundPoint], length_s: i64) -> Self {
        let between = |pair: &[BoundPoint]| match pair {
            [a, b] => {
                (u128::from(a.cost.0) + u128::from(b.cost.0)) * (b.at_s - a.at_s).max(0) as u128
            }
            _ => 0,
        };
        let doubled_seconds: u128 = points.windows(2).map(between).sum();
        let total_micro_usd = (doubled_seconds / 7200) as u64;
        let average = average(total_micro_usd, length_s);
        let peak = points.iter().map(|point| point.cost).max().unwrap_or_default();
        Self { total_micro_usd, average, peak, month_micro_usd: average.0 * MONTH_HOURS }
    }
}

fn average(total_micro_usd: u64, length_s: i64) -> MicroUsdPerHour {
    MicroUsdPerHour((u128::from(total_micro_usd) * 3600 / length_s.max(1) as u128) as u64)
}

/// The smallest value that at least `percent` in a hundred do not exceed; 0 if there are none.
fn quantile(sorted: &[i64], percent: usize) -> i64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let check = |values: &[i64], percent, expected| {
            assert_eq!(quantile(values, percent), expected, "{values:?}")
        };
        check(&[], 50, 0);
        check(&[7], 99, 7);
        check(&[1, 2, 3, 4], 50, 2);
        check(&[1, 2, 3, 4], 99, 4);
        check(&[1, 2, 3, 4], 100, 4);
    }

    #[test]
    fn the_bound_is_integrated_between_its_points() {
        let point = |at_s, cost| BoundPoint { at_s, cost: MicroUsdPerHour(cost) };
        let summary = BoundSummary::over(&[point(0, 0), point(1800, 100), point(3600, 100)], 3600);
        assert_eq!((summary.total_micro_usd, summary.average.0, summary.peak.0), (75, 75, 100));
    }
}
