//! What errors of AWS mean for the caller, and the permissions that a denied call lacks.

use crate::ports::CloudError;
use aws_sdk_ec2::config::http::HttpResponse;
use aws_sdk_ec2::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use model::account::redacted;
use model::labels;
use serde_json::{Value, json};

/// Codes that say there is no capacity now (Karpenter's list of unfulfillable-capacity codes).
const NO_CAPACITY: &[&str] = &[
    "InsufficientInstanceCapacity",
    "MaxSpotInstanceCountExceeded",
    "VcpuLimitExceeded",
    "UnfulfillableCapacity",
    "Unsupported",
    "InsufficientFreeAddressesInSubnet",
    "MaxFleetCountExceeded",
    "ReservationCapacityExceeded",
    SPOT_ROLE_MISSING,
];

/// The account may not buy spot: the role that EC2 needs for it cannot be made.
pub(super) const SPOT_ROLE_MISSING: &str = "AuthFailure.ServiceLinkedRoleCreationNotPermitted";

const THROTTLED: &[&str] = &[
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "EC2ThrottledException",
    "SlowDown",
    "BandwidthLimitExceeded",
    "PriorRequestNotComplete",
];

const DENIED: &[&str] = &[
    "UnauthorizedOperation",
    "Client.UnauthorizedOperation",
    "AccessDenied",
    "AccessDeniedException",
];

const CREDENTIALS: &[&str] = &[
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "AuthFailure",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "IncompleteSignature",
];

const UNCERTAIN: &[&str] = &[
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "Unavailable",
    "RequestTimeout",
    "RequestTimeoutException",
];

/// Whether the code means that there is no capacity now.
pub(super) fn is_no_capacity(code: &str) -> bool {
    NO_CAPACITY.contains(&code)
}

/// Whether a launch template that was named is gone.
pub(super) fn is_template_gone(code: &str) -> bool {
    code.starts_with("InvalidLaunchTemplate") && code.contains("NotFound")
}

/// Whether EC2 does not know the instance profile, which it may not for some seconds after it was made.
pub(super) fn is_profile_unknown(code: &str, message: &str) -> bool {
    let lower = message.to_ascii_lowercase();
    code == "InvalidParameterValue"
        && (lower.contains("iaminstanceprofile") || lower.contains("iam instance profile"))
}

/// An error of any call, by what the caller can do about it.
pub(super) fn cloud_error<E>(
    call: &'static str,
    what: &str,
    cluster: &str,
    error: &SdkError<E, HttpResponse>,
) -> CloudError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let SdkError::ServiceError(service) = error else { return unanswered(call, error) };
    let code = service.err().code().unwrap_or_default();
    let message = service.err().message().unwrap_or_default();
    answered(call, what, cluster, code, message, service.raw().status().as_u16())
}

/// No answer at all. Credentials that cannot be had show up here: the request was never signed.
fn unanswered<E>(call: &'static str, error: &SdkError<E, HttpResponse>) -> CloudError
where
    E: std::error::Error + 'static,
{
    let cause = DisplayErrorContext(error).to_string();
    let lower = cause.to_ascii_lowercase();
    if lower.contains("credential") || lower.contains("identity") {
        return CloudError::Credentials { call, code: "NoCredentials".to_owned() };
    }
    let timed_out = matches!(error, SdkError::TimeoutError(_));
    let answered = matches!(error, SdkError::ResponseError(_));
    let message = match (timed_out, answered) {
        (true, _) => "timed out",
        (false, true) => "the answer cannot be read",
        (false, false) => "the connection failed",
    };
    CloudError::Unknown { call, message: message.to_owned() }
}

pub(super) fn answered(
    call: &'static str,
    what: &str,
    cluster: &str,
    code: &str,
    message: &str,
    status: u16,
) -> CloudError {
    let owned = || code.to_owned();
    if THROTTLED.contains(&code) {
        return CloudError::Throttled { call };
    }
    if DENIED.contains(&code) {
        return CloudError::Denied {
            call,
            statement: statement_for(&denied_action(call, message), cluster),
        };
    }
    if CREDENTIALS.contains(&code) {
        return CloudError::Credentials { call, code: owned() };
    }
    if UNCERTAIN.contains(&code) || status >= 500 || is_profile_unknown(code, message) {
        let message = format!("{code} {}", redacted(message)).trim().to_owned();
        return CloudError::Unknown { call, message };
    }
    if code == "NoSuchEntity" || code.contains(".NotFound") {
        return CloudError::NotFound { call, what: what.to_owned(), code: owned() };
    }
    let code = if code.is_empty() { format!("HTTP {status}") } else { owned() };
    CloudError::Refused { call, code, message: redacted(message) }
}

/// The action that was denied: EC2 and IAM name it in the message, and it need not be the call's own (CreateFleet runs instances,
/// makes tags and passes a role).
fn denied_action(call: &str, message: &str) -> String {
    let named = message.split_once("perform: ").map(|(_, rest)| {
        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == ':').collect::<String>()
    });
    named.filter(|action| action.contains(':')).unwrap_or_else(|| {
        let service = if call.contains("InstanceProfile") { "iam" } else { "ec2" };
        format!("{service}:{call}")
    })
}

