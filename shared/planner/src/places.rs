//! Where the pods of a plan go: onto nodes that are ready, onto nodes on their way, or onto what is bought now.

use crate::view::View;
use model::{Launch, Node, Placement, PodId};
use std::collections::BTreeMap;

/// A pod's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// A node that is set up and ready.
    Ready,
    /// A node or claim on its way.
    Coming,
    /// A launch of the plan, by position.
    Bought(usize),
}

/// The places of a plan, by pod.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places<'s>(BTreeMap<&'s PodId, Place>);

impl<'s> Places<'s> {
    /// Of these placements and launches.
    pub(crate) fn new(
        view: &View<'_>,
        placements: &'s [Placement],
        launches: &'s [Launch],
    ) -> Self {
        let place = |placement: &Placement| {
            let ready = view.node(&placement.node).is_some_and(is_ready);
            if ready { Place::Ready } else { Place::Coming }
        };
        let placed = placements.iter().map(|placement| (&placement.pod, place(placement)));
        let bought = launches.iter().enumerate();
        let bought = bought
            .flat_map(|(at, launch)| launch.pods.iter().map(move |pod| (pod, Place::Bought(at))));
        Self(placed.chain(bought).collect())
    }

    /// The pod's place, if it has one.
    pub(crate) fn of(&self, pod: &PodId) -> Option<Place> {
        self.0.get(pod).copied()
    }
}

fn is_ready(node: &Node) -> bool {
    node.ready && node.initialized() && !node.deleting
}
