//! The permissions of whoever installs, as far as they can be known before.

use super::account::not_asked;
use super::found;
use crate::calls;
use crate::calls::{IAM_SIMULATE_PRINCIPAL_POLICY, STS_GET_CALLER_IDENTITY};
use crate::change::Change;
use crate::names::hex;
use crate::problem::Problem;
use crate::problem_of::{Call, of_aws, of_kube};
use crate::site::Site;
use aws_sdk_iam::types::{
    ContextEntry, ContextKeyTypeEnum, EvaluationResult, PolicyEvaluationDecisionType,
};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Api;
use kube::api::PostParams;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

const OBJECT: &str = "permissions in the account";
/// The path of roles that IAM Identity Center makes, and that only it may change.
const IDENTITY_CENTER: &str = ":role/aws-reserved/sso.amazonaws.com/";

pub(super) async fn look(site: &Site) -> Vec<Change> {
    vec![permissions(site).await, found("rights in the cluster", rights(site).await)]
}

/// What IAM's own simulator says of the calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Judged {
    /// Those that would be denied.
    denied: BTreeSet<String>,
    /// Those that some condition decides about, of which the simulator was told nothing.
    open: BTreeSet<String>,
}

/// IAM's own simulator says which calls would be denied. It may itself not be allowed: then the call that is denied will name the
/// statement. It may also be wrong, so that `--force` goes over what it says.
async fn permissions(site: &Site) -> Change {
    let who = match whoever_installs(site).await {
        Ok(who) => who,
        Err(problem) => return not_asked(OBJECT, &problem),
    };
    let Some(principal) = who else {
        return Change::keep(OBJECT, "all: it is the account's root");
    };
    match judged(site, &principal).await {
        Ok(judged) => told(&judged, &principal, site.options.force),
        Err(problem) => not_asked(OBJECT, &problem),
    }
}

fn told(judged: &Judged, principal: &str, force: bool) -> Change {
    let all = calls::ALL.len();
    match (judged.denied.is_empty(), judged.open.is_empty()) {
        (true, true) => Change::keep(OBJECT, format!("all {all} actions")),
        (true, false) => {
            let open = judged.open.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            let told = format!("all {all} actions, but conditions decide about these: {open}");
            Change::keep(OBJECT, told)
        }
        (false, _) if force => {
            Change::keep(OBJECT, format!("{}; --force goes on", grant(principal, &judged.denied)))
        }
        (false, _) => Change::conflict(OBJECT, grant(principal, &judged.denied)),
    }
}

/// Who installs; none for the account's root.
async fn whoever_installs(site: &Site) -> Result<Option<String>, Problem> {
    let who = site.aws.sts.get_caller_identity().send().await;
    let who = who.map_err(|error| of_aws(STS_GET_CALLER_IDENTITY, "whoever installs", &error))?;
    let Some(principal) = principal(who.arn().unwrap_or_default()) else { return Ok(None) };
    Ok(Some(with_path(site, principal).await))
}

/// Asks for all calls that are about the same resource at once: the simulator allows few questions a second.
async fn judged(site: &Site, principal: &str) -> Result<Judged, Problem> {
    let mut of_resource = BTreeMap::<String, Vec<String>>::new();
    for call in calls::ALL {
        of_resource.entry(resource(*call, site)).or_default().push(call.to_string());
    }
    let mut judged = Judged::default();
    for (resource, actions) in of_resource {
        let asked = site.aws.iam.simulate_principal_policy().policy_source_arn(principal);
        let asked = asked.set_action_names(Some(actions)).resource_arns(resource);
        let mut pages = asked.context_entries(region(site)).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page =
                page.map_err(|error| of_aws(IAM_SIMULATE_PRINCIPAL_POLICY, OBJECT, &error))?;
            page.evaluation_results().iter().for_each(|result| judged.add(result));
        }
    }
    Ok(judged)
}

impl Judged {
    fn add(&mut self, result: &EvaluationResult) {
        let decision = result.eval_decision();
        if *decision == PolicyEvaluationDecisionType::Allowed {
            return;
        }
        let implicit = *decision == PolicyEvaluationDecisionType::ImplicitDeny;
        let is_open = implicit && !result.missing_context_values().is_empty();
        let of = if is_open { &mut self.open } else { &mut self.denied };
        of.insert(result.eval_action_name().to_owned());
    }
}

/// What policies that keep to regions ask for.
fn region(site: &Site) -> ContextEntry {
    let entry = ContextEntry::builder().context_key_name("aws:RequestedRegion");
    entry.context_key_type(ContextKeyTypeEnum::String).context_key_values(&site.region).build()
}

