//! Bought nodes as the plan names them, with the other offerings that would do.

use super::buy::{Bought, Market};
use super::candidates::Candidate;
use super::limits::Limits;
use crate::packing::bitset::Bitset;
use model::{Alternative, Launch, MicroUsdPerHour, PodId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A launch keeps at most so many alternatives.
const MOST_ALTERNATIVES: usize = 60;
/// Of each instance type at most so many zones and capacity types are kept, so that types stay diverse.
const MOST_OF_A_TYPE: usize = 6;

type Contents = Vec<((usize, Option<usize>), usize)>;

/// What has been worked out for launches before: lists of candidates as alternatives, by what they are for and by what they hold.
#[derive(Default)]
struct Memo {
    by_contents: BTreeMap<(usize, Contents), Arc<Vec<Alternative>>>,
    by_candidates: BTreeMap<Vec<usize>, Arc<Vec<Alternative>>>,
}

/// The launches, by pool, type and pods, with names that count up within each pool.
pub(crate) fn launches<'a>(
    market: &Market<'a, '_>,
    nodes: Vec<Bought<'a>>,
    limits: &Limits,
) -> Vec<Launch> {
    let mut memo = Memo::default();
    let mut launches =
        nodes.into_iter().map(|node| launch(market, node, limits, &mut memo)).collect::<Vec<_>>();
    in_order(&mut launches);
    number(&mut launches);
    launches
}

/// By pool, the dearest first.
pub(super) fn in_order(launches: &mut [Launch]) {
    launches.sort_by(|a, b| order(a).cmp(&order(b)));
}

/// Names the launches, counting up within each pool.
pub(super) fn number(launches: &mut [Launch]) {
    let mut numbers: BTreeMap<String, u32> = BTreeMap::new();
    for launch in launches {
        let number = numbers.entry(launch.node_pool.clone()).or_default();
        *number += 1;
        launch.name = format!("{}-{number}", launch.node_pool).into();
    }
}

fn order(launch: &Launch) -> impl Ord + use<'_> {
    (
        &launch.node_pool,
        std::cmp::Reverse(launch.offering.price),
        &launch.offering.instance_type,
        &launch.offering.zone,
        &launch.pods,
    )
}

fn launch(market: &Market<'_, '_>, node: Bought<'_>, limits: &Limits, memo: &mut Memo) -> Launch {
    let candidate = &market.candidates.list[node.candidate];
    let mut contents: BTreeMap<(usize, Option<usize>), usize> = BTreeMap::new();
    for (class, zone, _) in &node.pods {
        *contents.entry((*class, *zone)).or_default() += 1;
    }
    let contents = contents.into_iter().collect::<Contents>();
    let shared = &mut memo.by_candidates;
    let find = |(chosen, contents): &(usize, Contents)| {
        let found = alternatives(market, *chosen, contents, limits);
        let list = |at: &usize| alternative(&market.candidates.list[*at]);
        let shared = shared.entry(found);
        shared.or_insert_with_key(|found| Arc::new(found.iter().map(list).collect())).clone()
    };
    let known = memo.by_contents.entry((node.candidate, contents));
    let alternatives = known.or_insert_with_key(find).clone();
    let mut pods = node.pods.iter().map(|(_, _, pod)| pod.id.clone()).collect::<Vec<PodId>>();
    pods.sort();
    Launch {
        name: "".into(),
        node_pool: market.candidates.pools[candidate.pool].name.clone(),
        offering: alternative(candidate),
        parts: candidate.offering.parts,
        daemons: daemons(candidate),
        pods,
        labels: (*candidate.chosen).clone(),
        alternatives,
        replaces: None,
    }
}

/// What of the instance's price the daemons take.
fn daemons(candidate: &Candidate<'_>) -> MicroUsdPerHour {
    let (price, parts) = (candidate.offering.price, candidate.offering.parts);
    let instance = price - parts.volumes - parts.premium;
    let share = u128::from(instance.0) * u128::from(candidate.daemons) / 1_000_000;
    MicroUsdPerHour(u64::try_from(share).unwrap_or(0))
}

