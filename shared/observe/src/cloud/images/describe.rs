//! Images as EC2 describes them.

use super::of_arch;
use crate::cloud::call::DESCRIBE_IMAGES;
use crate::cloud::clients::Clients;
use crate::cloud::error::CloudReadError;
use crate::cloud::instances::tags;
use crate::cloud::selectors::Question;
use aws_sdk_ec2::operation::describe_images::DescribeImagesOutput;
use aws_sdk_ec2::types::{self, ArchitectureValues};
use model::node_class::ImageSelectorTerm;
use model::{Labels, Requirements, Timestamp, ValueSet, labels};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

const PAGE: i32 = 1000;
const BY_ID: &str = "image-id";

/// An image of an architecture that nodes can have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FoundImage {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) created: String,
    deprecated_at: Option<String>,
    arch: String,
    /// Its tags that are well-known labels: the legacy API takes them for requirements.
    labels: Labels,
}

impl FoundImage {
    /// What a type must be for this image.
    pub(super) fn requirements(&self, legacy: bool) -> Requirements {
        let mut requirements = of_arch(&self.arch);
        for (key, value) in self.labels.iter().filter(|(key, _)| legacy && *key != labels::ARCH) {
            requirements.add(key, ValueSet::only(value));
        }
        requirements
    }

    pub(super) fn is_deprecated(&self, now: Timestamp) -> bool {
        let at = self.deprecated_at.as_ref().and_then(|at| at.parse::<jiff::Timestamp>().ok());
        at.is_some_and(|at| at.as_second() <= now.0)
    }

    /// The greater, the better.
    pub(super) fn rank(&self, now: Timestamp) -> impl Ord + use<'_> {
        (!self.is_deprecated(now), &self.created, &self.name, &self.id)
    }
}

/// A search for images: filters, and whose images.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    question: Question,
    owners: Vec<String>,
}

/// The search for these ids, by its key; none for none.
pub(crate) fn by_ids(ids: BTreeSet<String>) -> Option<(String, Search)> {
    let question = Question::new([(BY_ID, ids)]);
    let asks = question.filters.values().any(|ids| !ids.is_empty());
    asks.then(|| (question.key(), Search { question, owners: Vec::new() }))
}

/// Whether the key is of a search for ids.
pub(super) fn is_by_ids(key: &str) -> bool {
    key.starts_with(BY_ID)
}

/// The search for a term's images by name, owner and tags, by its key. Without an owner a name is looked for among one's own and
/// Amazon's images only, so that nobody else can slip one in; the legacy API does the same for tags.
pub(crate) fn search(term: &ImageSelectorTerm, legacy: bool) -> Option<(String, Search)> {
    if term.id.is_some() || term.alias.is_some() || term.ssm_parameter.is_some() {
        return None;
    }
    let mut question = Question::default();
    let mut add = |name: String, values: Vec<String>| {
        question.filters.insert(name, values.into_iter().collect());
    };
    term.name.iter().for_each(|name| add("name".to_owned(), vec![name.clone()]));
    for (key, value) in &term.tags {
        let values = match legacy {
            true => value.split(',').map(|value| value.trim().to_owned()).collect(),
            false => vec![value.clone()],
        };
        add(format!("tag:{key}"), values);
    }
    if question.filters.is_empty() && term.owner.is_none() {
        return None;
    }
    let owners = match &term.owner {
        Some(owner) => vec![owner.clone()],
        None if term.name.is_some() || legacy => vec!["self".to_owned(), "amazon".to_owned()],
        None => Vec::new(),
    };
    let key = format!("{} by {}", question.key(), owners.join(","));
    Some((key, Search { question, owners }))
}

pub(crate) async fn read(
    clients: &Clients,
    search: Search,
) -> Result<Vec<FoundImage>, CloudReadError> {
    let available = types::Filter::builder().name("state").values("available").build();
    let call = clients
        .ec2
        .describe_images()
        .set_filters(Some(search.question.to_filters()))
        .filters(available)
        .include_deprecated(true);
    let owners = (!search.owners.is_empty()).then_some(search.owners);
    let stream = call.set_owners(owners).into_paginator().page_size(PAGE).send();
    let mut found = Vec::new();
    let take = |page: DescribeImagesOutput| found.extend(page.images().iter().filter_map(image));
    clients.pages(DESCRIBE_IMAGES, stream, take).await?;
    found.sort_by(|a: &FoundImage, b| a.id.cmp(&b.id));
    Ok(found)
}

fn image(found: &types::Image) -> Option<FoundImage> {
    let known = [(ArchitectureValues::X8664, "amd64"), (ArchitectureValues::Arm64, "arm64")];
    let architecture = found.architecture()?;
    let (_, arch) = known.into_iter().find(|(known, _)| known == architecture)?;
    let mut labels = tags(found.tags());
    labels.retain(|key, _| labels::is_well_known(key));
    Some(FoundImage {
        id: found.image_id()?.to_owned(),
        name: found.name().unwrap_or_default().to_owned(),
        created: found.creation_date().unwrap_or_default().to_owned(),
        deprecated_at: found.deprecation_time().map(str::to_owned),
        arch: arch.to_owned(),
        labels,
    })
}
