//! Spot prices now, by type and zone.

use super::{Answer, ZonePrices, not_empty};
use crate::cloud::call::{DESCRIBE_AVAILABILITY_ZONES, DESCRIBE_SPOT_PRICE_HISTORY};
use crate::cloud::clients::Clients;
use crate::cloud::error::CloudReadError;
use aws_sdk_ec2::operation::describe_spot_price_history::DescribeSpotPriceHistoryOutput;
use aws_sdk_ec2::primitives::DateTime;
use aws_sdk_ec2::types::SpotPrice;
use model::{MicroUsdPerHour, Timestamp};
use std::collections::BTreeMap;

const PAGE: i32 = 1000;
const PRODUCTS: [&str; 2] = ["Linux/UNIX", "Linux/UNIX (Amazon VPC)"];

/// A price with the moment since which it holds.
type Since = (i64, MicroUsdPerHour);

/// The latest price of each type in each zone; none in China, where it is not in dollars.
pub(super) async fn read(clients: &Clients, now: Timestamp) -> Answer<ZonePrices> {
    if clients.region.starts_with("cn-") {
        return Ok(None);
    }
    let call = clients
        .ec2
        .describe_spot_price_history()
        .set_product_descriptions(Some(PRODUCTS.map(str::to_owned).to_vec()))
        .start_time(DateTime::from_secs(now.0));
    let stream = call.into_paginator().page_size(PAGE).send();
    let mut found = BTreeMap::<(String, String), Since>::new();
    let mut zone_ids = BTreeMap::new();
    let take = |page: DescribeSpotPriceHistoryOutput| {
        for price in page.spot_price_history() {
            let id = price.availability_zone().zip(price.availability_zone_id());
            zone_ids.extend(id.map(|(name, id)| (name.to_owned(), id.to_owned())));
            if let Some((key, since)) = entry(price) {
                let latest = found.entry(key).or_insert(since);
                *latest = since.max(*latest);
            }
        }
    };
    clients.pages(DESCRIBE_SPOT_PRICE_HISTORY, stream, take).await?;
    let found = not_empty(DESCRIBE_SPOT_PRICE_HISTORY, found, BTreeMap::is_empty)?;
    if found.keys().any(|(_, zone)| !zone_ids.contains_key(zone)) {
        zone_ids.extend(read_zone_ids(clients).await?);
    }
    let mut prices = ZonePrices::new();
    for ((name, zone), (_, price)) in found {
        let Some(id) = zone_ids.get(&zone) else { continue };
        prices.entry(name).or_default().insert(id.clone(), price);
    }
    Ok(Some(prices))
}

fn entry(price: &SpotPrice) -> Option<((String, String), Since)> {
    let name = price.instance_type()?.as_str().to_owned();
    let zone = price.availability_zone()?.to_owned();
    let usd = price.spot_price()?.parse().ok()?;
    let since = price.timestamp().map_or(0, |time| time.secs());
    Some(((name, zone), (since, MicroUsdPerHour::from_usd(usd)?)))
}

/// The ids of the region's zones by name, where the price history does not tell them.
async fn read_zone_ids(clients: &Clients) -> Result<BTreeMap<String, String>, CloudReadError> {
    clients.gate.pass(DESCRIBE_AVAILABILITY_ZONES)?;
    let answer = clients.ec2.describe_availability_zones().send().await.map_err(|error| {
        CloudReadError::of(DESCRIBE_AVAILABILITY_ZONES, &clients.region, "", &error)
    })?;
    let pair = |zone: &aws_sdk_ec2::types::AvailabilityZone| {
        Some((zone.zone_name()?.to_owned(), zone.zone_id()?.to_owned()))
    };
    Ok(answer.availability_zones().iter().filter_map(pair).collect())
}
