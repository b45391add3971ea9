//! From pending pods to nodes: what is there first, then the cheapest of what can be bought.

mod again;
mod bound;
mod bulk;
mod buy;
mod candidates;
mod cells;
mod classes;
mod constraints;
mod daemons;
mod dimensions;
mod diversity;
mod launches;
mod limits;
mod nominated;
mod open;
mod place;
mod reasons;
mod replay;
mod reservations;
mod search;
mod settle;
mod share;
mod slots;
mod tallies;
mod terms;
mod together;
mod topology;
mod translate;
mod volumes;
mod worth;

use crate::Options;
use crate::leaving::Leaving;
use crate::packing::bitset::Bitset;
use bound::Free;
use buy::Purchase;
pub(crate) use buy::{Bought, Market};
use candidates::Atoms;
pub(crate) use candidates::{Candidates, is_usable};
pub(crate) use classes::{Class, Classes};
pub(crate) use dimensions::{fits, take};
pub(crate) use launches::launches;
pub(crate) use limits::Limits;
use model::{Cost, Launch, MicroUsdPerHour, Placement, Plan, Reason, Snapshot, Unschedulable};
use place::Placer;
pub(crate) use place::{Demands, Standing, may_hold};
use search::Restrictions;
pub(crate) use share::{Share, hold, standing};
pub(crate) use slots::Slot;
use std::collections::BTreeMap;
pub(crate) use topology::Topology;
pub(crate) use volumes::{Attachments, Volumes};
pub(crate) use worth::{Worth, useful, worth};

/// What a turn decides about: the pods that want a place, in classes, what could be bought for them, and the nodes as they stand.
pub(crate) struct Scene<'a> {
    pub(crate) classes: Classes<'a>,
    pub(crate) candidates: Candidates<'a>,
    /// By class, the candidates that can hold one of its pods.
    pub(crate) fitting: Vec<Bitset>,
    pub(crate) slots: Vec<Slot<'a>>,
    pub(crate) topology: Topology,
    atoms: Atoms,
}

impl<'a> Scene<'a> {
    /// Looks at the snapshot.
    pub(crate) fn new(snapshot: &'a Snapshot, leaving: &Leaving<'_>) -> Self {
        let keys = classes::selector_keys(snapshot);
        let mut classes = classes::classify(snapshot, leaving, &keys);
        let keys = cells::topology_keys(snapshot, leaving);
        let mut candidates = Candidates::new(snapshot, &classes, &keys);
        let mut slots = slots::slots(snapshot, leaving, &classes.dimensions);
        candidates.partition(keys, &mut slots);
        let mut atoms = Atoms::default();
        let list = &mut classes.list;
        let topology = Topology::new(snapshot, leaving, list, &slots, &candidates, &mut atoms);
        let fitting = fitting(&classes.list, &candidates, &mut atoms);
        Self { classes, candidates, fitting, slots, topology, atoms }
    }
}

/// By class, the candidates that can hold one of its pods; worked out once for classes that differ in topology alone.
fn fitting(classes: &[Class<'_>], candidates: &Candidates<'_>, atoms: &mut Atoms) -> Vec<Bitset> {
    let mut allowed = BTreeMap::new();
    let mut fitting: BTreeMap<(usize, &[i64]), Bitset> = BTreeMap::new();
    let mut all = Vec::with_capacity(classes.len());
    for class in classes {
        let spec = class.spec;
        let asked = (&spec.node_selector, &spec.node_affinity, &spec.tolerations);
        let next = allowed.len();
        let (at, allowed) = allowed
            .entry((asked, &class.volumes, &spec.host_ports))
            .or_insert_with(|| (next, candidates.allowed(class, atoms)));
        let fit = fitting
            .entry((*at, &class.size))
            .or_insert_with(|| candidates.large_enough(allowed, &class.size));
        all.push(fit.clone());
    }
    all
}

/// Places for pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scheduled {
    /// What to launch and what goes where; no steps yet.
    pub(crate) plan: Plan,
    /// Pods of leaving nodes that have no place to go, by name. They still run, so they are not reported as waiting.
    pub(crate) stranded: Vec<Unschedulable>,
}

impl Scheduled {
    /// Whether fewer pods are left without a place, or as many and it costs less.
    fn is_better_than(&self, other: &Self) -> bool {
        let worth = |found: &Self| {
            (found.plan.unschedulable.len() + found.stranded.len(), found.plan.cost.planned)
        };
        worth(self) < worth(other)
    }
}

