//! Ruin and recreate: take a few nodes away, pack their pods again, keep what is cheaper.
//!
//! The choices come from a generator with a fixed seed, so that the same problem gives the same packing.

use super::greedy::shrink;
use super::problem::{Load, Packed, Pattern, Problem, Work};

/// A small generator of numbers that look random (splitmix64).
pub(crate) struct Sequence(u64);

impl Sequence {
    /// The sequence of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which must not be zero.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// A factor between `1 - spread` and `1 + spread`.
    fn factor(&mut self, spread: f64) -> f64 {
        1.0 + spread * ((self.next() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0)
    }
}

/// With fewer nodes than this, any kind may turn out to be of use.
const FEW_NODES: usize = 8;

/// Kinds that are tried for each node, at most: those that give most for their price, and those in use.
const MOST_KINDS: usize = 64;
/// Of those, so many are tried for one node, others for the next.
const KINDS_OF_A_NODE: usize = 16;
/// The part of the work in which nothing may be gained, for each part that the price is above its bound.
const IDLE: f64 = 4.0;
/// That part at most.
const MOST_IDLE: f64 = 0.1;

/// What recreation needs to know of every kind.
struct Guide<'a> {
    problem: &'a Problem,
    values: &'a [f64],
    /// Kinds that were worth their price in the relaxation.
    kinds: Vec<usize>,
    /// For each of them, the items by value per weight.
    orders: Vec<Vec<usize>>,
}

/// Improves the packing until the work is spent or the bound is reached.
pub(crate) fn improve(
    problem: &Problem,
    nodes: &mut Vec<Packed>,
    values: &[f64],
    bound: u64,
    work: &mut Work,
) {
    if nodes.is_empty() {
        return;
    }
    let guide = Guide::new(problem, nodes, values);
    let mut sequence = Sequence::new(0x4A4F_494E_4552);
    let mut price = problem.price(nodes);
    let mut idle = 0;
    let all = work.hundredths(100);
    let mut gained_at = *work;
    while work.remains() && price > bound && idle < patience(nodes.len()) {
        // The nearer the packing is to its bound, the less is there to be gained.
        let gap = (price - bound) as f64 / bound.max(1) as f64;
        if work.spent_since(gained_at) as f64 > all as f64 * (gap * IDLE).min(MOST_IDLE) {
            break;
        }
        work.spend(problem.items.len());
        idle += 1;
        let ruined = ruin(nodes, &mut sequence);
        let old = ruined.iter().map(|at| problem.kinds[nodes[*at].kind].price).sum::<u64>();
        let mut left = vec![0; problem.items.len()];
        for (item, count) in ruined.iter().flat_map(|at| &nodes[*at].pattern) {
            left[*item] += count;
        }
        let recreated = guide.recreate(left, old, &mut sequence, work);
        if let Some((new, recreated)) = recreated.filter(|(new, _)| *new <= old) {
            if new < old {
                (idle, gained_at) = (0, *work);
            }
            price = price - old + new;
            replace(nodes, ruined, recreated);
        }
    }
}

/// How many rounds in a row may bring nothing: the more nodes, the more choices there are to try.
fn patience(nodes: usize) -> usize {
    3000 + 200 * nodes
}

