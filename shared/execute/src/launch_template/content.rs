//! The content of a launch template, in the terms of EC2's RequestLaunchTemplateData.

use model::Labels;
use model::node_class::{BlockDevice, ClusterFacts, MetadataOptions, NodeClassSpec};
use model::pool::ApiVersion;
use serde::Serialize;

/// What a launch template holds. Its serialised form is what its name is the hash of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TemplateData {
    /// `ami-...`.
    pub image_id: String,
    /// The instance profile's name.
    pub instance_profile: Option<String>,
    /// In base64.
    pub user_data: String,
    /// Whether instances are monitored every minute.
    pub detailed_monitoring: bool,
    /// How the metadata service is exposed. Instance tags are never shown there: their keys may hold characters that it refuses.
    pub metadata_options: MetadataOptions,
    /// The volumes.
    pub block_devices: Vec<BlockDevice>,
    /// The network interfaces, which carry the security groups.
    pub interfaces: Vec<Interface>,
    /// The placement group, if given by id.
    pub placement_group_id: Option<String>,
    /// The placement group, if given by name.
    pub placement_group_name: Option<String>,
    /// The reservation that the instances are bought from, and from nowhere else.
    pub reservation: Option<Reservation>,
    /// Whether open reservations are left alone: the class buys from reservations on purpose, so what is bought at the list price must not
    /// take their room.
    pub keep_off_reservations: bool,
    /// Whether instances can hold Nitro enclaves.
    pub enclave: bool,
    /// Whether virtual machines may run on the instances.
    pub nested_virtualization: Option<bool>,
    /// Whether the instances are bought on the spot market.
    pub spot: bool,
    /// The tags of network interfaces and spot requests, which CreateFleet cannot tag itself.
    pub tags: Labels,
}

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Interface {
    /// The network card.
    pub network_card_index: i32,
    /// The device on that card.
    pub device_index: i32,
    /// `interface`, `efa` or `efa-only`.
    pub interface_type: String,
    /// The security groups' ids.
    pub groups: Vec<String>,
    /// Whether it gets a public address; EC2 allows that to be said only where there is one interface.
    pub associate_public_ip_address: Option<bool>,
    /// How many IPv4 prefixes it gets.
    pub ipv4_prefix_count: Option<i32>,
    /// Whether it gets an IPv6 address, the primary one.
    pub ipv6: bool,
    /// Seconds that an idle established TCP connection is tracked.
    pub tcp_established_timeout_s: Option<i32>,
    /// Seconds that a UDP flow with answers is tracked.
    pub udp_stream_timeout_s: Option<i32>,
    /// Seconds that a UDP flow without answers is tracked.
    pub udp_timeout_s: Option<i32>,
}

/// A capacity reservation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Reservation {
    /// `cr-...`.
    pub id: String,
    /// `default` or `capacity-block`.
    pub kind: String,
}

/// The class's options, or its API's defaults: legacy classes allow two hops, v1 one (Karpenter's AWSNodeTemplate and EC2NodeClass).
pub(super) fn metadata_options(spec: &NodeClassSpec, cluster: &ClusterFacts) -> MetadataOptions {
    let hops = match spec.api_version {
        Some(ApiVersion::Legacy | ApiVersion::V1Beta1) => 2,
        Some(ApiVersion::V1 | ApiVersion::BuiltIn) | None => 1,
    };
    let ipv6 = if cluster.ipv6 { "enabled" } else { "disabled" };
    spec.metadata_options.clone().unwrap_or_else(|| MetadataOptions {
        http_endpoint: "enabled".to_owned(),
        http_protocol_ipv6: ipv6.to_owned(),
        http_put_response_hop_limit: hops,
        http_tokens: "required".to_owned(),
    })
}
