//! What a replacement may cost: what EC2 gives at worst, not only what is planned.
//!
//! Karpenter (`pkg/controllers/disruption/consolidation.go`) compares the dearest offering that a replacement could get with what
//! is replaced, and drops the types that are not cheaper. Here the saving of a whole group is shared out among its launches: each
//! may cost so much more than planned that all at their worst together still save what moving the pods must save.

use crate::scheduling::{Bought, Limits, Market, launches};
use model::{Alternative, CapacityType, Launch, Node, labels};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A spot node that replaces one spot node is chosen among so many types (Karpenter's number), or it would be replaced by
/// a cheaper one again and again, until only types are left that EC2 soon takes back.
const TYPES_ONE_TO_ONE: usize = 15;
/// A spot node that replaces several spot nodes is chosen among so many types.
const TYPES: usize = 5;
/// And among so many zones.
const ZONES: usize = 2;

/// What is replaced.
pub(super) struct Replaced<'a> {
    pub(super) nodes: usize,
    /// Whether all of it is spot capacity.
    pub(super) all_spot: bool,
    /// What the group saves above the toll of its moves, at planned prices.
    pub(super) gain: i64,
    /// The instance types.
    pub(super) types: BTreeSet<&'a str>,
}

/// What is bought runs beside what it replaces for about so many seconds: it starts, pods move, the old nodes end.
const OVERLAP_S: i64 = 120;
/// That must be earned back within so many seconds: in a cluster that changes, a saving does not last for ever.
const EARNED_BACK_S: i64 = 3_600;

/// What must be saved an hour beside the toll of the moves if nodes of that price are bought.
pub(super) fn overlap(bought: i64) -> i64 {
    bought * OVERLAP_S / EARNED_BACK_S
}

/// Whether the nodes may replace what is replaced.
pub(super) fn is_right(
    market: &Market<'_, '_>,
    nodes: &[Bought<'_>],
    limits: &Limits,
    replaced: &Replaced<'_>,
) -> bool {
    let spot = |node: &Bought<'_>| {
        market.candidates.list[node.candidate].offering.capacity_type == CapacityType::Spot
    };
    if same_again(market, nodes, replaced) {
        return false;
    }
    if !(replaced.all_spot && nodes.iter().any(spot)) {
        return true;
    }
    let copies =
        nodes.iter().map(|node| Bought { candidate: node.candidate, pods: node.pods.clone() });
    let mut launches = launches(market, copies.collect(), limits);
    let pool = launches.iter().map(Choice::of).collect::<Vec<_>>();
    bound(&mut launches, replaced.gain);
    is_diverse(&launches, &pool, replaced)
}

/// One node that replaces several and is of a type among them: that one should have stayed and taken the pods of the others.
fn same_again(market: &Market<'_, '_>, nodes: &[Bought<'_>], replaced: &Replaced<'_>) -> bool {
    let [only] = nodes else { return false };
    let name = market.candidates.list[only.candidate].instance_type.name.as_str();
    replaced.nodes > 1 && replaced.types.contains(name)
}

/// Keeps the alternatives by which the group still costs no more than `gain` above what is planned, whichever EC2 gives.
pub(super) fn bound(launches: &mut [Launch], gain: i64) {
    let planned = launches.iter().map(|launch| launch.offering.price.0).sum::<u64>();
    launches.iter_mut().for_each(|launch| keep_within(launch, gain, planned));
}

/// The launch may use up its share of the gain, by price; and it is bought in the way that is planned.
fn keep_within(launch: &mut Launch, gain: i64, planned: u64) {
    let (own, way) = (i128::from(launch.offering.price.0), launch.offering.capacity_type);
    let most = own + i128::from(gain.max(0)) * own / i128::from(planned.max(1));
    Arc::make_mut(&mut launch.alternatives)
        .retain(|other| other.capacity_type == way && i128::from(other.price.0) <= most);
}

/// What a spot launch leaves EC2 to choose from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    types: BTreeSet<String>,
    zones: BTreeSet<String>,
}

impl Choice {
    /// The spot offerings of the launch; none if it is not to be spot.
    pub(crate) fn of(launch: &Launch) -> Self {
        let mut choice = Self::default();
        let spot = |offer: &&Alternative| offer.capacity_type == CapacityType::Spot;
        if !spot(&&launch.offering) {
            return choice;
        }
        for offer in launch.alternatives.iter().chain([&launch.offering]).filter(spot) {
            choice.types.insert(offer.instance_type.clone());
            choice.zones.insert(offer.zone.clone());
        }
        choice
    }

    /// Whether it is wide enough, or all that the pool has: but for the types that are replaced, which are dearer.
    fn suffices(&self, pool: &Self, types: usize, replaced: &BTreeSet<&str>) -> bool {
        let others = pool.types.iter().filter(|name| !replaced.contains(name.as_str())).count();
        self.types.len() >= types.min(others) && self.zones.len() >= ZONES.min(pool.zones.len())
    }
}

/// Whether spot launches that replace spot nodes leave EC2 enough to choose from, where the pool would leave it so much.
pub(super) fn is_diverse(launches: &[Launch], pool: &[Choice], replaced: &Replaced<'_>) -> bool {
    if !replaced.all_spot {
        return true;
    }
    let one_to_one = replaced.nodes == 1 && launches.len() == 1;
    let types = if one_to_one { TYPES_ONE_TO_ONE } else { TYPES };
    let enough = |(launch, pool): (&Launch, &Choice)| {
        Choice::of(launch).suffices(pool, types, &replaced.types)
    };
    launches.iter().zip(pool).all(enough)
}

/// Of launches that replace nodes, keeps the alternatives by which their part of the price stays within `ceiling`, whichever of them EC2
/// gives. `planned` is that part as planned: a launch may be for other pods, too.
pub(crate) fn keep_cheaper(launches: &mut [&mut Launch], planned: u64, ceiling: u64) {
    let gain = ceiling.saturating_sub(planned) as i64;
    let whole = launches.iter().map(|launch| launch.offering.price.0).sum::<u64>();
    // Where others bear a part of the price, they bear the same part of what is above it.
    let gain = i128::from(gain) * i128::from(whole) / i128::from(planned.max(1));
    let gain = i64::try_from(gain).unwrap_or(i64::MAX);
    for launch in launches {
        keep_within(launch, gain, whole);
    }
}

/// Whether what is bought in place of spot nodes leaves EC2 enough to choose from once it is bound by its price.
pub(crate) fn leaves_choice(
    launches: &[&Launch],
    (planned, ceiling): (u64, u64),
    nodes: &[&Node],
) -> bool {
    let replaced = Replaced {
        nodes: nodes.len(),
        all_spot: nodes.iter().all(|node| node.capacity_type() == CapacityType::Spot),
        gain: 0,
        types: nodes.iter().filter_map(|node| node.label(labels::INSTANCE_TYPE)).collect(),
    };
    let mut bound = launches.iter().map(|launch| (*launch).clone()).collect::<Vec<_>>();
    let pool = bound.iter().map(Choice::of).collect::<Vec<_>>();
    keep_cheaper(&mut bound.iter_mut().collect::<Vec<_>>(), planned, ceiling);
    is_diverse(&bound, &pool, &replaced)
}
