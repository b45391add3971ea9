//! The packing problem: items of several sizes, kinds of nodes to put them on, and what must not share a node.

use super::bitset::Bitset;

/// A number of equal pods.
#[derive(Clone, Debug, Default)]
pub(crate) struct Item {
    /// What one takes, by dimension; never negative.
    pub(crate) size: Vec<i64>,
    /// How many there are.
    pub(crate) count: u32,
    /// The hostname groups that it counts in.
    pub(crate) groups: Vec<usize>,
    /// Items that must not share a node with it (symmetric).
    pub(crate) conflicts: Vec<usize>,
}

/// A kind of node that can be bought any number of times.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    /// What pods may use, by dimension.
    pub(crate) capacity: Vec<i64>,
    /// Micro-dollars per hour.
    pub(crate) price: u64,
    /// The items that it may hold.
    pub(crate) allowed: Bitset,
}

/// Items to be packed on nodes of the kinds given, at the least price.
#[derive(Clone, Debug, Default)]
pub(crate) struct Problem {
    /// The number of dimensions.
    pub(crate) dimensions: usize,
    /// The items.
    pub(crate) items: Vec<Item>,
    /// The kinds, none dominated by another, the cheapest first.
    pub(crate) kinds: Vec<Kind>,
    /// Hostname groups: how many of a group's items one node may hold.
    pub(crate) group_limits: Vec<u32>,
    /// Whether any item has conflicts.
    pub(crate) conflicting: bool,
}

/// What one node holds: items and how many of each, by item; never zero.
pub(crate) type Pattern = Vec<(usize, u32)>;

/// A node of a solution.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Packed {
    /// The index of its kind.
    pub(crate) kind: usize,
    /// What it holds.
    pub(crate) pattern: Pattern,
}

impl Problem {
    /// The most of `item` that one node can hold by its groups alone.
    pub(crate) fn group_cap(&self, item: usize) -> u32 {
        self.items[item]
            .groups
            .iter()
            .map(|group| self.group_limits[*group])
            .min()
            .unwrap_or(u32::MAX)
    }

    /// The most of `item` alone that a node of `kind` can hold, be there as many or not.
    pub(crate) fn alone(&self, kind: usize, item: usize) -> u32 {
        if !self.kinds[kind].allowed.contains(item) {
            return 0;
        }
        how_many(&self.kinds[kind].capacity, &self.items[item].size).min(self.group_cap(item))
    }

    /// Whether a node of `kind` can hold the pattern.
    pub(crate) fn holds(&self, kind: usize, pattern: &Pattern) -> bool {
        let mut load = Load::new(self, kind);
        pattern.iter().all(|(item, count)| load.room(*item) >= *count && load.take(*item, *count))
    }

    /// The cheapest kind that holds the pattern.
    pub(crate) fn cheapest(&self, pattern: &Pattern) -> Option<usize> {
        let total = self.total_size(pattern);
        let fits = |kind: &Kind| {
            kind.capacity.iter().zip(&total).all(|(capacity, size)| size <= capacity)
                && pattern.iter().all(|(item, _)| kind.allowed.contains(*item))
        };
        self.kinds.iter().position(fits)
    }

    /// What the pattern takes, by dimension.
    pub(crate) fn total_size(&self, pattern: &Pattern) -> Vec<i64> {
        let mut total = vec![0_i64; self.dimensions];
        for (item, count) in pattern {
            for (sum, size) in total.iter_mut().zip(&self.items[*item].size) {
                *sum = sum.saturating_add(size.saturating_mul(i64::from(*count)));
            }
        }
        total
    }

    /// The price of nodes.
    pub(crate) fn price(&self, nodes: &[Packed]) -> u64 {
        nodes.iter().map(|node| self.kinds[node.kind].price).sum()
    }
}

/// How many of `size` fit into `capacity`.
pub(crate) fn how_many(capacity: &[i64], size: &[i64]) -> u32 {
    let each = capacity
        .iter()
        .zip(size)
        .filter(|(_, size)| **size > 0)
        .map(|(capacity, size)| capacity.max(&0) / size);
    each.min().unwrap_or(i64::from(u32::MAX)).min(i64::from(u32::MAX)) as u32
}

/// The capacity that items of these sizes can use: each dimension is cut to a multiple of the sizes' greatest common divisor.
/// No packing changes by it, and bounds that fill a node fractionally become much tighter.
pub(crate) fn usable<'a>(capacity: &[i64], sizes: impl Iterator<Item = &'a [i64]>) -> Vec<i64> {
    let mut divisors = vec![0; capacity.len()];
    for size in sizes {
        divisors
            .iter_mut()
            .zip(size)
            .for_each(|(divisor, size)| *divisor = greatest_common_divisor(*divisor, *size));
    }
    capacity
        .iter()
        .zip(divisors)
        .map(
            |(capacity, divisor)| {
                if divisor > 1 { capacity - capacity.rem_euclid(divisor) } else { *capacity }
            },
        )
        .collect()
}

