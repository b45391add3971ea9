//! One writer at a time: a Kubernetes Lease around every turn that may launch or terminate.

use jiff::{SignedDuration, Timestamp};
use kube::Client;
use serde_json::{Value, json};
use std::fmt;

/// How long a lease lasts unless it is renewed, in seconds.
pub const LEASE_S: i64 = 15;
/// Set by a turn that finds the lease taken: the holder looks again before it lets go.
const AGAIN: &str = "joiner.dev/again";
/// The next moment for which a follow-up is already on its way, in seconds since 1970.
const WAKE_AT: &str = "joiner.dev/wake-at";
const API: &str = "/apis/coordination.k8s.io/v1/namespaces/joiner/leases";

/// A lease that is held.
#[derive(Clone)]
pub struct Held {
    client: Client,
    holder: String,
    object: Value,
    /// The API server's clock when the lease was taken.
    pub server_now: Timestamp,
    /// How far the API server's clock is ahead of ours: what is written on the lease is told by its clock.
    ahead: SignedDuration,
}

/// What asking for the lease came to.
pub enum Asked {
    /// It is ours.
    Held(Box<Held>),
    /// Another turn has it, and will look again.
    Taken {
        /// Seconds until it ends unless it is renewed, at least 1.
        ends_in_s: i64,
        /// Whether this turn was the first to ask the holder to look again.
        first: bool,
    },
}

/// Why the lease could be neither taken nor found taken.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The API server refused or did not answer.
    #[error("lease joiner/joiner: {0}")]
    Api(String),
    /// It was lost to another turn: this one must not write any more.
    #[error("lease joiner/joiner: lost to another turn")]
    Lost,
}

struct Answer {
    status: u16,
    date: Option<Timestamp>,
    body: Value,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.body["message"].as_str().unwrap_or("no message");
        write!(f, "{message} (status {})", self.status)
    }
}

async fn call(
    client: &Client,
    method: &str,
    path: &str,
    body: &Value,
) -> Result<Answer, LeaseError> {
    let api = |error: &dyn fmt::Display| LeaseError::Api(error.to_string());
    let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let patch = method == "PATCH";
    let kind = if patch { "application/merge-patch+json" } else { "application/json" };
    let request = http::Request::builder().method(method).uri(path).header("content-type", kind);
    let request = request.body(kube::client::Body::from(bytes)).map_err(|error| api(&error))?;
    let sent = tokio::time::timeout(std::time::Duration::from_secs(5), client.send(request));
    let answer =
        sent.await.map_err(|_| api(&"no answer within 5 s"))?.map_err(|error| api(&error))?;
    let (parts, body) = answer.into_parts();
    let bytes = body.collect_bytes().await.map_err(|error| api(&error))?;
    let date = parts.headers.get("date").and_then(|date| date.to_str().ok()).and_then(http_date);
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Ok(Answer { status: parts.status.as_u16(), date, body })
}

/// `Sun, 22 Nov 2026 23:18:41 GMT`.
fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp())
}

fn micro(at: Timestamp) -> String {
    format!("{at:.6}")
}

impl Held {
    /// Asks for the lease on behalf of `holder`, which names one turn.
    ///
    /// # Errors
    /// If the API server does not answer or refuses.
    pub async fn ask(client: &Client, holder: &str) -> Result<Asked, LeaseError> {
        let path = format!("{API}/joiner");
        let answer = call(client, "GET", &path, &Value::Null).await?;
        let now = answer.date.unwrap_or_else(Timestamp::now);
        match answer.status {
            200 => Self::take_over(client, holder, answer.body, now).await,
            404 => Self::create(client, holder, now).await,
            _ => Err(LeaseError::Api(answer.to_string())),
        }
    }

