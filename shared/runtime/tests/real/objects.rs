//! Objects that tests apply.

use serde_json::{Value, json};

/// A node class that finds what the account has.
pub(crate) fn class() -> Value {
    let found = json!([{ "tags": { "karpenter.sh/discovery": "demo" } }]);
    json!({
        "apiVersion": "karpenter.k8s.aws/v1", "kind": "EC2NodeClass", "metadata": { "name": "default" },
        "spec": {
            "amiSelectorTerms": [{ "alias": "al2023@latest" }],
            "instanceProfile": "KarpenterNodeInstanceProfile-demo",
            "subnetSelectorTerms": found, "securityGroupSelectorTerms": found,
        },
    })
}

/// A pool of these types on demand in these zones, whose empty nodes go at once.
pub(crate) fn pool(types: &[&str], zones: &[&str]) -> Value {
    json!({
        "apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": { "name": "default" },
        "spec": {
            "disruption": { "consolidateAfter": "0s", "consolidationPolicy": "WhenEmpty", "budgets": [{ "nodes": "100%" }] },
            "template": { "spec": {
                "nodeClassRef": { "group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default" },
                "requirements": [
                    { "key": "node.kubernetes.io/instance-type", "operator": "In", "values": types },
                    { "key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"] },
                    { "key": "topology.kubernetes.io/zone", "operator": "In", "values": zones },
                ],
            }},
        },
    })
}

/// A deployment of so many pods, of which a node of 4 cores holds one.
pub(crate) fn deployment(replicas: usize) -> Value {
    let labels = json!({ "app": "web" });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
        "spec": {
            "replicas": replicas, "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "terminationGracePeriodSeconds": 1, "containers": [{
                    "name": "main", "image": "web",
                    "resources": { "requests": { "cpu": "2500m", "memory": "1Gi" } },
                }]},
            },
        },
    })
}
