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
use std::collections::BTreeSet;
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
    mut life: impl AsyncFnMut(&World, Function),
    mut end: impl AsyncFnMut(&World, &B, &str),
) {
    let (started, mut rounds) = (Instant::now(), 0);
    let mut begun = begin(world).await;
    for number in 1.. {
        for when in [When::Before, When::After] {
            let last = (number, when, series.counts);
            let (call, touched) = match world.mortal(last, async |f| life(world, f).await).await {
                Ended::Unharmed { calls } => {
                    end(world, &begun, "unharmed").await;
                    let count = calls.iter().filter(|call| (series.counts)(call)).count();
                    let names = calls.iter().map(|call| format!("\n  {}", call.name));
                    let names = names.collect::<String>();
                    let took = started.elapsed().as_secs();
                    eprintln!(
                        "{count} calls of {} cut, {rounds} times begun anew, in {took} s:{names}",
                        calls.len()
                    );
                    assert!(number > series.least, "only {number} cuts of {count} calls:{names}");
                    return;
                }
                Ended::Cut { call, touched } => (call, touched),
            };
            if touched {
                rounds += 1;
                end(world, &begun, &format!("cut {when:?} call {number}, {}", call.name)).await;
                begun = begin(world).await;
            }
            if !call.write {
                break;
            }
        }
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Every claim has an instance and every instance a claim, and no more were ever bought; labels and finalizers are where they belong.
fn is_whole(seen: &Seen, count: usize, cut: &str) {
    let instance =
        |claim: &Value| text(claim, "/status/providerID").rsplit('/').next().unwrap().to_owned();
    let claimed = seen.claims.iter().map(instance).collect::<BTreeSet<_>>();
    let live = seen.live().map(|each| text(each, "/id").to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(claimed, live, "{cut}: {seen:#?}");
    assert_eq!((live.len(), seen.instances.len()), (count, count), "{cut}: {:#?}", seen.instances);
    for claim in &seen.claims {
        let own = seen.live().find(|each| instance(claim) == text(each, "/id")).unwrap();
        let labels = &claim["metadata"]["labels"];
        assert_eq!(labels["node.kubernetes.io/instance-type"], own["type"], "{cut}: {claim:#}");
        assert_eq!(labels["topology.kubernetes.io/zone"], own["zone"], "{cut}: {claim:#}");
        assert_eq!(
            claim["metadata"]["finalizers"],
            serde_json::json!(["karpenter.sh/termination"])
        );
        assert_eq!(own["tags"]["karpenter.sh/nodeclaim"], claim["metadata"]["name"], "{cut}");
    }
    for node in &seen.nodes {
        let taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
        assert!(taints.is_empty(), "{cut}: {taints:?}");
        assert_eq!(node["metadata"]["labels"]["karpenter.sh/initialized"], "true", "{cut}");
        assert_eq!(node["metadata"]["finalizers"], serde_json::json!(["karpenter.sh/termination"]));
        assert_eq!(node["metadata"]["ownerReferences"].as_array().unwrap().len(), 1, "{cut}");
    }
}

/// Goes on until all pods run on nodes that are set up.
async fn pods_run(world: &World, function: &mut Function, uids: &[Value], cut: &str) {
    let count = uids.len();
    let done = |seen: &Seen| seen.running(count) && seen.claims_are("Initialized", count);
    let seen = world.turns(function, &format!("{cut}: all pods run"), done).await;
    let kept = seen.pods.iter().map(|pod| pod["metadata"]["uid"].clone()).collect::<Vec<_>>();
    assert_eq!(kept, uids, "{cut}: pods were lost");
    is_whole(&seen, count, cut);
}

/// One turn.
async fn one_turn(_: &World, mut function: Function) {
    function.turn().await.unwrap();
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
        pods_run(world, &mut *others.lock().await, uids, cut).await;
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
        pods_run(world, &mut *others.lock().await, uids, cut).await;
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
        pods_run(world, &mut *others.lock().await, &uids, "before").await;
        world.delete_pods().await;
    };
    let life = async |world: &World, mut function: Function| {
        world.turns(&mut function, "the node goes", gone).await;
    };
    let end = async |world: &World, (): &(), cut: &str| {
        let what = format!("{cut}: the node goes");
        let seen = world.turns(&mut *others.lock().await, &what, gone).await;
        assert_eq!(seen.instances.len(), 1, "{cut}: {:#?}", seen.instances);
    };
    let series = Series { counts: Call::lasts, least: 5 };
    at_every_call(&mut world, series, begin, life, end).await;
}
