//! Any object of the cluster by its JSON: read, server-side applied, deleted.

use crate::problem::Problem;
use http::{Method, Request};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

/// The field manager of all that the installer applies.
pub(crate) const FIELD_MANAGER: &str = "joiner-install";
/// A call that takes longer is given up; the same command again goes on.
const DEADLINE: Duration = Duration::from_secs(30);
/// Objects of one page of a list.
const PAGE: usize = 500;

/// Why a call to the API server failed.
#[derive(Debug)]
enum Refusal {
    /// It answered a status of 400 or more.
    Status(u16, String),
    /// It did not answer.
    Silent(String),
}

/// What an object is called: kind, namespace where it has one, name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Named {
    /// `apps/v1`.
    pub(crate) api_version: String,
    /// `Deployment`.
    pub(crate) kind: String,
    /// Its namespace; `None` where it has none.
    pub(crate) namespace: Option<String>,
    /// Its name.
    pub(crate) name: String,
}

impl Named {
    /// By its parts.
    pub(crate) fn new(api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> Self {
        let namespace = namespace.map(str::to_owned);
        Self {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace,
            name: name.to_owned(),
        }
    }

    /// Of an object.
    pub(crate) fn of(object: &Value) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let part = |pointer: &str| text(pointer).unwrap_or_default();
        let namespace = text("/metadata/namespace");
        Self::new(part("/apiVersion"), part("/kind"), namespace, part("/metadata/name"))
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = self.kind.to_lowercase();
        match &self.namespace {
            Some(namespace) => write!(f, "{kind} {namespace}/{}", self.name),
            None => write!(f, "{kind} {}", self.name),
        }
    }
}

/// The API server.
pub(crate) struct Objects {
    client: Client,
    /// Plurals by API version and kind, as the API server tells them, and whether such objects have namespaces.
    kinds: RefCell<BTreeMap<(String, String), (String, bool)>>,
}

impl Objects {
    /// By this client.
    pub(crate) fn new(client: &Client) -> Self {
        Self { client: client.clone(), kinds: RefCell::default() }
    }

    /// The object as it is; `None` if it or its kind is not there.
    ///
    /// # Errors
    /// If the API server does not tell.
    pub(crate) async fn get(&self, of: &Named) -> Result<Option<Value>, Problem> {
        let Some(path) = self.path(of).await? else { return Ok(None) };
        match self.call(Method::GET, &path, None).await {
            Ok(object) => Ok(Some(object)),
            Err(Refusal::Status(404, _)) => Ok(None),
            Err(refusal) => Err(problem(&of.to_string(), "get", &of.kind, refusal)),
        }
    }

    /// All objects of a kind, in all namespaces; none if the kind is not there. `selector` narrows them by labels.
    ///
    /// # Errors
    /// If the API server does not tell.
    pub(crate) async fn list(
        &self,
        api_version: &str,
        kind: &str,
        selector: &str,
    ) -> Result<Vec<Value>, Problem> {
        let Some((plural, _)) = self.kind(api_version, kind).await? else { return Ok(Vec::new()) };
        let (mut all, mut next) = (Vec::new(), String::new());
        loop {
            let query = format!("limit={PAGE}&labelSelector={}&continue={next}", encoded(selector));
            let path = format!("{}/{plural}?{query}", root(api_version));
            let list = self.call(Method::GET, &path, None).await;
            let mut list = list.map_err(|refusal| problem(&plural, "list", kind, refusal))?;
            if let Value::Array(items) = list["items"].take() {
                all.extend(items.into_iter().map(|item| with_kind(item, api_version, kind)));
            }
            next = list["metadata"]["continue"].as_str().map(encoded).unwrap_or_default();
            if next.is_empty() {
                return Ok(all);
            }
        }
    }

    /// Applies the object as the installer's; fields of others are taken over. With `dry`, nothing is stored and the answer is what
    /// would be.
    ///
    /// # Errors
    /// If the kind is not known or the API server refuses.
    pub(crate) async fn apply(&self, object: &Value, dry: bool) -> Result<Value, Problem> {
        let of = Named::of(object);
        let path = self.known_path(&of).await?;
        let dry_run = if dry { "&dryRun=All" } else { "" };
        let path = format!("{path}?fieldManager={FIELD_MANAGER}&force=true{dry_run}");
        let applied = self.call(Method::PATCH, &path, Some(object)).await;
        applied.map_err(|refusal| problem(&of.to_string(), "patch", &of.kind, refusal))
    }

