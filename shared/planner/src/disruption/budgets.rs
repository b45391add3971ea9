//! How many nodes of a pool may be disrupted now.

use crate::leaving::Leaving;
use crate::view::View;
use model::disruption::Window;
use model::pool::{ApiVersion, Budget};
use model::{DisruptionReason, Ineligible, Node, NodePool, Timestamp};
use std::collections::BTreeMap;

/// What holds for pools of an API without budgets, as upstream's default does.
const DEFAULT: &str = "10%";

/// What is left of the budgets, shared by all methods of a turn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allowance<'a> {
    now: Timestamp,
    pools: BTreeMap<&'a str, Counts>,
    /// When a budget or window that was in the way ends.
    pub(crate) opens_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    /// Nodes that are set up.
    total: usize,
    /// Those of them that are going or not ready, or were granted in this turn.
    going: usize,
}

impl<'a> Allowance<'a> {
    /// Counts the nodes of every pool. Nodes that are not set up do not count, and neither do nodes that no pool made.
    pub(crate) fn new(view: &View<'a>, leaving: &Leaving<'_>) -> Self {
        let mut pools: BTreeMap<&str, Counts> = BTreeMap::new();
        let counted = |node: &&'a Node| node.initialized() && view.is_managed(node);
        for node in view.snapshot.nodes.iter().filter(counted) {
            let Some(pool) = node.pool() else { continue };
            let counts = pools.entry(pool).or_default();
            counts.total += 1;
            counts.going += usize::from(leaving.contains(&node.name) || !node.ready);
        }
        Self { now: view.snapshot.now, pools, opens_at: None }
    }

    /// How many more nodes of the pool may go for this reason, or why none.
    pub(crate) fn left(
        &mut self,
        pool: &NodePool,
        reason: DisruptionReason,
    ) -> Result<usize, Ineligible> {
        let name = || pool.name.clone();
        match pool.disruption.allowed {
            Window::Always | Window::Until(_) => {}
            Window::From(until) => {
                self.look_again(until);
                return Err(Ineligible::WindowClosed { pool: name(), until: Some(until) });
            }
            Window::Never => return Err(Ineligible::WindowClosed { pool: name(), until: None }),
        }
        let counts = self.pools.get(pool.name.as_str()).copied().unwrap_or_default();
        let Some((most, budget)) = tightest(pool, reason, counts.total) else {
            return Ok(counts.total.saturating_sub(counts.going));
        };
        if most > counts.going {
            return Ok(most - counts.going);
        }
        if let Window::Until(end) = budget.window {
            self.look_again(end);
        }
        Err(Ineligible::Budget { pool: name(), nodes: budget.nodes })
    }

    /// Uses the budget for so many nodes, if it is large enough.
    pub(crate) fn take(
        &mut self,
        pool: &'a NodePool,
        reason: DisruptionReason,
        nodes: usize,
    ) -> Result<(), Ineligible> {
        let left = self.left(pool, reason)?;
        if left < nodes {
            let counts = self.pools.get(pool.name.as_str()).copied().unwrap_or_default();
            let budget = tightest(pool, reason, counts.total);
            let nodes = budget.map_or_else(String::new, |(_, budget)| budget.nodes);
            return Err(Ineligible::Budget { pool: pool.name.clone(), nodes });
        }
        self.pools.entry(&pool.name).or_default().going += nodes;
        Ok(())
    }

    fn look_again(&mut self, at: Timestamp) {
        if at > self.now {
            self.opens_at = self.opens_at.into_iter().chain([at]).min();
        }
    }
}

/// The least that a budget holding now allows for the reason, and the budget. A budget that cannot be parsed allows none.
fn tightest(pool: &NodePool, reason: DisruptionReason, total: usize) -> Option<(usize, Budget)> {
    let legacy = matches!(pool.api_version, ApiVersion::Legacy | ApiVersion::BuiltIn);
    let default = Budget::always(DEFAULT);
    let named = &pool.disruption.budgets;
    let of_default = std::iter::once(&default).filter(|_| legacy && named.is_empty());
    let holds = |budget: &&Budget| {
        let bounds = |named: &String| named == reason.as_str();
        is_on(budget.window) && (budget.reasons.is_empty() || budget.reasons.iter().any(bounds))
    };
    let bound = |budget: &Budget| (nodes_of(&budget.nodes, total), budget.clone());
    named.iter().chain(of_default).filter(holds).map(bound).min()
}

fn is_on(window: Window) -> bool {
    match window {
        Window::Always | Window::Until(_) => true,
        Window::From(_) | Window::Never => false,
    }
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

    fn budget(nodes: &str, reasons: &[&str], window: Window) -> Budget {
        Budget {
            nodes: nodes.to_owned(),
            reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect(),
            schedule: None,
            duration: None,
            window,
        }
    }

    fn check_left(api: ApiVersion, budgets: Vec<Budget>, allowed: Window, expected: Option<usize>) {
        let mut pool = NodePool::new("default", api, "default", "all");
        pool.disruption.budgets = budgets;
        pool.disruption.allowed = allowed;
        let counts = Counts { total: 20, going: 1 };
        let pools = [("default", counts)].into();
        let mut allowance = Allowance { pools, ..Allowance::default() };
        let left = allowance.left(&pool, DisruptionReason::Drifted);
        assert_eq!(left.ok(), expected, "{:?} {allowed:?}", pool.disruption.budgets);
    }

    #[test]
    fn the_tightest_budget_that_holds_now_for_the_reason_counts() {
        let v1 = |budgets, expected| check_left(ApiVersion::V1, budgets, Window::Always, expected);
        let (on, off) = (Window::Always, Window::From(Timestamp(9)));
        v1(vec![], Some(19));
        check_left(ApiVersion::Legacy, vec![], Window::Always, Some(1));
        v1(vec![budget("50%", &[], on)], Some(9));
        v1(vec![budget("50%", &[], on), budget("3", &["Drifted"], on)], Some(2));
        v1(vec![budget("50%", &[], on), budget("3", &["Empty"], on)], Some(9));
        v1(vec![budget("50%", &[], on), budget("0", &[], off)], Some(9));
        v1(vec![budget("50%", &[], on), budget("0", &[], Window::Never)], Some(9));
        v1(vec![budget("50%", &[], on), budget("0", &[], Window::Until(Timestamp(9)))], None);
        v1(vec![budget("1", &[], on)], None);
        v1(vec![budget("many", &[], on)], None);
        check_left(ApiVersion::V1, vec![], Window::From(Timestamp(9)), None);
        check_left(ApiVersion::V1, vec![], Window::Never, None);
        check_left(ApiVersion::V1, vec![], Window::Until(Timestamp(9)), Some(19));
    }
}
