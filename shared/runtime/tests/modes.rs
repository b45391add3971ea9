//! What an installation that only observes, or that is paused, sends to the cluster and to AWS: not one write but its own report.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod real;

use aws_lambda_events::sqs::SqsMessage;
use joiner_runtime::doors::{self, Door};
use joiner_runtime::installation::Knocked;
use joiner_runtime::standing::{STATUS_CONFIG_MAP, Standing};
use real::{CLAIMS, CONFIG_MAPS, Function, World};
use serde_json::{Value, json};

/// What the function has written, beyond the turn that it keeps and its own report.
fn writes(function: &Function) -> Vec<String> {
    let own = |name: &str| name == "PutObject" || name.contains(STATUS_CONFIG_MAP);
    let calls = function.wire.calls().into_iter();
    calls.filter(|call| call.write && !own(&call.name)).map(|call| call.name).collect()
}

async fn set_mode(world: &World, mode: &str) {
    let data = json!({ "MODE": mode, "MODE_SINCE": "2026-01-31T12:00:00Z" });
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "joiner-settings" }, "data": data,
    });
    world.delete_all(CONFIG_MAPS).await;
    world.apply(CONFIG_MAPS, &map).await;
    // It is made by its first writer; here its name is to be seen in each write.
    let metadata = json!({ "name": STATUS_CONFIG_MAP });
    let status = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata });
    world.apply(CONFIG_MAPS, &status).await;
}

/// Events of all doors, with a spot warning of this instance.
fn messages(instance: &str) -> Vec<(Door, SqsMessage)> {
    let warning = json!({
        "source": "aws.ec2", "detail-type": "EC2 Spot Instance Interruption Warning", "detail": { "instance-id": instance },
    });
    let pods = json!({ "source": "joiner", "detail-type": "Pods Pending", "detail": {} });
    let all = [
        (Door::PendingPods, pods),
        (Door::Interruption, warning),
        (Door::Schedule, json!({ "joiner": "schedule" })),
    ];
    let message = |(door, body): (Door, Value)| {
        let mut message = SqsMessage::default();
        message.message_id = Some("1".to_owned());
        message.body = Some(body.to_string());
        (door, message)
    };
    all.into_iter().map(message).collect()
}

/// All doors are knocked at; then the function is given back.
async fn knock_at_all_doors(function: Function, instance: &str) -> Function {
    let Function { wire, installation } = function;
    let mut slot = Some(installation);
    for (door, message) in messages(instance) {
        let failed = doors::batch(door, &mut slot, &[message], "request").await;
        assert_eq!(failed, Vec::<String>::new(), "{door:?}");
    }
    Function { wire, installation: slot.unwrap() }
}

/// A claim and its instance of an earlier time, when joiner acted; and a pod more, that waits.
async fn a_world_with_work(world: &World) -> String {
    let uids = world.pods(1).await;
    let mut acting = world.function().await;
    let seen = world.pods_run(&mut acting, &uids, "joiner acts").await;
    world.more_pods(1, 2).await;
    real::instance_of(&seen.claims[0]).to_owned()
}

#[tokio::test]
async fn who_observes_decides_reports_and_writes_nothing() {
    let Some(mut world) = World::open().await else { return };
    world.reset().await;
    let instance = a_world_with_work(&world).await;
    set_mode(&world, "observe").await;
    let bought = world.asked("CreateFleet").await;
    let function = knock_at_all_doors(world.function().await, &instance).await;
    assert_eq!(writes(&function), Vec::<String>::new());
    assert!(function.wire.count("PutObject") > 0, "the turn is kept");
    assert_eq!(world.asked("CreateFleet").await, bought);
    assert_eq!(world.list(CLAIMS).await.len(), 1);
    let map = world.api("GET", &format!("{CONFIG_MAPS}/{STATUS_CONFIG_MAP}"), &Value::Null).await;
    let told = Standing::from_config_map_data(&map.unwrap()["data"]);
    assert_eq!(told["on-pending-pods"].launches, 1, "{told:?}");
    assert_eq!(told["on-pending-pods"].launched, 0);
    assert_eq!(told["on-pending-pods"].mode.as_str(), "observe");

    // The same function acts as soon as it may: nothing of the trial is left in it.
    set_mode(&world, "act").await;
    let mut function = function;
    let report = function.report().await;
    assert_eq!(report.launched, 1);
}

#[tokio::test]
async fn who_is_paused_neither_reads_the_world_nor_writes() {
    let Some(mut world) = World::open().await else { return };
    world.reset().await;
    let instance = a_world_with_work(&world).await;
    let mut function = world.function().await;
    set_mode(&world, "paused").await;
    let before = function.wire.calls().len();
    assert!(matches!(function.turn().await.unwrap(), Knocked::Paused));
    assert_eq!(function.wire.calls().len(), before + 1, "the mode alone is asked for");
    let function = knock_at_all_doors(function, &instance).await;
    assert_eq!(writes(&function), Vec::<String>::new());
    assert_eq!(function.wire.count("PutObject"), 0);
    assert_eq!(function.wire.count(STATUS_CONFIG_MAP), 0);
}

#[tokio::test]
async fn a_mode_that_cannot_be_read_stops_the_turn() {
    let Some(mut world) = World::open().await else { return };
    world.reset().await;
    world.pods(1).await;
    let mut function = world.function().await;
    set_mode(&world, "of").await;
    let error = function.turn().await.unwrap_err().to_string();
    assert_eq!(
        error,
        "nobody knows whether joiner is paused: setting MODE: \"of\" is not act, observe or paused"
    );
    set_mode(&world, "act").await;
    function.wire.refuse("joiner-settings", 1, 500);
    assert!(function.turn().await.is_err());
    assert_eq!(writes(&function), Vec::<String>::new());
}