/// The statement of a policy that grants an action (`ec2:CreateFleet`) and no more than Joiner needs of it, as JSON.
/// What a launch makes must be tagged as the cluster's; what is deleted or tagged later must be so already
/// (the split of the policy in Karpenter's getting-started template).
pub fn statement_for(action: &str, cluster: &str) -> String {
    let owned = format!("{}{cluster}", labels::CLUSTER_TAG_PREFIX);
    let asked = json!({ "StringEquals": { format!("aws:RequestTag/{owned}"): "owned" } });
    let present = json!({ "StringEquals": { format!("aws:ResourceTag/{owned}"): "owned" } });
    let allow = |resources: Value, condition: Option<&Value>| {
        let mut statement = json!({ "Effect": "Allow", "Action": action, "Resource": resources });
        if let Some(condition) = condition {
            statement["Condition"] = condition.clone();
        }
        statement
    };
    let ec2 = |kinds: &[&str]| {
        kinds.iter().map(|kind| json!(format!("arn:aws:ec2:*:*:{kind}/*"))).collect::<Value>()
    };
    let made = ec2(&["fleet", "instance", "volume", "network-interface", "spot-instances-request"]);
    let statements = match action {
        "ec2:CreateFleet" | "ec2:RunInstances" => json!([
            allow(made, Some(&asked)),
            allow(ec2(&["launch-template"]), Some(&present)),
            allow(
                json!([
                    "arn:aws:ec2:*::image/*",
                    "arn:aws:ec2:*::snapshot/*",
                    "arn:aws:ec2:*:*:security-group/*",
                    "arn:aws:ec2:*:*:subnet/*",
                    "arn:aws:ec2:*:*:capacity-reservation/*",
                    "arn:aws:ec2:*:*:placement-group/*"
                ]),
                None
            ),
        ]),
        "ec2:CreateLaunchTemplate" => allow(ec2(&["launch-template"]), Some(&asked)),
        "ec2:DeleteLaunchTemplate" => allow(ec2(&["launch-template"]), Some(&present)),
        "ec2:CreateTags" => json!([
            allow(ec2(&["instance"]), Some(&present)),
            allow(
                ec2(&[
                    "fleet",
                    "instance",
                    "volume",
                    "network-interface",
                    "spot-instances-request",
                    "launch-template"
                ]),
                Some(&asked)
            ),
        ]),
        "ec2:TerminateInstances" => allow(ec2(&["instance"]), Some(&present)),
        "iam:PassRole" => allow(
            json!("arn:aws:iam::*:role/*"),
            Some(&json!({ "StringEquals": { "iam:PassedToService": "ec2.amazonaws.com" } })),
        ),
        "iam:CreateInstanceProfile" | "iam:TagInstanceProfile" => {
            allow(json!("arn:aws:iam::*:instance-profile/*"), Some(&asked))
        }
        "iam:AddRoleToInstanceProfile" => {
            allow(json!("arn:aws:iam::*:instance-profile/*"), Some(&present))
        }
        "iam:CreateServiceLinkedRole" => allow(
            json!("arn:aws:iam::*:role/aws-service-role/spot.amazonaws.com/*"),
            Some(&json!({ "StringEquals": { "iam:AWSServiceName": "spot.amazonaws.com" } })),
        ),
        // Reads cannot be narrowed to a resource.
        _ => allow(json!("*"), None),
    };
    statements.to_string()
}

#[cfg(test)]
mod tests;
