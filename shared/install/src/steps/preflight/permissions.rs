//! The permissions of whoever installs, as far as they can be known before.

use super::account::not_asked;
use super::found;
use crate::calls;
use crate::calls::{IAM_SIMULATE_PRINCIPAL_POLICY, STS_GET_CALLER_IDENTITY};
use crate::change::Change;
use crate::problem::Problem;
use crate::problem_of::{Call, of_aws, of_kube};
use crate::site::Site;
use aws_sdk_iam::types::PolicyEvaluationDecisionType;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Api;
use kube::api::PostParams;

pub(super) async fn look(site: &Site) -> Vec<Change> {
    vec![permissions(site).await, found("rights in the cluster", rights(site).await)]
}

/// IAM's own simulator says which calls would be denied. It does not see what service control policies forbid, and it may itself not be
/// allowed: then the call that is denied will name the statement.
async fn permissions(site: &Site) -> Change {
    let object = "permissions in the account";
    match denied(site).await {
        Ok(None) => Change::keep(object, "all: it is the account's root"),
        Ok(Some(denied)) if denied.is_empty() => {
            Change::keep(object, format!("all {} actions", calls::ALL.len()))
        }
        Ok(Some(denied)) => {
            let names = denied.iter().map(ToString::to_string).collect::<Vec<_>>().join("\",\"");
            Change::conflict(
                object,
                format!(
                    r#"missing; add to the policy of whoever installs: {{"Effect":"Allow","Action":["{names}"],"Resource":"*"}}"#
                ),
            )
        }
        Err(problem) => not_asked(object, &problem),
    }
}

/// The calls that would be denied; none for the account's root.
async fn denied(site: &Site) -> Result<Option<Vec<Call>>, Problem> {
    let who = site.aws.sts.get_caller_identity().send().await;
    let who = who.map_err(|error| of_aws(STS_GET_CALLER_IDENTITY, "whoever installs", &error))?;
    let Some(arn) = principal(who.arn().unwrap_or_default()) else { return Ok(None) };
    let mut denied = Vec::new();
    for call in calls::ALL {
        denied.extend(is_denied(site, &arn, *call).await?.then_some(*call));
    }
    Ok(Some(denied))
}

async fn is_denied(site: &Site, arn: &str, call: Call) -> Result<bool, Problem> {
    let asked = site.aws.iam.simulate_principal_policy().policy_source_arn(arn);
    let asked = asked.action_names(call.to_string()).resource_arns(resource(call, site));
    let answer = asked.send().await;
    let answer = answer.map_err(|error| {
        of_aws(IAM_SIMULATE_PRINCIPAL_POLICY, "permissions in the account", &error)
    })?;
    let mut results = answer.evaluation_results().iter();
    Ok(results.any(|result| *result.eval_decision() != PolicyEvaluationDecisionType::Allowed))
}

/// A resource such as the call is about, in this account.
fn resource(call: Call, site: &Site) -> String {
    let names = &site.names;
    let named = call
        .resource
        .replacen("arn:aws:", &format!("arn:{}:", site.partition), 1)
        .replace(":stack/joiner-*", &format!(":stack/{}/1", names.stack))
        .replace(":repository/joiner/*", &format!(":repository/{}", names.repository))
        .replace(":cluster/*", &format!(":cluster/{}", site.cluster))
        .replace(":::joiner-*", &format!(":::{}", names.bucket));
    let account = site.account.digits();
    let parts = named.splitn(6, ':').collect::<Vec<_>>();
    let [a, b, service, region, number, rest] = parts[..] else { return named };
    let filled =
        |part: &str, value: &str| if part == "*" { value.to_owned() } else { part.to_owned() };
    let (region, number) = (filled(region, &site.region), filled(number, account));
    format!("{a}:{b}:{service}:{region}:{number}:{}", rest.replace('*', "x"))
}

/// The role or user that policies are attached to; none for the account's root, who may everything.
fn principal(arn: &str) -> Option<String> {
    if let Some((head, rest)) = arn.split_once(":assumed-role/") {
        let role = rest.split('/').next()?;
        return Some(format!("{}:role/{role}", head.replacen(":sts:", ":iam:", 1)));
    }
    (!arn.ends_with(":root")).then(|| arn.to_owned())
}

/// Whether whoever installs may everything in the cluster, as making roles and custom resources needs.
async fn rights(site: &Site) -> Result<Change, Problem> {
    let object = "rights in the cluster";
    let all = || Some("*".to_owned());
    let attributes = ResourceAttributes {
        group: all(),
        resource: all(),
        verb: all(),
        ..ResourceAttributes::default()
    };
    let spec =
        SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(site.kube.clone());
    let answer = reviews.create(&PostParams::default(), &review).await;
    let answer = answer.map_err(|error| {
        of_kube("create", "selfsubjectaccessreviews.authorization.k8s.io", object, &error)
    })?;
    Ok(match answer.status.is_some_and(|status| status.allowed) {
        true => Change::keep(object, "those of an administrator"),
        false => Change::conflict(
            object,
            format!(
                "not those of an administrator, who alone can grant the functions and the webhook theirs: aws eks associate-access-policy --cluster-name {} --access-scope type=cluster --policy-arn arn:{}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy --principal-arn ARN, or choose an administrator's kubeconfig with --context",
                site.cluster, site.partition
            ),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_attached_to_roles_and_users() {
        let check =
            |arn: &str, expected: Option<&str>| assert_eq!(principal(arn).as_deref(), expected);
        check("arn:aws:sts::1:assumed-role/admin/me", Some("arn:aws:iam::1:role/admin"));
        check("arn:aws:iam::1:user/me", Some("arn:aws:iam::1:user/me"));
        check("arn:aws:iam::1:root", None);
    }
}
