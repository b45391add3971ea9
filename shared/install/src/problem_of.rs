//! Errors of AWS and of the API server as problems.

use crate::problem::Problem;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use model::account::redacted;
use std::error::Error;

/// One action of an AWS service, as IAM names it, and what the permission for it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// `ec2`
    pub service: &'static str,
    /// `CreateTags`
    pub action: &'static str,
    /// The resource of the statement that allows it, account and region left open: `*`, or `arn:aws:ec2:*:*:subnet/*`.
    pub resource: &'static str,
}

impl Call {
    /// The action of that service, on these resources.
    pub const fn new(service: &'static str, action: &'static str, resource: &'static str) -> Self {
        Self { service, action, resource }
    }

    /// The policy statement that allows it.
    pub fn statement(self) -> String {
        format!(r#"{{"Effect":"Allow","Action":"{self}","Resource":"{}"}}"#, self.resource)
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.service, self.action)
    }
}

const THROTTLED: &[&str] = &[
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
    "LimitExceededException",
    "SlowDown",
];
const DENIED: &[&str] =
    &["UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "Forbidden", "403"];
const CREDENTIALS: &[&str] = &[
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "AuthFailure",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "InvalidAccessKeyId",
];

/// The code that AWS answered; empty if there was no answer.
pub(crate) fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> String {
    let SdkError::ServiceError(service) = error else { return String::new() };
    service.err().code().unwrap_or_default().to_owned()
}

/// The message that AWS answered, without account ids.
pub(crate) fn message<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> String {
    let SdkError::ServiceError(service) = error else { return String::new() };
    redacted(service.err().message().unwrap_or_default())
}

/// The problem of a call of AWS about an object.
pub fn of_aws<E>(
    call: Call,
    object: impl Into<String>,
    error: &SdkError<E, HttpResponse>,
) -> Problem
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let (object, named) = (object.into(), call.to_string());
    if let Some(cause) = no_credentials(error) {
        let todo = "set AWS_PROFILE or AWS_ACCESS_KEY_ID; if the profile uses SSO, run aws sso login first";
        return Problem::Credentials { object, cause, todo: todo.to_owned() };
    }
    let SdkError::ServiceError(service) = error else {
        return Problem::Unreachable { object, call: named, cause: unanswered(error) };
    };
    let status = service.raw().status().as_u16();
    let (code, message) = (code(error), message(error));
    if THROTTLED.contains(&code.as_str()) {
        return Problem::Throttled { object, call: named };
    }
    if DENIED.contains(&code.as_str()) || (code.is_empty() && status == 403) {
        let statement = statement_of(call, &message);
        return Problem::Denied { object, call: named, statement };
    }
    if CREDENTIALS.contains(&code.as_str()) {
        let todo = "get new credentials, check this machine's clock, and try again".to_owned();
        return Problem::Credentials { object, cause: code, todo };
    }
    if status >= 500 {
        let cause = format!("{code} HTTP status {status}").trim().to_owned();
        return Problem::Unreachable { object, call: named, cause };
    }
    let cause = match code.is_empty() {
        true => format!("HTTP status {status}"),
        false => format!("{code}: {message}"),
    };
    Problem::Refused { object, call: named, cause }
}

/// AWS's message tells which action is lacking where one call needs several: `not authorized to perform: iam:PassRole on`.
fn statement_of(call: Call, message: &str) -> String {
    let told = message.split("to perform: ").nth(1).and_then(|rest| rest.split_whitespace().next());
    match told {
        Some(action) if action != call.to_string() && action.contains(':') => {
            format!(r#"{{"Effect":"Allow","Action":"{action}","Resource":"*"}}"#)
        }
        _ => call.statement(),
    }
}

fn unanswered<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: Error + 'static,
{
    let mut last: &dyn Error = error;
    while let Some(source) = last.source() {
        last = source;
    }
    redacted(&last.to_string())
}

/// What is wrong with the credentials, if that is why a call was never sent.
fn no_credentials(error: &(dyn Error + 'static)) -> Option<String> {
    let mut at = Some(error);
    while let Some(error) = at {
        match error.downcast_ref::<CredentialsError>() {
            Some(CredentialsError::CredentialsNotLoaded(_)) => {
                return Some("none were found".to_owned());
            }
            Some(found) => return Some(redacted(&found.to_string())),
            None => at = error.source(),
        }
    }
    None
}

/// The problem of a request to the API server about an object. `verb` and `resource` as RBAC has them: `patch`, `deployments.apps`.
pub fn of_kube(
    verb: &str,
    resource: &str,
    object: impl Into<String>,
    error: &kube::Error,
) -> Problem {
    let (object, call) = (object.into(), format!("{verb} {resource}"));
    let kube::Error::Api(status) = error else {
        let mut last: &dyn Error = error;
        while let Some(source) = last.source() {
            last = source;
        }
        return Problem::Unreachable { object, call, cause: redacted(&last.to_string()) };
    };
    match status.code {
        401 => Problem::Credentials {
            object,
            cause: "the API server does not know this identity".to_owned(),
            todo: "give it an access entry of the cluster with the policy AmazonEKSClusterAdminPolicy, or choose a kubeconfig with --context".to_owned(),
        },
        403 => {
            let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
            let statement = format!(
                r#"a ClusterRole's rule {{"apiGroups":["{group}"],"resources":["{plural}"],"verbs":["{verb}"]}}"#
            );
            Problem::Denied { object, call, statement }
        }
        404 => Problem::not_found(object, redacted(&status.message), "run the same command again"),
        429 => Problem::Throttled { object, call },
        500.. => Problem::Unreachable { object, call, cause: format!("HTTP status {}", status.code) },
        _ => Problem::Refused { object, call, cause: redacted(&status.message) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lacking_is_named_as_a_statement() {
        let call = Call::new("cloudformation", "ExecuteChangeSet", "*");
        let check = |message: &str, action: &str| {
            let expected = format!(r#"{{"Effect":"Allow","Action":"{action}","Resource":"*"}}"#);
            assert_eq!(statement_of(call, message), expected);
        };
        check("", "cloudformation:ExecuteChangeSet");
        check(
            "User: x is not authorized to perform: iam:CreateRole on resource: y",
            "iam:CreateRole",
        );
    }

    #[test]
    fn answers_of_the_api_server_tell_what_to_do() {
        let check = |code: u16, part: &str| {
            let status = kube::core::Status::failure("no", "x").with_code(code);
            let error = kube::Error::Api(Box::new(status));
            let told = of_kube("patch", "deployments.apps", "deployment web", &error).to_string();
            assert!(told.starts_with("deployment web") && told.contains(part), "{told}");
        };
        check(401, "AmazonEKSClusterAdminPolicy");
        check(403, r#""apiGroups":["apps"],"resources":["deployments"],"verbs":["patch"]"#);
        check(429, "throttled");
        check(503, "HTTP status 503");
        check(409, "was refused: no");
    }
}
