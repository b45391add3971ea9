use super::*;
use model::{ValueSet, labels};

fn check(path: &str, value: Value, expected: &[&str]) {
    check_findings(&with(provisioner(), path, value), expected);
}

#[test]
fn every_field_of_the_reference_is_known() {
    let spec = json!({
        "annotations": { "a": "b" },
        "labels": { "team": "a" },
        "taints": [{ "key": "a", "value": "b", "effect": "NoSchedule" }],
        "startupTaints": [{ "key": "c", "effect": "NoExecute" }],
        "requirements": [{ "key": "kubernetes.io/arch", "operator": "In", "values": ["arm64"] }],
        "kubeletConfiguration": {
            "clusterDNS": ["10.0.0.10"], "containerRuntime": "containerd", "maxPods": 20, "podsPerCore": 2,
            "systemReserved": { "cpu": "100m" }, "kubeReserved": { "memory": "1Gi" },
            "evictionHard": { "memory.available": "5%" }, "evictionSoft": { "memory.available": "1Gi" },
            "evictionSoftGracePeriod": { "memory.available": "1m" }, "evictionMaxPodGracePeriod": 60,
            "imageGCHighThresholdPercent": 85, "imageGCLowThresholdPercent": 80, "cpuCFSQuota": true
        },
        "providerRef": { "kind": "AWSNodeTemplate", "name": "default", "apiVersion": "karpenter.k8s.aws/v1alpha1" },
        "ttlSecondsAfterEmpty": 30,
        "ttlSecondsUntilExpired": 604800,
        "limits": { "resources": { "cpu": 1000, "memory": "4Ti" } },
        "weight": 10,
        "consolidation": { "enabled": false }
    });
    let status = json!({
        "lastScaleTime": "2026-01-01T00:00:00Z",
        "conditions": [{ "type": "Active", "status": "True" }],
        "resources": { "cpu": "10" }
    });
    let object = with(with(provisioner(), "spec", spec), "status", status);
    check_findings(&object, &[]);
    let pool = pool(&object);
    let kubelet = pool.kubelet.unwrap();
    assert_eq!((kubelet.max_pods, kubelet.pods_per_core), (Some(20), Some(2)));
    assert_eq!(kubelet.system_reserved.get("cpu"), 100);
    assert_eq!(pool.limits.get("cpu"), 1_000_000);
    assert_eq!(pool.weight, 10);
}

#[test]
fn provider_and_provider_ref_exclude_each_other() {
    check("spec.weight", json!(1), &[]);
    check("spec.providerRef", Value::Null, &["error spec.providerRef provider-or-provider-ref"]);
    let inline = json!({ "subnetSelector": { "a": "b" }, "securityGroupSelector": { "a": "b" } });
    check("spec.provider", inline.clone(), &["error spec.provider provider-or-provider-ref"]);
    check_findings(&with(provisioner(), "spec", json!({ "provider": inline })), &[]);
    check("spec.providerRef.name", Value::Null, &["error spec.providerRef.name required"]);
    check("spec.providerRef.name", json!(""), &["error spec.providerRef.name length"]);
    check(
        "spec.providerRef.kind",
        json!("EC2NodeClass"),
        &["error spec.providerRef.kind provider-kind"],
    );
}

#[test]
fn inline_settings_become_a_class_of_their_own() {
    let settings = json!({
        "apiVersion": "extensions.karpenter.sh/v1alpha1", "kind": "AWS", "amiFamily": "Bottlerocket",
        "subnetSelector": { "a": "b" }, "securityGroupSelector": { "a": "b" },
        "blockDeviceMappings": [{ "deviceName": "/dev/xvdb", "ebs": { "volumeSize": "80Gi" } }]
    });
    let object = with(provisioner(), "spec", json!({ "provider": settings }));
    check_findings(&object, &[]);
    let class = class(&object);
    assert_eq!(class.name, pool(&object).node_class);
    assert_eq!(class.ephemeral_storage_bytes, 80 << 30);
    let broken = with(object, "spec.provider.subnetSelector", Value::Null);
    check_findings(&broken, &["error spec.provider.subnetSelector required"]);
}

