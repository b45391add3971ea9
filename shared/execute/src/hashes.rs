//! What claims remember of the pool and class that they were made by: a claim has drifted where that has changed since.

use crate::objects;
use crate::orders::Orders;
use crate::outcome::Outcome;
use crate::ports::Cluster;
use futures::StreamExt;
use model::{NodeClaim, NodePool, labels};
use serde_json::{Map, Value, json};

/// How many claims are brought up to date at once, and in one turn: there is no hurry.
const AT_ONCE: usize = 16;
const A_TURN: usize = 100;

/// The annotations of a claim that is made now, by key.
pub(crate) fn of(pool: &NodePool, orders: &Orders<'_>) -> Vec<(&'static str, String)> {
    let of_pool =
        pair(pool.hash.as_deref(), labels::NODE_POOL_HASH, labels::NODE_POOL_HASH_VERSION);
    let class = class_hash(pool, orders);
    let of_class = pair(class, labels::NODE_CLASS_HASH, labels::NODE_CLASS_HASH_VERSION);
    of_pool.into_iter().chain(of_class).collect()
}

fn class_hash<'a>(pool: &NodePool, orders: &Orders<'a>) -> Option<&'a str> {
    let classes = &orders.snapshot.node_classes;
    classes.iter().rev().find(|class| class.name == pool.node_class)?.hash.as_deref()
}

/// Hash and version of `version/hash`.
fn pair(
    hash: Option<&str>,
    key: &'static str,
    version_key: &'static str,
) -> Vec<(&'static str, String)> {
    let Some((version, hash)) = hash.and_then(|hash| hash.split_once('/')) else {
        return Vec::new();
    };
    vec![(key, hash.to_owned()), (version_key, version.to_owned())]
}

/// Writes today's hashes on claims of Joiner's whose own were made in another way, or that have none: they say nothing of drift.
pub(crate) async fn keep<K: Cluster>(orders: &Orders<'_>, cluster: &K, outcome: &mut Outcome) {
    let claims = orders.snapshot.node_claims.iter();
    let ours = claims.filter(|claim| claim.launch.is_some() && !claim.deleting);
    let stale = ours.filter_map(|claim| Some((claim, missing(claim, orders)?))).take(A_TURN);
    let writes = stale.map(|(claim, annotations)| async move {
        let patch = json!({ "metadata": { "annotations": annotations } });
        let written = cluster.patch(&objects::claim(&claim.name), None, &patch).await;
        (claim, written.map(drop))
    });
    let results = futures::stream::iter(writes).buffered(AT_ONCE).collect::<Vec<_>>().await;
    let look_again = outcome.look_again;
    for (claim, result) in results {
        outcome.record_cluster("keep hash", &*claim.name, "", result);
    }
    // The next turn that comes anyway does it.
    outcome.look_again = look_again;
}

/// The annotations that are to be written; `None` if those of the claim were made as today's are.
fn missing(claim: &NodeClaim, orders: &Orders<'_>) -> Option<Value> {
    let pool = orders.pool(&claim.pool)?;
    let version = |hash: Option<&str>| {
        hash.and_then(|hash| hash.split_once('/')).map(|(version, _)| version.to_owned())
    };
    let differs = |own: &Option<String>, todays: Option<&str>| {
        todays.is_some() && version(own.as_deref()) != version(todays)
    };
    let of_pool = differs(&claim.pool_hash, pool.hash.as_deref());
    let of_class = differs(&claim.class_hash, class_hash(pool, orders));
    let wanted = |key: &str| match key {
        labels::NODE_POOL_HASH | labels::NODE_POOL_HASH_VERSION => of_pool,
        _ => of_class,
    };
    let todays = of(pool, orders).into_iter().filter(|(key, _)| wanted(key));
    let annotations =
        todays.map(|(key, text)| (key.to_owned(), json!(text))).collect::<Map<_, _>>();
    (!annotations.is_empty()).then_some(annotations.into())
}
