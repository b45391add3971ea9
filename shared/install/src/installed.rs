//! What the bucket holds: the record of the delivery, and access to both.

use crate::calls::{S3_GET_OBJECT, S3_LIST_BUCKET, S3_PUT_OBJECT};
use crate::problem::Problem;
use crate::problem_of::of_aws;
use crate::site::Site;
use aws_sdk_s3::primitives::ByteStream;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The record's key.
const RECORD: &str = "installed.json";

/// What was delivered last, from which the stack is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Installed {
    /// The release's version.
    pub(crate) version: String,
    /// `x86_64` or `arm64`.
    pub(crate) architecture: String,
    /// The key of each function's zip.
    pub(crate) functions: BTreeMap<String, String>,
    /// The digest of the webhook's image, if it was delivered with the functions.
    pub(crate) image: Option<String>,
}

/// Whether the bucket is there.
pub(crate) async fn has_bucket(site: &Site) -> Result<bool, Problem> {
    let bucket = &site.names.bucket;
    let asked = site.aws.s3.head_bucket().bucket(bucket);
    match asked.expected_bucket_owner(site.account.digits()).send().await {
        Ok(_) => Ok(true),
        Err(error) if error.as_service_error().is_some_and(|error| error.is_not_found()) => {
            Ok(false)
        }
        Err(error) => Err(of_aws(S3_LIST_BUCKET, format!("bucket {bucket}"), &error)),
    }
}

/// Whether the object is there.
pub(crate) async fn has_object(site: &Site, key: &str) -> Result<bool, Problem> {
    let bucket = &site.names.bucket;
    match site.aws.s3.head_object().bucket(bucket).key(key).send().await {
        Ok(_) => Ok(true),
        Err(error) if error.as_service_error().is_some_and(|error| error.is_not_found()) => {
            Ok(false)
        }
        Err(error) => Err(of_aws(S3_GET_OBJECT, format!("{key} in bucket {bucket}"), &error)),
    }
}

/// Writes an object.
pub(crate) async fn put(
    site: &Site,
    key: &str,
    content: Vec<u8>,
    kind: &str,
) -> Result<(), Problem> {
    let bucket = &site.names.bucket;
    let asked = site.aws.s3.put_object().bucket(bucket).key(key).content_type(kind);
    let asked = asked.expected_bucket_owner(site.account.digits());
    let sent = asked.body(ByteStream::from(content)).send().await;
    sent.map(drop)
        .map_err(|error| of_aws(S3_PUT_OBJECT, format!("{key} in bucket {bucket}"), &error))
}

/// The record; `None` before the first delivery was whole.
pub(crate) async fn read(site: &Site) -> Result<Option<Installed>, Problem> {
    if !has_bucket(site).await? || !has_object(site, RECORD).await? {
        return Ok(None);
    }
    let bucket = &site.names.bucket;
    let object = || format!("{RECORD} in bucket {bucket}");
    let answer = site.aws.s3.get_object().bucket(bucket).key(RECORD).send().await;
    let answer = answer.map_err(|error| of_aws(S3_GET_OBJECT, object(), &error))?;
    let unreadable = |cause: String| {
        Problem::unfinished(object(), cause, "say --artifacts FILE, which writes it again")
    };
    let bytes = answer.body.collect().await.map_err(|error| unreadable(error.to_string()))?;
    let read = serde_json::from_slice(&bytes.into_bytes());
    read.map(Some).map_err(|error| unreadable(error.to_string()))
}

/// Writes the record, last of all of a delivery.
pub(crate) async fn write(site: &Site, installed: &Installed) -> Result<(), Problem> {
    let bytes = serde_json::to_vec_pretty(installed).unwrap_or_default();
    put(site, RECORD, bytes, "application/json").await
}
