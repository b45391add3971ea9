//! Subnets, security groups and reservations of classes.

use super::wire::{NOW, class, ec2, group, groups, subnet, subnets, usual};
use crate::cloud::{Facts, apply};
use model::{NodeClass, ResolvedNodeClass};
use serde_json::{Value, json};

const DISCOVERY: &str = "karpenter.sh/discovery";

/// The ids of what was found, and the problems.
async fn check(
    fields: Value,
    subnet_ids: &[&str],
    group_ids: &[&str],
    problems: &[&str],
) -> ResolvedNodeClass {
    let wire = usual();
    let demo = |name| [(DISCOVERY, name)];
    wire.answer(
        "Action=DescribeSubnets",
        subnets(&[
            subnet("subnet-2", 'b', 0, &demo("demo")),
            subnet("subnet-1", 'a', 100, &demo("demo")),
            subnet("subnet-3", 'c', 0, &demo("full")),
            subnet("subnet-4", 'c', 5, &[(DISCOVERY, "a,b"), ("tier", "private")]),
        ]),
    );
    wire.answer(
        "Action=DescribeSecurityGroups",
        groups(&[group("sg-1", "nodes", &demo("demo")), group("sg-2", "others", &demo("others"))]),
    );
    let reading = wire.read(&[class(fields.clone())], &mut Facts::default(), NOW).await.unwrap();
    let found = reading.classes[0].clone();
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        found.subnets.iter().map(|s| s.id.clone()).collect::<Vec<_>>(),
        ids(subnet_ids),
        "{fields}"
    );
    assert_eq!(
        found.security_groups.iter().map(|g| g.id.clone()).collect::<Vec<_>>(),
        ids(group_ids),
        "{fields}"
    );
    let told = found.problems.iter().map(|(condition, message)| format!("{condition}: {message}"));
    assert_eq!(told.collect::<Vec<_>>(), ids(problems), "{fields}");
    for request in wire
        .requests()
        .iter()
        .filter(|request| request.contains("Subnets") || request.contains("Groups"))
    {
        assert!(request.contains("Name=vpc-id&") && request.contains("=vpc-1"), "{request}");
    }
    found
}

fn by_tag(value: &str) -> Value {
    json!([{ "tags": { DISCOVERY: value } }])
}

#[tokio::test]
async fn terms_select_what_has_all_their_tags() {
    let subnets = |terms: Value| json!({ "subnetSelectorTerms": terms });
    check(json!({}), &["subnet-1", "subnet-2"], &["sg-1"], &[]).await;
    check(subnets(by_tag("*")), &["subnet-1", "subnet-2", "subnet-3", "subnet-4"], &["sg-1"], &[])
        .await;
    check(subnets(by_tag("d?mo")), &["subnet-1", "subnet-2"], &["sg-1"], &[]).await;
    check(subnets(by_tag("a,b")), &["subnet-4"], &["sg-1"], &[]).await;
    check(
        subnets(json!([{ "tags": { DISCOVERY: "*", "tier": "private" } }])),
        &["subnet-4"],
        &["sg-1"],
        &[],
    )
    .await;
    check(
        subnets(json!([{ "id": "subnet-4" }, { "id": "subnet-1" }])),
        &["subnet-1", "subnet-4"],
        &["sg-1"],
        &[],
    )
    .await;
    let groups = |terms: Value| json!({ "securityGroupSelectorTerms": terms });
    check(groups(json!([{ "name": "others" }])), &["subnet-1", "subnet-2"], &["sg-2"], &[]).await;
    check(
        groups(json!([{ "name": "o*" }, { "id": "sg-1" }])),
        &["subnet-1", "subnet-2"],
        &["sg-1", "sg-2"],
        &[],
    )
    .await;
}

#[tokio::test]
async fn what_is_not_found_is_told_with_what_to_do() {
    check(
        json!({ "subnetSelectorTerms": by_tag("prod") }),
        &[],
        &["sg-1"],
        &["SubnetsReady: no subnet in vpc-1 has the tag karpenter.sh/discovery=prod; tag the subnets or correct subnetSelectorTerms"],
    )
    .await;
    check(
        json!({ "securityGroupSelectorTerms": [{ "id": "sg-9" }, { "name": "x" }] }),
        &["subnet-1", "subnet-2"],
        &[],
        &["SecurityGroupsReady: no security group in vpc-1 has the id sg-9 or the name x; tag the security groups or correct securityGroupSelectorTerms"],
    )
    .await;
    check(
        json!({ "subnetSelectorTerms": [] }),
        &[],
        &["sg-1"],
        &["SubnetsReady: subnetSelectorTerms selects nothing; say which subnets nodes get"],
    )
    .await;
}

#[tokio::test]
async fn a_zone_without_free_addresses_is_not_offered() {
    let applied = |resolved: &ResolvedNodeClass| {
        let mut class = NodeClass { zones: vec!["old".to_owned()], ..NodeClass::default() };
        apply(resolved, &mut class);
        (class.zones, class.zone_ids.into_iter().collect::<Vec<_>>(), class.problem)
    };
    let found = check(json!({}), &["subnet-1", "subnet-2"], &["sg-1"], &[]).await;
    let (zones, ids, problem) = applied(&found);
    assert_eq!((zones, problem), (vec!["us-east-1a".to_owned()], None));
    assert_eq!(ids, [("us-east-1a".to_owned(), "use1-aza".to_owned())]);
    let message = "no address is free in subnet-3; add subnets, or free addresses in these";
    let problem = format!("SubnetsReady: {message}");
    let full =
        check(json!({ "subnetSelectorTerms": by_tag("full") }), &[], &["sg-1"], &[&problem]).await;
    assert_eq!(applied(&full), (Vec::new(), Vec::new(), Some(message.to_owned())));
}

