//! First-fit packing in Karpenter's way: pods join open claims while some instance type still fits, and what is left
//! of the types is priced last. With one type and another order of claims it is Cluster Autoscaler's estimate.
//!
//! Rules: kubernetes-sigs/karpenter `pkg/controllers/provisioning/scheduling` (v1.13). A spread or anti-affinity
//! constraint is taken to count pods of the same class only, which holds for the workloads of this crate.

use model::MicroUsdPerHour;
use std::collections::BTreeSet;

/// An instance type that may be bought.
#[derive(Clone, Debug, Default)]
pub struct PackType {
    /// What pods may use beside the daemons, by resource number.
    pub free: Vec<i64>,
    /// Zone numbers and prices.
    pub offerings: Vec<(usize, MicroUsdPerHour)>,
}

/// Equal pods.
#[derive(Clone, Debug, Default)]
pub struct PackClass {
    /// Requests by resource number, none of them zero.
    pub requests: Vec<(usize, i64)>,
    /// The types that its node selection allows, by number, ascending.
    pub types: Vec<usize>,
    /// The zones that it allows: bit `z` for zone `z`.
    pub zones: u64,
    /// The maximum skew over zones, if it must be spread over them.
    pub zone_skew: Option<u32>,
    /// The most pods of the class on one node.
    pub per_node: Option<u32>,
}

/// A node that is there or on its way.
#[derive(Clone, Debug, Default)]
pub struct Existing {
    /// What is free.
    pub free: Vec<i64>,
    /// Its zone.
    pub zone: Option<usize>,
    /// Pods on it, by class; classes beyond the end have none.
    pub counts: Vec<u32>,
    /// Which classes its labels and taints let in.
    pub admits: Vec<bool>,
}

/// How claims are searched and zones are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Claims with the fewest pods first; a claim's zone stays open until a pod or the price decides it.
    Upstream,
    /// Claims in the order in which they were opened; each in the zone with the fewest nodes of the group.
    NodeGroup,
}

/// A problem.
#[derive(Clone, Debug, Default)]
pub struct Packing {
    /// Types.
    pub types: Vec<PackType>,
    /// How many zones there are, at most 64.
    pub zone_count: usize,
    /// Classes.
    pub classes: Vec<PackClass>,
    /// Nodes, in the order in which they are tried.
    pub existing: Vec<Existing>,
    /// The class of each pod, in the order in which they are placed.
    pub pods: Vec<usize>,
}

/// Where a pod goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// To an existing node, by number.
    Existing(usize),
    /// To a new claim, by number.
    Claim(usize),
    /// Nowhere.
    Nowhere,
}

/// A node to buy.
#[derive(Clone, Debug, Default)]
pub struct Claim {
    /// The types that still hold all its pods, by number, ascending.
    pub types: Vec<usize>,
    /// The zones that are still possible.
    pub zones: u64,
    /// How many pods it holds.
    pub pods: usize,
    used: Vec<i64>,
    counts: Vec<u32>,
    rejected: Vec<bool>,
}

/// The answer.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    /// The target of each pod, in the order of `Packing::pods`.
    pub targets: Vec<Target>,
    /// Nodes to buy.
    pub claims: Vec<Claim>,
}

impl Claim {
    /// What can be bought for it: (price, type, zone), cheapest first, ties by number.
    pub fn offers(&self, packing: &Packing) -> Vec<(MicroUsdPerHour, usize, usize)> {
        let possible = |zone: usize| self.zones & (1 << zone) != 0;
        let of_type = |index: &usize| {
            let offerings =
                packing.types[*index].offerings.iter().filter(|(zone, _)| possible(*zone));
            offerings.map(|(zone, price)| (*price, *index, *zone)).collect::<Vec<_>>()
        };
        let mut offers: Vec<_> = self.types.iter().flat_map(of_type).collect();
        offers.sort_unstable();
        offers
    }
}

/// Why a claim or node does not take a pod.
enum Refusal {
    /// And never will in this pass.
    Forever,
    /// But might later, when other zones have more pods.
    ForNow,
}

struct Pass<'a> {
    packing: &'a Packing,
    policy: Policy,
    existing: Vec<Existing>,
    claims: Vec<Claim>,
    /// Claims by the rank of the policy.
    order: BTreeSet<(usize, usize)>,
    /// Pods by class and zone.
    zone_counts: Vec<Vec<u32>>,
    /// Nodes by zone.
    zone_nodes: Vec<usize>,
    /// For each class, how many of the first existing nodes will never take it.
    exhausted: Vec<usize>,
}

