//! The volumes of an instance: the class's own, or the family's defaults (Karpenter's, per family).

use model::node_class::{BlockDevice, NodeClassSpec};
use model::pool::ImageFamily;

pub(super) fn block_devices(spec: &NodeClassSpec) -> Vec<BlockDevice> {
    if !spec.block_devices.is_empty() {
        return spec.block_devices.clone();
    }
    match spec.image_family {
        ImageFamily::Al2 | ImageFamily::Al2023 => vec![gp3("/dev/xvda", 20)],
        ImageFamily::Bottlerocket => vec![gp3("/dev/xvda", 4), gp3("/dev/xvdb", 20)],
        ImageFamily::Ubuntu => vec![gp3("/dev/sda1", 20)],
        ImageFamily::Windows2019 | ImageFamily::Windows2022 | ImageFamily::Windows2025 => {
            vec![gp3("/dev/sda1", 50)]
        }
        ImageFamily::Custom => Vec::new(),
    }
}

fn gp3(device_name: &str, size_gib: i64) -> BlockDevice {
    BlockDevice {
        device_name: device_name.to_owned(),
        size_gib: Some(size_gib),
        volume_type: Some("gp3".to_owned()),
        encrypted: Some(true),
        ..BlockDevice::default()
    }
}
