//! Images of classes: by id, name, owner and tags, by parameter, and each family's own.

mod describe;
mod parameters;
mod variants;

pub(crate) use describe::{FoundImage, by_ids, read as read_images, search};
pub(crate) use parameters::read as read_parameter;
pub(crate) use variants::variants;

use super::clients::Clients;
use super::error::CloudReadError;
use super::selectors::tags_text;
use super::shelf::{Failures, Shelf};
use model::node_class::{Image, ImageSelectorTerm};
use model::pool::{ApiVersion, ImageFamily};
use model::{NodeClassSpec, Requirements, Timestamp, ValueSet, labels};
use std::collections::{BTreeMap, BTreeSet};

/// How long images stay as they are, in seconds.
const IMAGES_TTL_S: i64 = 300;
/// How long a parameter names the same image, in seconds.
const PARAMETERS_TTL_S: i64 = 24 * 3600;
/// How long a parameter that does not exist is taken for missing, in seconds: new versions bring new ones.
const MISSING_TTL_S: i64 = 600;

/// What was read of images, by question.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(crate) struct ImageFacts {
    pub(crate) parameters: Shelf<Option<String>>,
    pub(crate) images: Shelf<Vec<FoundImage>>,
}

/// What could not be read of images.
#[derive(Debug, Default)]
pub(crate) struct ImageFailures {
    pub(crate) parameters: Failures,
    pub(crate) images: Failures,
}

/// Reads what the classes' images need and is not fresh: first parameters, then images.
pub(crate) async fn refresh(
    clients: &Clients,
    facts: &mut ImageFacts,
    classes: &[std::sync::Arc<NodeClassSpec>],
    version: &str,
    now: Timestamp,
) -> ImageFailures {
    let names = classes.iter().flat_map(|class| parameters_of(class, version));
    let names = names.map(|name| (name.clone(), name)).collect::<BTreeMap<_, _>>();
    let ttl = |value: &Option<String>| match value {
        Some(_) => PARAMETERS_TTL_S,
        None => MISSING_TTL_S,
    };
    let read = |name| async move { read_parameter(clients, name).await };
    let parameters = facts.parameters.refresh(names.clone(), now, ttl, read).await;
    let by_parameter = names.keys().filter_map(|name| facts.parameters.get(name)?.clone());
    let by_id = classes.iter().flat_map(|class| &class.images).filter_map(|term| term.id.clone());
    let ids = by_parameter.chain(by_id).collect::<BTreeSet<_>>();
    let mut questions = classes
        .iter()
        .flat_map(|class| class.images.iter().filter_map(|term| search(term, legacy(class))))
        .collect::<BTreeMap<_, _>>();
    questions.extend(by_ids(ids));
    let read = |question| async move { read_images(clients, question).await };
    let images = facts.images.refresh(questions, now, |_| IMAGES_TTL_S, read).await;
    ImageFailures { parameters, images }
}

fn legacy(class: &NodeClassSpec) -> bool {
    class.api_version == Some(ApiVersion::Legacy)
}

/// The parameters that name images of the class.
fn parameters_of(class: &NodeClassSpec, version: &str) -> Vec<String> {
    let own = class.images.iter().filter_map(|term| term.ssm_parameter.clone());
    let of_family = family_versions(class).into_iter().flat_map(|(family, image_version)| {
        variants(family, &image_version, version).into_iter().map(|variant| variant.parameter)
    });
    own.chain(of_family).collect()
}

/// The families whose own images the class uses, each with the version wanted.
fn family_versions(class: &NodeClassSpec) -> Vec<(ImageFamily, String)> {
    if class.launch_template.is_some() {
        return Vec::new();
    }
    if class.images.is_empty() {
        return vec![(class.image_family, "latest".to_owned())];
    }
    let aliases = class.images.iter().filter_map(|term| term.alias.as_deref());
    aliases.filter_map(variants::family_of_alias).collect()
}

/// What the class's images came to: images, or why there are none.
pub(crate) fn resolve(
    class: &NodeClassSpec,
    facts: &ImageFacts,
    failures: &ImageFailures,
    version: &str,
    now: Timestamp,
    region: &str,
) -> Result<Vec<Image>, String> {
    if class.launch_template.is_some() {
        return Ok(Vec::new());
    }
    let mut candidates = Vec::new();
    for (family, image_version) in family_versions(class) {
        for variant in variants(family, &image_version, version) {
            let Some(found) = of_parameter(&variant.parameter, facts) else { continue };
            candidates.extend(variant.requirements().into_iter().map(|set| (found, set)));
        }
    }
    for term in &class.images {
        let found = of_term(term, facts, legacy(class));
        candidates
            .extend(found.into_iter().map(|image| (image, image.requirements(legacy(class)))));
    }
    let best = best_of_each(candidates, now);
    match (best.is_empty(), unread(class, failures, version)) {
        (false, _) => Ok(best),
        (true, Some(error)) => Err(format!("its images could not be read: {error}")),
        (true, None) => Err(none_found(class, version, region)),
    }
}

