//! `AWSNodeTemplate`, karpenter.k8s.aws/v1alpha1: the legacy node class.
//! Source: karpenter-provider-aws v0.31 `awsnodetemplate.go`, `provider.go` and their validation.

use crate::block_devices::{self, BlockDeviceMapping, LegacyBlockDeviceMapping};
use crate::class_spec::volumes;
use crate::conditions::Condition;
use crate::finding::{Findings, field};
use crate::object::{Decoded, decode, decode_part};
use crate::requirements::NodeRequirement;
use crate::schema::{object, structural, wire};
use crate::selector_map::{self, Selected};
use crate::{Object, Reading, tags};
use model::NodeClass;
use model::pool::ImageFamily;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::OnceLock;

wire! {
    /// How the instance metadata service is exposed.
    LegacyMetadataOptions {
        /// Whether it answers over HTTP.
        #[schemars(extend("enum" = ["enabled", "disabled"], "default" = "enabled"))]
        http_endpoint: String,
        /// Whether it answers over IPv6.
        #[serde(rename = "httpProtocolIPv6")]
        #[schemars(extend("enum" = ["enabled", "disabled"], "default" = "disabled"))]
        http_protocol_ipv6: String,
        /// How many hops an answer may travel.
        #[schemars(range(min = 1, max = 64), extend("default" = 2))]
        http_put_response_hop_limit: i64,
        /// Whether a session token must be given.
        #[schemars(extend("enum" = ["required", "optional"], "default" = "required"))]
        http_tokens: String,
    }
}

wire! {
    /// How nodes are launched on AWS.
    AwsNodeTemplateSpec {
        /// The image family; AL2 if unset. Custom needs amiSelector.
        #[schemars(extend("enum" = ["AL2", "Bottlerocket", "Ubuntu", "Windows2019", "Windows2022", "Custom"]))]
        ami_family: String,
        /// The subnets, by tags or ids.
        subnet_selector: BTreeMap<String, String>,
        /// The security groups, by tags or ids; needed unless there is a launch template.
        security_group_selector: BTreeMap<String, String>,
        /// The images, by tags, ids, name or owners; the family's own if unset.
        ami_selector: BTreeMap<String, String>,
        /// The instance profile; the global one if unset.
        instance_profile: String,
        /// User data, which the family's own is merged with.
        user_data: String,
        /// The fleet's context, reserved by EC2.
        context: String,
        /// Whether instances are monitored every minute.
        detailed_monitoring: bool,
        /// Tags of instances, volumes and launch templates.
        tags: BTreeMap<String, String>,
        /// The name of a launch template of the user's own; excludes what it says itself.
        #[serde(rename = "launchTemplate")]
        launch_template: String,
        /// How the instance metadata service is exposed.
        metadata_options: LegacyMetadataOptions,
        /// Volumes; the family's own if unset.
        block_device_mappings: Vec<LegacyBlockDeviceMapping>,
    }
}

wire! {
    /// A subnet found.
    Subnet {
        /// The subnet's id.
        #[schemars(required)]
        id: String,
        /// Its zone's name.
        #[schemars(required)]
        zone: String,
        /// Its zone's id.
        #[serde(rename = "zoneID")]
        zone_id: String,
    }
}

wire! {
    /// A security group found.
    SecurityGroup {
        /// The group's id.
        #[schemars(required)]
        id: String,
        /// The group's name.
        name: String,
    }
}

wire! {
    /// An image found.
    Image {
        /// The image's id.
        #[schemars(required)]
        id: String,
        /// The image's name.
        name: String,
        /// Whether it is deprecated.
        deprecated: bool,
        /// What it asks of the instance type.
        requirements: Vec<NodeRequirement>,
    }
}

wire! {
    /// What was found for an AWSNodeTemplate.
    AwsNodeTemplateStatus {
        /// The subnets.
        subnets: Vec<Subnet>,
        /// The security groups.
        security_groups: Vec<SecurityGroup>,
        /// The images.
        amis: Vec<Image>,
        /// Conditions.
        conditions: Vec<Condition>,
    }
}

/// The schema of the whole object.
pub(crate) fn schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let spec = structural::<AwsNodeTemplateSpec>();
        let status = structural::<AwsNodeTemplateStatus>();
        object("How nodes are launched on AWS. Legacy: see EC2NodeClass.", spec, Some(status))
    })
}

/// Reads an AWSNodeTemplate.
pub(crate) fn read(value: &Value) -> Reading {
    let mut findings = Findings::default();
    let decoded: Option<Decoded<AwsNodeTemplateSpec, AwsNodeTemplateStatus>> =
        decode(schema(), value, &mut findings);
    let class = decoded.map(|Decoded { metadata, spec, status }| {
        let (zones, zone_ids) = zones(status.subnets.as_ref());
        let class = convert(spec, &metadata.name, "spec", &mut findings);
        Object::NodeClass(NodeClass { zones, zone_ids, ..class })
    });
    Reading { objects: class.into_iter().collect(), findings: findings.into_vec() }
}