    /// Merges a patch into an object.
    ///
    /// # Errors
    /// If it is not there or the API server refuses.
    pub(crate) async fn patch(
        &self,
        of: &Named,
        part: &str,
        patch: &Value,
    ) -> Result<Value, Problem> {
        let path = self.known_path(of).await?;
        let path = if part.is_empty() { path } else { format!("{path}/{part}") };
        let path = format!("{path}?fieldManager={FIELD_MANAGER}");
        let request = Request::builder().method(Method::PATCH).uri(&path);
        let request = request.header("content-type", "application/merge-patch+json");
        let patched = self.send(request, patch.to_string()).await;
        patched.map_err(|refusal| problem(&of.to_string(), "patch", &of.kind, refusal))
    }

    /// Creates an object.
    ///
    /// # Errors
    /// If it is there already or the API server refuses.
    pub(crate) async fn create(&self, object: &Value) -> Result<Value, Problem> {
        let of = Named::of(object);
        let path = self.known_path(&Named { name: String::new(), ..of.clone() }).await?;
        let path = format!("{}?fieldManager={FIELD_MANAGER}", path.trim_end_matches('/'));
        let created = self.call(Method::POST, &path, Some(object)).await;
        created.map_err(|refusal| problem(&of.to_string(), "create", &of.kind, refusal))
    }

    /// Deletes an object; whether it was there.
    ///
    /// # Errors
    /// If the API server refuses.
    pub(crate) async fn delete(&self, of: &Named) -> Result<bool, Problem> {
        let Some(path) = self.path(of).await? else { return Ok(false) };
        // Pods and ReplicaSets of a Deployment go with it.
        let options = json!({ "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background" });
        match self.call(Method::DELETE, &path, Some(&options)).await {
            Ok(_) => Ok(true),
            Err(Refusal::Status(404, _)) => Ok(false),
            Err(refusal) => Err(problem(&of.to_string(), "delete", &of.kind, refusal)),
        }
    }

    /// What was known of kinds is asked again: custom resources have come or gone.
    pub(crate) fn forget_kinds(&self) {
        self.kinds.borrow_mut().clear();
    }

    /// Whether the API server serves the kind.
    ///
    /// # Errors
    /// If it does not tell.
    pub(crate) async fn serves(&self, api_version: &str, kind: &str) -> Result<bool, Problem> {
        Ok(self.kind(api_version, kind).await?.is_some())
    }

    async fn known_path(&self, of: &Named) -> Result<String, Problem> {
        let unknown = || {
            let cause = format!("the cluster has no kind {} of {}", of.kind, of.api_version);
            Problem::not_found(of.to_string(), cause, "install the custom resources first")
        };
        self.path(of).await?.ok_or_else(unknown)
    }

    async fn path(&self, of: &Named) -> Result<Option<String>, Problem> {
        let Some((plural, namespaced)) = self.kind(&of.api_version, &of.kind).await? else {
            return Ok(None);
        };
        let space = of.namespace.as_deref().unwrap_or("default");
        let space = if namespaced { format!("/namespaces/{space}") } else { String::new() };
        Ok(Some(format!("{}{space}/{plural}/{}", root(&of.api_version), of.name)))
    }

