//! EC2 instance types, offerings and prices: the embedded copy, and the format of a fresher one (`data/README.md`).
//!
//! Owns: the catalog file's format, the arithmetic from an instance type to what pods may use of a node of it, and its
//! labels. May import: `model`. Does not know: AWS clients, the cluster, which offerings lately ran out of capacity.

mod allocatable;
mod current;
mod error;
mod facts;
mod labels;
mod offerings;
mod region;
mod volumes;
mod zones;

pub use current::{Current, Difference};
pub use error::CatalogError;
pub use facts::{Device, TypeFacts};
pub use volumes::volumes_price;
pub use zones::{Zone, ZoneMatch};

use model::{CapacityType, InstanceType, MicroUsdPerHour};
use region::Region;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;

const EMBEDDED: &[u8] = include_bytes!("../data/catalog.tsv.gz");
const FIRST_LINE: &str = "joiner-catalog\t1";
/// The same with spot prices by zone.
const FIRST_LINE_2: &str = "joiner-catalog\t2";
/// A catalog of every region has well under a megabyte of text.
const LARGEST_BYTES: u64 = 64 << 20;
/// The region whose list prices stand in for those that are not known.
const PRICE_REGION: &str = "us-east-1";

/// Instance types, where they are offered, and at what price.
#[derive(Clone)]
pub struct Catalog {
    types: Vec<TypeFacts>,
    regions: BTreeMap<String, Region>,
}

impl fmt::Debug for Catalog {
    /// Its size only: all of it would be megabytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Catalog({} types, {} regions)", self.types.len(), self.regions.len())
    }
}

/// What instance types are to be resolved for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The region: `us-east-1`.
    pub region: &'a str,
    /// The zones with subnets; a class that names zones narrows them.
    pub zones: &'a [Zone],
    /// The node class.
    pub class: &'a model::NodeClass,
    /// The kubelet's settings, from wherever the API version keeps them.
    pub kubelet: &'a model::pool::Kubelet,
    /// Settings of the whole installation.
    pub settings: &'a Settings,
}

/// Settings of the whole installation that change what pods may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How much of the advertised memory the hypervisor keeps, in thousandths (Karpenter's `VM_MEMORY_OVERHEAD_PERCENT`, 0.075).
    pub vm_memory_overhead_per_mille: u32,
    /// Network interfaces that pods may not use (Karpenter's `RESERVED_ENIS`, 0).
    pub reserved_enis: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { vm_memory_overhead_per_mille: 75, reserved_enis: 0 }
    }
}

impl Catalog {
    /// The copy that is compiled in. Regions are read when they are first asked for.
    pub fn embedded() -> Result<Self, CatalogError> {
        Self::index(&decompress(EMBEDDED)?)
    }

