//! What must hold at the end, when nothing has gone wrong for a while.

use super::invariants::Rule;
use super::world::World;
use model::{DisruptionReason, Snapshot, labels};
use std::collections::BTreeSet;

/// Nodes expire and are replaced without end: only what is still wrong after so many looks, a minute apart, stays wrong.
const LOOKS: usize = 20;

impl World {
    /// Looks at the whole world, and again while something is on its way.
    pub(super) fn check_end(&mut self) {
        let mut stuck: Option<BTreeSet<(Rule, String)>> = None;
        for _ in 0..LOOKS {
            let left = self.left_over().into_iter().collect::<BTreeSet<_>>();
            let still =
                stuck.map_or(left.clone(), |stuck| stuck.intersection(&left).cloned().collect());
            if still.is_empty() && self.end_cost().is_some() {
                return self.tell_nodes();
            }
            stuck = Some(still);
            self.setup.end = self.setup.end.plus_ms(60_000);
            while self.step() {}
        }
        self.tell_nodes();
        for (rule, what) in stuck.into_iter().flatten() {
            self.violate(rule, what);
        }
    }

    /// For people: what is where at the end.
    fn tell_nodes(&mut self) {
        let snapshot = self.api.all();
        let mut lines = Vec::new();
        for node in &snapshot.nodes {
            let own = |pod: &&model::Pod| pod.node_name.as_ref() == Some(&node.name);
            let pods = snapshot.pods.iter().filter(own).filter(|pod| !pod.is_daemon());
            let pods = pods.map(|pod| format!("{} {:?}", pod.id, pod.phase)).collect::<Vec<_>>();
            let taints = node.taints.iter().map(ToString::to_string).collect::<Vec<_>>();
            let zone = node.label(labels::ZONE).unwrap_or_default();
            let what = node.label(labels::INSTANCE_TYPE).unwrap_or_default();
            let way = node.capacity_type();
            lines.push(format!("{} {what} {way} {zone} {taints:?} {pods:?}", node.name));
        }
        lines.extend(
            snapshot.node_pools.iter().map(|pool| format!("{} {:?}", pool.name, pool.disruption)),
        );
        let waiting = snapshot.pods.iter().filter(|pod| pod.node_name.is_none());
        lines.extend(waiting.map(|pod| format!("{pod:?}")));
        lines.into_iter().for_each(|line| self.log.say(self.now, || line));
    }

    pub(super) fn left_over(&mut self) -> Vec<(Rule, String)> {
        let mut left = Vec::new();
        let mut turn = super::turn::Turn::new(
            super::event::TurnId(0),
            super::event::Door::Schedule,
            Vec::new(),
            0,
        );
        self.complete_snapshot(&mut turn);
        let snapshot = self.api.all().clone();
        let plan = planner::plan(&snapshot, &self.setup.options);
        for launch in &plan.launches {
            let what = format!("{} would still be launched for {:?}", launch.name, launch.pods);
            left.push((Rule::EverythingPlaced, what));
        }
        // What expires is replaced without end; all else comes to rest.
        let restless =
            plan.disruptions.iter().map(|each| each.reason).filter(|reason| match reason {
                DisruptionReason::Expired
                | DisruptionReason::Interrupted
                | DisruptionReason::Unhealthy => false,
                DisruptionReason::Drifted
                | DisruptionReason::Empty
                | DisruptionReason::Underutilized => true,
            });
        left.extend(
            restless.map(|reason| (Rule::Settles, format!("nodes still go as {reason:?}"))),
        );
        let told = plan.unschedulable.iter().map(|each| &each.pod).collect::<BTreeSet<_>>();
        for pod in &snapshot.pods {
            let waits = pod.node_name.is_none() && !told.contains(&pod.id);
            if waits {
                let what = format!("{} waits, and the plan says no reason", pod.id);
                left.push((Rule::EverythingPlaced, what));
            }
        }
        let leaks = self.leaks(&snapshot);
        left.extend(leaks.into_iter().map(|what| (Rule::NothingLeaks, what)));
        left
    }

    fn leaks(&self, snapshot: &Snapshot) -> Vec<String> {
        let mut left = Vec::new();
        let live = self.own_instances().collect::<BTreeSet<_>>();
        let claimed = self.claims.values().filter_map(|record| record.instance);
        let claimed = claimed.collect::<BTreeSet<_>>();
        for id in live.difference(&claimed) {
            left.push(format!("instance {} has no claim", self.ec2.instances[id.0].instance.id));
        }
        for record in self.claims.values() {
            let there = record.instance.and_then(|id| self.instance(id));
            if !there.is_some_and(|instance| instance.instance.is_live()) {
                left.push(format!("claim {} has no instance", record.name));
            }
        }
        for record in self.nodes.values().filter(|node| !node.foreign) {
            let live =
                record.instance.is_some_and(|id| live.contains(&id) && claimed.contains(&id));
            if !live {
                left.push(format!("node {} has no instance or claim", record.name));
            }
        }
        for node in &snapshot.nodes {
            let going = snapshot.node_claims.iter().any(|claim| {
                claim.provider_id.as_deref() == Some(&*node.provider_id)
                    && (claim.deleting
                        || claim.disruption.is_some()
                        || claim.interruption.is_some())
            });
            let marks = [labels::DISRUPTED_TAINT, labels::UNREGISTERED_TAINT];
            let marked = node.taints.iter().find(|taint| marks.contains(&taint.key.as_str()));
            if let Some(taint) = marked.filter(|_| !going) {
                left.push(format!("node {} still has the taint {}", node.name, taint.key));
            }
        }
        left
    }
}