#[tokio::test]
async fn drift_is_told_by_what_is_selected_now_and_only_where_that_is_known() {
    let applied = |resolved: &ResolvedNodeClass| {
        let mut class = NodeClass::default();
        apply(resolved, &mut class);
        assert_eq!(class.placement_group, None);
        (class.subnet_ids, class.security_group_ids)
    };
    let ids = |ids: &[&str]| Some(ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>());
    let found = check(json!({}), &["subnet-1", "subnet-2"], &["sg-1"], &[]).await;
    assert_eq!(applied(&found), (ids(&["subnet-1", "subnet-2"]), ids(&["sg-1"])));
    let problem =
        "SubnetsReady: no address is free in subnet-3; add subnets, or free addresses in these";
    let full = json!({ "subnetSelectorTerms": by_tag("full") });
    let full = check(full, &[], &["sg-1"], &[problem]).await;
    assert_eq!(applied(&full), (None, ids(&["sg-1"])));
    let near = json!({ "placementGroupSelector": { "name": "near" } });
    let near = check(near, &["subnet-1", "subnet-2"], &["sg-1"], &[]).await;
    let mut class = NodeClass::default();
    apply(&near, &mut class);
    assert_eq!(class.placement_group.as_deref(), Some("near"));
}

#[tokio::test]
async fn a_problem_of_the_object_itself_stays_the_first() {
    let found = check(json!({}), &["subnet-1", "subnet-2"], &["sg-1"], &[]).await;
    let mut class = NodeClass { problem: Some("spec.role: x".to_owned()), ..NodeClass::default() };
    apply(&found, &mut class);
    assert_eq!(class.problem.as_deref(), Some("spec.role: x"));
}

#[tokio::test]
async fn a_legacy_template_selects_by_comma_separated_values() {
    let wire = usual();
    let demo = |name| [(DISCOVERY, name)];
    wire.answer(
        "Action=DescribeSubnets",
        subnets(&[
            subnet("subnet-1", 'a', 1, &demo("a")),
            subnet("subnet-2", 'b', 1, &demo("b")),
            subnet("subnet-3", 'b', 1, &demo("c")),
        ]),
    );
    let template = |groups: Value| {
        json!({
            "apiVersion": "karpenter.k8s.aws/v1alpha1", "kind": "AWSNodeTemplate", "metadata": { "name": "x" },
            "spec": { "subnetSelector": { DISCOVERY: "a, b" }, "securityGroupSelector": groups }
        })
    };
    let classes = [template(json!({ DISCOVERY: "demo" })), template(json!({ "aws-ids": "sg-7" }))];
    let reading = wire.read(&classes, &mut Facts::default(), NOW).await.unwrap();
    let ids =
        reading.classes[0].subnets.iter().map(|subnet| subnet.id.as_str()).collect::<Vec<_>>();
    assert_eq!(ids, ["subnet-1", "subnet-2"]);
    assert_eq!(
        reading.classes[1].problems[0].1,
        "no security group in vpc-1 has the id sg-7; tag the security groups or correct securityGroupSelector"
    );
    let asked = wire.requests();
    let asked =
        asked.iter().filter(|request| request.contains("DescribeSubnets")).collect::<Vec<_>>();
    assert_eq!(asked.len(), 1, "classes share questions");
    assert!(
        asked[0].contains("Name=tag:karpenter.sh/discovery&Filter.1.Value.1=a&Filter.1.Value.2=b"),
        "{asked:?}"
    );
}

#[tokio::test]
async fn reservations_are_read_for_classes_that_select_any() {
    let wire = usual();
    let found = "<item><capacityReservationId>cr-1</capacityReservationId><ownerId>123456789012</ownerId><instanceType>p5.48xlarge</instanceType>\
        <availabilityZone>us-east-1a</availabilityZone><availableInstanceCount>2</availableInstanceCount><state>active</state>\
        <instanceMatchCriteria>targeted</instanceMatchCriteria><reservationType>capacity-block</reservationType><endDate>2026-11-24T00:00:00.000Z</endDate></item>";
    wire.answer(
        "Action=DescribeCapacityReservations",
        ec2(
            "DescribeCapacityReservations",
            &format!("<capacityReservationSet>{found}</capacityReservationSet>"),
        ),
    )
    .ec2_error(
        "Action=DescribeCapacityReservations CapacityReservationId.1=cr-9",
        400,
        "InvalidCapacityReservationId.NotFound",
    );
    let terms =
        json!([{ "tags": { "team": "*" }, "instanceMatchCriteria": "targeted" }, { "id": "cr-9" }]);
    let class = class(json!({ "capacityReservationSelectorTerms": terms }));
    let reading = wire.read(&[class], &mut Facts::default(), NOW).await.unwrap();
    let [found] = &reading.classes[0].capacity_reservations[..] else { panic!("{reading:?}") };
    assert_eq!(
        (found.id.as_str(), found.available, found.kind.as_str()),
        ("cr-1", 2, "capacity-block")
    );
    assert_eq!(found.ends_at.map(|at| at.0), Some(1_795_478_400));
    assert_eq!(reading.classes[0].problems, []);
    let asked = wire.requests().concat();
    assert!(asked.contains("Name=instance-match-criteria&Filter.1.Value.1=targeted&Filter.2.Name=state&Filter.2.Value.1=active&Filter.3.Name=tag-key&Filter.3.Value.1=team"), "{asked}");
}
