//! The linear relaxation over the columns known so far: how much of each pattern covers the items most cheaply.
//!
//! A revised simplex method with a dense inverse. Floating point steers the packing here and nothing else:
//! what is printed is recomputed in integers.

use super::problem::Pattern;

/// A pattern on a kind, with its price.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    /// The kind.
    pub(crate) kind: usize,
    /// What it holds.
    pub(crate) pattern: Pattern,
    /// Its price.
    pub(crate) cost: f64,
}

/// Minimise the cost of columns so that every row is covered at least as often as it demands.
pub(crate) struct Master {
    rows: usize,
    row_of_item: Vec<usize>,
    /// Columns; the first `rows` of them are the starting basis, one for each row alone.
    pub(crate) columns: Vec<Column>,
    demand: Vec<f64>,
    basis: Vec<Basic>,
    inverse: Vec<f64>,
    value: Vec<f64>,
    duals: Vec<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Basic {
    Column(usize),
    Surplus(usize),
}

const ROW_ABSENT: usize = usize::MAX;
const REDUCED_COST_TOLERANCE: f64 = 1e-7;
const PIVOT_TOLERANCE: f64 = 1e-9;

impl Master {
    /// A master over the items with demand. `starts` has one column for each of them, in their order, which holds that item alone.
    pub(crate) fn new(demand_of_item: &[u32], starts: Vec<Column>) -> Self {
        let items =
            (0..demand_of_item.len()).filter(|item| demand_of_item[*item] > 0).collect::<Vec<_>>();
        let rows = items.len();
        let mut row_of_item = vec![ROW_ABSENT; demand_of_item.len()];
        items.iter().enumerate().for_each(|(row, item)| row_of_item[*item] = row);
        // A tiny perturbation keeps the method from standing still on degenerate vertices.
        let demand = items.iter().enumerate().map(|(row, item)| {
            f64::from(demand_of_item[*item]) * (1.0 + 1e-7 * (1 + row % 17) as f64)
        });
        let mut master = Self {
            rows,
            row_of_item,
            columns: starts,
            demand: demand.collect(),
            basis: (0..rows).map(Basic::Column).collect(),
            inverse: vec![0.0; rows * rows],
            value: vec![0.0; rows],
            duals: vec![0.0; rows],
        };
        master.start();
        master
    }

    fn start(&mut self) {
        for row in 0..self.rows {
            let count =
                self.columns[row].pattern.first().map_or(1.0, |(_, count)| f64::from(*count));
            self.inverse[row * self.rows + row] = 1.0 / count;
            self.value[row] = self.demand[row] / count;
            self.duals[row] = self.columns[row].cost / count;
        }
    }

    /// The price of one more of each item, zero for items without demand.
    pub(crate) fn item_duals(&self) -> Vec<f64> {
        let dual = |row: &usize| if *row == ROW_ABSENT { 0.0 } else { self.duals[*row].max(0.0) };
        self.row_of_item.iter().map(dual).collect()
    }

    /// The cost of the best cover known.
    pub(crate) fn objective(&self) -> f64 {
        let cost = |(basic, value): (&Basic, &f64)| match basic {
            Basic::Column(column) => self.columns[*column].cost * value,
            Basic::Surplus(_) => 0.0,
        };
        self.basis.iter().zip(&self.value).map(cost).sum()
    }

    /// The columns in use and how much of each.
    pub(crate) fn solution(&self) -> Vec<(usize, f64)> {
        let used = |(basic, value): (&Basic, &f64)| match basic {
            Basic::Column(column) if *value > 1e-9 => Some((*column, *value)),
            Basic::Column(_) | Basic::Surplus(_) => None,
        };
        let mut columns = self.basis.iter().zip(&self.value).filter_map(used).collect::<Vec<_>>();
        columns.sort_by_key(|(column, _)| *column);
        columns
    }

    /// Pivots until no known column helps, or `pivots` have been made. Returns the number of elementary steps.
    pub(crate) fn optimise(&mut self, pivots: usize) -> usize {
        let mut steps = 0;
        for _ in 0..pivots {
            let entering = self.entering();
            steps += self.columns.len() * 4 + self.rows * self.rows;
            let Some((basic, reduced_cost)) = entering else { break };
            let direction = self.direction(basic);
            let Some(leaving) = self.leaving(&direction) else { break };
            self.pivot(basic, leaving, &direction, reduced_cost);
        }
        steps
    }

