//! Nodes that go: every cause, with events as EventBridge sends them, on real parts.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod real;

use aws_lambda_events::sqs::SqsMessage;
use joiner_runtime::doors::{Door, batch};
use joiner_runtime::installation::Installation;
use joiner_runtime::redelivery::come_again;
use real::{
    BUDGETS, CLAIMS, CLASSES, DEPLOYMENTS, Function, NODES, POOLS, PROVISIONERS, Seen, World,
    deployment, instance_of, is_true, pool, text,
};
use serde_json::{Value, json};

const DISRUPTED: &str = "karpenter.sh/disrupted";

/// A world whose deployment of so many pods runs on nodes of this pool, each pod on its own; and a warm function.
async fn running(pool: &Value, replicas: usize) -> Option<(World, Function, Seen)> {
    let mut world = World::open().await?;
    world.reset().await;
    world.delete_all(POOLS).await;
    let mut pool = pool.clone();
    // A replacement stays empty until the pods of an instance that is gone are missed, which takes Kubernetes up to a minute.
    pool["spec"]["disruption"]["consolidateAfter"] = json!("Never");
    world.apply(POOLS, &pool).await;
    world.apply(DEPLOYMENTS, &deployment(replicas)).await;
    let mut function = world.function().await;
    let done = |seen: &Seen| seen.running(replicas) && seen.claims_are("Initialized", replicas);
    let seen = world.turns(&mut function, "the deployment runs", done).await;
    Some((world, function, seen))
}

fn spot() -> Value {
    let mut pool = pool(&["m5.xlarge", "m6i.xlarge"], &["us-east-1a", "us-east-1b"]);
    pool["spec"]["template"]["spec"]["requirements"][1]["values"] = json!(["spot"]);
    pool
}

fn on_demand() -> Value {
    pool(&["m5.xlarge"], &["us-east-1a"])
}

fn message(body: &Value) -> SqsMessage {
    let mut message = SqsMessage::default();
    message.message_id = Some("m".to_owned());
    message.body = Some(body.to_string());
    message
}

/// Whether the node keeps new pods away.
fn is_cordoned(node: &Value) -> bool {
    let taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
    taints.iter().any(|taint| taint["key"] == DISRUPTED)
}

fn claim_named<'a>(seen: &'a Seen, name: &str) -> Option<&'a Value> {
    seen.claims.iter().find(|claim| text(claim, "/metadata/name") == name)
}

/// Goes on until the claim and its node are gone and so many pods run on others; nothing was bought but one replacement.
async fn replaced(world: &World, function: &mut Function, old: &Value, replicas: usize) {
    let seen = moved(world, function, old, replicas).await;
    let live = seen.live().map(|each| text(each, "/id").to_owned()).collect::<Vec<_>>();
    assert!(!live.contains(&instance_of(old)), "its instance lives on: {live:?}");
    assert_eq!((live.len(), seen.instances.len()), (replicas, replicas + 1), "{seen:#?}");
}

/// Goes on until the claim and its node are gone and so many pods run on others.
async fn moved(world: &World, function: &mut Function, old: &Value, replicas: usize) -> Seen {
    let (name, node) = (text(old, "/metadata/name"), text(old, "/status/nodeName"));
    let gone = |seen: &Seen| {
        let runs = seen.pods.iter().filter(|pod| is_true(pod, "Ready"));
        let runs = runs.filter(|pod| text(pod, "/spec/nodeName") != node).count() == replicas;
        let left = seen.nodes.iter().any(|left| text(left, "/metadata/name") == node);
        // Kubernetes takes its time to forget a pod whose kubelet can no longer tell that it has ended.
        let stays = |pod: &&Value| pod["metadata"]["deletionTimestamp"].is_null();
        let staying = seen.pods.iter().filter(stays).count();
        claim_named(seen, name).is_none() && !left && runs && staying == replicas
    };
    world.turns(function, "the node is replaced", gone).await
}

/// One invocation of on-interruption with these events.
async fn told(function: Function, events: &[Value]) -> Function {
    let Function { wire, installation } = function;
    let mut slot = Some(installation);
    let messages = events.iter().map(message).collect::<Vec<_>>();
    let failed = batch(Door::Interruption, &mut slot, &messages, "request").await;
    assert_eq!(failed, Vec::<String>::new());
    let installation: Installation = slot.unwrap();
    Function { wire, installation }
}

