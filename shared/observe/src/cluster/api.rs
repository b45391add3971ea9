//! Asking the API server: one request at a time, with deadlines, counted, its errors told apart.

use super::error::ClusterReadError;
use super::kinds::Kind;
use bytes::Bytes;
use flate2::write::GzDecoder;
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use kube::client::Body;
use model::Timestamp;
use model::account::redacted;
use std::io::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::timeout;

/// How long an answer, and each further part of it, may take.
const READ_DEADLINE: Duration = Duration::from_secs(20);
/// How much of an error's text is read.
const LONGEST_ERROR: usize = 64 << 10;

/// What reading cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests sent.
    pub calls: u64,
    /// Bytes of the answers' bodies as they came over the wire, compressed where they were.
    pub bytes: u64,
}

/// The API server of one cluster.
pub(crate) struct Api {
    client: kube::Client,
    calls: AtomicU64,
    bytes: AtomicU64,
    /// The server's clock at its last answer, in seconds; 0 before there is one.
    now: AtomicI64,
    /// By how many seconds the local clock was ahead then.
    skew_s: AtomicI64,
}

/// What a request is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) kind: &'a Kind,
    /// `list` or `watch`.
    pub(crate) verb: &'static str,
}

impl Target<'_> {
    fn what(&self) -> String {
        self.kind.plural.to_owned()
    }

    pub(crate) fn malformed(&self, cause: impl ToString) -> ClusterReadError {
        ClusterReadError::Malformed { what: self.what(), cause: cause.to_string() }
    }

    pub(crate) fn unreachable(&self, cause: impl ToString) -> ClusterReadError {
        ClusterReadError::Unreachable { what: self.what(), cause: cause.to_string() }
    }

    fn refused(
        &self,
        status: StatusCode,
        retry_after_s: Option<u64>,
        body: &[u8],
    ) -> ClusterReadError {
        let what = self.what();
        match status {
            StatusCode::UNAUTHORIZED => {
                ClusterReadError::Unauthenticated { what, cause: "it answers 401".to_owned() }
            }
            StatusCode::FORBIDDEN => ClusterReadError::Denied {
                verb: self.verb.to_owned(),
                resource: what,
                group: self.kind.group.to_owned(),
            },
            StatusCode::NOT_FOUND => ClusterReadError::NotFound { what },
            StatusCode::GONE => ClusterReadError::Gone { what },
            StatusCode::TOO_MANY_REQUESTS => ClusterReadError::Throttled { what, retry_after_s },
            _ => {
                let status = status.as_u16();
                ClusterReadError::Server { what, status, message: message(body) }
            }
        }
    }
}

/// The message of a `Status`, or the beginning of whatever came instead.
fn message(body: &[u8]) -> String {
    let told = serde_json::from_slice::<serde_json::Value>(body).ok();
    let told = told.and_then(|status| status.get("message")?.as_str().map(str::to_owned));
    let text = told.unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned());
    redacted(&text).chars().take(300).collect()
}

impl Api {
    pub(crate) fn new(client: kube::Client) -> Self {
        let (calls, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { client, calls, bytes, now: AtomicI64::new(0), skew_s: AtomicI64::new(0) }
    }

    /// What was moved since the last time this was asked.
    pub(crate) fn take_traffic(&self) -> Traffic {
        let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
        Traffic { calls: take(&self.calls), bytes: take(&self.bytes) }
    }

    /// The server's clock at its last answer; the local one before there is an answer with a date.
    pub(crate) fn now(&self) -> Timestamp {
        match self.now.load(Ordering::Relaxed) {
            0 => Timestamp(local_seconds()),
            seconds => Timestamp(seconds),
        }
    }

    /// By how many seconds the local clock is ahead of the server's.
    pub(crate) fn skew_s(&self) -> i64 {
        self.skew_s.load(Ordering::Relaxed)
    }

    /// Asks for a path with its query. Only a success comes back.
    pub(crate) async fn get(
        &self,
        target: Target<'_>,
        path: &str,
    ) -> Result<Answer<'_>, ClusterReadError> {
        let (parts, body) = self.send(target, path).await?.into_parts();
        self.note_date(&parts);
        let status = parts.status;
        let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let zipped = header(header::CONTENT_ENCODING) == Some("gzip");
        let retry_after_s = header(header::RETRY_AFTER).and_then(|text| text.parse().ok());
        let gzip = zipped.then(|| GzDecoder::new(Vec::new()));
        let mut answer = Answer { api: self, body, gzip };
        if status.is_success() {
            return Ok(answer);
        }
        let mut text = Vec::new();
        while let Ok(Some(part)) = answer.part(target).await {
            text.extend(part);
            if text.len() > LONGEST_ERROR {
                break;
            }
        }
        Err(target.refused(status, retry_after_s, &text))
    }

