//! The Lambda functions' doors: a batch of messages in, one turn, and word on each message back.

use crate::installation::{Installation, Knocked};
use crate::message::{self, MessageError};
use crate::standing::Standing;
use crate::{Trigger, redelivery, telemetry};
use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsMessage};
use futures::FutureExt;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use model::Timestamp;
use serde_json::Value;
use std::time::{Duration, SystemTime};
use tokio::sync::Mutex;

/// A turn must end so long before Lambda would kill the function.
const MARGIN: Duration = Duration::from_secs(3);

/// Which function this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Pods wait.
    PendingPods,
    /// EC2 and AWS Health tell of instances.
    Interruption,
    /// A minute has passed, or a follow-up is due.
    Schedule,
}

impl Door {
    /// The function's name, as its package has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::PendingPods => "on-pending-pods",
            Self::Interruption => "on-interruption",
            Self::Schedule => "on-schedule",
        }
    }

    /// Whether a message whose turn failed comes again. The next minute's tick is as good as a tick that comes again.
    fn tries_again(self) -> bool {
        match self {
            Self::PendingPods | Self::Interruption => true,
            Self::Schedule => false,
        }
    }
}

/// Serves the function until Lambda ends it. Nothing is asked of AWS or the cluster before the first event.
///
/// # Errors
/// If Lambda's runtime API cannot be reached.
pub async fn serve(door: Door) -> Result<(), Error> {
    telemetry::init(&std::env::var("LOG_LEVEL").unwrap_or_else(|_| "info".to_owned()));
    let installation: Mutex<Option<Installation>> = Mutex::new(None);
    let handler = |event: LambdaEvent<Value>| answer(door, &installation, event).boxed_local();
    lambda_runtime::run(service_fn(handler)).boxed_local().await
}

async fn answer(
    door: Door,
    installation: &Mutex<Option<Installation>>,
    event: LambdaEvent<Value>,
) -> Result<SqsBatchResponse, Error> {
    let deadline = event.context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
    let time = deadline.saturating_sub(MARGIN);
    let mut slot = installation.lock().await;
    if is_probe(&event.payload) {
        // What is connected already would prove nothing.
        *slot = None;
        ready(&mut slot).await?;
        tracing::info!("the probe reached AWS and the API server");
        return Ok(SqsBatchResponse::default());
    }
    let messages = messages(event.payload);
    let work = batch(door, &mut slot, &messages, &event.context.request_id);
    let failed = match tokio::time::timeout(time, work).await {
        Ok(failed) => failed,
        Err(_) => {
            tracing::error!("the turn did not end in time; the next one goes on");
            // Connections of a turn cut off in the middle are not to be trusted.
            *slot = None;
            all(&messages)
        }
    };
    let again = if door.tries_again() { failed } else { Vec::new() };
    if door == Door::Interruption && !again.is_empty() {
        come_again(&messages, &again).await;
    }
    let failures = again.into_iter().map(|id| {
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = id;
        failure
    });
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failures.collect();
    Ok(response)
}

/// Has them come again before what they warn of is over. Clients of its own: there may be no installation, and that is why they failed.
async fn come_again(messages: &[SqsMessage], failed: &[String]) {
    let Ok(queue_url) = std::env::var("QUEUE_URL") else { return };
    let aws = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).boxed_local().await;
    let sqs = aws_sdk_sqs::Client::new(&aws);
    let work = redelivery::come_again(&sqs, &queue_url, messages, failed);
    if tokio::time::timeout(MARGIN / 2, work).await.is_err() {
        tracing::warn!("the queue did not answer in time; messages come when it gives them back");
    }
}

/// Whether the installer asks whether this function reaches AWS and the API server, and nothing else: `{"joiner":"probe"}`. No queue
/// carries this.
fn is_probe(payload: &Value) -> bool {
    payload.get("joiner").and_then(Value::as_str) == Some("probe")
}

