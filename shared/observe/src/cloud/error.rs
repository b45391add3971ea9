//! Why AWS could not be read, by what can be done about it.

use super::call::Call;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use model::account::redacted;
use std::error::Error;
use thiserror::Error;

/// Why a call failed. Messages hold no account ids, and none of the texts in which AWS repeats who called.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CloudReadError {
    /// AWS, or our own bucket before it, says that there were too many calls.
    #[error(
        "{call} is throttled ({code}): the next turn tries again; if this goes on, something else in the account makes many calls"
    )]
    Throttled {
        /// The call.
        call: Call,
        /// AWS's code, or `client-side limit`.
        code: String,
    },
    /// A permission is missing.
    #[error("{call} is not allowed{}: add to the role's policy {statement}", denial(*.explicit))]
    Denied {
        /// The call.
        call: Call,
        /// The policy statement that would allow it.
        statement: String,
        /// Whether a policy forbids it, so that allowing it elsewhere changes nothing.
        explicit: bool,
    },
    /// There are no credentials, or they are refused.
    #[error("{call}: {cause}{}: {}", shown(code), credentials_advice(code))]
    Credentials {
        /// The call.
        call: Call,
        /// AWS's code, or `no credentials` if there are none to make the call with.
        code: String,
        /// What is wrong with them.
        cause: String,
    },
    /// No answer, or none that makes sense.
    #[error("{call} got no usable answer: {cause}; check the route or VPC endpoint to {} in this region, and that its security groups let HTTPS in", call.service)]
    Unreachable {
        /// The call.
        call: Call,
        /// What happened instead.
        cause: String,
    },
    /// What was asked for does not exist.
    #[error("{call}: {what} does not exist; correct the name")]
    NotFound {
        /// The call.
        call: Call,
        /// The object: `cluster demo`.
        what: String,
    },
    /// AWS refuses the request as it is.
    #[error("{call} was refused: {code}: {message}")]
    Refused {
        /// The call.
        call: Call,
        /// AWS's code.
        code: String,
        /// AWS's message, without account ids.
        message: String,
    },
}

/// The code of calls that were never made, for want of credentials.
const NO_CREDENTIALS: &str = "no credentials";

fn denial(explicit: bool) -> &'static str {
    if explicit { " because a policy denies it explicitly; take that away, then" } else { "" }
}

/// The code where it is AWS's, for messages.
fn shown(code: &str) -> String {
    if code == NO_CREDENTIALS { String::new() } else { format!(" ({code})") }
}

fn credentials_advice(code: &str) -> &'static str {
    match code {
        "RequestExpired" | "SignatureDoesNotMatch" | "InvalidSignatureException" => {
            "check that this machine's clock is right, then the secret key"
        }
        NO_CREDENTIALS => {
            "set AWS_PROFILE or AWS_ACCESS_KEY_ID; if the profile uses SSO, run aws sso login first"
        }
        _ => "get new credentials and try again",
    }
}

impl CloudReadError {
    /// The call that failed.
    pub fn call(&self) -> Call {
        match self {
            Self::Throttled { call, .. }
            | Self::Denied { call, .. }
            | Self::Credentials { call, .. }
            | Self::Unreachable { call, .. }
            | Self::NotFound { call, .. }
            | Self::Refused { call, .. } => *call,
        }
    }

    /// The error of a call for which no credentials could be had.
    pub(crate) fn no_credentials(call: Call, error: &CredentialsError) -> Self {
        let cause = credentials_problem(error);
        Self::Credentials { call, code: NO_CREDENTIALS.to_owned(), cause }
    }

    /// The error of a call about the object of that name in that region.
    pub(crate) fn of<E>(
        call: Call,
        region: &str,
        name: &str,
        error: &SdkError<E, HttpResponse>,
    ) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        if let Some(found) = credentials_error(error) {
            return Self::no_credentials(call, found);
        }
        if let SdkError::ServiceError(answer) = error {
            let status = answer.raw().status().as_u16();
            return of_service(call, region, name, status, answer.err().meta());
        }
        let slow = matches!(error, SdkError::TimeoutError(_))
            || matches!(error, SdkError::DispatchFailure(failure) if failure.is_timeout());
        let cause = match error.raw_response() {
            _ if slow => "it took too long".to_owned(),
            Some(answer) => format!("HTTP status {}", answer.status().as_u16()),
            None => innermost(error),
        };
        Self::Unreachable { call, cause }
    }
}

