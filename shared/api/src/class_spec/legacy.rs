//! AWSNodeTemplate, and the same settings inline in a Provisioner.
//! Source: karpenter-provider-aws v0.31 `awsnodetemplate.go`, its selectors in `pkg/providers/amifamily/ami.go`.

use super::parts::{devices, entries, text};
use crate::aws_node_template::{
    AwsNodeTemplateSpec, AwsNodeTemplateStatus, LegacyMetadataOptions, family, schema,
};
use crate::finding::Findings;
use crate::object::{Decoded, decode, decode_part};
use crate::selector_map::IDS;
use model::node_class::{ImageSelectorTerm, MetadataOptions, SelectorTerm};
use model::pool::{ApiVersion, ImageFamily};
use model::{Labels, NodeClassSpec};
use serde_json::Value;
use std::collections::BTreeMap;

type Selector = BTreeMap<String, String>;

/// The key of an image selector that lists names.
const NAME: &str = "aws::name";
/// The key of an image selector that lists owners.
const OWNERS: &str = "aws::owners";

pub(super) fn read(object: &Value) -> Option<NodeClassSpec> {
    let decoded: Decoded<AwsNodeTemplateSpec, AwsNodeTemplateStatus> =
        decode(schema(), object, &mut Findings::default())?;
    Some(convert(decoded.spec, &decoded.metadata.name))
}

/// The settings under `spec.provider`, as a class of the name that `read` gives it; `None` if there are none.
pub(super) fn read_inline(object: &Value) -> Option<NodeClassSpec> {
    let spec = object.get("spec")?;
    if spec.get("providerRef").is_some_and(|reference| !reference.is_null()) {
        return None;
    }
    let name = object.pointer("/metadata/name")?.as_str().filter(|name| !name.is_empty())?;
    let mut settings = spec.get("provider")?.as_object()?.clone();
    settings.retain(|key, _| key != "apiVersion" && key != "kind");
    let schema = &schema()["properties"]["spec"];
    let settings = decode_part(schema, &Value::Object(settings), "", &mut Findings::default());
    Some(convert(settings, &format!("provisioner/{name}")))
}

fn convert(spec: AwsNodeTemplateSpec, name: &str) -> NodeClassSpec {
    let launch_template = text(spec.launch_template);
    let metadata_options = launch_template.is_none().then(|| metadata(spec.metadata_options));
    let mappings = spec.block_device_mappings.unwrap_or_default();
    NodeClassSpec {
        name: name.to_owned(),
        api_version: Some(ApiVersion::Legacy),
        image_family: spec.ami_family.as_deref().map_or(ImageFamily::Al2, family),
        subnets: terms(spec.subnet_selector),
        security_groups: terms(spec.security_group_selector),
        images: image_terms(spec.ami_selector.unwrap_or_default()),
        instance_profile: text(spec.instance_profile),
        launch_template,
        user_data: spec.user_data,
        context: text(spec.context),
        detailed_monitoring: spec.detailed_monitoring,
        tags: spec.tags.unwrap_or_default(),
        block_devices: devices(Some(mappings.into_iter().map(Into::into).collect())),
        metadata_options,
        ..NodeClassSpec::default()
    }
}

/// One term for each id, or one with all tags. Comma-separated values of a tag stay as they are, without blanks.
fn terms(selector: Option<Selector>) -> Vec<SelectorTerm> {
    let selector = selector.unwrap_or_default();
    let (ids, tags) = split(selector);
    let by_id = |id| SelectorTerm { id: Some(id), ..SelectorTerm::default() };
    let mut terms = ids.into_iter().map(by_id).collect::<Vec<_>>();
    if !tags.is_empty() {
        terms.push(SelectorTerm { tags, ..SelectorTerm::default() });
    }
    terms
}

/// The ids that a selector lists, and its other entries.
fn split(selector: Selector) -> (Vec<String>, Labels) {
    let mut ids = Vec::new();
    let mut others = Labels::new();
    for (key, value) in selector {
        if IDS.contains(&key.as_str()) {
            ids.extend(entries(&value));
        } else {
            others.insert(key, entries(&value).join(","));
        }
    }
    (ids, others)
}

/// One term for each id, else one for each name by each owner, all with the same tags.
fn image_terms(selector: Selector) -> Vec<ImageSelectorTerm> {
    let (ids, mut tags) = split(selector);
    let mut listed = |key: &str| {
        let values = tags.remove(key).map(|list| entries(&list)).unwrap_or_default();
        let values = values.into_iter().map(Some).collect::<Vec<_>>();
        if values.is_empty() { vec![None] } else { values }
    };
    let (names, owners) = (listed(NAME), listed(OWNERS));
    if !ids.is_empty() {
        let by_id = |id| ImageSelectorTerm { id: Some(id), ..ImageSelectorTerm::default() };
        return ids.into_iter().map(by_id).collect();
    }
    if tags.is_empty() && names == [None] && owners == [None] {
        return Vec::new();
    }
    let of_owner = |owner: &Option<String>| {
        let (owner, tags) = (owner.clone(), tags.clone());
        names.clone().into_iter().map(move |name| ImageSelectorTerm {
            name,
            owner: owner.clone(),
            tags: tags.clone(),
            ..ImageSelectorTerm::default()
        })
    };
    owners.iter().flat_map(of_owner).collect()
}

fn metadata(given: Option<LegacyMetadataOptions>) -> MetadataOptions {
    let given = given.unwrap_or_default();
    let or = |text: Option<String>, default: &str| text.unwrap_or_else(|| default.to_owned());
    MetadataOptions {
        http_endpoint: or(given.http_endpoint, "enabled"),
        http_protocol_ipv6: or(given.http_protocol_ipv6, "disabled"),
        http_put_response_hop_limit: given.http_put_response_hop_limit.unwrap_or(2),
        http_tokens: or(given.http_tokens, "required"),
    }
}
