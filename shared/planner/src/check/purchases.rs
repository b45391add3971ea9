//! What is bought is what the pools allow: requirements, limits, offerings, prices.

use super::Findings;
use super::hosts::launch_labels;
use model::{Alternative, InstanceType, Launch, NodePool, Offering, Plan, Resources, Snapshot};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Checks every launch, the limits of every pool, and the sum of the prices.
pub(super) fn check(snapshot: &Snapshot, plan: &Plan, findings: &mut Findings) {
    // Many launches share their offerings, so each is looked at once for its pool and labels.
    let mut seen = BTreeSet::new();
    for launch in &plan.launches {
        let mut offerings = vec![&launch.offering];
        offerings.extend(&*launch.alternatives);
        offerings.retain(|offering| seen.insert((&launch.node_pool, &launch.labels, *offering)));
        check_launch(snapshot, launch, &offerings, findings);
    }
    for pool in &snapshot.node_pools {
        check_limits(snapshot, plan, pool, findings);
    }
    check_reservations(snapshot, plan, findings);
    let sum = plan.launches.iter().map(|launch| launch.offering.price).sum();
    if plan.cost.planned != sum {
        findings.add("cost", format!("is {} but the launches sum up to {sum}", plan.cost.planned));
    }
    if plan.cost.lower_bound > plan.cost.planned {
        findings.add(
            "cost",
            format!("{} is below its lower bound {}", plan.cost.planned, plan.cost.lower_bound),
        );
    }
}

fn check_launch(
    snapshot: &Snapshot,
    launch: &Launch,
    offerings: &[&Alternative],
    findings: &mut Findings,
) {
    let Some(pool) = snapshot.node_pools.iter().find(|pool| pool.name == launch.node_pool) else {
        return;
    };
    if pool.problem.is_some() {
        findings
            .add(&launch.name, format!("is launched from pool {}, which is not usable", pool.name));
    }
    if launch.pods.is_empty() && pool.replicas.is_none() {
        findings.add(&launch.name, "is launched for no pod");
    }
    for offering in offerings {
        check_offering(snapshot, pool, launch, offering, findings);
    }
    check_values(snapshot, pool, launch, findings);
}

/// What EC2 may choose among has as many values as the pool asks for.
fn check_values(snapshot: &Snapshot, pool: &NodePool, launch: &Launch, findings: &mut Findings) {
    for (key, count) in &pool.min_values {
        let all = std::iter::once(&launch.offering).chain(&*launch.alternatives);
        let value = |wanted: &Alternative| {
            let as_launched = Launch {
                offering: wanted.clone(),
                alternatives: Arc::default(),
                pods: Vec::new(),
                ..launch.clone()
            };
            let (instance_type, _) = find(snapshot, pool, wanted)?;
            let own = launch_labels(snapshot, pool, &as_launched, &instance_type.labels);
            own.get(key).cloned()
        };
        let values = all.filter_map(value).collect::<BTreeSet<_>>();
        if values.len() < *count as usize {
            let problem = format!("has {} values of {key}, fewer than {count}", values.len());
            findings.add(&launch.name, problem);
        }
    }
}

fn check_offering(
    snapshot: &Snapshot,
    pool: &NodePool,
    launch: &Launch,
    wanted: &Alternative,
    findings: &mut Findings,
) {
    let Some((instance_type, offering)) = find(snapshot, pool, wanted) else {
        return findings.add(
            &launch.name,
            format!(
                "{} in {} as {} is not offered",
                wanted.instance_type, wanted.zone, wanted.capacity_type
            ),
        );
    };
    if !offering.available || offering.price != wanted.price {
        findings.add(
            &launch.name,
            format!(
                "{} in {} is not available at {}",
                wanted.instance_type, wanted.zone, wanted.price
            ),
        );
    }
    let as_launched = Launch {
        name: launch.name.clone(),
        node_pool: launch.node_pool.clone(),
        offering: wanted.clone(),
        parts: launch.parts,
        daemons: launch.daemons,
        pods: Vec::new(),
        labels: launch.labels.clone(),
        alternatives: Arc::default(),
        replaces: None,
    };
    let mut labels = launch_labels(snapshot, pool, &as_launched, &instance_type.labels);
    labels.insert(model::labels::ZONE_ID.to_owned(), offering.zone_id.clone());
    let custom = |key: &str| !model::labels::is_well_known(key) && !labels.contains_key(key);
    let broken = pool.requirements.iter().find(|(key, set)| {
        !custom(key)
            && !set.allows(labels.get(*key).map(String::as_str).filter(|value| !value.is_empty()))
    });
    if let Some((key, set)) = broken {
        findings.add(
            &launch.name,
            format!("{} does not meet {key} {set} of pool {}", wanted.instance_type, pool.name),
        );
    }
}

