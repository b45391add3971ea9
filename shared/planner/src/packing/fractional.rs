//! The linear relaxation of filling one node: what fractions of which items are worth most, and what each dimension is worth.
//!
//! A simplex method with bounded variables whose basis has one row per dimension, so it is tiny.

/// What there is to put in: the worth of each, its share of each dimension of the node, and how many there may be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts {
    dimensions: usize,
    /// By part, the worth of one.
    values: Vec<f64>,
    /// By part and dimension, the share of the node that one takes.
    shares: Vec<f64>,
    /// By part, the sum of its shares.
    sums: Vec<f64>,
    /// By part, at most so many.
    caps: Vec<f64>,
}

impl Parts {
    /// Nothing to put into a node of so many dimensions.
    pub(crate) fn new(dimensions: usize) -> Self {
        Self { dimensions, ..Self::default() }
    }

    /// Adds a part.
    pub(crate) fn push(&mut self, value: f64, share: impl Iterator<Item = f64>, cap: f64) {
        let from = self.shares.len();
        self.shares.extend(share);
        self.sums.push(self.shares[from..].iter().sum());
        self.values.push(value);
        self.caps.push(cap);
    }

    /// How many parts there are.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    fn share(&self, part: usize) -> &[f64] {
        &self.shares[part * self.dimensions..(part + 1) * self.dimensions]
    }

    /// What a part weighs if a whole node weighs so much in each dimension.
    pub(crate) fn weight(&self, part: usize, multipliers: &[f64]) -> f64 {
        self.share(part).iter().zip(multipliers).map(|(share, multiplier)| share * multiplier).sum()
    }
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
    parts: &'a Parts,
    dimensions: usize,
    /// What is in the basis of each row: a part, or a slack (`parts.len() + dimension`).
    basis: Vec<usize>,
    amounts: Vec<f64>,
    in_basis: Vec<bool>,
    inverse: Vec<f64>,
}

/// Solves the relaxation, in a bounded number of pivots; whatever comes out, the multipliers are valid for a bound.
pub(crate) fn fill(parts: &Parts) -> Fill {
    let dimensions = parts.dimensions;
    let mut tableau = Tableau::new(parts);
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
    fn new(parts: &'a Parts) -> Self {
        let (count, dimensions) = (parts.len(), parts.dimensions);
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
            let parts = self.parts;
            let rate =
                |part: usize| parts.values[part] / parts.weight(part, &multipliers).max(1e-12);
            let rates = (0..parts.len()).map(rate).collect::<Vec<_>>();
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
            let (share, cap) = (self.parts.share(*at), self.parts.caps[*at]);
            let fits = used.iter().zip(share).all(|(used, share)| used + share * cap <= 1.0);
            self.amounts[*at] = if fits { cap } else { 0.0 };
            if fits {
                used.iter_mut().zip(share).for_each(|(used, share)| *used += share * cap);
            }
        }
        let slacks = &mut self.amounts[self.parts.len()..];
        slacks.iter_mut().zip(&used).for_each(|(slack, used)| *slack = 1.0 - used);
        used
    }

    fn value(&self, variable: usize) -> f64 {
        self.parts.values.get(variable).copied().unwrap_or(0.0)
    }

    fn cap(&self, variable: usize) -> f64 {
        self.parts.caps.get(variable).copied().unwrap_or(f64::INFINITY)
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
        for index in (0..self.parts.len()).filter(|index| !self.in_basis[*index]) {
            let value = self.parts.values[index];
            let worth = value - self.parts.weight(index, multipliers);
            let scale = self.parts.sums[index].max(1e-12);
            let rising = self.amounts[index] < self.parts.caps[index] * 0.5;
            let worth = if rising { worth } else { -worth };
            // Divisions are dear: most parts are not worth one.
            if worth <= TOLERANCE * value || worth <= best.0 * scale {
                continue;
            }
            let gain = worth / scale;
            if gain > best.0 * (1.0 + TOLERANCE) {
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
        let count = self.parts.len();
        let row = |row: usize| match variable.checked_sub(count) {
            Some(slack) => self.inverse[row * self.dimensions + slack],
            None => {
                let entries = &self.inverse[row * self.dimensions..(row + 1) * self.dimensions];
                self.parts.weight(variable, entries)
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

    fn parts(dimensions: usize, all: &[(f64, &[f64], f64)]) -> Parts {
        let mut parts = Parts::new(dimensions);
        all.iter().for_each(|(value, share, cap)| parts.push(*value, share.iter().copied(), *cap));
        parts
    }

    fn worth(parts: &Parts, fill: &Fill) -> f64 {
        parts.values.iter().zip(&fill.amounts).map(|(value, amount)| value * amount).sum()
    }

    #[test]
    fn two_dimensions_are_balanced() {
        // One part takes mostly the first dimension, the other mostly the second: the best fill mixes them.
        let parts = parts(2, &[(1.0, &[0.2, 0.1], 100.0), (1.0, &[0.1, 0.2], 100.0)]);
        let fill = fill(&parts);
        assert!((worth(&parts, &fill) - 20.0 / 3.0).abs() < 1e-6, "{fill:?}");
        assert!((fill.multipliers.iter().sum::<f64>() - 20.0 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn caps_are_kept() {
        let parts = parts(1, &[(2.0, &[0.1], 3.0), (1.0, &[0.1], 100.0)]);
        let fill = fill(&parts);
        assert!(
            (fill.amounts[0] - 3.0).abs() < 1e-9 && (fill.amounts[1] - 7.0).abs() < 1e-6,
            "{fill:?}"
        );
    }
}
