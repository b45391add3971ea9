//! A function that ends in the middle of its turn, at every single call, loses nothing and buys nothing twice.
//!
//! Each test cuts the wire of a function at call 1, call 2 and so on, until one ends unharmed: before the request reaches the world,
//! and, for requests that change it, after. Then other functions go on from there. A function that has changed nothing yet leaves the
//! world as it was: the next one begins in its place. A read changes nothing either, whether it was carried out or not: a function
//! cut there leaves what one leaves that is cut after its last write. So reads are cut in the first test, to see it hold, and
//! only writes in the others.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod real;

use real::{Call, Ended, Function, Seen, When, World};
use serde_json::Value;
use std::time::Instant;
use tokio::sync::Mutex;

/// One series of cuts.
struct Series {
    /// Which calls are cut.
    counts: fn(&Call) -> bool,
    /// There are at least so many; fewer mean that the wire does not see them.
    least: usize,
}

/// Cuts functions at each call of the series: `begin` makes the world that each of them meets, `life` is what they do in it, and `end`
/// goes on from what they left.
async fn at_every_call<B>(
    world: &mut World,
    series: Series,
    mut begin: impl AsyncFnMut(&mut World) -> B,
    mut life: impl AsyncFnMut(&World, Function) -> bool,
    mut end: impl AsyncFnMut(&World, &B, &str),
) {
    let (started, mut cuts, mut rounds) = (Instant::now(), 0, 0);
    let mut begun = begin(world).await;
    let (mut number, mut when) = (1, When::Before);
    loop {
        let last = (number, when, series.counts);
        match world.mortal(last, async |function| life(world, function).await).await {
            Ended::Failed => {
                end(world, &begun, "failed").await;
                begun = begin(world).await;
            }
            Ended::Cut { call, touched } => {
                cuts += 1;
                if touched {
                    rounds += 1;
                    end(world, &begun, &format!("{when:?} call {number}, {}", call.name)).await;
                    begun = begin(world).await;
                }
                let twice = when == When::Before && call.write;
                (number, when) =
                    if twice { (number, When::After) } else { (number + 1, When::Before) };
            }
            Ended::Unharmed { calls } => {
                end(world, &begun, "unharmed").await;
                let took = started.elapsed().as_secs();
                eprintln!("{cuts} cuts, of which {rounds} left something behind, in {took} s:");
                calls.iter().for_each(|call| eprintln!("  {}", call.name));
                assert!(number > series.least, "only {number} calls were cut");
                return;
            }
        }
    }
}

/// One turn.
async fn one_turn(_: &World, mut function: Function) -> bool {
    function.turn().await.is_ok()
}

#[tokio::test]
async fn a_scale_up_goes_on_wherever_it_was_cut() {
    let Some(mut world) = World::open().await else { return };
    let others = Mutex::new(world.function().await);
    let begin = async |world: &mut World| {
        world.reset().await;
        world.pods(2).await
    };
    let end = async |world: &World, uids: &Vec<Value>, cut: &str| {
        world.pods_run(&mut *others.lock().await, uids, cut).await;
    };
    let series = Series { counts: |_| true, least: 40 };
    at_every_call(&mut world, series, begin, one_turn, end).await;
}

#[tokio::test]
async fn a_node_joins_wherever_its_turn_was_cut() {
    let Some(mut world) = World::open().await else { return };
    let others = Mutex::new(world.function().await);
    let begin = async |world: &mut World| {
        world.reset().await;
        let uids = world.pods(1).await;
        let mut others = others.lock().await;
        world.turns(&mut others, "it is launched", |seen| seen.claims_are("Launched", 1)).await;
        world
            .eventually("the node is ready", async || {
                world.seen().await.nodes.iter().any(|node| real::is_true(node, "Ready"))
            })
            .await;
        uids
    };
    let end = async |world: &World, uids: &Vec<Value>, cut: &str| {
        world.pods_run(&mut *others.lock().await, uids, cut).await;
    };
    let series = Series { counts: |call| call.write, least: 8 };
    at_every_call(&mut world, series, begin, one_turn, end).await;
}

#[tokio::test]
async fn an_empty_node_goes_wherever_its_turns_were_cut() {
    let Some(mut world) = World::open().await else { return };
    let others = Mutex::new(world.function().await);
    let gone = |seen: &Seen| {
        seen.claims.is_empty() && seen.nodes.is_empty() && seen.live().next().is_none()
    };
    let begin = async |world: &mut World| {
        world.reset().await;
        let uids = world.pods(1).await;
        world.pods_run(&mut *others.lock().await, &uids, "before").await;
        world.delete_pods().await;
    };
    let life = async |world: &World, mut function: Function| {
        world.turns(&mut function, "the node goes", gone).await;
        true
    };
    let end = async |world: &World, (): &(), cut: &str| {
        let what = format!("{cut}: the node goes");
        let seen = world.turns(&mut *others.lock().await, &what, gone).await;
        assert_eq!(seen.instances.len(), 1, "{cut}: {:#?}", seen.instances);
    };
    let series = Series { counts: Call::lasts, least: 5 };
    at_every_call(&mut world, series, begin, life, end).await;
}
