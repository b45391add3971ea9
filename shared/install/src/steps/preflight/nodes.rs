//! The nodes: their role and profile, and the two that stand outside Joiner's management.

use super::{found, group, zones};
use crate::aws_auth;
use crate::calls::EKS_DESCRIBE_ACCESS_ENTRY;
use crate::change::Change;
use crate::problem::Problem;
use crate::problem_of::of_aws;
use crate::site::{Authentication, NodeRole, Site};
use crate::{profile, standing};

pub(super) async fn look(site: &Site) -> Vec<Change> {
    let mut changes = vec![
        role(site),
        found("instance profile of the nodes", instance_profile(site).await),
        found("the nodes' right to join", join(site).await),
    ];
    match two_nodes(site).await {
        Ok(found) => changes.extend(found),
        Err(problem) => {
            changes.push(Change::conflict("two nodes for the webhook", problem.to_string()))
        }
    }
    changes
}

fn role(site: &Site) -> Change {
    match &site.node_role {
        Some(role) => Change::keep(format!("node role {}", role.name), ""),
        None => Change::conflict(
            "node role",
            format!(
                "instance profile {}_EKS_workers is not there, and node groups do not share one role: say --node-role NAME",
                site.vpc.name
            ),
        ),
    }
}

/// The base pools name gen3's profile; pools of one's own may name any, or a role.
async fn instance_profile(site: &Site) -> Result<Change, Problem> {
    let wanted = format!("{}_EKS_workers", site.vpc.name);
    let object = format!("instance profile {wanted}");
    let found = profile::of_nodes(site).await;
    if site.options.config.is_some() {
        return Ok(match found {
            Ok(profile) => Change::keep(format!("instance profile {profile}"), ""),
            Err(_) => {
                Change::keep(object, "not there; your own classes must name another, or a role")
            }
        });
    }
    match found {
        Ok(profile) if profile == wanted => Ok(Change::keep(object, "")),
        Ok(_) | Err(Problem::NotFound { .. }) => {
            Ok(Change::conflict(object, missing(site, &wanted)))
        }
        Err(problem) => Err(problem),
    }
}

fn missing(site: &Site, wanted: &str) -> String {
    let role = site.node_role.as_ref().map_or("ROLE", |role| &role.name);
    format!(
        "the base classes need it: aws iam create-instance-profile --instance-profile-name {wanted} && aws iam add-role-to-instance-profile --instance-profile-name {wanted} --role-name {role}"
    )
}

/// Whether nodes of the role become nodes of the cluster.
async fn join(site: &Site) -> Result<Change, Problem> {
    let object = "the nodes' right to join";
    let Some(role) = &site.node_role else {
        return Ok(Change::conflict(
            object,
            "the role of the nodes is not known: say --node-role NAME",
        ));
    };
    if site.authentication == Authentication::AccessEntries && has_entry(site, role).await? {
        return Ok(Change::keep(object, "an access entry"));
    }
    if aws_auth::maps_role(&aws_auth::read(site).await?, &role.arn) {
        return Ok(Change::keep(object, "an entry in ConfigMap kube-system/aws-auth"));
    }
    let (cluster, name) = (&site.cluster, &role.name);
    let how = match site.authentication {
        Authentication::AccessEntries => format!(
            "aws eks create-access-entry --cluster-name {cluster} --type EC2_LINUX --principal-arn $(aws iam get-role --role-name {name} --query Role.Arn --output text)"
        ),
        Authentication::ConfigMap => format!(
            "eksctl create iamidentitymapping --cluster {cluster} --group system:bootstrappers --group system:nodes --username 'system:node:{{{{EC2PrivateDNSName}}}}' --arn $(aws iam get-role --role-name {name} --query Role.Arn --output text)"
        ),
    };
    Ok(Change::conflict(
        object,
        format!("role {name} is not mapped, so new nodes would not join: {how}"),
    ))
}

async fn has_entry(site: &Site, role: &NodeRole) -> Result<bool, Problem> {
    let asked = site.aws.eks.describe_access_entry().cluster_name(&site.cluster);
    match asked.principal_arn(&role.arn).send().await {
        Ok(_) => Ok(true),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|error| error.is_resource_not_found_exception()) =>
        {
            Ok(false)
        }
        Err(error) => Err(of_aws(
            EKS_DESCRIBE_ACCESS_ENTRY,
            format!("access entry of role {}", role.name),
            &error,
        )),
    }
}

async fn two_nodes(site: &Site) -> Result<Vec<Change>, Problem> {
    let object = "two nodes outside Joiner's management";
    let standing = standing::unmanaged_ready(site).await?;
    let zones = zones(&standing);
    let told = format!("{} are ready, in {}", standing.len(), zones.join(", "));
    let mut changes = vec![match (standing.len(), zones.len()) {
        (0 | 1, _) => Change::keep(
            object,
            format!("{} ready; the stack makes an auto scaling group of two", standing.len()),
        ),
        (_, 1) => Change::keep(
            object,
            format!("{told}: if that zone fails, so does the webhook; spread the group over two"),
        ),
        _ => Change::keep(object, told),
    }];
    let groups = group::find(site, &standing).await?;
    changes.extend(groups.iter().map(|group| group.change(site)));
    Ok(changes)
}