#[tokio::test]
async fn a_spot_warning_marks_and_cordons_before_its_turn_which_replaces_the_node() {
    let Some((world, function, seen)) = running(&spot(), 1).await else { return };
    let old = seen.claims[0].clone();
    let event = world.control("POST", "interrupt", &json!({ "instance": instance_of(&old) })).await;
    let before = function.wire.calls().len();
    let mut function = told(function, &[event]).await;
    let calls = function.wire.calls().split_off(before);
    let at = |part: &str| {
        let found = calls.iter().position(|call| call.write && call.name.contains(part));
        found.unwrap_or_else(|| panic!("no {part} among {calls:#?}"))
    };
    let (mark, cordon) =
        (at("PATCH /apis/karpenter.sh/v1/nodeclaims/"), at("PATCH /api/v1/nodes/"));
    assert!(mark.max(cordon) < at("/leases"), "before the lease: {calls:#?}");
    let seen = world.seen().await;
    let name = text(&old, "/metadata/name");
    let marked = claim_named(&seen, name).unwrap();
    let mark = text(marked, "/metadata/annotations/joiner.dev~1interruption");
    let mark: Value = serde_json::from_str(mark).unwrap();
    assert_eq!(mark["kind"], "spot-warning");
    assert_eq!(mark["deadline"].as_i64().unwrap() - mark["at"].as_i64().unwrap(), 120);
    assert!(is_cordoned(&seen.nodes[0]), "{:#}", seen.nodes[0]);
    assert_eq!(seen.claims.len(), 2, "the replacement is asked for by the same invocation");
    let new = seen.claims.iter().find(|claim| text(claim, "/metadata/name") != name).unwrap();
    let offering = |claim: &Value| {
        let label = |key: &str| claim["metadata"]["labels"][key].clone();
        (label("node.kubernetes.io/instance-type"), label("topology.kubernetes.io/zone"))
    };
    assert_ne!(offering(new), offering(&old), "what was taken back is not bought again at once");
    replaced(&world, &mut function, &old, 1).await;
}

#[tokio::test]
async fn a_warning_of_which_nothing_could_be_done_comes_again_within_seconds() {
    let Some((world, function, seen)) = running(&spot(), 1).await else { return };
    let old = seen.claims[0].clone();
    let event = world.control("POST", "interrupt", &json!({ "instance": instance_of(&old) })).await;
    let (sqs, long) = (world.sqs(), aws_sdk_sqs::types::QueueAttributeName::VisibilityTimeout);
    let queue = sqs.create_queue().queue_name("interruption").attributes(long, "720");
    let queue = queue.send().await.unwrap().queue_url.unwrap();
    sqs.purge_queue().queue_url(&queue).send().await.unwrap();
    sqs.send_message().queue_url(&queue).message_body(event.to_string()).send().await.unwrap();
    let receive = async || {
        let count = aws_sdk_sqs::types::MessageSystemAttributeName::ApproximateReceiveCount;
        let call = sqs.receive_message().queue_url(&queue).message_system_attribute_names(count);
        let found = call.send().await.unwrap().messages?.pop()?;
        let mut message = SqsMessage::default();
        (message.message_id, message.body) = (found.message_id, found.body);
        message.receipt_handle = found.receipt_handle;
        let count = found.attributes.into_iter().flatten().next().unwrap().1;
        message.attributes.insert("ApproximateReceiveCount".to_owned(), count);
        Some(message)
    };
    let messages = [receive().await.unwrap()];
    let Function { wire, installation } = function;
    wire.refuse("nodeclaims?limit", usize::MAX, 503);
    let mut slot = Some(installation);
    let failed = batch(Door::Interruption, &mut slot, &messages, "request").await;
    assert_eq!(failed, [messages[0].message_id.clone().unwrap()], "whose it is, nobody knows");
    assert!(receive().await.is_none(), "the queue would give it back in 12 minutes");
    come_again(&sqs, &queue, &messages, &failed).await;
    wire.straighten();
    let again = std::cell::RefCell::new(None);
    world
        .eventually("it comes again", async || {
            let found = receive().await;
            let came = found.is_some();
            again.replace(found);
            came
        })
        .await;
    let again = [again.into_inner().unwrap()];
    assert_eq!(again[0].attributes["ApproximateReceiveCount"], "2");
    assert_eq!(batch(Door::Interruption, &mut slot, &again, "again").await, Vec::<String>::new());
    let seen = world.seen().await;
    let marked = claim_named(&seen, text(&old, "/metadata/name")).unwrap();
    assert!(
        text(marked, "/metadata/annotations/joiner.dev~1interruption").contains("spot-warning")
    );
}

#[tokio::test]
async fn a_lost_spot_warning_is_found_by_asking() {
    let Some((world, mut function, seen)) = running(&spot(), 1).await else { return };
    world.control("POST", "interrupt", &json!({ "instance": instance_of(&seen.claims[0]) })).await;
    // Another function, which has not asked yet in this minute.
    let mut other = world.function().await;
    replaced(&world, &mut other, &seen.claims[0], 1).await;
    function.report().await;
}

