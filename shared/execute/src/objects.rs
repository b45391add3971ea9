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
