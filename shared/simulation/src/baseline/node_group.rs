//! A decider that does as Cluster Autoscaler does with one Auto Scaling group of one instance type over all zones.
//!
//! Scans every 10 s; estimates with first-fit-decreasing on the group's type; the group balances its zones; a node
//! goes after 10 minutes without work (`scan-interval`, `scale-down-unneeded-time`, their defaults).

use super::packer::Policy;
use super::upstream::{empty_for, launches};
use super::view::{View, pending, pool};
use crate::{Cadence, Decider};
use model::resources::{CPU, MEMORY};
use model::{Duration, InstanceType, MicroUsdPerHour, Plan, Pod, Resources, Snapshot, labels};
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// `scan-interval`.
const SCAN_MS: i64 = 10_000;
/// `scale-down-unneeded-time`.
const UNNEEDED: Duration = Duration(600);

/// The decider.
#[derive(Clone, Debug)]
pub struct NodeGroup {
    instance_type: String,
}

impl NodeGroup {
    /// A group of the cheapest general-purpose type (category m) that holds every one of `pods` twice beside
    /// `daemons`, because a node that holds its largest pod only once leaves half of itself unused. If there is none:
    /// one that holds each once, then one of another category, then the one that holds most of them.
    pub fn of_cheapest(
        types: &[InstanceType],
        pods: &BTreeSet<&Resources>,
        daemons: &Resources,
    ) -> Option<Self> {
        let loads: Vec<(Resources, Resources)> =
            pods.iter().map(|pod| loads(pod, daemons)).collect();
        let rank = |known: &&InstanceType| {
            let refused = loads.iter().filter(|(once, _)| !once.fits(&known.allocatable)).count();
            let wasteful =
                loads.iter().filter(|(_, twice)| !twice.fits(&known.allocatable)).count();
            (refused, !is_general(known), wasteful, lowest_price(known), known.name.clone())
        };
        types.iter().min_by_key(rank).map(|known| Self { instance_type: known.name.clone() })
    }

    /// The group's instance type.
    pub fn instance_type(&self) -> &str {
        &self.instance_type
    }

    /// What one of its nodes costs.
    pub fn price(&self, types: &[InstanceType]) -> Option<MicroUsdPerHour> {
        let known = types.iter().find(|known| known.name == self.instance_type)?;
        lowest_price(known)
    }
}

fn lowest_price(known: &InstanceType) -> Option<MicroUsdPerHour> {
    known.offerings.iter().map(|offering| offering.price).min()
}

/// What a node needs for one such pod, and for two.
fn loads(pod: &Resources, daemons: &Resources) -> (Resources, Resources) {
    let mut once = pod.clone();
    once.add(daemons);
    let mut twice = once.clone();
    twice.add(pod);
    (once, twice)
}

fn is_general(known: &InstanceType) -> bool {
    let category = format!("{}instance-category", labels::INSTANCE_LABEL_PREFIX);
    known.labels.get(&category).is_some_and(|category| category == "m")
}

impl Decider for NodeGroup {
    fn decide(&mut self, snapshot: &Snapshot) -> Plan {
        let mut plan = Plan { removals: empty_for(snapshot, UNNEEDED), ..Plan::default() };
        let mut pods = pending(snapshot);
        let Some(pool) = pool(snapshot).filter(|_| !pods.is_empty()) else { return plan };
        let types = snapshot.instance_types.get(&pool.instance_types);
        let group = types
            .into_iter()
            .flat_map(|types| types.iter())
            .find(|known| known.name == self.instance_type);
        let Some(group) = group else { return plan };
        pods.sort_by_key(|pod| (Reverse(share(pod, group)), pod.created_at, pod.id.clone()));
        plan.launches =
            launches(&View::new(snapshot, pods, vec![group]), Policy::NodeGroup, &pool.name);
        plan
    }

    fn cadence(&self) -> Cadence {
        Cadence::Every(SCAN_MS)
    }
}

/// The pod's share of a node's CPU and of its memory, added, in millionths: the largest are placed first.
fn share(pod: &Pod, group: &InstanceType) -> i64 {
    let share = |name| {
        let all = i128::from(group.allocatable.get(name).max(1));
        (i128::from(pod.spec.requests.get(name)) * 1_000_000 / all) as i64
    };
    share(CPU) + share(MEMORY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::instance_type;
    use model::resources::PODS;

    /// Pods as (cores, GiB); the types have 2, 8 and 16 cores and four GiB for each.
    fn check(pods: &[(i64, i64)], expected: &str) {
        let types = [("m5.s", 2, 8, 100), ("m5.m", 8, 32, 390), ("m5.l", 16, 64, 770)]
            .map(|(n, c, g, p)| instance_type(n, c, g, p));
        let of_pod = |(cores, gib): &(i64, i64)| {
            Resources::new().with(CPU, cores * 1000).with(MEMORY, gib << 30).with(PODS, 1)
        };
        let pods: Vec<Resources> = pods.iter().map(of_pod).collect();
        let daemons = Resources::new().with(CPU, 150).with(PODS, 2);
        let group = NodeGroup::of_cheapest(&types, &pods.iter().collect(), &daemons);
        assert_eq!(group.unwrap().instance_type(), expected, "{pods:?}");
    }

    #[test]
    fn the_type_is_the_cheapest_that_holds_every_pod_twice_if_any_does() {
        check(&[(0, 1)], "m5.s");
        check(&[(1, 1)], "m5.m");
        check(&[(1, 1), (0, 30)], "m5.l");
        check(&[(15, 1)], "m5.l");
        check(&[(7, 1), (1, 60)], "m5.l");
        check(&[(99, 1), (1, 1)], "m5.m");
        check(&[], "m5.s");
    }
}
