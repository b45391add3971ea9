//! What becomes of the pods whose nodes AWS takes away: when their new places were asked for, and when they had to leave.

use super::ec2::WARNING_MS;
use super::event::{InstanceId, TurnId};
use super::turn::Call;
use super::world::World;
use crate::SimTime;
use crate::kube_scheduler::PodKey;
use model::{Plan, PodId, Snapshot};
use std::collections::{BTreeMap, BTreeSet};

/// A pod of a node that AWS takes away.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watched {
    pub(super) warned_at: SimTime,
    pub(super) grace_s: i64,
    /// Room was found for it, or CreateFleet was sent for it.
    pub(super) asked_at: Option<SimTime>,
    pub(super) evicted_at: Option<SimTime>,
    /// It ran when its instance was taken.
    pub(super) lost: bool,
}

/// A pod is evicted so much before its instance goes, beside its grace, whether it has a place or not.
const MARGIN_MS: i64 = 15_000;

impl Watched {
    /// From then on it must leave, whatever its place.
    pub(super) fn latest(&self) -> SimTime {
        self.warned_at.plus_ms(WARNING_MS - MARGIN_MS - self.grace_s * 1000)
    }
}

/// What was seen.
#[derive(Default)]
pub(super) struct Watch {
    pub(super) pods: BTreeMap<PodKey, Watched>,
    pub(super) instances: BTreeSet<InstanceId>,
    /// As if no place were ever asked for: a test breaks the world so, to see that it is noticed.
    pub(super) forgets: bool,
    /// Whether what the first plan was made from is wanted.
    pub(super) keeps: bool,
    pub(super) first_warning: Option<SimTime>,
    /// When plans were made while some such pod had no place yet.
    pub(super) plans: Vec<SimTime>,
    /// What the first of them was made from.
    pub(super) first_seen: Option<Box<Snapshot>>,
    /// When calls were sent that buy for such pods, and for how many instances.
    pub(super) calls: Vec<(SimTime, u32)>,
}

impl World {
    /// The instance is to be taken. Pods that had to go before that are not its affair: their places were asked for before the claim was
    /// deleted, or somebody deleted it by hand, and then they go at once.
    pub(super) fn note_warning(&mut self, id: InstanceId) {
        let now = self.now;
        self.watch.first_warning.get_or_insert(now);
        self.watch.instances.insert(id);
        let claim = self.claim_of(id).and_then(|claim| self.api.see_claim(claim));
        let goes = claim.is_some_and(|claim| claim.deleting);
        let node = self.instance(id).and_then(|record| record.node).filter(|_| !goes);
        let Some(host) = node.and_then(|node| self.nodes.get(&node)) else { return };
        for pod in host.pods.iter().copied() {
            let object = self.api.see_pod(pod).filter(|pod| pod.is_reschedulable());
            let Some(grace_s) = object.map(|pod| pod.spec.termination_grace_period_s) else {
                continue;
            };
            let watched =
                Watched { warned_at: now, grace_s, asked_at: None, evicted_at: None, lost: false };
            self.watch.pods.entry(pod).or_insert(watched);
        }
    }

    /// A plan finds room that is there or on its way.
    pub(super) fn note_plan(&mut self, plan: &Plan) {
        if self.watch.first_warning.is_none() {
            return;
        }
        if self.watch.pods.values().any(|pod| pod.asked_at.is_none()) {
            self.watch.plans.push(self.now);
            if self.watch.keeps && self.watch.first_seen.is_none() {
                self.watch.first_seen = Some(Box::new(self.api.all().clone()));
            }
        }
        let placed = plan.placements.iter().map(|placement| &placement.pod);
        self.note_places(placed);
    }

    /// CreateFleet is sent.
    pub(super) fn note_asked(&mut self, id: TurnId, call: &Call) {
        let Call::Fleet(batch) = call else { return };
        let Some(turn) = self.turns.get(&id) else { return };
        let of_batch = &turn.batches[*batch];
        let again = of_batch.claims.iter().filter_map(|(name, _)| {
            self.api.see_claim(*self.claim_ids.get(name)?)?.launch.as_ref()
        });
        let again = again.flat_map(|request| &request.pods);
        let new = (0..of_batch.claims.len()).filter_map(|at| turn.planned.get(&(*batch, at)));
        let pods = new.flat_map(|launch| &launch.pods).chain(again).cloned().collect::<Vec<_>>();
        let size = of_batch.request.size;
        if self.note_places(pods.iter()) {
            self.watch.calls.push((self.now, size));
        }
    }

    /// Whether one of the pods had no place before.
    fn note_places<'a>(&mut self, pods: impl Iterator<Item = &'a PodId>) -> bool {
        let mut new = false;
        let kept = pods.filter(|_| !self.watch.forgets);
        for pod in kept.filter_map(|pod| self.pod_keys.get(pod)).copied().collect::<Vec<_>>() {
            let pod = &pod;
            let Some(watched) = self.watch.pods.get_mut(pod) else { continue };
            new |= watched.asked_at.is_none();
            watched.asked_at.get_or_insert(self.now);
        }
        new
    }

    pub(super) fn note_eviction(&mut self, pod: PodKey) {
        let now = self.now;
        if let Some(watched) = self.watch.pods.get_mut(&pod) {
            watched.evicted_at.get_or_insert(now);
        }
    }

    /// The instance is taken: what runs on it is lost.
    pub(super) fn note_taken(&mut self, id: InstanceId) {
        let node = self.instance(id).and_then(|record| record.node);
        let Some(host) = node.and_then(|node| self.nodes.get(&node)) else { return };
        for pod in host.pods.clone() {
            let runs = self.api.see_pod(pod).is_some_and(|pod| !pod.is_terminal());
            self.watch
                .pods
                .get_mut(&pod)
                .filter(|_| runs)
                .into_iter()
                .for_each(|own| own.lost = true);
        }
    }
}
