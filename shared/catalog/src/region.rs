//! One region of the catalog: where its types are offered and what they cost there.

use crate::CatalogError;
use model::MicroUsdPerHour;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::OnceLock;

/// Zones have one digit each in the rows.
const MOST_ZONES: usize = 36;
/// How many classes of interruptions the spot advisor has.
const CLASSES: u8 = 5;

/// A region's section; its rows are read when they are first needed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Region {
    pub(crate) dollars: bool,
    /// The currency and date of its prices, as the file has them.
    pub(crate) currency: String,
    pub(crate) as_of: String,
    /// The date of its spot prices; empty if they are only estimated from savings.
    pub(crate) spot_as_of: String,
    /// The ids of its zones, sorted; empty if the source has none.
    pub(crate) zone_ids: Vec<String>,
    pub(crate) body: String,
    /// The number of the section's first row.
    pub(crate) first_line: usize,
    pub(crate) rows: OnceLock<Vec<Row>>,
}

/// One instance type in one region.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) zones: ZoneSet,
    /// On demand, in millionths of the region's currency.
    pub(crate) price: Option<u64>,
    /// What spot costs less than on demand; negative where it costs more.
    pub(crate) savings_percent: Option<i16>,
    /// How often its spot instances are interrupted: the spot advisor's class, 0 to 4.
    pub(crate) interruption: Option<u8>,
    /// Spot prices by the index of their zone, where they were read.
    pub(crate) spot: BTreeMap<usize, u64>,
}

/// Where a type is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ZoneSet {
    /// The source does not say; assumed everywhere.
    All,
    /// In these of the region's zones, by index.
    Some(Vec<usize>),
}

impl Default for ZoneSet {
    fn default() -> Self {
        Self::Some(Vec::new())
    }
}

impl Region {
    /// The same region with the text of its rows, of which the last stands on line `last_line`.
    pub(crate) fn with_body(self, body: &str, last_line: usize) -> Self {
        let first_line = last_line + 1 - body.lines().count();
        Self { body: body.to_owned(), first_line, ..self }
    }

    /// The first line that cannot be read, as an error.
    pub(crate) fn check(&self) -> Result<(), CatalogError> {
        self.read_rows().try_for_each(|row| row.map(|_| ()))
    }

    /// The row of an instance type.
    pub(crate) fn row(&self, instance_type: &str) -> Option<&Row> {
        let rows = self.all_rows();
        let found = rows.binary_search_by(|row| row.name.as_str().cmp(instance_type)).ok()?;
        rows.get(found)
    }

    /// All rows, by name.
    pub(crate) fn all_rows(&self) -> &[Row] {
        self.rows.get_or_init(|| {
            let mut rows = self.read_rows().filter_map(Result::ok).collect::<Vec<_>>();
            rows.sort_by(|a, b| a.name.cmp(&b.name));
            rows
        })
    }

    /// Whether spot prices were read: then what has none is not sold as spot capacity.
    pub(crate) fn knows_spot_prices(&self) -> bool {
        !self.spot_as_of.is_empty()
    }

    /// The spot price in the zone with this id, if it was read.
    pub(crate) fn spot_price(&self, instance_type: &str, zone_id: &str) -> Option<u64> {
        let index = self.zone_ids.iter().position(|id| id == zone_id)?;
        self.row(instance_type)?.spot.get(&index).copied()
    }

    /// The list price, if the region has one in dollars.
    pub(crate) fn list_price(&self, instance_type: &str) -> Option<MicroUsdPerHour> {
        let price = self.row(instance_type)?.price?;
        self.dollars.then_some(MicroUsdPerHour(price))
    }

    /// Whether the type is offered in the zone with this id (empty: an unknown zone).
    pub(crate) fn offers(&self, instance_type: &str, zone_id: &str) -> bool {
        let index = || self.zone_ids.iter().position(|id| id == zone_id);
        self.row(instance_type).is_some_and(|row| match &row.zones {
            ZoneSet::All => true,
            ZoneSet::Some(zones) => index().is_some_and(|index| zones.contains(&index)),
        })
    }

    /// How many types each zone offers, by zone index.
    pub(crate) fn types_by_zone(&self) -> Vec<usize> {
        let mut counts = vec![0; self.zone_ids.len()];
        for row in self.all_rows() {
            match &row.zones {
                ZoneSet::All => counts.iter_mut().for_each(|count| *count += 1),
                ZoneSet::Some(zones) => zones.iter().for_each(|zone| counts[*zone] += 1),
            }
        }
        counts
    }

    fn read_rows(&self) -> impl Iterator<Item = Result<Row, CatalogError>> {
        self.body.lines().enumerate().map(|(index, line)| {
            read_row(line, self.zone_ids.len())
                .map_err(|problem| CatalogError::Line { line: self.first_line + index, problem })
        })
    }
}

