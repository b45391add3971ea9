//! The parts that all versions share: volumes, kubelet settings, tags, lists.

use crate::block_devices::BlockDeviceMapping;
use crate::kubelet::KubeletConfiguration;
use crate::schema::QuantityText;
use model::Labels;
use model::node_class::{BlockDevice, KubeletSettings};
use std::collections::BTreeMap;

const GIB: i64 = 1 << 30;

/// The devices that have a volume.
pub(crate) fn devices(given: Option<Vec<BlockDeviceMapping>>) -> Vec<BlockDevice> {
    given.unwrap_or_default().into_iter().filter_map(device).collect()
}

fn device(mapping: BlockDeviceMapping) -> Option<BlockDevice> {
    let ebs = mapping.ebs?;
    let size = ebs.volume_size.as_ref().and_then(QuantityText::parse);
    let gib = |bytes: i64| bytes / GIB + i64::from(bytes % GIB > 0);
    Some(BlockDevice {
        device_name: mapping.device_name?,
        root_volume: mapping.root_volume == Some(true),
        size_gib: size.map(|size| gib(size.units())),
        volume_type: ebs.volume_type,
        iops: ebs.iops,
        throughput: ebs.throughput,
        encrypted: ebs.encrypted,
        kms_key_id: ebs.kms_key_id,
        delete_on_termination: ebs.delete_on_termination,
        snapshot_id: ebs.snapshot_id,
        volume_initialization_rate: ebs.volume_initialization_rate.map(i64::from),
    })
}

impl From<KubeletConfiguration> for KubeletSettings {
    fn from(wire: KubeletConfiguration) -> Self {
        Self {
            cluster_dns: wire.cluster_dns.unwrap_or_default(),
            max_pods: wire.max_pods.map(i64::from),
            pods_per_core: wire.pods_per_core.map(i64::from),
            container_runtime: wire.container_runtime,
            system_reserved: amounts(wire.system_reserved),
            kube_reserved: amounts(wire.kube_reserved),
            eviction_hard: wire.eviction_hard.unwrap_or_default(),
            eviction_soft: wire.eviction_soft.unwrap_or_default(),
            eviction_soft_grace_period: wire.eviction_soft_grace_period.unwrap_or_default(),
            eviction_max_pod_grace_period: wire.eviction_max_pod_grace_period.map(i64::from),
            image_gc_high_threshold_percent: wire.image_gc_high_threshold_percent.map(i64::from),
            image_gc_low_threshold_percent: wire.image_gc_low_threshold_percent.map(i64::from),
            cpu_cfs_quota: wire.cpu_cfs_quota,
        }
    }
}

fn amounts(given: Option<BTreeMap<String, QuantityText>>) -> Labels {
    given.unwrap_or_default().into_iter().map(|(name, QuantityText(text))| (name, text)).collect()
}

/// A text that says something, without blanks around it.
pub(super) fn text(given: Option<String>) -> Option<String> {
    given.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The entries of a comma-separated list, without blanks around them.
pub(super) fn entries(list: &str) -> Vec<String> {
    list.split(',').filter_map(|entry| text(Some(entry.to_owned()))).collect()
}
