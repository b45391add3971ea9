//! The stack's parameters, as the site has them.

use super::endpoints;
use crate::installed::Installed;
use crate::network;
use crate::problem::Problem;
use crate::site::{Authentication, Site};
use crate::{profile, proxy, standing};
use aws_sdk_cloudformation::types::{Parameter, Stack};
use model::labels::DISCOVERY;
use std::collections::BTreeMap;

/// Values by parameter.
pub(crate) type Values = BTreeMap<&'static str, String>;

/// The two nodes that the webhook needs (upstream's page: two nodes outside its management).
const SYSTEM_NODES: usize = 2;

/// What the site says of the parameters; others keep what they have, or their defaults.
pub(crate) async fn wanted(
    site: &Site,
    installed: &Installed,
    found: Option<&Stack>,
) -> Result<Values, Problem> {
    let mut values = Values::new();
    values.insert("ClusterName", site.cluster.clone());
    values.insert("Architecture", installed.architecture.clone());
    let entries = site.authentication == Authentication::AccessEntries;
    values.insert("AccessEntries", entries.to_string());
    if let Some(role) = &site.node_role {
        values.insert("NodeRoleArn", role.arn.clone());
    }
    if let Some(issuer) = site.oidc_issuer.as_ref().filter(|issuer| is_issuer_of_eks(issuer)) {
        values.insert("OidcIssuer", issuer.clone());
    }
    let has = |name: &str, none: &str| {
        found
            .and_then(|stack| value(stack, name))
            .is_some_and(|value| !value.is_empty() && value != none)
    };
    if !site.public_endpoint {
        let proxy = proxy::of(site).await?;
        if !has("VpcId", "") {
            values.extend(in_vpc(site, proxy.as_deref()).await?);
        }
        values.insert("HttpsProxy", proxy.unwrap_or_default());
    }
    if !has("SystemNodes", "none") {
        values.extend(system_nodes(site).await?);
    }
    Ok(values)
}

/// The value that a stack has of a parameter.
pub(crate) fn value<'a>(stack: &'a Stack, name: &str) -> Option<&'a str> {
    let found = stack.parameters().iter().find(|parameter| parameter.parameter_key() == Some(name));
    found.and_then(Parameter::parameter_value)
}

/// Other issuers (of emulators, of clusters elsewhere) have no role for service accounts.
fn is_issuer_of_eks(issuer: &str) -> bool {
    let id = issuer.strip_prefix("oidc.eks.").and_then(|rest| rest.split_once("/id/"));
    let digit = |c: char| c.is_ascii_digit() || ('A'..='F').contains(&c);
    id.is_some_and(|(_, id)| !id.is_empty() && id.chars().all(digit))
}

/// Functions in the VPC, for an API server that has no public endpoint.
pub(crate) async fn in_vpc(site: &Site, proxy: Option<&str>) -> Result<Values, Problem> {
    let nets = network::subnets(site).await?;
    let nodes = nets.iter().filter(|net| net.is_for_nodes()).collect::<Vec<_>>();
    let ids = nodes.iter().map(|net| net.id.as_str()).collect::<Vec<_>>().join(",");
    let endpoints = match proxy {
        Some(_) => "none",
        None => endpoints::needed(site, &nodes).await?,
    };
    let mut values = Values::new();
    values.insert("VpcId", site.vpc.id.clone());
    values.insert("SubnetIds", ids);
    values.insert("ClusterSecurityGroupId", site.cluster_security_group.clone());
    values.insert("IsolatedVpc", (endpoints != "none").to_string());
    values.insert("PrivateEndpoints", endpoints.to_owned());
    Ok(values)
}

