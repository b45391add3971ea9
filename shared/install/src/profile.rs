//! The instance profile of the nodes.

use crate::calls::IAM_LIST_INSTANCE_PROFILES_FOR_ROLE;
use crate::problem::Problem;
use crate::problem_of::of_aws;
use crate::site::Site;

/// The profile that holds the nodes' role: gen3's, else the first by name.
pub(crate) async fn of_nodes(site: &Site) -> Result<String, Problem> {
    let vpc = &site.vpc.name;
    let missing = |cause: &str| {
        Problem::not_found(
            format!("instance profile {vpc}_EKS_workers"),
            cause,
            format!(
                "make it: aws iam create-instance-profile --instance-profile-name {vpc}_EKS_workers && aws iam add-role-to-instance-profile --instance-profile-name {vpc}_EKS_workers --role-name ROLE"
            ),
        )
    };
    let Some(role) = &site.node_role else {
        return Err(missing(
            "the two nodes need it, and the role of the nodes is not known either (say --node-role NAME)",
        ));
    };
    if let Some(profile) = &role.profile {
        return Ok(profile.clone());
    }
    let answer = site.aws.iam.list_instance_profiles_for_role().role_name(&role.name).send().await;
    let answer = answer.map_err(|error| {
        of_aws(IAM_LIST_INSTANCE_PROFILES_FOR_ROLE, format!("role {}", role.name), &error)
    })?;
    let names = answer.instance_profiles().iter().map(|profile| profile.instance_profile_name());
    let found = chosen(names.collect(), &format!("{vpc}_EKS_workers"));
    found.ok_or_else(|| missing("no profile holds the role of the nodes"))
}

fn chosen(names: Vec<&str>, wanted: &str) -> Option<String> {
    let wanted = names.iter().find(|name| **name == wanted);
    wanted.or(names.iter().min()).map(|name| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_of_gen3_goes_before_others_that_hold_the_role() {
        let check = |names: &[&str], expected: Option<&str>| {
            assert_eq!(chosen(names.to_vec(), "qa_EKS_workers").as_deref(), expected);
        };
        check(&["Other", "qa_EKS_workers"], Some("qa_EKS_workers"));
        check(&["b", "a"], Some("a"));
        check(&[], None);
    }
}
