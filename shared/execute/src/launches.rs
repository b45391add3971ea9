//! Launching: claims first, then the calls, then what they answered is written on the claims.

use crate::batches::{NewClaim, batches, fleet_request};
use crate::events::{self, Level};
use crate::orders::Orders;
use crate::outcome::Outcome;
use crate::ports::{Bought, Cloud, CloudError, Cluster, ClusterError, FleetAnswer, Refusal};
use crate::update::update;
use crate::{claims, conditions, objects};
use futures::StreamExt;
use model::{Duration, LaunchRequest, Plan, UnavailableOffering};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// How many claims of a batch are written at once.
const WRITES: usize = 64;
/// How many batches are bought at once: CreateFleet answers after seconds, and its bucket, which holds 50 and refills at 5 a second, is
/// shared with others.
const CALLS: usize = 25;
/// An offering without capacity is left alone for so long (aws, `pkg/cache/cache.go`).
const UNAVAILABLE_FOR: Duration = Duration(180);

/// Carries out the plan's launches.
pub(crate) async fn launch<C: Cloud, K: Cluster>(
    plan: &Plan,
    orders: &Orders<'_>,
    cloud: &C,
    cluster: &K,
    outcome: &mut Outcome,
) {
    let all = batches(&plan.launches, orders);
    let work = all.iter().map(|batch| async move {
        let mut part = Outcome::default();
        launch_batch(batch, orders, cloud, cluster, &mut part).await;
        part
    });
    let mut parts = futures::stream::iter(work).buffered(CALLS);
    while let Some(part) = parts.next().await {
        merge(outcome, part);
    }
}

fn merge(outcome: &mut Outcome, part: Outcome) {
    outcome.actions.extend(part.actions);
    outcome.unavailable.extend(part.unavailable);
    outcome.launched += part.launched;
    outcome.terminated += part.terminated;
    outcome.look_again |= part.look_again;
}

/// A batch is bought only when all of its claims are written: then whoever finds it later knows what was asked for.
async fn launch_batch<C: Cloud, K: Cluster>(
    batch: &[NewClaim<'_>],
    orders: &Orders<'_>,
    cloud: &C,
    cluster: &K,
    outcome: &mut Outcome,
) {
    let Some(first) = batch.first() else { return };
    let writes = batch.iter().map(|claim| write(claim, orders, cluster));
    let results = futures::stream::iter(writes).buffered(WRITES).collect::<Vec<_>>().await;
    let mut written = Vec::new();
    for (claim, result) in batch.iter().zip(results) {
        match result {
            Ok(object) => written.push(object),
            Err(error) => outcome.record_cluster("claim", &claim.name, "", Err(error)),
        }
    }
    if written.len() < batch.len() {
        outcome.look_again = true;
        return;
    }
    buy(&first.request, first.pool.name.as_str(), written, orders, (cloud, cluster), outcome).await;
}

/// Writes a claim. One of the same name is the same claim: its name follows from its batch.
async fn write<K: Cluster>(
    claim: &NewClaim<'_>,
    orders: &Orders<'_>,
    cluster: &K,
) -> Result<Value, ClusterError> {
    let of = objects::claim(&claim.name);
    match cluster.create(&of, &claims::manifest(claim, orders)).await {
        Err(ClusterError::Conflict { .. }) => cluster.get(&of).await,
        answer => answer,
    }
}

/// Buys a batch for those of its claims that have no instance, as they were read just now, and writes what came of it on them.
pub(crate) async fn buy<C: Cloud, K: Cluster>(
    request: &LaunchRequest,
    pool: &str,
    claims: Vec<Value>,
    orders: &Orders<'_>,
    (cloud, cluster): (&C, &K),
    outcome: &mut Outcome,
) {
    let (Some(pool), Some(class)) = (orders.pool(pool), orders.classes.get(&request.node_class))
    else {
        let error = format!("node class {} or pool {pool} is not there", request.node_class);
        return outcome.record("launch", &request.batch, "", Err(error));
    };
    let (served, waiting): (Vec<_>, Vec<_>) =
        claims.into_iter().partition(|claim| instance_of(claim).is_some());
    if waiting.is_empty() {
        return;
    }
    let fleet = fleet_request(request, pool, orders);
    match cloud.launch(&fleet, class, orders.cluster).await {
        Ok(mut answer) => {
            let taken = taken(&served, orders);
            answer.bought.retain(|instance| !taken.contains(instance.id.as_str()));
            settle(request, answer, waiting, orders, cluster, outcome).await;
        }
        Err(error) => {
            let told = refuse(&waiting, &error, orders, cluster).await;
            told.into_iter()
                .for_each(|error| outcome.record_cluster("tell", &request.batch, "", Err(error)));
            outcome.record_cloud("launch", &request.batch, "", Err(error));
        }
    }
}

/// The instance that is written on a claim.
pub(crate) fn instance_of(claim: &Value) -> Option<&str> {
    let provider_id = claim["status"]["providerID"].as_str().filter(|id| !id.is_empty());
    provider_id.and_then(|id| id.rsplit('/').next())
}

/// Instances that have a claim: a call that is repeated is answered with them too.
fn taken<'a>(served: &'a [Value], orders: &'a Orders<'_>) -> BTreeSet<&'a str> {
    let known = orders.snapshot.node_claims.iter().filter_map(|claim| claim.provider_id.as_deref());
    let known = known.filter_map(|id| id.rsplit('/').next());
    served.iter().filter_map(instance_of).chain(known).collect()
}

