//! Making, changing and removing the stack, as `sam deploy` does: by a change set, so that CloudFormation expands the template first.

use super::events::{Seen, settle};
use super::parameters::{Values, for_change_set};
use super::state::{self, State};
use super::{events, template};
use crate::calls::{
    CLOUDFORMATION_CREATE_CHANGE_SET, CLOUDFORMATION_DELETE_CHANGE_SET,
    CLOUDFORMATION_DELETE_STACK, CLOUDFORMATION_DESCRIBE_CHANGE_SET,
    CLOUDFORMATION_DESCRIBE_STACK_RESOURCE, CLOUDFORMATION_EXECUTE_CHANGE_SET, S3_GET_OBJECT,
};
use crate::emptying;
use crate::names::hex;
use crate::problem::Problem;
use crate::problem_of::{code, of_aws};
use crate::site::Site;
use crate::steps::Progress;
use aws_sdk_cloudformation::types::{Capability, ChangeSetStatus, ChangeSetType, Stack};
use aws_sdk_s3::presigning::PresigningConfig;
use model::account::redacted;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// How often a change set is asked for, and for how long.
const PAUSE: Duration = Duration::from_millis(500);
const ATTEMPTS: u32 = 600;

fn object(site: &Site) -> String {
    format!("stack {}", site.names.stack)
}

/// Brings the stack to this template and these parameters, and waits for it.
pub(crate) async fn apply(
    site: &Site,
    text: String,
    values: &Values,
    progress: Progress<'_>,
) -> Result<(), Problem> {
    let mut seen = Seen::all(site).await?;
    let found = settle(site, &mut seen, progress).await?.map(|(stack, _)| stack);
    let state = found.as_ref().and_then(Stack::stack_status).map(state::of);
    let kind = match state {
        None | Some(State::Planned) => ChangeSetType::Create,
        _ => ChangeSetType::Update,
    };
    let url = upload(site, &text).await?;
    let id = create(site, &url, kind, values, found.as_ref()).await?;
    if !is_ready(site, &id).await? {
        return discard(site, &id).await;
    }
    let executed = site.aws.cloudformation.execute_change_set().change_set_name(&id).send().await;
    executed.map_err(|error| of_aws(CLOUDFORMATION_EXECUTE_CHANGE_SET, object(site), &error))?;
    judge(site, settle(site, &mut seen, progress).await?)
}

/// The template in the bucket: it is larger than a call may be. The address is that of the bucket's own endpoint.
async fn upload(site: &Site, text: &str) -> Result<String, Problem> {
    let key = format!("templates/{}.yaml", &hex(&Sha256::digest(text))[..16]);
    crate::installed::put(site, &key, text.as_bytes().to_vec(), "text/yaml").await?;
    let expires = PresigningConfig::expires_in(Duration::from_secs(60));
    let expires =
        expires.map_err(|error| Problem::input("the template's address", error.to_string()))?;
    let asked = site.aws.s3.get_object().bucket(&site.names.bucket).key(key);
    let signed = asked.presigned(expires).await;
    let signed = signed.map_err(|error| of_aws(S3_GET_OBJECT, "the template's address", &error))?;
    Ok(signed.uri().split('?').next().unwrap_or_default().to_owned())
}

async fn create(
    site: &Site,
    url: &str,
    kind: ChangeSetType,
    values: &Values,
    found: Option<&Stack>,
) -> Result<String, Problem> {
    let name = format!("joiner-{}", now_s());
    let capabilities = [
        Capability::CapabilityIam,
        Capability::CapabilityNamedIam,
        Capability::CapabilityAutoExpand,
    ];
    let parameters = for_change_set(values, &template::parameters(), found);
    let asked = site.aws.cloudformation.create_change_set().stack_name(&site.names.stack);
    let asked = asked.change_set_name(name).change_set_type(kind).template_url(url);
    let asked =
        asked.set_parameters(Some(parameters)).set_capabilities(Some(capabilities.to_vec()));
    let answer = asked.description("joiner install").send().await;
    let answer =
        answer.map_err(|error| of_aws(CLOUDFORMATION_CREATE_CHANGE_SET, object(site), &error))?;
    answer.id.ok_or_else(|| Problem::Refused {
        object: object(site),
        call: CLOUDFORMATION_CREATE_CHANGE_SET.to_string(),
        cause: "the answer names no change set".to_owned(),
    })
}

/// A name that no earlier change set has: the seconds since 1970.
fn now_s() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map(|since| since.as_secs()).unwrap_or_default()
}

