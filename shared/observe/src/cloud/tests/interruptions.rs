//! Warnings that were lost, scheduled events and failing checks.

use super::wire::{NOW, Wire, cluster, ec2, instance, instances, usual};
use crate::cloud::{Ask, CloudReader, CloudReading, Facts};
use model::Timestamp;

const SPOT: &str = "Action=DescribeSpotInstanceRequests";
const STATUS: &str = "Action=DescribeInstanceStatus";

fn request(id: &str, code: &str) -> String {
    format!(
        "<item><spotInstanceRequestId>sir-1</spotInstanceRequestId><instanceId>{id}</instanceId>\
         <status><code>{code}</code><updateTime>2026-11-23T00:00:00.000Z</updateTime></status></item>"
    )
}

fn requests(list: &[String]) -> String {
    let list = list.concat();
    ec2(
        "DescribeSpotInstanceRequests",
        &format!("<spotInstanceRequestSet>{list}</spotInstanceRequestSet>"),
    )
}

fn statuses(list: &[String]) -> String {
    let list = list.concat();
    ec2("DescribeInstanceStatus", &format!("<instanceStatusSet>{list}</instanceStatusSet>"))
}

/// An instance whose check of the host has failed since so many seconds before now.
fn impaired(id: &str, seconds: i64) -> String {
    let since = jiff::Timestamp::from_second(NOW.0 - seconds).unwrap();
    format!(
        "<item><instanceId>{id}</instanceId><systemStatus><status>impaired</status><details><item><name>reachability</name>\
         <status>failed</status><impairedSince>{since}</impairedSince></item></details></systemStatus>\
         <instanceStatus><status>ok</status></instanceStatus></item>"
    )
}

fn event(id: &str, code: &str, description: &str) -> String {
    format!(
        "<item><instanceId>{id}</instanceId><eventsSet><item><code>{code}</code><description>{description}</description>\
         <notBefore>2026-11-24T00:00:00.000Z</notBefore></item></eventsSet></item>"
    )
}

fn wire() -> Wire {
    let wire = usual();
    let two = ["i-1", "i-2"].map(|id| instance(id, "running", ""));
    wire.answer("Action=DescribeInstances", instances(&two, ""))
        .answer(SPOT, requests(&[]))
        .answer(STATUS, statuses(&[]));
    wire
}

async fn read(
    reader: &mut CloudReader,
    seconds: i64,
    has_instances: bool,
    has_spot: bool,
) -> CloudReading {
    let cluster = cluster();
    let ask = Ask {
        now: Timestamp(NOW.0 + seconds),
        cluster: &cluster,
        classes: &[],
        refresh_market: false,
        isolated_vpc: false,
        has_instances,
        has_spot,
    };
    reader.read(&ask, &mut Facts::default()).await.unwrap()
}

/// `id kind at deadline` of instances of which something is told, in seconds from now.
fn told(reading: &CloudReading) -> Vec<String> {
    let told = reading.instances.iter().filter_map(|instance| {
        let told = instance.interruption?;
        let deadline = told.deadline.map(|at| at.since(NOW).0.to_string()).unwrap_or_default();
        Some(format!("{} {:?} {} {deadline}", instance.id, told.kind, told.at.since(NOW).0))
    });
    told.map(|text| text.trim().to_owned()).collect()
}

#[tokio::test]
async fn a_lost_warning_is_found_by_its_request() {
    let wire = wire();
    let all = [
        request("i-1", "marked-for-termination"),
        request("i-2", "fulfilled"),
        request("i-9", "marked-for-stop"),
    ];
    wire.answer(SPOT, requests(&all));
    let reading = read(&mut wire.reader(), 5, true, true).await;
    assert_eq!(told(&reading), ["i-1 SpotWarning 0 120"]);
    let asked = wire.requests().into_iter().find(|asked| asked.contains(SPOT)).unwrap();
    let filter = "Filter.1.Name=status-code&Filter.1.Value.1=marked-for-termination&Filter.1.Value.2=marked-for-stop";
    assert!(asked.contains(filter), "{asked}");
}

#[tokio::test]
async fn checks_that_fail_for_two_minutes_and_scheduled_events_are_told() {
    let check = async |status: String, expected: &[&str]| {
        let wire = wire();
        wire.answer(STATUS, statuses(std::slice::from_ref(&status)));
        let reading = read(&mut wire.reader(), 0, true, false).await;
        assert_eq!(told(&reading), expected, "{status}");
    };
    check(impaired("i-1", 120), &["i-1 StatusImpaired -120"]).await;
    check(impaired("i-1", 119), &[]).await;
    check(impaired("i-9", 500), &[]).await;
    check(event("i-1", "instance-retirement", "soon"), &["i-1 ScheduledChange 0 86400"]).await;
    check(event("i-1", "system-reboot", ""), &["i-1 ScheduledChange 0 86400"]).await;
    check(event("i-1", "instance-retirement", "[Completed] it was"), &[]).await;
    check(event("i-1", "instance-stop", "[Canceled] no"), &[]).await;
    check(event("i-1", "something-new", "soon"), &[]).await;
}

#[tokio::test]
async fn the_most_urgent_counts() {
    let wire = wire();
    wire.answer(STATUS, statuses(&[event("i-1", "instance-stop", ""), impaired("i-2", 600)]))
        .answer(SPOT, requests(&[request("i-1", "marked-for-termination")]));
    let reading = read(&mut wire.reader(), 0, true, true).await;
    assert_eq!(told(&reading), ["i-1 SpotWarning 0 120", "i-2 StatusImpaired -600"]);
}

#[tokio::test]
async fn it_is_asked_once_a_minute_and_only_where_there_is_a_reason() {
    let wire = wire();
    let mut reader = wire.reader();
    let mut check =
        async |seconds: i64, has_instances: bool, has_spot: bool, spot: usize, status: usize| {
            read(&mut reader, seconds, has_instances, has_spot).await;
            let actions = wire.actions();
            let count = |name: &str| actions.iter().filter(|action| *action == name).count();
            let counts = (count("DescribeSpotInstanceRequests"), count("DescribeInstanceStatus"));
            assert_eq!(counts, (spot, status), "after {seconds} s");
        };
    check(0, false, false, 0, 0).await;
    check(1, true, false, 0, 3).await;
    check(2, true, true, 1, 0).await;
    check(30, true, true, 0, 0).await;
    check(61, true, true, 1, 3).await;
}

#[tokio::test]
async fn a_read_that_is_not_allowed_is_told_with_its_permission_and_costs_nothing_else() {
    let wire = wire();
    wire.answer(SPOT, requests(&[request("i-1", "marked-for-termination")]));
    let mut reader = wire.reader();
    read(&mut reader, 0, true, true).await;
    wire.ec2_error(SPOT, 403, "UnauthorizedOperation").ec2_error(
        STATUS,
        503,
        "RequestLimitExceeded",
    );
    let reading = read(&mut reader, 60, true, true).await;
    let stale = reading.stale.iter().map(|stale| format!("{} {:?}", stale.what, stale.age_s));
    let expected = ["spot instance requests Some(60)", "instance status Some(60)"];
    assert_eq!(stale.collect::<Vec<_>>(), expected);
    let error = &reading.stale[0].error;
    assert!(error.contains(r#""Action":"ec2:DescribeSpotInstanceRequests""#), "{error}");
    assert_eq!(told(&reading), ["i-1 SpotWarning 0 120"], "what was known stays");
}
