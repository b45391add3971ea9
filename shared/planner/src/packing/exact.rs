//! Few pods: the best packing by trying every part of them on its cheapest node.

use super::problem::{Packed, Pattern, Problem};

/// All parts of the items, numbered like the digits of a number whose places are the items.
struct Parts {
    /// By item, its count.
    counts: Vec<u32>,
    /// By item, the weight of its place.
    places: Vec<usize>,
    total: usize,
}

/// The cheapest packing, if there are at most `most` ways to choose some of the pods; it is then also its own bound.
pub(crate) fn solve_exactly(problem: &Problem, most: usize) -> Option<Vec<Packed>> {
    let parts = Parts::new(problem, most)?;
    let alone =
        (0..parts.total).map(|part| cheapest(problem, &parts.pattern(part))).collect::<Vec<_>>();
    let mut best: Vec<Option<(u64, usize)>> = vec![None; parts.total];
    best[0] = Some((0, 0));
    for part in 1..parts.total {
        best[part] = parts.best_split(part, &alone, &best);
    }
    let mut nodes = Vec::new();
    let mut rest = parts.total - 1;
    while rest > 0 {
        let (_, node) = best[rest]?;
        let (_, kind) = alone[node]?;
        nodes.push(Packed { kind, pattern: parts.pattern(node) });
        rest -= node;
    }
    Some(nodes)
}

/// The price and kind of the cheapest node for all of the pattern.
fn cheapest(problem: &Problem, pattern: &Pattern) -> Option<(u64, usize)> {
    let kind = problem.cheapest(pattern).filter(|kind| problem.holds(*kind, pattern))?;
    Some((problem.kinds[kind].price, kind))
}

impl Parts {
    fn new(problem: &Problem, most: usize) -> Option<Self> {
        let counts = problem.items.iter().map(|item| item.count).collect::<Vec<_>>();
        let mut places = Vec::with_capacity(counts.len());
        let mut total = 1_usize;
        for count in &counts {
            places.push(total);
            total = total.checked_mul(*count as usize + 1).filter(|total| *total <= most)?;
        }
        Some(Self { counts, places, total })
    }

    fn digit(&self, part: usize, item: usize) -> usize {
        part / self.places[item] % (self.counts[item] as usize + 1)
    }

    fn pattern(&self, part: usize) -> Pattern {
        let digits = (0..self.counts.len()).map(|item| (item, self.digit(part, item) as u32));
        digits.filter(|(_, count)| *count > 0).collect()
    }

    /// The cheapest first node and what it leaves, which must hold one of the first item at least.
    fn best_split(
        &self,
        part: usize,
        alone: &[Option<(u64, usize)>],
        best: &[Option<(u64, usize)>],
    ) -> Option<(u64, usize)> {
        let first = (0..self.counts.len()).find(|item| self.digit(part, *item) > 0)?;
        let mut found: Option<(u64, usize)> = None;
        self.each_within(part, 0, 0, &mut |node| {
            if self.digit(node, first) == 0 {
                return;
            }
            if let (Some((price, _)), Some((rest, _))) = (alone[node], best[part - node]) {
                let next = (price + rest, node);
                found = Some(found.map_or(next, |found| found.min(next)));
            }
        });
        found
    }

    /// Calls `visit` with every part of `part`.
    fn each_within(&self, part: usize, item: usize, chosen: usize, visit: &mut dyn FnMut(usize)) {
        if item == self.counts.len() {
            return visit(chosen);
        }
        for digit in 0..=self.digit(part, item) {
            self.each_within(part, item + 1, chosen + digit * self.places[item], visit);
        }
    }
}
