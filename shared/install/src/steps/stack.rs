//! The CloudFormation stack.

use super::{Changes, Done, Progress, Work};
use crate::calls::CLOUDFORMATION_GET_TEMPLATE;
use crate::change::Change;
use crate::installed::{self, Installed};
use crate::problem::Problem;
use crate::problem_of::of_aws;
use crate::site::Site;
use crate::stack::change_set::{self, what_to_do};
use crate::stack::parameters::{self, Values};
use crate::stack::state::{self, State};
use crate::stack::{self, events, template};
use aws_sdk_cloudformation::types::TemplateStage;

/// The functions, queues, rules, alarms and roles.
pub(super) struct Stack;

impl Work for Stack {
    fn name(&self) -> &'static str {
        "stack"
    }

    async fn look(&self, site: &Site) -> Changes {
        Ok(vec![change(site).await?])
    }

    async fn carry_out(&self, site: &Site, _changes: &[Change], progress: Progress<'_>) -> Done {
        let found = stack::describe(site).await?;
        let broken = found.as_ref().and_then(|stack| stack.stack_status()).map(state::of);
        if broken == Some(State::Broken) {
            change_set::delete(site, progress).await?;
        }
        let Some(installed) = installed::read(site).await? else {
            return Err(Problem::not_found(
                "functions' code",
                "the step delivery brings it",
                "name it with --artifacts",
            ));
        };
        let found = found.filter(|_| broken != Some(State::Broken));
        let (text, values) = wanted(site, &installed, found.as_ref()).await?;
        change_set::apply(site, text, &values, progress).await
    }
}

type Found = aws_sdk_cloudformation::types::Stack;

async fn wanted(
    site: &Site,
    installed: &Installed,
    found: Option<&Found>,
) -> Result<(String, Values), Problem> {
    let place = |key: &String| format!("s3://{}/{key}", site.names.bucket);
    let code = installed.functions.iter().map(|(name, key)| (name.clone(), place(key))).collect();
    let Some(text) = template::with_code(&code) else {
        let todo = "deliver it again: --artifacts FILE";
        return Err(Problem::unfinished("functions' code", "the delivery lacks a function", todo));
    };
    Ok((text, parameters::wanted(site, installed, found).await?))
}

async fn change(site: &Site) -> Result<Change, Problem> {
    let object = format!("stack {}", site.names.stack);
    let found = stack::describe(site).await?;
    let Some(installed) = installed::read(site).await? else {
        // A dry run before the first delivery.
        return Ok(Change::create(object, "of the template, when the code is delivered"));
    };
    let Some(found) = found else {
        let (_, values) = wanted(site, &installed, None).await?;
        return Ok(Change::create(object, told(&values)));
    };
    if parameters::value(&found, "ClusterName").is_some_and(|name| name != site.cluster) {
        let name = parameters::value(&found, "ClusterName").unwrap_or_default();
        return Ok(Change::conflict(
            object,
            format!("it belongs to cluster {name}; rename or delete it"),
        ));
    }
    let status = found.stack_status().map_or("", |status| status.as_str());
    match found.stack_status().map_or(State::Sound, state::of) {
        State::Planned => Ok(Change::create(object, "an earlier installation planned it only")),
        State::Busy => Ok(Change::update(object, format!("it is {status}: that is waited for"))),
        State::Broken if site.options.force => Ok(Change::update(
            object,
            format!("it is {status}: what is left is deleted, and it is made anew"),
        )),
        State::Broken | State::Stuck => {
            let why = events::last_failure(site).await?.map(|why| format!(", because {why}"));
            let todo = what_to_do(site, &found);
            Ok(Change::conflict(
                object,
                format!("it is {status}{}; {todo}", why.unwrap_or_default()),
            ))
        }
        State::Sound => compared(site, &installed, &found, object).await,
    }
}

/// A stack that is whole, against what it should be.
async fn compared(
    site: &Site,
    installed: &Installed,
    found: &Found,
    object: String,
) -> Result<Change, Problem> {
    let (text, values) = wanted(site, installed, Some(found)).await?;
    let asked = site.aws.cloudformation.get_template().stack_name(&site.names.stack);
    let answer = asked.template_stage(TemplateStage::Original).send().await;
    let answer = answer.map_err(|error| of_aws(CLOUDFORMATION_GET_TEMPLATE, &object, &error))?;
    let mut differs = parameters::differences(found, &values);
    if answer.template_body().map(str::trim) != Some(text.trim()) {
        differs.push("another template or other code".to_owned());
    }
    let version = format!("version {}", installed.version);
    Ok(match differs.is_empty() {
        true => Change::keep(object, version),
        false => Change::update(object, format!("{version}: {}", differs.join(", "))),
    })
}

/// What matters of a new stack's parameters.
fn told(values: &Values) -> String {
    let value = |name: &str| values.get(name).map_or("", String::as_str);
    let place = match value("VpcId") {
        "" => "functions in no VPC".to_owned(),
        vpc => format!("functions in {vpc}, endpoints made: {}", value("PrivateEndpoints")),
    };
    let nodes = match value("SystemNodes") {
        "asg" => "two nodes for the webhook in an auto scaling group of its own",
        _ => "the webhook on nodes that are there",
    };
    let access = match value("AccessEntries") {
        "true" => "an access entry",
        _ => "aws-auth",
    };
    format!("{place}; {nodes}; the functions' user by {access}")
}