/// The role's own ARN: that of a session leaves out the path, which roles of IAM Identity Center have.
async fn with_path(site: &Site, principal: String) -> String {
    let Some((_, name)) = principal.split_once(":role/") else { return principal };
    let answer = site.aws.iam.get_role().role_name(name).send().await;
    let found = answer.ok().and_then(|answer| answer.role);
    found.map_or(principal, |role| role.arn().to_owned())
}

/// What grants them. The policy is named after what it holds, so that it takes no other's place.
fn grant(principal: &str, denied: &BTreeSet<String>) -> String {
    let actions = denied.iter().map(String::as_str).collect::<Vec<_>>();
    let statement =
        format!(r#"{{"Effect":"Allow","Action":["{}"],"Resource":"*"}}"#, actions.join("\",\""));
    let kind = if principal.contains(":user/") { "user" } else { "role" };
    let name = principal.rsplit('/').next().unwrap_or_default();
    if principal.contains(IDENTITY_CENTER) {
        return format!(
            "missing; add to the inline policy of {name}'s permission set in IAM Identity Center: {statement}"
        );
    }
    let digest = &hex(&Sha256::digest(&statement))[..8];
    format!(
        r#"missing: aws iam put-{kind}-policy --{kind}-name {name} --policy-name joiner-install-{digest} --policy-document '{{"Version":"2012-10-17","Statement":[{statement}]}}'"#
    )
}

/// A resource such as the call is about, in this account.
fn resource(call: Call, site: &Site) -> String {
    let names = &site.names;
    let named = call
        .resource
        .replacen("arn:aws:", &format!("arn:{}:", site.partition), 1)
        .replace(":stack/joiner-*", &format!(":stack/{}/1", names.stack))
        .replace(":repository/joiner/*", &format!(":repository/{}", names.repository))
        .replace(":*/*", ":subnet/*")
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
    use crate::change::Verb;

    #[test]
    fn policies_are_attached_to_roles_and_users() {
        let check =
            |arn: &str, expected: Option<&str>| assert_eq!(principal(arn).as_deref(), expected);
        check("arn:aws:sts::1:assumed-role/admin/me", Some("arn:aws:iam::1:role/admin"));
        check("arn:aws:iam::1:user/me", Some("arn:aws:iam::1:user/me"));
        check("arn:aws:iam::1:root", None);
    }

    #[test]
    fn what_conditions_decide_about_is_no_obstacle() {
        let check = |denied: &[&str], open: &[&str], force, verb: Verb, part: &str| {
            let all = |of: &[&str]| of.iter().map(|one| (*one).to_owned()).collect();
            let judged = Judged { denied: all(denied), open: all(open) };
            let change = told(&judged, "arn:aws:iam::1:user/me", force);
            assert!(change.verb == verb && change.detail.contains(part), "{change}");
        };
        check(&[], &[], false, Verb::Keep, "all ");
        check(&[], &["s3:PutObject"], false, Verb::Keep, "decide about these: s3:PutObject");
        check(&["s3:PutObject"], &[], false, Verb::Conflict, "put-user-policy");
        check(&["s3:PutObject"], &[], true, Verb::Keep, "--force goes on");
    }

    #[test]
    fn what_is_missing_is_told_with_the_command_that_grants_it() {
        let denied = ["ec2:CreateTags", "s3:PutObject"].map(str::to_owned).into();
        let check = |principal: &str, begin: &str, end: &str| {
            let told = grant(principal, &denied);
            assert!(told.starts_with(begin) && told.ends_with(end), "{told}");
            assert!(told.contains(r#""Action":["ec2:CreateTags","s3:PutObject"]"#), "{told}");
        };
        let role =
            "missing: aws iam put-role-policy --role-name admin --policy-name joiner-install-";
        check("arn:aws:iam::1:role/teams/admin", role, "}]}'");
        let user = "missing: aws iam put-user-policy --user-name me --policy-name joiner-install-";
        check("arn:aws:iam::1:user/me", user, "}]}'");
        let center = "missing; add to the inline policy of AWSReservedSSO_A_1's permission set";
        let of_center = "arn:aws:iam::1:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_A_1";
        check(of_center, center, r#""Resource":"*"}"#);
        let other = grant("arn:aws:iam::1:user/me", &["s3:PutObject".to_owned()].into());
        let name = |told: &str| told.split("joiner-install-").nth(1).unwrap()[..8].to_owned();
        assert_ne!(name(&other), name(&grant("arn:aws:iam::1:user/me", &denied)));
    }
}
