//! Changing an object that others change too.

use crate::ports::{Cluster, ClusterError, ObjectRef};
use serde_json::{Value, json};

/// A kubelet writes its node's status at any moment, so that a change of the node may come between.
const TRIES: usize = 4;

/// Reads the object, changes it, and writes back the named part (`metadata`, `spec` or `status`) if it is still the one that was
/// read. Nothing is written if `change` says that nothing changed. Returns the object as it is then.
pub(crate) async fn update<K: Cluster>(
    cluster: &K,
    of: &ObjectRef,
    subresource: Option<&'static str>,
    parts: &[&str],
    mut change: impl FnMut(&mut Value) -> bool + Send,
) -> Result<Value, ClusterError> {
    let mut last = None;
    for _ in 0..TRIES {
        let mut object = cluster.get(of).await?;
        if !change(&mut object) {
            return Ok(object);
        }
        match cluster.patch(of, subresource, &self::parts(&object, parts)).await {
            Err(ClusterError::Conflict { object, message }) => {
                last = Some(ClusterError::Conflict { object, message });
            }
            answer => return answer,
        }
    }
    Err(last.unwrap_or_else(|| ClusterError::Later {
        object: of.to_string(),
        message: "changed by others all the time".to_owned(),
    }))
}

/// The parts of the object that are written, on condition that it has not changed since.
pub(crate) fn parts(object: &Value, parts: &[&str]) -> Value {
    let mut patch = json!({});
    for part in parts {
        if *part == "metadata" {
            for key in ["labels", "annotations", "finalizers", "ownerReferences"] {
                if let Some(value) = object["metadata"].get(key) {
                    patch["metadata"][key] = value.clone();
                }
            }
        } else if let Some(value) = object.get(*part) {
            patch[*part] = value.clone();
        }
    }
    patch["metadata"]["resourceVersion"] = object["metadata"]["resourceVersion"].clone();
    patch
}
