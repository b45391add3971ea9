//! The adapter on the wire: what it sends, and what each answer means.

use super::testing::{Answer, Calls, cloud, error, iam_error, says};
use super::*;
use crate::launch_template::testing::{class, cluster, offering, request, resolved};
use crate::ports::{Bought, Refusal};
use model::pool::ImageFamily;
use model::{NodeClassSpec, Subnet};
use std::collections::BTreeSet;

fn subnet(id: &str, zone: &str, free_addresses: i64) -> Subnet {
    Subnet { id: id.to_owned(), zone: zone.to_owned(), free_addresses, ..Subnet::default() }
}

fn nodes_of(spec: NodeClassSpec) -> ResolvedNodeClass {
    let subnets = vec![subnet("s-a", "us-east-1a", 50), subnet("s-b", "us-east-1b", 50)];
    ResolvedNodeClass { subnets, ..resolved(spec) }
}

fn nodes() -> ResolvedNodeClass {
    nodes_of(class(ImageFamily::Al2023, ""))
}

/// One type in two zones.
fn two_zones() -> FleetRequest {
    let mut request = request();
    request.offerings =
        vec![offering("m7i.large", "us-east-1a"), offering("m7i.large", "us-east-1b")];
    request
}

fn template_made() -> Answer {
    says(
        "CreateLaunchTemplate",
        "<launchTemplate><launchTemplateId>lt-1</launchTemplateId></launchTemplate>",
    )
}

fn item(kind: &str, subnet: &str, rest: &str) -> String {
    format!(
        "<item><launchTemplateAndOverrides><overrides><instanceType>{kind}</instanceType><subnetId>{subnet}</subnetId></overrides></launchTemplateAndOverrides><lifecycle>spot</lifecycle>{rest}</item>"
    )
}

fn bought_item(kind: &str, subnet: &str, ids: &[&str]) -> String {
    let ids = ids.iter().map(|id| format!("<item>{id}</item>")).collect::<String>();
    item(
        kind,
        subnet,
        &format!("<instanceIds>{ids}</instanceIds><instanceType>{kind}</instanceType>"),
    )
}

fn error_item(kind: &str, subnet: &str, code: &str) -> String {
    let message = "no room in 123456789012";
    let rest = format!("<errorCode>{code}</errorCode><errorMessage>{message}</errorMessage>");
    item(kind, subnet, &rest)
}

fn fleet(bought: &[String], errors: &[String]) -> Answer {
    let (bought, errors) = (bought.concat(), errors.concat());
    says(
        "CreateFleet",
        &format!(
            "<fleetId>f</fleetId><errorSet>{errors}</errorSet><fleetInstanceSet>{bought}</fleetInstanceSet>"
        ),
    )
}

async fn launched(answers: Vec<Answer>) -> (Result<FleetAnswer, CloudError>, Calls) {
    let (cloud, calls) = cloud(answers).await;
    (cloud.launch(&two_zones(), &nodes(), &cluster()).await, calls)
}

fn actions(calls: &Calls) -> Vec<String> {
    let action = |call: &String| {
        call.split('&').find_map(|pair| pair.strip_prefix("Action=")).unwrap().to_owned()
    };
    calls.lock().unwrap().iter().map(action).collect()
}

fn token(call: &str) -> String {
    call.split('&').find_map(|pair| pair.strip_prefix("ClientToken=")).unwrap().to_owned()
}

fn bought(id: &str, zone: &str) -> Bought {
    Bought {
        id: id.to_owned(),
        instance_type: "m7i.large".to_owned(),
        zone: zone.to_owned(),
        capacity_type: CapacityType::Spot,
        image_id: "ami-amd".to_owned(),
    }
}

fn refusal(instance_type: &str, zone: &str, code: &str, no_capacity: bool) -> Refusal {
    Refusal {
        instance_type: instance_type.to_owned(),
        zone: zone.to_owned(),
        code: code.to_owned(),
        message: "no room in <account>".to_owned(),
        no_capacity,
    }
}

