//! What the launch templates of a request hold. Pure: the same request, class and cluster give the same templates, byte for byte.
//!
//! A template is named by the SHA-256 of everything in it, `joiner/<cluster>/<hash>`: templates of one name are equal, so one that
//! is there need not be read, and two functions that make the same one do no harm. Nothing is left out of the hash, since whatever
//! differs between two templates reaches the nodes. The prefix is not upstream's `karpenter.k8s.aws/`, so that a Karpenter in the
//! same account and Joiner each clean up their own.

mod block_devices;
mod content;
mod error;
mod interfaces;
mod labels;
mod tags;
mod user_data;

pub use content::{Interface, Reservation, TemplateData};
pub use error::TemplateError;
pub use tags::{PREFIX, instance_tags, template_tags};

use crate::ports::{FleetRequest, Refusal, TypeFacts};
use base64::Engine;
use model::node_class::{ClusterFacts, ResolvedNodeClass};
use model::{Alternative, CapacityType, Labels};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// A launch template and the offerings that are bought by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Its name: `joiner/<cluster>/<hash>`, or that of the user's own template (legacy classes).
    pub name: String,
    /// What it holds; `None` if it is the user's own.
    pub data: Option<TemplateData>,
    /// The tags of the template itself.
    pub tags: Labels,
    /// What is bought by it, cheapest first.
    pub offerings: Vec<Alternative>,
}

/// The templates of a request, and what none can be made for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Templates {
    /// By the order of their cheapest offerings.
    pub templates: Vec<Template>,
    /// Offerings without an image or a reservation.
    pub refused: Vec<Refusal>,
}

/// What the offerings of one template have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shape {
    image_id: String,
    max_pods: Option<i64>,
    efa: u32,
    reservation: Option<Reservation>,
}

/// The templates that a request needs: one for each image, count of pods, count of EFA interfaces and reservation among its offerings.
/// `profile` is the instance profile (the class's own, or that made from its role).
///
/// # Errors
/// If the class's user data or settings cannot be brought to the nodes: names the class, the field and the cause.
pub fn templates(
    request: &FleetRequest,
    class: &ResolvedNodeClass,
    cluster: &ClusterFacts,
    profile: Option<&str>,
) -> Result<Templates, TemplateError> {
    if let Some(name) = &class.spec.launch_template {
        return Ok(users_own(name, request));
    }
    let mut all = Templates::default();
    let mut groups: Vec<(Shape, Vec<Alternative>)> = Vec::new();
    for offering in &request.offerings {
        match shape(offering, request, class) {
            Err(refusal) => all.refused.push(refusal),
            Ok(shape) => match groups.iter_mut().find(|(known, _)| *known == shape) {
                Some((_, offerings)) => offerings.push(offering.clone()),
                None => groups.push((shape, vec![offering.clone()])),
            },
        }
    }
    for (shape, offerings) in groups {
        all.templates.push(template(&shape, offerings, request, class, cluster, profile)?);
    }
    Ok(all)
}

fn users_own(name: &str, request: &FleetRequest) -> Templates {
    let offerings = request.offerings.clone();
    let template = Template { name: name.to_owned(), data: None, tags: Labels::new(), offerings };
    Templates { templates: vec![template], refused: Vec::new() }
}

fn shape(
    offering: &Alternative,
    request: &FleetRequest,
    class: &ResolvedNodeClass,
) -> Result<Shape, Refusal> {
    let facts = request.types.get(&offering.instance_type);
    let image_id = image_of(class, facts).ok_or_else(|| {
        let message = format!(
            "node class {} has no image for this type; add one to amiSelectorTerms",
            class.spec.name
        );
        refusal(offering, "NoImage", message, false)
    })?;
    let reservation = match offering.capacity_type {
        CapacityType::Reserved => Some(reservation_for(offering, class)?),
        CapacityType::Spot | CapacityType::OnDemand => None,
    };
    Ok(Shape {
        image_id,
        max_pods: request.max_pods.get(&offering.instance_type).copied(),
        efa: facts.map_or(0, |facts| facts.efa),
        reservation,
    })
}

