//! The instance profile of a class: its own, or one made for its role.

use super::Ec2Cloud;
use crate::ports::CloudError;
use aws_sdk_iam::error::ProvideErrorMetadata;
use aws_sdk_iam::types::{InstanceProfile, Tag};
use model::node_class::{ClusterFacts, NodeClassSpec};
use model::{Labels, labels};
use sha2::{Digest, Sha256};

/// EC2 knows a new profile after this many milliseconds.
const LEARNT_AFTER_MS: u64 = 4_000;

impl Ec2Cloud {
    /// The name of the profile for instances of this class; made, if the class names a role and it is not there yet.
    ///
    /// # Errors
    /// `Unknown` on the turn that makes it: EC2 does not know a new profile at once, so the launch is left to the next turn, with its
    /// token unspent. `Refused` if the class names neither a profile nor a role.
    pub async fn instance_profile(
        &self,
        class: &NodeClassSpec,
        cluster: &ClusterFacts,
    ) -> Result<Option<String>, CloudError> {
        if class.launch_template.is_some() {
            return Ok(None);
        }
        if let Some(own) = &class.instance_profile {
            return Ok(Some(own.clone()));
        }
        let Some(role) = &class.role else { return self.default_profile(class).map(Some) };
        let name = profile_name(class, cluster, role);
        // Batches are bought side by side: one of them makes the profile, the others wait for it.
        let _one = self.making_profile.lock().await;
        let known = self.memory().profiles.get(&name).copied();
        let usable_at = match known {
            Some(usable_at) => usable_at,
            None => {
                let made = self.ensure_profile(&name, role, class, cluster).await?;
                let usable_at = if made { self.now_ms() + LEARNT_AFTER_MS } else { 0 };
                self.memory().profiles.insert(name.clone(), usable_at);
                usable_at
            }
        };
        if usable_at > self.now_ms() {
            let message = format!(
                "instance profile {name} was made for role {role} just now, and EC2 learns of it within seconds"
            );
            return Err(CloudError::Unknown { call: "AddRoleToInstanceProfile", message });
        }
        Ok(Some(name))
    }

    fn default_profile(&self, class: &NodeClassSpec) -> Result<String, CloudError> {
        self.default_instance_profile.clone().ok_or_else(|| CloudError::Refused {
            call: "CreateLaunchTemplate",
            code: "InvalidNodeClass".to_owned(),
            message: format!(
                "node class {}: instanceProfile: neither it nor a role is given, and there is no default; its nodes could not join",
                class.name
            ),
        })
    }

    /// Whether anything had to be made.
    async fn ensure_profile(
        &self,
        name: &str,
        role: &str,
        class: &NodeClassSpec,
        cluster: &ClusterFacts,
    ) -> Result<bool, CloudError> {
        match self.role_of(name).await? {
            Some(Some(found)) if found == role => return Ok(false),
            Some(Some(found)) => {
                let message = format!(
                    "instance profile {name} holds the role {found}, not {role}; remove that role from it"
                );
                let code = "LimitExceeded".to_owned();
                return Err(CloudError::Refused {
                    call: "AddRoleToInstanceProfile",
                    code,
                    message,
                });
            }
            Some(None) => {}
            None => self.create_profile(name, class, cluster).await?,
        }
        self.add_role(name, role).await?;
        Ok(true)
    }

    /// The role that the profile holds, if any; `None` if there is no such profile.
    async fn role_of(&self, name: &str) -> Result<Option<Option<String>>, CloudError> {
        match self.iam.get_instance_profile().instance_profile_name(name).send().await {
            Ok(answer) => Ok(Some(answer.instance_profile.as_ref().and_then(first_role))),
            Err(error) if error.code() == Some("NoSuchEntity") => Ok(None),
            Err(error) => Err(self.error("GetInstanceProfile", name, &error)),
        }
    }

    async fn create_profile(
        &self,
        name: &str,
        class: &NodeClassSpec,
        cluster: &ClusterFacts,
    ) -> Result<(), CloudError> {
        const CALL: &str = "CreateInstanceProfile";
        let tag = |(key, value): (String, String)| Tag::builder().key(key).value(value).build();
        let tags = profile_tags(class, cluster).into_iter().map(tag);
        let tags = tags.collect::<Result<Vec<_>, _>>().map_err(|error| CloudError::Refused {
            call: CALL,
            code: "InvalidTag".to_owned(),
            message: error.to_string(),
        })?;
        let call = self.iam.create_instance_profile().instance_profile_name(name);
        match call.path(profile_path(class, cluster)).set_tags(Some(tags)).send().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("EntityAlreadyExists") => Ok(()),
            Err(error) => Err(self.error(CALL, name, &error)),
        }
    }

    /// A profile holds one role: `LimitExceeded` says that another call was quicker.
    async fn add_role(&self, name: &str, role: &str) -> Result<(), CloudError> {
        let call = self.iam.add_role_to_instance_profile().instance_profile_name(name);
        match call.role_name(role).send().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("LimitExceeded") => Ok(()),
            Err(error) => {
                let what = format!("role {role} or instance profile {name}");
                Err(self.error("AddRoleToInstanceProfile", &what, &error))
            }
        }
    }
}

fn first_role(profile: &InstanceProfile) -> Option<String> {
    profile.roles().first().map(|role| role.role_name().to_owned())
}

/// `<cluster>_<hash>`, at most 121 characters of the 128 that IAM allows. The hash is of the class and its role, so that a change of
/// role makes a new profile: one in use cannot change its role without touching running nodes.
fn profile_name(class: &NodeClassSpec, cluster: &ClusterFacts, role: &str) -> String {
    let parts = [&cluster.region, &class.name, &class.uid, role].map(|part| part as &str);
    let digest = Sha256::digest(parts.join("\n"));
    let hash = digest.iter().take(10).map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("{}_{hash}", cluster.name)
}

/// Upstream's path, by which its write policy scopes profiles.
fn profile_path(class: &NodeClassSpec, cluster: &ClusterFacts) -> String {
    let class = if class.uid.is_empty() { &class.name } else { &class.uid };
    format!("/karpenter/{}/{}/{class}/", cluster.region, cluster.name)
}

fn profile_tags(class: &NodeClassSpec, cluster: &ClusterFacts) -> Labels {
    let ours = [
        (format!("{}{}", labels::CLUSTER_TAG_PREFIX, cluster.name), "owned".to_owned()),
        (labels::EKS_CLUSTER_TAG.to_owned(), cluster.name.clone()),
        (labels::NODE_CLASS_TAG.to_owned(), class.name.clone()),
        (labels::REGION.to_owned(), cluster.region.clone()),
    ];
    let mut tags = class.tags.clone();
    tags.extend(ours);
    tags
}
