//! `Pod`.

use super::metadata::Metadata;
use super::pod_spec;
use crate::intern::Interner;
use crate::wire::{Read, field, list, required, text, timestamp};
use model::labels::{DO_NOT_DISRUPT, DO_NOT_EVICT, POD_DELETION_COST};
use model::pod::{Owner, PodPhase};
use model::{Duration, Pod, PodId, Timestamp};
use serde_json::Value;

/// A pod, and what of it depends on the snapshot's moment.
#[derive(Clone, Debug)]
pub(crate) struct ReadPod {
    pub(crate) pod: Pod,
    /// For how long after its creation it must not be disrupted, if that is bounded.
    pub(crate) protected_for: Option<Duration>,
}

/// Reads a pod.
pub(crate) fn read(object: &Value, metadata: Metadata, interner: &mut Interner) -> Read<ReadPod> {
    let status = object.get("status").filter(|status| status.is_object());
    let spec_value = required(object, "spec", Ok)?;
    let spec = pod_spec::read(spec_value, status, &metadata.labels)
        .map_err(|error| error.under("spec"))?;
    let node_name = named(field(spec_value, "nodeName", text)?);
    let state =
        field(object, "status", State::read)?.unwrap_or(State { unseen: true, ..State::default() });
    let gates = list(spec_value, "schedulingGates", Ok)?;
    let protection = Protection::of(&metadata);
    let pod = Pod {
        id: PodId {
            namespace: interner.name(&metadata.namespace),
            name: metadata.name.as_str().into(),
        },
        created_at: metadata.created_at,
        unschedulable: state.unschedulable || (state.unseen && node_name.is_none()),
        gated: !gates.is_empty(),
        owner: owner(&metadata),
        deletion_cost: metadata
            .annotation(POD_DELETION_COST)
            .and_then(|c| c.parse().ok())
            .unwrap_or(0),
        labels: interner.labels(metadata.labels),
        spec: interner.spec(spec),
        bound_at: node_name.and(state.bound_at),
        node_name: node_name.map(|name| interner.name(name)),
        nominated_node: state.nominated_node.map(|name| interner.name(name)),
        phase: state.phase,
        deletion_at: metadata.deletion_at,
        ready: state.ready,
        do_not_disrupt: protection == Protection::Always,
        uid: metadata.uid,
    };
    let protected_for = if let Protection::For(span) = protection { Some(span) } else { None };
    Ok(ReadPod { pod, protected_for })
}

fn named(name: Option<&str>) -> Option<&str> {
    name.filter(|name| !name.is_empty())
}

/// A mirror of a static pod is the node's, whether it says so or carries the kubelet's annotation.
fn owner(metadata: &Metadata) -> Option<Owner> {
    let mirror = metadata.annotation("kubernetes.io/config.mirror").is_some();
    let node = || Owner { kind: "Node".to_owned(), name: String::new() };
    metadata.owner.clone().or_else(|| mirror.then(node))
}

/// What the status says.
#[derive(Default)]
struct State<'v> {
    phase: PodPhase,
    unschedulable: bool,
    /// No scheduler has looked at it: a manifest, not a pod of a cluster.
    unseen: bool,
    nominated_node: Option<&'v str>,
    /// When the scheduler found its node, or the kubelet first saw it.
    bound_at: Option<Timestamp>,
    ready: bool,
}

impl<'v> State<'v> {
    fn read(status: &'v Value) -> Read<Self> {
        let conditions = list(status, "conditions", |condition| {
            let of = |key| field(condition, key, text).map(Option::unwrap_or_default);
            Ok((of("type")?, of("status")?, of("reason")?))
        })?;
        let phase = field(status, "phase", text)?.map(phase).unwrap_or_default();
        let scheduled = list(status, "conditions", scheduled_at)?.into_iter().flatten().next();
        let started = field(status, "startTime", timestamp)?;
        Ok(Self {
            phase,
            unschedulable: conditions.contains(&("PodScheduled", "False", "Unschedulable")),
            unseen: conditions.is_empty() && phase == PodPhase::Pending,
            nominated_node: named(field(status, "nominatedNodeName", text)?),
            bound_at: scheduled.or(started),
            ready: conditions.iter().any(|(kind, status, _)| (*kind, *status) == ("Ready", "True")),
        })
    }
}

/// When the condition became true, if it tells that a scheduler found a node.
fn scheduled_at(condition: &Value) -> Read<Option<Timestamp>> {
    let of = |key| field(condition, key, text).map(Option::unwrap_or_default);
    if (of("type")?, of("status")?) != ("PodScheduled", "True") {
        return Ok(None);
    }
    field(condition, "lastTransitionTime", timestamp)
}

fn phase(text: &str) -> PodPhase {
    match text {
        "Running" => PodPhase::Running,
        "Succeeded" => PodPhase::Succeeded,
        "Failed" => PodPhase::Failed,
        "Unknown" => PodPhase::Unknown,
        _ => PodPhase::Pending,
    }
}

/// Whether the pod's annotations forbid disrupting it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protection {
    None,
    Always,
    /// For so long after its creation (Karpenter's `do-not-disrupt: 4h`).
    For(Duration),
}

impl Protection {
    fn of(metadata: &Metadata) -> Self {
        if metadata.annotation(DO_NOT_EVICT) == Some("true") {
            return Self::Always;
        }
        match metadata.annotation(DO_NOT_DISRUPT) {
            Some("true") => Self::Always,
            Some(span) => go_duration(span).map_or(Self::None, Self::For),
            None => Self::None,
        }
    }
}

/// A span as Go writes it in whole numbers: `1h30m`, `45s`.
fn go_duration(text: &str) -> Option<Duration> {
    let mut seconds = 0_i64;
    let mut number = None;
    for character in text.chars() {
        let unit = match character {
            'h' => 3600,
            'm' => 60,
            's' => 1,
            digit => {
                let digit = i64::from(digit.to_digit(10)?);
                number = Some(number.unwrap_or(0_i64).checked_mul(10)?.checked_add(digit)?);
                continue;
            }
        };
        seconds = seconds.checked_add(number.take()?.checked_mul(unit)?)?;
    }
    (number.is_none() && !text.is_empty()).then_some(Duration(seconds))
}

/// The latest moment that the object tells of as past: its creation, its start, its conditions.
pub(crate) fn latest_moment(object: &Value) -> Option<Timestamp> {
    let moment = |value: &Value, key: &str| value.get(key).and_then(|text| timestamp(text).ok());
    let created = object.get("metadata").and_then(|metadata| moment(metadata, "creationTimestamp"));
    let status = object.get("status");
    let started = status.and_then(|status| moment(status, "startTime"));
    let conditions = status.and_then(|status| status.get("conditions")).and_then(Value::as_array);
    let of_condition =
        |condition| ["lastTransitionTime", "lastHeartbeatTime"].map(|key| moment(condition, key));
    let in_conditions = conditions.into_iter().flatten().flat_map(of_condition).flatten();
    in_conditions.chain(created).chain(started).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<i64>) {
        assert_eq!(go_duration(text), expected.map(Duration), "{text:?}");
    }

    #[test]
    fn spans_are_read_as_go_writes_them() {
        check("45s", Some(45));
        check("1h30m", Some(5400));
        check("false", None);
        check("10", None);
        check("", None);
        check("h", None);
        check("99999999999999999999h", None);
    }
}