/// Gives the instances to the claims, and gives up the claims for which there was no capacity.
async fn settle<K: Cluster>(
    request: &LaunchRequest,
    answer: FleetAnswer,
    mut waiting: Vec<Value>,
    orders: &Orders<'_>,
    cluster: &K,
    outcome: &mut Outcome,
) {
    note_unavailable(request, &answer.refused, orders, outcome);
    let mut bought = answer.bought;
    bought.sort_by(|a, b| a.id.cmp(&b.id));
    waiting.sort_by(|a, b| a["metadata"]["name"].as_str().cmp(&b["metadata"]["name"].as_str()));
    outcome.launched += bought.len();
    let without = waiting.split_off(bought.len().min(waiting.len()));
    let writes = waiting.into_iter().zip(&bought).map(|(claim, instance)| {
        let name = claim["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        async move { (name, instance, assign(claim, instance, orders, cluster).await) }
    });
    let mut writes = futures::stream::iter(writes).buffered(WRITES);
    while let Some((name, instance, result)) = writes.next().await {
        record(request, &name, instance, result, outcome);
    }
    for claim in without {
        give_up(&claim, &answer.refused, orders, cluster, outcome).await;
    }
}

fn record(
    request: &LaunchRequest,
    claim: &str,
    bought: &Bought,
    result: Result<(), ClusterError>,
    outcome: &mut Outcome,
) {
    let detail = format!(
        "{} {} {} {} in batch {}",
        bought.id, bought.instance_type, bought.zone, bought.capacity_type, request.batch
    );
    outcome.record_cluster("launch", claim, detail, result);
    let same = |offer: &&model::Alternative| {
        offer.instance_type == bought.instance_type && offer.zone == bought.zone
    };
    let price = request.offerings.iter().find(same).map(|offer| offer.price.0);
    if let Some(action) = outcome.actions.last_mut() {
        action.price = price;
    }
}

/// Writes an instance on its claim: first the labels, then the status, which says that it is taken. Whoever finds the one without
/// the other writes both again. A claim that has changed since it was read may have an instance already: it is left as it is.
pub(crate) async fn assign<K: Cluster>(
    mut claim: Value,
    bought: &Bought,
    orders: &Orders<'_>,
    cluster: &K,
) -> Result<(), ClusterError> {
    let of = objects::claim(claim["metadata"]["name"].as_str().unwrap_or_default());
    claims::launched(&mut claim, bought, orders);
    let read = &claim["metadata"]["resourceVersion"];
    let labels =
        json!({ "metadata": { "labels": claim["metadata"]["labels"], "resourceVersion": read } });
    let stored = cluster.patch(&of, None, &labels).await?;
    let written = &stored["metadata"]["resourceVersion"];
    let status = json!({ "metadata": { "resourceVersion": written }, "status": claim["status"] });
    cluster.patch(&of, Some("status"), &status).await.map(drop)
}

fn note_unavailable(
    request: &LaunchRequest,
    refused: &[Refusal],
    orders: &Orders<'_>,
    outcome: &mut Outcome,
) {
    let without = refused.iter().filter(|refusal| refusal.no_capacity);
    outcome.unavailable.extend(without.map(|refusal| UnavailableOffering {
        instance_type: refusal.instance_type.clone(),
        zone: refusal.zone.clone(),
        capacity_type: request.capacity_type,
        until: orders.snapshot.now.plus(UNAVAILABLE_FOR),
        code: refusal.code.clone(),
    }));
}

/// A claim that got no instance. Without capacity it goes, so that its pods are planned anew without those offerings; a
/// request that EC2 refuses for another reason stays, says so, and is given up when its time is over.
async fn give_up<K: Cluster>(
    claim: &Value,
    refused: &[Refusal],
    orders: &Orders<'_>,
    cluster: &K,
    outcome: &mut Outcome,
) {
    outcome.look_again = true;
    let name = claim["metadata"]["name"].as_str().unwrap_or_default();
    let wrong = refused.iter().find(|refusal| !refusal.no_capacity);
    let why = match wrong.or_else(|| refused.first()) {
        Some(refusal) => format!("{}: {}", refusal.code, refusal.message),
        None => {
            return outcome.record(
                "launch",
                name,
                "",
                Err("EC2 bought fewer instances than asked for and did not say why".to_owned()),
            );
        }
    };
    let event = events::claim_event(
        claim,
        Level::Warning,
        "InsufficientCapacityError",
        &why,
        &orders.now(),
    );
    let told = events::create(cluster, &event).await;
    told.err().into_iter().for_each(|error| outcome.record_cluster("tell", name, "", Err(error)));
    if wrong.is_some() {
        let result = mark_failed(name, &why, orders, cluster).await;
        outcome.record_cluster("mark", name, "launch refused", result);
        return outcome.record("launch", name, "", Err(why));
    }
    let result = remove(claim, cluster).await;
    outcome.record_cluster("give up", name, format!("no capacity: {why}"), result);
}

/// Deletes a claim that never had an instance.
async fn remove<K: Cluster>(claim: &Value, cluster: &K) -> Result<(), ClusterError> {
    let of = objects::claim(claim["metadata"]["name"].as_str().unwrap_or_default());
    match cluster.delete(&of, claim["metadata"]["uid"].as_str(), None).await {
        Ok(()) | Err(ClusterError::NotFound { .. }) => {}
        Err(error) => return Err(error),
    }
    match cluster.patch(&of, None, &json!({ "metadata": { "finalizers": null } })).await {
        Ok(_) | Err(ClusterError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn mark_failed<K: Cluster>(
    name: &str,
    why: &str,
    orders: &Orders<'_>,
    cluster: &K,
) -> Result<(), ClusterError> {
    let now = orders.now();
    let change = |object: &mut Value| {
        conditions::set(object, "Launched", "False", "LaunchFailed", why, &now)
    };
    update(cluster, &objects::claim(name), Some("status"), &["status"], change).await.map(drop)
}

/// Tells the claims of a call that failed as a whole. Nothing is told of calls whose outcome is not known.
async fn refuse<K: Cluster>(
    waiting: &[Value],
    error: &CloudError,
    orders: &Orders<'_>,
    cluster: &K,
) -> Vec<ClusterError> {
    let lasting = match error {
        CloudError::Denied { .. }
        | CloudError::Credentials { .. }
        | CloudError::NotFound { .. }
        | CloudError::Refused { .. } => true,
        CloudError::Throttled { .. } | CloudError::Unknown { .. } => false,
    };
    let mut failed = Vec::new();
    for claim in waiting.iter().filter(|_| lasting) {
        let name = claim["metadata"]["name"].as_str().unwrap_or_default();
        failed.extend(mark_failed(name, &error.to_string(), orders, cluster).await.err());
    }
    failed
}
