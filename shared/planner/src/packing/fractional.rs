//! The linear relaxation of filling one node: what fractions of which items are worth most, and what each dimension is worth.
//!
//! A simplex method with bounded variables whose basis has one row per dimension, so it is tiny.

/// Something to put in: its worth, its share of each dimension of the node, and how many there may be.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// The worth of one.
    pub(crate) value: f64,
    /// The share of the node that one takes, by dimension.
    pub(crate) share: Vec<f64>,
    /// At most so many.
    pub(crate) cap: f64,
}

/// The relaxation's optimum.
#[derive(Clone, Debug)]
pub(crate) struct Fill {
    /// How much of each part.
    pub(crate) amounts: Vec<f64>,
    /// What the whole of each dimension is worth, never negative.
    pub(crate) multipliers: Vec<f64>,
}

const TOLERANCE: f64 = 1e-9;
/// With more parts than this the simplex method starts from a greedy fill and not from nothing.
const FEW_PARTS: usize = 60;

struct Tableau<'a> {
    parts: &'a [Part],
    dimensions: usize,
    /// What is in the basis of each row: a part, or a slack (`parts.len() + dimension`).
    basis: Vec<usize>,
    amounts: Vec<f64>,
    in_basis: Vec<bool>,
    inverse: Vec<f64>,
}

/// Solves the relaxation, in a bounded number of pivots; whatever comes out, the multipliers are valid for a bound.
pub(crate) fn fill(parts: &[Part], dimensions: usize) -> Fill {
    let mut tableau = Tableau::new(parts, dimensions);
    if parts.len() > FEW_PARTS {
        tableau.crash();
    }
    for _ in 0..(20 + 6 * dimensions + parts.len() / 8) {
        let multipliers = tableau.multipliers();
        let Some((entering, rising)) = tableau.entering(&multipliers) else { break };
        tableau.enter(entering, rising);
    }
    let multipliers =
        tableau.multipliers().into_iter().map(|multiplier| multiplier.max(0.0)).collect();
    tableau.amounts.truncate(parts.len());
    Fill { amounts: tableau.amounts, multipliers }
}

impl<'a> Tableau<'a> {
    fn new(parts: &'a [Part], dimensions: usize) -> Self {
        let count = parts.len();
        let mut amounts = vec![0.0; count + dimensions];
        amounts[count..].fill(1.0);
        let mut in_basis = vec![false; count + dimensions];
        in_basis[count..].fill(true);
        let mut inverse = vec![0.0; dimensions * dimensions];
        (0..dimensions).for_each(|row| inverse[row * dimensions + row] = 1.0);
        Self {
            parts,
            dimensions,
            basis: (count..count + dimensions).collect(),
            amounts,
            in_basis,
            inverse,
        }
    }

    /// Puts in whole what a greedy fill puts in whole, at multipliers that a few rounds have balanced.
    fn crash(&mut self) {
        let mut multipliers = vec![1.0; self.dimensions];
        let mut order = (0..self.parts.len()).collect::<Vec<_>>();
        for _ in 0..6 {
            let rate = |part: &Part| {
                part.value
                    / part
                        .share
                        .iter()
                        .zip(&multipliers)
                        .map(|(share, multiplier)| share * multiplier)
                        .sum::<f64>()
                        .max(1e-12)
            };
            let rates = self.parts.iter().map(rate).collect::<Vec<_>>();
            order.sort_unstable_by(|a, b| rates[*b].total_cmp(&rates[*a]).then(a.cmp(b)));
            let used = self.put_whole(&order);
            multipliers.iter_mut().zip(used).for_each(|(multiplier, used)| {
                *multiplier = (*multiplier * (0.2 + used)).max(1e-3)
            });
        }
    }

    /// Puts in parts at their caps in the order given while they fit; returns how full each dimension is.
    fn put_whole(&mut self, order: &[usize]) -> Vec<f64> {
        let mut used = vec![0.0; self.dimensions];
        for at in order {
            let part = &self.parts[*at];
            let fits =
                used.iter().zip(&part.share).all(|(used, share)| used + share * part.cap <= 1.0);
            self.amounts[*at] = if fits { part.cap } else { 0.0 };
            if fits {
                used.iter_mut()
                    .zip(&part.share)
                    .for_each(|(used, share)| *used += share * part.cap);
            }
        }
        let slacks = &mut self.amounts[self.parts.len()..];
        slacks.iter_mut().zip(&used).for_each(|(slack, used)| *slack = 1.0 - used);
        used
    }

    fn value(&self, variable: usize) -> f64 {
        self.parts.get(variable).map_or(0.0, |part| part.value)
    }

    fn cap(&self, variable: usize) -> f64 {
        self.parts.get(variable).map_or(f64::INFINITY, |part| part.cap)
    }

    fn multipliers(&self) -> Vec<f64> {
        let mut multipliers = vec![0.0; self.dimensions];
        for (row, variable) in self.basis.iter().enumerate() {
            let value = self.value(*variable);
            for (column, multiplier) in multipliers.iter_mut().enumerate() {
                *multiplier += value * self.inverse[row * self.dimensions + column];
            }
        }
        multipliers
    }

