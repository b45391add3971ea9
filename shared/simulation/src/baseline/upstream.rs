//! A decider that does as Karpenter does: first-fit into claims that keep every type open, priced last.
//!
//! Of the nodes only those without work go, after the pool's `consolidateAfter`; consolidation is around it.

use super::packer::{Claim, Policy, Target, pack};
use super::view::{View, pending, pool};
use crate::Decider;
use model::DisruptionReason;
use model::resources::{CPU, MEMORY};
use model::{Alternative, CapacityType, Launch, Plan, Pod, Removal, Snapshot};
use std::cmp::Reverse;
use std::sync::Arc;

/// How many alternatives a launch keeps.
const ALTERNATIVES: usize = 10;

/// The decider.
#[derive(Clone, Copy, Debug, Default)]
pub struct Upstream;

impl Decider for Upstream {
    fn decide(&mut self, snapshot: &Snapshot) -> Plan {
        let mut plan = Plan { removals: removals(snapshot), ..Plan::default() };
        let mut pods = pending(snapshot);
        let Some(pool) = pool(snapshot).filter(|_| !pods.is_empty()) else { return plan };
        pods.sort_by_key(|pod| rank(pod));
        let types = snapshot.instance_types.get(&pool.instance_types);
        let view = View::new(snapshot, pods, types.iter().flat_map(|types| types.iter()).collect());
        plan.launches = launches(&view, Policy::Upstream, &pool.name);
        plan
    }
}

/// CPU descending, memory descending, then who came first.
pub(super) fn rank(pod: &Pod) -> impl Ord + '_ {
    let requests = &pod.spec.requests;
    (Reverse(requests.get(CPU)), Reverse(requests.get(MEMORY)), pod.created_at, &pod.id)
}

/// Packs and prices.
pub(super) fn launches(view: &View<'_>, policy: Policy, pool: &str) -> Vec<Launch> {
    let packed = pack(&view.packing, policy);
    let mut launches: Vec<Launch> = packed
        .claims
        .iter()
        .enumerate()
        .filter_map(|(index, claim)| launch(view, pool, index, claim))
        .collect();
    for (target, pod) in packed.targets.iter().zip(&view.pods) {
        if let Target::Claim(index) = target
            && let Some(launch) = launches.get_mut(*index)
        {
            launch.pods.push(pod.id.clone());
        }
    }
    launches
}

pub(super) fn launch(view: &View<'_>, pool: &str, index: usize, claim: &Claim) -> Option<Launch> {
    let offers = claim.offers(&view.packing);
    let mut offers =
        offers.into_iter().take(ALTERNATIVES + 1).map(|(price, of_type, zone)| Alternative {
            instance_type: view.types[of_type].name.clone(),
            zone: view.zones[zone].clone(),
            capacity_type: CapacityType::OnDemand,
            price,
            estimated: false,
            reservation: None,
        });
    Some(Launch {
        name: Arc::from(format!("{pool}-{index}")),
        node_pool: pool.to_owned(),
        offering: offers.next()?,
        parts: Default::default(),
        daemons: Default::default(),
        pods: Vec::new(),
        labels: Default::default(),
        alternatives: std::sync::Arc::new(offers.collect()),
        replaces: None,
    })
}

/// Nodes that have been empty for long enough.
pub(super) fn removals(snapshot: &Snapshot) -> Vec<Removal> {
    let after = pool(snapshot).and_then(|pool| pool.disruption.consolidate_after);
    after.map_or_else(Vec::new, |after| empty_for(snapshot, after))
}

/// Nodes that have been empty for `after`, by name.
pub(super) fn empty_for(snapshot: &Snapshot, after: model::Duration) -> Vec<Removal> {
    let long =
        snapshot.empty_since.iter().filter(|(_, since)| snapshot.now.since(**since) >= after);
    long.map(|(name, _)| Removal {
        node: Arc::from(name.as_str()),
        reason: DisruptionReason::Empty,
        saves: None,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SimTime;
    use crate::run::live;
    use crate::scenario::Scenario;
    use crate::workload::embedded;

    /// All pods of an embedded trace at once, without daemonsets: dollars per hour, and nodes.
    fn check(trace: &str, karpenter_usd: f64, karpenter_nodes: usize) {
        let workload = embedded(trace).unwrap().unwrap();
        let catalog = catalog::Catalog::embedded().unwrap();
        let mut scenario = Scenario::from_catalog(workload, &catalog, "us-east-1", 3600, 1);
        scenario.daemon_sets.clear();
        let times = vec![SimTime(0); scenario.workload.requests.len()];
        let launches = Upstream.decide(&live(&scenario, &times, 0)).launches;
        let usd: f64 = launches.iter().map(|launch| launch.offering.price.usd()).sum();
        assert!((usd / karpenter_usd - 1.0).abs() < 0.03, "{trace}: {usd} {}", launches.len());
        assert_eq!(launches.len(), karpenter_nodes, "{trace}");
    }

    /// What Karpenter v1.13.0 chose for the same pods and types, measured.
    #[test]
    fn it_costs_what_karpenter_was_measured_to_cost() {
        check("basic", 222.5293, 7);
        check("wide", 169.2370, 38);
        check("boutique", 0.0765, 1);
    }
}