fn greatest_common_divisor(mut a: i64, mut b: i64) -> i64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// A node being filled: what room is left.
pub(crate) struct Load<'a> {
    problem: &'a Problem,
    kind: usize,
    /// What is left, by dimension.
    pub(crate) left: Vec<i64>,
    group_left: Vec<u32>,
    blocked: Vec<u32>,
}

impl<'a> Load<'a> {
    /// An empty node of `kind`.
    pub(crate) fn new(problem: &'a Problem, kind: usize) -> Self {
        Self {
            problem,
            kind,
            left: problem.kinds[kind].capacity.clone(),
            group_left: problem.group_limits.clone(),
            blocked: if problem.conflicting { vec![0; problem.items.len()] } else { Vec::new() },
        }
    }

    /// An empty node of another kind.
    pub(crate) fn reset(&mut self, kind: usize) {
        self.kind = kind;
        self.clear();
    }

    /// Empties the node.
    pub(crate) fn clear(&mut self) {
        self.left.clone_from(&self.problem.kinds[self.kind].capacity);
        self.group_left.clone_from(&self.problem.group_limits);
        self.blocked.fill(0);
    }

    /// The problem.
    pub(crate) fn problem(&self) -> &'a Problem {
        self.problem
    }

    /// The kind of the node.
    pub(crate) fn kind(&self) -> &'a Kind {
        &self.problem.kinds[self.kind]
    }

    /// Whether one more of `item` fits.
    pub(crate) fn takes(&self, item: usize) -> bool {
        let of = &self.problem.items[item];
        self.problem.kinds[self.kind].allowed.contains(item)
            && of.size.iter().zip(&self.left).all(|(size, left)| *size <= 0 || size <= left)
            && of.groups.iter().all(|group| self.group_left[*group] > 0)
            && self.blocked.get(item).is_none_or(|count| *count == 0)
    }

    /// How many more of `item` fit.
    pub(crate) fn room(&self, item: usize) -> u32 {
        let blocked = self.blocked.get(item).is_some_and(|count| *count > 0);
        if blocked || !self.problem.kinds[self.kind].allowed.contains(item) {
            return 0;
        }
        let groups = self.problem.items[item].groups.iter().map(|group| self.group_left[*group]);
        how_many(&self.left, &self.problem.items[item].size).min(groups.min().unwrap_or(u32::MAX))
    }

    /// Puts `count` of `item` in, which must fit; always true, so that it chains.
    pub(crate) fn take(&mut self, item: usize, count: u32) -> bool {
        let (problem, amount) = (self.problem, i64::from(count));
        for (left, size) in self.left.iter_mut().zip(&problem.items[item].size) {
            *left -= size * amount;
        }
        for group in &problem.items[item].groups {
            self.group_left[*group] -= count;
        }
        for other in problem.items[item].conflicts.iter().filter(|_| count > 0) {
            self.blocked[*other] += 1;
        }
        true
    }

    /// Takes `count` of `item` out again.
    pub(crate) fn give_back(&mut self, item: usize, count: u32) {
        let (problem, amount) = (self.problem, i64::from(count));
        for (left, size) in self.left.iter_mut().zip(&problem.items[item].size) {
            *left += size * amount;
        }
        for group in &problem.items[item].groups {
            self.group_left[*group] += count;
        }
        for other in problem.items[item].conflicts.iter().filter(|_| count > 0) {
            self.blocked[*other] -= 1;
        }
    }
}

/// A bound on the work of a solution, counted in elementary steps: the same on every machine, unlike a clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    left: u64,
}

impl Work {
    /// So many steps.
    pub(crate) fn new(steps: u64) -> Self {
        Self { left: steps }
    }

    /// Spends steps; false once they have run out.
    pub(crate) fn spend(&mut self, steps: usize) -> bool {
        self.left = self.left.saturating_sub(steps as u64);
        self.left > 0
    }

    /// Whether steps are left.
    pub(crate) fn remains(&self) -> bool {
        self.left > 0
    }

    /// Sets aside a share, in hundredths, for one phase.
    pub(crate) fn share(&mut self, hundredths: u64) -> Self {
        let part = self.left / 100 * hundredths;
        self.left -= part;
        Self { left: part }
    }

    /// A share of what is left, in hundredths.
    pub(crate) fn hundredths(self, hundredths: u64) -> u64 {
        self.left / 100 * hundredths
    }

    /// The steps spent since then.
    pub(crate) fn spent_since(self, then: Self) -> u64 {
        then.left.saturating_sub(self.left)
    }

    /// Takes back what a phase did not need.
    pub(crate) fn take_back(&mut self, rest: Self) {
        self.left += rest.left;
    }
}
