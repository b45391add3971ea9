//! More shapes than column generation can take as rows: similar items are packed as one shape first, and then made exact.

use super::bitset::Bitset;
use super::columns;
use super::dive::dive;
use super::greedy::{pack, shrink};
use super::problem::{Item, Load, Packed, Pattern, Problem, Work};
use std::collections::BTreeMap;

/// Items that are treated as one shape.
struct Cluster {
    /// Its items; each stands as often as it counts, large and small ones in turn.
    members: Vec<usize>,
    /// The mean size of its items.
    mean: Vec<i64>,
}

/// A packing of many shapes, and the values that it suggests for the items.
pub(crate) fn solve_coarsely(
    problem: &Problem,
    most_clusters: usize,
    work: &mut Work,
) -> (Vec<Packed>, Vec<f64>) {
    let clusters = clusters(problem, most_clusters);
    let coarse = coarse_problem(problem, &clusters);
    let counts = coarse.items.iter().map(|item| item.count).collect::<Vec<_>>();
    let relaxation = columns::relax(&coarse, &counts, &[], 60, (100, 400), &mut work.share(30));
    let values = values(problem, &clusters, &relaxation.duals);
    let planned = dive(&coarse, &counts, &relaxation, &mut work.share(40));
    let mut left = problem.items.iter().map(|item| item.count).collect::<Vec<_>>();
    let mut nodes = realise(problem, &clusters, &planned, &mut left);
    top_up(problem, &mut nodes, &mut left, &values);
    nodes.retain(|node| !node.pattern.is_empty());
    nodes.extend(pack(problem, &left, &values, 20, work));
    (nodes.into_iter().map(|node| shrink(problem, node)).collect(), values)
}

/// Groups items of the same candidates and similar sizes; steps widen until there are few enough groups.
fn clusters(problem: &Problem, most: usize) -> Vec<Cluster> {
    for steps_per_doubling in [8, 4, 3, 2, 1] {
        let mut groups: BTreeMap<(Vec<u32>, Bitset, Vec<usize>), Vec<usize>> = BTreeMap::new();
        let kinds_of = allowed_kinds(problem);
        for (index, item) in problem.items.iter().enumerate().filter(|(_, item)| item.count > 0) {
            let bucket = item.size.iter().map(|size| bucket(*size, steps_per_doubling)).collect();
            groups
                .entry((bucket, kinds_of[index].clone(), item.groups.clone()))
                .or_default()
                .push(index);
        }
        if groups.len() <= most || steps_per_doubling == 1 {
            return groups.into_values().map(|members| cluster(problem, members)).collect();
        }
    }
    Vec::new()
}

fn allowed_kinds(problem: &Problem) -> Vec<Bitset> {
    let mut kinds_of = vec![Bitset::new(problem.kinds.len()); problem.items.len()];
    for (at, kind) in problem.kinds.iter().enumerate() {
        kind.allowed.iter().for_each(|item| kinds_of[item].insert(at));
    }
    kinds_of
}

/// The step of a geometric scale on which the size lies.
fn bucket(size: i64, steps_per_doubling: u32) -> u32 {
    if size <= 0 {
        return 0;
    }
    let doublings = size.ilog2();
    let rest = (u128::from(size as u64 - (1_u64 << doublings)) * u128::from(steps_per_doubling))
        >> doublings;
    1 + doublings * steps_per_doubling + rest as u32
}

fn cluster(problem: &Problem, mut items: Vec<usize>) -> Cluster {
    items.sort_by(|a, b| problem.items[*b].size.cmp(&problem.items[*a].size).then(a.cmp(b)));
    let all = items
        .iter()
        .flat_map(|item| std::iter::repeat_n(*item, problem.items[*item].count as usize))
        .collect::<Vec<_>>();
    let mut mean = vec![0_i128; problem.dimensions];
    for item in &all {
        mean.iter_mut()
            .zip(&problem.items[*item].size)
            .for_each(|(sum, size)| *sum += i128::from(*size));
    }
    let count = all.len().max(1) as i128;
    let mean = mean.into_iter().map(|sum| (sum + count - 1).div_euclid(count) as i64).collect();
    let half = all.len().div_ceil(2);
    let (large, small) = all.split_at(half);
    let mut members = Vec::with_capacity(all.len());
    let mut small = small.iter().rev();
    for item in large {
        members.push(*item);
        members.extend(small.next());
    }
    Cluster { members, mean }
}

