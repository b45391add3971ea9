//! Where the pods of a plan go: onto nodes that are ready, onto nodes on their way, or onto what is bought now.

use crate::view::View;
use model::{Launch, Node, Placement, PodId};
use std::collections::BTreeMap;
use std::sync::Arc;

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

/// The places of a plan, by pod, with the names of what the pods go to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(BTreeMap<PodId, (Place, Arc<str>)>);

impl Places {
    /// Of these placements and launches.
    pub(crate) fn new(view: &View<'_>, placements: &[Placement], launches: &[Launch]) -> Self {
        let placed = placements.iter().map(|placement| {
            let ready = view.node(&placement.node).is_some_and(is_ready);
            let place = if ready { Place::Ready } else { Place::Coming };
            (placement.pod.clone(), (place, placement.node.clone()))
        });
        let bought = launches.iter().enumerate().flat_map(|(at, launch)| {
            let place = (Place::Bought(at), launch.name.clone());
            launch.pods.iter().map(move |pod| (pod.clone(), place.clone()))
        });
        Self(placed.chain(bought).collect())
    }

    /// The pod's place, if it has one.
    pub(crate) fn of(&self, pod: &PodId) -> Option<Place> {
        self.0.get(pod).map(|(place, _)| *place)
    }

    /// The name of the node, claim or launch that the pod goes to.
    pub(crate) fn name(&self, pod: &PodId) -> Option<&Arc<str>> {
        self.0.get(pod).map(|(_, name)| name)
    }
}

fn is_ready(node: &Node) -> bool {
    node.ready && node.initialized() && !node.deleting
}