    /// A connection that broke while the function was frozen shows only now, so a request that failed is sent once more.
    async fn send(
        &self,
        target: Target<'_>,
        path: &str,
    ) -> Result<Response<Body>, ClusterReadError> {
        match self.send_once(target, path).await {
            Err(Failure::Broken(_)) => self.send_once(target, path).await,
            other => other,
        }
        .map_err(|failure| match failure {
            Failure::Broken(error) | Failure::Final(error) => error,
        })
    }

    async fn send_once(&self, target: Target<'_>, path: &str) -> Result<Response<Body>, Failure> {
        let request = Request::get(path)
            .header(header::ACCEPT, "application/json")
            .header(header::ACCEPT_ENCODING, "gzip")
            .header(header::USER_AGENT, concat!("joiner/", env!("CARGO_PKG_VERSION")))
            .body(Body::empty())
            .map_err(|error| Failure::Final(target.malformed(error)))?;
        self.calls.fetch_add(1, Ordering::Relaxed);
        let sent = timeout(READ_DEADLINE, self.client.send(request)).await;
        let sent = sent.map_err(|_| {
            let cause = format!("no answer within {} s", READ_DEADLINE.as_secs());
            Failure::Final(target.unreachable(cause))
        })?;
        sent.map_err(|error| failure(target, &error))
    }

    fn note_date(&self, response: &http::response::Parts) {
        let date = response.headers.get(header::DATE).and_then(|date| date.to_str().ok());
        let Some(moment) = date.and_then(|text| jiff::fmt::rfc2822::parse(text).ok()) else {
            return;
        };
        let seconds = moment.timestamp().as_second();
        self.now.fetch_max(seconds, Ordering::Relaxed);
        self.skew_s.store(local_seconds() - seconds, Ordering::Relaxed);
    }
}

fn local_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or_default()
}

/// Why there is no answer.
enum Failure {
    /// The connection broke: another may work.
    Broken(ClusterReadError),
    Final(ClusterReadError),
}

fn failure(target: Target<'_>, error: &kube::Error) -> Failure {
    let cause = super::causes(error);
    #[allow(clippy::wildcard_enum_match_arm, reason = "the errors of another crate")]
    match error {
        kube::Error::Auth(_) => {
            Failure::Final(ClusterReadError::Unauthenticated { what: target.what(), cause })
        }
        kube::Error::Service(source) if source.is::<super::token::TokenError>() => {
            Failure::Final(ClusterReadError::Unauthenticated { what: target.what(), cause })
        }
        _ => Failure::Broken(target.unreachable(cause)),
    }
}

/// An answer that is being read.
pub(crate) struct Answer<'a> {
    api: &'a Api,
    body: Body,
    gzip: Option<GzDecoder<Vec<u8>>>,
}

impl Answer<'_> {
    /// The next part, unpacked; `None` at the end.
    pub(crate) async fn part(
        &mut self,
        target: Target<'_>,
    ) -> Result<Option<Vec<u8>>, ClusterReadError> {
        let waited = timeout(READ_DEADLINE, self.next()).await;
        let part = waited.map_err(|_| {
            let cause = format!("the answer stopped for {} s", READ_DEADLINE.as_secs());
            target.unreachable(cause)
        })?;
        match part.map_err(|error| target.unreachable(super::causes(&error)))? {
            Some(part) => self.unpack(&part).map(Some),
            None => self.rest(),
        }
        .map_err(|error| target.malformed(error))
    }

    /// The next part, unless there is none within this time: `Err` says so.
    pub(crate) async fn part_within(
        &mut self,
        target: Target<'_>,
        wait: Duration,
    ) -> Result<Result<Option<Vec<u8>>, ClusterReadError>, tokio::time::error::Elapsed> {
        timeout(wait, self.part(target)).await
    }

    /// The whole answer, into a buffer that is used again.
    pub(crate) async fn read_to(
        &mut self,
        target: Target<'_>,
        buffer: &mut Vec<u8>,
    ) -> Result<(), ClusterReadError> {
        buffer.clear();
        while let Some(part) = self.part(target).await? {
            buffer.extend_from_slice(&part);
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Bytes>, kube::Error> {
        while let Some(frame) = self.body.frame().await {
            // Trailers say nothing that is needed.
            if let Ok(data) = frame?.into_data() {
                self.api.bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    fn unpack(&mut self, part: &[u8]) -> std::io::Result<Vec<u8>> {
        let Some(gzip) = &mut self.gzip else { return Ok(part.to_vec()) };
        gzip.write_all(part)?;
        gzip.flush()?;
        Ok(std::mem::take(gzip.get_mut()))
    }

    /// What the unpacking held back, once.
    fn rest(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let Some(gzip) = self.gzip.take() else { return Ok(None) };
        gzip.finish().map(Some)
    }
}
