//! The defaults of legacy objects, as JSON patches (RFC 6902).
//!
//! The API server's own defaulting by schema covers the rest: this is what a schema cannot say.

use serde_json::{Value, json};

/// What to add to the object; nothing for kinds other than the legacy ones.
/// A node template gets its defaults when it is made and never later: they are part of the hash by which a Karpenter that
/// still runs beside Joiner finds drift, and it would replace every node.
pub(crate) fn patch(object: &Value, is_new: bool) -> Vec<Value> {
    match (object["apiVersion"].as_str(), object["kind"].as_str()) {
        (Some("karpenter.sh/v1alpha5"), Some("Provisioner")) => provisioner(object),
        (Some("karpenter.k8s.aws/v1alpha1"), Some("AWSNodeTemplate")) if is_new => {
            node_template(object)
        }
        _ => Vec::new(),
    }
}

/// The requirements that the legacy webhook of karpenter-provider-aws adds where the key is absent.
fn provisioner(object: &Value) -> Vec<Value> {
    let spec = &object["spec"];
    let given = spec["requirements"].as_array().map(Vec::as_slice).unwrap_or_default();
    let keys = given.iter().filter_map(|requirement| requirement["key"].as_str());
    let missing = api::default_requirements(&keys.collect::<Vec<_>>());
    if missing.is_empty() || !spec.is_object() {
        return Vec::new();
    }
    let mut patch = Vec::new();
    if !spec["requirements"].is_array() {
        patch.push(add("/spec/requirements", json!([])));
    }
    patch.extend(missing.into_iter().map(|requirement| add("/spec/requirements/-", requirement)));
    patch
}

/// The image family; a launch template of the user's own excludes it.
fn node_template(object: &Value) -> Vec<Value> {
    let spec = &object["spec"];
    let is_given = |name: &str| !spec[name].is_null();
    if !spec.is_object() || is_given("amiFamily") || is_given("launchTemplate") {
        return Vec::new();
    }
    vec![add("/spec/amiFamily", json!("AL2"))]
}

fn add(path: &str, value: Value) -> Value {
    json!({ "op": "add", "path": path, "value": value })
}

#[cfg(test)]
#[path = "defaults/tests.rs"]
mod tests;
