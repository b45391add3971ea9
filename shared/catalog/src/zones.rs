//! Zones: the account's names beside the ids that are the same for everyone.

use crate::Catalog;
use std::collections::{BTreeMap, BTreeSet};

/// An availability zone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Zone {
    /// The name, which each account maps in its own way: `us-east-1a`.
    pub name: String,
    /// The id: `use1-az4`; empty if it is not known.
    pub id: String,
}

/// Zones with ids, and which of those ids are guesses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZoneMatch {
    /// The zones, by name.
    pub zones: Vec<Zone>,
    /// The names whose ids were guessed from their letters.
    pub guessed: Vec<String>,
}

impl Catalog {
    /// All zones of a region as an account may name them: `a` for the first id, `b` for the second, and so on.
    /// A region whose zones are not known has `a`, `b` and `c` without ids.
    pub fn default_zones(&self, region: &str) -> Vec<Zone> {
        let ids = self.zone_ids(region);
        let unknown = vec![String::new(); 3];
        let ids = if ids.is_empty() { &unknown[..] } else { ids };
        let zone = |(letter, id): (char, &String)| Zone {
            name: format!("{region}{letter}"),
            id: id.clone(),
        };
        ('a'..='z').zip(ids).map(zone).collect()
    }

    /// The `count` zones of a region that offer most types, by name; of equals the first.
    pub fn usual_zones(&self, region: &str, count: usize) -> Vec<Zone> {
        let types = self.regions.get(region).map(crate::Region::types_by_zone).unwrap_or_default();
        let offered = |index: usize| types.get(index).copied().unwrap_or(0);
        let mut zones = self.default_zones(region).into_iter().enumerate().collect::<Vec<_>>();
        zones.sort_by_key(|(index, _)| (std::cmp::Reverse(offered(*index)), *index));
        zones.truncate(count);
        let mut zones = zones.into_iter().map(|(_, zone)| zone).collect::<Vec<_>>();
        zones.sort();
        zones
    }

    /// Finds the ids of zones: those given are kept, others are guessed from the letter (`a` is the first id), and
    /// where that one is taken, the next free one. A local zone, whose name has no letter of the region, gets none.
    pub fn match_zones(&self, region: &str, known: &BTreeMap<String, Option<String>>) -> ZoneMatch {
        let ids = self.zone_ids(region);
        let mut taken = known.values().flatten().cloned().collect::<BTreeSet<_>>();
        let mut found = ZoneMatch::default();
        for (name, id) in known {
            let id = id.clone().unwrap_or_else(|| {
                found.guessed.push(name.clone());
                guess(region, name, ids, &taken)
            });
            taken.insert(id.clone());
            found.zones.push(Zone { name: name.clone(), id });
        }
        found
    }

    fn zone_ids(&self, region: &str) -> &[String] {
        self.regions.get(region).map_or(&[], |region| &region.zone_ids)
    }
}

fn guess(region: &str, name: &str, ids: &[String], taken: &BTreeSet<String>) -> String {
    let letter = name.strip_prefix(region).and_then(|rest| rest.bytes().next());
    let Some(index) = letter.filter(u8::is_ascii_lowercase).map(|letter| letter - b'a') else {
        return String::new();
    };
    let from_letter = ids.iter().cycle().skip(usize::from(index)).take(ids.len());
    from_letter.into_iter().find(|id| !taken.contains(*id)).cloned().unwrap_or_default()
}
