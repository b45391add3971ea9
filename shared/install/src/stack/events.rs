//! Waiting for a stack, telling what happens to it.

use super::state::{self, State};
use crate::calls::CLOUDFORMATION_DESCRIBE_STACK_EVENTS;
use crate::problem::Problem;
use crate::problem_of::{code, message, of_aws};
use crate::site::Site;
use crate::steps::Progress;
use aws_sdk_cloudformation::types::{Stack, StackEvent};
use model::account::redacted;
use std::collections::BTreeSet;
use std::time::Duration;

/// How often a stack is asked for.
const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);
/// A stack takes minutes; an auto scaling group's nodes and endpoints make it ten.
const PATIENCE: Duration = Duration::from_secs(45 * 60);

/// The events of a stack that were seen already.
pub(crate) struct Seen {
    ids: BTreeSet<String>,
    /// The first failure since, with its reason: those after it follow from it.
    failure: Option<String>,
}

impl Seen {
    /// All that happened so far.
    pub(crate) async fn all(site: &Site) -> Result<Self, Problem> {
        let events = read(site).await?;
        let ids = events.iter().filter_map(|event| event.event_id()).map(str::to_owned);
        Ok(Self { ids: ids.collect(), failure: None })
    }

    /// Tells what happened since.
    async fn tell(&mut self, site: &Site, progress: Progress<'_>) -> Result<(), Problem> {
        let mut new = read(site).await?;
        new.retain(|event| event.event_id().is_some_and(|id| !self.ids.contains(id)));
        // CloudFormation answers the newest first.
        for event in new.iter().rev() {
            self.ids.extend(event.event_id().map(str::to_owned));
            let line = line(event);
            if is_failure(event) && self.failure.is_none() {
                self.failure = Some(line.clone());
            }
            if !is_underway(event) {
                progress(&line);
            }
        }
        Ok(())
    }
}

async fn read(site: &Site) -> Result<Vec<StackEvent>, Problem> {
    let name = &site.names.stack;
    let asked = site.aws.cloudformation.describe_stack_events().stack_name(name);
    match asked.send().await {
        Ok(answer) => Ok(answer.stack_events.unwrap_or_default()),
        Err(error)
            if code(&error) == "ValidationError" && message(&error).contains("does not exist") =>
        {
            Ok(Vec::new())
        }
        Err(error) => {
            Err(of_aws(CLOUDFORMATION_DESCRIBE_STACK_EVENTS, format!("stack {name}"), &error))
        }
    }
}

fn line(event: &StackEvent) -> String {
    let status = event.resource_status().map_or("", |status| status.as_str());
    let what = event.logical_resource_id().unwrap_or_default();
    let kind = event.resource_type().unwrap_or_default();
    let why = event.resource_status_reason().filter(|_| is_failed(event));
    let why = why.map(|why| format!(": {}", redacted(why))).unwrap_or_default();
    format!("{what} {kind} {status}{why}")
}

/// That something has begun is no news; that it is done is.
fn is_underway(event: &StackEvent) -> bool {
    event.resource_status().is_some_and(|status| status.as_str().ends_with("_IN_PROGRESS"))
}

fn is_failed(event: &StackEvent) -> bool {
    event.resource_status().is_some_and(|status| status.as_str().ends_with("_FAILED"))
}

/// Whether it failed by itself, and not because something else did.
fn is_failure(event: &StackEvent) -> bool {
    let cancelled = event.resource_status_reason().is_some_and(|why| why.contains("cancelled"));
    is_failed(event) && !cancelled
}

/// The first failure of the stack's last change, if one is to be seen.
pub(crate) async fn last_failure(site: &Site) -> Result<Option<String>, Problem> {
    let events = read(site).await?;
    Ok(events.iter().rev().find(|event| is_failure(event)).map(line))
}

/// Waits until nothing is being done with the stack, and returns it as it is then, with the first failure on the way; `None` if it is
/// gone.
pub(crate) async fn settle(
    site: &Site,
    seen: &mut Seen,
    progress: Progress<'_>,
) -> Result<Option<(Stack, Option<String>)>, Problem> {
    let mut pause = FIRST;
    let mut waited = Duration::ZERO;
    loop {
        seen.tell(site, progress).await?;
        let Some(stack) = super::describe(site).await? else { return Ok(None) };
        let busy = stack.stack_status().is_some_and(|status| state::of(status) == State::Busy);
        if !busy {
            seen.tell(site, progress).await?;
            return Ok(Some((stack, seen.failure.clone())));
        }
        if waited > PATIENCE {
            return Err(Problem::unfinished(
                format!("stack {}", site.names.stack),
                format!("it is not done after {} minutes", PATIENCE.as_secs() / 60),
                "look at its events, and run the same command again when it is",
            ));
        }
        crate::pause::pause(pause).await;
        waited += pause;
        pause = (pause * 2).min(LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_cloudformation::types::ResourceStatus;

    fn event(status: &str, why: &str) -> StackEvent {
        StackEvent::builder()
            .logical_resource_id("Bus")
            .resource_type("AWS::Events::EventBus")
            .resource_status(ResourceStatus::from(status))
            .resource_status_reason(why)
            .build()
    }

    #[test]
    fn failures_tell_why_and_no_account() {
        let told = line(&event("CREATE_FAILED", "no right for 123456789012"));
        assert_eq!(told, "Bus AWS::Events::EventBus CREATE_FAILED: no right for <account>");
        assert!(is_failure(&event("CREATE_FAILED", "no right")));
        assert!(!is_failure(&event("CREATE_FAILED", "Resource creation cancelled")));
        assert!(!is_failure(&event("CREATE_COMPLETE", "")));
    }
}
