//! The legacy and the modern way of saying the same thing become the same pool and class.

use super::*;
use model::pool::ApiVersion;

/// A legacy pool's spec beside that of a modern pool that means the same.
fn check(legacy: Value, modern: Value) {
    // The requirements that the legacy webhook adds must be written out in a modern pool.
    let given = json!([
        { "key": "kubernetes.io/os", "operator": "In", "values": ["linux"] },
        { "key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"] },
        { "key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"] },
        { "key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["m5.large"] }
    ]);
    let mut legacy_object = with(provisioner(), "spec.requirements", given.clone());
    let mut modern_object = with(node_pool(), "spec.template.spec.requirements", given);
    // What an unset field means differs: never there, 720h and 0s here. A tenth is the budget of both.
    modern_object["spec"]["template"]["spec"]["expireAfter"] = json!("Never");
    modern_object["spec"]["disruption"] = json!({ "consolidateAfter": "Never" });
    for (path, value) in legacy.as_object().unwrap() {
        legacy_object = with(legacy_object, path, value.clone());
    }
    for (path, value) in modern.as_object().unwrap() {
        modern_object = with(modern_object, path, value.clone());
    }
    let mut old = pool(&legacy_object);
    assert_eq!(old.api_version, ApiVersion::Legacy);
    old.api_version = ApiVersion::V1;
    let new = pool(&modern_object);
    // What counts as drift differs too.
    assert_eq!(NodePool { hash: new.hash.clone(), ..old.clone() }, new, "{legacy}");
    assert_eq!(old.problem, None);
}

#[test]
fn each_legacy_setting_has_its_modern_counterpart() {
    check(json!({}), json!({}));
    check(
        json!({ "spec.labels": { "a": "b" }, "spec.annotations": { "c": "d" } }),
        json!({ "spec.template.metadata": { "labels": { "a": "b" }, "annotations": { "c": "d" } } }),
    );
    let taints = json!([{ "key": "a", "value": "b", "effect": "NoSchedule" }]);
    check(json!({ "spec.taints": taints }), json!({ "spec.template.spec.taints": taints }));
    check(
        json!({ "spec.startupTaints": taints }),
        json!({ "spec.template.spec.startupTaints": taints }),
    );
    check(
        json!({ "spec.limits": { "resources": { "cpu": 1000, "memory": "1Ti" } } }),
        json!({ "spec.limits": { "cpu": "1k", "memory": "1024Gi" } }),
    );
    check(
        json!({ "spec.ttlSecondsAfterEmpty": 30 }),
        json!({ "spec.disruption.consolidationPolicy": "WhenEmpty", "spec.disruption.consolidateAfter": "30s" }),
    );
    check(
        json!({ "spec.consolidation": { "enabled": true } }),
        json!({ "spec.disruption.consolidationPolicy": "WhenEmptyOrUnderutilized", "spec.disruption.consolidateAfter": "0s" }),
    );
    check(json!({ "spec.consolidation": { "enabled": false } }), json!({}));
    check(
        json!({ "spec.ttlSecondsUntilExpired": 2592000 }),
        json!({ "spec.template.spec.expireAfter": "720h" }),
    );
    check(json!({ "spec.weight": 7 }), json!({ "spec.weight": 7 }));
    check(
        json!({ "spec.providerRef": { "name": "gpu" } }),
        json!({ "spec.template.spec.nodeClassRef": { "group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "gpu" } }),
    );
}

#[test]
fn the_kubelets_settings_mean_the_same_in_all_three_places() {
    let settings = json!({ "maxPods": 20, "kubeReserved": { "cpu": "100m" }, "evictionHard": { "memory.available": "5%" } });
    let legacy = pool(&with(provisioner(), "spec.kubeletConfiguration", settings.clone())).kubelet;
    let beta =
        pool(&with(beta_node_pool(), "spec.template.spec.kubelet", settings.clone())).kubelet;
    let modern = class(&with(node_class(), "spec.kubelet", settings)).kubelet;
    assert!(legacy.is_some());
    assert_eq!(legacy, beta);
    assert_eq!(legacy, modern);
}

#[test]
fn a_legacy_template_and_a_modern_class_become_the_same_class() {
    let devices = json!([{ "deviceName": "/dev/xvda", "ebs": { "volumeSize": "50Gi" } }]);
    let old = class(&with(node_template(), "spec.blockDeviceMappings", devices.clone()));
    let new = with(node_class(), "spec.blockDeviceMappings", devices);
    let new = with(new, "spec.amiSelectorTerms", json!([{ "alias": "al2@latest" }]));
    let new = class(&new);
    assert_eq!(NodeClass { hash: new.hash.clone(), ..old.clone() }, new);
    assert_eq!(old.problem, None);
}
