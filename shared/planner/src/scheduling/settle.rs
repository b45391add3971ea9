//! Which zone, instance type and pool a node is of where they cost the same: what its pods would rather have, the newest generation,
//! then the zone with the fewest pods of the same kinds and the fewest nodes.
//!
//! Soft rules are honoured here, where that costs nothing. Preferences among the nodes of a zone are the kube-scheduler's own.

use super::buy::{Bought, Market};
use super::candidates::Candidate;
use super::dimensions::{fits, take};
use crate::packing::bitset::Bitset;
use model::pod::WhenUnsatisfiable;
use model::{Effect, PodSpec, Taint, labels};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Moves nodes between equal offerings of different zones and pools.
pub(crate) fn settle(market: &Market<'_, '_>, nodes: &mut [Bought<'_>]) {
    let mut pods_in: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    let mut nodes_in = vec![0_usize; market.candidates.zones.len()];
    let mut twins: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for node in nodes {
        let equal =
            twins.entry(node.candidate).or_insert_with_key(|chosen| equals(market, *chosen));
        let possible = possible(market, node, equal);
        let rank = |candidate: &usize| rank(market, node, *candidate, &pods_in, &nodes_in);
        node.candidate = possible.into_iter().min_by_key(rank).unwrap_or(node.candidate);
        let zone = market.candidates.list[node.candidate].zone;
        nodes_in[zone] += 1;
        for (class, _, _) in &node.pods {
            *pods_in.entry((*class, zone)).or_default() += 1;
        }
    }
}

/// The candidates that cost what the chosen one does: in another zone, of another type where no limit counts what types have,
/// of another pool where pools are of equal rank and unlimited.
fn equals(market: &Market<'_, '_>, chosen: usize) -> Vec<usize> {
    let own = &market.candidates.list[chosen];
    let pools = &market.candidates.pools;
    let unlimited = |pool: usize| pools[pool].limits.is_empty();
    let interchangeable = |pool: usize| {
        let alike = pools[pool].weight == pools[own.pool].weight;
        pool == own.pool || (alike && unlimited(pool) && unlimited(own.pool))
    };
    let equal = |other: &Candidate<'_>| {
        interchangeable(other.pool)
            && (other.instance_type.name == own.instance_type.name || unlimited(own.pool))
            && other.offering.capacity_type == own.offering.capacity_type
            && other.offering.price == own.offering.price
            && other.reservation() == own.reservation()
            && other.chosen == own.chosen
    };
    let list = &market.candidates.list;
    (0..list.len()).filter(|at| equal(&list[*at])).collect()
}

/// Those of `equal` that hold the node's pods, where each of them may be.
fn possible(market: &Market<'_, '_>, node: &Bought<'_>, equal: &[usize]) -> Vec<usize> {
    if equal.len() < 2 {
        return equal.to_vec();
    }
    let mut total = vec![0_i64; market.candidates.list[node.candidate].usable.len()];
    let mut allowed = Bitset::full(market.candidates.list.len());
    let mut last = None;
    for (class, zone, _) in &node.pods {
        take(&mut total, &market.classes[*class].size, -1);
        if last != Some((class, zone)) {
            allowed.intersect(&market.fitting_in(*class, *zone));
            last = Some((class, zone));
        }
    }
    let holds =
        |at: &usize| allowed.contains(*at) && fits(&total, &market.candidates.list[*at].usable);
    equal.iter().copied().filter(holds).collect()
}

/// How well a candidate suits, the least is the best: preferences met (more is better), pods of the same kinds that should be apart,
/// generation (newer is better), pods of the same kinds, nodes; then the order of candidates.
type Rank = (Reverse<i64>, usize, Reverse<i64>, usize, usize, usize);

fn rank(
    market: &Market<'_, '_>,
    node: &Bought<'_>,
    candidate: usize,
    pods_in: &BTreeMap<(usize, usize), usize>,
    nodes_in: &[usize],
) -> Rank {
    let zone = market.candidates.list[candidate].zone;
    let (mut preferred, mut crowd, mut alike) = (0_i64, 0_usize, 0_usize);
    let mut last = None;
    for (class, _, _) in &node.pods {
        let spec = market.classes[*class].spec;
        preferred += preference(market, spec, candidate);
        if last != Some(class) {
            let there = pods_in.get(&(*class, zone)).copied().unwrap_or(0);
            alike += there;
            crowd += if spreads_softly(spec) { there } else { 0 };
        }
        last = Some(class);
    }
    let generation = Reverse(generation(market, candidate));
    (Reverse(preferred), crowd, generation, alike, nodes_in[zone], candidate)
}

fn generation(market: &Market<'_, '_>, candidate: usize) -> i64 {
    let of = &market.candidates.list[candidate].instance_type.labels;
    let told = of.get(labels::INSTANCE_GENERATION);
    told.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn preference(market: &Market<'_, '_>, spec: &PodSpec, candidate: usize) -> i64 {
    let candidate = &market.candidates.list[candidate];
    let met = |requirement: &model::Requirement| {
        requirement.value_set().allows(market.candidates.label(candidate, &requirement.key))
    };
    let terms = spec
        .preferred_node_affinity
        .iter()
        .filter(|preferred| preferred.term.requirements.iter().all(met));
    let weights = terms.map(|preferred| i64::from(preferred.weight)).sum::<i64>();
    let avoided = |taint: &&Taint| {
        taint.effect == Effect::PreferNoSchedule
            && !model::taints::tolerates(&spec.tolerations, taint)
    };
    let taints = &market.candidates.pools[candidate.pool].taints;
    weights - 100 * taints.iter().filter(avoided).count() as i64
}

/// Whether the pod would rather not share a zone with its like.
fn spreads_softly(spec: &PodSpec) -> bool {
    let zonal = |key: &str| labels::normalize(key) == labels::ZONE;
    let mut spreads = spec
        .topology_spread
        .iter()
        .filter(|spread| spread.when_unsatisfiable == WhenUnsatisfiable::ScheduleAnyway);
    spreads.any(|spread| zonal(&spread.topology_key))
        || spec.preferred_pod_anti_affinity.iter().any(|anti| zonal(&anti.term.topology_key))
}