    async fn kind(&self, api_version: &str, kind: &str) -> Result<Option<(String, bool)>, Problem> {
        let key = (api_version.to_owned(), kind.to_owned());
        if let Some(known) = self.kinds.borrow().get(&key) {
            return Ok(Some(known.clone()));
        }
        let resources = match self.call(Method::GET, &root(api_version), None).await {
            Ok(resources) => resources,
            Err(Refusal::Status(404, _)) => return Ok(None),
            Err(refusal) => return Err(problem(api_version, "get", "APIResourceList", refusal)),
        };
        let all = resources["resources"].as_array().into_iter().flatten();
        let mut own = all.filter(|one| one["kind"] == kind);
        let own = own.find(|one| one["name"].as_str().is_some_and(|name| !name.contains('/')));
        let Some(own) = own else { return Ok(None) };
        let plural = own["name"].as_str().unwrap_or_default().to_owned();
        let known = (plural, own["namespaced"] == true);
        self.kinds.borrow_mut().insert(key, known.clone());
        Ok(Some(known))
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Refusal> {
        let kind = if method == Method::PATCH {
            "application/apply-patch+yaml"
        } else {
            "application/json"
        };
        let request = Request::builder().method(method).uri(path).header("content-type", kind);
        self.send(request, body.map(Value::to_string).unwrap_or_default()).await
    }

    async fn send(&self, request: http::request::Builder, body: String) -> Result<Value, Refusal> {
        let silent = |error: &dyn std::fmt::Display| Refusal::Silent(error.to_string());
        let request =
            request.body(Body::from(body.into_bytes())).map_err(|error| silent(&error))?;
        let answer = async {
            let answer = self.client.send(request).await.map_err(|error| silent(&error))?;
            let status = answer.status().as_u16();
            let bytes = answer.into_body().collect_bytes().await.map_err(|error| silent(&error))?;
            let body = serde_json::from_slice::<Value>(&bytes).unwrap_or(Value::Null);
            if status < 400 {
                return Ok(body);
            }
            let message = body["message"].as_str().unwrap_or("no message").to_owned();
            Err(Refusal::Status(status, message))
        };
        let answer = tokio::time::timeout(DEADLINE, answer).await;
        answer.unwrap_or_else(|_| {
            Err(Refusal::Silent(format!("none within {} s", DEADLINE.as_secs())))
        })
    }
}

fn root(api_version: &str) -> String {
    if api_version.contains('/') {
        format!("/apis/{api_version}")
    } else {
        format!("/api/{api_version}")
    }
}

fn encoded(text: &str) -> String {
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"-._~".contains(&c);
    let one = |c: u8| if plain(c) { char::from(c).to_string() } else { format!("%{c:02X}") };
    text.bytes().map(one).collect()
}

fn with_kind(mut item: Value, api_version: &str, kind: &str) -> Value {
    item["apiVersion"] = json!(api_version);
    item["kind"] = json!(kind);
    item
}

/// What the caller can do about it.
fn problem(object: &str, verb: &str, kind: &str, refusal: Refusal) -> Problem {
    let object = object.to_owned();
    let call = format!("{verb} {}", kind.to_lowercase());
    match refusal {
        Refusal::Silent(cause) => Problem::Unreachable { object, call, cause },
        Refusal::Status(401, message) => {
            let todo = "log in to the cluster anew".to_owned();
            Problem::Credentials { object, cause: message, todo }
        }
        Refusal::Status(403, message) => Problem::Denied {
            object,
            call,
            statement: format!("a ClusterRole with the verb {verb} for it ({message})"),
        },
        Refusal::Status(429 | 503, _) => Problem::Throttled { object, call },
        Refusal::Status(status, message) => {
            Problem::Refused { object, call, cause: format!("{message} (status {status})") }
        }
    }
}

/// The object without what the API server keeps of its own.
pub(crate) fn plain(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for own in [
            "managedFields",
            "resourceVersion",
            "uid",
            "creationTimestamp",
            "generation",
            "selfLink",
        ] {
            metadata.remove(own);
        }
    }
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_people_know() {
        let deployment = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "a", "namespace": "b" } });
        assert_eq!(Named::of(&deployment).to_string(), "deployment b/a");
        assert_eq!(Named::new("v1", "Namespace", None, "a").to_string(), "namespace a");
    }

    #[test]
    fn what_is_refused_says_what_to_do() {
        let check = |status: u16, expected: &str| {
            let told = problem(
                "deployment a/b",
                "patch",
                "Deployment",
                Refusal::Status(status, "no".to_owned()),
            );
            assert!(told.to_string().contains(expected), "{told}");
        };
        check(403, "a ClusterRole with the verb patch for it (no)");
        check(401, "log in to the cluster anew");
        check(429, "throttled");
        check(422, "patch deployment was refused: no (status 422)");
    }
}
