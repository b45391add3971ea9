//! The functions are asked whether they reach AWS and the API server, each from where it runs and as whom it runs.

use super::{Changes, Done, Progress, Work};
use crate::calls::LAMBDA_INVOKE_FUNCTION;
use crate::change::Change;
use crate::problem::Problem;
use crate::problem_of::of_aws;
use crate::release::FUNCTIONS;
use crate::site::Site;
use aws_sdk_lambda::primitives::Blob;
use model::account::redacted;
use std::time::Duration;

/// What a function answers without deciding anything (runtime's doors).
const PROBE: &str = r#"{"joiner":"probe"}"#;
/// A role or an access entry that has just been made may not be known everywhere for some seconds.
const ATTEMPTS: u32 = 6;
const PAUSE: Duration = Duration::from_secs(2);

/// A call of each function.
pub(super) struct Probe;

impl Work for Probe {
    fn name(&self) -> &'static str {
        "probe"
    }

    fn proves(&self) -> bool {
        true
    }

    async fn look(&self, site: &Site) -> Changes {
        let told = "are asked whether they reach AWS and the API server";
        let objects = FUNCTIONS.map(|name| function(site, name)).join(", ");
        Ok(vec![Change::keep(objects, told)])
    }

    async fn carry_out(&self, site: &Site, _changes: &[Change], progress: Progress<'_>) -> Done {
        for name in FUNCTIONS {
            answer(site, &function(site, name), progress).await?;
        }
        Ok(())
    }
}

fn function(site: &Site, name: &str) -> String {
    format!("joiner-{}-{name}", site.cluster)
}

/// Asks until it reaches both, or has had its time.
async fn answer(site: &Site, function: &str, progress: Progress<'_>) -> Result<(), Problem> {
    let (mut pause, mut cause) = (PAUSE, String::new());
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            progress(&format!("{function} is asked again in {} s: {cause}", pause.as_secs()));
            crate::pause::pause(pause).await;
            pause *= 2;
        }
        match ask(site, function).await? {
            None => {
                progress(&format!("{function} reaches AWS and the API server"));
                return Ok(());
            }
            Some(failed) => cause = failed,
        }
    }
    let todo = "mend that and run the same command again: a function outside a VPC needs the API server's public endpoint, one in a VPC endpoints, a way out or --proxy; its role must be mapped in the cluster";
    Err(Problem::unfinished(
        function,
        format!("it does not reach AWS and the API server: {cause}"),
        todo,
    ))
}

/// Why it does not; `None` if it does.
async fn ask(site: &Site, function: &str) -> Result<Option<String>, Problem> {
    let asked = site.aws.lambda.invoke().function_name(function);
    let answer = asked.payload(Blob::new(PROBE)).send().await;
    let answer = answer.map_err(|error| of_aws(LAMBDA_INVOKE_FUNCTION, function, &error))?;
    let Some(kind) = answer.function_error() else { return Ok(None) };
    let payload = answer.payload().map(|payload| payload.as_ref().to_vec()).unwrap_or_default();
    Ok(Some(told(kind, &payload)))
}

/// The message of a failed invocation.
fn told(kind: &str, payload: &[u8]) -> String {
    let value = serde_json::from_slice::<serde_json::Value>(payload).unwrap_or_default();
    match value["errorMessage"].as_str() {
        Some(message) => redacted(message),
        None => kind.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_says_itself_what_is_wrong() {
        let payload = br#"{"errorType":"x","errorMessage":"no way to 123456789012"}"#;
        assert_eq!(told("Unhandled", payload), "no way to <account>");
        assert_eq!(told("Unhandled", b""), "Unhandled");
    }
}
