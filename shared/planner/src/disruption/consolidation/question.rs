//! What consolidation is asked, and the cluster as it looks at it: with all planned pods in their places.

use super::fleet::{Fleet, Host};
use super::groups::{self, Group};
use super::search::{Search, Shop};
use crate::leaving::Leaving;
use crate::packing::bitset::Bitset;
use crate::scheduling::{
    Candidates, Class, Limits, Market, Scene, Scheduled, Share, Slot, Topology, standing, useful,
    worth,
};
use crate::view::View;
use model::resources::CPU;
use model::{CapacityType, Launch, MicroUsdPerHour, Node, Pod, PodId, labels};
use std::collections::{BTreeMap, BTreeSet};

/// The terms on which a node may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// The least that must be saved for each of its pods that is moved.
    pub(crate) saving_per_move: MicroUsdPerHour,
    /// Whether it may be replaced, and not only removed.
    pub(crate) replaceable: bool,
}

/// What is asked.
pub(crate) struct Question<'v, 'a> {
    pub(crate) view: &'v View<'a>,
    /// What is on its way out already.
    pub(crate) leaving: &'v Leaving<'a>,
    /// Where pods go if nothing more is taken away.
    pub(crate) base: &'v Scheduled,
    /// The nodes that may go, by name.
    pub(crate) candidates: BTreeMap<&'a str, Terms>,
    /// The nodes that may take pods.
    pub(crate) targets: BTreeSet<&'a str>,
    /// By pool, how many nodes may go; a pool that is not named is not bounded.
    pub(crate) allowed: BTreeMap<&'a str, usize>,
    /// Groups that were found before and are waited for: they are tried first, and if one is still right, nothing new is begun.
    pub(crate) proposed: Vec<Vec<&'a str>>,
    /// The most nodes that are replaced together.
    pub(crate) largest: usize,
    /// A bound on the work of one packing.
    pub(crate) steps: u64,
}

/// Looks at nodes that a search may take: with what they cost, about half a second.
const LOOKS: u64 = 20_000_000;
/// The packings of a search get such a part of the steps of a turn's.
const PART: u64 = 4;

