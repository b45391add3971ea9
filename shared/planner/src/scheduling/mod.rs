//! From pending pods to nodes: what is there first, then the cheapest of what can be bought.

mod bound;
mod buy;
mod candidates;
mod classes;
mod constraints;
mod dimensions;
mod launches;
mod limits;
mod open;
mod place;
mod reasons;
mod settle;
mod slots;
mod topology;
mod volumes;

use crate::Options;
use crate::packing::bitset::Bitset;
use bound::Free;
use buy::{Bought, Market, Purchase};
use candidates::{Atoms, Candidates};
use classes::Classes;
use limits::Limits;
use model::{Cost, MicroUsdPerHour, Plan, Reason, Snapshot, Unschedulable};
use place::{Demands, Placer};
use topology::Topology;

/// Finds a place for every pending pod that can have one.
pub(crate) fn schedule(snapshot: &Snapshot, options: &Options) -> Plan {
    let mut classes = classes::classify(snapshot, &classes::selector_keys(snapshot));
    let candidates = Candidates::new(snapshot, &classes);
    let slots = slots::slots(snapshot, &classes.dimensions, &candidates.zones);
    let topology = Topology::new(snapshot, &mut classes.list, &slots, candidates.zones.len());
    let mut atoms = Atoms::default();
    let fit = |class: &classes::Class<'_>, atoms: &mut Atoms| {
        candidates.large_enough(&candidates.allowed(class, atoms), &class.size)
    };
    let fitting = classes.list.iter().map(|class| fit(class, &mut atoms)).collect::<Vec<_>>();
    let limits = Limits::new(&candidates, &slots);
    let mut placer = Placer {
        classes: &classes.list,
        candidates: &candidates,
        fitting: &fitting,
        topology,
        slots,
        open: Vec::new(),
        placements: Vec::new(),
        demands: Demands::new(),
        unschedulable: Vec::new(),
    };
    let free = placer.free_room();
    placer.run();
    finish(snapshot, options, &classes, placer, &free, limits, &mut atoms)
}

/// Buys for the demand, and gathers all into a plan.
fn finish<'a>(
    snapshot: &Snapshot,
    options: &Options,
    classes: &Classes<'a>,
    placer: Placer<'a, '_>,
    free: &[Free],
    mut limits: Limits,
    atoms: &mut Atoms,
) -> Plan {
    let Placer {
        candidates, fitting, topology, open, mut placements, demands, unschedulable, ..
    } = placer;
    let market = Market {
        candidates,
        classes: &classes.list,
        fitting,
        topology: &topology,
        steps: options.steps,
    };
    let zoned = demands.keys().any(|(_, zone)| zone.is_some());
    let opened = buy_open(&market, open, &mut limits);
    let mut purchase = market.buy(demands, &mut limits);
    let simple = free.is_empty() && !zoned && !purchase.limited && opened.nodes.is_empty();
    let mut unschedulable = with_reasons(snapshot, classes, candidates, unschedulable, atoms);
    unschedulable.extend(turned_away(&market, &purchase, &opened.left, &limits));
    unschedulable.extend(
        classes.refused.iter().map(|(pod, reason)| Unschedulable {
            pod: pod.id.clone(),
            reasons: vec![reason.clone()],
        }),
    );
    unschedulable.sort_by(|a, b| a.pod.cmp(&b.pod));
    placements.sort();
    let (limited, simple_bound) = (purchase.limited, purchase.bound);
    purchase.nodes.extend(opened.nodes);
    settle::settle(&market, &mut purchase.nodes);
    let counts = counts(classes, &unschedulable);
    let launches = launches::launches(&market, purchase.nodes, &limits);
    let planned = launches.iter().map(|launch| launch.offering.price).sum::<MicroUsdPerHour>();
    let lower_bound = match (launches.is_empty(), simple) {
        (true, _) => 0,
        (false, true) => simple_bound,
        (false, false) => bound::bound(&market, &counts, free, limited),
    };
    let estimated = launches.iter().any(|launch| launch.offering.estimated);
    let cost =
        Cost { planned, lower_bound: MicroUsdPerHour(lower_bound.min(planned.0)), estimated };
    Plan { launches, placements, unschedulable, cost, ..Plan::default() }
}

/// Buys the nodes that were opened for pods which must share them, as far as limits allow.
fn buy_open<'a>(
    market: &Market<'a, '_>,
    open: Vec<open::Open<'a>>,
    limits: &mut Limits,
) -> Purchase<'a> {
    let mut purchase = Purchase::default();
    for node in open {
        let Some(candidate) = node.candidate(market.candidates) else { continue };
        let (pool, capacity) = (
            market.candidates.list[candidate].pool,
            &market.candidates.list[candidate].instance_type.capacity,
        );
        if limits.exceeded(pool, capacity).is_some() {
            for (class, pod) in node.pods {
                purchase.left.entry((class, Some(node.zone))).or_default().push(pod);
            }
            continue;
        }
        limits.buy(pool, capacity);
        let pods =
            node.pods.into_iter().map(|(class, pod)| (class, Some(node.zone), pod)).collect();
        purchase.nodes.push(Bought { candidate, pods });
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
    for ((class, zone), pods) in purchase.left.iter().chain(opened) {
        let fitting = market.fitting_in(*class, *zone);
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
    for class in &classes.list {
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
        class.pods.iter().filter(|pod| !left.contains(&pod.id)).count() as u32
    };
    classes.list.iter().map(placed).collect()
}
