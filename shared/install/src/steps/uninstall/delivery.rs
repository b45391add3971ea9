//! The code's bucket and the image's repository go.

use crate::calls::{ECR_DELETE_REPOSITORY, S3_DELETE_BUCKET};
use crate::change::Change;
use crate::emptying;
use crate::installed;
use crate::problem::Problem;
use crate::problem_of::of_aws;
use crate::site::Site;
use crate::steps::{Changes, Done, Progress, Work};

/// The bucket of the code, and the repository of the image.
pub(in crate::steps) struct Delivery;

impl Work for Delivery {
    fn name(&self) -> &'static str {
        "delivery"
    }

    async fn look(&self, site: &Site) -> Changes {
        let mut changes = Vec::new();
        if installed::has_bucket(site).await? {
            changes
                .push(Change::remove(format!("bucket {}", site.names.bucket), "with all it holds"));
        }
        if site.has_repository().await? {
            let repository = format!("repository {}", site.names.repository);
            changes.push(Change::remove(repository, "with all its images"));
        }
        Ok(changes)
    }

    async fn carry_out(&self, site: &Site, _changes: &[Change], _progress: Progress<'_>) -> Done {
        remove_repository(site).await?;
        if installed::has_bucket(site).await? {
            let bucket = &site.names.bucket;
            emptying::empty(site, bucket).await?;
            let gone = site.aws.s3.delete_bucket().bucket(bucket).send().await;
            gone.map_err(|error| of_aws(S3_DELETE_BUCKET, format!("bucket {bucket}"), &error))?;
        }
        Ok(())
    }
}

async fn remove_repository(site: &Site) -> Result<(), Problem> {
    let name = &site.names.repository;
    match site.aws.ecr.delete_repository().repository_name(name).force(true).send().await {
        Ok(_) => Ok(()),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|error| error.is_repository_not_found_exception()) =>
        {
            Ok(())
        }
        Err(error) => Err(of_aws(ECR_DELETE_REPOSITORY, format!("repository {name}"), &error)),
    }
}
