//! Messages of the queues: what they knock for, or why nobody can tell.

use crate::Trigger;
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
struct Envelope {
    source: String,
    #[serde(rename = "detail-type")]
    kind: String,
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    detail: Value,
}

/// Joiner's own messages: the minute's tick, and follow-ups.
#[derive(Deserialize)]
struct Own {
    joiner: String,
}

/// Reads one message's body.
///
/// # Errors
/// If it is not JSON, or no event that Joiner knows.
pub fn read(body: &str) -> Result<Trigger, MessageError> {
    let value: Value = serde_json::from_str(body)
        .map_err(|error| MessageError(format!("not JSON ({error}): {}", quoted(body))))?;
    if value.get("joiner").is_some() {
        return own(value);
    }
    let envelope: Envelope = serde_json::from_value(value)
        .map_err(|error| MessageError(format!("not an event ({error}): {}", quoted(body))))?;
    event(envelope)
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

fn event(envelope: Envelope) -> Result<Trigger, MessageError> {
    let Envelope { source, kind, resources, detail } = envelope;
    match source.as_str() {
        "joiner" => Ok(Trigger::Cluster { kind }),
        "aws.ec2" => {
            let named = detail["instance-id"].as_str().map(str::to_owned);
            let of_arn = |arn: &String| {
                arn.rsplit('/').next().filter(|id| id.starts_with("i-")).map(str::to_owned)
            };
            let ids = named.into_iter().chain(resources.iter().filter_map(of_arn));
            instances(kind, ids.collect())
        }
        "aws.health" => {
            let affected = detail["affectedEntities"].as_array().into_iter().flatten();
            let ids = affected.filter_map(|entity| entity["entityValue"].as_str());
            let ids = ids.filter(|id| id.starts_with("i-")).map(str::to_owned);
            instances(kind, ids.collect())
        }
        other => Err(MessageError(format!(
            "an event from {other:?}, which no rule of Joiner's asks for"
        ))),
    }
}

fn instances(kind: String, mut ids: Vec<String>) -> Result<Trigger, MessageError> {
    ids.sort();
    ids.dedup();
    if ids.is_empty() {
        return Err(MessageError(format!("the event {kind:?} names no instance")));
    }
    Ok(Trigger::Instances { kind, ids })
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
        let read = read(body).map_err(|error| error.0);
        match (&read, &expected) {
            (Err(told), Err(begin)) => assert!(told.starts_with(begin), "{told}"),
            _ => assert_eq!(read, expected.map_err(str::to_owned), "{body}"),
        }
    }

    fn warning(id: &str) -> Result<Trigger, &'static str> {
        let kind = "EC2 Spot Instance Interruption Warning".to_owned();
        Ok(Trigger::Instances { kind, ids: vec![id.to_owned()] })
    }

    #[test]
    fn events_and_own_messages_are_read() {
        let spot = r#"{"version":"0","id":"1","detail-type":"EC2 Spot Instance Interruption Warning","source":"aws.ec2","account":"123456789012","time":"2020-02-10T08:17:22Z","region":"us-east-1","resources":["arn:aws:ec2:us-east-1a:instance/i-0b662ef9931388ba0"],"detail":{"instance-id":"i-0b662ef9931388ba0","instance-action":"terminate"}}"#;
        check(spot, warning("i-0b662ef9931388ba0"));
        let pods = r#"{"source":"joiner","detail-type":"Pods Pending","detail":{"count":3}}"#;
        check(pods, Ok(Trigger::Cluster { kind: "Pods Pending".to_owned() }));
        check(r#"{"joiner":"schedule"}"#, Ok(Trigger::Schedule));
        check(r#"{"joiner":"follow-up"}"#, Ok(Trigger::FollowUp));
        let health = r#"{"source":"aws.health","detail-type":"AWS Health Event","detail":{"service":"EC2","affectedEntities":[{"entityValue":"i-2"},{"entityValue":"i-1"},{"entityValue":"vol-1"}]}}"#;
        let kind = "AWS Health Event".to_owned();
        check(health, Ok(Trigger::Instances { kind, ids: vec!["i-1".into(), "i-2".into()] }));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        check("hello", Err("not JSON (expected value at line 1 column 1): \"hello\""));
        check("{}", Err("not an event (missing field `source`): \"{}\""));
        check("[1]", Err("not an event"));
        check(r#"{"joiner":"x"}"#, Err("joiner is \"x\", neither schedule nor follow-up"));
        check(r#"{"source":"aws.s3","detail-type":"x"}"#, Err("an event from \"aws.s3\""));
        check(
            r#"{"source":"aws.ec2","detail-type":"x","detail":{}}"#,
            Err("the event \"x\" names no instance"),
        );
        check(&"x".repeat(1 << 20), Err("not JSON"));
    }
}
