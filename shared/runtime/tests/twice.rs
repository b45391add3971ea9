//! The same event ten times, two functions at once, two that both believe to be the only one: one launch.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod real;

use joiner_runtime::installation::Knocked;
use real::{Call, Ended, Function, When, Wire, World};
use std::sync::Arc;
use tokio::sync::Barrier;

/// Whatever wakes a function, in no order.
const EVENTS: [&str; 5] =
    ["Schedule", "Pods Pending", "Follow-up", "Pods Pending", "Configuration Changed"];

async fn invoked(function: &mut Function, name: &str) -> usize {
    let mut turns = 0;
    for (number, event) in EVENTS.iter().enumerate() {
        let request = format!("{name}{number}0000000");
        let knocked = function.installation.knock(event, &request).await.unwrap();
        turns += usize::from(matches!(knocked, Knocked::Turned(_)));
    }
    turns
}

#[tokio::test]
async fn an_event_that_comes_ten_times_to_two_functions_buys_once() {
    let Some(mut world) = World::open().await else { return };
    world.reset().await;
    let uids = world.pods(2).await;
    let (mut one, mut other) = (world.function().await, world.function().await);
    let turns = tokio::join!(invoked(&mut one, "a"), invoked(&mut other, "b"));
    assert!(turns.0 + turns.1 >= 1, "nobody took a turn");
    assert_eq!(world.asked("CreateFleet").await, 1);
    world.pods_run(&mut one, &uids, "ten events").await;
    assert_eq!(world.asked("CreateFleet").await, 1);
}

/// Leaves claims whose call was never sent, or sent and not answered.
async fn leave_claims(world: &World, when: When) {
    let fleet: fn(&Call) -> bool = |call| call.name == "CreateFleet";
    let life = async |mut function: Function| function.turn().await.is_ok();
    match world.mortal((1, when, fleet), life).await {
        Ended::Cut { .. } => {}
        Ended::Unharmed { calls } => panic!("nothing was bought: {calls:?}"),
        Ended::Failed => panic!("the turn failed"),
    }
}

/// Two functions that both believe to hold the lease, and that both have seen the claims before either buys.
async fn two_writers(world: &World) -> (Function, Function) {
    let barrier = Arc::new(Barrier::new(4));
    let (one, other) = (Arc::<Wire>::default(), Arc::<Wire>::default());
    for wire in [&one, &other] {
        wire.lie_about_the_lease();
        // Each reads both claims right before it buys.
        wire.meet("GET /apis/karpenter.sh/v1/nodeclaims/", &barrier);
    }
    (world.begin(&one).await.unwrap(), world.begin(&other).await.unwrap())
}

#[tokio::test]
async fn two_that_both_hold_the_lease_buy_a_batch_once() {
    let Some(mut world) = World::open().await else { return };
    world.reset().await;
    let uids = world.pods(2).await;
    leave_claims(&world, When::Before).await;
    assert_eq!(world.seen().await.claims.len(), 2);
    let (mut one, mut other) = two_writers(&world).await;
    let (first, second) = tokio::join!(one.turn(), other.turn());
    first.unwrap();
    second.unwrap();
    assert_eq!(world.asked("CreateFleet").await, 2, "both must have asked");
    let seen = world.seen().await;
    assert_eq!(seen.instances.len(), 2, "{:#?}", seen.instances);
    let mut function = world.function().await;
    world.pods_run(&mut function, &uids, "two writers").await;
}

#[tokio::test]
async fn two_that_both_hold_the_lease_adopt_what_was_bought_before() {
    let Some(mut world) = World::open().await else { return };
    world.reset().await;
    let uids = world.pods(2).await;
    leave_claims(&world, When::After).await;
    let (mut one, mut other) = two_writers(&world).await;
    let (first, second) = tokio::join!(one.turn(), other.turn());
    first.unwrap();
    second.unwrap();
    assert_eq!(world.asked("CreateFleet").await, 1, "what is there need not be bought");
    let mut function = world.function().await;
    world.pods_run(&mut function, &uids, "two writers").await;
}
