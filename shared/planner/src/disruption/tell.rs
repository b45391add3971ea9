//! What people are told about a disruption, and what its launches carry of it.

use super::Intention;
use super::decide::Disruptions;
use super::progress::moving;
use crate::places::Place;
use crate::view::View;
use model::disruption::Stage;
use model::{DisruptionReason, Launch, Node, Placement, PlannedDisruption, Pod, Removal};
use std::collections::{BTreeMap, BTreeSet};

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
        let mut moves = Vec::new();
        let mut bought: BTreeMap<usize, usize> = BTreeMap::new();
        for pod in &pods {
            let Some((place, node)) = self.places.of(&pod.id).zip(self.places.name(&pod.id)) else {
                continue;
            };
            moves.push(Placement { pod: pod.id.clone(), node: node.clone() });
            if let Place::Bought(at) = place {
                *bought.entry(at).or_default() += 1;
            }
        }
        moves.sort();
        let (mut launches, mut cost) = (Vec::new(), 0);
        for (at, pods) in bought {
            let launch = &mut self.scheduled.plan.launches[at];
            cost += share(launch, pods);
            launches.push(launch.name.clone());
            if stage.is_some() && launch.replaces.is_none() {
                launch.replaces = Some(id.to_owned());
            }
        }
        let ids = pods.iter().map(|pod: &&Pod| &pod.id).collect::<BTreeSet<_>>();
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
pub(crate) fn share(launch: &Launch, pods: usize) -> i64 {
    let price = launch.offering.price.0 as i64;
    price.saturating_mul(pods as i64) / (launch.pods.len().max(1) as i64)
}
