//! The port to the cluster, by the Kubernetes API.

use crate::ports::{Cluster, ClusterError, ObjectRef};
use kube::Client;
use model::account::redacted;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// A call that takes longer is given up, well inside a function's time.
const DEADLINE: Duration = Duration::from_secs(15);
/// So many calls are on their way at once; more would wait in the API server's queues, and be turned away when those are full.
const AT_ONCE: usize = 64;

/// The API server.
#[derive(Clone)]
pub struct Kubernetes {
    client: Client,
    permits: Arc<Semaphore>,
}

impl Kubernetes {
    /// By this client, which knows the server and how to log in.
    pub fn new(client: Client) -> Self {
        Self { client, permits: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    async fn call(
        &self,
        of: &ObjectRef,
        method: &str,
        (path, content_type): (String, &str),
        body: &Value,
    ) -> Result<Value, ClusterError> {
        let unknown = |message: String| ClusterError::Unknown { object: of.to_string(), message };
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content_type)
            .header("accept", "application/json");
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = request.body(body).map_err(|error| unknown(error.to_string()))?;
        // The semaphore is never closed, so that this is always a permit.
        let _permit = self.permits.acquire().await;
        let answer = tokio::time::timeout(DEADLINE, self.client.request::<Value>(request)).await;
        match answer {
            Err(_) => Err(unknown(format!("no answer within {} s", DEADLINE.as_secs()))),
            Ok(Err(error)) => Err(classified(of, &error)),
            Ok(Ok(object)) => Ok(object),
        }
    }
}

/// `/api/v1/namespaces/shop/pods/cart-0`; without the name for a collection.
fn path(of: &ObjectRef, name: Option<&str>, subresource: Option<&str>) -> String {
    let root = if of.api_version.contains('/') { "/apis/" } else { "/api/" };
    let space =
        of.namespace.as_ref().map(|space| format!("/namespaces/{space}")).unwrap_or_default();
    let name = name.map(|name| format!("/{name}")).unwrap_or_default();
    let part = subresource.map(|part| format!("/{part}")).unwrap_or_default();
    format!("{root}{}{space}/{}{name}{part}", of.api_version, of.resource)
}

/// What the caller can do about it.
fn classified(of: &ObjectRef, error: &kube::Error) -> ClusterError {
    let object = of.to_string();
    let kube::Error::Api(status) = error else {
        return ClusterError::Unknown { object, message: redacted(&error.to_string()) };
    };
    let message = redacted(&status.message);
    match status.code {
        401 | 403 => ClusterError::Denied { object, message },
        404 => ClusterError::NotFound { object },
        409 => ClusterError::Conflict { object, message },
        429 | 503 => ClusterError::Later { object, message },
        400..=499 => ClusterError::Refused { object, message },
        _ => ClusterError::Unknown { object, message },
    }
}

impl Cluster for Kubernetes {
    async fn create(&self, of: &ObjectRef, object: &Value) -> Result<Value, ClusterError> {
        self.call(of, "POST", (path(of, None, None), "application/json"), object).await
    }

    async fn get(&self, of: &ObjectRef) -> Result<Value, ClusterError> {
        let path = path(of, Some(&of.name), None);
        self.call(of, "GET", (path, "application/json"), &Value::Null).await
    }

    async fn pods_on(&self, node: &str) -> Result<Vec<Value>, ClusterError> {
        let path = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{node}");
        let of = crate::objects::node(node);
        let mut list = self.call(&of, "GET", (path, "application/json"), &Value::Null).await?;
        Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }

    async fn patch(
        &self,
        of: &ObjectRef,
        subresource: Option<&'static str>,
        patch: &Value,
    ) -> Result<Value, ClusterError> {
        let path = path(of, Some(&of.name), subresource);
        self.call(of, "PATCH", (path, "application/merge-patch+json"), patch).await
    }

    async fn delete(
        &self,
        of: &ObjectRef,
        uid: Option<&str>,
        grace_s: Option<i64>,
    ) -> Result<(), ClusterError> {
        let mut options = json!({ "apiVersion": "v1", "kind": "DeleteOptions" });
        if let Some(uid) = uid {
            options["preconditions"] = json!({ "uid": uid });
        }
        if let Some(grace) = grace_s {
            options["gracePeriodSeconds"] = json!(grace);
        }
        let path = path(of, Some(&of.name), None);
        self.call(of, "DELETE", (path, "application/json"), &options).await.map(drop)
    }

    async fn evict(&self, namespace: &str, name: &str, uid: &str) -> Result<(), ClusterError> {
        let of = crate::objects::pod(&model::PodId::new(namespace, name));
        let body = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": { "name": name, "namespace": namespace },
            "deleteOptions": { "preconditions": { "uid": uid } },
        });
        let path = path(&of, Some(name), Some("eviction"));
        self.call(&of, "POST", (path, "application/json"), &body).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects;

    #[test]
    fn paths_follow_groups_and_namespaces() {
        let pod = objects::pod(&model::PodId::new("shop", "cart"));
        assert_eq!(
            path(&pod, Some("cart"), Some("eviction")),
            "/api/v1/namespaces/shop/pods/cart/eviction"
        );
        let claim = objects::claim("a");
        assert_eq!(path(&claim, None, None), "/apis/karpenter.sh/v1/nodeclaims");
        assert_eq!(
            path(&claim, Some("a"), Some("status")),
            "/apis/karpenter.sh/v1/nodeclaims/a/status"
        );
    }

    #[test]
    fn the_account_of_whoever_may_not_is_covered() {
        let text = r#"User "arn:aws:sts::123456789012:assumed-role/x" cannot get nodes"#;
        let status = kube::core::Status::failure(text, "Forbidden").with_code(403);
        let error = classified(&objects::claim("a"), &kube::Error::Api(Box::new(status)));
        let told = error.to_string();
        assert!(told.contains("arn:aws:sts::<account>:assumed-role/x"), "{told}");
    }
}
