//! How nodes of a class are made on AWS: what its object says, and what was found for it.
//!
//! The planner does not read these; whoever carries out its launches does.

use crate::pool::{ApiVersion, ImageFamily};
use crate::{CapacityType, Labels, Requirements};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One term of a selector of subnets, security groups or capacity reservations. All that is given must hold; terms are alternatives.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SelectorTerm {
    /// The id, if given; a term with an id has nothing else.
    pub id: Option<String>,
    /// The name (security groups only).
    pub name: Option<String>,
    /// The owner's account (reservations only).
    pub owner: Option<String>,
    /// `open` or `targeted` (reservations only).
    pub match_criteria: Option<String>,
    /// Tags by key. A value `*` asks only for the key. Legacy selectors may hold comma-separated values, which are alternatives.
    pub tags: Labels,
}

/// One term of a selector of images.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ImageSelectorTerm {
    /// `family@version`: `al2023@latest`, `al2023@v20250915`, `bottlerocket@1.20.4`.
    pub alias: Option<String>,
    /// The image's id.
    pub id: Option<String>,
    /// The image's name, with wildcards.
    pub name: Option<String>,
    /// An owner: an account, `self` or `amazon`.
    pub owner: Option<String>,
    /// An SSM parameter that names the image.
    pub ssm_parameter: Option<String>,
    /// Tags by key, as in `SelectorTerm`.
    pub tags: Labels,
}

/// A volume of every instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BlockDevice {
    /// `/dev/xvda`.
    pub device_name: String,
    /// Whether this volume holds pods' ephemeral storage.
    pub root_volume: bool,
    /// In GiB, rounded up; `None` follows from the snapshot.
    pub size_gib: Option<i64>,
    /// `gp3`.
    pub volume_type: Option<String>,
    /// I/O operations per second.
    pub iops: Option<i64>,
    /// MiB per second.
    pub throughput: Option<i64>,
    /// Whether it is encrypted.
    pub encrypted: Option<bool>,
    /// The key that it is encrypted with.
    pub kms_key_id: Option<String>,
    /// Whether it goes with the instance.
    pub delete_on_termination: Option<bool>,
    /// The snapshot that it is made from.
    pub snapshot_id: Option<String>,
    /// MiB per second while it is filled from the snapshot.
    pub volume_initialization_rate: Option<i64>,
}

impl BlockDevice {
    /// The volumes of a class that names none (Karpenter's defaults, per family).
    pub fn of_family(family: ImageFamily) -> Vec<Self> {
        let gp3 = |device_name: &str, size_gib: i64| Self {
            device_name: device_name.to_owned(),
            size_gib: Some(size_gib),
            volume_type: Some("gp3".to_owned()),
            encrypted: Some(true),
            ..Self::default()
        };
        match family {
            ImageFamily::Al2 | ImageFamily::Al2023 => vec![gp3("/dev/xvda", 20)],
            ImageFamily::Bottlerocket => vec![gp3("/dev/xvda", 4), gp3("/dev/xvdb", 20)],
            ImageFamily::Ubuntu => vec![gp3("/dev/sda1", 20)],
            ImageFamily::Windows2019 | ImageFamily::Windows2022 | ImageFamily::Windows2025 => {
                vec![gp3("/dev/sda1", 50)]
            }
            ImageFamily::Custom => Vec::new(),
        }
    }
}

/// How the instance metadata service is exposed, as EC2 spells it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MetadataOptions {
    /// `enabled` or `disabled`.
    pub http_endpoint: String,
    /// `enabled` or `disabled`.
    pub http_protocol_ipv6: String,
    /// 1 to 64.
    pub http_put_response_hop_limit: i64,
    /// `required` or `optional`.
    pub http_tokens: String,
}

/// A network interface of every instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NetworkInterface {
    /// The network card.
    pub network_card_index: i32,
    /// The device on that card.
    pub device_index: i32,
    /// `interface` or `efa-only`.
    pub interface_type: String,
}

