//! Karpenter's custom resources, which the crate `api` reads.

use crate::collection::{Collection, Here};
use crate::finding::{DumpFinding, Severity};
use api::Object;
use serde_json::Value;

/// Takes an object of a kind that the API crate knows; any other is skipped.
pub(crate) fn take(collection: &mut Collection, value: &Value, here: &Here) {
    let Some(reading) = api::read(value) else { return };
    collection.zone_ids.extend(zone_ids(value));
    for finding in reading.findings {
        let severity = severity(finding.severity);
        let finding = here.finding(severity, finding.rule, finding.path, finding.message);
        collection.findings.push(finding);
    }
    for object in reading.objects {
        match object {
            Object::NodePool(pool) => collection.pool(pool, here),
            Object::NodeClass(class) => collection.class(class),
            Object::NodeClaim(claim) => collection.claim(claim),
        }
    }
}

/// Zone ids by name, which an EC2NodeClass's status tells of its subnets.
fn zone_ids(value: &Value) -> Vec<(String, String)> {
    let subnets = value.pointer("/status/subnets").and_then(Value::as_array);
    let pair = |subnet: &Value| {
        let of = |key: &str| subnet.get(key)?.as_str().map(str::to_owned);
        of("zone").zip(of("zoneID").filter(|id| !id.is_empty()))
    };
    subnets.into_iter().flatten().filter_map(pair).collect()
}

/// Checks pools and classes against each other.
pub(crate) fn link(collection: &mut Collection) {
    let classes = std::mem::take(&mut collection.snapshot.node_classes);
    for (pool, finding) in api::link(&mut collection.snapshot.node_pools, &classes) {
        let place = collection.pool_places.get(&pool).cloned();
        collection.findings.push(DumpFinding {
            severity: severity(finding.severity),
            place,
            object: format!("NodePool {pool}"),
            path: finding.path,
            rule: finding.rule.to_owned(),
            message: finding.message,
        });
    }
    collection.snapshot.node_classes = classes;
}

fn severity(severity: api::Severity) -> Severity {
    match severity {
        api::Severity::Error => Severity::Error,
        api::Severity::Warning => Severity::Warning,
    }
}
