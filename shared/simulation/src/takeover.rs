//! What consolidation makes of a cluster that the upstream-like packer has built.
//!
//! The packer runs a trace up to some moment, with nodes going only when they are empty. From then on nothing comes or goes but by
//! Joiner, turn by turn, within the pool's budget, until it has been at rest for the rest of the time.

use crate::baseline::Upstream;
use crate::bound::Bound;
use crate::decider::Joiner;
use crate::run::live;
use crate::scenario::Scenario;
use crate::workload::{Change, Workload};
use crate::world::{Measured, NoFaults, World, arrivals};
use crate::{Cadence, Decider, SimTime};
use model::{MicroUsdPerHour, Plan, Snapshot, Timestamp};

/// How much time consolidation gets, in seconds.
pub const TIME_S: i64 = 4 * 3600;
/// Pods that would end after the moment run on for as good as ever.
const EVER_S: i64 = 1_000_000_000;

/// What came of it.
#[derive(Clone, Debug)]
pub struct Takeover {
    /// What the packer's cluster cost.
    pub before: MicroUsdPerHour,
    /// What it costs at rest.
    pub after: MicroUsdPerHour,
    /// No set of nodes that holds its pods costs less.
    pub bound: MicroUsdPerHour,
    /// Seconds from the takeover to the last node that went for cost.
    pub took_s: i64,
    /// The run's figures.
    pub measured: Measured,
}

/// The trace as it is up to `at_s`; what lives then lives on, and nothing more comes.
pub fn frozen(mut workload: Workload, at_s: i64) -> Workload {
    workload.requests.retain(|request| request.arrival_s < at_s - 300);
    for request in &mut workload.requests {
        let ends = |duration_s: i64| request.arrival_s.saturating_add(duration_s);
        if request.duration_s.is_some_and(|duration_s| ends(duration_s) > at_s - 300) {
            request.duration_s = Some(EVER_S);
        }
        let shrinks = request.scale_in.take();
        request.changes.extend(shrinks.map(|count| (at_s / 2, Change::Scale(count))));
    }
    workload
}

/// Runs the packer for `at_s` seconds of the scenario, whose workload is frozen then, and Joiner for the rest.
pub fn take_over(
    scenario: &Scenario,
    at_s: i64,
    bound: &dyn Bound,
    progress: &dyn Fn(i64),
) -> Takeover {
    let decider = Successor { at: SimTime::from_s(at_s).timestamp(), joiner: None };
    let measured = World::new(scenario, Box::new(decider), Box::new(NoFaults)).run(progress);
    let cost =
        |sample: Option<&crate::world::Sample>| sample.map_or_else(Default::default, |s| s.cost);
    let before = measured.samples.iter().rfind(|sample| sample.at_s < at_s);
    let times = arrivals(&scenario.workload.requests, scenario.workload.spread_s, scenario.seed);
    Takeover {
        before: cost(before),
        after: cost(measured.samples.last()),
        bound: bound.lower_bound(&live(scenario, &times, scenario.length_s)),
        took_s: measured.last_consolidation_s.saturating_sub(at_s).max(0),
        measured,
    }
}

/// The packer, and from a moment on Joiner.
struct Successor {
    at: Timestamp,
    joiner: Option<Joiner>,
}

impl Decider for Successor {
    fn decide(&mut self, snapshot: &Snapshot) -> Plan {
        if self.joiner.is_none() && snapshot.now >= self.at {
            self.joiner = Some(Joiner::default());
        }
        match &mut self.joiner {
            Some(joiner) => joiner.decide(snapshot),
            None => Upstream.decide(snapshot),
        }
    }

    fn cadence(&self) -> Cadence {
        Cadence::JOINER
    }

    fn takes_steps(&self) -> bool {
        self.joiner.is_some()
    }

    fn violations(&self, snapshot: &Snapshot, plan: &Plan) -> Vec<String> {
        self.joiner.map_or_else(Vec::new, |joiner| joiner.violations(snapshot, plan))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bound::ResourceBound;
    use crate::testing::scenario;

    #[test]
    fn joiner_takes_over_and_comes_near_the_bound_within_the_budget() {
        let mut scenario =
            scenario("big,3,5500,1024,0,600,\nsmall,12,600,1024,0,9000,\n", 3600 + TIME_S);
        scenario.workload = frozen(scenario.workload, 3600);
        let found = take_over(&scenario, 3600, &ResourceBound, &|_| {});
        assert_eq!((found.measured.violations, found.measured.over_budget), (0, 0));
        assert!(found.measured.consolidations > 0 && found.took_s > 0, "{found:?}");
        assert!(found.after < found.before && found.bound <= found.after, "{found:?}");
        assert!(found.after.0 * 100 <= found.bound.0 * 120, "{} {}", found.after, found.bound);
    }

    #[test]
    fn what_lives_at_the_moment_lives_on_and_nothing_comes_after() {
        let lines = "short,1,100,1,0,60,\nlong,1,100,1,0,9000,\nlate,1,100,1,3500,60,\nweb,4,100,1,0,,scale_in=2\n";
        let frozen = frozen(scenario(lines, 7200).workload, 3600);
        let live = |request: &crate::workload::Request| request.live(SimTime(0), 7200, 7200);
        let all = frozen.requests.iter().map(|request| (request.name.as_str(), live(request)));
        assert_eq!(all.collect::<Vec<_>>(), [("short", 0), ("long", 1), ("web", 2)]);
    }
}