fn of_service(
    call: Call,
    region: &str,
    name: &str,
    status: u16,
    meta: &aws_sdk_ec2::error::ErrorMetadata,
) -> CloudReadError {
    let code = meta.code().unwrap_or_default().to_owned();
    let text = meta.message().unwrap_or_default();
    match code.as_str() {
        "RequestLimitExceeded"
        | "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "TooManyRequestsException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "SlowDown" => CloudReadError::Throttled { call, code },
        "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" => {
            let statement = call.statement(region, name);
            CloudReadError::Denied { call, statement, explicit: text.contains("explicit deny") }
        }
        "ExpiredToken"
        | "ExpiredTokenException"
        | "RequestExpired"
        | "AuthFailure"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "InvalidAccessKeyId"
        | "OptInRequired" => {
            let cause = "the credentials are refused".to_owned();
            CloudReadError::Credentials { call, code, cause }
        }
        "" => CloudReadError::Unreachable { call, cause: format!("HTTP status {status}") },
        _ if status >= 500 => {
            CloudReadError::Unreachable { call, cause: format!("{code}, HTTP status {status}") }
        }
        _ => CloudReadError::Refused { call, code, message: redacted(text) },
    }
}

/// What is wrong with the credentials, if it was they that the call failed for.
fn credentials_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a CredentialsError> {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(found) = error.downcast_ref::<CredentialsError>() {
            return Some(found);
        }
        at = error.source();
    }
    None
}

fn credentials_problem(error: &CredentialsError) -> String {
    if matches!(error, CredentialsError::CredentialsNotLoaded(_)) {
        return "no credentials were found".to_owned();
    }
    match innermost(error) {
        text if text.contains("cargo feature") => {
            "the profile gets its credentials in a way that is not built in".to_owned()
        }
        text => format!("the credentials could not be loaded: {text}"),
    }
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    redacted(&last.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::call::{DESCRIBE_CLUSTER, DESCRIBE_INSTANCES};
    use super::*;
    use aws_sdk_ec2::error::ErrorMetadata;

    fn answered(call: Call, status: u16, code: &str, message: &str) -> CloudReadError {
        let mut meta = ErrorMetadata::builder().message(message);
        if !code.is_empty() {
            meta = meta.code(code);
        }
        of_service(call, "us-east-1", "demo", status, &meta.build())
    }

    #[test]
    fn codes_become_what_can_be_done() {
        let check = |status: u16, code: &str, begins: &str| {
            let found = answered(DESCRIBE_INSTANCES, status, code, "of account 123456789012");
            let message = found.to_string();
            assert!(message.starts_with(begins), "{message}");
            assert!(!message.contains("123456789012"), "{message}");
        };
        check(
            503,
            "RequestLimitExceeded",
            "ec2:DescribeInstances is throttled (RequestLimitExceeded)",
        );
        check(
            403,
            "UnauthorizedOperation",
            "ec2:DescribeInstances is not allowed: add to the role's policy",
        );
        check(
            400,
            "RequestExpired",
            "ec2:DescribeInstances: the credentials are refused (RequestExpired): check that this machine's clock",
        );
        check(
            400,
            "ExpiredToken",
            "ec2:DescribeInstances: the credentials are refused (ExpiredToken): get new",
        );
        check(500, "", "ec2:DescribeInstances got no usable answer: HTTP status 500");
        check(
            503,
            "Unavailable",
            "ec2:DescribeInstances got no usable answer: Unavailable, HTTP status 503",
        );
        check(
            400,
            "InvalidParameterValue",
            "ec2:DescribeInstances was refused: InvalidParameterValue: of account <account>",
        );
    }

    #[test]
    fn a_denial_names_the_statement_that_would_allow_the_call() {
        let message = "User: arn:aws:sts::123456789012:assumed-role/x is not authorized";
        let denied = answered(DESCRIBE_CLUSTER, 403, "AccessDeniedException", message);
        assert_eq!(
            denied.to_string(),
            r#"eks:DescribeCluster is not allowed: add to the role's policy {"Effect":"Allow","Action":"eks:DescribeCluster","Resource":"arn:aws:eks:us-east-1:*:cluster/demo"}"#
        );
        let forbidden =
            answered(DESCRIBE_CLUSTER, 403, "AccessDeniedException", "with an explicit deny in x");
        assert!(forbidden.to_string().contains("a policy denies it explicitly"));
    }
}
