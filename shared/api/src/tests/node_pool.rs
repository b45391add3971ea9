use super::*;
use model::pool::{ApiVersion, Budget, ConsolidationPolicy};
use model::{Duration, labels};

fn check(path: &str, value: Value, expected: &[&str]) {
    check_findings(&with(node_pool(), path, value), expected);
}

fn check_beta(path: &str, value: Value, expected: &[&str]) {
    check_findings(&with(beta_node_pool(), path, value), expected);
}

#[test]
fn every_field_of_the_reference_is_known() {
    let spec = json!({
        "template": {
            "metadata": { "labels": { "team": "a" }, "annotations": { "note": "b" } },
            "spec": {
                "requirements": [{ "key": "karpenter.k8s.aws/instance-cpu", "operator": "Gte", "values": ["4"], "minValues": 2 }],
                "taints": [{ "key": "a", "value": "b", "effect": "NoSchedule" }],
                "startupTaints": [{ "key": "c", "effect": "NoExecute" }],
                "nodeClassRef": { "group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "gpu" },
                "expireAfter": "48h0m0s",
                "terminationGracePeriod": "1h30m"
            }
        },
        "disruption": {
            "consolidationPolicy": "WhenEmpty", "consolidateAfter": "30s",
            "budgets": [{ "nodes": "5" }, { "nodes": "0", "reasons": ["Drifted"], "schedule": "0 9 * * mon-fri", "duration": "8h" }]
        },
        "limits": { "cpu": 1000, "memory": "4Ti", "nodes": 20 },
        "weight": 99
    });
    let status = json!({
        "resources": { "cpu": "1" }, "nodes": 1, "nodeClassObservedGeneration": 1,
        "conditions": [{ "type": "Ready", "status": "True", "reason": "", "message": "", "lastTransitionTime": "x", "observedGeneration": 1 }]
    });
    let object = with(with(node_pool(), "spec", spec), "status", status);
    check_findings(&object, &[]);
    let pool = pool(&object);
    assert_eq!(
        (pool.api_version, pool.weight, pool.node_class.as_str()),
        (ApiVersion::V1, 99, "gpu")
    );
    assert_eq!(pool.labels.get("team").map(String::as_str), Some("a"));
    assert_eq!(pool.annotations.get("note").map(String::as_str), Some("b"));
    assert_eq!(pool.min_values, [("karpenter.k8s.aws/instance-cpu".to_owned(), 2)]);
    assert_eq!(pool.expire_after, Some(Duration(172_800)));
    assert_eq!(pool.termination_grace_period, Some(Duration(5_400)));
    assert_eq!((pool.limits.get("cpu"), pool.limits.get("nodes")), (1_000_000, 20));
    assert_eq!((pool.taints.len(), pool.startup_taints.len()), (1, 1));
    assert_eq!(pool.disruption.policy, ConsolidationPolicy::WhenEmpty);
    assert_eq!(pool.disruption.consolidate_after, Some(Duration(30)));
    let working_hours = Budget {
        nodes: "0".to_owned(),
        reasons: vec!["Drifted".to_owned()],
        schedule: Some("0 9 * * mon-fri".to_owned()),
        duration: Some(Duration(28_800)),
        window: model::disruption::Window::Always,
    };
    assert_eq!(pool.disruption.budgets[1], working_hours);
}

#[test]
fn defaults_fill_what_is_absent() {
    let tenth = Budget::always("10%");
    for object in [node_pool(), beta_node_pool()] {
        check_findings(&object, &[]);
        let pool = pool(&object);
        assert_eq!(pool.expire_after, Some(Duration(2_592_000)));
        assert_eq!(pool.termination_grace_period, None);
        assert_eq!(pool.disruption.policy, ConsolidationPolicy::WhenEmptyOrUnderutilized);
        assert_eq!(pool.disruption.consolidate_after, Some(Duration(0)));
        assert_eq!(pool.disruption.budgets, std::slice::from_ref(&tenth));
        assert_eq!((pool.weight, pool.replicas, pool.problem), (0, None, None));
    }
    let keys: Vec<_> =
        pool(&node_pool()).requirements.iter().map(|(key, _)| key.to_owned()).collect();
    assert_eq!(keys, [labels::ARCH], "modern pools get no requirements of the legacy webhook");
}

#[test]
fn never_is_a_span() {
    let pool = pool(&with(
        with(node_pool(), "spec.template.spec.expireAfter", json!("Never")),
        "spec.disruption.consolidateAfter",
        json!("Never"),
    ));
    assert_eq!((pool.expire_after, pool.disruption.consolidate_after), (None, None));
    check(
        "spec.template.spec.terminationGracePeriod",
        json!("Never"),
        &["error spec.template.spec.terminationGracePeriod pattern"],
    );
    for text in ["30d", "-1h", "", "soon"] {
        check(
            "spec.template.spec.expireAfter",
            json!(text),
            &["error spec.template.spec.expireAfter pattern"],
        );
        check(
            "spec.disruption.consolidateAfter",
            json!(text),
            &["error spec.disruption.consolidateAfter pattern"],
        );
    }
    check(
        "spec.template.spec.expireAfter",
        json!("99999999999999999999h"),
        &["error spec.template.spec.expireAfter duration"],
    );
}

#[test]
fn the_template_is_required() {
    check("spec", json!({}), &["error spec.template required"]);
    check("spec", Value::Null, &["error spec required"]);
    check("spec.template.spec", Value::Null, &["error spec.template.spec required"]);
    check(
        "spec.template.spec.requirements",
        Value::Null,
        &["error spec.template.spec.requirements required"],
    );
    check(
        "spec.template.spec.nodeClassRef",
        Value::Null,
        &["error spec.template.spec.nodeClassRef required"],
    );
    for name in ["group", "kind", "name"] {
        let path = format!("spec.template.spec.nodeClassRef.{name}");
        check(&path, Value::Null, &[&format!("error {path} required")]);
        check(&path, json!(""), &[&format!("error {path} length")]);
    }
    check_beta(
        "spec.template.spec.nodeClassRef.name",
        Value::Null,
        &["error spec.template.spec.nodeClassRef.name required"],
    );
}

#[test]
fn requirements_and_labels_are_bounded_and_restricted() {
    let many = |count: usize| json!(vec![json!({ "key": "team", "operator": "Exists" }); count]);
    let path = "spec.template.spec.requirements";
    check(path, many(100), &[]);
    check(path, many(101), &["error spec.template.spec.requirements length"]);
    let one = |key: &str, operator: &str, values: Value, min: Value| json!([{ "key": key, "operator": operator, "values": values, "minValues": min }]);
    check(path, one("team", "Lte", json!(["3"]), Value::Null), &[]);
    check(
        path,
        one("team", "Near", json!(["3"]), Value::Null),
        &["error spec.template.spec.requirements[0].operator enum"],
    );
    check(path, one("team", "Exists", Value::Null, json!(50)), &[]);
    check(
        path,
        one("team", "Exists", Value::Null, json!(51)),
        &["error spec.template.spec.requirements[0].minValues range"],
    );
    check(
        path,
        one("team", "Exists", Value::Null, json!(0)),
        &["error spec.template.spec.requirements[0].minValues range"],
    );
    check(
        path,
        one("team", "In", json!(["a"]), json!(2)),
        &["error spec.template.spec.requirements[0].minValues min-values"],
    );
    check(
        path,
        one("kubernetes.io/hostname", "In", json!(["a"]), Value::Null),
        &["error spec.template.spec.requirements[0].key label-restricted"],
    );
    check(
        path,
        one("karpenter.sh/nodepool", "In", json!(["a"]), Value::Null),
        &["error spec.template.spec.requirements[0].key label-restricted"],
    );
    check(path, one("kubernetes.io/mine", "In", json!(["a"]), Value::Null), &[]);
    let labels =
        |count: usize| Value::Object((0..count).map(|n| (format!("l{n}"), json!("x"))).collect());
    check("spec.template.metadata", json!({ "labels": labels(100) }), &[]);
    check(
        "spec.template.metadata",
        json!({ "labels": labels(101) }),
        &["error spec.template.metadata.labels length"],
    );
    check(
        "spec.template.metadata",
        json!({ "labels": { "karpenter.sh/x": "y" } }),
        &["error spec.template.metadata.labels[\"karpenter.sh/x\"] label-restricted"],
    );
}

#[test]
fn budgets_are_counts_or_percentages_with_schedule_and_duration_together() {
    let budget = |budget: Value| json!({ "budgets": [budget] });
    let at = |rest: &str| format!("error spec.disruption.budgets[0]{rest}");
    for nodes in ["0", "12", "0%", "100%", "7%"] {
        check("spec.disruption", budget(json!({ "nodes": nodes })), &[]);
    }
    for nodes in ["", "101%", "-1", "1.5", "ten"] {
        check("spec.disruption", budget(json!({ "nodes": nodes })), &[&at(".nodes pattern")]);
    }
    check("spec.disruption", budget(json!({ "nodes": 5 })), &[&at(".nodes type")]);
    check("spec.disruption", budget(json!({})), &[&at(".nodes required")]);
    check(
        "spec.disruption",
        budget(json!({ "nodes": "1", "reasons": ["Expired"] })),
        &[&at(".reasons[0] enum")],
    );
    check(
        "spec.disruption",
        budget(json!({ "nodes": "1", "schedule": "@daily" })),
        &[&at(" budget-schedule")],
    );
    check(
        "spec.disruption",
        budget(json!({ "nodes": "1", "duration": "1h" })),
        &[&at(" budget-schedule")],
    );
    check(
        "spec.disruption",
        budget(json!({ "nodes": "1", "schedule": "@daily", "duration": "1h30m" })),
        &[],
    );
    check(
        "spec.disruption",
        budget(json!({ "nodes": "1", "schedule": "daily", "duration": "1h" })),
        &[&at(".schedule cron")],
    );
    check(
        "spec.disruption",
        budget(json!({ "nodes": "1", "schedule": "@daily", "duration": "30s" })),
        &[&at(".duration pattern"), &at(" budget-schedule")],
    );
    check(
        "spec.disruption",
        json!({ "budgets": vec![json!({ "nodes": "1" }); 51] }),
        &["error spec.disruption.budgets length"],
    );
    check("spec.disruption.consolidationPolicy", json!("Balanced"), &[]);
    check(
        "spec.disruption.consolidationPolicy",
        json!("WhenUnderutilized"),
        &["error spec.disruption.consolidationPolicy enum"],
    );
}

#[test]
fn a_static_pool_has_no_weight_and_only_a_limit_of_nodes() {
    let fixed = with(node_pool(), "spec.replicas", json!(3));
    check_findings(&fixed, &[]);
    assert_eq!(pool(&fixed).replicas, Some(3));
    check_findings(&with(fixed.clone(), "spec.limits", json!({ "nodes": 5 })), &[]);
    check_findings(
        &with(fixed.clone(), "spec.limits", json!({ "cpu": 5 })),
        &["error spec.limits.cpu static-pool"],
    );
    check_findings(&with(fixed, "spec.weight", json!(5)), &["error spec.weight static-pool"]);
    check("spec.replicas", json!(-1), &["error spec.replicas range"]);
    check("spec.weight", json!(101), &["error spec.weight range"]);
}

#[test]
fn v1beta1_bounds_consolidate_after_to_when_empty() {
    let rules = |policy: &str, after: Value| json!({ "consolidationPolicy": policy, "consolidateAfter": after });
    let refused = ["error spec.disruption.consolidateAfter consolidate-after"];
    check_beta("spec.disruption", rules("WhenEmpty", json!("10s")), &[]);
    check_beta("spec.disruption", rules("WhenEmpty", Value::Null), &refused);
    check_beta("spec.disruption", rules("WhenUnderutilized", Value::Null), &[]);
    check_beta("spec.disruption", rules("WhenUnderutilized", json!("Never")), &[]);
    check_beta("spec.disruption", rules("WhenUnderutilized", json!("10s")), &refused);
    check_beta(
        "spec.disruption.consolidationPolicy",
        json!("WhenEmptyOrUnderutilized"),
        &["error spec.disruption.consolidationPolicy enum"],
    );
}

#[test]
fn v1beta1_keeps_the_kubelet_and_expiry_elsewhere() {
    let object = with(beta_node_pool(), "spec.template.spec.kubelet", json!({ "maxPods": 42 }));
    let object = with(object, "spec.disruption.expireAfter", json!("48h0m0s"));
    check_findings(&object, &[]);
    let pool = pool(&object);
    assert_eq!(pool.api_version, ApiVersion::V1Beta1);
    assert_eq!(pool.kubelet.unwrap().max_pods, Some(42));
    assert_eq!(pool.expire_after, Some(Duration(172_800)));
    check(
        "spec.template.spec.kubelet",
        json!({}),
        &["warning spec.template.spec.kubelet unknown-field"],
    );
    check(
        "spec.disruption.expireAfter",
        json!("1h"),
        &["warning spec.disruption.expireAfter unknown-field"],
    );
    check_beta(
        "spec.template.spec.kubelet",
        json!({ "kubeReserved": { "gpu": 1 } }),
        &["error spec.template.spec.kubelet.kubeReserved.gpu kubelet-key"],
    );
}

#[test]
fn classes_of_other_providers_make_a_pool_unusable_but_not_wrong() {
    let reference = json!({ "group": "eks.amazonaws.com", "kind": "NodeClass", "name": "default" });
    let object = with(node_pool(), "spec.template.spec.nodeClassRef", reference);
    assert_eq!(findings(&object), ["warning spec.template.spec.nodeClassRef node-class-kind"]);
    assert!(pool(&object).problem.unwrap().contains("eks.amazonaws.com"));
    let reference =
        json!({ "apiVersion": "karpenter.k8s.aws/v1beta1", "kind": "EC2NodeClass", "name": "a" });
    check_beta("spec.template.spec.nodeClassRef", reference, &[]);
}

#[test]
fn a_pool_that_is_not_ready_says_why() {
    let status = json!({ "conditions": [{ "type": "Ready", "status": "False", "reason": "NodeClassNotReady", "message": "no subnets" }] });
    let object = with(node_pool(), "status", status);
    assert_eq!(findings(&object), Vec::<String>::new());
    assert_eq!(pool(&object).problem.as_deref(), Some("not ready: no subnets"));
}