#[tokio::test]
async fn what_was_bought_and_what_was_refused_are_told_apart() {
    let errors = [
        error_item("m7i.large", "s-b", "InsufficientInstanceCapacity"),
        error_item("m7i.large", "s-b", "InsufficientFreeAddressesInSubnet"),
        error_item("m7i.large", "s-a", "InvalidParameterValue"),
        error_item("m7i.large", "s-a", "AuthFailure.ServiceLinkedRoleCreationNotPermitted"),
    ];
    let items = [bought_item("m7i.large", "s-a", &["i-2", "i-1"])];
    let (answer, calls) = launched(vec![template_made(), fleet(&items, &errors)]).await;
    let answer = answer.unwrap();
    assert_eq!(answer.bought, [bought("i-1", "us-east-1a"), bought("i-2", "us-east-1a")]);
    let role_missing = "AuthFailure.ServiceLinkedRoleCreationNotPermitted";
    assert_eq!(
        answer.refused,
        [
            refusal("*", "*", role_missing, true),
            refusal("*", "us-east-1b", "InsufficientFreeAddressesInSubnet", true),
            refusal("m7i.large", "us-east-1a", "InvalidParameterValue", false),
            refusal("m7i.large", "us-east-1b", "InsufficientInstanceCapacity", true),
        ]
    );
    assert_eq!(actions(&calls), ["CreateLaunchTemplate", "CreateFleet"]);
}

#[tokio::test]
async fn the_call_asks_for_the_batch_by_template_and_subnet() {
    let (_, calls) = launched(vec![template_made(), fleet(&[], &[])]).await;
    let calls = calls.lock().unwrap();
    for expected in [
        "&ClientToken=b-1&",
        "SpotOptions.AllocationStrategy=price-capacity-optimized",
        "LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateName=joiner/demo/",
        "LaunchTemplateConfigs.1.LaunchTemplateSpecification.Version=$Latest",
        "LaunchTemplateConfigs.1.Overrides.1.InstanceType=m7i.large",
        "LaunchTemplateConfigs.1.Overrides.1.SubnetId=s-a",
        "LaunchTemplateConfigs.1.Overrides.1.Priority=0",
        "LaunchTemplateConfigs.1.Overrides.2.SubnetId=s-b",
        "TargetCapacitySpecification.TotalTargetCapacity=1",
        "TargetCapacitySpecification.DefaultTargetCapacityType=spot",
        "&Type=instant",
        "TagSpecification.1.ResourceType=instance",
        "TagSpecification.2.ResourceType=volume",
        "TagSpecification.3.ResourceType=fleet",
        "Key=joiner.dev/batch&TagSpecification.3.Tag.2.Value=b-1",
    ] {
        assert!(calls[1].contains(expected), "{expected} in {}", calls[1]);
    }
    for expected in [
        "LaunchTemplateData.ImageId=ami-amd",
        "LaunchTemplateData.IamInstanceProfile.Name=nodes",
        "LaunchTemplateData.MetadataOptions.HttpPutResponseHopLimit=1",
        "LaunchTemplateData.MetadataOptions.InstanceMetadataTags=disabled",
        "LaunchTemplateData.NetworkInterface.1.SecurityGroupId.1=sg-1",
        "LaunchTemplateData.BlockDeviceMapping.1.Ebs.VolumeSize=20",
        "LaunchTemplateData.TagSpecification.1.ResourceType=network-interface",
        "LaunchTemplateData.TagSpecification.2.ResourceType=spot-instances-request",
        "TagSpecification.1.ResourceType=launch-template",
    ] {
        assert!(calls[0].contains(expected), "{expected} in {}", calls[0]);
    }
}

#[tokio::test]
async fn a_template_that_is_there_is_as_good_as_made_and_made_once() {
    let exists = error(400, "InvalidLaunchTemplateName.AlreadyExistsException", "x");
    let (cloud, calls) = cloud(vec![exists, fleet(&[], &[]), fleet(&[], &[])]).await;
    for _ in 0..2 {
        cloud.launch(&two_zones(), &nodes(), &cluster()).await.unwrap();
    }
    assert_eq!(actions(&calls), ["CreateLaunchTemplate", "CreateFleet", "CreateFleet"]);
}

