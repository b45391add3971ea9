//! A kube-scheduler that binds by its own rules, not by any plan.
//!
//! It follows the default profile: filters, then weighted scores, then a random choice among the best. Left out:
//! preemption, volumes, dynamic resources, preferred pod affinity, image locality and default spread constraints.

mod cache;
mod filter;
mod queue;
mod score;
mod topology;

pub(crate) use cache::{Class, ClassId, NodeId, NodeInfo, SchedulerCache};
pub(crate) use queue::{PodKey, Queue};

use crate::Random;

/// Below this many nodes all are looked at (`minFeasibleNodesToFind`, kube-scheduler).
const MIN_FEASIBLE: usize = 100;

impl SchedulerCache {
    /// The node that a pod of this class would be bound to now, if there is one. Equal scores are decided by chance.
    pub(crate) fn pick(&mut self, class: ClassId, random: &mut Random) -> Option<NodeId> {
        let feasible = self.feasible(class);
        if feasible.len() <= 1 {
            return feasible.first().copied();
        }
        let scores = self.scores(class, &feasible);
        let best = scores.iter().copied().max()?;
        let ties: Vec<NodeId> = feasible
            .iter()
            .zip(&scores)
            .filter(|(_, score)| **score == best)
            .map(|(node, _)| *node)
            .collect();
        ties.get(random.below(ties.len() as u64) as usize).copied()
    }

    /// Nodes that pass all filters: from where the last search ended, and on large clusters only as many as
    /// kube-scheduler looks for (50% less one per 125 nodes, at least 5% and at least 100).
    fn feasible(&mut self, class: ClassId) -> Vec<NodeId> {
        let count = self.order.len();
        let share = 50_usize.saturating_sub(count / 125).max(5);
        let wanted =
            if count < MIN_FEASIBLE { count } else { (count * share / 100).max(MIN_FEASIBLE) };
        let topology = topology::Topology::prepare(self, class);
        let (mut found, mut looked) = (Vec::new(), 0);
        while looked < count && found.len() < wanted {
            let id = self.order[(self.next_start + looked) % count];
            looked += 1;
            if filter::passes(self, class, id, &topology) {
                found.push(id);
            }
        }
        self.next_start = if count == 0 { 0 } else { (self.next_start + looked) % count };
        found
    }
}

#[cfg(test)]
mod tests;
