//! The webhook's image into ECR, by ECR's own calls: what a registry's client would send, without one.

use super::{Progress, of};
use crate::calls::{
    ECR_BATCH_CHECK_LAYER_AVAILABILITY, ECR_COMPLETE_LAYER_UPLOAD, ECR_CREATE_REPOSITORY,
    ECR_INITIATE_LAYER_UPLOAD, ECR_PUT_IMAGE, ECR_UPLOAD_LAYER_PART,
};
use crate::change::Change;
use crate::image::INSTALLED;
use crate::problem::Problem;
use crate::problem_of::of_aws;
use crate::release::{Image, Release};
use crate::site::Site;
use aws_sdk_ecr::primitives::Blob;
use aws_sdk_ecr::types::{LayerAvailability, Tag};

/// Bytes of a part, unless ECR asks for another size.
const PART: usize = 10 << 20;

/// What is there of the image.
pub(super) async fn look(site: &Site, release: &Release) -> Result<Vec<Change>, Problem> {
    if site.options.webhook_image.is_some() {
        return Ok(vec![Change::keep("webhook's image", "one of your own")]);
    }
    let repository = format!("repository {}", site.names.repository);
    let there = site.has_repository().await?;
    let (wanted, found) = (&release.image.digest, site.delivered_digest().await?);
    let image = "webhook's image";
    Ok(vec![
        of(there, repository, "the webhook's image"),
        match found {
            None => Change::create(image, wanted),
            Some(found) if found == *wanted => Change::keep(image, wanted),
            Some(found) => Change::update(image, format!("{wanted}, was {found}")),
        },
    ])
}

/// Makes the repository and pushes what it lacks.
pub(super) async fn push(
    site: &Site,
    image: &Image,
    progress: Progress<'_>,
) -> Result<(), Problem> {
    if !site.has_repository().await? {
        make_repository(site).await?;
    }
    if site.delivered_digest().await?.as_ref() == Some(&image.digest) {
        return Ok(());
    }
    for (digest, blob) in &image.blobs {
        if !has_blob(site, digest).await? {
            progress(&format!("image: {} KB go to the repository", blob.len() / 1000));
            upload(site, digest, blob).await?;
        }
    }
    put_image(site, image).await
}

async fn make_repository(site: &Site) -> Result<(), Problem> {
    let name = &site.names.repository;
    let object = format!("repository {name}");
    let tag = Tag::builder().key(&site.names.tag).value("owned").build();
    let tag = tag.map_err(|error| Problem::input(&object, error.to_string()))?;
    match site.aws.ecr.create_repository().repository_name(name).tags(tag).send().await {
        Ok(_) => Ok(()),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|error| error.is_repository_already_exists_exception()) =>
        {
            Ok(())
        }
        Err(error) => Err(of_aws(ECR_CREATE_REPOSITORY, object, &error)),
    }
}

async fn has_blob(site: &Site, digest: &str) -> Result<bool, Problem> {
    let name = &site.names.repository;
    let asked = site.aws.ecr.batch_check_layer_availability().repository_name(name);
    let answer = asked.layer_digests(digest).send().await;
    let answer = answer.map_err(|error| {
        of_aws(ECR_BATCH_CHECK_LAYER_AVAILABILITY, format!("repository {name}"), &error)
    })?;
    Ok(answer.layers().iter().any(|layer| {
        layer.layer_digest() == Some(digest)
            && layer.layer_availability() == Some(&LayerAvailability::Available)
    }))
}

/// One blob in parts, which ECR puts together and compares with the digest.
async fn upload(site: &Site, digest: &str, blob: &[u8]) -> Result<(), Problem> {
    let (name, ecr) = (&site.names.repository, &site.aws.ecr);
    let object = || format!("layer {digest} in repository {name}");
    let begun = ecr.initiate_layer_upload().repository_name(name).send().await;
    let begun = begun.map_err(|error| of_aws(ECR_INITIATE_LAYER_UPLOAD, object(), &error))?;
    let id = begun.upload_id().unwrap_or_default();
    let size = begun.part_size().and_then(|size| usize::try_from(size).ok());
    let size = size.filter(|size| *size > 0).unwrap_or(PART);
    for (index, part) in blob.chunks(size).enumerate() {
        let first = index * size;
        let asked = ecr.upload_layer_part().repository_name(name).upload_id(id);
        let asked = asked
            .part_first_byte(i64::try_from(first).unwrap_or_default())
            .part_last_byte(i64::try_from(first + part.len() - 1).unwrap_or_default());
        let sent = asked.layer_part_blob(Blob::new(part)).send().await;
        sent.map_err(|error| of_aws(ECR_UPLOAD_LAYER_PART, object(), &error))?;
    }
    let asked = ecr.complete_layer_upload().repository_name(name).upload_id(id);
    match asked.layer_digests(digest).send().await {
        Ok(_) => Ok(()),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|error| error.is_layer_already_exists_exception()) =>
        {
            Ok(())
        }
        Err(error) => Err(of_aws(ECR_COMPLETE_LAYER_UPLOAD, object(), &error)),
    }
}

/// The manifest, by which the blobs become an image.
async fn put_image(site: &Site, image: &Image) -> Result<(), Problem> {
    let name = &site.names.repository;
    let asked = site.aws.ecr.put_image().repository_name(name).image_tag(INSTALLED);
    let asked = asked.image_manifest(&image.manifest).image_manifest_media_type(&image.media_type);
    match asked.image_digest(&image.digest).send().await {
        Ok(_) => Ok(()),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|error| error.is_image_already_exists_exception()) =>
        {
            Ok(())
        }
        Err(error) => {
            Err(of_aws(ECR_PUT_IMAGE, format!("webhook's image in repository {name}"), &error))
        }
    }
}