/// All settings of the kubelet that its bootstrap passes on; amounts as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KubeletSettings {
    /// Addresses of the cluster's DNS.
    pub cluster_dns: Vec<String>,
    /// The most pods per node.
    pub max_pods: Option<i64>,
    /// The most pods per vCPU.
    pub pods_per_core: Option<i64>,
    /// `containerd` or `dockerd` (legacy only).
    pub container_runtime: Option<String>,
    /// Reserved for the system, by resource.
    pub system_reserved: Labels,
    /// Reserved for Kubernetes' own daemons, by resource.
    pub kube_reserved: Labels,
    /// Hard eviction thresholds by signal.
    pub eviction_hard: Labels,
    /// Soft eviction thresholds by signal.
    pub eviction_soft: Labels,
    /// For how long a soft threshold must be passed, by signal.
    pub eviction_soft_grace_period: Labels,
    /// The longest grace of a softly evicted pod, in seconds.
    pub eviction_max_pod_grace_period: Option<i64>,
    /// Percent of the disk above which images are collected.
    pub image_gc_high_threshold_percent: Option<i64>,
    /// Percent of the disk down to which images are collected.
    pub image_gc_low_threshold_percent: Option<i64>,
    /// Whether CPU limits are enforced.
    pub cpu_cfs_quota: Option<bool>,
}

/// What an EC2NodeClass or AWSNodeTemplate says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeClassSpec {
    /// The class's name.
    pub name: String,
    /// The object's uid.
    pub uid: String,
    /// Which API it came from; `None` only in the default value.
    pub api_version: Option<ApiVersion>,
    /// The image family.
    pub image_family: ImageFamily,
    /// The subnets.
    pub subnets: Vec<SelectorTerm>,
    /// The security groups.
    pub security_groups: Vec<SelectorTerm>,
    /// The images; empty means the family's own newest.
    pub images: Vec<ImageSelectorTerm>,
    /// The capacity reservations.
    pub capacity_reservations: Vec<SelectorTerm>,
    /// The placement group's id, if given by id.
    pub placement_group_id: Option<String>,
    /// The placement group's name, if given by name.
    pub placement_group_name: Option<String>,
    /// The role, from which an instance profile is made.
    pub role: Option<String>,
    /// The instance profile.
    pub instance_profile: Option<String>,
    /// The user's own launch template (legacy only), used instead of ours.
    pub launch_template: Option<String>,
    /// User data, which the family's own is merged with.
    pub user_data: Option<String>,
    /// The fleet's context.
    pub context: Option<String>,
    /// Whether instances are monitored every minute.
    pub detailed_monitoring: Option<bool>,
    /// Whether instances get public addresses.
    pub associate_public_ip_address: Option<bool>,
    /// How many IPv4 prefixes the network interface gets.
    pub ip_prefix_count: Option<i32>,
    /// Tags of instances, volumes and launch templates.
    pub tags: Labels,
    /// Settings of the kubelet, where the class holds them (v1).
    pub kubelet: Option<KubeletSettings>,
    /// Volumes; the family's own if empty.
    pub block_devices: Vec<BlockDevice>,
    /// Whether local disks are joined (`instanceStorePolicy: RAID0`).
    pub instance_store_raid0: bool,
    /// Network interfaces of every instance; one plain one if empty.
    pub network_interfaces: Vec<NetworkInterface>,
    /// How the metadata service is exposed; the API's defaults if unset.
    pub metadata_options: Option<MetadataOptions>,
    /// Seconds that an idle established TCP connection is tracked.
    pub tcp_established_timeout_s: Option<i32>,
    /// Seconds that a UDP flow with answers is tracked.
    pub udp_stream_timeout_s: Option<i32>,
    /// Seconds that a UDP flow without answers is tracked.
    pub udp_timeout_s: Option<i32>,
    /// Whether virtual machines may run on the instance.
    pub nested_virtualization: Option<bool>,
    /// Whether instances can hold Nitro enclaves.
    pub enclave: Option<bool>,
    /// A digest of the fields whose change makes nodes drift (annotation `karpenter.k8s.aws/ec2nodeclass-hash`).
    pub hash: String,
}

/// A subnet that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Subnet {
    /// `subnet-...`.
    pub id: String,
    /// Its zone.
    pub zone: String,
    /// Its zone's id.
    pub zone_id: String,
    /// How many addresses are free.
    pub free_addresses: i64,
}

