//! Types, offerings and prices.

use super::wire::{NOW, Wire, cluster, ec2, usual};
use crate::cloud::{Ask, CloudReader, CloudReading, Facts};
use aws_config::Region;
use catalog::{Catalog, Request, Settings, Zone};
use model::pool::Kubelet;
use model::{NodeClass, Timestamp};

const TYPES: &str = include_str!("../../../fixtures/aws/instance-types.xml");

fn offering(name: &str, zone_id: &str) -> String {
    format!(
        "<item><instanceType>{name}</instanceType><locationType>availability-zone-id</locationType><location>{zone_id}</location></item>"
    )
}

fn offerings(list: &[String]) -> String {
    let list = list.concat();
    ec2(
        "DescribeInstanceTypeOfferings",
        &format!("<instanceTypeOfferingSet>{list}</instanceTypeOfferingSet>"),
    )
}

fn spot(name: &str, zone: char, price: &str, hour: u32) -> String {
    format!(
        "<item><instanceType>{name}</instanceType><productDescription>Linux/UNIX</productDescription><spotPrice>{price}</spotPrice>\
         <timestamp>2026-11-22T{hour:02}:00:00.000Z</timestamp><availabilityZone>us-east-1{zone}</availabilityZone></item>"
    )
}

fn spot_prices(list: &[String]) -> String {
    let list = list.concat();
    ec2(
        "DescribeSpotPriceHistory",
        &format!("<spotPriceHistorySet>{list}</spotPriceHistorySet><nextToken></nextToken>"),
    )
}

fn products(list: &[(&str, &str)]) -> String {
    let product = |(name, usd): &(&str, &str)| {
        let product = serde_json::json!({
            "product": { "attributes": { "instanceType": name } },
            "terms": { "OnDemand": { "a": { "priceDimensions": { "b": { "pricePerUnit": { "USD": usd } } } } } }
        });
        product.to_string()
    };
    let list = list.iter().map(product).collect::<Vec<_>>();
    serde_json::json!({ "FormatVersion": "aws_v1", "PriceList": list }).to_string()
}

fn market() -> Wire {
    let wire = usual();
    wire.answer(
        "Action=DescribeInstanceTypeOfferings",
        offerings(&[offering("m5.large", "use1-az1"), offering("m5.large", "use1-az2"), offering("x9.large", "use1-az2")]),
    )
    .answer("Action=DescribeInstanceTypes", TYPES)
    .answer(
        "Action=DescribeSpotPriceHistory",
        spot_prices(&[spot("m5.large", 'a', "0.04", 3), spot("m5.large", 'a', "0.03", 2), spot("x9.large", 'b', "0.5", 1)]),
    )
    .answer(
        "Action=DescribeAvailabilityZones",
        ec2(
            "DescribeAvailabilityZones",
            "<availabilityZoneInfo><item><zoneName>us-east-1a</zoneName><zoneId>use1-az1</zoneId></item>\
             <item><zoneName>us-east-1b</zoneName><zoneId>use1-az2</zoneId></item></availabilityZoneInfo>",
        ),
    )
    .answer("target=GetProducts Shared", products(&[("m5.large", "0.097"), ("x9.large", "1.5")]))
    .answer("target=GetProducts Dedicated", products(&[("m5.metal", "4.7")]));
    wire
}

async fn read(
    reader: &mut CloudReader,
    memory: &mut Facts,
    seconds: i64,
    refresh: bool,
    isolated: bool,
) -> CloudReading {
    let cluster = cluster();
    let now = Timestamp(NOW.0 + seconds);
    let ask = Ask {
        now,
        cluster: &cluster,
        classes: &[],
        refresh_market: refresh,
        isolated_vpc: isolated,
        has_instances: false,
        has_spot: false,
    };
    reader.read(&ask, memory).await.unwrap()
}

/// `zone capacity-type price`, with a `~` before prices that are estimated.
fn offered(catalog: &Catalog, name: &str) -> Vec<String> {
    let zone =
        |letter: char, id: &str| Zone { name: format!("us-east-1{letter}"), id: id.to_owned() };
    let request = Request {
        region: "us-east-1",
        zones: &[zone('a', "use1-az1"), zone('b', "use1-az2")],
        class: &NodeClass::default(),
        kubelet: &Kubelet::default(),
        settings: &Settings::default(),
    };
    let types = catalog.instance_types(&request);
    let found = types.iter().find(|found| found.name == name);
    let text = |offering: &model::Offering| {
        let estimated = if offering.estimated { "~" } else { "" };
        format!("{} {} {estimated}{}", offering.zone, offering.capacity_type, offering.price.0)
    };
    found.map(|found| found.offerings.iter().map(text).collect()).unwrap_or_default()
}

