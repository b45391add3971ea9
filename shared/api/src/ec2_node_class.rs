//! `EC2NodeClass`, karpenter.k8s.aws/v1 and v1beta1.
//! Sources: karpenter-provider-aws v1 `ec2nodeclass.go`, `ec2nodeclass_status.go`.

use crate::aws_node_template::{Image, SecurityGroup, Subnet, family, zones};
use crate::block_devices::{self, BlockDeviceMapping};
use crate::class_spec::volumes;
use crate::conditions::{Condition, not_ready};
use crate::finding::{Findings, field};
use crate::kubelet::{self, KubeletConfiguration};
use crate::object::{Decoded, decode};
use crate::schema::{object, structural, wire};
use crate::selector_terms::{
    self as terms, AmiSelectorTerm, CapacityReservationSelectorTerm, PlacementGroupSelector,
    SecurityGroupSelectorTerm, SubnetSelectorTerm,
};
use crate::{Object, Reading, tags};
use model::pool::ImageFamily;
use model::{NodeClass, Timestamp, node_class};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::OnceLock;

wire! {
    /// How the instance metadata service is exposed.
    MetadataOptions {
        /// Whether it answers over HTTP.
        #[schemars(extend("enum" = ["enabled", "disabled"], "default" = "enabled"))]
        http_endpoint: String,
        /// Whether it answers over IPv6.
        #[serde(rename = "httpProtocolIPv6")]
        #[schemars(extend("enum" = ["enabled", "disabled"], "default" = "disabled"))]
        http_protocol_ipv6: String,
        /// How many hops an answer may travel.
        #[schemars(range(min = 1, max = 64), extend("default" = 1))]
        http_put_response_hop_limit: i64,
        /// Whether a session token must be given.
        #[schemars(extend("enum" = ["required", "optional"], "default" = "required"))]
        http_tokens: String,
    }
}

wire! {
    /// A network interface of every instance.
    NetworkInterface {
        /// The network card.
        #[schemars(range(min = 0))]
        network_card_index: i32,
        /// The device on that card.
        #[schemars(range(min = 0))]
        device_index: i32,
        /// Whether it carries IP traffic or only EFA's.
        #[schemars(extend("enum" = ["interface", "efa-only"]))]
        interface_type: String,
    }
}

wire! {
    /// How long idle connections are tracked, in seconds.
    ConnectionTracking {
        /// Of an established TCP connection.
        #[schemars(range(min = 60, max = 432000))]
        tcp_established_timeout: i32,
        /// Of a UDP flow with answers.
        #[schemars(range(min = 60, max = 180))]
        udp_stream_timeout: i32,
        /// Of a UDP flow without answers.
        #[schemars(range(min = 30, max = 60))]
        udp_timeout: i32,
    }
}

wire! {
    /// Options of the processor.
    CpuOptions {
        /// Whether virtual machines may run on the instance.
        #[schemars(extend("enum" = ["enabled", "disabled"]))]
        nested_virtualization: String,
    }
}

wire! {
    /// Whether instances can hold Nitro enclaves.
    EnclaveOptions {
        /// Whether they can.
        enabled: bool,
    }
}

wire! {
    /// How nodes are launched on AWS.
    Ec2NodeClassSpec {
        /// The subnets; terms are alternatives.
        #[schemars(required, length(min = 1, max = 30))]
        subnet_selector_terms: Vec<SubnetSelectorTerm>,
        /// The security groups; terms are alternatives.
        #[schemars(required, length(min = 1, max = 30))]
        security_group_selector_terms: Vec<SecurityGroupSelectorTerm>,
        /// The images; terms are alternatives.
        #[schemars(required, length(min = 1, max = 30))]
        ami_selector_terms: Vec<AmiSelectorTerm>,
        /// The capacity reservations; terms are alternatives.
        #[schemars(length(max = 30))]
        capacity_reservation_selector_terms: Vec<CapacityReservationSelectorTerm>,
        /// The placement group.
        placement_group_selector: PlacementGroupSelector,
        /// The image family, which decides on user data and devices; follows from an alias.
        #[schemars(extend("enum" = ["AL2", "AL2023", "Bottlerocket", "Custom", "Windows2019", "Windows2022", "Windows2025"]))]
        ami_family: String,
        /// The role of the nodes; excludes instanceProfile.
        #[schemars(length(min = 1))]
        role: String,
        /// The instance profile of the nodes; excludes role.
        #[schemars(length(min = 1))]
        instance_profile: String,
        /// User data, which the family's own is merged with.
        user_data: String,
        /// The fleet's context, reserved by EC2.
        context: String,
        /// Whether instances are monitored every minute.
        detailed_monitoring: bool,
        /// Whether instances get public addresses.
        #[serde(rename = "associatePublicIPAddress")]
        associate_public_ip_address: bool,
        /// How many IPv4 prefixes the network interface gets.
        #[schemars(range(min = 0))]
        ip_prefix_count: i32,
        /// Tags of instances, volumes and launch templates.
        tags: BTreeMap<String, String>,
        /// Settings of the kubelet.
        kubelet: KubeletConfiguration,
        /// Volumes; the family's own if unset.
        #[schemars(length(max = 50))]
        block_device_mappings: Vec<BlockDeviceMapping>,
        /// How local disks are used.
        #[schemars(extend("enum" = ["RAID0"]))]
        instance_store_policy: String,
        /// Network interfaces of every instance.
        #[schemars(length(max = 150))]
        network_interfaces: Vec<NetworkInterface>,
        /// How the instance metadata service is exposed.
        #[schemars(extend("default" = {}))]
        metadata_options: MetadataOptions,
        /// How long idle connections are tracked.
        connection_tracking: ConnectionTracking,
        /// Options of the processor.
        cpu_options: CpuOptions,
        /// Whether instances can hold Nitro enclaves.
        enclave_options: EnclaveOptions,
    }
}