#[test]
fn emptiness_and_consolidation_exclude_each_other() {
    let both = |empty: Value, enabled: Value| {
        let object = with(provisioner(), "spec.ttlSecondsAfterEmpty", empty);
        with(object, "spec.consolidation", json!({ "enabled": enabled }))
    };
    let refused = ["error spec.ttlSecondsAfterEmpty empty-or-consolidation"];
    check_findings(&both(json!(30), json!(true)), &refused);
    check_findings(&both(json!(0), json!(true)), &refused);
    check_findings(&both(json!(30), json!(false)), &[]);
    check_findings(&both(json!(30), Value::Null), &[]);
    check_findings(&both(Value::Null, json!(true)), &[]);
}

#[test]
fn numbers_are_in_their_ranges() {
    check("spec.weight", json!(100), &[]);
    check("spec.weight", json!(0), &["error spec.weight range"]);
    check("spec.weight", json!(101), &["error spec.weight range"]);
    check("spec.weight", json!("1"), &["error spec.weight type"]);
    check("spec.weight", json!(1.5), &["error spec.weight type"]);
    check("spec.ttlSecondsAfterEmpty", json!(0), &[]);
    check("spec.ttlSecondsAfterEmpty", json!(-1), &["error spec.ttlSecondsAfterEmpty range"]);
    check("spec.ttlSecondsUntilExpired", json!(-1), &["error spec.ttlSecondsUntilExpired range"]);
    let kubelet = |name: &str| format!("spec.kubeletConfiguration.{name}");
    check(&kubelet("maxPods"), json!(-1), &["error spec.kubeletConfiguration.maxPods range"]);
    check(
        &kubelet("podsPerCore"),
        json!(-1),
        &["error spec.kubeletConfiguration.podsPerCore range"],
    );
    check(
        &kubelet("maxPods"),
        json!(9_999_999_999_i64),
        &["error spec.kubeletConfiguration.maxPods range"],
    );
    let percent = "error spec.kubeletConfiguration.imageGCHighThresholdPercent range";
    check(&kubelet("imageGCHighThresholdPercent"), json!(101), &[percent]);
    let runtime = "error spec.kubeletConfiguration.containerRuntime enum";
    check(&kubelet("containerRuntime"), json!("docker"), &[runtime]);
}

#[test]
fn quantities_are_neither_negative_nor_absurd() {
    for value in [json!(1000), json!("1000"), json!("4k"), json!(0.5), json!("0")] {
        check("spec.limits", json!({ "resources": { "cpu": value } }), &[]);
    }
    let refused = [
        (json!("-1"), "quantity-negative"),
        (json!(-1), "quantity-negative"),
        (json!("many"), "quantity"),
        (json!(""), "quantity"),
        (json!("99999999999999999999Ei"), "quantity-too-large"),
        (json!(true), "type"),
        (json!([]), "type"),
    ];
    for (value, rule) in refused {
        let finding = format!("error spec.limits.resources.cpu {rule}");
        check("spec.limits", json!({ "resources": { "cpu": value } }), &[&finding]);
    }
}

#[test]
fn labels_and_requirements_follow_the_legacy_restrictions() {
    let label = |key: &str| json!({ key: "x" });
    check("spec.labels", label("jina.ai/node-type"), &[]);
    check("spec.labels", label("node.kubernetes.io/x"), &[]);
    let refused = |key: &str, rule: &str| {
        let finding = format!("error spec.labels[{key:?}] {rule}");
        check("spec.labels", label(key), &[&finding]);
    };
    refused("kubernetes.io/hostname", "label-restricted");
    refused("karpenter.sh/provisioner-name", "label-restricted");
    refused("kubernetes.io/mine", "label-restricted");
    refused("a b", "label-key");
    check("spec.labels", json!({ "a": "b c" }), &["error spec.labels.a label-value"]);
    check("spec.labels", json!({ "a": true }), &["error spec.labels.a type"]);
    let requirement =
        |key: &str, operator: &str| json!([{ "key": key, "operator": operator, "values": ["1"] }]);
    check("spec.requirements", requirement("team", "Gt"), &[]);
    check(
        "spec.requirements",
        requirement("team", "Gte"),
        &["error spec.requirements[0].operator enum"],
    );
    check(
        "spec.requirements",
        requirement("karpenter.sh/provisioner-name", "In"),
        &["error spec.requirements[0].key label-restricted"],
    );
    check(
        "spec.requirements",
        json!([{ "operator": "Exists" }]),
        &["error spec.requirements[0].key required"],
    );
    check(
        "spec.requirements",
        json!([{ "key": "a", "operator": "In", "values": [] }]),
        &["error spec.requirements[0].values requirement-values"],
    );
    check(
        "spec.requirements",
        json!([{ "key": "a", "operator": "Exists", "minValues": 2 }]),
        &["warning spec.requirements[0].minValues unknown-field"],
    );
}

