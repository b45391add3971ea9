//! The status of pools and node classes: what they came to, where `kubectl` shows it. Written only when it changes.

use crate::claims::resources;
use crate::orders::Orders;
use crate::outcome::Outcome;
use crate::ports::{Cloud, Cluster};
use crate::{conditions, objects, registrations};
use model::node_class::ResolvedNodeClass;
use model::{NodePool, Plan, Resources};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The conditions of a class beside `Ready` (aws, `ec2nodeclass_status.go`).
const OF_CLASS: [&str; 5] = [
    "AMIsReady",
    "SubnetsReady",
    "SecurityGroupsReady",
    "InstanceProfileReady",
    "ValidationSucceeded",
];

/// Brings every status up to date.
pub(crate) async fn keep<C: Cloud, K: Cluster>(
    plan: &Plan,
    orders: &Orders<'_>,
    cloud: &C,
    cluster: &K,
    outcome: &mut Outcome,
) {
    let profiles = prepare(orders, cloud).await;
    for object in orders.objects {
        let Some(of) = objects::pool_or_class(object) else { continue };
        let mut wanted = object.clone();
        if !wanted["status"].is_object() {
            wanted["status"] = json!({});
        }
        match of.resource {
            "nodepools" | "provisioners" => {
                pool(&mut wanted, orders);
                registrations::keep(&mut wanted, plan, orders, outcome);
            }
            _ => class(&mut wanted, orders, &profiles),
        }
        if wanted["status"] == object["status"] {
            continue;
        }
        let patch = json!({ "status": wanted["status"] });
        if let Err(error) = cluster.patch(&of, Some("status"), &patch).await {
            // Status is for people: the next turn writes it again.
            let look_again = outcome.look_again;
            outcome.record_cluster("status", of.to_string(), "", Err(error));
            outcome.look_again = look_again;
        }
    }
}

/// The instance profile of each class by its name, or why there is none.
type Profiles = BTreeMap<String, Result<Option<String>, String>>;

/// Makes what launches will need before there are any: EC2 takes seconds to learn of a new profile.
async fn prepare<C: Cloud>(orders: &Orders<'_>, cloud: &C) -> Profiles {
    let mut profiles = Profiles::new();
    for (name, class) in orders.classes {
        let prepared = cloud.prepare(class, orders.cluster).await;
        profiles.insert(name.clone(), prepared.map_err(|error| error.to_string()));
    }
    profiles
}

fn pool(object: &mut Value, orders: &Orders<'_>) {
    let Some(known) = object["metadata"]["name"].as_str().and_then(|name| orders.pool(name)) else {
        return;
    };
    let (nodes, sum) = usage(known, orders);
    object["status"]["resources"] = resources(&sum);
    let now = orders.now();
    if object["kind"] == "Provisioner" {
        tell(object, "Active", known.problem.as_deref(), "Invalid", &now);
        return;
    }
    object["status"]["nodes"] = json!(nodes);
    let class = orders.classes.get(&known.node_class);
    let of_class = class.map_or(Some("the node class is not there"), problem);
    tell(object, "NodeClassReady", of_class, "NodeClassNotReady", &now);
    tell(
        object,
        "ValidationSucceeded",
        known.problem.as_deref().filter(|_| of_class.is_none()),
        "NodePoolValidationFailed",
        &now,
    );
    tell(object, "Ready", known.problem.as_deref().or(of_class), "UnhealthyDependents", &now);
}

/// The condition holds, unless there is a problem; then it is given for that reason.
fn tell(object: &mut Value, kind: &str, problem: Option<&str>, reason: &str, now: &str) {
    match problem {
        None => conditions::set(object, kind, "True", kind, "", now),
        Some(problem) => conditions::set(object, kind, "False", reason, problem, now),
    };
}

/// What the pool's claims have, together.
fn usage(pool: &NodePool, orders: &Orders<'_>) -> (usize, Resources) {
    let claims = orders.snapshot.node_claims.iter().filter(|claim| claim.pool == pool.name);
    let mut sum = Resources::new();
    let mut nodes = 0;
    for claim in claims.filter(|claim| claim.provider_id.is_some()) {
        sum.add(&claim.capacity);
        nodes += 1;
    }
    (nodes, sum)
}

/// The first problem of a class that keeps it from being used.
fn problem(class: &ResolvedNodeClass) -> Option<&str> {
    let first = class.problems.iter().find(|(name, _)| OF_CLASS.contains(&name.as_str()));
    first.map(|(_, message)| message.as_str())
}

fn class(object: &mut Value, orders: &Orders<'_>, profiles: &Profiles) {
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let Some(class) = orders.classes.get(&name) else { return };
    let legacy = object["kind"] == "AWSNodeTemplate";
    found(object, class, legacy);
    if legacy {
        return;
    }
    let now = orders.now();
    let profile = profiles.get(&name);
    if let Some(Ok(Some(profile))) = profile {
        object["status"]["instanceProfile"] = json!(profile);
    }
    let no_profile = profile.and_then(|profile| profile.as_ref().err()).map(String::as_str);
    for name in OF_CLASS {
        let problem = class.problems.iter().find(|(of, _)| of == name);
        let problem = problem.map(|(_, message)| message.as_str());
        let problem = problem.or(no_profile.filter(|_| name == "InstanceProfileReady"));
        tell(object, name, problem, "NotReady", &now);
    }
    tell(object, "Ready", problem(class).or(no_profile), "UnhealthyDependents", &now);
}

fn found(object: &mut Value, class: &ResolvedNodeClass, legacy: bool) {
    let subnet = |subnet: &model::Subnet| {
        let mut told = json!({ "id": subnet.id, "zone": subnet.zone });
        if !legacy && !subnet.zone_id.is_empty() {
            told["zoneID"] = json!(subnet.zone_id);
        }
        told
    };
    let status = &mut object["status"];
    status["subnets"] = class.subnets.iter().map(subnet).collect();
    let groups = class.security_groups.iter();
    status["securityGroups"] =
        groups.map(|group| json!({ "id": group.id, "name": group.name })).collect();
    let image = |image: &model::node_class::Image| {
        let requirements = image.requirements.iter().map(|(key, set)| requirement(key, set));
        json!({ "id": image.id, "name": image.name, "requirements": requirements.collect::<Vec<_>>() })
    };
    status["amis"] = class.images.iter().map(image).collect();
}

/// One value, or whether there is any.
fn requirement(key: &str, set: &model::ValueSet) -> Value {
    match set.single() {
        Some(value) => json!({ "key": key, "operator": "In", "values": [value] }),
        None if set.allows(None) => json!({ "key": key, "operator": "DoesNotExist" }),
        None => json!({ "key": key, "operator": "Exists" }),
    }
}
