//! Budgets, Joiner's annotations of pools, and hashes.

use super::*;
use model::MicroUsdPerHour;
use model::disruption::{Rebalance, Window};
use model::{Duration, Timestamp};

/// Budgets as `nodes reasons schedule duration`.
fn check_budgets(given: Value, errors: &[&str], expected: &[&str]) {
    let object = with(node_pool(), "spec.disruption.budgets", given);
    check_findings(&object, errors);
    let budgets = pool(&object).disruption.budgets;
    let text = budgets.iter().map(|budget| {
        let span = budget.duration.map(|duration| duration.0.to_string()).unwrap_or_default();
        let schedule = budget.schedule.as_deref().unwrap_or_default();
        format!("{} {} {schedule} {span}", budget.nodes, budget.reasons.join(",")).trim().to_owned()
    });
    assert_eq!(text.collect::<Vec<_>>(), expected);
}

#[test]
fn budgets_are_read() {
    let all = json!([
        { "nodes": "20%" },
        { "nodes": "0", "reasons": ["Drifted", "Empty"] },
        { "nodes": "1", "schedule": "@daily", "duration": "1h30m" }
    ]);
    check_budgets(all, &[], &["20%", "0 Drifted,Empty", "1  @daily 5400"]);
    check_budgets(json!([]), &[], &[]);
}

#[test]
fn budgets_that_cannot_be_read_allow_nothing() {
    const AT: &str = "spec.disruption.budgets";
    let check = |budget: Value, rule: &str| {
        check_budgets(json!([budget]), &[&format!("error {AT}{rule}")], &["0"]);
    };
    check(json!({ "nodes": "many" }), "[0].nodes pattern");
    check(json!({ "nodes": 5 }), "[0].nodes type");
    check(json!({}), "[0].nodes required");
    check(json!("5"), "[0] type");
    check(json!({ "nodes": "5", "reasons": ["Tired"] }), "[0].reasons[0] enum");
    check(json!({ "nodes": "5", "schedule": "0 9 * * *" }), "[0] budget-schedule");
    check(json!({ "nodes": "5", "duration": "8h" }), "[0] budget-schedule");
    check(json!({ "nodes": "5", "schedule": "0 25 * * *", "duration": "8h" }), "[0].schedule cron");
    check_budgets(json!("5"), &[&format!("error {AT} type")], &["0"]);
}

#[test]
fn a_date_that_never_comes_is_found() {
    let budget = json!([{ "nodes": "0", "schedule": "0 0 30 2 *", "duration": "8h" }]);
    let finding = "warning spec.disruption.budgets[0].schedule cron-never";
    check_budgets(budget.clone(), &[finding], &["0  0 0 30 2 * 28800"]);
    let mut pool = pool(&with(node_pool(), "spec.disruption.budgets", budget));
    crate::set_windows(&mut pool, Timestamp(0));
    assert_eq!(pool.disruption.budgets[0].window, Window::Never);
}

#[test]
fn pools_say_what_only_joiner_knows() {
    let annotations = json!({
        "joiner.dev/saving-per-move": "0.73",
        "joiner.dev/rebalance": "replace",
        "joiner.dev/rotate": "2026-01-01T00:00:00Z",
        "joiner.dev/disruption-windows": "sat 01:00-02:00",
    });
    for object in [node_pool(), beta_node_pool(), provisioner()] {
        let object = with(object, "metadata.annotations", annotations.clone());
        check_findings(&object, &[]);
        let mut pool = pool(&object);
        assert_eq!(pool.disruption.saving_per_move, Some(MicroUsdPerHour(1_000)));
        assert_eq!(pool.disruption.rebalance, Rebalance::Replace);
        assert_eq!(pool.disruption.rotate_before, Some(Timestamp(1_767_225_600)));
        assert_eq!(pool.disruption.allowed, Window::Always, "nobody has asked for a moment yet");
        // A Thursday; the Saturday after it begins 48 hours later.
        crate::set_windows(&mut pool, Timestamp(1_767_225_600));
        assert_eq!(pool.disruption.allowed, Window::From(Timestamp(1_767_225_600 + 49 * 3600)));
    }
}

