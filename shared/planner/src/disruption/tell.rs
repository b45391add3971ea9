//! What people are told about a disruption, and what its launches carry of it.

use super::Intention;
use super::decide::Disruptions;
use super::progress::moving;
use crate::view::View;
use model::disruption::Stage;
use model::{DisruptionReason, Launch, Node, Placement, PlannedDisruption, Pod, PodId, Removal};
use std::collections::BTreeSet;

impl<'a> Disruptions<'a> {
    /// Tells of an empty node.
    pub(super) fn tell_of_empty(&mut self, view: &View<'a>, removal: &Removal) {
        let node = view.node(&removal.node).into_iter().collect::<Vec<_>>();
        let claim = node.first().and_then(|node| view.claim_of_node(node));
        let id = format!("empty-{}", claim.map_or(&removal.node, |claim| &claim.name));
        self.tell(view, (&id, removal.reason, None), &node);
    }

    /// Tells of what is only intended.
    pub(super) fn tell_of_proposal(&mut self, intention: &Intention<'a>) {
        self.told.push(PlannedDisruption {
            id: intention.id(),
            reason: intention.reason,
            stage: Some(Stage::Proposed),
            nodes: intention.nodes().iter().map(|node| node.name.clone()).collect(),
            launches: Vec::new(),
            moves: intention.expected.moves.clone(),
            stranded: Vec::new(),
            saves: intention.expected.saves,
        });
    }

    /// Tells of a disruption: its pods' places, what is bought for them, and what that saves.
    pub(super) fn tell(
        &mut self,
        view: &View<'a>,
        (id, reason, stage): (&str, DisruptionReason, Option<Stage>),
        nodes: &[&Node],
    ) {
        let pods = moving(view, &self.leaving, nodes);
        let ids = pods.iter().map(|pod: &&Pod| &pod.id).collect::<BTreeSet<_>>();
        let plan = &mut self.scheduled.plan;
        let mut moves = plan.placements.clone();
        moves.retain(|placement| ids.contains(&placement.pod));
        let mut launches = Vec::new();
        let mut cost = 0;
        for launch in &mut plan.launches {
            let own = launch.pods.iter().filter(|pod| ids.contains(pod)).collect::<Vec<_>>();
            if own.is_empty() {
                continue;
            }
            cost += share(launch, own.len());
            launches.push(launch.name.clone());
            let place = |pod: &PodId| Placement { pod: pod.clone(), node: launch.name.clone() };
            moves.extend(own.into_iter().map(place));
            if stage.is_some() && launch.replaces.is_none() {
                launch.replaces = Some(id.to_owned());
            }
        }
        moves.sort();
        let stranded = self.scheduled.stranded.iter().filter(|left| ids.contains(&left.pod));
        let price = nodes.iter().filter_map(|node| node.price).map(|price| price.0 as i64);
        self.told.push(PlannedDisruption {
            id: id.to_owned(),
            reason,
            stage,
            nodes: nodes.iter().map(|node| node.name.clone()).collect(),
            launches,
            moves,
            stranded: stranded.cloned().collect(),
            saves: price.sum::<i64>() - cost,
        });
    }
}

/// The part of a launch's price that so many of its pods bear.
fn share(launch: &Launch, pods: usize) -> i64 {
    let price = launch.offering.price.0 as i64;
    price.saturating_mul(pods as i64) / (launch.pods.len().max(1) as i64)
}