#[tokio::test]
async fn events_of_other_instances_are_dropped() {
    let Some((world, function, seen)) = running(&on_demand(), 1).await else { return };
    let mut event = world
        .control("POST", "interrupt", &json!({ "instance": instance_of(&seen.claims[0]) }))
        .await;
    event["detail"]["instance-id"] = json!("i-0123456789abcdef0");
    event["resources"] = json!([]);
    let before = function.wire.calls().len();
    let function = told(function, &vec![event; 20]).await;
    let calls = function.wire.calls().split_off(before);
    assert!(calls.iter().all(|call| !call.write), "{calls:#?}");
    assert!(!is_cordoned(&world.seen().await.nodes[0]));
}

#[tokio::test]
async fn an_instance_that_was_ended_behind_our_back_is_replaced() {
    let Some((world, function, seen)) = running(&on_demand(), 1).await else { return };
    let old = seen.claims[0].clone();
    let event = world.control("POST", "terminate", &json!({ "instance": instance_of(&old) })).await;
    let mut function = told(function, &[event]).await;
    replaced(&world, &mut function, &old, 1).await;
}

#[tokio::test]
async fn an_instance_whose_checks_fail_is_replaced() {
    let Some((world, _, seen)) = running(&on_demand(), 1).await else { return };
    let failing = json!({ "instance": instance_of(&seen.claims[0]), "impairedForS": 300 });
    world.control("POST", "status", &failing).await;
    let mut other = world.function().await;
    replaced(&world, &mut other, &seen.claims[0], 1).await;
}

#[tokio::test]
async fn a_node_that_a_person_deletes_is_drained_and_replaced() {
    let Some((world, mut function, seen)) = running(&on_demand(), 1).await else { return };
    let node = format!("{NODES}/{}", text(&seen.claims[0], "/status/nodeName"));
    world.api("DELETE", &node, &Value::Null).await.unwrap();
    replaced(&world, &mut function, &seen.claims[0], 1).await;
}

/// Goes on until the claim is replaced, and sees to it that it is not deleted before another is set up.
async fn replacement_first(world: &World, function: &mut Function, old: &Value) {
    let name = text(old, "/metadata/name").to_owned();
    let deleted = |seen: &Seen| {
        let old = claim_named(seen, &name);
        old.is_none_or(|old| !old["metadata"]["deletionTimestamp"].is_null())
    };
    let seen = world.turns(function, "the old claim is deleted", deleted).await;
    let others = seen.claims.iter().filter(|claim| text(claim, "/metadata/name") != name);
    let ready = others.filter(|claim| is_true(claim, "Initialized")).count();
    assert_eq!(ready, 1, "its replacement must be set up before: {:#?}", seen.claims);
}

#[tokio::test]
async fn a_node_of_a_class_that_changed_is_replaced_its_replacement_first() {
    let Some((world, mut function, seen)) = running(&on_demand(), 1).await else { return };
    let old = seen.claims[0].clone();
    let hash = text(&old, "/metadata/annotations/karpenter.k8s.aws~1ec2nodeclass-hash-version");
    assert_eq!(hash, "joiner-1");
    let change = json!({ "spec": { "tags": { "team": "b" } } });
    world.api("PATCH", &format!("{CLASSES}/default"), &change).await.unwrap();
    replacement_first(&world, &mut function, &old).await;
    replaced(&world, &mut function, &old, 1).await;
}

#[tokio::test]
async fn a_disruption_budget_holds_a_node_until_it_allows() {
    let Some((world, mut function, seen)) = running(&on_demand(), 1).await else { return };
    let old = seen.claims[0].clone();
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": { "name": "web" },
        "spec": { "minAvailable": 1, "selector": { "matchLabels": { "app": "web" } } },
    });
    world.apply(BUDGETS, &budget).await;
    world
        .eventually("the budget is counted", async || {
            let budgets = world.list(BUDGETS).await;
            budgets.iter().all(|budget| budget["status"]["currentHealthy"] == 1)
        })
        .await;
    let claim = format!("{CLAIMS}/{}", text(&old, "/metadata/name"));
    world.api("DELETE", &claim, &Value::Null).await.unwrap();
    let blocked = |seen: &Seen| seen.claims_are("Initialized", 2);
    let seen = world.turns(&mut function, "the replacement waits for the pod", blocked).await;
    let pod = &seen.pods[0];
    assert_eq!(text(pod, "/spec/nodeName"), text(&old, "/status/nodeName"), "it is protected");
    world.delete_all(BUDGETS).await;
    replaced(&world, &mut function, &old, 1).await;
}

