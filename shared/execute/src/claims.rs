//! NodeClaim objects as Joiner writes them.

use crate::batches::NewClaim;
use crate::objects::CLAIM_API;
use crate::orders::Orders;
use crate::ports::Bought;
use crate::{conditions, hashes};
use model::pool::ApiVersion;
use model::resources::CPU;
use model::{CapacityType, InstanceType, LaunchRequest, NodePool, Resources, Taint, labels};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The object that says what will be bought, written before anything is.
pub(crate) fn manifest(claim: &NewClaim<'_>, orders: &Orders<'_>) -> Value {
    let pool = claim.pool;
    let launch = serde_json::to_string(&claim.request).unwrap_or_default();
    let mut object = json!({
        "apiVersion": CLAIM_API,
        "kind": "NodeClaim",
        "metadata": {
            "name": claim.name,
            "labels": claim.request.labels,
            "annotations": { labels::LAUNCH: launch, labels::BATCH: claim.request.batch },
            "finalizers": [labels::TERMINATION_FINALIZER],
        },
        "spec": {
            "requirements": requirements(&claim.request),
            "resources": { "requests": resources(&claim.request.requests) },
            "nodeClassRef": node_class_ref(pool),
            "expireAfter": pool.expire_after.map_or_else(|| "Never".to_owned(), span),
        },
    });
    let annotations = pool.annotations.iter().map(|(key, value)| (key.clone(), json!(value)));
    extend(&mut object["metadata"]["annotations"], annotations);
    let hashes = hashes::of(pool, orders).into_iter();
    extend(
        &mut object["metadata"]["annotations"],
        hashes.map(|(key, text)| (key.to_owned(), json!(text))),
    );
    if let Some(owner) = owner(pool) {
        object["metadata"]["ownerReferences"] = json!([owner]);
    }
    for (field, list) in [("taints", &pool.taints), ("startupTaints", &pool.startup_taints)] {
        if !list.is_empty() {
            object["spec"][field] = list.iter().map(taint).collect();
        }
    }
    if let Some(grace) = pool.termination_grace_period {
        object["spec"]["terminationGracePeriod"] = json!(span(grace));
    }
    object
}

fn extend(object: &mut Value, more: impl Iterator<Item = (String, Value)>) {
    if let Some(map) = object.as_object_mut() {
        for (key, value) in more {
            map.entry(key).or_insert(value);
        }
    }
}

fn span(duration: model::Duration) -> String {
    format!("{}s", duration.0)
}

/// A taint as Kubernetes writes it.
pub(crate) fn taint(taint: &Taint) -> Value {
    let mut object = json!({ "key": taint.key, "effect": taint.effect.as_str() });
    if !taint.value.is_empty() {
        object["value"] = json!(taint.value);
    }
    object
}

/// What was asked for, so that `kubectl get nodeclaim` shows it.
fn requirements(request: &LaunchRequest) -> Value {
    let values = |of: fn(&model::Alternative) -> &str| {
        request.offerings.iter().map(of).collect::<BTreeSet<_>>()
    };
    let pool = request.labels.get(labels::NODE_POOL).map(String::as_str).unwrap_or_default();
    json!([
        { "key": labels::NODE_POOL, "operator": "In", "values": [pool] },
        { "key": labels::CAPACITY_TYPE, "operator": "In", "values": [request.capacity_type.as_str()] },
        { "key": labels::INSTANCE_TYPE, "operator": "In", "values": values(|offer| &offer.instance_type) },
        { "key": labels::ZONE, "operator": "In", "values": values(|offer| &offer.zone) },
    ])
}

fn node_class_ref(pool: &NodePool) -> Value {
    let (group, kind) = match pool.api_version {
        ApiVersion::Legacy => ("karpenter.k8s.aws", "AWSNodeTemplate"),
        ApiVersion::V1Beta1 | ApiVersion::V1 | ApiVersion::BuiltIn => {
            ("karpenter.k8s.aws", "EC2NodeClass")
        }
    };
    json!({ "group": group, "kind": kind, "name": pool.node_class })
}

