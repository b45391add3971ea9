use super::*;
use serde_json::{Value, json};

fn pod(changes: &[(&str, Value)]) -> Value {
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": [{ "manager": "x" }],
        },
        "spec": { "containers": [{ "name": "c", "env": [{ "name": "TOKEN", "value": "secret" }] }] },
        "status": {
            "phase": "Pending",
            "conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "lastTransitionTime": "2026-01-01T00:00:05Z",
            }],
        },
    });
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        pod.pointer_mut(parent).unwrap()[key] = value.clone();
    }
    pod
}

fn kept(changes: &[(&str, Value)]) -> Option<PendingPod> {
    serde_json::from_value::<Slim<PodWire>>(pod(changes)).unwrap().kept
}

#[test]
fn provisionable_pods_are_those_of_upstream() {
    let check = |changes: &[(&str, Value)], expected: bool| {
        assert_eq!(kept(changes).is_some(), expected, "{changes:?}");
    };
    check(&[], true);
    check(&[("/spec/nodeName", json!("n"))], false);
    check(&[("/spec/nodeName", json!(""))], true);
    check(&[("/status/nominatedNodeName", json!("n"))], false);
    check(&[("/status/conditions", json!([]))], false);
    check(&[("/status/conditions", Value::Null)], false);
    check(&[("/status/conditions/0/reason", json!("SchedulingGated"))], false);
    check(&[("/status/conditions/0/status", json!("True"))], false);
    check(&[("/status/conditions/0/type", json!("Ready"))], false);
    check(&[("/status/phase", json!("Failed"))], false);
    check(&[("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z"))], false);
    let owner = |kind: &str| ("/metadata/ownerReferences", json!([{ "kind": kind, "name": "o" }]));
    check(&[owner("DaemonSet")], false);
    check(&[owner("Node")], false);
    check(&[owner("ReplicaSet")], true);
}

#[test]
fn a_pending_pod_waits_since_the_scheduler_gave_up() {
    let since = |changes: &[(&str, Value)]| kept(changes).unwrap().since.to_string();
    assert_eq!(since(&[]), "2026-01-01T00:00:05Z");
    let no_transition = ("/status/conditions/0/lastTransitionTime", Value::Null);
    assert_eq!(since(&[no_transition]), "2026-01-01T00:00:00Z");
    assert_eq!(&*kept(&[]).unwrap().name, "n/a");
}

#[test]
fn only_the_identity_is_kept_of_metadata() {
    use kube::Resource;
    let slim = serde_json::from_value::<Slim<PodWire>>(pod(&[])).unwrap();
    assert_eq!(slim.meta().uid.as_deref(), Some("u"));
    assert_eq!(slim.meta().resource_version.as_deref(), Some("7"));
    assert_eq!(slim.meta().managed_fields, None);
    assert!(!format!("{slim:?}").contains("secret"));
}

#[test]
fn half_written_objects_are_of_no_interest() {
    assert!(serde_json::from_str::<Slim<PodWire>>("{}").unwrap().kept.is_none());
    let node = serde_json::from_str::<Slim<NodeWire>>("{}").unwrap().kept.unwrap();
    assert!(!node.ours && !node.deleting && !node.readiness.ready);
    assert!(!serde_json::from_str::<Slim<ClaimWire>>("{}").unwrap().kept.unwrap().initialized);
}

#[test]
fn nodes_are_read() {
    let node = json!({
        "metadata": { "name": "ip-1", "uid": "u", "labels": { labels::PROVISIONER_NAME: "p" } },
        "spec": {
            "providerID": "aws:///z/i-1",
            "taints": [{ "key": "a", "effect": "NoSchedule" }, { "key": "b", "value": "v", "effect": "NoExecute" }],
        },
        "status": {
            "allocatable": { "cpu": "2", "nvidia.com/gpu": "0" },
            "conditions": [{ "type": "Ready", "status": "True" }],
            "images": [{ "names": ["x"] }],
        },
    });
    let node = serde_json::from_value::<Slim<NodeWire>>(node).unwrap().kept.unwrap();
    assert!(node.ours && node.readiness.ready);
    assert_eq!(node.provider_id.as_deref(), Some("aws:///z/i-1"));
    assert_eq!(Vec::from_iter(&node.readiness.taints), ["a:NoSchedule", "b:NoExecute"]);
    assert_eq!(Vec::from_iter(&node.readiness.resources), ["cpu"]);
}

#[test]
fn claims_are_read() {
    let claim = |initialized: &str| {
        let claim = json!({
            "metadata": { "name": "c", "uid": "u" },
            "status": {
                "providerID": "aws:///z/i-1",
                "conditions": [{ "type": "Initialized", "status": initialized }],
            },
        });
        serde_json::from_value::<Slim<ClaimWire>>(claim).unwrap().kept.unwrap()
    };
    assert!(claim("True").initialized);
    assert!(!claim("Unknown").initialized);
    assert_eq!(claim("True").provider_id.as_deref(), Some("aws:///z/i-1"));
}
