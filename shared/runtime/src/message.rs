//! Messages of the queues: what they knock for, or why nobody can tell.

use crate::Trigger;
use crate::interruption;
use model::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// The most of an unreadable body that an error quotes.
const QUOTED: usize = 200;

/// A message that cannot be read. It goes to the dead-letter queue with this reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MessageError(pub String);

/// An event as EventBridge delivers it; only what is needed of it.
#[derive(Deserialize)]
pub(crate) struct Envelope {
    pub(crate) source: String,
    #[serde(rename = "detail-type")]
    pub(crate) kind: String,
    /// When it happened, as RFC 3339.
    #[serde(default)]
    pub(crate) time: String,
    #[serde(default)]
    pub(crate) resources: Vec<String>,
    #[serde(default)]
    pub(crate) detail: Value,
}

/// Joiner's own messages: the minute's tick, and follow-ups.
#[derive(Deserialize)]
struct Own {
    joiner: String,
}

/// Reads one message's body, which came at that time.
///
/// # Errors
/// If it is not JSON, or no event that Joiner knows.
pub fn read(body: &str, now: Timestamp) -> Result<Trigger, MessageError> {
    let value: Value = serde_json::from_str(body)
        .map_err(|error| MessageError(format!("not JSON ({error}): {}", quoted(body))))?;
    if value.get("joiner").is_some() {
        return own(value);
    }
    let envelope: Envelope = serde_json::from_value(value)
        .map_err(|error| MessageError(format!("not an event ({error}): {}", quoted(body))))?;
    match envelope.source.as_str() {
        "joiner" => Ok(Trigger::Cluster { kind: envelope.kind }),
        "aws.ec2" | "aws.health" => interruption::read(envelope, now),
        other => Err(MessageError(format!(
            "an event from {other:?}, which no rule of Joiner's asks for"
        ))),
    }
}

fn own(value: Value) -> Result<Trigger, MessageError> {
    let own: Own = serde_json::from_value(value)
        .map_err(|error| MessageError(format!("not a message of Joiner's ({error})")))?;
    match own.joiner.as_str() {
        "schedule" => Ok(Trigger::Schedule),
        "follow-up" => Ok(Trigger::FollowUp),
        other => Err(MessageError(format!("joiner is {other:?}, neither schedule nor follow-up"))),
    }
}

/// The beginning, so that people know which message it was.
fn quoted(body: &str) -> String {
    let short = body.chars().take(QUOTED).collect::<String>();
    let more = if short.len() < body.len() { "..." } else { "" };
    format!("{short:?}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: Result<Trigger, &str>) {
        let read = read(body, Timestamp(0)).map_err(|error| error.0);
        match (&read, &expected) {
            (Err(told), Err(begin)) => assert!(told.starts_with(begin), "{told}"),
            _ => assert_eq!(read, expected.map_err(str::to_owned), "{body}"),
        }
    }

    #[test]
    fn events_of_the_cluster_and_own_messages_are_read() {
        let pods = r#"{"source":"joiner","detail-type":"Pods Pending","detail":{"count":3}}"#;
        check(pods, Ok(Trigger::Cluster { kind: "Pods Pending".to_owned() }));
        check(r#"{"joiner":"schedule"}"#, Ok(Trigger::Schedule));
        check(r#"{"joiner":"follow-up"}"#, Ok(Trigger::FollowUp));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        check("hello", Err("not JSON (expected value at line 1 column 1): \"hello\""));
        check("{}", Err("not an event (missing field `source`): \"{}\""));
        check("[1]", Err("not an event"));
        check(r#"{"joiner":"x"}"#, Err("joiner is \"x\", neither schedule nor follow-up"));
        check(r#"{"joiner":7}"#, Err("not a message of Joiner's"));
        check(r#"{"source":"aws.s3","detail-type":"x"}"#, Err("an event from \"aws.s3\""));
        check(&"x".repeat(1 << 20), Err("not JSON"));
    }
}
