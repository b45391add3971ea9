//! The wire between a function and the world: every request to AWS and to the API server goes through it, is counted and named,
//! and can be made the last one that the function ever sends.

use aws_smithy_http_client::Builder;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use http::{Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::Value;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex};
use tokio::sync::{Barrier, Notify};

/// Whether the last request still reaches the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// It does not.
    Before,
    /// It does, but its answer does not come back.
    After,
}

/// A request that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// `CreateFleet`, `PATCH /api/v1/nodes/ip-10-0-1-2`.
    pub(crate) name: String,
    /// Whether it changes anything.
    pub(crate) write: bool,
}

impl Call {
    /// Whether it changes claims, nodes, pods or the account: not what is only remembered or told.
    pub(crate) fn lasts(&self) -> bool {
        const PASSING: [&str; 5] =
            ["/leases", "/configmaps", "/events", "PutObject", "SendMessage"];
        self.write && !PASSING.iter().any(|part| self.name.contains(part))
    }
}

/// Where a wire is cut: at so manieth of the calls that count.
#[derive(Clone, Copy)]
struct Last {
    number: usize,
    when: When,
    counts: fn(&Call) -> bool,
}

/// What an API server's answer is replaced by.
type Answer = Arc<dyn Fn(Answered) -> Answered + Send + Sync>;

/// An answer of the API server.
#[derive(Debug)]
pub(crate) struct Answered {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The body, unless it is a watch, whose body is `Null` and stays as it is.
    pub(crate) body: Value,
}

/// A change of answers of the API server.
struct Bend {
    /// A part of the call's name.
    of: String,
    /// How often.
    left: usize,
    /// Whether the request reaches the API server.
    asks: bool,
    /// What is answered; `None` for nothing at all.
    answer: Option<Answer>,
}

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    last: Option<Last>,
    counted: usize,
    dead: bool,
    bends: Vec<Bend>,
    ahead_s: i64,
    lies: bool,
    meet: Option<(String, Arc<Barrier>)>,
}

/// The wire of one function.
#[derive(Default)]
pub(crate) struct Wire {
    state: Mutex<State>,
    cut: Notify,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

impl Wire {
    /// The request of this number, from 1, among those that count is the last.
    pub(crate) fn cut_at(&self, number: usize, when: When, counts: fn(&Call) -> bool) {
        self.state.lock().unwrap().last = Some(Last { number, when, counts });
    }

    /// Ends when the last request was sent.
    pub(crate) async fn is_cut(&self) {
        self.cut.notified().await;
    }

    /// All requests so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.state.lock().unwrap().calls.clone()
    }

    /// How many requests have this in their name.
    pub(crate) fn count(&self, part: &str) -> usize {
        self.calls().iter().filter(|call| call.name.contains(part)).count()
    }

    /// Answers of the API server to calls whose name has `of` in it are replaced, so many times.
    pub(crate) fn bend(
        &self,
        of: &str,
        times: usize,
        asks: bool,
        answer: impl Fn(Answered) -> Answered + Send + Sync + 'static,
    ) {
        let answer: Option<Answer> = Some(Arc::new(answer));
        let bend = Bend { of: of.to_owned(), left: times, asks, answer };
        self.state.lock().unwrap().bends.push(bend);
    }