/// Packs the pods in their order.
pub fn pack(packing: &Packing, policy: Policy) -> Packed {
    pack_without(packing, &packing.pods, &[], policy)
}

/// Packs pods of these classes, in their order, with the existing nodes of these numbers taken away.
pub fn pack_without(packing: &Packing, pods: &[usize], gone: &[usize], policy: Policy) -> Packed {
    let mut pass = Pass::new(packing, policy);
    for index in gone {
        pass.take_away(*index);
    }
    let targets = pods.iter().map(|class| pass.place(*class)).collect();
    Packed { targets, claims: pass.claims }
}

impl<'a> Pass<'a> {
    fn new(packing: &'a Packing, policy: Policy) -> Self {
        let mut zone_counts = vec![vec![0; packing.zone_count]; packing.classes.len()];
        let mut zone_nodes = vec![0; packing.zone_count];
        for node in &packing.existing {
            let Some(zone) = node.zone else { continue };
            zone_nodes[zone] += 1;
            for (class, count) in node.counts.iter().enumerate() {
                zone_counts[class][zone] += count;
            }
        }
        Self {
            packing,
            policy,
            existing: packing.existing.clone(),
            claims: Vec::new(),
            order: BTreeSet::new(),
            zone_counts,
            zone_nodes,
            exhausted: vec![0; packing.classes.len()],
        }
    }

    fn take_away(&mut self, index: usize) {
        let Some(node) = self.existing.get_mut(index) else { return };
        let node = std::mem::take(node);
        let Some(zone) = node.zone else { return };
        self.zone_nodes[zone] -= 1;
        for (class, count) in node.counts.iter().enumerate() {
            self.zone_counts[class][zone] -= count;
        }
    }

    fn place(&mut self, class: usize) -> Target {
        self.place_existing(class)
            .or_else(|| self.place_open(class))
            .or_else(|| self.open(class))
            .unwrap_or(Target::Nowhere)
    }

    fn place_existing(&mut self, class: usize) -> Option<Target> {
        for index in self.exhausted[class]..self.existing.len() {
            match self.existing_takes(class, index) {
                Ok(()) => {
                    self.add_to_existing(class, index);
                    return Some(Target::Existing(index));
                }
                Err(Refusal::Forever) if index == self.exhausted[class] => {
                    self.exhausted[class] += 1
                }
                Err(Refusal::Forever | Refusal::ForNow) => {}
            }
        }
        None
    }

    fn existing_takes(&self, class: usize, index: usize) -> Result<(), Refusal> {
        let (node, wanted) = (&self.existing[index], &self.packing.classes[class]);
        let fits =
            wanted.requests.iter().all(|(resource, amount)| at(&node.free, *resource) >= *amount);
        let room = wanted.per_node.is_none_or(|most| at(&node.counts, class) < most);
        let admitted = node.admits.get(class).copied().unwrap_or(false);
        if !(admitted && fits && room) {
            return Err(Refusal::Forever);
        }
        let zone_allowed = wanted.zone_skew.is_none()
            || node.zone.is_some_and(|zone| self.allowed_zones(class) & (1 << zone) != 0);
        if zone_allowed { Ok(()) } else { Err(Refusal::ForNow) }
    }

    fn add_to_existing(&mut self, class: usize, index: usize) {
        let node = &mut self.existing[index];
        for (resource, amount) in &self.packing.classes[class].requests {
            *slot(&mut node.free, *resource) -= amount;
        }
        *slot(&mut node.counts, class) += 1;
        if let Some(zone) = node.zone {
            self.zone_counts[class][zone] += 1;
        }
    }

    fn place_open(&mut self, class: usize) -> Option<Target> {
        let candidates: Vec<(usize, usize)> = self
            .order
            .iter()
            .copied()
            .filter(|(_, index)| !flag(&self.claims[*index].rejected, class))
            .collect();
        for (rank, index) in candidates {
            match self.claim_takes(class, &self.claims[index]) {
                Ok((types, zones)) => {
                    self.order.remove(&(rank, index));
                    self.add_to_claim(class, index, types, zones);
                    return Some(Target::Claim(index));
                }
                Err(Refusal::Forever) => *slot(&mut self.claims[index].rejected, class) = true,
                Err(Refusal::ForNow) => {}
            }
        }
        None
    }