#[test]
fn a_taint_without_effect_is_read_as_no_schedule() {
    check("spec.taints", json!([{ "key": "a" }]), &["warning spec.taints[0].effect taint-effect"]);
    check(
        "spec.taints",
        json!([{ "key": "a", "effect": "Never" }]),
        &["error spec.taints[0].effect enum", "warning spec.taints[0].effect taint-effect"],
    );
    check(
        "spec.taints",
        json!([{ "effect": "NoSchedule" }]),
        &["error spec.taints[0].key required"],
    );
    let twice =
        json!([{ "key": "a", "effect": "NoSchedule" }, { "key": "a", "effect": "NoSchedule" }]);
    check("spec.startupTaints", twice, &["error spec.startupTaints[1] taint-repeated"]);
}

fn required(requirements: Value) -> Vec<(String, String)> {
    let pool = pool(&with(provisioner(), "spec.requirements", requirements));
    pool.requirements.iter().map(|(key, set)| (key.to_owned(), set.to_string())).collect()
}

fn check_defaults(requirements: Value, expected: &[(&str, &str)]) {
    let expected: Vec<_> =
        expected.iter().map(|(key, set)| ((*key).to_owned(), (*set).to_owned())).collect();
    assert_eq!(required(requirements.clone()), expected, "{requirements}");
}

#[test]
fn the_webhooks_defaults_are_added_where_a_key_is_absent() {
    const CATEGORY: (&str, &str) = ("karpenter.k8s.aws/instance-category", "In [c, m, r]");
    const GENERATION: (&str, &str) = ("karpenter.k8s.aws/instance-generation", "Exists > 2");
    const CAPACITY: (&str, &str) = (labels::CAPACITY_TYPE, "In [on-demand]");
    const ARCH: (&str, &str) = (labels::ARCH, "In [amd64]");
    const OS: (&str, &str) = (labels::OS, "In [linux]");
    check_defaults(json!([]), &[CATEGORY, GENERATION, CAPACITY, ARCH, OS]);
    check_defaults(
        json!([{ "key": labels::CAPACITY_TYPE, "operator": "In", "values": ["spot"] }]),
        &[CATEGORY, GENERATION, (labels::CAPACITY_TYPE, "In [spot]"), ARCH, OS],
    );
    check_defaults(
        json!([{ "key": "beta.kubernetes.io/arch", "operator": "In", "values": ["arm64"] }]),
        &[CATEGORY, GENERATION, CAPACITY, (labels::ARCH, "In [arm64]"), OS],
    );
    check_defaults(
        json!([{ "key": labels::OS, "operator": "Exists" }]),
        &[CATEGORY, GENERATION, CAPACITY, ARCH, (labels::OS, "Exists")],
    );
    for name in ["instance-family", "instance-category", "instance-generation"] {
        let key = format!("karpenter.k8s.aws/{name}");
        check_defaults(
            json!([{ "key": key, "operator": "In", "values": ["7"] }]),
            &[(&key, "In [7]"), CAPACITY, ARCH, OS],
        );
    }
    check_defaults(
        json!([{ "key": labels::INSTANCE_TYPE, "operator": "In", "values": ["m5.large"] }]),
        &[CAPACITY, ARCH, OS, (labels::INSTANCE_TYPE, "In [m5.large]")],
    );
}

#[test]
fn labels_are_kept_apart_from_requirements() {
    let object = with(
        provisioner(),
        "spec.labels",
        json!({ "team": "a", "beta.kubernetes.io/os": "linux" }),
    );
    let pool = pool(&object);
    assert_eq!(pool.labels.get("team").map(String::as_str), Some("a"));
    assert_eq!(pool.labels.get(labels::OS).map(String::as_str), Some("linux"));
    assert_eq!(pool.requirements.get("team"), None);
    assert_eq!(pool.requirements.get(labels::OS), Some(&ValueSet::only("linux")));
}
