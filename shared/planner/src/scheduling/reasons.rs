//! Why a class fits no candidate, pool by pool: the first thing that leaves none.

use super::candidates::{Atoms, Candidates, is_usable};
use super::classes::Class;
use super::dimensions::Dimensions;
use super::volumes::Volumes;
use crate::packing::bitset::Bitset;
use model::pod::NodeSelectorTerm;
use model::{NodePool, Operator, Reason, Requirement, Snapshot};

/// More pools than this are not told of for one pod, in a plan that may leave thousands out; `explain` tells of all.
pub(super) const MOST_POOLS: usize = 32;

/// The reasons for the first pools, by weight and name.
pub(crate) fn reasons(
    snapshot: &Snapshot,
    candidates: &Candidates<'_>,
    class: &Class<'_>,
    dimensions: &Dimensions,
    atoms: &mut Atoms,
) -> Vec<Reason> {
    let mut pools =
        snapshot.node_pools.iter().filter(|pool| pool.replicas.is_none()).collect::<Vec<_>>();
    pools.sort_by(|a, b| (-a.weight, &a.name).cmp(&(-b.weight, &b.name)));
    if pools.is_empty() {
        return vec![Reason::NoNodePool];
    }
    let mut reasons = pools
        .into_iter()
        .take(MOST_POOLS)
        .map(|pool| reason(snapshot, candidates, pool, class, dimensions, atoms))
        .collect::<Vec<_>>();
    reasons.dedup();
    reasons
}

fn reason(
    snapshot: &Snapshot,
    candidates: &Candidates<'_>,
    pool: &NodePool,
    class: &Class<'_>,
    dimensions: &Dimensions,
    atoms: &mut Atoms,
) -> Reason {
    let name = || pool.name.clone();
    let index = candidates.pools.iter().position(|candidate| candidate.name == pool.name);
    let Some(index) = index.filter(|_| is_usable(pool)) else {
        let problem = pool.problem.clone();
        return Reason::PoolNotReady { pool: name(), problem: problem.unwrap_or_default() };
    };
    if let Some(taint) = model::taints::untolerated(&pool.taints, &class.spec.tolerations) {
        return Reason::Taint { pool: name(), taint: taint.to_string() };
    }
    let mut left = candidates.of_pool[index].clone();
    if left.is_empty() {
        return Reason::NoOffering { pool: name() };
    }
    for wanted in selector(class) {
        left.intersect(atoms.get(candidates, &wanted));
        if left.is_empty() {
            return Reason::Requirements { pool: name(), wanted: wanted.to_string() };
        }
    }
    if !class.spec.node_affinity.is_empty() {
        left = meeting(candidates, &left, &class.spec.node_affinity, atoms);
        if left.is_empty() {
            let wanted = display(&class.spec.node_affinity);
            return Reason::Requirements { pool: name(), wanted };
        }
    }
    for places in &class.volumes {
        left = meeting(candidates, &left, places, atoms);
        if left.is_empty() {
            return out_of_reach(snapshot, class, places, pool);
        }
    }
    let taken = candidates.without_taken_port(&mut left, &class.spec.host_ports);
    if let Some(port) = taken.filter(|_| left.is_empty()) {
        return Reason::HostPort { pool: name(), port };
    }
    let asked = pool.min_values.first();
    match asked.filter(|_| !candidates.large_enough(&left, &class.size).is_empty()) {
        Some((key, count)) => {
            let wanted = format!("minValues: {count} values of {key} among what holds the pod");
            Reason::Requirements { pool: name(), wanted }
        }
        None => too_large(candidates, &left, class, dimensions, pool),
    }
}

/// The volume that is where the pool has no node for the pod.
fn out_of_reach(
    snapshot: &Snapshot,
    class: &Class<'_>,
    places: &[NodeSelectorTerm],
    pool: &NodePool,
) -> Reason {
    let volumes = Volumes::new(snapshot);
    let claim = class.pods.first().and_then(|pod| volumes.claim_in(pod, places));
    let problem = format!(
        "its volume is in {}, where {} has no node for the pod",
        display(places),
        pool.name
    );
    Reason::Volume { claim: claim.unwrap_or_default(), problem }
}

fn selector(class: &Class<'_>) -> Vec<Requirement> {
    class
        .spec
        .node_selector
        .iter()
        .map(|(key, value)| Requirement::new(key, Operator::In, [value.as_str()]))
        .collect()
}

fn meeting(
    candidates: &Candidates<'_>,
    left: &Bitset,
    terms: &[NodeSelectorTerm],
    atoms: &mut Atoms,
) -> Bitset {
    let mut meeting = candidates.any_of(terms, atoms);
    meeting.intersect(left);
    meeting
}

fn display(terms: &[NodeSelectorTerm]) -> String {
    let term = |term: &NodeSelectorTerm| {
        let all = term.requirements.iter().chain(&term.fields).map(Requirement::to_string);
        let all = all.collect::<Vec<_>>().join(" and ");
        if all.is_empty() { "an empty term, which matches no node".to_owned() } else { all }
    };
    terms.iter().map(term).collect::<Vec<_>>().join(", or ")
}

/// The resource of which even the largest candidate has too little; if each has enough of each, no single one has enough of all.
fn too_large(
    candidates: &Candidates<'_>,
    left: &Bitset,
    class: &Class<'_>,
    dimensions: &Dimensions,
    pool: &NodePool,
) -> Reason {
    let largest = |dimension: usize| {
        left.iter().map(|at| candidates.list[at].usable[dimension]).max().unwrap_or(0)
    };
    let short =
        (0..dimensions.len()).find(|dimension| class.size[*dimension] > largest(*dimension));
    let tightest = short.or_else(|| {
        (0..dimensions.len()).max_by_key(|dimension| {
            class.size[*dimension].saturating_mul(1000) / largest(*dimension).max(1)
        })
    });
    let dimension = tightest.unwrap_or(0);
    Reason::TooLarge {
        pool: pool.name.clone(),
        resource: dimensions.name(dimension).to_owned(),
        requested: class.size.get(dimension).copied().unwrap_or(0),
        largest: largest(dimension),
    }
}