fn alternative(candidate: &Candidate<'_>) -> Alternative {
    Alternative {
        instance_type: candidate.instance_type.name.clone(),
        zone: candidate.offering.zone.clone(),
        capacity_type: candidate.offering.capacity_type,
        price: candidate.offering.price,
        estimated: candidate.offering.estimated,
        reservation: candidate.reservation().map(str::to_owned),
    }
}

/// The other offerings of the same pool that hold the same pods, cheapest first.
fn alternatives(
    market: &Market<'_, '_>,
    chosen: usize,
    contents: &Contents,
    limits: &Limits,
) -> Vec<usize> {
    let own = &market.candidates.list[chosen];
    let mut possible: Bitset = market.candidates.of_pool[own.pool].clone();
    let mut total = vec![0_i64; own.usable.len()];
    for ((class, zone), count) in contents {
        possible.intersect(&market.fitting_in(*class, *zone));
        super::dimensions::take(&mut total, &market.classes[*class].size, -(*count as i64));
    }
    let asked = &market.candidates.pools[own.pool].min_values;
    let alike = |at: usize| {
        let other = &market.candidates.list[at];
        at != chosen
            && other.offering.reservation.is_none()
            && possible.contains(at)
            && super::dimensions::fits(&total, &other.usable)
            && other.chosen == own.chosen
            && within(limits, own, &other.instance_type.capacity, !asked.is_empty())
    };
    let order = &market.candidates.by_price[own.pool];
    let order = diverse_first(market, chosen, asked, order, &alike);
    let list = &market.candidates.list;
    let mut found: Vec<usize> = Vec::with_capacity(MOST_ALTERNATIVES);
    for at in order.iter().copied().filter(|at| alike(*at)) {
        let same =
            |other: &&usize| std::ptr::eq(list[**other].instance_type, list[at].instance_type);
        if found.iter().rev().filter(same).count() < MOST_OF_A_TYPE {
            found.push(at);
        }
        if found.len() == MOST_ALTERNATIVES {
            break;
        }
    }
    if !asked.is_empty() {
        found.sort_by(|a, b| by_price(&list[*a]).cmp(&by_price(&list[*b])));
    }
    found
}

fn by_price<'c>(candidate: &Candidate<'c>) -> impl Ord + use<'c> {
    let offering = candidate.offering;
    let name = candidate.instance_type.name.as_str();
    (offering.price, name, offering.zone.as_str(), offering.capacity_type)
}

/// Limits leave room for the other offering: wherever they leave it for the chosen one or, where a pool wants several, as things are.
fn within(
    limits: &Limits,
    chosen: &Candidate<'_>,
    other: &model::Resources,
    several: bool,
) -> bool {
    let own = &chosen.instance_type.capacity;
    limits.no_larger(chosen.pool, other, own)
        || (several && limits.allow_instead(chosen.pool, other, own))
}

/// The order with those first that bring the values which the pool asks for.
fn diverse_first<'o>(
    market: &Market<'_, '_>,
    chosen: usize,
    asked: &[(String, u32)],
    order: &'o [usize],
    alike: &impl Fn(usize) -> bool,
) -> std::borrow::Cow<'o, [usize]> {
    if asked.is_empty() {
        return order.into();
    }
    let list = &market.candidates.list;
    let mut first = Vec::new();
    for (key, count) in asked {
        let label = |at: usize| market.candidates.label(&list[at], key);
        let mut values = label(chosen).into_iter().collect::<std::collections::BTreeSet<_>>();
        for at in order.iter().copied().filter(|at| alike(*at)) {
            if values.len() < *count as usize && label(at).is_some_and(|value| values.insert(value))
            {
                first.push(at);
            }
        }
    }
    first.sort_unstable();
    first.dedup();
    let rest = order.iter().copied().filter(|at| first.binary_search(at).is_err());
    let all = first.iter().copied().chain(rest).collect::<Vec<_>>();
    all.into()
}
