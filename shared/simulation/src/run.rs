//! A whole run: Joiner, both baselines and the bound on the same trace with the same seed, on two threads.

use crate::baseline::{NodeGroup, UpstreamConsolidation};
use crate::bound::Bound;
use crate::decider::Joiner;
use crate::scenario::Scenario;
use crate::summary::{BoundPoint, Strategy, Summary};
use crate::world::{Measured, NoFaults, World, arrivals};
use crate::{Decider, SimTime};
use model::{MicroUsdPerHour, Pod, PodId, Snapshot};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use thiserror::Error;

/// The bound is computed at this many equal distances.
const BOUND_POINTS: i64 = 144;

/// Why a run cannot begin.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RunError {
    /// There are no types.
    #[error(
        "the region {0:?} has no instance type that the pool allows; choose a region that the catalog knows"
    )]
    NoTypes(String),
    /// The length is not positive, or absurd.
    #[error("a run of {0} s is not possible: from 60 s to 31 days")]
    Length(i64),
}

/// One of the four parts of a run that can go on side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Joiner.
    Joiner,
    /// The upstream-like baseline.
    Upstream,
    /// The node group.
    NodeGroup,
    /// The lower bound over time.
    Bound,
}

/// All parts, the longest first.
pub const PARTS: [Part; 4] = [Part::Joiner, Part::Bound, Part::Upstream, Part::NodeGroup];

enum Outcome {
    Measured(Measured),
    Bound(Vec<BoundPoint>),
}

/// Runs the scenario. `progress` is told which part has come to which simulated second, from any thread.
///
/// # Errors
/// The scenario has no usable type, or its length is absurd.
pub fn run(
    scenario: &Scenario,
    joiner: Joiner,
    bound: &dyn Bound,
    progress: &(dyn Fn(Part, i64) + Sync),
) -> Result<Summary, RunError> {
    let group = check(scenario)?;
    let outcomes: Mutex<Vec<(Part, Outcome)>> = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(part) = PARTS.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome =
                one(scenario, *part, joiner, &group, bound, &|at_s| progress(*part, at_s));
            progress(*part, scenario.length_s);
            if let Ok(mut outcomes) = outcomes.lock() {
                outcomes.push((*part, outcome));
            }
        }
    };
    let threads =
        std::thread::available_parallelism().map_or(1, |count| count.get().min(PARTS.len()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_default();
    Ok(assemble(scenario, &group, outcomes))
}

fn check(scenario: &Scenario) -> Result<NodeGroup, RunError> {
    if !(60..=31 * 86_400).contains(&scenario.length_s) {
        return Err(RunError::Length(scenario.length_s));
    }
    if scenario.instance_types.is_empty() {
        return Err(RunError::NoTypes(scenario.region.clone()));
    }
    let pods = scenario.workload.distinct_requests(scenario.length_s);
    NodeGroup::of_cheapest(&scenario.instance_types, &pods, &scenario.daemon_load())
        .ok_or_else(|| RunError::NoTypes(scenario.region.clone()))
}

fn one(
    scenario: &Scenario,
    part: Part,
    joiner: Joiner,
    group: &NodeGroup,
    bound: &dyn Bound,
    progress: &dyn Fn(i64),
) -> Outcome {
    let measure =
        |decider: Box<dyn Decider>| World::new(scenario, decider, Box::new(NoFaults)).run(progress);
    match part {
        Part::Joiner => Outcome::Measured(measure(Box::new(joiner))),
        Part::Upstream => Outcome::Measured(measure(Box::<UpstreamConsolidation>::default())),
        Part::NodeGroup => Outcome::Measured(measure(Box::new(group.clone()))),
        Part::Bound => Outcome::Bound(bound_over_time(scenario, bound, progress)),
    }
}

fn assemble(scenario: &Scenario, group: &NodeGroup, outcomes: Vec<(Part, Outcome)>) -> Summary {
    let mut points = Vec::new();
    let mut strategies = Vec::new();
    for (part, outcome) in outcomes {
        match outcome {
            Outcome::Measured(measured) => strategies.push(Strategy::new(part, measured)),
            Outcome::Bound(found) => points = found,
        }
    }
    strategies.sort_by_key(|strategy| strategy.part);
    Summary::new(scenario, group, strategies, points)
}

/// The bound at equal distances: for the pods that would be live if every pod were bound the moment it arrives.
/// It does not depend on any decider.
fn bound_over_time(
    scenario: &Scenario,
    bound: &dyn Bound,
    progress: &dyn Fn(i64),
) -> Vec<BoundPoint> {
    let workload = &scenario.workload;
    let times = arrivals(&workload.requests, workload.spread_s, scenario.seed);
    let mut points = Vec::new();
    for step in 0..=BOUND_POINTS {
        let at_s = scenario.length_s * step / BOUND_POINTS;
        let snapshot = live(scenario, &times, at_s);
        let cost = if snapshot.pods.is_empty() {
            MicroUsdPerHour::ZERO
        } else {
            bound.lower_bound(&snapshot)
        };
        points.push(BoundPoint { at_s, cost });
        progress(at_s);
    }
    points
}

/// A cluster without nodes in which the live pods wait.
pub(crate) fn live(scenario: &Scenario, times: &[SimTime], at_s: i64) -> Snapshot {
    let mut snapshot = scenario.snapshot();
    snapshot.now = SimTime::from_s(at_s).timestamp();
    for (request, arrived) in scenario.workload.requests.iter().zip(times) {
        for index in 0..request.live(*arrived, at_s, scenario.length_s) {
            snapshot.pods.push(waiting(request, &format!("{}-{index}", request.name)));
        }
    }
    snapshot
}

/// A pod of the request that waits.
pub(crate) fn waiting(request: &crate::workload::Request, name: &str) -> Pod {
    Pod::waiting(PodId::new("default", name), request.labels.clone(), request.spec.clone())
}
