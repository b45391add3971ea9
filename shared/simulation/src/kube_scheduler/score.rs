//! Scores: which of the possible nodes is best, from 0 to 100 for each rule, weighted as in the default profile.

use super::cache::{CachedNode, ClassId, KnownClass, NodeId, SchedulerCache};
use super::topology::{domain_counts, spread_selector};
use model::Effect;
use model::pod::WhenUnsatisfiable;
use model::taints::tolerates;

const MAX: i64 = 100;
/// Weights of the default profile (kube-scheduler, `getDefaultPlugins`).
const RESOURCES_WEIGHT: i64 = 1;
const BALANCE_WEIGHT: i64 = 1;
const SPREAD_WEIGHT: i64 = 2;
const NODE_AFFINITY_WEIGHT: i64 = 2;
const TAINT_WEIGHT: i64 = 3;

impl SchedulerCache {
    /// The sum of the weighted scores of each feasible node.
    pub(super) fn scores(&self, class: ClassId, feasible: &[NodeId]) -> Vec<i64> {
        let known = self.known(class);
        let nodes: Vec<&CachedNode> = feasible.iter().filter_map(|id| self.nodes.get(id)).collect();
        let mut scores: Vec<i64> = nodes.iter().map(|node| resource_score(known, node)).collect();
        add(&mut scores, TAINT_WEIGHT, &taint_scores(known, &nodes));
        add(&mut scores, NODE_AFFINITY_WEIGHT, &affinity_scores(known, &nodes));
        add(&mut scores, SPREAD_WEIGHT, &spread_scores(self, class, &nodes));
        scores
    }
}

fn add(scores: &mut [i64], weight: i64, more: &[i64]) {
    for (score, more) in scores.iter_mut().zip(more) {
        *score += weight * more;
    }
}

/// NodeResourcesFit with LeastAllocated, and NodeResourcesBalancedAllocation, over CPU and memory.
fn resource_score(known: &KnownClass, node: &CachedNode) -> i64 {
    let capacity = [cpu(node), memory(node)];
    let used = [node.scored_used[0] + known.scored[0], node.scored_used[1] + known.scored[1]];
    let free = |i: usize| {
        if used[i] > capacity[i] { 0 } else { (capacity[i] - used[i]) * MAX / capacity[i].max(1) }
    };
    let fraction = |i: usize| {
        (i128::from(used[i]) * 1_000_000 / i128::from(capacity[i].max(1))).min(1_000_000) as i64
    };
    let balance = MAX - (fraction(0) - fraction(1)).abs() * MAX / 2_000_000;
    RESOURCES_WEIGHT * (free(0) + free(1)) / 2 + BALANCE_WEIGHT * balance
}

fn cpu(node: &CachedNode) -> i64 {
    node.info.allocatable.get(model::resources::CPU)
}

fn memory(node: &CachedNode) -> i64 {
    node.info.allocatable.get(model::resources::MEMORY)
}

/// TaintToleration: fewer untolerated `PreferNoSchedule` taints are better.
fn taint_scores(known: &KnownClass, nodes: &[&CachedNode]) -> Vec<i64> {
    let tolerations = &known.class.spec.tolerations;
    let avoided = |node: &&CachedNode| {
        let soft = node.info.taints.iter().filter(|taint| taint.effect == Effect::PreferNoSchedule);
        soft.filter(|taint| !tolerates(tolerations, taint)).count() as i64
    };
    let counts: Vec<i64> = nodes.iter().map(avoided).collect();
    fewer_is_better(&counts)
}

/// NodeAffinity: the weights of the preferred terms that match.
fn affinity_scores(known: &KnownClass, nodes: &[&CachedNode]) -> Vec<i64> {
    let preferred = &known.class.spec.preferred_node_affinity;
    let sum = |node: &&CachedNode| {
        let matching =
            preferred.iter().filter(|term| term.term.matches(&node.info.name, &node.info.labels));
        matching.map(|term| i64::from(term.weight)).sum::<i64>()
    };
    let sums: Vec<i64> = nodes.iter().map(sum).collect();
    let most = sums.iter().copied().max().unwrap_or(0);
    sums.into_iter().map(|sum| if most == 0 { 0 } else { sum * MAX / most }).collect()
}

/// PodTopologySpread: emptier domains are better for `ScheduleAnyway` constraints.
fn spread_scores(cache: &SchedulerCache, class: ClassId, nodes: &[&CachedNode]) -> Vec<i64> {
    let known = cache.known(class);
    let constraints = known.class.spec.topology_spread.iter();
    let soft: Vec<_> = constraints
        .filter(|spread| spread.when_unsatisfiable == WhenUnsatisfiable::ScheduleAnyway)
        .collect();
    if soft.is_empty() {
        return vec![0; nodes.len()];
    }
    let mut totals = vec![0; nodes.len()];
    for spread in soft {
        let counts = domain_counts(cache, class, spread, &spread_selector(&known.class, spread));
        for (total, node) in totals.iter_mut().zip(nodes) {
            let domain = node.info.labels.get(&spread.topology_key);
            *total += domain.and_then(|domain| counts.get(domain.as_str())).copied().unwrap_or(0);
        }
    }
    fewer_is_better(&totals)
}

fn fewer_is_better(counts: &[i64]) -> Vec<i64> {
    let most = counts.iter().copied().max().unwrap_or(0);
    counts.iter().map(|count| if most == 0 { MAX } else { (most - count) * MAX / most }).collect()
}