/// Waits for the change set; `false` if it would change nothing.
async fn is_ready(site: &Site, id: &str) -> Result<bool, Problem> {
    for _ in 0..ATTEMPTS {
        let answer = site.aws.cloudformation.describe_change_set().change_set_name(id).send().await;
        let answer = answer
            .map_err(|error| of_aws(CLOUDFORMATION_DESCRIBE_CHANGE_SET, object(site), &error))?;
        let why = answer.status_reason().unwrap_or_default();
        match answer.status() {
            Some(ChangeSetStatus::CreateComplete) => return Ok(true),
            Some(ChangeSetStatus::Failed)
                if why.contains("didn't contain changes")
                    || why.contains("No updates are to be performed") =>
            {
                return Ok(false);
            }
            Some(ChangeSetStatus::Failed) => {
                return Err(Problem::Refused {
                    object: object(site),
                    call: CLOUDFORMATION_CREATE_CHANGE_SET.to_string(),
                    cause: redacted(why),
                });
            }
            _ => crate::pause::pause(PAUSE).await,
        }
    }
    let todo = "run the same command again";
    Err(Problem::unfinished(object(site), "its change set is not ready after five minutes", todo))
}

async fn discard(site: &Site, id: &str) -> Result<(), Problem> {
    let gone = site.aws.cloudformation.delete_change_set().change_set_name(id).send().await;
    gone.map(drop).map_err(|error| of_aws(CLOUDFORMATION_DELETE_CHANGE_SET, object(site), &error))
}

/// Whether the stack became what it should.
fn judge(site: &Site, settled: Option<(Stack, Option<String>)>) -> Result<(), Problem> {
    let Some((stack, failure)) = settled else {
        let todo = "run the same command again";
        return Err(Problem::unfinished(object(site), "it was deleted by somebody else", todo));
    };
    let status = stack.stack_status().map_or("", |status| status.as_str());
    match status {
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" => Ok(()),
        _ => {
            let cause = failure.unwrap_or_else(|| "CloudFormation tells no reason".to_owned());
            Err(Problem::unfinished(
                object(site),
                format!("it is {status}, because {cause}"),
                what_to_do(site, &stack),
            ))
        }
    }
}

/// What whoever installs can do about a stack that is not whole.
pub(crate) fn what_to_do(site: &Site, stack: &Stack) -> String {
    let name = &site.names.stack;
    match stack.stack_status().map(state::of) {
        Some(State::Broken) => format!(
            "mend the cause, then run the same command with --force, which deletes what is left and makes the stack anew (or first: aws cloudformation delete-stack --stack-name {name})"
        ),
        Some(State::Stuck) => format!(
            "mend the cause, then: aws cloudformation continue-update-rollback --stack-name {name}; then run the same command again"
        ),
        _ => "mend the cause and run the same command again".to_owned(),
    }
}

/// Removes the stack and waits until it is gone. Its bucket of kept turns is emptied first, else it would stay.
pub(crate) async fn delete(site: &Site, progress: Progress<'_>) -> Result<(), Problem> {
    let mut seen = Seen::all(site).await?;
    let Some((stack, _)) = settle(site, &mut seen, progress).await? else { return Ok(()) };
    if let Some(bucket) = turns_bucket(site).await? {
        progress(&format!("bucket {bucket} is emptied"));
        emptying::empty(site, &bucket).await?;
    }
    let id = stack.stack_id().unwrap_or(&site.names.stack);
    let asked = site.aws.cloudformation.delete_stack().stack_name(id).send().await;
    asked.map_err(|error| of_aws(CLOUDFORMATION_DELETE_STACK, object(site), &error))?;
    match settle(site, &mut seen, progress).await? {
        None => Ok(()),
        Some((stack, _))
            if stack.stack_status().is_some_and(|status| status.as_str() == "DELETE_COMPLETE") =>
        {
            Ok(())
        }
        Some((_, failure)) => {
            let cause = failure.or(events::last_failure(site).await?).unwrap_or_default();
            let todo = "mend the cause and run the same command again";
            Err(Problem::unfinished(object(site), format!("it cannot be deleted: {cause}"), todo))
        }
    }
}

/// The bucket of kept turns, if the stack has one.
async fn turns_bucket(site: &Site) -> Result<Option<String>, Problem> {
    let asked = site.aws.cloudformation.describe_stack_resource();
    let asked = asked.stack_name(&site.names.stack).logical_resource_id("Turns");
    let detail = match asked.send().await {
        Ok(answer) => answer.stack_resource_detail,
        Err(error) if code(&error) == "ValidationError" => None,
        Err(error) => {
            return Err(of_aws(CLOUDFORMATION_DESCRIBE_STACK_RESOURCE, object(site), &error));
        }
    };
    let there = |status: &str| !status.starts_with("DELETE_COMPLETE") && status != "CREATE_FAILED";
    let detail = detail
        .filter(|detail| detail.resource_status().is_some_and(|status| there(status.as_str())));
    Ok(detail.and_then(|detail| detail.physical_resource_id).filter(|id| !id.is_empty()))
}