fn refusal(offering: &Alternative, code: &str, message: String, no_capacity: bool) -> Refusal {
    Refusal {
        instance_type: offering.instance_type.clone(),
        zone: offering.zone.clone(),
        code: code.to_owned(),
        message,
        no_capacity,
    }
}

/// The first image whose requirements the type's labels satisfy.
fn image_of(class: &ResolvedNodeClass, facts: Option<&TypeFacts>) -> Option<String> {
    let labels = facts.map(|facts| facts.labels.clone()).unwrap_or_default();
    class
        .images
        .iter()
        .find(|image| image.requirements.match_labels(&labels))
        .map(|image| image.id.clone())
}

/// The planned reservation or, for an offering that names none, the one with the most room; equal ones by id.
fn reservation_for(
    offering: &Alternative,
    class: &ResolvedNodeClass,
) -> Result<Reservation, Refusal> {
    let fits = class.capacity_reservations.iter().filter(|reservation| {
        reservation.instance_type == offering.instance_type
            && reservation.zone == offering.zone
            && offering.reservation.as_ref().is_none_or(|planned| *planned == reservation.id)
            && reservation.available > 0
    });
    let best = fits.min_by_key(|found| (std::cmp::Reverse(found.available), found.id.clone()));
    best.map(|found| Reservation { id: found.id.clone(), kind: found.kind.clone() }).ok_or_else(
        || {
            let message = "no capacity reservation of the node class has room for this type here";
            refusal(offering, "ReservationCapacityExceeded", message.to_owned(), true)
        },
    )
}

fn template(
    shape: &Shape,
    offerings: Vec<Alternative>,
    request: &FleetRequest,
    class: &ResolvedNodeClass,
    cluster: &ClusterFacts,
    profile: Option<&str>,
) -> Result<Template, TemplateError> {
    let spec = &class.spec;
    let user_data = user_data::render(request, spec, cluster, shape.max_pods)?;
    let data = TemplateData {
        image_id: shape.image_id.clone(),
        instance_profile: profile.map(str::to_owned),
        user_data: base64::engine::general_purpose::STANDARD.encode(user_data),
        detailed_monitoring: spec.detailed_monitoring.unwrap_or(false),
        metadata_options: content::metadata_options(spec, cluster),
        block_devices: block_devices::block_devices(spec),
        interfaces: interfaces::interfaces(class, cluster, shape.efa),
        placement_group_id: spec.placement_group_id.clone(),
        placement_group_name: spec.placement_group_name.clone(),
        reservation: shape.reservation.clone(),
        keep_off_reservations: request.capacity_type == CapacityType::OnDemand
            && !spec.capacity_reservations.is_empty(),
        enclave: spec.enclave.unwrap_or(false),
        nested_virtualization: spec.nested_virtualization,
        spot: request.capacity_type == CapacityType::Spot,
        tags: tags::common(request, spec, cluster),
    };
    let tags = template_tags(request, spec, cluster);
    let name = name(&cluster.name, &data, &tags)
        .map_err(|error| TemplateError::new(spec, "launch template", &error.to_string()))?;
    Ok(Template { name, data: Some(data), tags, offerings })
}

/// A name of at most 128 characters, as EC2 allows: an EKS cluster's name has at most 100.
fn name(cluster: &str, data: &TemplateData, tags: &Labels) -> serde_json::Result<String> {
    let canonical = serde_json::to_vec(&(data, tags))?;
    let digest = Sha256::digest(canonical);
    let hash = digest.iter().take(10).map(|byte| format!("{byte:02x}")).collect::<String>();
    Ok(format!("{PREFIX}{cluster}/{hash}"))
}

/// The images that a request's templates hold, by type: what an instance of that type was made of.
pub fn images_by_type(templates: &Templates) -> BTreeMap<String, String> {
    let of = |template: &Template| {
        let image = template.data.as_ref().map(|data| data.image_id.clone())?;
        Some((template.offerings.clone(), image))
    };
    let pairs = templates.templates.iter().filter_map(of);
    pairs
        .flat_map(|(offerings, image)| {
            offerings.into_iter().map(move |offering| (offering.instance_type, image.clone()))
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