wire! {
    /// A capacity reservation found.
    CapacityReservation {
        /// The reservation's id.
        #[schemars(required)]
        id: String,
        /// Its zone.
        availability_zone: String,
        /// Its instance type.
        instance_type: String,
        /// Which instances it takes.
        instance_match_criteria: String,
        /// The account that owns it.
        #[serde(rename = "ownerID")]
        owner_id: String,
        /// When it ends.
        end_time: String,
        /// Its type.
        #[schemars(extend("enum" = ["default", "capacity-block"], "default" = "default"))]
        reservation_type: String,
        /// Its state.
        #[schemars(extend("enum" = ["active", "expiring"], "default" = "active"))]
        state: String,
        /// Whether EC2 may take its instances back.
        interruptible: bool,
        /// How many instances it still holds. Karpenter does not write it; without it the reservation is not planned with.
        available_instance_count: i64,
    }
}

wire! {
    /// What was found for an EC2NodeClass.
    Ec2NodeClassStatus {
        /// The subnets.
        subnets: Vec<Subnet>,
        /// The security groups.
        security_groups: Vec<SecurityGroup>,
        /// The images.
        amis: Vec<Image>,
        /// The capacity reservations.
        capacity_reservations: Vec<CapacityReservation>,
        /// The instance profile.
        instance_profile: String,
        /// Conditions: Ready and those that it sums up.
        conditions: Vec<Condition>,
    }
}

/// The schema of the whole object in v1.
pub(crate) fn schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let (spec, status) = (structural::<Ec2NodeClassSpec>(), structural::<Ec2NodeClassStatus>());
        object("How nodes are launched on AWS.", spec, Some(status))
    })
}

/// The schema of the whole object in v1beta1: the family must be named, images need not be, the kubelet is the pool's.
pub(crate) fn beta_schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let mut schema = schema().clone();
        let spec = &mut schema["properties"]["spec"];
        spec["required"] =
            json!(["amiFamily", "securityGroupSelectorTerms", "subnetSelectorTerms"]);
        let fields = &mut spec["properties"];
        remove(fields, "kubelet");
        remove(&mut fields["amiSelectorTerms"], "minItems");
        remove(&mut fields["amiSelectorTerms"]["items"]["properties"], "alias");
        fields["metadataOptions"]["properties"]["httpPutResponseHopLimit"]["default"] = json!(2);
        if let Some(families) = fields["amiFamily"]["enum"].as_array_mut() {
            families.push(json!("Ubuntu"));
        }
        schema
    })
}

fn remove(value: &mut Value, key: &str) {
    value.as_object_mut().into_iter().for_each(|map| drop(map.remove(key)));
}

/// Reads an EC2NodeClass of v1.
pub(crate) fn read(value: &Value) -> Reading {
    read_by(schema(), value, check_family)
}

/// Reads an EC2NodeClass of v1beta1.
pub(crate) fn read_beta(value: &Value) -> Reading {
    read_by(beta_schema(), value, check_beta_family)
}

type CheckFamily = fn(&Ec2NodeClassSpec, &[AmiSelectorTerm], &mut Findings);

fn read_by(schema: &Value, value: &Value, check_family: CheckFamily) -> Reading {
    let mut findings = Findings::default();
    let decoded = decode(schema, value, &mut findings);
    let class = decoded.map(|class| convert(class, check_family, &mut findings));
    Reading {
        objects: class.map(Object::NodeClass).into_iter().collect(),
        findings: findings.into_vec(),
    }
}

