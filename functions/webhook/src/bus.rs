//! The event bus: knocks as PutEvents entries, and what AWS says to them.

use crate::knock::Knock;
use aws_sdk_eventbridge::config::retry::RetryConfig;
use aws_sdk_eventbridge::config::timeout::TimeoutConfig;
use aws_sdk_eventbridge::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, PutEventsResultEntry};
use std::time::Duration;

/// The source of every event.
const SOURCE: &str = "joiner";
/// The longest that one call may take; knocks that have no answer by then are sent again.
const CALL: Duration = Duration::from_secs(5);

/// Why knocks were not taken, by what the caller can do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BusError {
    /// Too many events: wait.
    #[error("event bus {bus}: throttled by AWS; the knock is sent again later")]
    Throttled {
        /// The bus.
        bus: String,
    },
    /// The role lacks the permission.
    #[error("event bus {bus}: denied; add to the webhook's role: {statement}")]
    Denied {
        /// The bus.
        bus: String,
        /// The policy statement that grants it, as JSON.
        statement: String,
    },
    /// The bus is not there.
    #[error("event bus {bus}: not there; install the stack or name its bus by --event-bus-name")]
    NotFound {
        /// The bus.
        bus: String,
    },
    /// Anything else: the knock is sent again.
    #[error("event bus {bus}: {cause}; the knock is sent again")]
    Failed {
        /// The bus.
        bus: String,
        /// AWS's code, or what happened to the call.
        cause: String,
    },
}

/// Where knocks go.
pub(crate) struct Bus {
    client: aws_sdk_eventbridge::Client,
    name: String,
}

impl Bus {
    /// The bus of that name, by the environment's region and credentials.
    pub(crate) async fn connect(name: &str) -> Self {
        let shared = aws_config::load_from_env().await;
        // The outbox is what tries again: it merges what comes meanwhile and never gives up.
        let config = aws_sdk_eventbridge::config::Builder::from(&shared)
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().operation_timeout(CALL).build())
            .build();
        Self { client: aws_sdk_eventbridge::Client::from_conf(config), name: name.to_owned() }
    }

    /// Sends the knocks; those that the bus did not take come back, with the first reason.
    pub(crate) async fn put(&self, knocks: Vec<Knock>) -> (Vec<Knock>, Option<BusError>) {
        let entries = knocks.iter().map(|knock| self.entry(knock)).collect();
        let answer = self.client.put_events().set_entries(Some(entries)).send().await;
        match answer {
            Ok(answer) => {
                let codes = answer.entries().iter().map(PutEventsResultEntry::error_code);
                not_taken(&self.name, knocks, codes)
            }
            Err(error) => {
                let code = error.code().map(str::to_owned);
                let code = code.unwrap_or_else(|| what_happened(&error).to_owned());
                (knocks, Some(error_of(&self.name, &code)))
            }
        }
    }

    fn entry(&self, knock: &Knock) -> PutEventsRequestEntry {
        PutEventsRequestEntry::builder()
            .event_bus_name(&self.name)
            .source(SOURCE)
            .detail_type(knock.topic.detail_type())
            .detail(knock.detail())
            .build()
    }
}

/// The knocks whose entry has an error code, or no answer at all.
fn not_taken<'a>(
    bus: &str,
    knocks: Vec<Knock>,
    codes: impl Iterator<Item = Option<&'a str>>,
) -> (Vec<Knock>, Option<BusError>) {
    let mut codes = codes.fuse();
    let mut error = None;
    let mut failed = Vec::new();
    for knock in knocks {
        if let Some(code) = codes.next().unwrap_or(Some("NoAnswer")) {
            error.get_or_insert_with(|| error_of(bus, code));
            failed.push(knock);
        }
    }
    (failed, error)
}

fn error_of(bus: &str, code: &str) -> BusError {
    let bus = bus.to_owned();
    match code {
        "ThrottlingException"
        | "Throttling"
        | "TooManyRequestsException"
        | "RequestLimitExceeded" => BusError::Throttled { bus },
        "AccessDeniedException" | "AccessDenied" | "NotAuthorizedForSourceException" => {
            let statement = serde_json::json!({
                "Effect": "Allow",
                "Action": "events:PutEvents",
                "Resource": format!("arn:aws:events:*:*:event-bus/{bus}"),
            });
            BusError::Denied { bus, statement: statement.to_string() }
        }
        "ResourceNotFoundException" => BusError::NotFound { bus },
        code => BusError::Failed { bus, cause: code.to_owned() },
    }
}

/// What happened to a call that AWS did not answer with a code. The SDK's own text may hold request ids and URLs.
fn what_happened<E, R>(error: &SdkError<E, R>) -> &'static str {
    match error {
        SdkError::TimeoutError(_) => "no answer within 5 s",
        SdkError::DispatchFailure(failure) if failure.is_timeout() => "the connection timed out",
        SdkError::DispatchFailure(failure) if failure.is_io() => "AWS cannot be reached",
        SdkError::DispatchFailure(_) => {
            "the call could not be sent: are there credentials and a region?"
        }
        SdkError::ConstructionFailure(_) => "the call could not be made: is there a region?",
        SdkError::ResponseError(_) | SdkError::ServiceError(_) | _ => {
            "an answer that cannot be read"
        }
    }
}

#[cfg(test)]
#[path = "bus/tests.rs"]
mod tests;