/// The type and the offering that a launch names.
pub(super) fn find<'a>(
    snapshot: &'a Snapshot,
    pool: &NodePool,
    wanted: &Alternative,
) -> Option<(&'a InstanceType, &'a Offering)> {
    let instance_type = snapshot
        .instance_types
        .get(&pool.instance_types)?
        .iter()
        .find(|known| known.name == wanted.instance_type)?;
    let same = |offering: &&Offering| {
        let reserved = offering.reservation.as_ref().map(|own| own.id.as_str());
        offering.zone == wanted.zone
            && offering.capacity_type == wanted.capacity_type
            && reserved == wanted.reservation.as_deref()
    };
    instance_type.offerings.iter().find(same).map(|offering| (instance_type, offering))
}

/// No reservation is planned to hold more instances than it has left.
fn check_reservations(snapshot: &Snapshot, plan: &Plan, findings: &mut Findings) {
    let mut left = BTreeMap::new();
    for instance_type in snapshot.instance_types.values().flat_map(|types| types.iter()) {
        let own = instance_type.offerings.iter().filter_map(|own| own.reservation.as_ref());
        left.extend(own.map(|own| (own.id.as_str(), i64::from(own.available))));
    }
    let waiting = snapshot.node_claims.iter().filter(|claim| claim.provider_id.is_none());
    let asked = waiting.filter_map(|claim| claim.launch.as_ref()?.offerings.first());
    let mut take = |offering: &Alternative| {
        let id = offering.reservation.as_deref()?;
        let left = left.get_mut(id)?;
        *left -= 1;
        (*left < 0).then(|| format!("would be one more than reservation {id} has left"))
    };
    for offering in asked {
        take(offering);
    }
    for launch in &plan.launches {
        take(&launch.offering).into_iter().for_each(|problem| findings.add(&launch.name, problem));
    }
}

fn check_limits(snapshot: &Snapshot, plan: &Plan, pool: &NodePool, findings: &mut Findings) {
    let launches =
        plan.launches.iter().filter(|launch| launch.node_pool == pool.name).collect::<Vec<_>>();
    if pool.limits.is_empty() || launches.is_empty() {
        return;
    }
    let mut used = Resources::new();
    let mut count = |capacity: &Resources| {
        used.add(capacity);
        used.add(&Resources::new().with("nodes", 1));
    };
    snapshot
        .nodes
        .iter()
        .filter(|node| node.pool() == Some(&pool.name))
        .for_each(|node| count(&node.capacity));
    let arrived = |claim: &&model::NodeClaim| {
        let id = claim.provider_id.as_deref().filter(|id| !id.is_empty());
        let is = |node: &model::Node| {
            claim.node_name.as_ref() == Some(&node.name) || id == Some(&*node.provider_id)
        };
        snapshot.nodes.iter().any(is)
    };
    snapshot
        .node_claims
        .iter()
        .filter(|claim| claim.pool == pool.name && !arrived(claim))
        .for_each(|claim| count(&claim.capacity));
    for launch in launches {
        if let Some((instance_type, _)) = find(snapshot, pool, &launch.offering) {
            count(&instance_type.capacity);
        }
    }
    for (name, limit) in pool.limits.iter() {
        if used.get(name.as_str()) > limit {
            findings.add(
                &pool.name,
                format!("would have {name} {} over its limit of {limit}", used.get(name.as_str())),
            );
        }
    }
}
