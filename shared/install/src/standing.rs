//! Nodes that stand outside Joiner's management.

use crate::problem::Problem;
use crate::problem_of::of_kube;
use crate::site::Site;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::ListParams;
use model::labels::{NODE_POOL, PROVISIONER_NAME, ZONE};
use std::collections::BTreeMap;

/// A node that no pool made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Its name.
    pub(crate) name: String,
    /// Its zone; empty if it does not tell.
    pub(crate) zone: String,
    /// Its instance, if its provider id tells.
    pub(crate) instance: Option<String>,
}

/// Nodes that run on EC2 and belong to no pool, ready or not.
pub(crate) async fn unmanaged(site: &Site) -> Result<Vec<Standing>, Problem> {
    Ok(list(site).await?.iter().filter(|node| is_unmanaged(node)).map(standing).collect())
}

/// Nodes that are ready, take pods, run on EC2 and belong to no pool.
pub(crate) async fn unmanaged_ready(site: &Site) -> Result<Vec<Standing>, Problem> {
    Ok(list(site).await?.iter().filter(|node| stands(node)).map(standing).collect())
}

async fn list(site: &Site) -> Result<Vec<Node>, Problem> {
    let nodes: Api<Node> = Api::all(site.kube.clone());
    let listed = nodes.list(&ListParams::default()).await;
    let listed =
        listed.map_err(|error| of_kube("list", "nodes", "nodes of the cluster", &error))?;
    Ok(listed.items)
}

fn is_unmanaged(node: &Node) -> bool {
    let labels = node.metadata.labels.as_ref();
    let has = |name: &str| labels.is_some_and(|labels| labels.contains_key(name));
    let fargate = labels.and_then(|labels| labels.get("eks.amazonaws.com/compute-type"));
    let managed = has(NODE_POOL) || has(PROVISIONER_NAME);
    !managed && fargate.is_none_or(|kind| kind != "fargate")
}

fn stands(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions.is_some_and(|all| {
        all.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    });
    let cordoned = node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true);
    ready && !cordoned && is_unmanaged(node)
}

fn standing(node: &Node) -> Standing {
    let empty = BTreeMap::new();
    let labels = node.metadata.labels.as_ref().unwrap_or(&empty);
    let provider = node.spec.as_ref().and_then(|spec| spec.provider_id.as_ref());
    let last = provider.and_then(|id| id.rsplit('/').next());
    Standing {
        name: node.metadata.name.clone().unwrap_or_default(),
        zone: labels.get(ZONE).cloned().unwrap_or_default(),
        instance: last.filter(|id| id.starts_with("i-")).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn node(labels: Value, ready: &str, cordoned: bool) -> Node {
        serde_json::from_value(json!({
            "metadata": { "name": "a", "labels": labels },
            "spec": { "unschedulable": cordoned, "providerID": "aws:///us-east-1a/i-1" },
            "status": { "conditions": [{ "type": "Ready", "status": ready }] },
        }))
        .unwrap()
    }

    #[test]
    fn pools_nodes_and_those_that_are_not_ready_do_not_count() {
        let check = |node: Node, expected| assert_eq!(stands(&node), expected, "{node:?}");
        check(node(json!({}), "True", false), true);
        check(node(json!({}), "False", false), false);
        check(node(json!({}), "True", true), false);
        check(node(json!({ NODE_POOL: "a" }), "True", false), false);
        check(node(json!({ PROVISIONER_NAME: "a" }), "True", false), false);
        check(node(json!({ "eks.amazonaws.com/compute-type": "fargate" }), "True", false), false);
        let standing = standing(&node(json!({ ZONE: "z" }), "True", false));
        assert_eq!((standing.zone.as_str(), standing.instance.as_deref()), ("z", Some("i-1")));
    }
}
