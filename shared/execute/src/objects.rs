//! The objects that execute writes to, by reference.

use crate::ports::ObjectRef;
use model::PodId;

/// The API of claims.
pub(crate) const CLAIM_API: &str = "karpenter.sh/v1";

fn cluster_scoped(api_version: &'static str, resource: &'static str, name: &str) -> ObjectRef {
    ObjectRef { api_version, resource, namespace: None, name: name.to_owned() }
}

/// A claim.
pub(crate) fn claim(name: &str) -> ObjectRef {
    cluster_scoped(CLAIM_API, "nodeclaims", name)
}

/// A node.
pub(crate) fn node(name: &str) -> ObjectRef {
    cluster_scoped("v1", "nodes", name)
}

/// A pod.
pub(crate) fn pod(id: &PodId) -> ObjectRef {
    ObjectRef {
        api_version: "v1",
        resource: "pods",
        namespace: Some(id.namespace.to_string()),
        name: id.name.to_string(),
    }
}

/// An event.
pub(crate) fn event(namespace: &str, name: &str) -> ObjectRef {
    ObjectRef {
        api_version: "v1",
        resource: "events",
        namespace: Some(namespace.to_owned()),
        name: name.to_owned(),
    }
}

/// A pool or a node class by its API version and kind; `None` if it is neither.
pub(crate) fn pool_or_class(object: &serde_json::Value) -> Option<ObjectRef> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let name = text(&object["metadata"]["name"]);
    let known = match (object["apiVersion"].as_str()?, object["kind"].as_str()?) {
        ("karpenter.sh/v1", "NodePool") => ("karpenter.sh/v1", "nodepools"),
        ("karpenter.sh/v1alpha5", "Provisioner") => ("karpenter.sh/v1alpha5", "provisioners"),
        ("karpenter.k8s.aws/v1", "EC2NodeClass") => ("karpenter.k8s.aws/v1", "ec2nodeclasses"),
        ("karpenter.k8s.aws/v1alpha1", "AWSNodeTemplate") => {
            ("karpenter.k8s.aws/v1alpha1", "awsnodetemplates")
        }
        _ => return None,
    };
    Some(cluster_scoped(known.0, known.1, &name))
}
