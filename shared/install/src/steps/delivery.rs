//! The functions' code and the webhook's image, brought into the account.

mod push;

use super::{Changes, Done, Progress, Work};
use crate::calls::{S3_CREATE_BUCKET, S3_PUT_BUCKET_PUBLIC_ACCESS_BLOCK, S3_PUT_BUCKET_TAGGING};
use crate::change::Change;
use crate::installed::{self, Installed};
use crate::names::hex;
use crate::problem::Problem;
use crate::problem_of::of_aws;
use crate::release::Release;
use crate::site::Site;
use aws_sdk_s3::types::{
    BucketLocationConstraint, CreateBucketConfiguration, PublicAccessBlockConfiguration, Tag,
    Tagging,
};
use sha2::{Digest, Sha256};
use std::path::Path;

/// The functions' code in a bucket, and the webhook's image in a repository.
pub(super) struct Delivery;

impl Work for Delivery {
    fn name(&self) -> &'static str {
        "delivery"
    }

    async fn look(&self, site: &Site) -> Changes {
        let Some(path) = &site.options.artifacts else { return kept(site).await };
        let release = Release::open(path)?;
        let bucket = format!("bucket {}", site.names.bucket);
        let there = installed::has_bucket(site).await?;
        let mut changes = vec![of(there, bucket, "the functions' code")];
        let wanted = wanted(&release, site);
        let found = installed::read(site).await?;
        let version = format!("version {} for {}", release.version, release.architecture);
        changes.push(match found {
            None => Change::create("functions' code", version),
            Some(found) if found == wanted => Change::keep("functions' code", version),
            Some(found) => {
                Change::update("functions' code", format!("{version}, was {}", found.version))
            }
        });
        changes.extend(push::look(site, &release).await?);
        Ok(changes)
    }

    async fn carry_out(&self, site: &Site, _changes: &[Change], progress: Progress<'_>) -> Done {
        let Some(path) = &site.options.artifacts else { return Ok(()) };
        let release = Release::open(path)?;
        make_bucket(site).await?;
        for (name, zip) in &release.functions {
            let key = key(name, zip);
            if !installed::has_object(site, &key).await? {
                progress(&format!("{name}: {} KB go to the bucket", zip.len() / 1000));
                installed::put(site, &key, zip.clone(), "application/zip").await?;
            }
        }
        if site.options.webhook_image.is_none() {
            push::push(site, &release.image, progress).await?;
        }
        installed::write(site, &wanted(&release, site)).await
    }
}

/// What stays when no release is named.
async fn kept(site: &Site) -> Result<Vec<Change>, Problem> {
    match installed::read(site).await? {
        Some(found) => {
            let told = format!(
                "version {} for {}; no --artifacts was given",
                found.version, found.architecture
            );
            Ok(vec![Change::keep("functions' code and webhook's image", told)])
        }
        None => Err(Problem::input(
            "--artifacts",
            "nothing was delivered yet: name the release archive or its directory; infra/release makes one of this source",
        )),
    }
}

fn of(there: bool, object: String, detail: &str) -> Change {
    if there { Change::keep(object, detail) } else { Change::create(object, detail) }
}

/// Code is named by what it is, so that CloudFormation sees when it changes.
fn key(name: &str, zip: &[u8]) -> String {
    format!("functions/{name}-{}.zip", &hex(&Sha256::digest(zip))[..16])
}

fn wanted(release: &Release, site: &Site) -> Installed {
    let functions = release.functions.iter();
    let own = site.options.webhook_image.is_some();
    Installed {
        version: release.version.clone(),
        architecture: release.architecture.clone(),
        functions: functions.map(|(name, zip)| ((*name).to_owned(), key(name, zip))).collect(),
        image: (!own).then(|| release.image.digest.clone()),
    }
}

/// Each call may be made again: a bucket of a run that was killed may lack the last of them.
async fn make_bucket(site: &Site) -> Result<(), Problem> {
    let (bucket, s3) = (&site.names.bucket, &site.aws.s3);
    let object = format!("bucket {bucket}");
    if !installed::has_bucket(site).await? {
        let place = (site.region != "us-east-1").then(|| {
            let place = BucketLocationConstraint::from(site.region.as_str());
            CreateBucketConfiguration::builder().location_constraint(place).build()
        });
        let asked = s3.create_bucket().bucket(bucket).set_create_bucket_configuration(place);
        match asked.send().await {
            Ok(_) => {}
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_bucket_already_owned_by_you()) => {}
            Err(error) => return Err(of_aws(S3_CREATE_BUCKET, object, &error)),
        }
    }
    let block = PublicAccessBlockConfiguration::builder()
        .block_public_acls(true)
        .block_public_policy(true)
        .ignore_public_acls(true)
        .restrict_public_buckets(true)
        .build();
    let asked = s3.put_public_access_block().bucket(bucket);
    let blocked = asked.public_access_block_configuration(block).send().await;
    blocked.map_err(|error| of_aws(S3_PUT_BUCKET_PUBLIC_ACCESS_BLOCK, &object, &error))?;
    let tag = Tag::builder().key(&site.names.tag).value("owned").build();
    let tags = tag.and_then(|tag| Tagging::builder().tag_set(tag).build());
    let tags = tags.map_err(|error| Problem::input(&object, error.to_string()))?;
    let tagged = s3.put_bucket_tagging().bucket(bucket).tagging(tags).send().await;
    tagged.map(drop).map_err(|error| of_aws(S3_PUT_BUCKET_TAGGING, &object, &error))
}

/// Whether this is a release at all: asked before anything is changed.
pub(crate) fn check(path: &Path) -> Result<String, Problem> {
    let release = Release::open(path)?;
    Ok(format!("version {} for {}", release.version, release.architecture))
}
