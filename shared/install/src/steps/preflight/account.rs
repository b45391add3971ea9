//! The account: who installs, what a release brings, quotas.

use super::found;
use super::permissions;
use crate::calls::{LAMBDA_GET_ACCOUNT_SETTINGS, SERVICEQUOTAS_GET_SERVICE_QUOTA};
use crate::change::Change;
use crate::installed;
use crate::problem::Problem;
use crate::problem_of::of_aws;
use crate::site::Site;
use crate::steps::{delivery, identity};

/// Invocations at the same time: two of each function (infra/template.yaml, MaximumConcurrency).
const INVOCATIONS: i32 = 6;
/// AWS's codes of quotas: vCPUs of standard instances, on demand and spot. A new account has 5.
const VCPUS: [(&str, &str); 2] = [("on-demand", "L-1216C47A"), ("spot", "L-34B43A08")];
const FEW_VCPUS: f64 = 32.0;

pub(super) async fn look(site: &Site) -> Vec<Change> {
    let mut changes = permissions::look(site).await;
    changes.push(found("release", release(site).await));
    changes.push(found("OIDC provider of the cluster", identity::provider(site).await.map(later)));
    changes.push(found("spot role", identity::spot_role(site).await.map(later)));
    changes.push(concurrency(site).await);
    for (kind, code) in VCPUS {
        changes.push(vcpus(site, kind, code).await);
    }
    changes
}

/// What a later step makes is no obstacle.
fn later(change: Change) -> Change {
    match change.verb {
        crate::Verb::Create | crate::Verb::Update => {
            Change::keep(change.object, "not there yet; the step identity makes it")
        }
        crate::Verb::Keep | crate::Verb::Remove | crate::Verb::Conflict => change,
    }
}

async fn release(site: &Site) -> Result<Change, Problem> {
    if let Some(path) = &site.options.artifacts {
        return Ok(Change::keep("release", delivery::check(path)?));
    }
    let told = installed::read(site).await?.map(|found| format!("version {} stays", found.version));
    Ok(match told {
        Some(told) => Change::keep("release", told),
        None => Change::conflict(
            "release",
            "none is in the account: say --artifacts FILE (infra/release makes one of this source)",
        ),
    })
}

async fn concurrency(site: &Site) -> Change {
    const OBJECT: &str = "Lambda concurrency";
    let answer = site.aws.lambda.get_account_settings().send().await;
    let answer = match answer.map_err(|error| of_aws(LAMBDA_GET_ACCOUNT_SETTINGS, OBJECT, &error)) {
        Ok(answer) => answer,
        Err(problem) => return not_asked(OBJECT, &problem),
    };
    let limit = answer.account_limit();
    let free = limit.and_then(|limit| limit.unreserved_concurrent_executions());
    match free {
        None => Change::keep(OBJECT, "AWS does not tell"),
        Some(free) if free >= INVOCATIONS => {
            Change::keep(OBJECT, format!("{free} are free, {INVOCATIONS} are needed"))
        }
        Some(free) => Change::conflict(
            OBJECT,
            format!(
                "{free} are free and {INVOCATIONS} are needed: aws service-quotas request-service-quota-increase --service-code lambda --quota-code L-B99A9384 --desired-value 1000"
            ),
        ),
    }
}

async fn vcpus(site: &Site, kind: &str, code: &str) -> Change {
    let object = format!("quota of {kind} vCPUs");
    let asked = site.aws.quotas.get_service_quota().service_code("ec2").quota_code(code);
    let answer = match asked
        .send()
        .await
        .map_err(|error| of_aws(SERVICEQUOTAS_GET_SERVICE_QUOTA, &object, &error))
    {
        Ok(answer) => answer,
        Err(problem) => return not_asked(&object, &problem),
    };
    match answer.quota.and_then(|quota| quota.value) {
        None => Change::keep(object, "AWS does not tell"),
        Some(value) if value >= FEW_VCPUS => Change::keep(object, format!("{value}")),
        Some(value) => Change::keep(
            object,
            format!(
                "{value} are few: aws service-quotas request-service-quota-increase --service-code ec2 --quota-code {code} --desired-value 256"
            ),
        ),
    }
}

/// What only informs is no obstacle if it cannot be asked for.
pub(super) fn not_asked(object: &str, problem: &Problem) -> Change {
    Change::keep(object, format!("not known ({problem})"))
}
