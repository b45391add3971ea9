//! One region of the catalog: where its types are offered and what they cost there.

use crate::CatalogError;
use model::MicroUsdPerHour;
use std::str::FromStr;
use std::sync::OnceLock;

/// A region's section; its rows are read when they are first needed.
#[derive(Debug, Default)]
pub(crate) struct Region {
    dollars: bool,
    /// The ids of its zones, sorted; empty if the source has none.
    pub(crate) zone_ids: Vec<String>,
    body: String,
    /// The number of the section's first row.
    first_line: usize,
    rows: OnceLock<Vec<Row>>,
}

/// One instance type in one region.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    name: String,
    zones: ZoneSet,
    /// On demand, in millionths of the region's currency.
    price: Option<u64>,
    /// What spot costs less than on demand; negative where it costs more.
    pub(crate) savings_percent: Option<i16>,
}

/// Where a type is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ZoneSet {
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
        let rows = self.rows.get_or_init(|| {
            let mut rows = self.read_rows().filter_map(Result::ok).collect::<Vec<_>>();
            rows.sort_by(|a, b| a.name.cmp(&b.name));
            rows
        });
        let found = rows.binary_search_by(|row| row.name.as_str().cmp(instance_type)).ok()?;
        rows.get(found)
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
        for row in self.read_rows().filter_map(Result::ok) {
            match row.zones {
                ZoneSet::All => counts.iter_mut().for_each(|count| *count += 1),
                ZoneSet::Some(zones) => zones.into_iter().for_each(|zone| counts[zone] += 1),
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

/// Reads `region`, name, currency, date of the prices, zone ids.
pub(crate) fn read_header(line: &str, number: usize) -> Result<(String, Region), CatalogError> {
    let cells = line.split('\t').collect::<Vec<_>>();
    let ["region", name, currency, _as_of, zones] = cells[..] else {
        let problem = "a region's line is: region, name, currency, date, zone ids".to_owned();
        return Err(CatalogError::Line { line: number, problem });
    };
    let mut zone_ids =
        zones.split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    if zone_ids.len() > 10 || !zone_ids.is_sorted() {
        let problem = "zone ids must be sorted and at most ten".to_owned();
        return Err(CatalogError::Line { line: number, problem });
    }
    zone_ids.dedup();
    Ok((name.to_owned(), Region { dollars: currency == "USD", zone_ids, ..Region::default() }))
}

fn read_row(line: &str, zone_count: usize) -> Result<Row, String> {
    let cells = line.split('\t').collect::<Vec<_>>();
    let [name, zones, price, savings] = cells[..] else {
        return Err("a type's line is: name, zones, price, savings".to_owned());
    };
    let price =
        optional(price).filter(|price: &Option<u64>| price.is_none_or(|p| p < 1_000_000_000_000));
    let savings = optional(savings)
        .filter(|savings: &Option<i16>| savings.is_none_or(|s| (-1000..=100).contains(&s)));
    Ok(Row {
        name: name.to_owned(),
        zones: read_zones(zones, zone_count).ok_or_else(|| format!("{zones:?} are no zones"))?,
        price: price.ok_or("the price must be millionths per hour, or empty")?,
        savings_percent: savings.ok_or("savings must be a per cent, or empty")?,
    })
}

fn optional<T: FromStr>(text: &str) -> Option<Option<T>> {
    if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
}

fn read_zones(text: &str, zone_count: usize) -> Option<ZoneSet> {
    let index = |digit: char| {
        digit.to_digit(10).map(|index| index as usize).filter(|index| *index < zone_count)
    };
    if text == "*" {
        Some(ZoneSet::All)
    } else {
        text.chars().map(index).collect::<Option<_>>().map(ZoneSet::Some)
    }
}
