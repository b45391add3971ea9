//! A fresher look at one region, laid over a catalog; and the catalog as a file again.

use crate::facts::{self, TypeFacts};
use crate::region::{self, Region, Row, ZoneSet};
use crate::{Catalog, FIRST_LINE_2};
use flate2::Compression;
use flate2::write::GzEncoder;
use model::MicroUsdPerHour;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::OnceLock;

/// What a region offers now, and at what price. What was not read (`None`) stays as the catalog has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Current {
    /// The region.
    pub region: String,
    /// The day on which it was read: `2026-11-22`.
    pub as_of: String,
    /// Types that the catalog may not know.
    pub types: Vec<TypeFacts>,
    /// The ids of the zones that offer each type.
    pub offerings: Option<BTreeMap<String, BTreeSet<String>>>,
    /// List prices by type.
    pub on_demand: Option<BTreeMap<String, MicroUsdPerHour>>,
    /// Spot prices by type and zone id.
    pub spot: Option<BTreeMap<String, BTreeMap<String, MicroUsdPerHour>>>,
}

impl Current {
    fn offered_in(&self, name: &str) -> Option<&BTreeSet<String>> {
        self.offerings.as_ref()?.get(name)
    }

    /// The zones that it speaks of.
    fn zone_ids(&self) -> BTreeSet<String> {
        let offered = self.offerings.iter().flat_map(BTreeMap::values).flatten();
        let priced = self.spot.iter().flat_map(BTreeMap::values).flat_map(BTreeMap::keys);
        offered.chain(priced).cloned().collect()
    }

    /// The types that it speaks of.
    fn names(&self) -> BTreeSet<&str> {
        let offered = self.offerings.iter().flat_map(BTreeMap::keys);
        let priced = self.on_demand.iter().flat_map(BTreeMap::keys);
        let spot = self.spot.iter().flat_map(BTreeMap::keys);
        offered.chain(priced).chain(spot).map(String::as_str).collect()
    }
}

/// How a catalog differs from another in one region.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Types that can be bought now and could not be before.
    pub added: Vec<String>,
    /// Types that could be bought before.
    pub removed: Vec<String>,
    /// Types whose list price rose: name, before, now.
    pub dearer: Vec<(String, MicroUsdPerHour, MicroUsdPerHour)>,
    /// Types whose list price fell: name, before, now.
    pub cheaper: Vec<(String, MicroUsdPerHour, MicroUsdPerHour)>,
}

impl Catalog {
    /// The same catalog with what is current laid over it.
    #[must_use]
    pub fn with_current(mut self, current: &Current) -> Self {
        for facts in current.types.iter().filter(|facts| !facts.name.is_empty()) {
            match self.types.binary_search_by(|known| known.name.cmp(&facts.name)) {
                Ok(at) => self.types[at] = facts.clone(),
                Err(at) => self.types.insert(at, facts.clone()),
            }
        }
        let before = self.regions.remove(&current.region).unwrap_or_default();
        self.regions.insert(current.region.clone(), overlay(before, current));
        self
    }

    /// The catalog as a file of version 2, which `from_bytes` reads. The same catalog gives the same text.
    pub fn to_text(&self) -> String {
        let mut lines = vec![FIRST_LINE_2.to_owned(), facts::columns_line()];
        lines.extend(self.types.iter().map(facts::write));
        lines.extend(self.regions.iter().flat_map(|(name, region)| region::write(name, region)));
        lines.push(String::new());
        lines.join("\n")
    }