    /// The types and zones left for the claim if it takes a pod of the class.
    fn claim_takes(&self, class: usize, claim: &Claim) -> Result<(Vec<usize>, u64), Refusal> {
        let wanted = &self.packing.classes[class];
        let zones = claim.zones & wanted.zones;
        if zones == 0 || wanted.per_node.is_some_and(|most| at(&claim.counts, class) >= most) {
            return Err(Refusal::Forever);
        }
        let types = self.fitting(claim, wanted, zones);
        if types.is_empty() {
            return Err(Refusal::Forever);
        }
        if wanted.zone_skew.is_none() {
            return Ok((types, zones));
        }
        let zone = self
            .least_populated(class, zones & self.allowed_zones(class))
            .ok_or(Refusal::ForNow)?;
        let types = self.fitting(claim, wanted, 1 << zone);
        if types.is_empty() { Err(Refusal::ForNow) } else { Ok((types, 1 << zone)) }
    }

    fn fitting(&self, claim: &Claim, wanted: &PackClass, zones: u64) -> Vec<usize> {
        let holds = |index: &&usize| {
            let of_type = &self.packing.types[**index];
            let room = |(resource, amount): &(usize, i64)| {
                at(&claim.used, *resource) + amount <= at(&of_type.free, *resource)
            };
            let offered = of_type.offerings.iter().any(|(zone, _)| zones & (1 << zone) != 0);
            wanted.requests.iter().all(room) && offered && wanted.types.binary_search(index).is_ok()
        };
        claim.types.iter().filter(holds).copied().collect()
    }

    fn add_to_claim(&mut self, class: usize, index: usize, types: Vec<usize>, zones: u64) {
        let claim = &mut self.claims[index];
        claim.types = types;
        claim.zones = zones;
        claim.pods += 1;
        for (resource, amount) in &self.packing.classes[class].requests {
            *slot(&mut claim.used, *resource) += amount;
        }
        *slot(&mut claim.counts, class) += 1;
        let rank = match self.policy {
            Policy::Upstream => claim.pods,
            Policy::NodeGroup => 0,
        };
        self.order.insert((rank, index));
        if zones.count_ones() == 1 {
            self.zone_counts[class][zones.trailing_zeros() as usize] += 1;
        }
    }

    fn open(&mut self, class: usize) -> Option<Target> {
        let wanted = &self.packing.classes[class];
        let zones = match self.policy {
            Policy::Upstream => wanted.zones,
            Policy::NodeGroup => 1 << self.group_zone(class)?,
        };
        let claim = Claim { types: wanted.types.clone(), zones, ..Claim::default() };
        let (types, zones) = self.claim_takes(class, &claim).ok()?;
        let index = self.claims.len();
        self.claims.push(claim);
        self.add_to_claim(class, index, types, zones);
        if zones.count_ones() == 1 {
            self.zone_nodes[zones.trailing_zeros() as usize] += 1;
        }
        Some(Target::Claim(index))
    }

    /// The zone in which the group has the fewest nodes, of those that the class may go to.
    fn group_zone(&self, class: usize) -> Option<usize> {
        let allowed = self.allowed_zones(class);
        (0..self.packing.zone_count)
            .filter(|zone| allowed & (1 << zone) != 0)
            .min_by_key(|zone| self.zone_nodes[*zone])
    }

    /// The zones in which one more pod of the class keeps the skew.
    fn allowed_zones(&self, class: usize) -> u64 {
        let wanted = &self.packing.classes[class];
        let Some(skew) = wanted.zone_skew else { return wanted.zones };
        let counts = &self.zone_counts[class];
        let eligible =
            || (0..self.packing.zone_count).filter(|zone| wanted.zones & (1 << zone) != 0);
        let least = eligible().map(|zone| counts[zone]).min().unwrap_or(0);
        eligible()
            .filter(|zone| counts[*zone] < least + skew)
            .fold(0, |bits, zone| bits | (1 << zone))
    }

    fn least_populated(&self, class: usize, zones: u64) -> Option<usize> {
        let possible = (0..self.packing.zone_count).filter(|zone| zones & (1 << zone) != 0);
        possible.min_by_key(|zone| self.zone_counts[class][*zone])
    }
}

fn at<T: Copy + Default>(list: &[T], index: usize) -> T {
    list.get(index).copied().unwrap_or_default()
}

fn flag(list: &[bool], index: usize) -> bool {
    at(list, index)
}

