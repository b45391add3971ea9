//! What EC2 sells in the region and at what price: types, offerings, list prices, spot prices.

mod offerings;
mod prices;
mod spot;
mod types;

use super::clients::Clients;
use super::error::CloudReadError;
use super::shelf::Dated;
use super::{Ask, Stale};
use catalog::{Catalog, Current, TypeFacts};
use model::{MicroUsdPerHour, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How long the market stays as it is, in seconds.
const TTL_S: i64 = 12 * 3600;
/// How long after a failure nothing is tried, in seconds: where there is no route to an endpoint, each try costs its deadline.
const BACK_OFF_S: i64 = 600;

/// Zone ids by type.
pub(crate) type Offerings = BTreeMap<String, BTreeSet<String>>;
/// Prices by type.
pub(crate) type Prices = BTreeMap<String, MicroUsdPerHour>;
/// Prices by type and zone id.
pub(crate) type ZonePrices = BTreeMap<String, BTreeMap<String, MicroUsdPerHour>>;

/// What was read of the market; `None` was never read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct MarketFacts {
    region: String,
    offerings: Option<Dated<Offerings>>,
    types: Option<Dated<Vec<TypeFacts>>>,
    on_demand: Option<Dated<Prices>>,
    spot: Option<Dated<ZonePrices>>,
    /// What lately failed, when, and why.
    failed: BTreeMap<String, Dated<String>>,
}

/// When each part was read: the catalog changes only with these.
pub(crate) type ReadTimes = [Option<Timestamp>; 4];

impl MarketFacts {
    pub(crate) fn read_times(&self) -> ReadTimes {
        [
            self.offerings.as_ref().map(|dated| dated.read_at),
            self.types.as_ref().map(|dated| dated.read_at),
            self.on_demand.as_ref().map(|dated| dated.read_at),
            self.spot.as_ref().map(|dated| dated.read_at),
        ]
    }

    /// What the catalog is to be overlaid with; `None` if nothing of this region was ever read.
    pub(crate) fn current(&self, region: &str) -> Option<Current> {
        let latest = self.read_times().into_iter().flatten().max()?;
        let day = jiff::Timestamp::from_second(latest.0).unwrap_or_default();
        (self.region == region).then(|| Current {
            region: region.to_owned(),
            as_of: day.to_string().chars().take(10).collect(),
            types: self.types.as_ref().map(|dated| dated.value.clone()).unwrap_or_default(),
            offerings: self.offerings.as_ref().map(|dated| dated.value.clone()),
            on_demand: self.on_demand.as_ref().map(|dated| dated.value.clone()),
            spot: self.spot.as_ref().map(|dated| dated.value.clone()),
        })
    }

    /// Whether a part is missing or old, and did not fail lately.
    fn is_due<V>(&self, what: &str, part: Option<&Dated<V>>, now: Timestamp) -> bool {
        let failed = self.failed.get(what).is_some_and(|failed| failed.is_fresh(now, BACK_OFF_S));
        !failed && !part.is_some_and(|dated| dated.is_fresh(now, TTL_S))
    }

    fn record(&mut self, what: &str, error: Option<CloudReadError>, now: Timestamp) {
        match error {
            Some(error) => {
                let failed = Dated { read_at: now, value: error.to_string() };
                self.failed.insert(what.to_owned(), failed);
            }
            None => drop(self.failed.remove(what)),
        }
    }

    /// What is in use although it is old or was never read, with the error for which it is.
    fn stale(&self, now: Timestamp) -> Vec<Stale> {
        let [offerings, types, on_demand, spot] = self.read_times();
        let parts = [(OFFERINGS, offerings), (TYPES, types), (ON_DEMAND, on_demand), (SPOT, spot)];
        let stale = |(what, read_at): (&str, Option<Timestamp>)| {
            let failed = self.failed.get(what)?;
            let age_s = read_at.map(|read_at| now.since(read_at).0);
            Some(Stale { what: what.to_owned(), age_s, error: failed.value.clone() })
        };
        parts.into_iter().filter_map(stale).collect()
    }
}

