//! `Node` and `Namespace`.

use super::metadata::Metadata;
use crate::wire::{Read, boolean, field, list, resources, text, timestamp};
use model::labels::{DO_NOT_CONSOLIDATE, DO_NOT_DISRUPT, EMPTINESS_TIMESTAMP, UNSCHEDULABLE_TAINT};
use model::labels::{INSTANCE_TYPE, normalize};
use model::{CapacityType, Effect, Labels, Node, Resources, Taint, Timestamp};
use serde_json::Value;

/// Reads a node; its price is found later.
pub(crate) fn read(object: &Value, metadata: Metadata) -> Read<Node> {
    let spec = field(object, "spec", Spec::read)?.unwrap_or_default();
    let status = field(object, "status", Status::read)?.unwrap_or_default();
    let mut node = bare(metadata);
    node.taints = spec.taints;
    node.provider_id = spec.provider_id;
    if spec.unschedulable {
        cordon(&mut node);
    }
    node.allocatable = status.allocatable;
    node.capacity = status.capacity;
    node.ready = status.ready;
    node.faults = status.faults;
    Ok(node)
}

/// A node of which only the metadata is known: nothing more fits on it.
pub(crate) fn bare(metadata: Metadata) -> Node {
    let says = |key: &str| metadata.annotation(key) == Some("true");
    Node {
        name: metadata.name.as_str().into(),
        do_not_disrupt: says(DO_NOT_DISRUPT) || says(DO_NOT_CONSOLIDATE),
        labels: with_todays_names_too(metadata.labels),
        taints: Vec::new(),
        allocatable: Resources::new(),
        capacity: Resources::new(),
        provider_id: String::new(),
        created_at: metadata.created_at,
        ready: false,
        unschedulable: false,
        deleting: metadata.deletion_at.is_some(),
        price: None,
        price_estimated: false,
        uid: metadata.uid,
        finalizer: metadata.finalizer,
        deletion_at: metadata.deletion_at,
        faults: Vec::new(),
    }
}

/// Keeps new pods away, as `kubectl cordon` does.
pub(crate) fn cordon(node: &mut Node) {
    node.unschedulable = true;
    if !node.taints.iter().any(|taint| taint.key == UNSCHEDULABLE_TAINT) {
        let key = UNSCHEDULABLE_TAINT.to_owned();
        node.taints.push(Taint { key, value: String::new(), effect: Effect::NoSchedule });
    }
}

/// Since when the node has been empty (the legacy annotation).
pub(crate) fn empty_since(metadata: &Metadata) -> Option<Timestamp> {
    let moment = metadata.annotation(EMPTINESS_TIMESTAMP)?.parse::<jiff::Timestamp>().ok()?;
    Some(Timestamp(moment.as_second()))
}

/// Old label names stay, for pods may still select by them; today's are added.
fn with_todays_names_too(mut own: Labels) -> Labels {
    let renamed = |(key, value): (&String, &String)| {
        let today = normalize(key);
        (today != key && !own.contains_key(today)).then(|| (today.to_owned(), value.clone()))
    };
    let added = own.iter().filter_map(renamed).collect::<Labels>();
    own.extend(added);
    own
}

#[derive(Default)]
struct Spec {
    taints: Vec<Taint>,
    provider_id: String,
    unschedulable: bool,
}

impl Spec {
    fn read(spec: &Value) -> Read<Self> {
        Ok(Self {
            taints: list(spec, "taints", super::selectors::taint)?,
            provider_id: field(spec, "providerID", text)?.unwrap_or_default().to_owned(),
            unschedulable: field(spec, "unschedulable", boolean)?.unwrap_or(false),
        })
    }
}

#[derive(Default)]
struct Status {
    allocatable: Resources,
    capacity: Resources,
    ready: bool,
    faults: Vec<(String, Timestamp)>,
}

/// Conditions that tell of a fault where they are false (karpenter-provider-aws, `cloudprovider.go`, its repair policies; those beside
/// `Ready` come from EKS's node monitoring agent).
const HEALTHY: [&str; 6] = [
    "Ready",
    "AcceleratedHardwareReady",
    "StorageReady",
    "NetworkingReady",
    "KernelReady",
    "ContainerRuntimeReady",
];

impl Status {
    fn read(status: &Value) -> Read<Self> {
        let conditions = list(status, "conditions", condition)?;
        let ready =
            |condition: &Condition<'_>| (condition.kind, condition.status) == ("Ready", "True");
        let capacity = field(status, "capacity", resources)?.unwrap_or_default();
        let allocatable = field(status, "allocatable", resources)?;
        Ok(Self {
            // The API server fills in allocatable from capacity.
            allocatable: allocatable.unwrap_or_else(|| capacity.clone()),
            capacity,
            ready: conditions.iter().any(ready),
            faults: conditions.iter().filter_map(fault).collect(),
        })
    }
}

struct Condition<'v> {
    kind: &'v str,
    status: &'v str,
    since: Option<Timestamp>,
}

fn condition(value: &Value) -> Read<Condition<'_>> {
    let of = |key| field(value, key, text).map(Option::unwrap_or_default);
    let since = field(value, "lastTransitionTime", timestamp)?;
    Ok(Condition { kind: of("type")?, status: of("status")?, since })
}

/// What the condition tells to be wrong, and since when; a kubelet that is silent leaves its conditions unknown.
fn fault(condition: &Condition<'_>) -> Option<(String, Timestamp)> {
    let silent = (condition.kind, condition.status) == ("Ready", "Unknown");
    let wrong = HEALTHY.contains(&condition.kind) && condition.status == "False";
    (wrong || silent).then_some((condition.kind.to_owned(), condition.since?))
}

/// The instance type and capacity type that a node's labels tell; none of a Fargate node.
pub(crate) fn bought_as(node: &Node) -> Option<(&str, CapacityType)> {
    if node.label("eks.amazonaws.com/compute-type") == Some("fargate") {
        return None;
    }
    node.label(INSTANCE_TYPE).map(|name| (name, node.capacity_type()))
}
