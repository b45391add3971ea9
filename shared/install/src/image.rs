//! Where the webhook's image is.

use crate::calls::{ECR_DESCRIBE_IMAGES, ECR_DESCRIBE_REPOSITORIES};
use crate::problem::Problem;
use crate::problem_of::of_aws;
use crate::site::Site;
use aws_sdk_ecr::types::ImageIdentifier;

/// The tag of the image that was delivered last.
pub(crate) const INSTALLED: &str = "installed";

impl Site {
    /// The image for the webhook's Deployment, by its digest: the one that was named, else the one that the step `delivery` brought. `None`
    /// while there is neither. It holds the account's number.
    ///
    /// # Errors
    /// ECR cannot be asked.
    pub async fn webhook_image(&self) -> Result<Option<String>, Problem> {
        if let Some(named) = &self.options.webhook_image {
            return Ok(Some(named.clone()));
        }
        let digest = self.delivered_digest().await?;
        Ok(digest.map(|digest| format!("{}/{}@{digest}", self.registry(), self.names.repository)))
    }

    /// Whether the repository of the image is there.
    pub(crate) async fn has_repository(&self) -> Result<bool, Problem> {
        let name = &self.names.repository;
        match self.aws.ecr.describe_repositories().repository_names(name).send().await {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_repository_not_found_exception()) =>
            {
                Ok(false)
            }
            Err(error) => {
                Err(of_aws(ECR_DESCRIBE_REPOSITORIES, format!("repository {name}"), &error))
            }
        }
    }

    /// The digest of the image that was delivered last.
    pub(crate) async fn delivered_digest(&self) -> Result<Option<String>, Problem> {
        let repository = &self.names.repository;
        let id = ImageIdentifier::builder().image_tag(INSTALLED).build();
        let asked = self.aws.ecr.describe_images().repository_name(repository).image_ids(id);
        match asked.send().await {
            Ok(answer) => {
                let first = answer.image_details.unwrap_or_default().into_iter().next();
                Ok(first.and_then(|image| image.image_digest))
            }
            Err(error)
                if error.as_service_error().is_some_and(|error| {
                    error.is_repository_not_found_exception()
                        || error.is_image_not_found_exception()
                }) =>
            {
                Ok(None)
            }
            Err(error) => {
                Err(of_aws(ECR_DESCRIBE_IMAGES, format!("repository {repository}"), &error))
            }
        }
    }

    /// The host of the account's registry.
    pub(crate) fn registry(&self) -> String {
        let suffix = if self.partition == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" };
        format!("{}.dkr.ecr.{}.{suffix}", self.account.digits(), self.region)
    }
}