impl<'a> Question<'_, 'a> {
    /// The groups of nodes whose going saves more than it costs to move their pods, within what is allowed; those that save
    /// most for each pod moved come first.
    pub(crate) fn answer(&mut self) -> Vec<Group> {
        // Pods that need something which is not decided keep their node; to leave them there may show more of them.
        while !self.candidates.is_empty() {
            let leaving = self.lifted();
            let scene = Scene::new(self.view.snapshot, &leaving);
            let refused = scene.classes.refused.iter().map(|(pod, _)| *pod);
            let stuck = refused.filter_map(|pod| self.home(pod)).collect::<BTreeSet<_>>();
            if stuck.is_empty() {
                return self.search(scene);
            }
            self.candidates.retain(|name, _| !stuck.contains(name));
        }
        Vec::new()
    }

    /// With the pods of all candidates wanting a place.
    fn lifted(&self) -> Leaving<'a> {
        self.leaving.with(self.candidates.keys().filter_map(|name| self.view.node(name)))
    }

    /// The candidate that the pod runs on, if it can be moved.
    fn home(&self, pod: &Pod) -> Option<&'a str> {
        let node = pod.node_name.as_deref().filter(|_| pod.is_reschedulable())?;
        self.candidates.get_key_value(node).map(|(name, _)| *name)
    }

    fn search(&self, scene: Scene<'a>) -> Vec<Group> {
        let Scene { classes, candidates, fitting, mut slots, mut topology, .. } = scene;
        slots.iter_mut().for_each(|slot| slot.usable = self.targets.contains(&*slot.name));
        let mut limits = Limits::new(&candidates, &slots);
        let mut shares = standing(self.view.snapshot, &candidates, &slots, self.leaving);
        for launch in &self.base.plan.launches {
            self.count(launch, &candidates.pools, &mut limits, &mut shares);
        }
        let bundles = BTreeMap::new();
        let market = Market {
            candidates: &candidates,
            classes: &classes.list,
            fitting: &fitting,
            topology: &topology,
            bundles: &bundles,
            steps: self.steps / PART,
        };
        let (worth, trimmed) = (worth(&market), trimmed(&market));
        let (hosts, planned) = self.hosts(&classes.list, &slots, &candidates, &mut topology);
        let (pools, quotas) = self.quotas(&slots);
        let nodes = slots.iter().map(|slot| self.view.node(&slot.name)).collect::<Vec<_>>();
        let replaceable = slots.iter().map(|slot| {
            self.candidates.get(&*slot.name).is_some_and(|candidate| candidate.replaceable)
        });
        let replaceable = replaceable.collect();
        let standing = (slots, topology);
        let mut fleet = Fleet::new(&classes.list, &candidates, &fitting, standing, hosts, LOOKS);
        planned.into_iter().for_each(|(host, class, pod)| fleet.put_planned(host, class, pod));
        let mut search = Search {
            market: Shop {
                candidates: &candidates,
                fitting: &fitting,
                trimmed: &trimmed,
                bundles: &bundles,
                steps: self.steps / PART,
            },
            limits,
            worth,
            pools,
            quotas,
            replaceable,
            shares,
            spot: nodes.iter().map(|node| node.is_some_and(is_spot)).collect(),
            types: nodes.iter().map(|node| node.map(type_of).unwrap_or_default()).collect(),
            found: Vec::new(),
            fleet,
        };
        search.confirm(&self.proposed);
        if search.found.is_empty() {
            search.remove();
            search.replace(self.largest);
        }
        groups::groups(&search, |pod| self.home(pod))
    }

    /// Counts a planned launch against the limits of its pool, and for its part that is not spot.
    fn count(
        &self,
        launch: &Launch,
        pools: &[&model::NodePool],
        limits: &mut Limits,
        shares: &mut [Share],
    ) {
        let Some(at) = pools.iter().position(|pool| pool.name == launch.node_pool) else { return };
        let types = self.view.snapshot.instance_types.get(&pools[at].instance_types);
        let mut types = types.into_iter().flat_map(|types| types.iter());
        if let Some(known) = types.find(|known| known.name == launch.offering.instance_type) {
            limits.buy(at, &known.capacity);
            let share = shares.get_mut(at).into_iter();
            share.for_each(|own| own.add(known.capacity.get(CPU), launch.offering.capacity_type));
            let reserved = launch.offering.reservation.iter();
            reserved.for_each(|id| limits.reservations.take(id));
        }
    }

    /// The nodes as the search knows them, by position of their slots; and the pods that are planned onto them. Pods that are
    /// planned onto new nodes count in their cells.
    fn hosts(
        &self,
        classes: &[Class<'a>],
        slots: &[Slot<'a>],
        candidates: &Candidates<'a>,
        topology: &mut Topology,
    ) -> (Vec<Host<'a>>, Vec<(usize, usize, &'a Pod)>) {
        let price = |slot: &Slot<'_>| self.view.node(&slot.name).and_then(|node| node.price);
        let host = |slot: &Slot<'_>| Host {
            candidate: self.candidates.contains_key(&*slot.name),
            price: price(slot).unwrap_or_default().0,
            ..Host::default()
        };
        let mut hosts = slots.iter().map(host).collect::<Vec<_>>();
        let index = slots.iter().enumerate().map(|(at, slot)| {
            (&*slot.name, (at, self.candidates.get(&*slot.name).map(|terms| terms.saving_per_move)))
        });
        let index = index.collect::<BTreeMap<_, _>>();
        let (placed, bought) = self.planned(candidates);
        let mut planned = Vec::new();
        for (class, of) in classes.iter().enumerate() {
            for pod in of.pods.iter().copied() {
                let home = pod.node_name.as_deref().filter(|_| pod.is_reschedulable());
                let home = home.and_then(|home| index.get(home));
                if let Some((at, Some(toll))) = home {
                    let host = &mut hosts[*at];
                    host.toll = host.toll.saturating_add(toll.0);
                    match host.load.last_mut().filter(|(own, _)| *own == class) {
                        Some((_, pods)) => pods.push(pod),
                        None => host.load.push((class, vec![pod])),
                    }
                } else if let Some(at) = placed.get(&pod.id).and_then(|node| index.get(node)) {
                    planned.push((at.0, class, pod));
                } else if let Some(cell) = bought.get(&pod.id) {
                    topology.place(&of.terms, None, *cell, 1);
                }
            }
        }
        (hosts, planned)
    }

    /// By pod, the node that it is planned onto; and the cell of the new node that it is planned onto.
    fn planned(
        &self,
        candidates: &Candidates<'_>,
    ) -> (BTreeMap<&PodId, &str>, BTreeMap<&PodId, Option<usize>>) {
        let plan = &self.base.plan;
        let placed = plan.placements.iter().map(|placed| (&placed.pod, &*placed.node));
        let bought = plan.launches.iter().flat_map(|launch| {
            let cell = candidates.cell_of(launch);
            launch.pods.iter().map(move |pod| (pod, cell))
        });
        (placed.collect(), bought.collect())
    }

    /// By slot its pool, and by pool how many nodes may go.
    fn quotas(&self, slots: &[Slot<'_>]) -> (Vec<usize>, Vec<usize>) {
        let mut index = BTreeMap::new();
        let mut quotas = Vec::new();
        let mut pools = Vec::new();
        for slot in slots {
            let name = slot.pool.unwrap_or_default().to_owned();
            pools.push(*index.entry(name).or_insert_with_key(|name| {
                quotas.push(self.allowed.get(name.as_str()).copied().unwrap_or(usize::MAX));
                quotas.len() - 1
            }));
        }
        (pools, quotas)
    }
}

/// By class, the candidates that can hold one of its pods and that no other undercuts.
fn trimmed(market: &Market<'_, '_>) -> Vec<Bitset> {
    let useful = useful(market);
    let trim = |fitting: &Bitset| {
        let mut trimmed = fitting.clone();
        trimmed.intersect(&useful);
        trimmed
    };
    market.fitting.iter().map(trim).collect()
}

fn is_spot(node: &Node) -> bool {
    node.capacity_type() == CapacityType::Spot
}

fn type_of(node: &Node) -> &str {
    node.label(labels::INSTANCE_TYPE).unwrap_or_default()
}