#[tokio::test]
async fn a_template_deleted_behind_our_back_is_made_anew_once_with_the_same_token() {
    let gone = || error(400, "InvalidLaunchTemplateName.NotFoundException", "gone");
    let items = [bought_item("m7i.large", "s-a", &["i-1"])];
    let answers = vec![template_made(), gone(), template_made(), fleet(&items, &[])];
    let (answer, calls) = launched(answers).await;
    assert_eq!(answer.unwrap().bought, [bought("i-1", "us-east-1a")]);
    let fleets = ["CreateLaunchTemplate", "CreateFleet", "CreateLaunchTemplate", "CreateFleet"];
    assert_eq!(actions(&calls), fleets);
    let tokens = [1, 3].map(|place| token(&calls.lock().unwrap()[place]));
    assert_eq!(tokens, ["b-1", "b-1"]);
    let (answer, _) = launched(vec![template_made(), gone(), template_made(), gone()]).await;
    assert!(matches!(answer, Err(CloudError::NotFound { .. })), "{answer:?}");
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_with_the_same_token() {
    let items = [bought_item("m7i.large", "s-a", &["i-1"])];
    let (answer, calls) = launched(vec![template_made(), Answer::Hangs, fleet(&items, &[])]).await;
    assert_eq!(answer.unwrap().bought.len(), 1);
    let calls = calls.lock().unwrap();
    assert_eq!((calls.len(), &calls[1]), (3, &calls[2]));
}

async fn check_error(answers: Vec<Answer>, expected: CloudError, calls_made: usize) {
    let answers = std::iter::once(template_made()).chain(answers).collect();
    let (answer, calls) = launched(answers).await;
    assert_eq!(answer.unwrap_err(), expected);
    assert_eq!(actions(&calls).len(), 1 + calls_made, "{:?}", actions(&calls));
}

#[tokio::test]
async fn errors_of_the_call_are_told_by_what_can_be_done() {
    let call = "CreateFleet";
    let throttled = || error(503, "RequestLimitExceeded", "x");
    check_error(vec![throttled(), throttled()], CloudError::Throttled { call }, 2).await;
    let text = "You are not authorized to perform: iam:PassRole on 123456789012. Encoded authorization failure message: X";
    let statement = statement_for("iam:PassRole", "demo");
    let denied = error(403, "UnauthorizedOperation", text);
    check_error(vec![denied], CloudError::Denied { call, statement }, 1).await;
    let code = "RequestExpired".to_owned();
    let expired = error(400, "RequestExpired", "x");
    check_error(vec![expired], CloudError::Credentials { call, code }, 1).await;
    let message = "the connection failed".to_owned();
    let lost = vec![Answer::Hangs, Answer::Hangs];
    check_error(lost, CloudError::Unknown { call, message }, 2).await;
    let broken = || error(500, "InternalError", "x");
    let message = "InternalError x".to_owned();
    check_error(vec![broken(), broken()], CloudError::Unknown { call, message }, 2).await;
    let garbled = Answer::Says(200, "<CreateFleetResponse><fleetId".to_owned());
    let message = "the answer cannot be read".to_owned();
    check_error(vec![garbled], CloudError::Unknown { call, message }, 1).await;
    let invalid = error(400, "InvalidParameterValue", "bad value of 123456789012");
    let (code, message) = ("InvalidParameterValue".to_owned(), "bad value of <account>".to_owned());
    check_error(vec![invalid], CloudError::Refused { call, code, message }, 1).await;
}

#[tokio::test]
async fn a_call_refused_for_want_of_capacity_refuses_its_offerings() {
    let check = async |code: &str, expected: &[(&str, &str)]| {
        let (answer, _) = launched(vec![template_made(), error(400, code, "x")]).await;
        let refused = answer.unwrap().refused;
        assert!(refused.iter().all(|refusal| refusal.no_capacity && refusal.code == code));
        let places = refused.iter().map(|one| (one.instance_type.as_str(), one.zone.as_str()));
        assert_eq!(places.collect::<Vec<_>>(), expected, "{code}");
    };
    check("AuthFailure.ServiceLinkedRoleCreationNotPermitted", &[("*", "*")]).await;
    check("MaxSpotInstanceCountExceeded", &[("*", "*")]).await;
    let both = [("m7i.large", "us-east-1a"), ("m7i.large", "us-east-1b")];
    check("InsufficientInstanceCapacity", &both).await;
}

#[tokio::test]
async fn a_class_without_room_or_subnets_costs_no_call() {
    let (cloud, calls) = cloud(vec![template_made(), template_made()]).await;
    let exhausted = ResolvedNodeClass { subnets: vec![subnet("s-a", "us-east-1a", 0)], ..nodes() };
    let answer = cloud.launch(&two_zones(), &exhausted, &cluster()).await.unwrap();
    let codes = answer.refused.iter().map(|one| (one.zone.as_str(), one.code.as_str()));
    let expected =
        [("us-east-1a", "InsufficientFreeAddressesInSubnet"), ("us-east-1b", "NoSubnet")];
    assert_eq!(codes.collect::<Vec<_>>(), expected);
    assert!(!actions(&calls).contains(&"CreateFleet".to_owned()));
}

#[tokio::test]
async fn a_broken_class_is_refused_by_its_field() {
    let (cloud, calls) = cloud(Vec::new()).await;
    let broken = nodes_of(class(ImageFamily::Bottlerocket, "="));
    let error = cloud.launch(&two_zones(), &broken, &cluster()).await.unwrap_err();
    assert!(error.to_string().contains("node class default: userData:"), "{error}");
    assert_eq!(actions(&calls).len(), 0);
}

#[tokio::test]
async fn a_token_used_with_other_parameters_gives_what_it_bought() {
    let mismatch = || error(400, "IdempotentParameterMismatch", "x");
    let found = "<reservationSet><item><instancesSet><item><instanceId>i-1</instanceId><imageId>ami-amd</imageId><instanceType>m7i.large</instanceType><instanceLifecycle>spot</instanceLifecycle><placement><availabilityZone>us-east-1b</availabilityZone></placement></item></instancesSet></item></reservationSet>";
    let answers = vec![template_made(), mismatch(), says("DescribeInstances", found)];
    let (answer, calls) = launched(answers).await;
    assert_eq!(answer.unwrap().bought, [bought("i-1", "us-east-1b")]);
    let filter = "Filter.1.Name=tag:joiner.dev/batch&Filter.1.Value.1=b-1";
    assert!(calls.lock().unwrap()[2].contains(filter));
    let nothing = says("DescribeInstances", "<reservationSet></reservationSet>");
    let (answer, _) = launched(vec![template_made(), mismatch(), nothing]).await;
    assert!(matches!(answer.unwrap_err(), CloudError::Unknown { .. }));
}

#[tokio::test]
async fn instances_that_are_gone_count_as_terminated() {
    let ids = ["i-1", "i-2", "i-3"].map(str::to_owned);
    let missing = error(
        400,
        "InvalidInstanceID.NotFound",
        "The instance IDs &apos;i-1, i-3&apos; do not exist",
    );
    let (cloud, calls) = cloud(vec![missing, says("TerminateInstances", "")]).await;
    let gone = cloud.terminate(&ids).await.unwrap();
    assert_eq!(gone.iter().collect::<BTreeSet<_>>(), ids.iter().collect::<BTreeSet<_>>());
    let calls = calls.lock().unwrap();
    assert!(calls[1].contains("InstanceId.1=i-2") && !calls[1].contains("i-1"), "{}", calls[1]);
}

#[tokio::test]
async fn terminations_go_in_batches_and_what_is_certain_is_kept() {
    let ids = (0..1_001).map(|number| format!("i-{number}")).collect::<Vec<_>>();
    let ok = || says("TerminateInstances", "");
    let (cloud, calls) = cloud(vec![ok(), error(403, "UnauthorizedOperation", "x")]).await;
    assert_eq!(cloud.terminate(&ids).await.unwrap().len(), 500);
    assert_eq!(actions(&calls).len(), 2);
    let denied = cloud.terminate(&[]).await.unwrap();
    assert!(denied.is_empty());
}

#[tokio::test]
async fn the_buckets_hold_calls_back() {
    let (cloud, calls) = cloud(Vec::new()).await;
    while cloud.take("CreateTags", 1, |buckets| &mut buckets.create_tags).is_ok() {}
    let error = cloud.tag("i-1", &Labels::new()).await.unwrap_err();
    assert_eq!(error, CloudError::Throttled { call: "CreateTags" });
    assert_eq!(actions(&calls).len(), 0);
}

#[tokio::test]
async fn only_old_templates_of_this_cluster_are_deleted() {
    let item = |name: &str, created: &str| {
        format!(
            "<item><launchTemplateName>{name}</launchTemplateName><createTime>{created}</createTime></item>"
        )
    };
    let old = "2020-01-01T00:00:00.000Z";
    let all = [
        item("joiner/demo/1", old),
        item("joiner/demo/2", "2999-01-01T00:00:00.000Z"),
        item("joiner/demo2/3", old),
        item("karpenter.k8s.aws/4", old),
        item("joiner/demo/5", old),
    ];
    let list = format!("<launchTemplates>{}</launchTemplates>", all.concat());
    let gone = error(400, "InvalidLaunchTemplateName.NotFoundException", "x");
    let answers =
        vec![says("DescribeLaunchTemplates", &list), says("DeleteLaunchTemplate", ""), gone];
    let (cloud, calls) = cloud(answers).await;
    assert_eq!(cloud.clean_launch_templates(3_600).await.unwrap(), 1);
    let calls = calls.lock().unwrap();
    assert_eq!(calls.len(), 3);
    assert!(calls[0].contains("Filter.1.Name=tag:eks:eks-cluster-name&Filter.1.Value.1=demo"));
    assert!(calls[1].contains("LaunchTemplateName=joiner/demo/1"));
    assert!(calls[2].contains("LaunchTemplateName=joiner/demo/5"));
}

fn with_role() -> ResolvedNodeClass {
    let mut spec = class(ImageFamily::Al2023, "");
    spec.instance_profile = None;
    spec.role = Some("node-role".to_owned());
    nodes_of(spec)
}

fn profile(call: &str, roles: &str) -> Answer {
    let profile = format!(
        "<InstanceProfile><Path>/</Path><InstanceProfileName>p</InstanceProfileName><InstanceProfileId>x</InstanceProfileId><Arn>a</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate><Roles>{roles}</Roles></InstanceProfile>"
    );
    says(call, &format!("<{call}Result>{profile}</{call}Result>"))
}

const ROLE: &str = "<member><Path>/</Path><RoleName>node-role</RoleName><RoleId>r</RoleId><Arn>a</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate></member>";

/// As if the seconds had passed after which EC2 knows new profiles.
fn learn_profiles(cloud: &Ec2Cloud) {
    cloud.memory().profiles.values_mut().for_each(|usable_at| *usable_at = 0);
}

#[tokio::test]
async fn a_profile_is_made_from_the_role_and_the_launch_left_to_the_next_turn() {
    let answers = vec![
        iam_error(404, "NoSuchEntity", "x"),
        profile("CreateInstanceProfile", ""),
        says("AddRoleToInstanceProfile", ""),
        template_made(),
        fleet(&[], &[]),
    ];
    let (cloud, calls) = cloud(answers).await;
    let error = cloud.launch(&two_zones(), &with_role(), &cluster()).await.unwrap_err();
    assert!(matches!(error, CloudError::Unknown { .. }), "{error}");
    learn_profiles(&cloud);
    cloud.launch(&two_zones(), &with_role(), &cluster()).await.unwrap();
    let expected = [
        "GetInstanceProfile",
        "CreateInstanceProfile",
        "AddRoleToInstanceProfile",
        "CreateLaunchTemplate",
        "CreateFleet",
    ];
    assert_eq!(actions(&calls), expected);
    let calls = calls.lock().unwrap();
    assert!(calls[1].contains("Path=/karpenter/us-east-1/demo/u-1/"), "{}", calls[1]);
    assert!(calls[1].contains("Key=kubernetes.io/cluster/demo"), "{}", calls[1]);
    assert!(calls[3].contains("IamInstanceProfile.Name=demo_"), "{}", calls[3]);
}

#[tokio::test]
async fn a_profile_that_is_there_is_used_and_half_a_one_completed() {
    let (whole, calls) = cloud(vec![profile("GetInstanceProfile", ROLE)]).await;
    let name = whole.instance_profile(&with_role().spec, &cluster()).await.unwrap().unwrap();
    assert_eq!((actions(&calls).len(), &name[..5]), (1, "demo_"));
    let raced = iam_error(409, "LimitExceeded", "x");
    let (half, calls) = cloud(vec![profile("GetInstanceProfile", ""), raced]).await;
    half.instance_profile(&with_role().spec, &cluster()).await.unwrap_err();
    assert_eq!(actions(&calls), ["GetInstanceProfile", "AddRoleToInstanceProfile"]);
    half.instance_profile(&with_role().spec, &cluster()).await.unwrap_err();
    assert_eq!(actions(&calls).len(), 2);
    learn_profiles(&half);
    assert_eq!(half.instance_profile(&with_role().spec, &cluster()).await.unwrap(), Some(name));
}

#[tokio::test]
async fn a_class_without_a_profile_or_role_is_refused() {
    let (cloud, _) = cloud(Vec::new()).await;
    let mut spec = class(ImageFamily::Al2023, "");
    spec.instance_profile = None;
    let error = cloud.launch(&two_zones(), &nodes_of(spec), &cluster()).await.unwrap_err();
    assert!(error.to_string().contains("node class default: instanceProfile:"), "{error}");
}

#[tokio::test]
async fn a_profile_that_ec2_does_not_know_yet_is_left_to_the_next_turn() {
    let text = "Value (nodes) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name";
    let (answer, _) =
        launched(vec![template_made(), error(400, "InvalidParameterValue", text)]).await;
    assert!(matches!(answer, Err(CloudError::Unknown { .. })), "{answer:?}");
}
