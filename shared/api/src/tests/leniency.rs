//! Bad input costs only itself.

use super::*;
use crate::{custom_resource_definitions, link};
use proptest::prelude::*;

#[test]
fn other_kinds_are_none_of_ours() {
    for object in [
        json!({}),
        json!(null),
        json!([1]),
        json!({ "kind": "NodePool" }),
        json!({ "apiVersion": "v1", "kind": "Pod" }),
        json!({ "apiVersion": "karpenter.sh/v1alpha5", "kind": "NodePool" }),
        json!({ "apiVersion": 1, "kind": "NodePool" }),
    ] {
        assert_eq!(read(&object), None, "{object}");
    }
}

#[test]
fn only_an_object_without_a_name_gives_no_object() {
    let check = |metadata: Value, expected: &[&str], objects: usize| {
        let object = with(node_pool(), "metadata", metadata);
        assert_eq!(findings(&object), expected);
        assert_eq!(reading(&object).objects.len(), objects);
    };
    check(json!({ "name": "a" }), &[], 1);
    check(json!({}), &["error metadata.name required"], 0);
    check(Value::Null, &["error metadata.name required"], 0);
    check(json!({ "name": "" }), &["error metadata.name required"], 0);
    check(json!({ "name": 5 }), &["error metadata.name type"], 0);
    check(json!("a"), &["error metadata type", "error metadata.name required"], 0);
    check(json!({ "name": "A b" }), &["error metadata.name name", "error metadata.name name"], 1);
    check(json!({ "name": "x".repeat(64) }), &["error metadata.name name"], 1);
    check(json!({ "name": "a", "labels": { "b": 1 } }), &["error metadata.labels.b type"], 1);
    check(
        json!({ "name": "a", "creationTimestamp": "today" }),
        &["warning metadata.creationTimestamp time"],
        1,
    );
}

#[test]
fn unknown_fields_are_named_and_left_out() {
    let object = with(node_pool(), "spec.template.spec.nodeclassref", json!({}));
    let reading = reading(&object);
    assert_eq!(reading.findings.len(), 1);
    let finding = &reading.findings[0];
    assert_eq!(
        (finding.path.as_str(), finding.rule),
        ("spec.template.spec.nodeclassref", "unknown-field")
    );
    assert!(finding.message.contains("nodeClassRef"), "{}", finding.message);
    check_findings(&with(node_pool(), "extra", json!(1)), &["warning extra unknown-field"]);
}

#[test]
fn every_broken_field_is_found_and_the_rest_is_read() {
    let object = with(node_pool(), "spec.weight", json!("heavy"));
    let object = with(object, "spec.limits", json!({ "cpu": "x", "memory": "1Gi" }));
    let object = with(
        object,
        "spec.template.spec.taints",
        json!(["a", { "key": "b", "effect": "NoSchedule" }]),
    );
    assert_eq!(
        findings(&object),
        [
            "error spec.limits.cpu quantity",
            "error spec.template.spec.taints[0] type",
            "error spec.weight type",
        ]
    );
    let pool = pool(&object);
    assert_eq!((pool.limits.get("memory"), pool.taints.len()), (1 << 30, 1));
    assert!(pool.problem.unwrap().ends_with("(and 2 more)"));
}

#[test]
fn a_value_that_no_instance_type_has_is_fine() {
    let given = json!([{ "key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["p4.huge"] }]);
    check_findings(&with(node_pool(), "spec.template.spec.requirements", given), &[]);
}

/// Values of every JSON type, with the field names of our kinds among the keys.
fn any_value() -> impl Strategy<Value = Value> {
    let mut names: Vec<String> = Vec::new();
    custom_resource_definitions()
        .iter()
        .for_each(|definition| collect_names(definition, &mut names));
    names.sort();
    names.dedup();
    let word = prop_oneof![
        prop::sample::select(names.clone()),
        prop::sample::select(vec![
            "In",
            "Gt",
            "NoSchedule",
            "10%",
            "720h",
            "Never",
            "-1",
            "é",
            "9e99",
            "1Gi"
        ])
        .prop_map(str::to_owned),
        ".{0,8}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(word.clone(), inner, 0..6).prop_map(|map| json!(map)),
        ]
    })
}

fn collect_names(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            names.extend(
                map.get("properties")
                    .and_then(Value::as_object)
                    .into_iter()
                    .flatten()
                    .map(|(key, _)| key.clone()),
            );
            map.values().for_each(|value| collect_names(value, names));
        }
        Value::Array(list) => list.iter().for_each(|value| collect_names(value, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    let mut below = |name: &str, value: &Value| {
        let at = if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
        found.push(at.clone());
        places(value, &at, found);
    };
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| below(&key.replace('.', "~"), value))
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(index, value)| below(&index.to_string(), value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn any_object() -> impl Strategy<Value = Value> {
    let objects = vec![
        provisioner(),
        node_template(),
        node_pool(),
        beta_node_pool(),
        node_class(),
        beta_node_class(),
        node_claim(),
    ];
    (prop::sample::select(objects), any::<prop::sample::Index>(), any_value()).prop_map(
        |(object, index, value)| {
            let mut found = Vec::new();
            places(&object, "", &mut found);
            let place = index.get(&found).clone();
            if place == "apiVersion" || place == "kind" {
                object
            } else {
                with(object, &place, value)
            }
        },
    )
}

proptest! {
    #[test]
    fn no_value_makes_reading_panic(value in any_value()) {
        read(&value);
    }

    #[test]
    fn no_value_anywhere_in_an_object_makes_reading_panic_or_differ(object in any_object()) {
        let first = reading(&object);
        prop_assert_eq!(&first, &reading(&object));
        let mut pools: Vec<_> = first.objects.iter().filter_map(|object| match object {
            Object::NodePool(pool) => Some(pool.clone()),
            Object::NodeClass(_) | Object::NodeClaim(_) | Object::NodeOverlay(_) => None,
        }).collect();
        link(&mut pools, &[]);
    }
}
