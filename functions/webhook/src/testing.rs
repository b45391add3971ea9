//! An API server for tests: answers are what a function of method, path and body says.

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// A call that was made: `GET /api/v1/pods?limit=200`, and its body.
pub(crate) type Call = (String, Value);

/// A client of an API server that answers so, and the calls that it got.
pub(crate) fn client<A>(answer: A) -> (Client, Arc<Mutex<Vec<Call>>>)
where
    A: Fn(&str, &Value) -> (u16, Value) + Send + Sync + 'static,
{
    let calls = Arc::new(Mutex::new(Vec::new()));
    let (answer, made) = (Arc::new(answer), Arc::clone(&calls));
    let service = tower::service_fn(move |request: Request<Body>| {
        let (answer, made) = (Arc::clone(&answer), Arc::clone(&made));
        async move {
            let call = format!("{} {}", request.method(), request.uri());
            let body = request.into_body().collect_bytes().await.unwrap();
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            let (status, value) = answer(&call, &body);
            made.lock().unwrap().push((call, body));
            let body = Body::from(value.to_string().into_bytes());
            Ok::<_, std::convert::Infallible>(
                Response::builder().status(status).body(body).unwrap(),
            )
        }
    });
    (Client::new(service, "default"), calls)
}

/// An answer of the API server's that says no.
pub(crate) fn refusal(code: u16) -> (u16, Value) {
    let reason = if code == 404 { "NotFound" } else { "No" };
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "message": "no", "reason": reason, "code": code,
    });
    (code, status)
}