    /// The API server refuses calls whose name has `of` in it with this status, so many times, without doing anything.
    pub(crate) fn refuse(&self, of: &str, times: usize, status: u16) {
        let body = serde_json::json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": status,
            "message": format!("the test answers {status}"), "reason": "Test",
        });
        self.bend(of, times, false, move |_| Answered { status, body: body.clone() });
    }

    /// Such calls are never answered; `asks` says whether they are carried out.
    pub(crate) fn silence(&self, of: &str, times: usize, asks: bool) {
        let bend = Bend { of: of.to_owned(), left: times, asks, answer: None };
        self.state.lock().unwrap().bends.push(bend);
    }

    /// All answers are as they come again.
    pub(crate) fn straighten(&self) {
        self.state.lock().unwrap().bends.clear();
    }

    /// The API server's clock, as its answers tell it, is so many seconds ahead of what it is.
    pub(crate) fn tell_time(&self, ahead_s: i64) {
        self.state.lock().unwrap().ahead_s = ahead_s;
    }

    /// The lease is always free and always granted: the function believes that it holds it, whoever else does.
    pub(crate) fn lie_about_the_lease(&self) {
        self.state.lock().unwrap().lies = true;
    }

    /// Calls whose name has `of` in it wait at the barrier before they are sent.
    pub(crate) fn meet(&self, of: &str, at: &Arc<Barrier>) {
        self.state.lock().unwrap().meet = Some((of.to_owned(), Arc::clone(at)));
    }

    fn meets(&self, name: &str) -> Option<Arc<Barrier>> {
        let state = self.state.lock().unwrap();
        let meet = state.meet.as_ref().filter(|(of, _)| name.contains(of));
        meet.map(|(_, at)| Arc::clone(at))
    }

    /// Whether the call may go on, and whether its answer may not.
    fn enter(&self, call: Call) -> Option<bool> {
        let mut state = self.state.lock().unwrap();
        if state.dead {
            return None;
        }
        let counts = state.last.is_some_and(|last| (last.counts)(&call));
        state.counted += usize::from(counts);
        state.calls.push(call);
        let here = state.last.filter(|last| counts && last.number == state.counted);
        if here.is_some_and(|last| last.when == When::Before) {
            drop(state);
            self.die();
            return None;
        }
        Some(here.is_some())
    }

    fn die(&self) {
        self.state.lock().unwrap().dead = true;
        self.cut.notify_one();
    }

    /// Sends a request, unless the function is dead; a dead one waits for ever, until it is dropped.
    async fn pass<R>(&self, call: Call, send: impl Future<Output = R>) -> R {
        let Some(last) = self.enter(call) else { return std::future::pending().await };
        let answer = send.await;
        if last {
            self.die();
        }
        let dead = self.state.lock().unwrap().dead;
        if dead { std::future::pending().await } else { answer }
    }

    fn bent(&self, name: &str) -> Option<(bool, Option<Answer>)> {
        let mut state = self.state.lock().unwrap();
        if state.lies && name.contains("/leases") {
            let answer: Option<Answer> = Some(Arc::new(lie));
            return Some((false, answer));
        }
        let bend = state.bends.iter_mut().find(|bend| bend.left > 0 && name.contains(&bend.of))?;
        bend.left -= 1;
        Some((bend.asks, bend.answer.clone()))
    }
}

/// Nobody holds the lease, and it is granted.
fn lie(_: Answered) -> Answered {
    Answered { status: 200, body: serde_json::json!({ "metadata": {}, "spec": {} }) }
}

/// The API server behind the wire.
pub(crate) fn cluster(wire: &Arc<Wire>, server: &kube::Client) -> kube::Client {
    let (wire, server) = (Arc::clone(wire), server.clone());
    let service = tower::service_fn(move |request: Request<Body>| {
        let (wire, server) = (Arc::clone(&wire), server.clone());
        async move { ask(&wire, &server, request).await }
    });
    kube::Client::new(service, "default")
}

async fn ask(
    wire: &Wire,
    server: &kube::Client,
    request: Request<Body>,
) -> Result<Response<Body>, kube::Error> {
    let name = format!("{} {}", request.method(), request.uri());
    let write = request.method() != http::Method::GET;
    let watch = name.contains("watch=1");
    let send = async {
        if let Some(at) = wire.meets(&name) {
            at.wait().await;
        }
        let answer = match wire.bent(&name) {
            None => server.send(request).await?,
            Some((asks, answer)) => bend(server, asks.then_some(request), answer, watch).await?,
        };
        Ok(tell_time(wire, answer))
    };
    wire.pass(Call { name: name.clone(), write }, send).await
}

