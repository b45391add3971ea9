//! Once more, where limits or rules between pods left some out: what was left out last may be what kept another pod from its place.
//!
//! The next turn would find that out. So it is found out now, by placing all pods as that turn would, with what is bought on its way.

use super::launches::{in_order, number};
use super::{Scheduled, place_all};
use crate::Options;
use crate::leaving::Leaving;
use model::{
    Cost, InstanceType, Launch, MicroUsdPerHour, NodeClaim, Plan, PodId, Snapshot, labels,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Each round may free what the next one uses; after so many the rest is left to the next turn.
const ROUNDS: usize = 4;
/// Begins the names of what stands for a launch: no object of Kubernetes is called so.
const STANDS_FOR: &str = "~";

/// The same places and launches, and those that are possible beside them.
pub(super) fn again(
    snapshot: &Snapshot,
    leaving: &Leaving<'_>,
    options: &Options,
    mut found: Scheduled,
) -> Scheduled {
    for _ in 0..ROUNDS {
        if found.plan.launches.is_empty() || left(&found).is_empty() {
            break;
        }
        let next = asked_for(snapshot, &found.plan.launches);
        let then = place_all(&next, leaving, options).0;
        if nothing_new(&found, &then) {
            break;
        }
        found = merged(&found, then);
    }
    found
}

/// The snapshot with the launches on their way.
fn asked_for(snapshot: &Snapshot, launches: &[Launch]) -> Snapshot {
    let mut next = snapshot.clone();
    next.node_claims.extend(launches.iter().filter_map(|launch| claim(snapshot, launch)));
    next
}

fn claim(snapshot: &Snapshot, launch: &Launch) -> Option<NodeClaim> {
    let pool = snapshot.node_pools.iter().find(|pool| pool.name == launch.node_pool)?;
    let mut types = snapshot.instance_types.get(&pool.instance_types)?.iter();
    let known: &InstanceType = types.find(|known| known.name == launch.offering.instance_type)?;
    let single = pool.requirements.iter().filter_map(|(key, set)| Some((key, set.single()?)));
    let mut own = known.labels.clone();
    own.extend(single.map(|(key, value)| (key.to_owned(), value.to_owned())));
    own.extend(pool.labels.clone());
    own.extend(launch.labels.clone());
    own.insert(labels::REGION.to_owned(), snapshot.region.clone());
    let offers = known.offerings.iter();
    let mut here = offers.filter(|offer| offer.zone == launch.offering.zone);
    let zone_id = here.next().map(|offer| offer.zone_id.clone()).filter(|id| !id.is_empty());
    own.extend(zone_id.map(|id| (labels::ZONE_ID.to_owned(), id)));
    let reservation = launch.offering.reservation.clone();
    own.extend(reservation.map(|id| (labels::RESERVATION_ID.to_owned(), id)));
    Some(NodeClaim {
        name: format!("{STANDS_FOR}{}", launch.name).into(),
        pool: pool.name.clone(),
        instance_type: Some(known.name.clone()),
        zone: Some(launch.offering.zone.clone()),
        capacity_type: Some(launch.offering.capacity_type),
        labels: own,
        taints: pool.taints.clone(),
        allocatable: known.allocatable.clone(),
        capacity: known.capacity.clone(),
        nominated: launch.pods.clone(),
        ..NodeClaim::default()
    })
}

/// The launch that a node's name stands for.
fn stands_for(node: &str) -> Option<&str> {
    node.strip_prefix(STANDS_FOR)
}

/// By launch, the pods that were placed on it.
fn pods_of(then: &Scheduled) -> BTreeMap<&str, BTreeSet<&PodId>> {
    let mut pods: BTreeMap<&str, BTreeSet<&PodId>> = BTreeMap::new();
    for placement in &then.plan.placements {
        if let Some(launch) = stands_for(&placement.node) {
            pods.entry(launch).or_default().insert(&placement.pod);
        }
    }
    pods
}

fn left(scheduled: &Scheduled) -> BTreeSet<&PodId> {
    let all = scheduled.plan.unschedulable.iter().chain(&scheduled.stranded);
    all.map(|left| &left.pod).collect()
}

fn nothing_new(found: &Scheduled, then: &Scheduled) -> bool {
    let pods = pods_of(then);
    let same = |launch: &Launch| {
        let own = launch.pods.iter().collect::<BTreeSet<_>>();
        pods.get(&*launch.name).is_some_and(|then| *then == own)
    };
    then.plan.launches.is_empty()
        && left(found) == left(then)
        && found.plan.launches.iter().all(same)
}

fn merged(found: &Scheduled, then: Scheduled) -> Scheduled {
    let lost = !left(&then).is_subset(&left(found));
    let pods = pods_of(&then);
    let mut launches = Vec::new();
    for launch in &found.plan.launches {
        let Some(own) = pods.get(&*launch.name) else { continue };
        let mut launch = launch.clone();
        // Which other offerings would hold the pods that came is not known here.
        if !own.iter().all(|pod| launch.pods.contains(pod)) {
            launch.alternatives = Arc::default();
        }
        launch.pods = own.iter().map(|pod| (*pod).clone()).collect();
        launches.push(launch);
    }
    let Scheduled { plan: Plan { placements, launches: more, unschedulable, .. }, stranded } = then;
    launches.extend(more);
    in_order(&mut launches);
    number(&mut launches);
    let planned = launches.iter().map(|launch| launch.offering.price).sum::<MicroUsdPerHour>();
    // The bound was for the pods that had a place: more pods do not lower it.
    let bound = if lost { MicroUsdPerHour::ZERO } else { found.plan.cost.lower_bound };
    let estimated = launches.iter().any(|launch| launch.offering.estimated);
    let on_nodes = |placed: &model::Placement| stands_for(&placed.node).is_none();
    let placements = placements.into_iter().filter(on_nodes).collect();
    let cost = Cost { planned, lower_bound: bound, estimated };
    Scheduled {
        plan: Plan { launches, placements, unschedulable, cost, ..Plan::default() },
        stranded,
    }
}