    /// Reads a catalog file, plain or compressed with gzip, and checks every line of it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CatalogError> {
        let catalog = Self::index(&decompress(bytes)?)?;
        catalog.regions.values().try_for_each(Region::check)?;
        Ok(catalog)
    }

    /// The regions that it speaks of, sorted.
    pub fn regions(&self) -> Vec<&str> {
        self.regions.keys().map(String::as_str).collect()
    }

    /// The instance types that can be bought in these zones, by name, as this class and kubelet make nodes of them.
    /// An unknown region has none.
    pub fn instance_types(&self, request: &Request<'_>) -> Vec<InstanceType> {
        let Some(region) = self.regions.get(request.region) else { return Vec::new() };
        let resolve = |facts: &TypeFacts| {
            let offerings = self.offerings(region, facts, request);
            let labels = labels::of_type(facts, request.region, request.class.image_family)?;
            let (capacity, allocatable) = allocatable::of_type(facts, request);
            let name = facts.name.clone();
            Some(InstanceType { name, labels, capacity, allocatable, offerings })
        };
        let resolved = self.types.iter().filter_map(resolve);
        resolved.filter(|instance_type| !instance_type.offerings.is_empty()).collect()
    }

    /// The price of an instance type in any zone, and whether it is estimated: another region's list price (also where the
    /// region's own is not in dollars), or the list price less the spot advisor's average saving; where spot prices were read,
    /// the highest of them. Reserved capacity is paid for already.
    pub fn price(
        &self,
        region: &str,
        instance_type: &str,
        capacity_type: CapacityType,
    ) -> Option<(MicroUsdPerHour, bool)> {
        self.price_in(region, "", instance_type, capacity_type)
    }

    /// The price in the zone with that id, and whether it is estimated. Where spot prices were read, a type without one is not
    /// sold as spot capacity in that zone.
    pub fn price_in(
        &self,
        region: &str,
        zone_id: &str,
        instance_type: &str,
        capacity_type: CapacityType,
    ) -> Option<(MicroUsdPerHour, bool)> {
        match capacity_type {
            CapacityType::OnDemand => self.list_price(region, instance_type),
            CapacityType::Reserved => Some((MicroUsdPerHour::ZERO, false)),
            CapacityType::Spot => self.spot_price(region, zone_id, instance_type),
        }
    }

    /// How often spot instances of the type are interrupted: the spot advisor's class from 0 (under 5% a month) to 4 (over 20%), if
    /// it is known.
    pub fn interruption_class(&self, region: &str, instance_type: &str) -> Option<usize> {
        self.regions.get(region)?.row(instance_type)?.interruption.map(usize::from)
    }

    fn spot_price(
        &self,
        region_name: &str,
        zone_id: &str,
        instance_type: &str,
    ) -> Option<(MicroUsdPerHour, bool)> {
        let region = self.regions.get(region_name)?;
        if region.knows_spot_prices() {
            let dearest = || region.row(instance_type)?.spot.values().max().copied();
            return match zone_id {
                "" => dearest().map(|price| (MicroUsdPerHour(price), true)),
                zone_id => {
                    let price = region.spot_price(instance_type, zone_id)?;
                    Some((MicroUsdPerHour(price), false))
                }
            };
        }
        let savings = region.row(instance_type)?.savings_percent?;
        let price = self.list_price(region_name, instance_type)?.0;
        let part = (100 - i64::from(savings)).unsigned_abs();
        Some((MicroUsdPerHour(price.0 * part / 100), true))
    }

    /// Whether the type is in the table of types.
    pub fn knows_type(&self, instance_type: &str) -> bool {
        self.types.binary_search_by(|facts| facts.name.as_str().cmp(instance_type)).is_ok()
    }

    fn list_price(&self, region: &str, instance_type: &str) -> Option<(MicroUsdPerHour, bool)> {
        let of = |name: &str| self.regions.get(name)?.list_price(instance_type);
        let own = of(region).map(|price| (price, false));
        own.or_else(|| of(PRICE_REGION).map(|price| (price, true)))
    }

    /// Splits the text into its sections: the types are read, the regions only found.
    fn index(text: &str) -> Result<Self, CatalogError> {
        let mut lines = Lines { rest: text, number: 0 };
        if !lines.next().is_some_and(|line| [FIRST_LINE, FIRST_LINE_2].contains(&line)) {
            let problem =
                "a catalog begins with \"joiner-catalog\", a tab and \"1\" or \"2\"".to_owned();
            return Err(CatalogError::Line { line: 1, problem });
        }
        let mut catalog = Self { types: Vec::new(), regions: BTreeMap::new() };
        facts::check_columns(lines.next().unwrap_or_default())?;
        while let Some(line) = lines.next_unless("region\t") {
            catalog.types.push(facts::read(line, lines.number)?);
        }
        catalog.types.sort_by(|a, b| a.name.cmp(&b.name));
        while let Some(header) = lines.next() {
            let (name, region) = region::read_header(header, lines.number)?;
            catalog.regions.insert(name, region.with_body(lines.section(), lines.number));
        }
        Ok(catalog)
    }
}

fn decompress(bytes: &[u8]) -> Result<String, CatalogError> {
    let mut text = String::new();
    let mut read = |source: &mut dyn Read| {
        source.take(LARGEST_BYTES).read_to_string(&mut text).map_err(CatalogError::Unreadable)
    };
    let count = match bytes.starts_with(&[0x1f, 0x8b]) {
        true => read(&mut flate2::read::GzDecoder::new(bytes))?,
        false => read(&mut &bytes[..])?,
    };
    if count as u64 == LARGEST_BYTES { Err(CatalogError::TooLarge) } else { Ok(text) }
}

/// Lines with their numbers, without their ends.
struct Lines<'a> {
    rest: &'a str,
    number: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (line, rest) = match self.rest.split_once('\n') {
            Some(split) => split,
            None if self.rest.is_empty() => return None,
            None => (self.rest, ""),
        };
        self.rest = rest;
        self.number += 1;
        Some(line.strip_suffix('\r').unwrap_or(line))
    }

    fn next_unless(&mut self, prefix: &str) -> Option<&'a str> {
        if self.rest.starts_with(prefix) { None } else { self.next() }
    }

    /// Everything up to the next region, which is left for `next`.
    fn section(&mut self) -> &'a str {
        let end = self.rest.find("\nregion\t").map_or(self.rest.len(), |at| at + 1);
        let end = if self.rest.starts_with("region\t") { 0 } else { end };
        let (section, rest) = self.rest.split_at(end);
        self.rest = rest;
        self.number += section.bytes().filter(|byte| *byte == b'\n').count();
        section
    }
}

#[cfg(test)]
mod tests;