/// A security group that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SecurityGroup {
    /// `sg-...`.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// An image that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// `ami-...`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was made, as EC2 tells it (RFC 3339, sorts as text).
    pub created: String,
    /// Whether its owner has deprecated it.
    pub deprecated: bool,
    /// What a type must be for this image: its architecture, and whether it has GPUs or accelerators.
    pub requirements: Requirements,
}

/// A capacity reservation that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CapacityReservation {
    /// `cr-...`.
    pub id: String,
    /// Its instance type.
    pub instance_type: String,
    /// Its zone.
    pub zone: String,
    /// How many instances it still holds.
    pub available: i64,
    /// `default` or `capacity-block`.
    pub kind: String,
    /// The owner's account.
    pub owner: String,
    /// `open` or `targeted`.
    pub match_criteria: String,
    /// When it ends, in seconds since 1970.
    pub ends_at: Option<crate::Timestamp>,
}

impl CapacityReservation {
    /// Whether it is for a block of time, bought ahead.
    pub fn is_block(&self) -> bool {
        self.kind == crate::instance_type::CAPACITY_BLOCK
    }
}

/// A class with all that was found for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedNodeClass {
    /// What its object says.
    pub spec: Arc<NodeClassSpec>,
    /// Its subnets, by id.
    pub subnets: Vec<Subnet>,
    /// Its security groups, by id.
    pub security_groups: Vec<SecurityGroup>,
    /// Its images, the one to use first for each set of requirements.
    pub images: Vec<Image>,
    /// Its capacity reservations, by id.
    pub capacity_reservations: Vec<CapacityReservation>,
    /// What is missing or could not be read, by status condition (`SubnetsReady`, `SecurityGroupsReady`, `AMIsReady`,
    /// `InstanceProfileReady`, `CapacityReservationsReady`, `ValidationSucceeded`), with a message that says what to do.
    pub problems: Vec<(String, String)>,
}

/// What a node must know of its cluster to join.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterFacts {
    /// The cluster's name.
    pub name: String,
    /// The API server: `https://...`.
    pub endpoint: String,
    /// Its certificate authority, PEM in base64.
    pub certificate_authority: String,
    /// `1.33`.
    pub version: String,
    /// The range of service addresses: `10.100.0.0/16`, or an IPv6 range.
    pub service_cidr: String,
    /// Whether pods get IPv6 addresses.
    pub ipv6: bool,
    /// The VPC.
    pub vpc_id: String,
    /// The region.
    pub region: String,
}

/// An instance that carries the cluster's tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// `i-...`.
    pub id: String,
    /// Its type.
    pub instance_type: String,
    /// Its zone.
    pub zone: String,
    /// How it is paid for.
    pub capacity_type: CapacityType,
    /// What it is doing.
    pub state: InstanceState,
    /// When it was launched.
    pub launched_at: crate::Timestamp,
    /// The name that its node will take.
    pub private_dns_name: String,
    /// Its image.
    pub image_id: String,
    /// Its subnet.
    pub subnet_id: String,
    /// Its security groups, by id.
    pub security_group_ids: Vec<String>,
    /// The capacity reservation that it runs in, by id.
    #[serde(default)]
    pub reservation_id: Option<String>,
    /// The placement group that it runs in, by id and by name; empty if in none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub placement_group: Vec<String>,
    /// Its tags.
    pub tags: Labels,
    /// What AWS tells about it when it is asked (DescribeSpotInstanceRequests, DescribeInstanceStatus).
    #[serde(default)]
    pub interruption: Option<crate::Interruption>,
}

impl Instance {
    /// `aws:///<zone>/<id>`, as nodes name it.
    pub fn provider_id(&self) -> String {
        format!("aws:///{}/{}", self.zone, self.id)
    }

    /// Whether it still runs or will.
    pub fn is_live(&self) -> bool {
        match self.state {
            InstanceState::Pending | InstanceState::Running => true,
            InstanceState::Stopping
            | InstanceState::Stopped
            | InstanceState::ShuttingDown
            | InstanceState::Terminated => false,
        }
    }
}

/// What an instance is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// It starts.
    Pending,
    /// It runs.
    Running,
    /// It is being stopped.
    Stopping,
    /// It is stopped.
    Stopped,
    /// It is being terminated.
    ShuttingDown,
    /// It is gone.
    Terminated,
}
