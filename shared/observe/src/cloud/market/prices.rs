//! List prices by the Price List Query API.

use super::{Answer, Prices, not_empty};
use crate::cloud::call::GET_PRODUCTS;
use crate::cloud::clients::Clients;
use crate::cloud::error::CloudReadError;
use aws_sdk_pricing::operation::get_products::GetProductsOutput;
use aws_sdk_pricing::types::{Filter, FilterType};
use model::MicroUsdPerHour;
use serde::Deserialize;
use std::collections::BTreeMap;

const PAGE: i32 = 100;
/// What all products have in common that are a Linux instance at its list price.
const COMMON: [(&str, &str); 4] = [
    ("preInstalledSw", "NA"),
    ("operatingSystem", "Linux"),
    ("capacitystatus", "Used"),
    ("marketoption", "OnDemand"),
];
/// Virtual machines are sold with shared tenancy, metal as dedicated.
const KINDS: [(&str, &str); 2] =
    [("Shared", "Compute Instance"), ("Dedicated", "Compute Instance (bare metal)")];

/// The list price of each type in dollars; none where there is no such price list.
pub(super) async fn read(clients: &Clients) -> Answer<Prices> {
    let Some(pricing) = &clients.pricing else { return Ok(None) };
    let reads = KINDS.map(|kind| of_kind(clients, pricing, kind));
    let mut prices = Prices::new();
    for answer in futures::future::join_all(reads).await {
        prices.extend(answer?);
    }
    not_empty(GET_PRODUCTS, prices, Prices::is_empty).map(Some)
}

async fn of_kind(
    clients: &Clients,
    pricing: &aws_sdk_pricing::Client,
    (tenancy, family): (&str, &str),
) -> Result<Prices, CloudReadError> {
    let own =
        [("regionCode", clients.region.as_str()), ("tenancy", tenancy), ("productFamily", family)];
    let filters = COMMON.into_iter().chain(own).filter_map(|(field, value)| {
        Filter::builder().r#type(FilterType::TermMatch).field(field).value(value).build().ok()
    });
    let call =
        pricing.get_products().service_code("AmazonEC2").set_filters(Some(filters.collect()));
    let stream = call.into_paginator().page_size(PAGE).send();
    let mut prices = Prices::new();
    let take = |page: GetProductsOutput| {
        prices.extend(page.price_list().iter().filter_map(|product| price(product)));
    };
    clients.pages(GET_PRODUCTS, stream, take).await?;
    Ok(prices)
}

#[derive(Deserialize)]
struct Entry {
    product: Product,
    #[serde(default)]
    terms: BTreeMap<String, BTreeMap<String, Term>>,
}

#[derive(Deserialize)]
struct Product {
    attributes: Attributes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attributes {
    instance_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Term {
    #[serde(default)]
    price_dimensions: BTreeMap<String, Dimension>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dimension {
    #[serde(default)]
    price_per_unit: BTreeMap<String, String>,
}

/// The type and price of a product; none if it is free or not in dollars.
fn price(product: &str) -> Option<(String, MicroUsdPerHour)> {
    let entry: Entry = serde_json::from_str(product).ok()?;
    let terms = entry.terms.get("OnDemand")?.values();
    let mut dimensions = terms.flat_map(|term| term.price_dimensions.values());
    let price = dimensions.find_map(|dimension| {
        let usd = dimension.price_per_unit.get("USD")?.parse().ok()?;
        MicroUsdPerHour::from_usd(usd).filter(|price| *price > MicroUsdPerHour::ZERO)
    })?;
    Some((entry.product.attributes.instance_type, price))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(product: &str, expected: Option<(&str, u64)>) {
        let found = price(product);
        let found = found.as_ref().map(|(name, price)| (name.as_str(), price.0));
        assert_eq!(found, expected, "{product}");
    }

    #[test]
    fn a_product_has_a_type_and_a_price_in_dollars() {
        let product = |prices: &str| {
            format!(
                r#"{{"product":{{"productFamily":"Compute Instance","attributes":{{"instanceType":"m5.large","vcpu":"2"}},"sku":"A"}},
                "serviceCode":"AmazonEC2","terms":{{"OnDemand":{{"A.B":{{"priceDimensions":{{"A.B.C":{{"unit":"Hrs","pricePerUnit":{prices}}}}},"sku":"A"}}}}}}}}"#
            )
        };
        check(&product(r#"{"USD":"0.0960000000"}"#), Some(("m5.large", 96_000)));
        check(&product(r#"{"USD":"0.0000000000"}"#), None);
        check(&product(r#"{"CNY":"0.6"}"#), None);
        check(&product(r#"{"USD":"cheap"}"#), None);
        check(r#"{"product":{"attributes":{"instanceType":"m5.large"}}}"#, None);
        check("{}", None);
        check("not JSON", None);
    }
}
