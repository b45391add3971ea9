use super::*;
use crate::custom_resource_definitions;

/// What an API server accepts in a structural schema, of what ours may use.
const KEYWORDS: &[&str] = &[
    "additionalProperties",
    "anyOf",
    "default",
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "pattern",
    "properties",
    "required",
    "type",
    "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields",
];

fn check_structural(schema: &Value, path: &str) {
    let map = schema.as_object().unwrap_or_else(|| panic!("{path}: {schema}"));
    for key in map.keys() {
        assert!(KEYWORDS.contains(&key.as_str()), "{path}: {key}");
    }
    let int_or_string = map.contains_key("x-kubernetes-int-or-string");
    assert!(int_or_string != map.contains_key("type"), "{path} must have one type");
    assert!(int_or_string || !map.contains_key("anyOf"), "{path}: anyOf");
    assert!(
        !(map.contains_key("properties") && map.contains_key("additionalProperties")),
        "{path}"
    );
    let types = ["object", "array", "string", "integer", "boolean"];
    assert!(int_or_string || types.contains(&schema["type"].as_str().unwrap()), "{path}");
    assert_eq!(schema["type"] == "array", map.contains_key("items"), "{path}");
    for required in map.get("required").and_then(Value::as_array).into_iter().flatten() {
        assert!(
            schema["properties"].get(required.as_str().unwrap()).is_some(),
            "{path}: {required}"
        );
    }
    for (name, part) in map.get("properties").and_then(Value::as_object).into_iter().flatten() {
        check_structural(part, &format!("{path}.{name}"));
    }
    for key in ["items", "additionalProperties"] {
        map.get(key).into_iter().for_each(|part| check_structural(part, &format!("{path}.{key}")));
    }
}

fn summary(definition: &Value) -> String {
    let spec = &definition["spec"];
    let versions = spec["versions"].as_array().unwrap().iter().map(|version| {
        let flag = |name: &'static str| if version[name] == true { name } else { "" };
        format!("{}:{}:{}", version["name"].as_str().unwrap(), flag("served"), flag("storage"))
    });
    let versions: Vec<_> = versions.collect();
    format!(
        "{} {} {}",
        definition["metadata"]["name"].as_str().unwrap(),
        spec["scope"].as_str().unwrap(),
        versions.join(" ")
    )
}

#[test]
fn there_is_a_definition_of_each_kind() {
    let all: Vec<_> = custom_resource_definitions().iter().map(summary).collect();
    assert_eq!(
        all,
        [
            "provisioners.karpenter.sh Cluster v1alpha5:served:storage",
            "awsnodetemplates.karpenter.k8s.aws Cluster v1alpha1:served:storage",
            "nodepools.karpenter.sh Cluster v1:served:storage v1beta1::",
            "nodeclaims.karpenter.sh Cluster v1:served:storage v1beta1::",
            "nodeoverlays.karpenter.sh Cluster v1alpha1:served:storage",
            "ec2nodeclasses.karpenter.k8s.aws Cluster v1:served:storage v1beta1::",
        ]
    );
}

#[test]
fn schemas_are_structural() {
    for definition in custom_resource_definitions() {
        for version in definition["spec"]["versions"].as_array().unwrap() {
            let schema = &version["schema"]["openAPIV3Schema"];
            check_structural(schema, &summary(&definition));
            assert_eq!(schema["required"], json!(["spec"]));
        }
    }
}

#[test]
fn the_webhooks_fields_and_defaults_are_in_the_schema() {
    let definitions = custom_resource_definitions();
    let at = |index: usize, path: &str| {
        definitions[index]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
            .pointer(path)
            .cloned()
    };
    let kubelet =
        "/properties/spec/properties/kubeletConfiguration/properties/containerRuntime/type";
    assert_eq!(at(0, kubelet), Some(json!("string")));
    let expiry =
        "/properties/spec/properties/template/properties/spec/properties/expireAfter/default";
    assert_eq!(at(2, expiry), Some(json!("720h")));
    assert_eq!(at(5, "/properties/spec/properties/kubelet/properties/containerRuntime"), None);
}