/// Up to five nodes, by index, ascending.
fn ruin(nodes: &[Packed], sequence: &mut Sequence) -> Vec<usize> {
    let most = nodes.len().min(5);
    let size = 1 + sequence.below(most);
    let mut chosen = (0..size).map(|_| sequence.below(nodes.len())).collect::<Vec<_>>();
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

fn replace(nodes: &mut Vec<Packed>, ruined: Vec<usize>, recreated: Vec<Packed>) {
    for at in ruined.into_iter().rev() {
        nodes.swap_remove(at);
    }
    nodes.extend(recreated);
}

impl<'a> Guide<'a> {
    fn new(problem: &'a Problem, nodes: &[Packed], values: &'a [f64]) -> Self {
        let mut guide = Self { problem, values, kinds: Vec::new(), orders: Vec::new() };
        let used = nodes.iter().map(|node| node.kind).collect::<std::collections::BTreeSet<_>>();
        let all = (0..problem.items.len()).filter(|item| problem.items[*item].count > 0);
        let all = all.collect::<Vec<_>>();
        let counts = problem.items.iter().map(|item| item.count).collect::<Vec<_>>();
        let mut useful = Vec::new();
        for kind in 0..problem.kinds.len() {
            let order = guide.order(kind, &all);
            let full = guide.fill(&mut Load::new(problem, kind), &order, &counts, None);
            let rate = guide.worth(&full) / problem.kinds[kind].price.max(1) as f64;
            if nodes.len() < FEW_NODES || used.contains(&kind) || rate > 0.9 {
                useful.push((used.contains(&kind), rate, kind, order));
            }
        }
        useful.sort_by(|a, b| (b.0.cmp(&a.0)).then(b.1.total_cmp(&a.1)).then(a.2.cmp(&b.2)));
        useful.truncate(MOST_KINDS);
        useful.sort_by_key(|(_, _, kind, _)| *kind);
        for (_, _, kind, order) in useful {
            guide.kinds.push(kind);
            guide.orders.push(order);
        }
        guide
    }

    /// The items by value per share of the node that they take.
    fn order(&self, kind: usize, items: &[usize]) -> Vec<usize> {
        let capacity = &self.problem.kinds[kind].capacity;
        let weight = |item: usize| {
            let shares = self.problem.items[item]
                .size
                .iter()
                .zip(capacity)
                .map(|(size, capacity)| *size as f64 / (*capacity).max(1) as f64);
            shares.fold((0.0_f64, 0.0_f64), |(sum, most), share| (sum + share, most.max(share)))
        };
        let rate = |item: usize| {
            let (sum, most) = weight(item);
            self.values[item] / (sum + most).max(1e-12)
        };
        let allowed = items.iter().copied().filter(|item| self.problem.alone(kind, *item) > 0);
        let mut rated = allowed.map(|item| (rate(item), item)).collect::<Vec<_>>();
        rated.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        rated.into_iter().map(|(_, item)| item).collect()
    }

    fn worth(&self, pattern: &Pattern) -> f64 {
        pattern.iter().map(|(item, count)| self.values[*item] * f64::from(*count)).sum()
    }

    /// Fills an empty node in the order given, now and then taking fewer than fit.
    fn fill(
        &self,
        load: &mut Load<'_>,
        order: &[usize],
        left: &[u32],
        mut sequence: Option<&mut Sequence>,
    ) -> Pattern {
        let mut pattern = Pattern::new();
        for item in order.iter().filter(|item| left[**item] > 0) {
            if !load.takes(*item) {
                continue;
            }
            let mut count = load.room(*item).min(left[*item]);
            if let Some(sequence) = sequence.as_mut().filter(|_| count > 0)
                && sequence.below(8) == 0
            {
                count = sequence.below(count as usize + 1) as u32;
            }
            if count > 0 {
                load.take(*item, count);
                pattern.push((*item, count));
            }
        }
        self.top_up(load, order, left, &mut pattern);
        pattern
    }

    /// Puts in what still fits after some items were passed over.
    fn top_up(&self, load: &mut Load<'_>, order: &[usize], left: &[u32], pattern: &mut Pattern) {
        for item in order.iter().filter(|item| left[**item] > 0) {
            if !load.takes(*item) {
                continue;
            }
            let at = pattern.iter().position(|(other, _)| other == item);
            let taken = at.map_or(0, |at| pattern[at].1);
            let count = load.room(*item).min(left[*item] - taken);
            if count > 0 {
                load.take(*item, count);
                match at {
                    Some(at) => pattern[at].1 += count,
                    None => pattern.push((*item, count)),
                }
            }
        }
    }

    /// Packs the items anew for at most `budget`: greedily, and ending at each step with the one node that holds all the rest.
    fn recreate(
        &self,
        mut left: Vec<u32>,
        budget: u64,
        sequence: &mut Sequence,
        work: &mut Work,
    ) -> Option<(u64, Vec<Packed>)> {
        let (mut nodes, mut price): (Vec<Packed>, u64) = (Vec::new(), 0);
        let mut best: Option<(u64, Vec<Packed>)> = None;
        loop {
            let rest = left
                .iter()
                .enumerate()
                .filter(|(_, count)| **count > 0)
                .map(|(item, count)| (item, *count))
                .collect::<Pattern>();
            let kinds = self.kinds.len().min(KINDS_OF_A_NODE);
            work.spend(64 + left.len() + kinds * (rest.len() + 4) * 6);
            if rest.is_empty() {
                return closer(best, (price, nodes));
            }
            if let Some(kind) =
                self.problem.cheapest(&rest).filter(|kind| self.problem.holds(*kind, &rest))
            {
                let mut finished = nodes.clone();
                finished.push(Packed { kind, pattern: rest.clone() });
                best = closer(best, (price + self.problem.kinds[kind].price, finished));
            }
            if price as f64 + self.worth(&rest) * 0.999 > budget as f64 {
                return best;
            }
            let Some(node) = self.next(&rest, &left, sequence) else { return best };
            price += self.problem.kinds[node.kind].price;
            node.pattern.iter().for_each(|(item, count)| left[*item] -= count);
            nodes.push(node);
        }
    }

    /// The node with the most value for its price, within a few per cent of chance.
    fn next(&self, rest: &Pattern, left: &[u32], sequence: &mut Sequence) -> Option<Packed> {
        let wanted = rest.iter().map(|(item, _)| *item).collect::<Vec<_>>();
        // Mostly by value, now and then almost by chance: what looks poor alone may go well with the rest.
        let spread = if sequence.below(4) == 0 { 0.3 } else { 0.03 };
        let mut best: Option<(f64, Packed)> = None;
        let mut load = Load::new(self.problem, self.kinds.first().copied()?);
        let from = sequence.below(self.kinds.len());
        let step = self.kinds.len().div_ceil(KINDS_OF_A_NODE);
        for at in (0..self.kinds.len()).step_by(step) {
            let at = (from + at) % self.kinds.len();
            let (kind, order) = (&self.kinds[at], &self.orders[at]);
            let short;
            let order = if wanted.len() * 4 < order.len() {
                short = self.order(*kind, &wanted);
                &short
            } else {
                order
            };
            load.reset(*kind);
            let mut pattern = self.fill(&mut load, order, left, Some(sequence));
            if pattern.is_empty() {
                continue;
            }
            let rate = self.worth(&pattern) / self.problem.kinds[*kind].price.max(1) as f64
                * sequence.factor(spread);
            if best.as_ref().is_none_or(|(other, _)| rate > *other) {
                pattern.sort_unstable();
                best = Some((rate, Packed { kind: *kind, pattern }));
            }
        }
        best.map(|(_, node)| shrink(self.problem, node))
    }
}

fn closer(
    best: Option<(u64, Vec<Packed>)>,
    next: (u64, Vec<Packed>),
) -> Option<(u64, Vec<Packed>)> {
    match best {
        Some(best) if best.0 <= next.0 => Some(best),
        Some(_) | None => Some(next),
    }
}
