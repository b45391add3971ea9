//! Reading whole objects: every rule accepted and refused, and what the objects become.

mod aws_node_template;
mod class_spec;
mod conversion;
mod definitions;
mod disruption;
mod ec2_node_class;
mod gen3;
mod leniency;
mod linking;
mod node_claim;
mod node_pool;
mod provisioner;

use crate::finding::OF_TAKING_AWAY;
use crate::{Object, Reading, read};
use model::{NodeClaim, NodeClass, NodePool};
use serde_json::{Value, json};

/// The object with the value at `path` (`spec.taints.0.key`) replaced; `null` takes it away.
fn with(mut object: Value, path: &str, value: Value) -> Value {
    let mut at = &mut object;
    for part in path.split('.').map(|part| part.replace('~', ".")) {
        at = match part.parse::<usize>() {
            Ok(index) if at.is_array() => &mut at[index],
            _ => &mut at[part],
        };
    }
    *at = value;
    object
}

fn reading(object: &Value) -> Reading {
    read(object).unwrap_or_else(|| panic!("not one of ours: {object}"))
}

/// `severity path rule` of every finding.
fn findings(object: &Value) -> Vec<String> {
    let text = |finding: &crate::Finding| {
        format!("{} {} {}", finding.severity, finding.path, finding.rule)
    };
    reading(object).findings.iter().map(text).collect()
}

/// Checks the findings, and that an object has a problem exactly if there is an error that matters where nodes are made.
fn check_findings(object: &Value, expected: &[&str]) {
    assert_eq!(findings(object), expected, "{object}");
    let of_making = |finding: &str| {
        let path = finding.strip_prefix("error ");
        path.is_some_and(|path| !OF_TAKING_AWAY.iter().any(|other| path.starts_with(other)))
    };
    let broken = expected.iter().any(|finding| of_making(finding));
    for object in reading(object).objects {
        let problem = match object {
            Object::NodePool(pool) => pool.problem,
            Object::NodeClass(class) => class.problem,
            Object::NodeOverlay(overlay) => overlay.problem,
            Object::NodeClaim(_) => continue,
        };
        assert_eq!(problem.is_some(), broken, "{problem:?}");
    }
}

fn pool(object: &Value) -> NodePool {
    match reading(object).objects.into_iter().next() {
        Some(Object::NodePool(pool)) => pool,
        other => panic!("{other:?}"),
    }
}

fn class(object: &Value) -> NodeClass {
    match reading(object).objects.into_iter().next_back() {
        Some(Object::NodeClass(class)) => class,
        other => panic!("{other:?}"),
    }
}

fn claim(object: &Value) -> NodeClaim {
    match reading(object).objects.into_iter().next() {
        Some(Object::NodeClaim(claim)) => claim,
        other => panic!("{other:?}"),
    }
}

fn provisioner() -> Value {
    json!({
        "apiVersion": "karpenter.sh/v1alpha5",
        "kind": "Provisioner",
        "metadata": { "name": "default" },
        "spec": { "providerRef": { "name": "default" } }
    })
}

fn node_template() -> Value {
    json!({
        "apiVersion": "karpenter.k8s.aws/v1alpha1",
        "kind": "AWSNodeTemplate",
        "metadata": { "name": "default" },
        "spec": {
            "subnetSelector": { "karpenter.sh/discovery": "vpc" },
            "securityGroupSelector": { "karpenter.sh/discovery": "vpc" }
        }
    })
}

fn node_pool() -> Value {
    json!({
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": { "name": "default" },
        "spec": { "template": { "spec": {
            "requirements": [{ "key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"] }],
            "nodeClassRef": { "group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default" }
        } } }
    })
}

fn beta_node_pool() -> Value {
    let pool = with(node_pool(), "apiVersion", json!("karpenter.sh/v1beta1"));
    with(pool, "spec.template.spec.nodeClassRef", json!({ "name": "default" }))
}

fn node_class() -> Value {
    json!({
        "apiVersion": "karpenter.k8s.aws/v1",
        "kind": "EC2NodeClass",
        "metadata": { "name": "default" },
        "spec": {
            "role": "nodes",
            "amiSelectorTerms": [{ "alias": "al2023@latest" }],
            "subnetSelectorTerms": [{ "tags": { "karpenter.sh/discovery": "vpc" } }],
            "securityGroupSelectorTerms": [{ "tags": { "karpenter.sh/discovery": "vpc" } }]
        }
    })
}

fn beta_node_class() -> Value {
    let class = with(node_class(), "apiVersion", json!("karpenter.k8s.aws/v1beta1"));
    let class = with(class, "spec.amiFamily", json!("AL2"));
    with(class, "spec.amiSelectorTerms", Value::Null)
}

fn node_claim() -> Value {
    json!({
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodeClaim",
        "metadata": {
            "name": "default-x1",
            "labels": { "karpenter.sh/nodepool": "default", "topology.kubernetes.io/zone": "us-east-1a" },
            "creationTimestamp": "2026-01-01T00:00:00Z"
        },
        "spec": {
            "requirements": [
                { "key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["m5.large"] },
                { "key": "karpenter.sh/capacity-type", "operator": "In", "values": ["spot"] },
                { "key": "kubernetes.io/arch", "operator": "In", "values": ["amd64", "arm64"] }
            ],
            "taints": [{ "key": "role", "value": "jupyter", "effect": "NoSchedule" }],
            "startupTaints": [{ "key": "boot", "effect": "NoExecute" }],
            "nodeClassRef": { "group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default" }
        },
        "status": {
            "nodeName": "ip-10-0-0-1.ec2.internal",
            "providerID": "aws:///us-east-1a/i-1",
            "capacity": { "cpu": "2", "memory": "8Gi", "pods": "29" },
            "allocatable": { "cpu": "1930m", "memory": "7Gi", "pods": 29 }
        }
    })
}