    async fn create(client: &Client, holder: &str, now: Timestamp) -> Result<Asked, LeaseError> {
        let object = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": { "name": "joiner", "namespace": "joiner" },
            "spec": spec(holder, now),
        });
        let answer = call(client, "POST", API, &object).await?;
        match answer.status {
            200..=299 => Ok(Self::held(client, holder, answer.body, now)),
            409 => Ok(Asked::Taken { ends_in_s: LEASE_S, first: true }),
            _ => Err(LeaseError::Api(answer.to_string())),
        }
    }

    fn held(client: &Client, holder: &str, object: Value, server_now: Timestamp) -> Asked {
        let ahead = server_now.duration_since(Timestamp::now());
        let (client, holder) = (client.clone(), holder.to_owned());
        Asked::Held(Box::new(Self { client, holder, object, server_now, ahead }))
    }

    async fn take_over(
        client: &Client,
        holder: &str,
        mut object: Value,
        now: Timestamp,
    ) -> Result<Asked, LeaseError> {
        let ends_in_s = ends_in_s(&object, now);
        if ends_in_s > 0 {
            return Self::leave_word(client, &object, ends_in_s).await;
        }
        object["spec"] = spec(holder, now);
        // Whoever asked before is served by this turn.
        object["metadata"]["annotations"][AGAIN] = Value::Null;
        if let Some(all) = object["metadata"]["annotations"].as_object_mut() {
            all.retain(|_, value| !value.is_null());
        }
        let answer = call(client, "PUT", &format!("{API}/joiner"), &object).await?;
        match answer.status {
            200..=299 => Ok(Self::held(client, holder, answer.body, now)),
            409 => Ok(Asked::Taken { ends_in_s: LEASE_S, first: true }),
            _ => Err(LeaseError::Api(answer.to_string())),
        }
    }

    async fn leave_word(
        client: &Client,
        object: &Value,
        ends_in_s: i64,
    ) -> Result<Asked, LeaseError> {
        let holder = object["spec"]["holderIdentity"].clone();
        let first = object["metadata"]["annotations"][AGAIN] != holder;
        if first {
            let word = json!({ "metadata": { "annotations": { AGAIN: holder } } });
            let answer = call(client, "PATCH", &format!("{API}/joiner"), &word).await?;
            if answer.status >= 300 {
                return Err(LeaseError::Api(answer.to_string()));
            }
        }
        Ok(Asked::Taken { ends_in_s, first })
    }

    /// Lengthens the lease from now on.
    ///
    /// # Errors
    /// `Lost` if another turn has it.
    pub async fn renew(&mut self) -> Result<(), LeaseError> {
        let now = Timestamp::now().saturating_add(self.ahead).unwrap_or(self.server_now);
        self.change(|spec| spec["renewTime"] = json!(micro(now))).await.map(drop)
    }

    /// Whether a follow-up for this moment is on its way already.
    pub fn wakes_by(&self, at_s: i64) -> bool {
        let known = self.object["metadata"]["annotations"][WAKE_AT].as_str();
        let known = known.and_then(|text| text.parse::<i64>().ok());
        known.is_some_and(|known| known > self.server_now.as_second() && known <= at_s)
    }

    /// Lets go, and writes for when the next follow-up is on its way. Whether another turn asked to look again.
    ///
    /// # Errors
    /// `Lost` if another turn has it.
    pub async fn release(mut self, wake_at_s: Option<i64>) -> Result<bool, LeaseError> {
        let mut again = self.object["metadata"]["annotations"][AGAIN] == self.holder.as_str();
        if let Some(at) = wake_at_s {
            self.object["metadata"]["annotations"][WAKE_AT] = json!(at.to_string());
        }
        let holder = self.holder.clone();
        let stored = self
            .change(|spec| {
                spec["holderIdentity"] = json!("");
                spec["leaseDurationSeconds"] = json!(1);
            })
            .await?;
        again |= stored["metadata"]["annotations"][AGAIN] == holder.as_str();
        Ok(again)
    }

    /// Changes the lease if it is still ours. Others may only have left word meanwhile.
    async fn change(&mut self, change: impl Fn(&mut Value)) -> Result<Value, LeaseError> {
        let path = format!("{API}/joiner");
        for _ in 0..3 {
            let mut wanted = self.object.clone();
            change(&mut wanted["spec"]);
            let answer = call(&self.client, "PUT", &path, &wanted).await?;
            match answer.status {
                200..=299 => {
                    self.object = answer.body.clone();
                    return Ok(answer.body);
                }
                409 => self.refresh(&path).await?,
                _ => return Err(LeaseError::Api(answer.to_string())),
            }
        }
        Err(LeaseError::Lost)
    }

    async fn refresh(&mut self, path: &str) -> Result<(), LeaseError> {
        let wake_at = self.object["metadata"]["annotations"][WAKE_AT].clone();
        let answer = call(&self.client, "GET", path, &Value::Null).await?;
        if answer.body["spec"]["holderIdentity"] != self.holder.as_str() {
            return Err(LeaseError::Lost);
        }
        self.object = answer.body;
        if !wake_at.is_null() {
            self.object["metadata"]["annotations"][WAKE_AT] = wake_at;
        }
        Ok(())
    }
}

fn spec(holder: &str, now: Timestamp) -> Value {
    json!({
        "holderIdentity": holder, "leaseDurationSeconds": LEASE_S, "acquireTime": micro(now), "renewTime": micro(now),
    })
}

/// Seconds until the lease ends; 0 if nobody holds it.
fn ends_in_s(object: &Value, now: Timestamp) -> i64 {
    let spec = &object["spec"];
    let free = spec["holderIdentity"].as_str().unwrap_or_default().is_empty();
    let renewed = spec["renewTime"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let (Some(renewed), false) = (renewed, free) else { return 0 };
    let lasts = SignedDuration::from_secs(spec["leaseDurationSeconds"].as_i64().unwrap_or(LEASE_S));
    // Dates of HTTP have no fractions: a second more than needed is waited.
    (renewed.as_second() + lasts.as_secs() + 1 - now.as_second()).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(holder: &str, renewed: &str, expected: i64) {
        let now = http_date("Sun, 22 Nov 2026 23:18:41 GMT").unwrap();
        let object = json!({ "spec": { "holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 15 } });
        assert_eq!(ends_in_s(&object, now), expected, "{holder} {renewed}");
    }

    #[test]
    fn a_lease_ends_by_the_api_servers_clock() {
        check("a", "2026-11-22T23:18:41.000000Z", 16);
        check("a", "2026-11-22T23:18:26.500000Z", 1);
        check("a", "2026-11-22T23:18:25.000000Z", 0);
        check("", "2026-11-22T23:18:41.000000Z", 0);
        check("a", "", 0);
    }
}