#[test]
fn what_a_pool_says_and_cannot_be_read_keeps_to_the_safe_side() {
    for key in ["saving-per-move", "rebalance", "rotate", "disruption-windows"] {
        let annotations = json!({ format!("joiner.dev/{key}"): "sometimes" });
        let object = with(node_pool(), "metadata.annotations", annotations);
        let path = format!("metadata.annotations[\"joiner.dev/{key}\"]");
        check_findings(&object, &[&format!("error {path} pool-annotation")]);
        let mut rules = pool(&object).disruption;
        let expected = if key == "disruption-windows" { Window::Never } else { Window::Always };
        assert_eq!(rules.allowed, expected, "{key}");
        rules.allowed = Window::Always;
        assert_eq!(rules, pool(&node_pool()).disruption, "{key}");
    }
}

/// Whether the change of that field is drift.
fn check_hash(object: Value, path: &str, value: Value, drifts: bool) {
    let hash = |object: &Value| match reading(object).objects.pop() {
        Some(Object::NodePool(pool)) => pool.hash.unwrap(),
        Some(Object::NodeClass(class)) => class.hash.unwrap(),
        other => panic!("{other:?}"),
    };
    let before = hash(&object);
    let (version, digest) = before.split_once('/').unwrap();
    assert_eq!((version, digest.parse::<u64>().is_ok()), ("joiner-1", true), "{before}");
    assert_eq!(hash(&object), before);
    assert_eq!(hash(&with(object, path, value)) != before, drifts, "{path}");
}

#[test]
fn a_pools_hash_tells_of_its_template_but_for_requirements() {
    let taint = json!([{ "key": "a", "effect": "NoSchedule" }]);
    let check = |path: &str, value: Value, drifts| check_hash(node_pool(), path, value, drifts);
    check("spec.template.spec.taints", taint.clone(), true);
    check("spec.template.spec.startupTaints", taint.clone(), true);
    check("spec.template.metadata", json!({ "labels": { "a": "b" } }), true);
    check("spec.template.metadata", json!({ "annotations": { "a": "b" } }), true);
    check("spec.template.spec.expireAfter", json!("24h"), true);
    check("spec.template.spec.terminationGracePeriod", json!("24h"), true);
    check("spec.template.spec.nodeClassRef.name", json!("other"), true);
    check("spec.template.spec.requirements", json!([]), false);
    check("spec.limits", json!({ "cpu": "5" }), false);
    check("spec.weight", json!(5), false);
    check("spec.disruption", json!({ "consolidateAfter": "5m" }), false);
    check("metadata.annotations", json!({ "joiner.dev/rebalance": "replace" }), false);
    check_hash(beta_node_pool(), "spec.template.spec.kubelet", json!({ "maxPods": 5 }), true);
    let legacy = |path: &str, value: Value, drifts| check_hash(provisioner(), path, value, drifts);
    legacy("spec.taints", taint, true);
    legacy("spec.labels", json!({ "a": "b" }), true);
    legacy("spec.kubeletConfiguration", json!({ "clusterDNS": ["10.0.0.10"] }), true);
    legacy("spec.ttlSecondsUntilExpired", json!(5), false);
    legacy("spec.providerRef.name", json!("other"), false);
}

#[test]
fn a_classs_hash_tells_of_all_but_its_selectors() {
    let check = |path: &str, value: Value, drifts| check_hash(node_class(), path, value, drifts);
    check("spec.userData", json!("echo"), true);
    check("spec.tags", json!({ "a": "b" }), true);
    check("spec.kubelet", json!({ "maxPods": 5 }), true);
    check("spec.role", json!("other"), true);
    check("spec.metadataOptions", json!({ "httpTokens": "optional" }), true);
    check("spec.subnetSelectorTerms", json!([{ "id": "subnet-1" }]), false);
    check("spec.amiSelectorTerms", json!([{ "alias": "al2023@v20250915" }]), false);
    check("status", json!({ "amis": [] }), false);
    check_hash(node_template(), "spec.userData", json!("echo"), true);
    check_hash(node_template(), "spec.subnetSelector", json!({ "a": "b" }), false);
}

#[test]
fn the_default_budget_is_a_tenth_in_every_version() {
    for object in [node_pool(), beta_node_pool(), provisioner()] {
        let budgets = pool(&object).disruption.budgets;
        assert_eq!((budgets.len(), budgets[0].nodes.as_str()), (1, "10%"));
        assert_eq!((budgets[0].duration, budgets[0].window), (None::<Duration>, Window::Always));
    }
}