fn coarse_problem(problem: &Problem, clusters: &[Cluster]) -> Problem {
    let item = |cluster: &Cluster| {
        let groups = cluster
            .members
            .first()
            .map(|item| problem.items[*item].groups.clone())
            .unwrap_or_default();
        Item {
            size: cluster.mean.clone(),
            count: cluster.members.len() as u32,
            groups,
            conflicts: Vec::new(),
        }
    };
    let mut kinds = problem.kinds.clone();
    for kind in &mut kinds {
        let mut allowed = Bitset::new(clusters.len());
        let first = |cluster: &Cluster| {
            cluster.members.first().is_some_and(|item| kind.allowed.contains(*item))
        };
        clusters
            .iter()
            .enumerate()
            .filter(|(_, cluster)| first(cluster))
            .for_each(|(at, _)| allowed.insert(at));
        kind.allowed = allowed;
    }
    Problem {
        dimensions: problem.dimensions,
        items: clusters.iter().map(item).collect(),
        kinds,
        group_limits: problem.group_limits.clone(),
        conflicting: false,
    }
}

/// An item is worth its cluster's dual, in proportion to its size.
fn values(problem: &Problem, clusters: &[Cluster], duals: &[f64]) -> Vec<f64> {
    let mut values = vec![0.0; problem.items.len()];
    for (cluster, dual) in clusters.iter().zip(duals) {
        for item in &cluster.members {
            let ratios =
                problem.items[*item].size.iter().zip(&cluster.mean).filter(|(_, mean)| **mean > 0);
            let (sum, count) = ratios.fold((0.0, 0.0), |(sum, count), (size, mean)| {
                (sum + *size as f64 / *mean as f64, count + 1.0)
            });
            values[*item] = dual * sum / f64::max(count, 1.0);
        }
    }
    values
}

/// Nodes of the kinds planned, with real items for the shapes planned, where they fit.
fn realise(
    problem: &Problem,
    clusters: &[Cluster],
    planned: &[Packed],
    left: &mut [u32],
) -> Vec<Packed> {
    let mut next = vec![0; clusters.len()];
    let mut nodes = Vec::with_capacity(planned.len());
    for plan in planned {
        let mut load = Load::new(problem, plan.kind);
        let mut held: BTreeMap<usize, u32> = BTreeMap::new();
        for (cluster, count) in &plan.pattern {
            let members = &clusters[*cluster].members;
            let end = (next[*cluster] + *count as usize).min(members.len());
            for item in &members[next[*cluster]..end] {
                if load.room(*item) > 0 && left[*item] > 0 {
                    load.take(*item, 1);
                    left[*item] -= 1;
                    *held.entry(*item).or_default() += 1;
                }
            }
            next[*cluster] = end;
        }
        nodes.push(Packed { kind: plan.kind, pattern: held.into_iter().collect() });
    }
    nodes
}

/// Puts what did not fit where there is still room, the most valuable first.
fn top_up(problem: &Problem, nodes: &mut [Packed], left: &mut [u32], values: &[f64]) {
    let mut order = (0..left.len()).filter(|item| left[*item] > 0).collect::<Vec<_>>();
    order.sort_by(|a, b| values[*b].total_cmp(&values[*a]).then(a.cmp(b)));
    for node in nodes.iter_mut() {
        let mut load = Load::new(problem, node.kind);
        node.pattern.iter().for_each(|(item, count)| {
            load.take(*item, *count);
        });
        let mut more: Pattern = Vec::new();
        for item in &order {
            let count = load.room(*item).min(left[*item]);
            if count > 0 {
                load.take(*item, count);
                left[*item] -= count;
                more.push((*item, count));
            }
        }
        merge(&mut node.pattern, more);
    }
}

fn merge(pattern: &mut Pattern, more: Pattern) {
    let mut held = std::mem::take(pattern).into_iter().collect::<BTreeMap<_, _>>();
    for (item, count) in more {
        *held.entry(item).or_default() += count;
    }
    *pattern = held.into_iter().collect();
}
