//! A decider that does as Cluster Autoscaler does with one Auto Scaling group of one instance type over all zones.
//!
//! Scans every 10 s; estimates with first-fit-decreasing on the group's type; the group balances its zones; a node
//! goes after 10 minutes without work, or with less than half of its CPU and memory asked for, if its pods fit onto others; of the
//! latter one at a time (`scan-interval`, `scale-down-unneeded-time`, `scale-down-utilization-threshold`,
//! `max-drain-parallelism`, their defaults). Left out, which helps it: the pause of 10 minutes after each new node.

use super::packer::Policy;
use super::upstream::{empty_for, launches};
use super::view::{View, pending, pool};
use super::what_if::{Answer, WhatIf};
use crate::{Cadence, Decider};
use model::resources::{CPU, MEMORY};
use model::{
    DisruptionReason, Duration, InstanceType, MicroUsdPerHour, Node, Plan, Pod, Removal, Resources,
    Snapshot, Timestamp, labels,
};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// `scan-interval`.
const SCAN_MS: i64 = 10_000;
/// `scale-down-unneeded-time`.
const UNNEEDED: Duration = Duration(600);

/// `scale-down-utilization-threshold`, in hundredths.
const THRESHOLD: i64 = 50;

/// The decider.
#[derive(Clone, Debug)]
pub struct NodeGroup {
    instance_type: String,
    /// Since when nodes have been used too little.
    under: BTreeMap<Arc<str>, Timestamp>,
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
        types
            .iter()
            .min_by_key(rank)
            .map(|known| Self { instance_type: known.name.clone(), under: BTreeMap::new() })
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
        plan.removals.extend(self.underused(snapshot));
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

impl NodeGroup {
    /// A node that has been used too little for long enough and whose pods fit onto others; none while one is being drained.
    fn underused(&mut self, snapshot: &Snapshot) -> Option<Removal> {
        let mut asked: BTreeMap<&str, Resources> = BTreeMap::new();
        for pod in snapshot.pods.iter().filter(|pod| !pod.is_terminal()) {
            if let Some(node) = pod.node_name.as_deref() {
                asked.entry(node).or_default().add(&pod.spec.requests);
            }
        }
        let under = |node: &&Node| {
            let of = |name| {
                let used = asked.get(&*node.name).map_or(0, |used| used.get(name));
                used * 100 < node.allocatable.get(name) * THRESHOLD
            };
            node.initialized() && !node.deleting && of(CPU) && of(MEMORY)
        };
        let nodes: Vec<&Node> = snapshot.nodes.iter().filter(under).collect();
        let now = snapshot.now;
        let before = std::mem::take(&mut self.under);
        let since = |node: &&Node| (node.name.clone(), *before.get(&node.name).unwrap_or(&now));
        self.under = nodes.iter().map(since).collect();
        if snapshot.nodes.iter().any(|node| node.deleting) {
            return None;
        }
        let long = |node: &&Node| {
            let empty = snapshot.empty_since.contains_key(&*node.name);
            !empty && now.since(self.under[&node.name]) >= UNNEEDED
        };
        let mut due: Vec<&Node> = nodes.into_iter().filter(long).collect();
        due.sort_by(|a, b| a.name.cmp(&b.name));
        if due.is_empty() {
            return None;
        }
        let what_if = WhatIf::new(snapshot, &due, Vec::new(), &BTreeSet::new(), Policy::NodeGroup);
        let goes = due.iter().find(|node| matches!(what_if.without(&[node]), Answer::Fits))?;
        let (node, reason) = (goes.name.clone(), DisruptionReason::Underutilized);
        Some(Removal { node, reason, saves: goes.price })
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
