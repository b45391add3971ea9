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
    /// A group of the cheapest general-purpose type (category m) that holds `largest` twice beside `daemons`, because
    /// one that holds it only once leaves half of itself unused. If none does: the cheapest that holds it once, then
    /// the cheapest of any category.
    pub fn of_cheapest(
        types: &[InstanceType],
        largest: &Resources,
        daemons: &Resources,
    ) -> Option<Self> {
        let mut once = largest.clone();
        once.add(daemons);
        let mut twice = once.clone();
        twice.add(largest);
        let price =
            |known: &&InstanceType| known.offerings.iter().map(|offering| offering.price).min();
        let rank = |known: &&InstanceType| {
            (!is_general(known), !twice.fits(&known.allocatable), price(known), known.name.clone())
        };
        let holds = types.iter().filter(|known| once.fits(&known.allocatable));
        holds.min_by_key(rank).map(|known| Self { instance_type: known.name.clone() })
    }

    /// The group's instance type.
    pub fn instance_type(&self) -> &str {
        &self.instance_type
    }

    /// What one of its nodes costs.
    pub fn price(&self, types: &[InstanceType]) -> Option<MicroUsdPerHour> {
        let known = types.iter().find(|known| known.name == self.instance_type)?;
        known.offerings.iter().map(|offering| offering.price).min()
    }
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