    fn entering(&self) -> Option<(Basic, f64)> {
        let mut best = (Basic::Column(0), -REDUCED_COST_TOLERANCE);
        for (index, column) in self.columns.iter().enumerate() {
            let reduced = self.reduced_cost(column) / column.cost.max(1.0);
            if reduced < best.1 {
                best = (Basic::Column(index), reduced);
            }
        }
        let surplus = (0..self.rows).min_by(|a, b| self.duals[*a].total_cmp(&self.duals[*b]));
        if let Some(row) = surplus.filter(|row| self.duals[*row] < -1e-6) {
            return Some((Basic::Surplus(row), self.duals[row]));
        }
        let Basic::Column(index) = best.0 else { return None };
        (best.1 < -REDUCED_COST_TOLERANCE)
            .then(|| (best.0, self.reduced_cost(&self.columns[index])))
    }

    /// The cost of a column less what its items are worth.
    pub(crate) fn reduced_cost(&self, column: &Column) -> f64 {
        let worth = |(item, count): &(usize, u32)| match self.row_of_item[*item] {
            ROW_ABSENT => 0.0,
            row => self.duals[row] * f64::from(*count),
        };
        column.cost - column.pattern.iter().map(worth).sum::<f64>()
    }

    fn direction(&self, basic: Basic) -> Vec<f64> {
        let mut direction = vec![0.0; self.rows];
        let mut add = |row: usize, amount: f64| {
            for (at, slot) in direction.iter_mut().enumerate() {
                *slot += self.inverse[at * self.rows + row] * amount;
            }
        };
        match basic {
            Basic::Surplus(row) => add(row, -1.0),
            Basic::Column(index) => {
                for (item, count) in &self.columns[index].pattern {
                    match self.row_of_item[*item] {
                        ROW_ABSENT => {}
                        row => add(row, f64::from(*count)),
                    }
                }
            }
        }
        direction
    }

    fn leaving(&self, direction: &[f64]) -> Option<usize> {
        let mut best: Option<(f64, usize)> = None;
        for (row, step) in direction.iter().enumerate().filter(|(_, step)| **step > PIVOT_TOLERANCE)
        {
            let ratio = self.value[row].max(0.0) / step;
            let better = best.is_none_or(|(least, at)| {
                ratio < least || (ratio == least && self.basis[row] < self.basis[at])
            });
            if better {
                best = Some((ratio, row));
            }
        }
        best.map(|(_, row)| row)
    }

    fn pivot(&mut self, entering: Basic, leaving: usize, direction: &[f64], reduced_cost: f64) {
        let rows = self.rows;
        let pivot = direction[leaving];
        let (before, rest) = self.inverse.split_at_mut(leaving * rows);
        let (pivot_row, after) = rest.split_at_mut(rows);
        pivot_row.iter_mut().for_each(|entry| *entry /= pivot);
        let step = self.value[leaving] / pivot;
        self.value[leaving] = step;
        let others = before.chunks_exact_mut(rows).chain(after.chunks_exact_mut(rows));
        let indices = (0..leaving).chain(leaving + 1..rows);
        for (row, entries) in indices.zip(others) {
            let factor = direction[row];
            if factor != 0.0 {
                entries
                    .iter_mut()
                    .zip(pivot_row.iter())
                    .for_each(|(entry, pivoted)| *entry -= factor * pivoted);
                self.value[row] -= factor * step;
            }
        }
        self.duals
            .iter_mut()
            .zip(pivot_row.iter())
            .for_each(|(dual, pivoted)| *dual += reduced_cost * pivoted);
        self.basis[leaving] = entering;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(cost: f64, pattern: &[(usize, u32)]) -> Column {
        Column { kind: 0, pattern: pattern.to_vec(), cost }
    }

    #[test]
    fn two_items_share_the_cheaper_column() {
        let starts = vec![column(10.0, &[(0, 1)]), column(10.0, &[(1, 1)])];
        let mut master = Master::new(&[4, 4], starts);
        assert!((master.objective() - 80.0).abs() < 1e-3);
        master.columns.push(column(12.0, &[(0, 1), (1, 1)]));
        master.optimise(100);
        assert!((master.objective() - 48.0).abs() < 1e-3, "{}", master.objective());
        let duals = master.item_duals();
        assert!((duals[0] + duals[1] - 12.0).abs() < 1e-6);
    }

    #[test]
    fn overcovering_is_free() {
        let starts = vec![column(10.0, &[(0, 1)]), column(10.0, &[(1, 1)])];
        let mut master = Master::new(&[2, 6], starts);
        master.columns.push(column(11.0, &[(0, 1), (1, 2)]));
        master.optimise(100);
        assert!((master.objective() - 33.0).abs() < 1e-3, "{}", master.objective());
    }

    #[test]
    fn items_without_demand_have_no_row() {
        let mut master = Master::new(&[0, 3], vec![column(5.0, &[(1, 1)])]);
        master.columns.push(column(8.0, &[(0, 7), (1, 3)]));
        master.optimise(10);
        assert!((master.objective() - 8.0).abs() < 1e-3);
        assert_eq!(master.item_duals()[0], 0.0);
    }
}