/// Pods without another place stay, and then count where they are; after so many rounds what is left is told as it is.
const ROUNDS: usize = 4;

/// Finds a place for every pending pod, and for every pod of a leaving node, that can have one.
pub(crate) fn schedule(snapshot: &Snapshot, leaving: &Leaving<'_>, options: &Options) -> Scheduled {
    let mut found = place(snapshot, leaving, options);
    let mut stranded = std::mem::take(&mut found.stranded);
    let mut new = stranded.len();
    for _ in 1..ROUNDS {
        if new == 0 {
            break;
        }
        let staying = leaving.holding(stranded.iter().map(|left| left.pod.clone()));
        found = place(snapshot, &staying, options);
        new = found.stranded.len();
        stranded.append(&mut found.stranded);
    }
    stranded.sort_by(|a, b| a.pod.cmp(&b.pod));
    Scheduled { stranded, ..found }
}

fn place(snapshot: &Snapshot, leaving: &Leaving<'_>, options: &Options) -> Scheduled {
    best(options, |options| place_once(snapshot, leaving, options))
}

/// Whoever looks harder than by default may by chance find what is dearer, and then keeps the other.
fn best(options: &Options, place: impl Fn(&Options) -> Scheduled) -> Scheduled {
    let (found, default) = (place(options), Options::default());
    if options.steps <= default.steps {
        return found;
    }
    let other = place(&default);
    if other.is_better_than(&found) { other } else { found }
}

fn place_once(snapshot: &Snapshot, leaving: &Leaving<'_>, options: &Options) -> Scheduled {
    let (found, limited) = place_all(snapshot, leaving, options);
    let tangled = found.plan.unschedulable.iter().chain(&found.stranded).any(is_tangled);
    if limited || tangled { again::again(snapshot, leaving, options, found) } else { found }
}

/// Whether it is other pods that keep this one from a place.
fn is_tangled(left: &Unschedulable) -> bool {
    let of_others = |reason: &Reason| {
        matches!(
            reason,
            Reason::Spread { .. } | Reason::PodAffinity { .. } | Reason::PodAntiAffinity { .. }
        )
    };
    left.reasons.iter().any(of_others)
}

/// Places, and whether limits turned something away.
fn place_all(snapshot: &Snapshot, leaving: &Leaving<'_>, options: &Options) -> (Scheduled, bool) {
    let Scene { classes, candidates, fitting, slots, topology, mut atoms } =
        Scene::new(snapshot, leaving);
    let limits = Limits::new(&candidates, &slots);
    let mut placer = Placer {
        classes: &classes.list,
        candidates: &candidates,
        fitting: &fitting,
        topology,
        limits,
        open: Vec::new(),
        placed: Vec::new(),
        demands: Demands::new(),
        bundles: BTreeMap::new(),
        unschedulable: Vec::new(),
        restrictions: Restrictions::new(&classes.list, &slots),
        slots,
    };
    let mut free = placer.free_room();
    free.extend(reservations::free(&candidates, &fitting));
    placer.run();
    let shares = standing(snapshot, &candidates, &placer.slots, leaving);
    let turn = Turn { snapshot, options, classes: &classes, free, shares };
    let (mut plan, limited) = turn.finish(placer, &mut atoms);
    let stranded = stranded(snapshot, leaving, &mut plan);
    (Scheduled { plan, stranded }, limited)
}

/// Takes the pods that still run out of those that wait without a place.
fn stranded(snapshot: &Snapshot, leaving: &Leaving<'_>, plan: &mut Plan) -> Vec<Unschedulable> {
    let running = snapshot.pods.iter().filter(|pod| leaving.moves(pod)).map(|pod| &pod.id);
    let running = running.collect::<std::collections::BTreeSet<_>>();
    let (stranded, waiting) = std::mem::take(&mut plan.unschedulable)
        .into_iter()
        .partition(|left| running.contains(&left.pod));
    plan.unschedulable = waiting;
    stranded
}

/// What a turn was given.
struct Turn<'a, 's> {
    snapshot: &'s Snapshot,
    options: &'s Options,
    classes: &'s Classes<'a>,
    /// The room on slots before anything was placed.
    free: Vec<Free>,
    /// By pool, how much of what is there is not spot; empty if no pool asks.
    shares: Vec<Share>,
}

