//! Karpenter's custom resources, which the crate `api` reads.

use crate::collection::Collection;
use crate::entry::Here;
use crate::finding::{DumpFinding, Severity};
use api::Object;
use serde_json::Value;

/// What one custom resource gave.
#[derive(Clone, Debug)]
pub(crate) struct Custom {
    pub(crate) objects: Vec<Object>,
    /// Zone ids by name, as an EC2NodeClass's status tells them.
    pub(crate) zone_ids: Vec<(String, String)>,
}

/// Reads an object of a kind that the API crate knows, with its findings; any other is skipped.
pub(crate) fn read(value: &Value, here: &Here) -> Option<(Custom, Vec<DumpFinding>)> {
    let reading = api::read(value)?;
    let findings = reading.findings.into_iter().map(|finding| {
        let severity = severity(finding.severity);
        here.finding(severity, finding.rule, finding.path, finding.message)
    });
    let custom = Custom { objects: reading.objects, zone_ids: zone_ids(value) };
    Some((custom, findings.collect()))
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