async fn bend(
    server: &kube::Client,
    request: Option<Request<Body>>,
    answer: Option<Answer>,
    watch: bool,
) -> Result<Response<Body>, kube::Error> {
    let (mut parts, _) = Response::new(Body::empty()).into_parts();
    let mut value = Value::Null;
    if let Some(request) = request {
        let (told, body) = server.send(request).await?.into_parts();
        parts = told;
        if watch {
            return Ok(Response::from_parts(parts, body));
        }
        let bytes = body.collect().await.unwrap().to_bytes();
        value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    }
    let Some(answer) = answer else { return std::future::pending().await };
    let answered = answer(Answered { status: parts.status.as_u16(), body: value });
    parts.status = http::StatusCode::from_u16(answered.status).unwrap();
    parts.headers.insert("content-type", http::HeaderValue::from_static("application/json"));
    parts.headers.remove("content-length");
    parts.headers.remove("content-encoding");
    Ok(Response::from_parts(parts, Body::from(answered.body.to_string().into_bytes())))
}

fn tell_time(wire: &Wire, mut answer: Response<Body>) -> Response<Body> {
    let ahead_s = wire.state.lock().unwrap().ahead_s;
    let date = answer.headers().get("date").and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
    if let Some(date) = date.filter(|_| ahead_s != 0) {
        let told = date.timestamp() + jiff::SignedDuration::from_secs(ahead_s);
        let told = told.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        answer.headers_mut().insert("date", told.parse().unwrap());
    }
    answer
}

/// AWS behind the wire: SQS and S3 at one address, all else at the other. Emulators only: no TLS.
pub(crate) fn aws(wire: &Arc<Wire>, others: &str, flow: &str) -> SharedHttpClient {
    let emulators = Emulators {
        wire: Arc::clone(wire),
        inner: Builder::new().build_http(),
        others: others.to_owned(),
        flow: flow.to_owned(),
    };
    SharedHttpClient::new(emulators)
}

#[derive(Debug)]
struct Emulators {
    wire: Arc<Wire>,
    inner: SharedHttpClient,
    others: String,
    flow: String,
}

impl HttpClient for Emulators {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Line {
            wire: Arc::clone(&self.wire),
            inner: self.inner.http_connector(settings, components),
            others: self.others.clone(),
            flow: self.flow.clone(),
        })
    }
}

#[derive(Debug)]
struct Line {
    wire: Arc<Wire>,
    inner: SharedHttpConnector,
    others: String,
    flow: String,
}

impl HttpConnector for Line {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let (service, name) = named(&request);
        let reads = ["Describe", "Get", "List"].iter().any(|verb| name.starts_with(verb));
        if service == "sqs" || service == "s3" {
            let uri = request.uri().replacen(&self.others, &self.flow, 1);
            request.set_uri(uri).unwrap();
        }
        let (wire, inner) = (Arc::clone(&self.wire), self.inner.clone());
        let call = Call { name, write: !reads };
        HttpConnectorFuture::new(async move {
            wire.pass(call, async { inner.call(request).await }).await
        })
    }
}

/// The service that a request is signed for, and the action.
fn named(request: &HttpRequest) -> (String, String) {
    let header = |name: &str| request.headers().get(name).unwrap_or_default().to_owned();
    let signed = header("authorization");
    let service = signed.split('/').nth(3).unwrap_or_default().to_owned();
    let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
    let of_form = body.split('&').find_map(|pair| pair.strip_prefix("Action="));
    let target = header("x-amz-target");
    let of_target = target.rsplit_once('.').map(|(_, action)| action);
    let action = of_form.or(of_target).map(str::to_owned).unwrap_or_else(|| {
        match (service.as_str(), request.method()) {
            ("eks", _) => "DescribeCluster".to_owned(),
            ("s3", "PUT") => "PutObject".to_owned(),
            (_, method) => format!("{} {service}", if method == "GET" { "Get" } else { method }),
        }
    });
    (service, action)
}