/// Reads `region`, name, currency, date of the prices, zone ids, and perhaps the date of the spot prices.
pub(crate) fn read_header(line: &str, number: usize) -> Result<(String, Region), CatalogError> {
    let cells = line.split('\t').collect::<Vec<_>>();
    let (name, currency, as_of, zones, spot_as_of) = match cells[..] {
        ["region", name, currency, as_of, zones] => (name, currency, as_of, zones, ""),
        ["region", name, currency, as_of, zones, spot] => (name, currency, as_of, zones, spot),
        _ => {
            let problem = "a region's line is: region, name, currency, date, zone ids, and perhaps the date of spot prices";
            return Err(CatalogError::Line { line: number, problem: problem.to_owned() });
        }
    };
    let mut zone_ids =
        zones.split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    if zone_ids.len() > MOST_ZONES || !zone_ids.is_sorted() {
        let problem = format!("zone ids must be sorted and at most {MOST_ZONES}");
        return Err(CatalogError::Line { line: number, problem });
    }
    zone_ids.dedup();
    let region = Region {
        dollars: currency == "USD",
        currency: currency.to_owned(),
        as_of: as_of.to_owned(),
        spot_as_of: spot_as_of.to_owned(),
        zone_ids,
        ..Region::default()
    };
    Ok((name.to_owned(), region))
}

/// A region's lines, which `read_header` and `read_row` read again.
pub(crate) fn write(name: &str, region: &Region) -> Vec<String> {
    let zones = region.zone_ids.join(",");
    let mut header = format!("region\t{name}\t{}\t{}\t{zones}", region.currency, region.as_of);
    if region.knows_spot_prices() {
        header = format!("{header}\t{}", region.spot_as_of);
    }
    let rows = region.all_rows().iter().map(write_row);
    std::iter::once(header).chain(rows).collect()
}

fn write_row(row: &Row) -> String {
    let digit = |zone: &usize| char::from_digit(*zone as u32, MOST_ZONES as u32);
    let zones = match &row.zones {
        ZoneSet::All => "*".to_owned(),
        ZoneSet::Some(zones) => zones.iter().filter_map(digit).collect(),
    };
    let price = row.price.map_or_else(String::new, |price| price.to_string());
    let savings = row.savings_percent.map_or_else(String::new, |savings| savings.to_string());
    let line = format!("{}\t{zones}\t{price}\t{savings}", row.name);
    let spot =
        row.spot.iter().filter_map(|(zone, price)| Some(format!("{}:{price}", digit(zone)?)));
    let spot = spot.collect::<Vec<_>>().join(",");
    let class = row.interruption.map_or_else(String::new, |class| class.to_string());
    match (spot.is_empty(), class.is_empty()) {
        (true, true) => line,
        (_, true) => format!("{line}\t{spot}"),
        _ => format!("{line}\t{spot}\t{class}"),
    }
}

fn read_row(line: &str, zone_count: usize) -> Result<Row, String> {
    let cells = line.split('\t').collect::<Vec<_>>();
    let (name, zones, price, savings, spot, class) = match cells[..] {
        [name, zones, price, savings] => (name, zones, price, savings, "", ""),
        [name, zones, price, savings, spot] => (name, zones, price, savings, spot, ""),
        [name, zones, price, savings, spot, class] => (name, zones, price, savings, spot, class),
        _ => {
            let problem = "a type's line is: name, zones, price, savings, and perhaps spot prices and the class of interruptions";
            return Err(problem.to_owned());
        }
    };
    let class =
        optional(class).filter(|class: &Option<u8>| class.is_none_or(|class| class < CLASSES));
    let price = optional(price).filter(|price: &Option<u64>| price.is_none_or(is_price));
    let savings = optional(savings)
        .filter(|savings: &Option<i16>| savings.is_none_or(|s| (-1000..=100).contains(&s)));
    Ok(Row {
        name: name.to_owned(),
        zones: read_zones(zones, zone_count).ok_or_else(|| format!("{zones:?} are no zones"))?,
        price: price.ok_or("the price must be millionths per hour, or empty")?,
        savings_percent: savings.ok_or("savings must be a per cent, or empty")?,
        interruption: class.ok_or("the class of interruptions must be 0 to 4, or empty")?,
        spot: read_spot(spot, zone_count).ok_or_else(|| format!("{spot:?} are no spot prices"))?,
    })
}

fn is_price(price: u64) -> bool {
    price < 1_000_000_000_000
}

/// Reads `zone:price` pairs.
fn read_spot(text: &str, zone_count: usize) -> Option<BTreeMap<usize, u64>> {
    let pair = |text: &str| {
        let (zone, price) = text.split_once(':')?;
        let zone = read_zone(zone.chars().next()?, zone_count)?;
        Some((zone, price.parse().ok().filter(|price| is_price(*price))?))
    };
    text.split(',').filter(|pair| !pair.is_empty()).map(pair).collect()
}

fn read_zone(digit: char, zone_count: usize) -> Option<usize> {
    let index = digit.to_digit(MOST_ZONES as u32)? as usize;
    (index < zone_count).then_some(index)
}

fn optional<T: FromStr>(text: &str) -> Option<Option<T>> {
    if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
}

fn read_zones(text: &str, zone_count: usize) -> Option<ZoneSet> {
    if text == "*" {
        return Some(ZoneSet::All);
    }
    let zones = text.chars().map(|digit| read_zone(digit, zone_count));
    zones.collect::<Option<_>>().map(ZoneSet::Some)
}
