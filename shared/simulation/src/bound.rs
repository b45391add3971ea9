//! The least that the live pods could cost, whoever decides.

use model::resources::{CPU, MEMORY};
use model::{InstanceType, MicroUsdPerHour, Pod, Resources, Snapshot};

/// A lower bound on the cost of nodes that hold pods.
pub trait Bound: Sync {
    /// The least cost of nodes that hold all pods of the snapshot, which has no nodes. Pods that no type holds count
    /// nothing.
    fn lower_bound(&self, snapshot: &Snapshot) -> MicroUsdPerHour;
}

/// The bound by resources alone: every node gives so much CPU and memory for its price, whatever is on it.
/// Its worth is that it is simple; the planner's is tighter.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResourceBound;

/// How many weightings of CPU against memory are tried; each gives a valid bound.
const WEIGHTINGS: i128 = 64;

impl Bound for ResourceBound {
    fn lower_bound(&self, snapshot: &Snapshot) -> MicroUsdPerHour {
        let types: Vec<&InstanceType> =
            snapshot.instance_types.values().flat_map(|types| types.iter()).collect();
        let mut daemons = Resources::new();
        for daemon_set in &snapshot.daemon_sets {
            daemons.add(&daemon_set.spec.requests);
        }
        let capacities: Vec<(i128, i128, i128)> =
            types.iter().filter_map(|known| capacity(known, &daemons)).collect();
        let (mut cpu, mut memory) = (0_i128, 0_i128);
        for pod in snapshot.pods.iter().filter(|pod| held(pod, &capacities)) {
            cpu += i128::from(pod.spec.requests.get(CPU));
            memory += i128::from(pod.spec.requests.get(MEMORY)) >> 20;
        }
        let bounds = (0..=WEIGHTINGS).map(|weight| weighted(cpu, memory, weight, &capacities));
        MicroUsdPerHour(bounds.max().unwrap_or(0).max(0) as u64)
    }
}

/// Milli-cores and MiB beside the daemons, and the lowest price.
fn capacity(known: &InstanceType, daemons: &Resources) -> Option<(i128, i128, i128)> {
    let mut left = known.allocatable.clone();
    left.subtract(daemons);
    let price = known.offerings.iter().map(|offering| offering.price).min()?;
    Some((
        i128::from(left.get(CPU)),
        i128::from(left.get(MEMORY).div_euclid(1 << 20)) + 1,
        i128::from(price.0),
    ))
}

fn held(pod: &Pod, capacities: &[(i128, i128, i128)]) -> bool {
    let requests = &pod.spec.requests;
    let (cpu, memory) = (i128::from(requests.get(CPU)), i128::from(requests.get(MEMORY)) >> 20);
    capacities.iter().any(|(most_cpu, most_memory, _)| cpu <= *most_cpu && memory <= *most_memory)
}

/// With a value for a milli-core and a MiB, no node holds more value for its price than the best one does.
fn weighted(cpu: i128, memory: i128, weight: i128, capacities: &[(i128, i128, i128)]) -> i128 {
    let value = |cpu: i128, memory: i128| cpu * 8 * weight + memory * (WEIGHTINGS - weight);
    let wanted = value(cpu, memory);
    let needed =
        |(cpu, memory, price): &(i128, i128, i128)| wanted * price / value(*cpu, *memory).max(1);
    capacities.iter().filter(|(cpu, _, _)| *cpu > 0).map(needed).min().unwrap_or(0)
}

/// The planner's bound, with little effort spent on the plan itself, or the resource bound if that is tighter.
#[derive(Clone, Copy, Debug)]
pub struct PlannerBound {
    /// How hard the planner looks.
    pub options: planner::Options,
}

impl Default for PlannerBound {
    fn default() -> Self {
        Self { options: planner::Options { steps: 10_000_000 } }
    }
}

impl Bound for PlannerBound {
    fn lower_bound(&self, snapshot: &Snapshot) -> MicroUsdPerHour {
        let planned = planner::plan(snapshot, &self.options).cost.lower_bound;
        planned.max(ResourceBound.lower_bound(snapshot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SimTime;
    use crate::run::live;
    use crate::testing::scenario;

    /// Types: 2 cores and 8 GiB for 100,000; 8 cores and 32 GiB for 410,000; daemons take 150m of each node.
    fn check(lines: &str, least: u64, most: u64) {
        let scenario = scenario(lines, 3600);
        let times = vec![SimTime(0); scenario.workload.requests.len()];
        let bound = ResourceBound.lower_bound(&live(&scenario, &times, 0)).0;
        assert!((least..=most).contains(&bound), "{lines}: {bound}");
    }

    #[test]
    fn it_is_near_what_the_scarcer_resource_costs_and_never_above_a_packing() {
        check("a,4,1850,1024,0,60,\n", 380_000, 400_000);
        check("a,1,7850,1024,0,60,\n", 390_000, 410_000);
        check("a,4,100,8000,0,60,\n", 380_000, 400_000);
        check("a,1,7851,1024,0,60,\n", 0, 0);
    }
}
