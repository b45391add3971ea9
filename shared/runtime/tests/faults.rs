//! Bad input, and a world that fails: each has its stated behaviour, and afterwards all pods run, each node bought once.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "faults/letters.rs"]
mod letters;
mod real;

use real::{Answered, CLASSES, CONFIG_MAPS, Call, Ended, Function, POOLS, When, Wire, World, text};
use serde_json::{Value, json};
use std::sync::Arc;

const FLEET: fn(&Call) -> bool = |call| call.name == "CreateFleet";

/// A world with so many pods that wait.
async fn waiting(count: usize) -> Option<(World, Vec<Value>)> {
    let mut world = World::open().await?;
    world.reset().await;
    let uids = world.pods(count).await;
    Some((world, uids))
}

/// The condition `Launched` of the only claim.
async fn launched(world: &World) -> String {
    let claims = world.seen().await.claims;
    let conditions = claims[0]["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions.iter().find(|each| each["type"] == "Launched");
    let found = found.unwrap_or_else(|| panic!("no condition Launched: {claims:#?}"));
    format!("{} {}", text(found, "/status"), text(found, "/message"))
}

/// The condition of an object by its path.
async fn condition(world: &World, path: &str, kind: &str) -> String {
    let object = world.api("GET", path, &Value::Null).await.unwrap();
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions.iter().find(|each| each["type"] == kind).cloned().unwrap_or_default();
    format!("{} {}", text(&found, "/status"), text(&found, "/message"))
}

/// The offerings that rest.
async fn offerings(world: &World) -> String {
    let path = format!("{CONFIG_MAPS}/joiner-offerings");
    let object = world.api("GET", &path, &Value::Null).await.unwrap_or_default();
    let data = serde_json::from_value(object["data"].clone()).unwrap_or_default();
    let (found, odd) = observe::cloud::UnavailableOfferings::from_config_map_data(&data);
    assert_eq!(odd, Vec::<String>::new());
    format!("{found:?}")
}

#[tokio::test]
async fn expired_credentials_stop_the_turn_by_name() {
    let Some((world, uids)) = waiting(1).await else { return };
    let mut function = world.function().await;
    let expired = |action: &str| json!({ "action": action, "code": "RequestExpired", "times": 0 });
    world.fault(expired("DescribeInstances")).await;
    let error = function.turn().await.unwrap_err().to_string();
    assert!(error.contains("DescribeInstances") && error.contains("credentials"), "{error}");
    world.mend().await;
    world.fault(expired("CreateFleet")).await;
    let report = function.report().await;
    assert_eq!((report.launches, report.launched), (1, 0));
    let told = launched(&world).await;
    assert!(told.starts_with("False CreateFleet: the AWS credentials are refused"), "{told}");
    world.mend().await;
    world.pods_run(&mut function, &uids, "renewed credentials").await;
}

#[tokio::test]
async fn a_missing_permission_is_named_with_its_statement() {
    let Some((world, _)) = waiting(1).await else { return };
    let keys = |key: &str, actions: &[&str]| {
        let statement = json!({ "Effect": "Allow", "Action": actions, "Resource": "*" });
        json!({ "policies": [{ "Version": "2012-10-17", "Statement": [statement] }], "accessKeyId": key, "secretAccessKey": "testing" })
    };
    let reads = [
        "eks:DescribeCluster",
        "ssm:GetParameter",
        "ec2:DescribeSubnets",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeImages",
    ];
    let no_launch =
        [&reads[..], &["ec2:DescribeInstances", "ec2:CreateLaunchTemplate", "ec2:CreateTags"]]
            .concat();
    let wire = Arc::<Wire>::default();
    let mut blind = world.begin_as(&wire, &world.aws_as(&wire, "AKIABLIND")).await.unwrap();
    let mut poor = world.begin_as(&wire, &world.aws_as(&wire, "AKIAPOOR")).await.unwrap();
    world
        .control(
            "POST",
            "enforce",
            &json!({ "principals": {
            "blind": keys("AKIABLIND", &reads), "poor": keys("AKIAPOOR", &no_launch),
        } }),
        )
        .await;
    let error = blind.turn().await.unwrap_err().to_string();
    assert!(error.contains(r#""Action":"ec2:DescribeInstances""#), "{error}");
    assert_eq!(poor.report().await.launched, 0);
    let told = launched(&world).await;
    assert!(told.contains("add to the function's role:"), "{told}");
    assert!(told.contains(r#""Action":"ec2:CreateFleet""#), "{told}");
    assert!(!told.contains("111122223333"), "account ids do not belong into messages: {told}");
}

/// The API server answers like this; what is lost by it is found again.
#[tokio::test]
async fn an_api_server_that_fails_costs_only_time() {
    let Some((mut world, _)) = waiting(0).await else { return };
    let writes =
        ["POST /apis/karpenter.sh/v1/nodeclaims", "PATCH /apis/karpenter.sh/v1/nodeclaims"];
    let reads = ["nodeclaims?limit", "nodes?limit", "pods?limit", "/leases", "nodepools?limit"];
    let all = writes.iter().flat_map(|of| [409, 429, 500, 503].map(|status| (*of, status)));
    let all = all.chain(reads.iter().flat_map(|of| [410, 429, 500].map(|status| (*of, status))));
    for (of, status) in all {
        world.reset().await;
        let uids = world.pods(1).await;
        let mut function = world.function().await;
        function.wire.refuse(of, 1, status);
        // Whether this turn fails or goes on is its own affair.
        let _ = function.turn().await;
        world.let_the_lease_end().await;
        world.pods_run(&mut function, &uids, &format!("{of} answered {status}")).await;
    }
}

#[tokio::test]
async fn a_read_that_fails_is_named() {
    let Some((world, uids)) = waiting(1).await else { return };
    let mut function = world.function().await;
    for (of, status, words) in [
        ("nodeclaims?limit", 429, "nodeclaims cannot be read: the API server answers 429"),
        ("nodes?limit", 500, "nodes cannot be read: the API server answers 500"),
        ("pods?limit", 403, "list pods is forbidden: add to the ClusterRole"),
        ("nodeclaims?limit", 401, "does not accept the credentials"),
    ] {
        function.wire.refuse(of, 9, status);
        let error = function.turn().await.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(words), "{of} {status}: {error:?}");
        function.wire.straighten();
        world.let_the_lease_end().await;
    }
    // Pools do not stop the turn: nothing is bought for those that are not known.
    let mut function = world.function().await;
    function.wire.refuse("nodepools?limit", 9, 500);
    assert_eq!(function.report().await.launches, 0);
    function.wire.straighten();
    world.pods_run(&mut function, &uids, "reads that fail").await;
}

#[tokio::test]
async fn a_watch_that_is_too_old_is_a_list() {
    let Some((world, uids)) = waiting(1).await else { return };
    let mut function = world.function().await;
    world.pods_run(&mut function, &uids, "before").await;
    let lists = function.wire.count("nodeclaims?limit=500");
    function.wire.refuse("watch=1", 100, 410);
    function.report().await;
    assert_eq!(function.wire.count("nodeclaims?limit=500"), lists + 1);
}

#[tokio::test]
async fn an_answer_that_never_comes_is_looked_for_by_the_next_turn() {
    let Some((world, uids)) = waiting(1).await else { return };
    let mut function = world.function().await;
    function.wire.silence("POST /apis/karpenter.sh/v1/nodeclaims", 1, true);
    let report = function.report().await;
    assert_eq!(
        (report.launches, report.launched),
        (1, 0),
        "nothing is bought for a claim that is not certain"
    );
    assert_eq!(world.seen().await.claims.len(), 1, "it was written all the same");
    function.wire.silence("/leases", 1, false);
    let error = function.turn().await.unwrap_err().to_string();
    assert!(error.contains("no answer within 5 s"), "{error}");
    world.pods_run(&mut function, &uids, "silence").await;
}

#[tokio::test]
async fn objects_that_are_half_written_do_no_harm() {
    let Some((world, uids)) = waiting(1).await else { return };
    let named = json!({ "metadata": { "name": "half", "namespace": "default" } });
    let odd = json!({ "metadata": { "name": "odd" }, "spec": { "containers": 7, "template": "x", "taints": {} }, "status": [] });
    let mut function = world.function().await;
    for of in
        ["nodeclaims?limit", "nodepools?limit", "ec2nodeclasses?limit", "nodes?limit", "pods?limit"]
    {
        let extra = [named.clone(), odd.clone(), json!(null)];
        function.wire.bend(of, 50, true, move |mut answer: Answered| {
            if let Some(items) = answer.body["items"].as_array_mut() {
                items.extend(extra.iter().take(2).cloned());
            }
            answer
        });
    }
    let claim = json!({
        "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim",
        "metadata": { "name": "half", "annotations": { "joiner.dev/launch": "{\"batch\":" } },
        "spec": { "requirements": [], "nodeClassRef": { "group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default" } },
    });
    world.apply("/apis/karpenter.sh/v1/nodeclaims", &claim).await;
    let report = function.report().await;
    assert_eq!(report.launched, 1, "{report:?}");
    function.wire.straighten();
    let _ = world.api("DELETE", "/apis/karpenter.sh/v1/nodeclaims/half", &Value::Null).await;
    world.pods_run(&mut function, &uids, "half-written objects").await;
}

/// The taint-eviction controller must have heard that nothing evicts here any more before the first pod is bound.
#[tokio::test]
async fn a_node_that_joins_evicts_nobody_for_a_turn_before_it_is_opened() {
    let Some((world, uids)) = waiting(1).await else { return };
    let mut function = world.function().await;
    let joined = |seen: &real::Seen| {
        seen.nodes
            .iter()
            .any(|node| node["metadata"]["labels"]["karpenter.sh/registered"] == "true")
    };
    let seen = world.turns(&mut function, "the node has joined", joined).await;
    let of_joiner = |node: &Value| {
        let taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
        taints.into_iter().filter(|taint| text(taint, "/key").contains("karpenter")).collect()
    };
    let kept: Vec<Value> = of_joiner(&seen.nodes[0]);
    assert_eq!(
        kept,
        [json!({ "key": "karpenter.sh/unregistered", "effect": "NoSchedule" })],
        "{seen:#?}"
    );
    function.report().await;
    let open: Vec<Value> = of_joiner(&world.seen().await.nodes[0]);
    assert_eq!(open, Vec::<Value>::new());
    world.pods_run(&mut function, &uids, "a node in two turns").await;
}

#[tokio::test]
async fn a_launch_template_that_was_deleted_is_made_anew() {
    let Some((world, mut uids)) = waiting(1).await else { return };
    let mut function = world.function().await;
    world.pods_run(&mut function, &uids, "before").await;
    let ec2 = world.ec2();
    for template in ec2.describe_launch_templates().send().await.unwrap().launch_templates() {
        let id = template.launch_template_id().unwrap();
        ec2.delete_launch_template().launch_template_id(id).send().await.unwrap();
    }
    uids.extend(world.more_pods(1, 2).await);
    let report = function.report().await;
    assert_eq!((report.launched, report.failures), (1, 0), "the same turn makes it anew");
    world.pods_run(&mut function, &uids, "the template was deleted").await;
}

#[tokio::test]
async fn an_image_that_is_gone_is_told_and_given_up_after_five_minutes() {
    let Some((world, mut uids)) = waiting(1).await else { return };
    let mut function = world.function().await;
    world.pods_run(&mut function, &uids, "before").await;
    let image = text(&world.seen().await.instances[0], "/image").to_owned();
    let ec2 = world.ec2();
    ec2.deregister_image().image_id(&image).send().await.unwrap();
    uids.extend(world.more_pods(1, 2).await);
    let report = function.report().await;
    assert_eq!((report.launches, report.launched), (1, 0));
    let claims = world.seen().await.claims;
    let told = format!("{claims:?}");
    assert!(told.contains("InvalidAMIID.NotFound"), "{told}");
    let waiting =
        |seen: &real::Seen| seen.claims.iter().filter(|c| !real::is_true(c, "Launched")).count();
    function.wire.tell_time(301);
    let before =
        claims.iter().map(|claim| text(claim, "/metadata/name").to_owned()).collect::<Vec<_>>();
    let fresh = |seen: &real::Seen| {
        let known = |claim: &Value| before.contains(&text(claim, "/metadata/name").to_owned());
        waiting(seen) == seen.claims.iter().filter(|claim| !known(claim)).count()
    };
    let seen = world.turns(&mut function, "the claim is given up", fresh).await;
    assert_eq!(seen.instances.len(), 1, "{:#?}", seen.instances);
}

#[tokio::test]
async fn without_subnets_nothing_is_bought_and_the_class_says_so() {
    let Some((world, uids)) = waiting(1).await else { return };
    let path = format!("{CLASSES}/default");
    let terms = |value: &str| json!({ "spec": { "subnetSelectorTerms": [{ "tags": { "karpenter.sh/discovery": value } }] } });
    world.api("PATCH", &path, &terms("nowhere")).await.unwrap();
    let mut function = world.function().await;
    let report = function.report().await;
    assert_eq!((report.launches, report.unschedulable_pods), (0, 1));
    let told = condition(&world, &path, "SubnetsReady").await;
    assert!(told.starts_with("False ") && told.len() > 10, "{told}");
    let told = condition(&world, &format!("{POOLS}/default"), "Ready").await;
    assert!(told.starts_with("False "), "{told}");
    world.api("PATCH", &path, &terms("demo")).await.unwrap();
    world.pods_run(&mut function, &uids, "subnets again").await;
}

#[tokio::test]
async fn an_exhausted_subnet_is_left_alone() {
    let Some((world, uids)) = waiting(1).await else { return };
    let found = world.ec2().describe_subnets().send().await.unwrap();
    let subnet = found
        .subnets()
        .iter()
        .find(|s| s.availability_zone() == Some("us-east-1a") && !s.tags().is_empty())
        .unwrap();
    let id = subnet.subnet_id().unwrap();
    let was = subnet.available_ip_address_count().unwrap();
    world.control("POST", "subnet", &json!({ "id": id, "available": 0 })).await;
    let mut function = world.function().await;
    let report = function.report().await;
    assert_eq!(
        (report.launches, report.unschedulable_pods),
        (0, 1),
        "a zone without addresses is not offered"
    );
    world.control("POST", "subnet", &json!({ "id": id, "available": was })).await;
    let mut later = world.function().await;
    later.wire.tell_time(181);
    world.pods_run(&mut later, &uids, "addresses again").await;
}

fn no_capacity(instance_type: &str) -> Value {
    json!({ "action": "CreateFleet", "code": "InsufficientInstanceCapacity", "type": instance_type })
}

async fn two_types(world: &World) {
    let _ = world.api("DELETE", &format!("{POOLS}/default"), &Value::Null).await;
    let types = ["m5.xlarge", "m5a.xlarge"];
    world.apply(POOLS, &real::pool(&types, &["us-east-1a"])).await;
}

#[tokio::test]
async fn without_capacity_for_the_first_offering_the_next_is_bought() {
    let Some((world, uids)) = waiting(1).await else { return };
    two_types(&world).await;
    world.fault(no_capacity("m5a.xlarge")).await;
    let mut function = world.function().await;
    assert_eq!(function.report().await.launched, 1);
    let told = offerings(&world).await;
    assert!(told.contains("\"m5a.xlarge\"") && !told.contains("\"m5.xlarge\""), "{told}");
    let seen = world.pods_run(&mut function, &uids, "the second offering").await;
    assert_eq!(seen.instances[0]["type"], "m5.xlarge");
}

#[tokio::test]
async fn without_any_capacity_claims_go_and_offerings_rest_for_three_minutes() {
    let Some((world, uids)) = waiting(1).await else { return };
    two_types(&world).await;
    world.fault(no_capacity("*")).await;
    let mut function = world.function().await;
    let report = function.report().await;
    assert_eq!((report.launches, report.launched), (1, 0));
    assert!(world.seen().await.claims.is_empty());
    let told = offerings(&world).await;
    assert!(told.contains("m5.xlarge") && told.contains("m5a.xlarge"), "{told}");
    let asked = world.asked("CreateFleet").await;
    assert_eq!(function.report().await.launches, 0, "they rest");
    assert_eq!(world.asked("CreateFleet").await, asked);
    world.mend().await;
    function.wire.tell_time(181);
    world.pods_run(&mut function, &uids, "capacity again").await;
}

#[tokio::test]
async fn a_throttled_call_is_made_again_with_the_same_token() {
    let Some((world, uids)) = waiting(2).await else { return };
    // The client itself tries twice.
    world
        .fault(json!({ "action": "CreateFleet", "code": "RequestLimitExceeded", "times": 2 }))
        .await;
    let mut function = world.function().await;
    let report = function.report().await;
    assert_eq!((report.launches, report.launched), (2, 0));
    let claims = world.seen().await.claims;
    let batch = claims[0]["metadata"]["annotations"]["joiner.dev/batch"].clone();
    let seen = world.pods_run(&mut function, &uids, "throttled").await;
    assert!(seen.instances.iter().all(|each| each["tags"]["joiner.dev/batch"] == batch));
}

#[tokio::test]
async fn a_call_that_got_a_part_keeps_it_and_buys_the_rest_anew() {
    let Some((world, uids)) = waiting(2).await else { return };
    let mut fault = no_capacity("m5.xlarge");
    fault["available"] = json!(1);
    fault["times"] = json!(1);
    world.fault(fault).await;
    let mut function = world.function().await;
    let report = function.report().await;
    assert_eq!((report.launches, report.launched), (2, 1));
    let seen = world.seen().await;
    assert_eq!((seen.claims.len(), seen.instances.len()), (1, 1), "{seen:#?}");
    function.wire.tell_time(181);
    world.pods_run(&mut function, &uids, "a part").await;
}

#[tokio::test]
async fn an_answer_of_ec2_that_was_lost_is_adopted() {
    let Some((world, uids)) = waiting(2).await else { return };
    world.fault(json!({ "action": "CreateFleet", "code": "ConnectionLost", "when": "after", "times": 2 })).await;
    let mut function = world.function().await;
    assert_eq!(function.report().await.launched, 0);
    world.pods_run(&mut function, &uids, "a lost answer").await;
}

#[tokio::test]
async fn the_api_servers_clock_counts() {
    let Some((world, uids)) = waiting(1).await else { return };
    for ahead_s in [-600, 600] {
        world.let_the_lease_end().await;
        let mut function = world.function().await;
        function.wire.tell_time(ahead_s);
        let report = function.report().await;
        let kept = letters::kept(&world, &report.turn).await;
        let behind = kept.snapshot.now.0 - jiff::Timestamp::now().as_second() - ahead_s;
        assert!(behind.abs() < 60, "{behind}");
    }
    let mut function = world.function().await;
    world.let_the_lease_end().await;
    world.pods_run(&mut function, &uids, "clocks that differ").await;
}

#[tokio::test]
async fn an_instance_whose_claim_is_gone_is_terminated_after_half_a_minute() {
    let Some((mut world, uids)) = waiting(1).await else { return };
    let life = async |mut function: Function| function.turn().await.is_ok();
    let ended = world.mortal((1, When::After, FLEET), life).await;
    assert!(matches!(ended, Ended::Cut { .. }));
    world.forget_claims().await;
    world.delete_pods().await;
    let mut function = world.function().await;
    function.report().await;
    assert_eq!(world.seen().await.live().count(), 1, "it may still find its claim");
    function.wire.tell_time(31);
    world.turns(&mut function, "the orphan goes", |seen| seen.live().count() == 0).await;
    assert_eq!(uids.len(), 1);
    world.reset().await;
}