impl<'a> Turn<'a, '_> {
    /// Buys for the demand, and gathers all into a plan; and whether limits turned something away.
    fn finish(self, mut placer: Placer<'a, '_>, atoms: &mut Atoms) -> (Plan, bool) {
        let mut limits = placer.limits.clone();
        let demands = std::mem::take(&mut placer.demands);
        let open = std::mem::take(&mut placer.open);
        let mut fitting = placer.fitting.to_vec();
        placer.bundles.iter().for_each(|(class, whole)| fitting[*class] = whole.clone());
        let market = Market {
            candidates: placer.candidates,
            classes: &self.classes.list,
            fitting: &fitting,
            bundles: &placer.bundles,
            topology: &placer.topology,
            steps: self.options.steps,
        };
        let split = demands.keys().any(|(_, cell)| cell.is_some());
        let opened = opened(open);
        let mut purchase = market.buy(demands, &mut limits);
        purchase.limited |= !opened.left.is_empty();
        let simple = self.free.is_empty() && !split && !purchase.limited && opened.nodes.is_empty();
        let mut unschedulable = std::mem::take(&mut placer.unschedulable);
        unschedulable.extend(turned_away(&market, &purchase, &opened.left, &limits));
        let (snapshot, candidates) = (self.snapshot, placer.candidates);
        let mut unschedulable =
            with_reasons(snapshot, self.classes, candidates, unschedulable, atoms);
        purchase.nodes.extend(opened.nodes);
        let mut placed = std::mem::take(&mut placer.placed);
        if purchase.limited {
            unschedulable.extend(self.prune(
                &market,
                &placer,
                &mut placed,
                &mut purchase.nodes,
                &limits,
            ));
        }
        let refused = self.classes.refused.iter().map(|(pod, reason)| Unschedulable {
            pod: pod.id.clone(),
            reasons: vec![reason.clone()],
        });
        unschedulable.extend(refused);
        unschedulable.sort_by(|a, b| a.pod.cmp(&b.pod));
        settle::settle(&market, &mut purchase.nodes);
        hold(&market, &mut self.shares.clone(), &mut purchase.nodes, &limits);
        let placement = |(_, slot, pod): (usize, usize, &model::Pod)| Placement {
            pod: pod.id.clone(),
            node: placer.slots[slot].name.clone(),
        };
        let mut placements = placed.into_iter().map(placement).collect::<Vec<_>>();
        placements.sort();
        let bound = simple.then_some(purchase.bound);
        let (limited, nodes) = (purchase.limited, purchase.nodes);
        let launches = launches(&market, nodes, &limits);
        let cost = self.cost(&market, &launches, bound, limited, &unschedulable);
        (Plan { launches, placements, unschedulable, cost, ..Plan::default() }, limited)
    }

    fn cost(
        &self,
        market: &Market<'a, '_>,
        launches: &[Launch],
        known: Option<u64>,
        limited: bool,
        unschedulable: &[Unschedulable],
    ) -> Cost {
        let planned = launches.iter().map(|launch| launch.offering.price).sum::<MicroUsdPerHour>();
        if launches.is_empty() {
            return Cost::default();
        }
        let bound = known.unwrap_or_else(|| {
            bound::bound(market, &counts(self.classes, unschedulable), &self.free, limited)
        });
        let estimated = launches.iter().any(|launch| launch.offering.estimated);
        Cost { planned, lower_bound: MicroUsdPerHour(bound.min(planned.0)), estimated }
    }

    /// Lets pods go whose places depended on pods that limits turned away.
    fn prune(
        &self,
        market: &Market<'a, '_>,
        placer: &Placer<'a, '_>,
        placed: &mut Vec<(usize, usize, &'a model::Pod)>,
        nodes: &mut Vec<Bought<'a>>,
        limits: &Limits,
    ) -> Vec<Unschedulable> {
        let replay = replay::Replay {
            classes: &self.classes.list,
            topology: placer.topology.before(),
            slot_cells: placer.slots.iter().map(|slot| slot.cell).collect(),
        };
        let lost = replay.prune(placed, nodes, |candidate| market.candidates.list[candidate].cell);
        let unschedulable = |(class, pod): (usize, &model::Pod)| {
            let reasons = limit_reasons(market, &market.fitting[class], limits);
            let reasons = if reasons.is_empty() {
                vec![Reason::Spread { topology_key: model::labels::ZONE.to_owned() }]
            } else {
                reasons
            };
            Unschedulable { pod: pod.id.clone(), reasons }
        };
        lost.into_iter().map(unschedulable).collect()
    }
}

