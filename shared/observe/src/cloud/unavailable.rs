//! Offerings that lately had no capacity.

use super::config_map;
use model::{InstanceType, Offering, Timestamp, UnavailableOffering};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Offerings that lately had no capacity, each until its time. They survive between functions in a ConfigMap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnavailableOfferings(Vec<UnavailableOffering>);

const ENTRY: &str = "unavailable";
const ANY: &str = "*";

impl UnavailableOfferings {
    /// Adds one; of the same offering the later time stays.
    pub fn add(&mut self, offering: UnavailableOffering) {
        let same = |other: &&mut UnavailableOffering| {
            (&other.instance_type, &other.zone, other.capacity_type)
                == (&offering.instance_type, &offering.zone, offering.capacity_type)
        };
        match self.0.iter_mut().find(same) {
            Some(present) if present.until >= offering.until => {}
            Some(present) => *present = offering,
            None => self.0.push(offering),
        }
        self.0.sort();
    }

    /// Drops those whose time is over; tells whether there were any.
    pub fn drop_expired(&mut self, now: Timestamp) -> bool {
        let before = self.0.len();
        self.0.retain(|offering| offering.until > now);
        self.0.len() < before
    }

    /// All of them, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &UnavailableOffering> {
        self.0.iter()
    }

    /// Makes the offerings that lately had no capacity unavailable. Types without such an offering stay shared.
    pub fn apply(&self, types: &mut Arc<Vec<InstanceType>>, now: Timestamp) {
        let covers = |name: &str, offering: &Offering| {
            self.0.iter().any(|gone| gone.until > now && covers(gone, name, offering))
        };
        let affected = |found: &InstanceType| {
            found.offerings.iter().any(|offering| covers(&found.name, offering))
        };
        if !types.iter().any(affected) {
            return;
        }
        for found in Arc::make_mut(types) {
            for offering in &mut found.offerings {
                offering.available = offering.available && !covers(&found.name, offering);
            }
        }
    }

    /// The entries of the ConfigMap. The same offerings give the same entries.
    pub fn to_config_map_data(&self) -> BTreeMap<String, String> {
        BTreeMap::from([(ENTRY.to_owned(), config_map::pack(&self.0))])
    }

    /// The offerings of those entries; none, with a finding, if they cannot be read.
    pub fn from_config_map_data(data: &BTreeMap<String, String>) -> (Self, Vec<String>) {
        let mut findings = Vec::new();
        (Self(config_map::unpack(data, ENTRY, &mut findings)), findings)
    }
}

fn covers(gone: &UnavailableOffering, name: &str, offering: &Offering) -> bool {
    (gone.instance_type == ANY || gone.instance_type == name)
        && (gone.zone == ANY || gone.zone == offering.zone)
        && gone.capacity_type == offering.capacity_type
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{CapacityType, MicroUsdPerHour};

    fn gone(
        name: &str,
        zone: &str,
        capacity_type: CapacityType,
        until: i64,
    ) -> UnavailableOffering {
        UnavailableOffering {
            instance_type: name.to_owned(),
            zone: zone.to_owned(),
            capacity_type,
            until: Timestamp(until),
            code: "InsufficientInstanceCapacity".to_owned(),
        }
    }

    fn types() -> Arc<Vec<InstanceType>> {
        let offering = |zone: &str, capacity_type| Offering {
            zone: zone.to_owned(),
            zone_id: String::new(),
            capacity_type,
            price: MicroUsdPerHour(1),
            estimated: false,
            available: true,
            reservation: None,
            parts: Default::default(),
        };
        let both =
            |zone| [offering(zone, CapacityType::OnDemand), offering(zone, CapacityType::Spot)];
        let named = |name: &str| InstanceType {
            name: name.to_owned(),
            labels: model::Labels::new(),
            capacity: model::Resources::new(),
            allocatable: model::Resources::new(),
            offerings: ["a", "b"].into_iter().flat_map(both).collect(),
        };
        Arc::new(vec![named("m5.large"), named("c5.large")])
    }

    /// `type zone capacity-type` of the offerings that are left out.
    fn check(list: &[UnavailableOffering], now: i64, expected: &[&str]) {
        let mut unavailable = UnavailableOfferings::default();
        list.iter().cloned().for_each(|gone| unavailable.add(gone));
        let mut types = types();
        unavailable.apply(&mut types, Timestamp(now));
        let left_out = types.iter().flat_map(|found| {
            let gone = found.offerings.iter().filter(|offering| !offering.available);
            gone.map(|gone| format!("{} {} {}", found.name, gone.zone, gone.capacity_type))
        });
        assert_eq!(left_out.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn offerings_without_capacity_are_not_available_until_their_time() {
        use CapacityType::{OnDemand, Spot};
        check(&[gone("m5.large", "a", Spot, 10)], 9, &["m5.large a spot"]);
        check(&[gone("m5.large", "a", Spot, 10)], 10, &[]);
        check(
            &[gone("*", "a", OnDemand, 10)],
            9,
            &["m5.large a on-demand", "c5.large a on-demand"],
        );
        check(
            &[gone("*", "*", Spot, 10)],
            9,
            &["m5.large a spot", "m5.large b spot", "c5.large a spot", "c5.large b spot"],
        );
        check(&[gone("x1.large", "a", Spot, 10)], 9, &[]);
    }

    #[test]
    fn the_later_time_stays_and_those_over_go() {
        let mut unavailable = UnavailableOfferings::default();
        for until in [10, 30, 20] {
            unavailable.add(gone("m5.large", "a", CapacityType::Spot, until));
        }
        unavailable.add(gone("c5.large", "a", CapacityType::Spot, 15));
        assert_eq!(unavailable.iter().map(|gone| gone.until.0).collect::<Vec<_>>(), [15, 30]);
        let (read, findings) =
            UnavailableOfferings::from_config_map_data(&unavailable.to_config_map_data());
        assert_eq!((read, findings), (unavailable.clone(), Vec::new()));
        assert!(unavailable.drop_expired(Timestamp(15)));
        assert!(!unavailable.drop_expired(Timestamp(15)));
        assert_eq!(unavailable.iter().count(), 1);
    }

    #[test]
    fn types_without_such_an_offering_stay_shared() {
        let mut mine = types();
        let shared = Arc::clone(&mine);
        UnavailableOfferings::default().apply(&mut mine, Timestamp(0));
        assert!(Arc::ptr_eq(&mine, &shared));
    }
}
