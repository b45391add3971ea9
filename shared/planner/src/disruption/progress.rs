//! Disruptions that have begun: whether their replacements have come, are late or are lost.

use super::{Intention, Proposal, consolidation, share};
use crate::leaving::{Leaving, leaves_anyway};
use crate::places::{Place, Places};
use crate::view::View;
use model::disruption::{DEFAULT_SAVING_PER_MOVE, Stage};
use model::{DisruptionReason, Duration, Launch, MicroUsdPerHour, Node, NodeClaim, Pod, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// A replacement that has not come after this many seconds is given up (karpenter core waits 10 minutes and more).
const GIVE_UP_AFTER_S: i64 = 600;

/// What was bought so long before a disruption began was bought for an earlier one of the same name, which was called off; the clocks of
/// Joiner and of the API server differ by less, and between two such disruptions lies the time that a proposal waits.
const EARLIER: Duration = Duration(10);

/// A disruption that is written on claims.
#[derive(Clone, Debug)]
pub(super) struct Begun<'a> {
    pub(super) id: &'a str,
    pub(super) reason: DisruptionReason,
    /// When its last claim reached this stage.
    pub(super) since: Timestamp,
    pub(super) claims: Vec<&'a NodeClaim>,
    /// Their nodes, as far as they are there.
    pub(super) nodes: Vec<&'a Node>,
}

/// What comes next for a disruption whose replacements were bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All pods have a place on ready nodes: its nodes go.
    Ready,
    /// Its replacements are on their way.
    Waits,
    /// A replacement is lost or late (for cost: and buying another would cost more than is saved), or a pod must not be disturbed
    /// any more: its nodes stay.
    CalledOff,
}

/// The disruptions of this stage, by id. Claims that leave anyway need no care.
pub(super) fn begun<'a>(view: &View<'a>, stage: Stage) -> Vec<Begun<'a>> {
    let mut all: BTreeMap<&str, Begun<'_>> = BTreeMap::new();
    for claim in view.claims.iter().filter(|claim| !leaves_anyway(view, claim)) {
        let Some(told) = claim.disruption.as_ref().filter(|told| told.stage == stage) else {
            continue;
        };
        let (id, reason, since) = (told.id.as_str(), told.reason, told.since);
        let empty = Begun { id, reason, since, claims: Vec::new(), nodes: Vec::new() };
        let of_id = all.entry(id).or_insert(empty);
        of_id.since = of_id.since.max(since);
        of_id.claims.push(claim);
        of_id.nodes.extend(view.node_of_claim(claim));
    }
    all.into_values().collect()
}

impl<'a> Begun<'a> {
    /// The pods that must find another place.
    pub(super) fn pods(&self, view: &View<'a>, leaving: &Leaving<'_>) -> Vec<&'a Pod> {
        moving(view, leaving, &self.nodes)
    }

    /// As consolidation is told of it.
    pub(super) fn proposal(&self) -> Proposal<'a> {
        Proposal { nodes: self.nodes.clone() }
    }

    /// Whether the intention is this one, found again.
    pub(super) fn is(&self, intention: &Intention<'_>) -> bool {
        let own = self.nodes.iter().map(|node| &node.name).collect::<BTreeSet<_>>();
        let new = intention.nodes.iter().map(|candidate| &candidate.node.name);
        self.reason == intention.reason && own == new.collect::<BTreeSet<_>>()
    }

    pub(super) fn verdict(
        &self,
        view: &View<'a>,
        leaving: &Leaving<'_>,
        places: &Places,
        launches: &[Launch],
    ) -> Verdict {
        let pods = self.pods(view, leaving);
        let forced = self.reason == DisruptionReason::Drifted
            && self.claims.iter().all(|claim| claim.termination_grace_period.is_some());
        if !forced && pods.iter().any(|pod| pod.do_not_disrupt) {
            return Verdict::CalledOff;
        }
        let ready = |place: Option<Place>| place == Some(Place::Ready);
        let coming = |place: Option<Place>| ready(place) || place == Some(Place::Coming);
        if pods.iter().all(|pod| ready(places.of(&pod.id))) {
            return Verdict::Ready;
        }
        let late = view.snapshot.now.since(self.since) >= Duration(GIVE_UP_AFTER_S);
        let bought = pods.iter().all(|pod| coming(places.of(&pod.id)));
        let goes_on = bought || self.still_saves(view, &pods, places, launches);
        if goes_on && !late { Verdict::Waits } else { Verdict::CalledOff }
    }

    /// Whether what goes for cost still saves what moving its pods must save, if what is missing is bought as well. The kube-scheduler binds
    /// other pods where these were to go; to call all off for one of them would waste what has been bought.
    fn still_saves(
        &self,
        view: &View<'a>,
        pods: &[&Pod],
        places: &Places,
        launches: &[Launch],
    ) -> bool {
        let rests =
            |node: &&Node| consolidation::replaced_lately(view, node, view.claim_of_node(node));
        if self.reason != DisruptionReason::Underutilized || self.nodes.iter().any(rests) {
            return false;
        }
        let mut missing: BTreeMap<usize, usize> = BTreeMap::new();
        for pod in pods {
            match places.of(&pod.id) {
                Some(Place::Bought(at)) => *missing.entry(at).or_default() += 1,
                Some(Place::Ready | Place::Coming) => {}
                None => return false,
            }
        }
        let more = missing.iter().map(|(at, pods)| share(&launches[*at], *pods)).sum::<i64>();
        let own = |claim: &&&NodeClaim| {
            let launch = claim.launch.as_ref();
            let for_it = launch.is_some_and(|launch| launch.replaces.as_deref() == Some(self.id));
            for_it && claim.created_at.is_none_or(|at| self.since.since(at) <= EARLIER)
        };
        let spent = view.claims.iter().filter(own).filter_map(|claim| claim.price);
        let price = self.nodes.iter().filter_map(|node| node.price);
        let sum = |prices: &mut dyn Iterator<Item = MicroUsdPerHour>| {
            prices.map(|price| price.0 as i64).sum::<i64>()
        };
        let toll = pods.len() as i64 * saving_per_move(view, &self.nodes).0 as i64;
        sum(&mut price.into_iter()) - sum(&mut spent.into_iter()) - more > toll
    }
}

/// The most that a pool of these nodes asks to be saved for each moved pod.
fn saving_per_move(view: &View<'_>, nodes: &[&Node]) -> MicroUsdPerHour {
    let pool = |node: &&Node| view.pools.get(node.pool()?).copied();
    let own = nodes.iter().filter_map(pool).map(|pool| pool.disruption.saving_per_move);
    own.map(|own| own.unwrap_or(DEFAULT_SAVING_PER_MOVE)).max().unwrap_or(DEFAULT_SAVING_PER_MOVE)
}

/// The pods on these nodes that must find another place, by name.
pub(crate) fn moving<'a>(view: &View<'a>, leaving: &Leaving<'_>, nodes: &[&Node]) -> Vec<&'a Pod> {
    let on_them = nodes.iter().flat_map(|node| view.pods_of_node(&node.name)).copied();
    on_them.filter(|pod| leaving.moves(pod)).collect()
}
