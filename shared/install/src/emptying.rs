//! Emptying a bucket, which must come before its deletion.

use crate::calls::{S3_DELETE_OBJECT, S3_LIST_BUCKET};
use crate::problem::Problem;
use crate::problem_of::of_aws;
use crate::site::Site;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

/// Deletes all objects of the bucket; it has no versions.
pub(crate) async fn empty(site: &Site, bucket: &str) -> Result<(), Problem> {
    let object = format!("bucket {bucket}");
    let mut pages = site.aws.s3.list_objects_v2().bucket(bucket).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| of_aws(S3_LIST_BUCKET, &object, &error))?;
        let keys = page.contents().iter().filter_map(|object| object.key());
        let ids = keys.map(|key| ObjectIdentifier::builder().key(key).build());
        let ids = ids.collect::<Result<Vec<_>, _>>();
        let ids = ids.map_err(|error| Problem::input(&object, error.to_string()))?;
        if ids.is_empty() {
            continue;
        }
        let delete = Delete::builder().set_objects(Some(ids)).quiet(true).build();
        let delete = delete.map_err(|error| Problem::input(&object, error.to_string()))?;
        let gone = site.aws.s3.delete_objects().bucket(bucket).delete(delete).send().await;
        let gone = gone.map_err(|error| of_aws(S3_DELETE_OBJECT, &object, &error))?;
        if let Some(error) = gone.errors().first() {
            let cause = format!(
                "{} stays: {}",
                error.key().unwrap_or_default(),
                error.code().unwrap_or_default()
            );
            return Err(Problem::unfinished(object, cause, "run the same command again"));
        }
    }
    Ok(())
}