fn convert(
    class: Decoded<Ec2NodeClassSpec, Ec2NodeClassStatus>,
    check_family: CheckFamily,
    findings: &mut Findings,
) -> NodeClass {
    let Decoded { metadata, spec, status } = class;
    let images = spec.ami_selector_terms.as_deref().unwrap_or_default();
    check(&spec, findings);
    terms::check_images(images, "spec.amiSelectorTerms", findings);
    check_family(&spec, images, findings);
    let named = spec.ami_family.as_deref().map(family);
    let image_family = named.or_else(|| terms::family_of_alias(images)).unwrap_or_default();
    let devices = spec.block_device_mappings.unwrap_or_default();
    block_devices::check(&devices, "spec.blockDeviceMappings", findings);
    let kubelet = spec.kubelet.map(|wire| kubelet::read(wire, "spec.kubelet", findings));
    let (zones, zone_ids) = zones(status.subnets.as_ref());
    NodeClass {
        name: metadata.name,
        image_family,
        kubelet,
        ephemeral_storage_bytes: block_devices::ephemeral_storage_bytes(&devices, image_family),
        volumes: volumes(devices, image_family),
        instance_store_raid0: spec.instance_store_policy.as_deref() == Some("RAID0"),
        zones,
        zone_ids,
        reservations: reservations(status.capacity_reservations),
        problem: findings.problem().or_else(|| not_ready(status.conditions.as_ref())),
        ..NodeClass::default()
    }
}

/// The reservations that the status tells of, as far as it tells what they still hold.
fn reservations(found: Option<Vec<CapacityReservation>>) -> Vec<node_class::CapacityReservation> {
    let known = |own: CapacityReservation| {
        let ends_at = own.end_time.and_then(|time| time.parse::<jiff::Timestamp>().ok());
        Some(node_class::CapacityReservation {
            available: own.available_instance_count?,
            id: own.id?,
            instance_type: own.instance_type?,
            zone: own.availability_zone?,
            kind: own.reservation_type.unwrap_or_else(|| "default".to_owned()),
            owner: own.owner_id.unwrap_or_default(),
            match_criteria: own.instance_match_criteria.unwrap_or_default(),
            ends_at: ends_at.map(|time| Timestamp(time.as_second())),
        })
    };
    found.into_iter().flatten().filter_map(known).collect()
}

fn check(spec: &Ec2NodeClassSpec, findings: &mut Findings) {
    let at = |name: &str| field("spec", name);
    let subnets = spec.subnet_selector_terms.as_deref().unwrap_or_default();
    terms::check_subnets(subnets, &at("subnetSelectorTerms"), findings);
    let groups = spec.security_group_selector_terms.as_deref().unwrap_or_default();
    terms::check_security_groups(groups, &at("securityGroupSelectorTerms"), findings);
    let reservations = spec.capacity_reservation_selector_terms.as_deref().unwrap_or_default();
    terms::check_reservations(reservations, &at("capacityReservationSelectorTerms"), findings);
    if let Some(selector) = &spec.placement_group_selector {
        terms::check_placement_group(selector, &at("placementGroupSelector"), findings);
    }
    findings.require(
        spec.role.is_some() != spec.instance_profile.is_some(),
        "role-or-instance-profile",
        &at("role"),
        "exactly one of role and instanceProfile must be given",
    );
    tags::check_modern(spec.tags.as_ref(), &at("tags"), findings);
}

fn check_family(spec: &Ec2NodeClassSpec, images: &[AmiSelectorTerm], findings: &mut Findings) {
    const PATH: &str = "spec.amiFamily";
    let by_alias = images.iter().any(|term| term.alias.is_some());
    findings.require(
        by_alias || spec.ami_family.is_some(),
        "ami-family",
        PATH,
        "must be given unless amiSelectorTerms holds an alias",
    );
    let named = spec.ami_family.as_deref().map(family);
    if let (Some(named), Some(of_alias)) = (named, terms::family_of_alias(images)) {
        let fits = named == ImageFamily::Custom || named == of_alias;
        findings.require(fits, "ami-family", PATH, "must be the alias's own family or Custom");
    }
}

fn check_beta_family(spec: &Ec2NodeClassSpec, images: &[AmiSelectorTerm], findings: &mut Findings) {
    findings.require(
        spec.ami_family.as_deref() != Some("Custom") || !images.is_empty(),
        "custom-needs-ami-selector",
        "spec.amiSelectorTerms",
        "must be given when amiFamily is Custom",
    );
}
