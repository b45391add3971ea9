//! The volumes of an instance: the class's own, or the family's defaults.

use model::node_class::{BlockDevice, NodeClassSpec};

pub(super) fn block_devices(spec: &NodeClassSpec) -> Vec<BlockDevice> {
    match spec.block_devices.is_empty() {
        true => BlockDevice::of_family(spec.image_family),
        false => spec.block_devices.clone(),
    }
}