fn slot<T: Copy + Default>(list: &mut Vec<T>, index: usize) -> &mut T {
    if list.len() <= index {
        list.resize(index + 1, T::default());
    }
    &mut list[index]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Types (cpu, memory, price in one zone), classes (cpu, memory, count): nodes and cost.
    fn check(
        types: &[(i64, i64, u64)],
        pods: &[(i64, i64, usize)],
        policy: Policy,
        expected: (usize, u64),
    ) {
        let of_type = |(cpu, memory, price): &(i64, i64, u64)| PackType {
            free: vec![*cpu, *memory],
            offerings: vec![(0, MicroUsdPerHour(*price))],
        };
        let class = |(cpu, memory, _): &(i64, i64, usize)| PackClass {
            requests: vec![(0, *cpu), (1, *memory)],
            types: (0..types.len()).collect(),
            zones: 1,
            ..PackClass::default()
        };
        let packing = Packing {
            types: types.iter().map(of_type).collect(),
            zone_count: 1,
            classes: pods.iter().map(class).collect(),
            existing: Vec::new(),
            pods: pods
                .iter()
                .enumerate()
                .flat_map(|(index, (_, _, count))| vec![index; *count])
                .collect(),
        };
        let packed = pack(&packing, policy);
        assert!(!packed.targets.contains(&Target::Nowhere), "{pods:?}");
        let cost = packed.claims.iter().map(|claim| claim.offers(&packing)[0].0.0).sum::<u64>();
        assert_eq!((packed.claims.len(), cost), expected, "{types:?} {pods:?}");
    }

    #[test]
    fn pods_join_one_claim_while_some_type_holds_them_whatever_it_costs() {
        let types = [(4, 16, 100), (8, 32, 210), (16, 64, 900)];
        check(&types, &[(4, 1, 4)], Policy::Upstream, (1, 900));
        check(&types, &[(4, 1, 5)], Policy::Upstream, (2, 1000));
        check(&types, &[(1, 1, 1)], Policy::Upstream, (1, 100));
    }

    #[test]
    fn the_claim_with_the_fewest_pods_comes_first_upstream_and_the_oldest_in_a_node_group() {
        let class = |cpu| PackClass {
            requests: vec![(0, cpu)],
            types: vec![0],
            zones: 1,
            ..PackClass::default()
        };
        let packing = Packing {
            types: vec![PackType { free: vec![10], offerings: vec![(0, MicroUsdPerHour(1))] }],
            zone_count: 1,
            classes: vec![class(6), class(2)],
            existing: Vec::new(),
            pods: vec![0, 0, 1, 1],
        };
        let last = |policy| pack(&packing, policy).targets.last().copied();
        assert_eq!(last(Policy::Upstream), Some(Target::Claim(1)));
        assert_eq!(last(Policy::NodeGroup), Some(Target::Claim(0)));
    }

    fn spread(zone_skew: Option<u32>, per_node: Option<u32>, pods: usize, expected: &[u64]) {
        let offerings = (0..3).map(|zone| (zone, MicroUsdPerHour(5))).collect();
        let packing = Packing {
            types: vec![PackType { free: vec![100], offerings }],
            zone_count: 3,
            classes: vec![PackClass {
                requests: vec![(0, 1)],
                types: vec![0],
                zones: 7,
                zone_skew,
                per_node,
            }],
            existing: Vec::new(),
            pods: vec![0; pods],
        };
        let zones: Vec<u64> =
            pack(&packing, Policy::Upstream).claims.iter().map(|claim| claim.zones).collect();
        assert_eq!(zones, expected);
    }

    #[test]
    fn constraints_open_claims() {
        spread(None, None, 4, &[7]);
        spread(Some(1), None, 4, &[1, 2, 4]);
        spread(None, Some(1), 2, &[7, 7]);
        spread(Some(1), Some(1), 4, &[1, 2, 4, 1]);
    }

    #[test]
    fn existing_nodes_are_filled_first_and_never_over() {
        let node = Existing { free: vec![2], zone: Some(0), counts: vec![], admits: vec![true] };
        let packing = Packing {
            types: vec![PackType { free: vec![8], offerings: vec![(0, MicroUsdPerHour(1))] }],
            zone_count: 1,
            classes: vec![PackClass {
                requests: vec![(0, 1)],
                types: vec![0],
                zones: 1,
                ..PackClass::default()
            }],
            existing: vec![Existing { admits: vec![false], ..node.clone() }, node],
            pods: vec![0; 3],
        };
        let targets = pack(&packing, Policy::Upstream).targets;
        assert_eq!(targets, [Target::Existing(1), Target::Existing(1), Target::Claim(0)]);
    }
}
