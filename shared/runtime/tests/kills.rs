//! A function that ends in the middle of its turn, at every single call, loses nothing and buys nothing twice.
//!
//! Each test cuts the wire of a function at call 1, call 2 and so on, until one ends unharmed: before the request reaches the world,
//! and, for requests that change it, after. Then other functions go on from there. A read that was carried out or not leaves the
//! same world, and so does a function that has not yet written anything: the next one begins in its place.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod real;

use real::{Ended, Function, Seen, When, World};
use serde_json::Value;
use std::collections::BTreeSet;

/// A turn that changes something has at least so many calls; fewer mean that the wire does not see them.
const CALLS: usize = 15;

/// Cuts functions at each of their calls. `begin` makes the world that each of them meets, and `end` goes on from what it left.
async fn at_every_call<B>(
    world: &mut World,
    mut begin: impl AsyncFnMut(&mut World) -> B,
    mut end: impl AsyncFnMut(&World, &B, &str),
) {
    let mut begun = begin(world).await;
    for number in 1.. {
        for when in [When::Before, When::After] {
            let (call, touched) = match world.mortal(number, when).await {
                Ended::Unharmed { calls } => {
                    end(world, &begun, "unharmed").await;
                    let writes = calls.iter().filter(|call| call.write).count();
                    eprintln!("{} calls, {writes} of them writes:", calls.len());
                    calls.iter().for_each(|call| eprintln!("  {}", call.name));
                    assert!(calls.len() >= CALLS && number > CALLS, "{calls:?}");
                    return;
                }
                Ended::Cut { call, touched } => (call, touched),
            };
            if touched {
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

#[tokio::test]
async fn a_scale_up_goes_on_wherever_it_was_cut() {
    let Some(mut world) = World::open().await else { return };
    let begin = async |world: &mut World| {
        world.reset().await;
        world.pods(2).await
    };
    let mut others = world.function().await;
    let end = async |world: &World, uids: &Vec<Value>, cut: &str| {
        pods_run(world, &mut others, uids, cut).await;
    };
    at_every_call(&mut world, begin, end).await;
}
