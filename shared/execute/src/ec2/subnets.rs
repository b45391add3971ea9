//! Which subnet of a zone a launch goes to.

use model::Subnet;
use std::collections::BTreeMap;

/// How long addresses that a launch will take are counted as taken, though EC2 still reports them free: Karpenter's 5 minutes.
const PREDICTED_MS: u64 = 5 * 60 * 1_000;

/// Addresses that launches of this process will take: when they were counted and how many, by subnet.
#[derive(Clone, Debug, Default)]
pub(super) struct InFlight(BTreeMap<String, Vec<(u64, i64)>>);

impl InFlight {
    pub(super) fn add(&mut self, subnet: &str, addresses: i64, now_ms: u64) {
        self.0.entry(subnet.to_owned()).or_default().push((now_ms, addresses));
    }

    /// How many addresses of the subnet are still on their way to be taken.
    pub(super) fn of(&mut self, subnet: &str, now_ms: u64) -> i64 {
        let Some(entries) = self.0.get_mut(subnet) else { return 0 };
        entries.retain(|(at, _)| now_ms.saturating_sub(*at) < PREDICTED_MS);
        entries.iter().map(|(_, addresses)| addresses).sum()
    }
}

/// The subnets that batches went to, by zone: a batch that is asked for again must be asked for with the same parameters, though its
/// own instances have taken addresses since.
#[derive(Clone, Debug, Default)]
pub(super) struct Chosen(BTreeMap<String, (u64, BTreeMap<String, Option<String>>)>);

impl Chosen {
    /// The batch's subnets as they were chosen first, or as they are chosen now.
    pub(super) fn of(
        &mut self,
        batch: &str,
        subnets: &[Subnet],
        in_flight: &mut InFlight,
        now_ms: u64,
    ) -> BTreeMap<String, Option<String>> {
        self.0.retain(|_, (at, _)| now_ms.saturating_sub(*at) < 2 * PREDICTED_MS);
        let choose = || (now_ms, by_zone(subnets, in_flight, now_ms));
        self.0.entry(batch.to_owned()).or_insert_with(choose).1.clone()
    }
}

/// By zone, the subnet with the most free addresses, less those in flight; equal ones by id. A zone without any free address has
/// `None`.
pub(super) fn by_zone(
    subnets: &[Subnet],
    in_flight: &mut InFlight,
    now_ms: u64,
) -> BTreeMap<String, Option<String>> {
    let mut best: BTreeMap<String, (i64, &str, bool)> = BTreeMap::new();
    let mut sorted = subnets.iter().collect::<Vec<_>>();
    sorted.sort_by(|a, b| a.id.cmp(&b.id));
    for subnet in sorted {
        let left = subnet.free_addresses.saturating_sub(in_flight.of(&subnet.id, now_ms));
        let candidate = (left, subnet.id.as_str(), subnet.free_addresses > 0);
        let known = best.entry(subnet.zone.clone()).or_insert(candidate);
        if (candidate.2, candidate.0) > (known.2, known.0) {
            *known = candidate;
        }
    }
    best.into_iter()
        .map(|(zone, (_, id, has_room))| (zone, has_room.then(|| id.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(subnets: &[(&str, &str, i64)], taken: &[(&str, i64, u64)], expected: &[&str]) {
        let subnet = |&(id, zone, free_addresses): &(&str, &str, i64)| Subnet {
            id: id.to_owned(),
            zone: zone.to_owned(),
            free_addresses,
            ..Subnet::default()
        };
        let subnets = subnets.iter().map(subnet).collect::<Vec<_>>();
        let mut in_flight = InFlight::default();
        for (id, addresses, at) in taken {
            in_flight.add(id, *addresses, *at);
        }
        let chosen = by_zone(&subnets, &mut in_flight, 300_000);
        let text = |(zone, id): (&String, &Option<String>)| {
            format!("{zone}={}", id.as_deref().unwrap_or("none"))
        };
        assert_eq!(chosen.iter().map(text).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_batch_stays_with_its_subnets() {
        let subnet = |id: &str, free_addresses| Subnet {
            id: id.to_owned(),
            zone: "a".to_owned(),
            free_addresses,
            ..Subnet::default()
        };
        let subnets = [subnet("s-1", 9), subnet("s-2", 8)];
        let (mut chosen, mut in_flight) = (Chosen::default(), InFlight::default());
        let mut of = |batch: &str, now_ms: u64| {
            let found = chosen.of(batch, &subnets, &mut in_flight, now_ms);
            in_flight.add("s-1", 5, now_ms);
            found["a"].clone().unwrap()
        };
        assert_eq!(of("b-1", 0), "s-1");
        assert_eq!(of("b-1", 1), "s-1");
        assert_eq!(of("b-2", 1), "s-2");
    }

    #[test]
    fn each_zone_has_the_subnet_with_the_most_addresses_left() {
        check(&[("s-1", "a", 5), ("s-2", "a", 9), ("s-3", "b", 1)], &[], &["a=s-2", "b=s-3"]);
        check(&[("s-2", "a", 9), ("s-1", "a", 9)], &[], &["a=s-1"]);
        check(&[("s-1", "a", 5), ("s-2", "a", 9)], &[("s-2", 5, 1)], &["a=s-1"]);
        check(&[("s-1", "a", 5), ("s-2", "a", 9)], &[("s-2", 5, 0)], &["a=s-2"]);
        check(&[("s-1", "a", 0)], &[], &["a=none"]);
        check(&[("s-1", "a", 3), ("s-2", "a", 0)], &[("s-1", 30, 1)], &["a=s-1"]);
        check(&[], &[], &[]);
    }
}