/// Two nodes for the webhook, where the cluster has fewer that Joiner does not manage.
async fn system_nodes(site: &Site) -> Result<Values, Problem> {
    if standing::unmanaged_ready(site).await?.len() >= SYSTEM_NODES {
        return Ok(Values::from([("SystemNodes", "none".to_owned())]));
    }
    let nets = network::subnets(site).await?;
    let nodes = nets.iter().filter(|net| net.is_for_nodes()).map(|net| net.id.as_str());
    let groups = network::groups(site).await?;
    let tagged = groups.iter().filter(|group| group.tags.get(DISCOVERY) == Some(&site.vpc.name));
    let groups = tagged.map(|group| group.id.as_str()).collect::<Vec<_>>();
    let mut values = Values::new();
    values.insert("SystemNodes", "asg".to_owned());
    values.insert("SystemSubnetIds", nodes.collect::<Vec<_>>().join(","));
    values.insert("SystemSecurityGroupIds", groups.join(","));
    values.insert("SystemInstanceProfile", profile::of_nodes(site).await?);
    values.insert("KubernetesVersion", site.version.clone());
    values.insert("ClusterEndpoint", site.endpoint.clone());
    values.insert("ClusterCertificateAuthority", site.certificate_authority.clone());
    values.insert("ClusterServiceCidr", site.service_cidr.clone());
    Ok(values)
}

/// What differs, for people: without ARNs and certificates, which hold accounts or are long.
pub(crate) fn differences(stack: &Stack, values: &Values) -> Vec<String> {
    let told = |text: &str| match text {
        "" => "nothing".to_owned(),
        text if text.contains(':') || text.len() > 60 => "another".to_owned(),
        text => text.to_owned(),
    };
    let differs = |(name, wanted): (&&str, &String)| {
        let found = value(stack, name).unwrap_or_default();
        (found != wanted).then(|| format!("{name} {} instead of {}", told(wanted), told(found)))
    };
    values.iter().filter_map(differs).collect()
}

/// As a change set takes them: ours, and of a stack that is there what it has of the others.
pub(crate) fn for_change_set(
    values: &Values,
    declared: &[&str],
    found: Option<&Stack>,
) -> Vec<Parameter> {
    let given = |name: &str, value: &String| {
        Parameter::builder().parameter_key(name).parameter_value(value).build()
    };
    let kept =
        |name: &str| Parameter::builder().parameter_key(name).use_previous_value(true).build();
    let one = |name: &&str| match (values.get(name), found.and_then(|stack| value(stack, name))) {
        (Some(value), _) => Some(given(name, value)),
        (None, Some(_)) => Some(kept(name)),
        (None, None) => None,
    };
    declared.iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(pairs: &[(&str, &str)]) -> Stack {
        let parameter = |(key, value): &(&str, &str)| {
            Parameter::builder().parameter_key(*key).parameter_value(*value).build()
        };
        Stack::builder().set_parameters(Some(pairs.iter().map(parameter).collect())).build()
    }

    #[test]
    fn what_somebody_has_set_is_kept() {
        let stack = stack(&[("ClusterName", "shop"), ("LogLevel", "debug"), ("Gone", "x")]);
        let values = Values::from([("ClusterName", "shop".to_owned())]);
        let sent = for_change_set(&values, &["ClusterName", "LogLevel", "Metrics"], Some(&stack));
        let sent = sent.iter().map(|each| {
            (each.parameter_key().unwrap(), each.parameter_value(), each.use_previous_value())
        });
        assert_eq!(
            sent.collect::<Vec<_>>(),
            [("ClusterName", Some("shop"), None), ("LogLevel", None, Some(true))]
        );
    }

    #[test]
    fn differences_name_no_arns() {
        let stack = stack(&[("NodeRoleArn", "arn:aws:iam::1:role/a"), ("SystemNodes", "none")]);
        let values = Values::from([
            ("NodeRoleArn", "arn:aws:iam::1:role/b".to_owned()),
            ("SystemNodes", "asg".to_owned()),
        ]);
        let told = ["NodeRoleArn another instead of another", "SystemNodes asg instead of none"];
        assert_eq!(differences(&stack, &values), told);
        assert_eq!(
            differences(&stack, &Values::from([("SystemNodes", "none".to_owned())])),
            Vec::<String>::new()
        );
    }

    #[test]
    fn only_eks_has_roles_for_service_accounts() {
        assert!(is_issuer_of_eks("oidc.eks.us-east-1.amazonaws.com/id/0123456789ABCDEF"));
        assert!(!is_issuer_of_eks("127.0.0.1:6443"));
        assert!(!is_issuer_of_eks("oidc.eks.us-east-1.amazonaws.com/id/xyz"));
    }
}