#[tokio::test]
async fn what_is_read_of_the_market_takes_the_catalogs_place() {
    let wire = market();
    let (mut reader, mut memory) = (wire.reader(), Facts::default());
    let reading = read(&mut reader, &mut memory, 0, true, false).await;
    assert_eq!(reading.stale, []);
    assert_eq!(
        offered(&reading.catalog, "m5.large"),
        ["us-east-1a on-demand 97000", "us-east-1a spot 40000", "us-east-1b on-demand 97000"]
    );
    assert_eq!(
        offered(&reading.catalog, "x9.large"),
        ["us-east-1b on-demand 1500000", "us-east-1b spot 500000"]
    );
    assert_eq!(offered(&reading.catalog, "c5.large"), [""; 0]);
    let asked = wire.requests().join("\n");
    for part in [
        "ProductDescription.1=Linux/UNIX&ProductDescription.2=Linux/UNIX_%28Amazon_VPC%29",
        "StartTime=2026-11-23T00:00:00Z",
        "LocationType=availability-zone-id",
        "Name=instance-type&Filter.1.Value.1=x9.large&Filter.2",
        "Name=supported-virtualization-type&Filter.2.Value.1=hvm",
    ] {
        assert!(asked.contains(part), "{part}: {asked}");
    }
    let again = read(&mut reader, &mut memory, 12 * 3600 - 1, true, false).await;
    assert_eq!(wire.actions(), ["DescribeInstances"]);
    assert!(std::sync::Arc::ptr_eq(&again.catalog, &reading.catalog));
    read(&mut reader, &mut memory, 12 * 3600, true, false).await;
    assert_eq!(wire.actions().len(), 7);
}

#[tokio::test]
async fn the_market_survives_in_the_config_map_and_is_read_only_when_asked_for() {
    let wire = market();
    let mut memory = Facts::default();
    let reading = read(&mut wire.reader(), &mut memory, 0, false, false).await;
    assert_eq!(wire.actions(), ["DescribeInstances"]);
    assert_eq!(offered(&reading.catalog, "m5.large")[0], "us-east-1a on-demand 96000");
    read(&mut wire.reader(), &mut memory, 0, true, false).await;
    wire.requests();
    let (mut memory, findings) = Facts::from_config_map_data(&memory.to_config_map_data());
    let reading = read(&mut wire.reader(), &mut memory, 0, false, false).await;
    assert_eq!((wire.actions().len(), findings.len()), (1, 0));
    assert_eq!(offered(&reading.catalog, "m5.large")[0], "us-east-1a on-demand 97000");
}

#[tokio::test]
async fn what_cannot_be_read_stays_and_is_tried_again_after_ten_minutes() {
    let wire = market();
    let (mut reader, mut memory) = (wire.reader(), Facts::default());
    let denied =
        r#"{"__type":"AccessDeniedException","message":"User: arn:aws:iam::123456789012:user/x"}"#;
    wire.fail("target=GetProducts", 400, denied)
        .answer("Action=DescribeSpotPriceHistory", spot_prices(&[]));
    let reading = read(&mut reader, &mut memory, 0, true, false).await;
    let told =
        reading.stale.iter().map(|stale| (stale.what.as_str(), stale.age_s)).collect::<Vec<_>>();
    assert_eq!(told, [("on-demand prices", None), ("spot prices", None)]);
    assert!(
        reading.stale[0].error.contains(r#""Action":"pricing:GetProducts""#),
        "{:?}",
        reading.stale
    );
    assert!(reading.stale[1].error.contains("it was empty"), "{:?}", reading.stale);
    let first = ["us-east-1a on-demand 96000", "us-east-1a spot ~32640"];
    assert_eq!(offered(&reading.catalog, "m5.large")[..2], first);
    wire.requests();
    let reading = read(&mut reader, &mut memory, 599, true, false).await;
    assert_eq!((wire.actions().len(), reading.stale.len()), (1, 2));
    wire.answer("target=GetProducts", products(&[("m5.large", "0.2")]))
        .answer("Action=DescribeSpotPriceHistory", spot_prices(&[spot("m5.large", 'a', "0.1", 1)]));
    let reading = read(&mut reader, &mut memory, 600, true, false).await;
    assert_eq!(reading.stale, []);
    let first = ["us-east-1a on-demand 200000", "us-east-1a spot 100000"];
    assert_eq!(offered(&reading.catalog, "m5.large")[..2], first);
}

#[tokio::test]
async fn no_price_list_is_asked_where_there_is_none() {
    let wire = market();
    read(&mut wire.reader(), &mut Facts::default(), 0, true, true).await;
    assert!(!wire.actions().contains(&"GetProducts".to_owned()));
    let check = async |region: &'static str, absent: &[&str]| {
        let config = wire.config().into_builder().region(Region::new(region)).build();
        let mut reader = CloudReader::new(&config, Catalog::embedded().unwrap());
        let reading = read(&mut reader, &mut Facts::default(), 0, true, false).await;
        assert_eq!(reading.stale, []);
        let actions = wire.actions();
        absent
            .iter()
            .for_each(|action| assert!(!actions.contains(&(*action).to_owned()), "{action}"));
    };
    check("us-gov-west-1", &["GetProducts"]).await;
    check("cn-north-1", &["GetProducts", "DescribeSpotPriceHistory"]).await;
}