/// The messages of a batch. What is not a batch of SQS is taken as one message: people invoke functions by hand.
fn messages(payload: Value) -> Vec<SqsMessage> {
    let records = payload.get("Records").cloned();
    let batch = records.and_then(|records| serde_json::from_value::<Vec<SqsMessage>>(records).ok());
    batch.unwrap_or_else(|| {
        let mut message = SqsMessage::default();
        message.body = Some(payload.to_string());
        vec![message]
    })
}

fn all(messages: &[SqsMessage]) -> Vec<String> {
    messages.iter().filter_map(|message| message.message_id.clone()).collect()
}

/// One turn for all messages that can be read; returns the ids of those that must come again. What cannot be read goes to the
/// dead-letter queue, with the reason as its attribute `Error`.
pub async fn batch(
    door: Door,
    slot: &mut Option<Installation>,
    messages: &[SqsMessage],
    request_id: &str,
) -> Vec<String> {
    let installation = match ready(slot).await {
        Ok(installation) => installation,
        Err(error) => {
            tracing::error!(%error, "this function cannot work");
            return all(messages);
        }
    };
    let now = Timestamp(jiff::Timestamp::now().as_second());
    let (mut triggers, mut failed, mut read) = (Vec::new(), Vec::new(), Vec::new());
    for message in messages {
        let body = message.body.as_deref().unwrap_or_default();
        let id = message.message_id.clone().unwrap_or_default();
        match message::read(body, now) {
            Ok(trigger) => {
                triggers.push(trigger);
                read.push(id);
            }
            Err(reason) => failed.extend(bury(installation, body, &reason).await.then_some(id)),
        }
    }
    if triggers.is_empty() {
        return failed;
    }
    if let Err(error) = knock(door, installation, triggers, request_id).await {
        tracing::error!(%error, "the turn failed");
        failed.extend(read);
    }
    failed
}

async fn ready(slot: &mut Option<Installation>) -> Result<&mut Installation, Error> {
    if slot.is_none() {
        *slot = Some(Installation::from_environment().boxed_local().await?);
    }
    slot.as_mut().ok_or_else(|| "no installation".into())
}

/// Whether the message must come again, because the dead-letter queue did not take it.
async fn bury(installation: &mut Installation, body: &str, reason: &MessageError) -> bool {
    tracing::warn!(%reason, "a message that cannot be read goes to the dead-letter queue");
    let buried = installation.bury(body, &reason.0).await;
    buried.inspect_err(|error| tracing::error!(%error, "it stays in the queue")).is_err()
}

async fn knock(
    door: Door,
    installation: &mut Installation,
    triggers: Vec<Trigger>,
    request_id: &str,
) -> Result<(), Error> {
    let triggers = match door {
        Door::PendingPods | Door::Schedule => triggers,
        Door::Interruption => installation.heed(triggers).await?,
    };
    let Some(first) = triggers.first() else { return Ok(()) };
    let knocked = installation.knock(first.name(), request_id).boxed_local().await;
    if let Some(standing) = Standing::of(first.name(), &knocked) {
        installation.tell(door.name(), standing).await;
    }
    match knocked? {
        Knocked::Turned(_) if triggers.contains(&Trigger::Schedule) => {
            installation.housekeep().boxed_local().await;
        }
        Knocked::Turned(_) | Knocked::Paused => {}
        Knocked::Busy => tracing::info!(trigger = first.name(), "another turn looks again"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_no_batch_is_one_message() {
        let by_hand = messages(json!({ "joiner": "schedule" }));
        assert_eq!(by_hand.len(), 1);
        let read = message::read(by_hand[0].body.as_deref().unwrap(), Timestamp(0));
        assert_eq!(read, Ok(Trigger::Schedule));
    }

    #[test]
    fn a_probe_is_told_from_what_queues_carry() {
        assert!(is_probe(&json!({ "joiner": "probe" })));
        assert!(!is_probe(&json!({ "joiner": "schedule" })));
        assert!(!is_probe(&json!({ "Records": [] })));
    }

    #[test]
    fn a_batch_has_its_messages() {
        let record = |id: &str| json!({ "messageId": id, "body": "{}", "attributes": {}, "messageAttributes": {} });
        let batch = messages(json!({ "Records": [record("a"), record("b")] }));
        assert_eq!(all(&batch), ["a", "b"]);
    }
}
