//! EC2NodeClass of v1 and v1beta1. Source: karpenter-provider-aws v1 `ec2nodeclass.go`.

use super::parts::{devices, text};
use crate::aws_node_template::family;
use crate::ec2_node_class::{
    ConnectionTracking, Ec2NodeClassSpec, Ec2NodeClassStatus, MetadataOptions as WireMetadata,
    NetworkInterface as WireInterface, beta_schema, schema,
};
use crate::finding::Findings;
use crate::object::{Decoded, decode};
use crate::selector_terms::{
    AmiSelectorTerm, CapacityReservationSelectorTerm, SecurityGroupSelectorTerm,
    SubnetSelectorTerm, family_of_alias,
};
use model::NodeClassSpec;
use model::node_class::{ImageSelectorTerm, MetadataOptions, NetworkInterface, SelectorTerm};
use model::pool::ApiVersion;
use serde_json::Value;

pub(super) fn read(object: &Value) -> Option<NodeClassSpec> {
    let spec = decoded(schema(), object)?;
    Some(NodeClassSpec { api_version: Some(ApiVersion::V1), ..spec })
}

pub(super) fn read_beta(object: &Value) -> Option<NodeClassSpec> {
    let spec = decoded(beta_schema(), object)?;
    Some(NodeClassSpec { api_version: Some(ApiVersion::V1Beta1), ..spec })
}

fn decoded(schema: &Value, object: &Value) -> Option<NodeClassSpec> {
    let decoded: Decoded<Ec2NodeClassSpec, Ec2NodeClassStatus> =
        decode(schema, object, &mut Findings::default())?;
    let hop_limit = schema
        .pointer("/properties/spec/properties/metadataOptions/properties/httpPutResponseHopLimit/default")
        .and_then(Value::as_i64);
    Some(convert(decoded.spec, &decoded.metadata.name, hop_limit.unwrap_or(1)))
}

fn convert(spec: Ec2NodeClassSpec, name: &str, hop_limit: i64) -> NodeClassSpec {
    let image_terms = spec.ami_selector_terms.unwrap_or_default();
    let named = spec.ami_family.as_deref().map(family);
    let tracking = spec.connection_tracking.unwrap_or_default();
    let ConnectionTracking { tcp_established_timeout, udp_stream_timeout, udp_timeout } = tracking;
    let placement = spec.placement_group_selector.unwrap_or_default();
    let nested = spec.cpu_options.and_then(|options| options.nested_virtualization);
    NodeClassSpec {
        name: name.to_owned(),
        image_family: named.or_else(|| family_of_alias(&image_terms)).unwrap_or_default(),
        subnets: all(spec.subnet_selector_terms),
        security_groups: all(spec.security_group_selector_terms),
        images: image_terms.into_iter().map(Into::into).collect(),
        capacity_reservations: all(spec.capacity_reservation_selector_terms),
        placement_group_id: text(placement.id),
        placement_group_name: text(placement.name),
        role: text(spec.role),
        instance_profile: text(spec.instance_profile),
        user_data: spec.user_data,
        context: text(spec.context),
        detailed_monitoring: spec.detailed_monitoring,
        associate_public_ip_address: spec.associate_public_ip_address,
        ip_prefix_count: spec.ip_prefix_count,
        tags: spec.tags.unwrap_or_default(),
        kubelet: spec.kubelet.map(Into::into),
        block_devices: devices(spec.block_device_mappings),
        instance_store_raid0: spec.instance_store_policy.as_deref() == Some("RAID0"),
        network_interfaces: all(spec.network_interfaces),
        metadata_options: Some(metadata(spec.metadata_options, hop_limit)),
        tcp_established_timeout_s: tcp_established_timeout,
        udp_stream_timeout_s: udp_stream_timeout,
        udp_timeout_s: udp_timeout,
        nested_virtualization: nested.map(|text| text == "enabled"),
        enclave: spec.enclave_options.and_then(|options| options.enabled),
        ..NodeClassSpec::default()
    }
}

fn all<W: Into<T>, T>(given: Option<Vec<W>>) -> Vec<T> {
    given.unwrap_or_default().into_iter().map(Into::into).collect()
}

fn metadata(given: Option<WireMetadata>, hop_limit: i64) -> MetadataOptions {
    let given = given.unwrap_or_default();
    let or = |text: Option<String>, default: &str| text.unwrap_or_else(|| default.to_owned());
    MetadataOptions {
        http_endpoint: or(given.http_endpoint, "enabled"),
        http_protocol_ipv6: or(given.http_protocol_ipv6, "disabled"),
        http_put_response_hop_limit: given.http_put_response_hop_limit.unwrap_or(hop_limit),
        http_tokens: or(given.http_tokens, "required"),
    }
}

impl From<SubnetSelectorTerm> for SelectorTerm {
    fn from(term: SubnetSelectorTerm) -> Self {
        Self { id: text(term.id), tags: term.tags.unwrap_or_default(), ..Self::default() }
    }
}

impl From<SecurityGroupSelectorTerm> for SelectorTerm {
    fn from(term: SecurityGroupSelectorTerm) -> Self {
        let (id, name) = (text(term.id), text(term.name));
        Self { id, name, tags: term.tags.unwrap_or_default(), ..Self::default() }
    }
}

impl From<CapacityReservationSelectorTerm> for SelectorTerm {
    fn from(term: CapacityReservationSelectorTerm) -> Self {
        Self {
            id: text(term.id),
            name: None,
            owner: text(term.owner_id),
            match_criteria: text(term.instance_match_criteria),
            tags: term.tags.unwrap_or_default(),
        }
    }
}

impl From<AmiSelectorTerm> for ImageSelectorTerm {
    fn from(term: AmiSelectorTerm) -> Self {
        Self {
            alias: text(term.alias),
            id: text(term.id),
            name: text(term.name),
            owner: text(term.owner),
            ssm_parameter: text(term.ssm_parameter),
            tags: term.tags.unwrap_or_default(),
        }
    }
}

impl From<WireInterface> for NetworkInterface {
    fn from(wire: WireInterface) -> Self {
        Self {
            network_card_index: wire.network_card_index.unwrap_or(0),
            device_index: wire.device_index.unwrap_or(0),
            interface_type: wire.interface_type.unwrap_or_else(|| "interface".to_owned()),
        }
    }
}
