//! The role of the nodes.

use crate::calls::{
    EKS_DESCRIBE_NODEGROUP, EKS_LIST_NODEGROUPS, IAM_GET_INSTANCE_PROFILE, IAM_GET_ROLE,
};
use crate::clients::Clients;
use crate::options::Options;
use crate::problem::Problem;
use crate::problem_of::of_aws;

/// The role of the nodes.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeRole {
    /// Its name, for people.
    pub name: String,
    /// Its ARN, for requests.
    pub arn: String,
    /// The instance profile that holds it, if that is where it was found.
    pub profile: Option<String>,
}

impl std::fmt::Debug for NodeRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NodeRole({})", self.name)
    }
}

/// The one that was named; else that of gen3's instance profile `<vpc>_EKS_workers`, which its node templates default to; else the one that
/// all managed node groups of the cluster share.
pub(super) async fn find(
    aws: &Clients,
    options: &Options,
    vpc: &str,
) -> Result<Option<NodeRole>, Problem> {
    if let Some(name) = &options.node_role {
        return named(aws, name).await.map(Some);
    }
    match of_profile(aws, &format!("{vpc}_EKS_workers")).await? {
        Some(role) => Ok(Some(role)),
        None => of_node_groups(aws, &options.cluster).await,
    }
}

async fn named(aws: &Clients, name: &str) -> Result<NodeRole, Problem> {
    let object = format!("node role {name}");
    let answer = aws.iam.get_role().role_name(name).send().await;
    let role = match answer {
        Ok(answer) => answer.role,
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|error| error.is_no_such_entity_exception()) =>
        {
            None
        }
        Err(error) => return Err(of_aws(IAM_GET_ROLE, object, &error)),
    };
    let todo = "say with --node-role the name of the role that the nodes have";
    let role = role.ok_or_else(|| Problem::not_found(object, "", todo))?;
    Ok(NodeRole { name: name.to_owned(), arn: role.arn().to_owned(), profile: None })
}

async fn of_profile(aws: &Clients, profile: &str) -> Result<Option<NodeRole>, Problem> {
    let object = format!("instance profile {profile}");
    let answer = aws.iam.get_instance_profile().instance_profile_name(profile).send().await;
    let found = match answer {
        Ok(answer) => answer.instance_profile,
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|error| error.is_no_such_entity_exception()) =>
        {
            None
        }
        Err(error) => return Err(of_aws(IAM_GET_INSTANCE_PROFILE, object, &error)),
    };
    let role = found.as_ref().and_then(|found| found.roles().first());
    Ok(role.map(|role| NodeRole {
        name: role.role_name().to_owned(),
        arn: role.arn().to_owned(),
        profile: Some(profile.to_owned()),
    }))
}

async fn of_node_groups(aws: &Clients, cluster: &str) -> Result<Option<NodeRole>, Problem> {
    let object = format!("node groups of cluster {cluster}");
    let answer = aws.eks.list_nodegroups().cluster_name(cluster).send().await;
    let names = answer.map_err(|error| of_aws(EKS_LIST_NODEGROUPS, &object, &error))?;
    let mut arns = Vec::new();
    for name in names.nodegroups() {
        let asked = aws.eks.describe_nodegroup().cluster_name(cluster).nodegroup_name(name);
        let answer =
            asked.send().await.map_err(|error| of_aws(EKS_DESCRIBE_NODEGROUP, &object, &error))?;
        arns.extend(answer.nodegroup.and_then(|group| group.node_role));
    }
    arns.sort();
    arns.dedup();
    let [arn] = &arns[..] else { return Ok(None) };
    let name = arn.rsplit('/').next().unwrap_or_default().to_owned();
    Ok(Some(NodeRole { name, arn: arn.clone(), profile: None }))
}