/// Reads the settings that a Provisioner holds inline, which have the template's fields and a kind and version of their own.
pub(crate) fn read_inline(
    settings: &Map<String, Value>,
    name: &str,
    path: &str,
    findings: &mut Findings,
) -> NodeClass {
    let mut settings = settings.clone();
    settings.retain(|key, _| key != "apiVersion" && key != "kind");
    let mut own = Findings::default();
    let spec =
        decode_part(&schema()["properties"]["spec"], &Value::Object(settings), path, &mut own);
    let class = convert(spec, name, path, &mut own);
    findings.extend(own);
    class
}

/// The zones of the subnets found, sorted, and their ids as far as the subnets tell them.
pub(crate) fn zones(subnets: Option<&Vec<Subnet>>) -> (Vec<String>, BTreeMap<String, String>) {
    let subnets = subnets.map(Vec::as_slice).unwrap_or_default();
    let mut zones = subnets.iter().filter_map(|subnet| subnet.zone.clone()).collect::<Vec<_>>();
    zones.sort();
    zones.dedup();
    let id = |subnet: &Subnet| {
        let id = subnet.zone_id.clone().filter(|id| !id.is_empty());
        subnet.zone.clone().zip(id)
    };
    (zones, subnets.iter().filter_map(id).collect())
}

fn convert(
    spec: AwsNodeTemplateSpec,
    name: &str,
    path: &str,
    findings: &mut Findings,
) -> NodeClass {
    check(&spec, path, findings);
    let image_family = spec.ami_family.as_deref().map_or(ImageFamily::Al2, family);
    let devices = spec.block_device_mappings.unwrap_or_default();
    let devices: Vec<BlockDeviceMapping> = devices.into_iter().map(Into::into).collect();
    block_devices::check(&devices, &field(path, "blockDeviceMappings"), findings);
    NodeClass {
        name: name.to_owned(),
        image_family,
        kubelet: None,
        ephemeral_storage_bytes: block_devices::ephemeral_storage_bytes(&devices, image_family),
        volumes: if spec.launch_template.is_some() {
            Vec::new()
        } else {
            volumes(devices, image_family)
        },
        instance_store_raid0: false,
        zones: Vec::new(),
        zone_ids: BTreeMap::new(),
        problem: findings.problem(),
        ..NodeClass::default()
    }
}

/// The image family of that name; the schema has let no other name pass.
pub(crate) fn family(name: &str) -> ImageFamily {
    match name {
        "AL2" => ImageFamily::Al2,
        "Bottlerocket" => ImageFamily::Bottlerocket,
        "Ubuntu" => ImageFamily::Ubuntu,
        "Windows2019" => ImageFamily::Windows2019,
        "Windows2022" => ImageFamily::Windows2022,
        "Windows2025" => ImageFamily::Windows2025,
        "Custom" => ImageFamily::Custom,
        _ => ImageFamily::Al2023,
    }
}

fn check(spec: &AwsNodeTemplateSpec, path: &str, findings: &mut Findings) {
    let at = |name: &str| field(path, name);
    let selectors = [
        (&spec.subnet_selector, Selected::Subnets, "subnetSelector"),
        (&spec.security_group_selector, Selected::SecurityGroups, "securityGroupSelector"),
        (&spec.ami_selector, Selected::Images, "amiSelector"),
    ];
    for (selector, selected, name) in selectors {
        let selector = selector.iter();
        selector.for_each(|selector| selector_map::check(selector, selected, &at(name), findings));
    }
    let given = |map: &Option<BTreeMap<_, _>>| map.as_ref().is_some_and(|map| !map.is_empty());
    findings.require(
        given(&spec.subnet_selector),
        "required",
        &at("subnetSelector"),
        "must be given: say which subnets nodes are launched in",
    );
    findings.require(
        given(&spec.security_group_selector) || spec.launch_template.is_some(),
        "required",
        &at("securityGroupSelector"),
        "must be given unless there is a launchTemplate",
    );
    findings.require(
        spec.ami_family.as_deref() != Some("Custom") || given(&spec.ami_selector),
        "custom-needs-ami-selector",
        &at("amiSelector"),
        "must be given when amiFamily is Custom",
    );
    check_launch_template(spec, path, findings);
    tags::check_legacy(spec.tags.as_ref(), &at("tags"), findings);
}

/// A launch template says itself what these fields would say.
fn check_launch_template(spec: &AwsNodeTemplateSpec, path: &str, findings: &mut Findings) {
    if spec.launch_template.is_none() {
        return;
    }
    let excluded = [
        ("securityGroupSelector", spec.security_group_selector.is_some()),
        ("metadataOptions", spec.metadata_options.is_some()),
        ("amiFamily", spec.ami_family.is_some()),
        ("instanceProfile", spec.instance_profile.is_some()),
        ("blockDeviceMappings", spec.block_device_mappings.is_some()),
        ("userData", spec.user_data.is_some()),
        ("amiSelector", spec.ami_selector.is_some()),
    ];
    for (name, given) in excluded {
        let path = field(path, name);
        findings.require(!given, "launch-template", &path, "may not stand beside launchTemplate");
    }
}
