//! The CloudFormation stack: what it tells of itself, and how it is made, changed and removed.

pub(crate) mod change_set;
pub(crate) mod endpoints;
pub(crate) mod events;
pub(crate) mod parameters;
pub(crate) mod state;
pub(crate) mod template;

use crate::calls::CLOUDFORMATION_DESCRIBE_STACKS;
use crate::problem::Problem;
use crate::problem_of::{code, message, of_aws};
use crate::site::Site;
use aws_sdk_cloudformation::types::Stack;

/// The outputs of the stack (infra/template.yaml).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Outputs {
    /// The role of the webhook's service account, for the annotation `eks.amazonaws.com/role-arn`; holds the account's number.
    pub webhook_role_arn: Option<String>,
    /// The functions' role; holds the account's number.
    pub functions_role_arn: Option<String>,
    /// The bus that the webhook knocks on.
    pub bus: Option<String>,
    /// The bucket of kept turns.
    pub turns_bucket: Option<String>,
    /// The function on-schedule.
    pub on_schedule: Option<String>,
    /// The dashboard.
    pub dashboard_url: Option<String>,
}

impl Site {
    /// The stack's outputs; `None` where there is no stack, or it was never made whole.
    ///
    /// # Errors
    /// CloudFormation cannot be asked.
    pub async fn outputs(&self) -> Result<Option<Outputs>, Problem> {
        let Some(stack) = describe(self).await? else { return Ok(None) };
        let output = |name: &str| {
            let mut all = stack.outputs().iter();
            let found = all.find(|output| output.output_key() == Some(name));
            found.and_then(|output| output.output_value()).map(str::to_owned)
        };
        if output("BusName").is_none() {
            return Ok(None);
        }
        Ok(Some(Outputs {
            webhook_role_arn: output("WebhookRoleArn"),
            functions_role_arn: output("FunctionsRoleArn"),
            bus: output("BusName"),
            turns_bucket: output("TurnsBucket"),
            on_schedule: output("OnScheduleName"),
            dashboard_url: output("DashboardUrl"),
        }))
    }
}

/// The stack as it is, if there is one.
pub(crate) async fn describe(site: &Site) -> Result<Option<Stack>, Problem> {
    let name = &site.names.stack;
    match site.aws.cloudformation.describe_stacks().stack_name(name).send().await {
        Ok(answer) => Ok(answer.stacks.unwrap_or_default().into_iter().next()),
        // CloudFormation has no code of its own for a stack that is not there.
        Err(error)
            if code(&error) == "ValidationError" && message(&error).contains("does not exist") =>
        {
            Ok(None)
        }
        Err(error) => Err(of_aws(CLOUDFORMATION_DESCRIBE_STACKS, format!("stack {name}"), &error)),
    }
}