const OFFERINGS: &str = "offerings";
const TYPES: &str = "instance types";
const ON_DEMAND: &str = "on-demand prices";
const SPOT: &str = "spot prices";

/// Reads what is due, all at once; tells what stays old.
pub(crate) async fn refresh(
    clients: &Clients,
    facts: &mut MarketFacts,
    known: &Catalog,
    ask: &Ask<'_>,
) -> Vec<Stale> {
    if facts.region != clients.region {
        *facts = MarketFacts { region: clients.region.clone(), ..MarketFacts::default() };
    }
    if ask.refresh_market {
        read_due(clients, facts, known, ask.now, ask.isolated_vpc).await;
    }
    facts.stale(ask.now)
}

/// Reads everything about the market of the clients' region, for a catalog of its own.
pub(crate) async fn read(
    clients: &Clients,
    known: &Catalog,
    now: Timestamp,
) -> (Option<Current>, Vec<Stale>) {
    let mut facts = MarketFacts { region: clients.region.clone(), ..MarketFacts::default() };
    read_due(clients, &mut facts, known, now, false).await;
    (facts.current(&clients.region), facts.stale(now))
}

async fn read_due(
    clients: &Clients,
    facts: &mut MarketFacts,
    known: &Catalog,
    now: Timestamp,
    isolated_vpc: bool,
) {
    let wants_offerings = facts.is_due(OFFERINGS, facts.offerings.as_ref(), now);
    let wants_prices = facts.is_due(ON_DEMAND, facts.on_demand.as_ref(), now);
    let wants_spot = facts.is_due(SPOT, facts.spot.as_ref(), now);
    let (offered, on_demand, spot) = futures::join!(
        when(wants_offerings, offered(clients, known)),
        when(wants_prices && !isolated_vpc, prices::read(clients)),
        when(wants_spot, spot::read(clients, now)),
    );
    if let Some((offerings, types)) = offered {
        keep(facts, OFFERINGS, offerings, now, |facts| &mut facts.offerings);
        keep(facts, TYPES, types, now, |facts| &mut facts.types);
    }
    if let Some(answer) = on_demand {
        keep(facts, ON_DEMAND, answer, now, |facts| &mut facts.on_demand);
    }
    if let Some(answer) = spot {
        keep(facts, SPOT, answer, now, |facts| &mut facts.spot);
    }
}

async fn when<F: Future>(wanted: bool, read: F) -> Option<F::Output> {
    if wanted { Some(read.await) } else { None }
}

/// Keeps an answer; `Ok(None)` means that there is nothing to be read in this region.
fn keep<V>(
    facts: &mut MarketFacts,
    what: &str,
    answer: Result<Option<V>, CloudReadError>,
    now: Timestamp,
    part: impl Fn(&mut MarketFacts) -> &mut Option<Dated<V>>,
) {
    let (value, error) = match answer {
        Ok(value) => (value, None),
        Err(error) => (None, Some(error)),
    };
    facts.record(what, error, now);
    if let Some(value) = value {
        *part(facts) = Some(Dated { read_at: now, value });
    }
}

type Answer<V> = Result<Option<V>, CloudReadError>;

/// Offerings, and the facts of those types that the catalog does not know.
async fn offered(
    clients: &Clients,
    known: &Catalog,
) -> (Answer<Offerings>, Answer<Vec<TypeFacts>>) {
    let offerings = match offerings::read(clients).await {
        Ok(offerings) => offerings,
        Err(error) => return (Err(error), Ok(None)),
    };
    let unknown = offerings.keys().filter(|name| !known.knows_type(name)).cloned();
    let types = types::read(clients, unknown.collect()).await;
    (Ok(Some(offerings)), types.map(Some))
}

/// An answer without anything in it is none: it would take everything off the market.
fn not_empty<C>(
    call: super::call::Call,
    answer: C,
    is_empty: impl Fn(&C) -> bool,
) -> Result<C, CloudReadError> {
    if is_empty(&answer) {
        return Err(CloudReadError::Unreachable { call, cause: "it was empty".to_owned() });
    }
    Ok(answer)
}
