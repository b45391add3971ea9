//! Nodes that are not what their pool and class would make today.

use super::eligibility::Candidate;
use crate::view::{View, instance_id};
use model::disruption::Drift;
use model::pool::{ApiVersion, NodeClass};
use model::{CapacityType, Duration, Instance, NodeClaim, NodePool, Timestamp, labels};

/// A type is missed only in nodes that are older than this many seconds: the catalog may just be new (karpenter core, `drift.go`).
const TYPE_SETTLED_S: i64 = 3600;

/// Why the node has drifted, if it has. What was not asked of AWS is not drift. Pools of the legacy API drift only when
/// they are rotated: there drift was behind a gate that was off (karpenter v0.31, `driftEnabled`).
pub(super) fn drift(view: &View<'_>, candidate: &Candidate<'_>) -> Option<Drift> {
    let pool = candidate.pool;
    if pool.problem.is_some() {
        return None;
    }
    let claim = candidate.claim?;
    let rotated = rotated(pool, claim).then_some(Drift::Rotated);
    if rotated.is_some() || pool.api_version == ApiVersion::Legacy {
        return rotated;
    }
    let class = view.snapshot.node_classes.iter().find(|class| class.name == pool.node_class);
    let class = class.filter(|class| class.problem.is_none());
    by_hash(pool, class, claim)
        .or_else(|| by_requirements(candidate))
        .or_else(|| type_missing(view, pool, claim).then_some(Drift::InstanceTypeNotFound))
        .or_else(|| {
            by_class(claim, class?, view.instance(instance_id(claim.provider_id.as_deref()?))?)
        })
}

fn rotated(pool: &NodePool, claim: &NodeClaim) -> bool {
    let before = |at: Timestamp| claim.created_at.is_some_and(|made| made < at);
    pool.disruption.rotate_before.is_some_and(before)
}

fn by_hash(pool: &NodePool, class: Option<&NodeClass>, claim: &NodeClaim) -> Option<Drift> {
    if differs(claim.pool_hash.as_deref(), pool.hash.as_deref()) {
        return Some(Drift::NodePoolDrifted);
    }
    let of_class = class.and_then(|class| class.hash.as_deref());
    differs(claim.class_hash.as_deref(), of_class).then_some(Drift::NodeClassDrifted)
}

/// Hashes of different versions were made in different ways and say nothing of each other.
fn differs(then: Option<&str>, now: Option<&str>) -> bool {
    let (Some((then_version, then)), Some((now_version, now))) =
        (then.and_then(|hash| hash.split_once('/')), now.and_then(|hash| hash.split_once('/')))
    else {
        return false;
    };
    then_version == now_version && then != now
}

/// A label that the pool would not allow today. A label of the instance that the node happens not to carry is no drift.
fn by_requirements(candidate: &Candidate<'_>) -> Option<Drift> {
    let claim = candidate.claim?;
    let known = |key: &str| candidate.node.label(key).or(claim.labels.get(key).map(String::as_str));
    let refused = candidate.pool.requirements.iter().find(|(key, set)| match known(key) {
        Some(value) => !set.allows(Some(value)),
        None => !labels::is_well_known(key) && !set.allows(None),
    });
    refused.map(|(key, _)| Drift::RequirementsDrifted { key: key.to_owned() })
}

fn type_missing(view: &View<'_>, pool: &NodePool, claim: &NodeClaim) -> bool {
    let old = claim.created_at.map(|at| view.snapshot.now.since(at));
    let types = view.snapshot.instance_types.get(&pool.instance_types);
    let (Some(types), Some(name)) = (types, claim.instance_type.as_deref()) else { return false };
    let zone = claim.zone.as_deref();
    let offered = |known: &model::InstanceType| {
        known.name == name
            && known.offerings.iter().any(|offering| zone.is_none_or(|zone| offering.zone == zone))
    };
    let settled = old >= Some(Duration(TYPE_SETTLED_S));
    settled && !types.is_empty() && !types.iter().any(offered)
}

/// What the class selects now, as far as AWS was asked. An instance that was bought on demand and fell into an open reservation by itself
/// is none of the class's reservations.
fn by_class(claim: &NodeClaim, class: &NodeClass, instance: &Instance) -> Option<Drift> {
    let lost = |ids: Option<&Vec<String>>, own: &String| {
        ids.is_some_and(|ids| !ids.is_empty() && !own.is_empty() && !ids.contains(own))
    };
    if lost(class.image_ids.as_ref(), &instance.image_id) {
        return Some(Drift::ImageDrifted);
    }
    if lost(class.subnet_ids.as_ref(), &instance.subnet_id) {
        return Some(Drift::SubnetDrifted);
    }
    let reserved = instance.reservation_id.as_ref();
    let reserved = reserved.filter(|_| claim.capacity_type == Some(CapacityType::Reserved));
    if reserved.is_some_and(|own| lost(class.reservation_ids.as_ref(), own)) {
        return Some(Drift::CapacityReservationDrifted);
    }
    let group = class.placement_group.iter().any(|named| !instance.placement_group.contains(named));
    if group || (class.placement_group.is_none() && !instance.placement_group.is_empty()) {
        return Some(Drift::PlacementGroupDrifted);
    }
    let mut own = instance.security_group_ids.clone();
    own.sort();
    let other = |ids: &&Vec<String>| !ids.is_empty() && !own.is_empty() && **ids != own;
    class.security_group_ids.as_ref().filter(other).map(|_| Drift::SecurityGroupDrifted)
}