/// Every image that the search by this id found.
fn known(facts: &ImageFacts) -> impl Iterator<Item = &FoundImage> {
    facts.images.values().flatten()
}

fn of_parameter<'a>(name: &str, facts: &'a ImageFacts) -> Option<&'a FoundImage> {
    let id = facts.parameters.get(name)?.as_ref()?;
    known(facts).find(|image| image.id == *id)
}

/// The images that a term other than an alias selects.
fn of_term<'a>(
    term: &ImageSelectorTerm,
    facts: &'a ImageFacts,
    legacy: bool,
) -> Vec<&'a FoundImage> {
    if let Some(id) = &term.id {
        return known(facts).find(|image| image.id == *id).into_iter().collect();
    }
    if let Some(name) = &term.ssm_parameter {
        return of_parameter(name, facts).into_iter().collect();
    }
    let answer = search(term, legacy).and_then(|(question, _)| facts.images.get(&question));
    answer.into_iter().flatten().collect()
}

/// For each set of requirements the image to use: one that is not deprecated before one that is, then the newest, then by name.
fn best_of_each(candidates: Vec<(&FoundImage, Requirements)>, now: Timestamp) -> Vec<Image> {
    let mut best = BTreeMap::<Requirements, &FoundImage>::new();
    for (image, requirements) in candidates {
        let present = best.entry(requirements).or_insert(image);
        if image.rank(now) > present.rank(now) {
            *present = image;
        }
    }
    let mut images = best.into_iter().collect::<Vec<_>>();
    images.sort_by(|(a_set, a), (b_set, b)| {
        b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)).then_with(|| a_set.cmp(b_set))
    });
    let image = |(requirements, found): (Requirements, &FoundImage)| Image {
        id: found.id.clone(),
        name: found.name.clone(),
        created: found.created.clone(),
        deprecated: found.is_deprecated(now),
        requirements,
    };
    images.into_iter().map(image).collect()
}

/// The first read that the class needed and that failed.
fn unread(
    class: &NodeClassSpec,
    failures: &ImageFailures,
    version: &str,
) -> Option<CloudReadError> {
    let names = parameters_of(class, version);
    let parameter = names.iter().find_map(|name| failures.parameters.get(name));
    let searched = |term: &ImageSelectorTerm| failures.images.get(&search(term, legacy(class))?.0);
    let by_id = || failures.images.iter().find(|(question, _)| describe::is_by_ids(question));
    let image = class.images.iter().find_map(searched);
    parameter.or(image).or_else(|| by_id().map(|(_, error)| error)).cloned()
}

fn none_found(class: &NodeClassSpec, version: &str, region: &str) -> String {
    let field = if legacy(class) { "amiSelector" } else { "amiSelectorTerms" };
    if let Some((family, wanted)) = family_versions(class).into_iter().next() {
        let parameters = variants(family, &wanted, version);
        let Some(variant) = parameters.first() else {
            return format!("the image family {family:?} has no images of its own: give {field}");
        };
        return format!(
            "no image of {family:?} {wanted} for Kubernetes {version} in {region}: there is no parameter {} (nor its variants) \
             that names an image; correct {field}, or choose a family that supports this version",
            variant.parameter
        );
    }
    let terms = class.images.iter().map(term_text).collect::<Vec<_>>().join(" or ");
    format!(
        "no available image in {region} has {terms}; it may be gone or not shared with this account: correct {field}"
    )
}

fn term_text(term: &ImageSelectorTerm) -> String {
    if let Some(id) = &term.id {
        return format!("the id {id}");
    }
    if let Some(name) = &term.ssm_parameter {
        return format!("the id that the parameter {name} holds");
    }
    let name = term.name.as_ref().map(|name| format!("the name {name}"));
    let tags = (!term.tags.is_empty()).then(|| tags_text(&term.tags));
    let owner = term.owner.as_deref().map(|owner| match owner {
        "self" | "amazon" | "aws-marketplace" => format!("the owner {owner}"),
        _ => "the owner given".to_owned(),
    });
    name.into_iter().chain(tags).chain(owner).collect::<Vec<_>>().join(" and ")
}

/// The requirement on the architecture, as Kubernetes names it.
pub(crate) fn of_arch(arch: &str) -> Requirements {
    let mut requirements = Requirements::new();
    requirements.add(labels::ARCH, ValueSet::only(arch));
    requirements
}

/// Parameters whose image is gone are read again next time.
pub(crate) fn forget_gone(
    facts: &mut ImageFacts,
    classes: &[std::sync::Arc<NodeClassSpec>],
    version: &str,
) {
    let names = classes.iter().flat_map(|class| parameters_of(class, version));
    let gone = names.filter(|name| {
        facts.parameters.get(name).is_some_and(Option::is_some)
            && of_parameter(name, facts).is_none()
    });
    let gone = gone.collect::<Vec<_>>();
    gone.iter().for_each(|name| facts.parameters.remove(name));
}