/// The nodes that were opened for pods which must share them; those that limits turned away are left.
fn opened<'a>(open: Vec<open::Open<'a>>) -> Purchase<'a> {
    let mut purchase = Purchase::default();
    for node in open {
        let cell = Some(node.cell);
        match node.bought() {
            Some(candidate) => {
                let pods = node.pods.into_iter().map(|(class, pod)| (class, cell, pod)).collect();
                purchase.nodes.push(Bought { candidate, pods });
            }
            None => {
                for (class, pod) in node.pods {
                    purchase.left.entry((class, cell)).or_default().push(pod);
                }
            }
        }
    }
    purchase
}

/// The pods that only limits kept from a node.
fn turned_away(
    market: &Market<'_, '_>,
    purchase: &Purchase<'_>,
    opened: &Demands<'_>,
    limits: &Limits,
) -> Vec<Unschedulable> {
    let mut turned = Vec::new();
    for ((class, cell), pods) in purchase.left.iter().chain(opened) {
        let fitting = market.fitting_in(*class, *cell);
        let reasons = limit_reasons(market, &fitting, limits);
        turned.extend(
            pods.iter().map(|pod| Unschedulable { pod: pod.id.clone(), reasons: reasons.clone() }),
        );
    }
    turned
}

/// By pool, the limit that turns even its smallest fitting candidate away.
fn limit_reasons(market: &Market<'_, '_>, fitting: &Bitset, limits: &Limits) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for (pool, members) in market.candidates.of_pool.iter().enumerate() {
        let mut own = members.clone();
        own.intersect(fitting);
        let exceeded = own.iter().find_map(|at| {
            limits.exceeded(pool, &market.candidates.list[at].instance_type.capacity)
        });
        if let Some(resource) = exceeded {
            reasons.push(limits.reason(pool, &market.candidates.pools[pool].name, resource));
        }
    }
    reasons.truncate(reasons::MOST_POOLS);
    reasons
}

/// Fills in the reasons of pods that fit no candidate at all.
fn with_reasons(
    snapshot: &Snapshot,
    classes: &Classes<'_>,
    candidates: &Candidates<'_>,
    unschedulable: Vec<Unschedulable>,
    atoms: &mut Atoms,
) -> Vec<Unschedulable> {
    let mut known = std::collections::BTreeMap::new();
    for class in classes.list.iter().filter(|_| !unschedulable.is_empty()) {
        known.extend(class.pods.iter().map(|pod| (&pod.id, class)));
    }
    let mut memo: std::collections::BTreeMap<*const classes::Class<'_>, Vec<Reason>> =
        std::collections::BTreeMap::new();
    let explain = |mut left: Unschedulable| {
        if let Some(class) = known.get(&left.pod).filter(|_| left.reasons.is_empty()) {
            let reasons = memo.entry(std::ptr::from_ref(*class)).or_insert_with(|| {
                reasons::reasons(snapshot, candidates, class, &classes.dimensions, atoms)
            });
            left.reasons.clone_from(reasons);
        }
        left
    };
    unschedulable.into_iter().map(explain).collect()
}

/// By class, how many of its pods have a place.
fn counts(classes: &Classes<'_>, unschedulable: &[Unschedulable]) -> Vec<u32> {
    let left = unschedulable
        .iter()
        .map(|unschedulable| &unschedulable.pod)
        .collect::<std::collections::BTreeSet<_>>();
    let placed = |class: &classes::Class<'_>| {
        if left.is_empty() {
            return class.pods.len() as u32;
        }
        class.pods.iter().filter(|pod| !left.contains(&pod.id)).count() as u32
    };
    classes.list.iter().map(placed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::PodId;

    /// What so many steps find: its price, and how many pods are left.
    fn found((price, left): (u64, usize)) -> Scheduled {
        let mut found = Scheduled::default();
        found.plan.cost.planned = MicroUsdPerHour(price);
        let pod = PodId::new("shop", "web");
        found.stranded = vec![Unschedulable { pod, reasons: Vec::new() }; left];
        found
    }

    #[test]
    fn looking_harder_never_ends_dearer() {
        let default = Options::default();
        let check = |usual, harder, expected| {
            let place = |options: &Options| found(if *options == default { usual } else { harder });
            assert_eq!(best(&Options::MAX, place), found(expected), "{usual:?} {harder:?}");
            assert_eq!(best(&default, place), found(usual));
            assert_eq!(best(&Options::FAST, place), found(harder), "faster is not tried twice");
        };
        check((10, 0), (9, 0), (9, 0));
        check((10, 0), (11, 0), (10, 0));
        check((10, 0), (9, 1), (10, 0));
        check((10, 1), (11, 0), (11, 0));
    }
}
