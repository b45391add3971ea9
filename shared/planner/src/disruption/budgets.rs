//! How many nodes of a pool may be disrupted now.

use model::pool::Budget;
use model::{NodePool, Snapshot};

/// How many more nodes of the pool may go for this reason now: the least of all budgets, less the nodes that are going or not ready.
/// A percentage rounds up; a budget that cannot be parsed allows none. A budget with a schedule counts as if it always held,
/// which can only delay a removal.
pub(crate) fn allowed(snapshot: &Snapshot, pool: &NodePool, reason: &str) -> usize {
    let nodes =
        snapshot.nodes.iter().filter(|node| node.pool() == Some(&pool.name) && node.initialized());
    let (mut total, mut going) = (0, 0);
    for node in nodes {
        total += 1;
        going += usize::from(node.deleting || !node.ready);
    }
    let holds = |budget: &&Budget| {
        budget.reasons.is_empty() || budget.reasons.iter().any(|named| named == reason)
    };
    let least = pool
        .disruption
        .budgets
        .iter()
        .filter(holds)
        .map(|budget| nodes_of(&budget.nodes, total))
        .min();
    least.unwrap_or(total).saturating_sub(going)
}

fn nodes_of(budget: &str, total: usize) -> usize {
    let percentage = budget.strip_suffix('%').and_then(|number| number.parse::<usize>().ok());
    let share = percentage
        .filter(|percentage| *percentage <= 100)
        .map(|percentage| (total * percentage).div_ceil(100));
    share.or_else(|| budget.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(budget: &str, total: usize, expected: usize) {
        assert_eq!(nodes_of(budget, total), expected, "{budget} of {total}");
    }

    #[test]
    fn budgets_are_counts_or_percentages_rounded_up() {
        check("10%", 1, 1);
        check("10%", 25, 3);
        check("0%", 25, 0);
        check("100%", 25, 25);
        check("3", 25, 3);
        check("0", 25, 0);
        check("ten", 25, 0);
        check("110%", 25, 0);
        check("-1", 25, 0);
    }
}