    /// The variable that most promises to help, and whether it should rise or fall.
    fn entering(&self, multipliers: &[f64]) -> Option<(usize, bool)> {
        let mut best = (TOLERANCE, None);
        for (index, part) in
            self.parts.iter().enumerate().filter(|(index, _)| !self.in_basis[*index])
        {
            let cost = part
                .share
                .iter()
                .zip(multipliers)
                .map(|(share, multiplier)| share * multiplier)
                .sum::<f64>();
            let scale = part.share.iter().sum::<f64>().max(1e-12);
            let gain = (part.value - cost) / scale;
            let rising = self.amounts[index] < part.cap * 0.5;
            let gain = if rising { gain } else { -gain };
            if gain > best.0 * (1.0 + TOLERANCE) && gain * scale > TOLERANCE * part.value {
                best = (gain, Some((index, rising)));
            }
        }
        let slack = (0..self.dimensions).filter(|row| !self.in_basis[self.parts.len() + row]);
        let negative = slack
            .filter(|row| -multipliers[*row] > best.0)
            .min_by(|a, b| multipliers[*a].total_cmp(&multipliers[*b]));
        negative.map(|row| (self.parts.len() + row, true)).or(best.1)
    }

    fn direction(&self, variable: usize) -> Vec<f64> {
        let row = |row: usize| match self.parts.get(variable) {
            None => self.inverse[row * self.dimensions + variable - self.parts.len()],
            Some(part) => {
                let entries = &self.inverse[row * self.dimensions..(row + 1) * self.dimensions];
                entries.iter().zip(&part.share).map(|(entry, share)| entry * share).sum()
            }
        };
        (0..self.dimensions).map(row).collect()
    }

    /// Moves a variable until it or a basic one meets a bound.
    fn enter(&mut self, entering: usize, rising: bool) {
        let direction = self.direction(entering);
        let sign = if rising { 1.0 } else { -1.0 };
        let mut step = self.cap(entering);
        let mut leaving = None;
        for (row, change) in direction.iter().map(|entry| entry * sign).enumerate() {
            let variable = self.basis[row];
            let distance = if change > TOLERANCE {
                self.amounts[variable] / change
            } else if change < -TOLERANCE {
                (self.cap(variable) - self.amounts[variable]) / -change
            } else {
                continue;
            };
            if distance < step {
                step = distance.max(0.0);
                leaving = Some((row, change < 0.0));
            }
        }
        for (row, entry) in direction.iter().enumerate() {
            self.amounts[self.basis[row]] -= entry * sign * step;
        }
        self.amounts[entering] += sign * step;
        match leaving {
            None => self.amounts[entering] = if rising { self.cap(entering) } else { 0.0 },
            Some((row, at_cap)) => self.exchange(entering, row, at_cap, &direction),
        }
    }

    fn exchange(&mut self, entering: usize, row: usize, at_cap: bool, direction: &[f64]) {
        let leaving = self.basis[row];
        self.amounts[leaving] = if at_cap { self.cap(leaving) } else { 0.0 };
        self.in_basis[leaving] = false;
        self.in_basis[entering] = true;
        self.basis[row] = entering;
        let dimensions = self.dimensions;
        let pivot_row = self.inverse[row * dimensions..(row + 1) * dimensions]
            .iter()
            .map(|entry| entry / direction[row])
            .collect::<Vec<_>>();
        for (other, (entries, factor)) in
            self.inverse.chunks_exact_mut(dimensions).zip(direction).enumerate()
        {
            if other == row {
                entries.copy_from_slice(&pivot_row);
            } else {
                entries
                    .iter_mut()
                    .zip(&pivot_row)
                    .for_each(|(entry, pivoted)| *entry -= factor * pivoted);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(value: f64, share: &[f64], cap: f64) -> Part {
        Part { value, share: share.to_vec(), cap }
    }

    fn worth(parts: &[Part], fill: &Fill) -> f64 {
        parts.iter().zip(&fill.amounts).map(|(part, amount)| part.value * amount).sum()
    }

    #[test]
    fn two_dimensions_are_balanced() {
        // One part takes mostly the first dimension, the other mostly the second: the best fill mixes them.
        let parts = [part(1.0, &[0.2, 0.1], 100.0), part(1.0, &[0.1, 0.2], 100.0)];
        let fill = fill(&parts, 2);
        assert!((worth(&parts, &fill) - 20.0 / 3.0).abs() < 1e-6, "{fill:?}");
        assert!((fill.multipliers.iter().sum::<f64>() - 20.0 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn caps_are_kept() {
        let parts = [part(2.0, &[0.1], 3.0), part(1.0, &[0.1], 100.0)];
        let fill = fill(&parts, 1);
        assert!(
            (fill.amounts[0] - 3.0).abs() < 1e-9 && (fill.amounts[1] - 7.0).abs() < 1e-6,
            "{fill:?}"
        );
    }
}