/// Claims go with their pool, as upstream's do: Kubernetes deletes what its owner's deletion leaves.
fn owner(pool: &NodePool) -> Option<Value> {
    let (api_version, kind) = match pool.api_version {
        ApiVersion::Legacy => ("karpenter.sh/v1alpha5", "Provisioner"),
        ApiVersion::V1Beta1 => ("karpenter.sh/v1beta1", "NodePool"),
        ApiVersion::V1 => ("karpenter.sh/v1", "NodePool"),
        ApiVersion::BuiltIn => return None,
    };
    let named = json!({
        "apiVersion": api_version, "kind": kind, "name": pool.name, "uid": pool.uid, "blockOwnerDeletion": true,
    });
    (!pool.uid.is_empty()).then_some(named)
}

/// Writes on a claim which instance it got: its labels, its status and the condition `Launched`. Always true: it is to be written.
pub(crate) fn launched(object: &mut Value, bought: &Bought, orders: &Orders<'_>) {
    let pool =
        object["metadata"]["labels"][labels::NODE_POOL].as_str().and_then(|name| orders.pool(name));
    let known = pool.and_then(|pool| instance_type(pool, &bought.instance_type, orders));
    let own = [
        (labels::INSTANCE_TYPE, bought.instance_type.as_str()),
        (labels::ZONE, bought.zone.as_str()),
        (labels::CAPACITY_TYPE, bought.capacity_type.as_str()),
        (labels::REGION, orders.snapshot.region.as_str()),
    ];
    let mut all = Map::new();
    let of_type = known.into_iter().flat_map(|known| &known.labels);
    all.extend(of_type.map(|(key, value)| (key.clone(), json!(value))));
    all.extend(own.iter().map(|(key, value)| ((*key).to_owned(), json!(value))));
    if let Some(map) = object["metadata"]["labels"].as_object_mut() {
        map.extend(all);
    }
    for (key, value) in reservation(object, bought, known) {
        object["metadata"]["labels"][key] = json!(value);
    }
    let status = &mut object["status"];
    status["providerID"] = json!(format!("aws:///{}/{}", bought.zone, bought.id));
    if !bought.image_id.is_empty() {
        status["imageID"] = json!(bought.image_id);
    }
    if let Some(known) = known {
        status["capacity"] = resources(&known.capacity);
        status["allocatable"] = resources(&known.allocatable);
    }
    conditions::set(object, "Launched", "True", "Launched", "", &orders.now());
}

/// The labels of an instance in a reservation: those of the one that its claim asked for.
fn reservation(
    object: &Value,
    bought: &Bought,
    known: Option<&InstanceType>,
) -> Vec<(&'static str, String)> {
    if bought.capacity_type != CapacityType::Reserved {
        return Vec::new();
    }
    let request = object["metadata"]["annotations"][labels::LAUNCH].as_str();
    let request = request.and_then(|text| serde_json::from_str::<LaunchRequest>(text).ok());
    let asked = request.and_then(|request| request.offerings.into_iter().next()?.reservation);
    let Some(id) = asked else { return Vec::new() };
    let offerings = known.into_iter().flat_map(|known| &known.offerings);
    let mut own = offerings.filter_map(|own| own.reservation.as_ref());
    let kind = own.find(|own| own.id == id).map(|own| own.kind().to_owned());
    let kind = kind.map(|kind| (labels::RESERVATION_TYPE, kind));
    [(labels::RESERVATION_ID, id)].into_iter().chain(kind).collect()
}

fn instance_type<'a>(pool: &NodePool, name: &str, orders: &Orders<'a>) -> Option<&'a InstanceType> {
    let types = orders.snapshot.instance_types.get(&pool.instance_types)?;
    types.iter().find(|known| known.name == name)
}

/// Amounts as Kubernetes writes them.
pub(crate) fn resources(amounts: &Resources) -> Value {
    let text =
        |name: &str, amount| if name == CPU { format!("{amount}m") } else { format!("{amount}") };
    amounts
        .iter()
        .map(|(name, amount)| (name.to_string(), json!(text(name.as_str(), amount))))
        .collect::<Map<_, _>>()
        .into()
}