    /// The same file compressed with gzip; the same catalog gives the same bytes.
    ///
    /// # Errors
    /// None in practice: memory is written to.
    pub fn to_gzip(&self) -> std::io::Result<Vec<u8>> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(self.to_text().as_bytes())?;
        encoder.finish()
    }

    /// How this catalog differs from an earlier one in that region.
    pub fn difference(&self, before: &Self, region: &str) -> Difference {
        let sold = |catalog: &Self| {
            let region = catalog.regions.get(region);
            let rows = region.map(Region::all_rows).unwrap_or_default().iter();
            let sold = rows.filter(|row| row.zones != ZoneSet::default());
            let known = sold.filter(|row| catalog.knows_type(&row.name));
            known.map(|row| row.name.clone()).collect::<BTreeSet<_>>()
        };
        let (old, new) = (sold(before), sold(self));
        let price = |catalog: &Self, name: &str| catalog.regions.get(region)?.list_price(name);
        let mut difference = Difference {
            added: new.difference(&old).cloned().collect(),
            removed: old.difference(&new).cloned().collect(),
            ..Difference::default()
        };
        for name in old.intersection(&new) {
            let Some((was, is)) = price(before, name).zip(price(self, name)) else { continue };
            match was.cmp(&is) {
                std::cmp::Ordering::Less => difference.dearer.push((name.clone(), was, is)),
                std::cmp::Ordering::Greater => difference.cheaper.push((name.clone(), was, is)),
                std::cmp::Ordering::Equal => {}
            }
        }
        difference
    }
}

fn overlay(before: Region, current: &Current) -> Region {
    let known = before.zone_ids.iter().cloned().collect::<BTreeSet<_>>();
    let zone_ids = match &current.offerings {
        Some(_) => current.zone_ids(),
        None if known.is_empty() => current.zone_ids(),
        None => known,
    };
    let zone_ids = zone_ids.into_iter().collect::<Vec<_>>();
    let dollars = before.dollars || current.on_demand.is_some();
    let rows = before.all_rows().iter().map(|row| (row.name.as_str(), row.clone()));
    let mut rows = rows.collect::<BTreeMap<_, _>>();
    for name in current.names() {
        rows.entry(name).or_insert_with(|| Row { name: name.to_owned(), ..Row::default() });
    }
    let place = Place { zone_ids: &zone_ids, before: &before, current };
    let rows = rows.into_values().map(|row| place.row(row)).collect::<Vec<_>>();
    let day = |read: bool, before: &str| if read { &current.as_of } else { before }.to_owned();
    Region {
        dollars,
        currency: if dollars { "USD".to_owned() } else { before.currency.clone() },
        as_of: day(current.on_demand.is_some(), &before.as_of),
        spot_as_of: day(current.spot.is_some(), &before.spot_as_of),
        zone_ids: zone_ids.clone(),
        rows: OnceLock::from(rows),
        ..Region::default()
    }
}

/// What a row is laid over with.
struct Place<'a> {
    zone_ids: &'a [String],
    before: &'a Region,
    current: &'a Current,
}

impl Place<'_> {
    fn index(&self, zone_id: &str) -> Option<usize> {
        self.zone_ids.binary_search_by(|id| id.as_str().cmp(zone_id)).ok()
    }

    fn row(&self, row: Row) -> Row {
        let Self { before, current, .. } = *self;
        let zones = match (&current.offerings, current.offered_in(&row.name)) {
            (None, _) => row.zones,
            (Some(_), zones) => {
                let zones = zones.into_iter().flatten().filter_map(|id| self.index(id));
                ZoneSet::Some(zones.collect())
            }
        };
        // A price in another currency is none any more once there are prices in dollars.
        let old_price = row.price.filter(|_| before.dollars || current.on_demand.is_none());
        let price = current.on_demand.as_ref().and_then(|prices| prices.get(&row.name));
        let spot = match &current.spot {
            None => self.moved(row.spot),
            Some(prices) => {
                let prices = prices.get(&row.name).into_iter().flatten();
                prices.filter_map(|(id, price)| Some((self.index(id)?, price.0))).collect()
            }
        };
        let price = price.map(|price| price.0).or(old_price);
        Row { zones, price, spot, ..row }
    }

    /// Spot prices of before, by the index that their zone has now.
    fn moved(&self, spot: BTreeMap<usize, u64>) -> BTreeMap<usize, u64> {
        let moved = |(zone, price): (usize, u64)| {
            Some((self.index(self.before.zone_ids.get(zone)?)?, price))
        };
        spot.into_iter().filter_map(moved).collect()
    }
}