/// A Provisioner and its template in place of pool and class.
async fn legacy(world: &World) {
    for path in [POOLS, CLASSES] {
        world.delete_all(path).await;
    }
    let found = json!({ "karpenter.sh/discovery": "demo" });
    let template = json!({
        "apiVersion": "karpenter.k8s.aws/v1alpha1", "kind": "AWSNodeTemplate", "metadata": { "name": "legacy" },
        "spec": {
            "amiFamily": "Bottlerocket", "instanceProfile": "KarpenterNodeInstanceProfile-demo",
            "subnetSelector": found, "securityGroupSelector": found,
        },
    });
    world.apply("/apis/karpenter.k8s.aws/v1alpha1/awsnodetemplates", &template).await;
    let provisioner = json!({
        "apiVersion": "karpenter.sh/v1alpha5", "kind": "Provisioner", "metadata": { "name": "legacy" },
        "spec": {
            "providerRef": { "name": "legacy" },
            "requirements": [{ "key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["m5.xlarge"] }],
        },
    });
    world.apply(PROVISIONERS, &provisioner).await;
}

async fn expire_after(world: &World, seconds: i64) {
    let change = json!({ "spec": { "ttlSecondsUntilExpired": seconds } });
    world.api("PATCH", &format!("{PROVISIONERS}/legacy"), &change).await.unwrap();
}

#[tokio::test]
async fn an_expired_node_of_a_legacy_pool_is_replaced_its_replacement_first() {
    let Some(mut world) = World::open().await else { return };
    world.reset().await;
    legacy(&world).await;
    world.apply(DEPLOYMENTS, &deployment(1)).await;
    let mut function = world.function().await;
    let done = |seen: &Seen| seen.running(1) && seen.claims_are("Initialized", 1);
    let seen = world.turns(&mut function, "the deployment runs", done).await;
    let old = seen.claims[0].clone();
    expire_after(&world, 20).await;
    replacement_first(&world, &mut function, &old).await;
    // On a slow machine the replacement has expired meanwhile, too.
    expire_after(&world, 86_400).await;
    moved(&world, &mut function, &old, 1).await;
}

#[tokio::test]
async fn a_hundred_warnings_are_one_pass_of_marks_and_one_turn() {
    let Some((world, function, seen)) = running(&spot(), 3).await else { return };
    let mut events = Vec::new();
    for claim in &seen.claims {
        let instance = json!({ "instance": instance_of(claim) });
        events.push(world.control("POST", "interrupt", &instance).await);
    }
    let foreign = |number: usize| {
        let mut event = events[0].clone();
        event["detail"]["instance-id"] = json!(format!("i-{number:017x}"));
        event["resources"] = json!([]);
        event
    };
    let storm = (0..100).map(|number| match number % 10 {
        0..3 => events[number % 10].clone(),
        _ => foreign(number),
    });
    let storm = storm.collect::<Vec<_>>();
    let before = function.wire.calls().len();
    let function = told(function, &storm).await;
    let calls = function.wire.calls().split_off(before);
    let count = |part: &str| calls.iter().filter(|call| call.name.contains(part)).count();
    assert_eq!(count("PUT /apis/coordination.k8s.io"), 2, "one lease is taken and let go");
    let marks = calls.iter().take_while(|call| !call.name.contains("/leases"));
    let marks = marks.filter(|call| call.write && !call.name.contains("/events"));
    assert_eq!(marks.count(), 3 + 3 + 1, "claims, nodes, offerings: {calls:#?}");
    assert_eq!(world.seen().await.claims.len(), 6, "three replacements");
    assert_eq!(world.asked("CreateFleet").await, 2, "one call for all of them");
}

#[tokio::test]
async fn two_nodes_that_are_half_used_become_one() {
    let Some(mut world) = World::open().await else { return };
    world.reset().await;
    world.delete_all(POOLS).await;
    let mut pool = on_demand();
    pool["spec"]["disruption"]["consolidationPolicy"] = json!("WhenEmptyOrUnderutilized");
    world.apply(POOLS, &pool).await;
    let mut small = deployment(4);
    let container = &mut small["spec"]["template"]["spec"]["containers"][0];
    container["resources"]["requests"]["cpu"] = json!("1500m");
    world.apply(DEPLOYMENTS, &small).await;
    let mut function = world.function().await;
    let done = |seen: &Seen| seen.running(4) && seen.claims_are("Initialized", 2);
    world.turns(&mut function, "two pods on each of two nodes", done).await;
    // Kubernetes takes one pod from each node.
    let fewer = json!({ "spec": { "replicas": 2 } });
    world.api("PATCH", &format!("{DEPLOYMENTS}/web"), &fewer).await.unwrap();
    let ready = |seen: &Seen| seen.pods.iter().filter(|pod| is_true(pod, "Ready")).count();
    let one = |seen: &Seen| seen.claims.len() == 1 && seen.nodes.len() == 1 && ready(seen) == 2;
    let seen = world.turns(&mut function, "both pods on one node", one).await;
    assert_eq!((seen.live().count(), seen.instances.len()), (1, 2), "nothing was bought for it");
}
