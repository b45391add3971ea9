//! Volumes of instances: wire types, rules, and which of them holds pods' ephemeral storage.

use crate::finding::{Findings, field, item};
use crate::schema::{QuantityText, wire};
use model::Quantity;
use model::pool::ImageFamily;

wire! {
    /// An EBS volume of an AWSNodeTemplate.
    LegacyBlockDevice {
        /// Whether the volume goes with its instance.
        delete_on_termination: bool,
        /// Whether it is encrypted.
        encrypted: bool,
        /// I/O operations per second.
        iops: i64,
        /// The key that encrypts it.
        #[serde(rename = "kmsKeyID")]
        kms_key_id: String,
        /// The snapshot that it starts from.
        #[serde(rename = "snapshotID")]
        snapshot_id: String,
        /// Throughput in MiB/s.
        throughput: i64,
        /// Its size, from 1G to 64T.
        volume_size: QuantityText,
        /// Its type.
        #[schemars(extend("enum" = ["standard", "io1", "io2", "gp2", "sc1", "st1", "gp3"]))]
        volume_type: String,
    }
}

wire! {
    /// A device of an AWSNodeTemplate.
    LegacyBlockDeviceMapping {
        /// The device: /dev/xvda.
        #[schemars(required)]
        device_name: String,
        /// Its EBS volume.
        ebs: LegacyBlockDevice,
    }
}

wire! {
    /// An EBS volume.
    BlockDevice {
        /// Whether the volume goes with its instance.
        delete_on_termination: bool,
        /// Whether it is encrypted.
        encrypted: bool,
        /// I/O operations per second.
        iops: i64,
        /// The key that encrypts it.
        #[serde(rename = "kmsKeyID")]
        kms_key_id: String,
        /// The snapshot that it starts from.
        #[serde(rename = "snapshotID")]
        snapshot_id: String,
        /// Throughput in MiB/s.
        throughput: i64,
        /// How fast the snapshot is copied, in MiB/s; only with snapshotID.
        #[schemars(range(min = 100, max = 300))]
        volume_initialization_rate: i32,
        /// Its size, from 1G to 64T.
        volume_size: QuantityText,
        /// Its type.
        #[schemars(extend("enum" = ["standard", "io1", "io2", "gp2", "sc1", "st1", "gp3"]))]
        volume_type: String,
    }
}

wire! {
    /// A device.
    BlockDeviceMapping {
        /// The device: /dev/xvda.
        device_name: String,
        /// Its EBS volume.
        ebs: BlockDevice,
        /// Whether this is the volume that holds the kubelet's data; at most one is.
        root_volume: bool,
    }
}

impl From<LegacyBlockDevice> for BlockDevice {
    fn from(legacy: LegacyBlockDevice) -> Self {
        Self {
            delete_on_termination: legacy.delete_on_termination,
            encrypted: legacy.encrypted,
            iops: legacy.iops,
            kms_key_id: legacy.kms_key_id,
            snapshot_id: legacy.snapshot_id,
            throughput: legacy.throughput,
            volume_initialization_rate: None,
            volume_size: legacy.volume_size,
            volume_type: legacy.volume_type,
        }
    }
}

impl From<LegacyBlockDeviceMapping> for BlockDeviceMapping {
    fn from(legacy: LegacyBlockDeviceMapping) -> Self {
        Self { device_name: legacy.device_name, ebs: legacy.ebs.map(Into::into), root_volume: None }
    }
}

const GIB: i64 = 1 << 30;

/// Checks the devices at `path`.
pub(crate) fn check(devices: &[BlockDeviceMapping], path: &str, findings: &mut Findings) {
    let roots = devices.iter().filter(|device| device.root_volume == Some(true)).count();
    findings.require(
        roots <= 1,
        "root-volume",
        path,
        "at most one device may have rootVolume: true",
    );
    for (index, device) in devices.iter().enumerate() {
        let path = field(&item(path, index), "ebs");
        device.ebs.iter().for_each(|ebs| check_volume(ebs, &path, findings));
    }
}

fn check_volume(ebs: &BlockDevice, path: &str, findings: &mut Findings) {
    let snapshot = ebs.snapshot_id.as_ref().is_some_and(|id| !id.is_empty());
    findings.require(
        snapshot || ebs.volume_size.is_some(),
        "volume-size",
        path,
        "snapshotID or volumeSize must be given",
    );
    findings.require(
        snapshot || ebs.volume_initialization_rate.is_none(),
        "volume-initialization-rate",
        &field(path, "volumeInitializationRate"),
        "may only be given with snapshotID",
    );
    let size = ebs.volume_size.as_ref().and_then(QuantityText::parse).map(Quantity::units);
    let message = "must be from 1G to 64T; write the unit, as in 50Gi";
    findings.require(
        size.is_none_or(|bytes| (1_000_000_000..=64_000_000_000_000).contains(&bytes)),
        "volume-size",
        &field(path, "volumeSize"),
        message,
    );
}

/// The bytes of the volume that holds ephemeral storage: the root volume if one is named, else the device that the image family uses
/// for it, else the family's default (karpenter-provider-aws, instance type provider).
pub(crate) fn ephemeral_storage_bytes(devices: &[BlockDeviceMapping], family: ImageFamily) -> i64 {
    let size = |device: &BlockDeviceMapping| {
        device.ebs.as_ref()?.volume_size.as_ref()?.parse().map(Quantity::units)
    };
    let on = |name: &str| devices.iter().find(|device| device.device_name.as_deref() == Some(name));
    let root = devices.iter().find(|device| device.root_volume == Some(true));
    let (of_family, default) = match family {
        ImageFamily::Al2 | ImageFamily::Al2023 => (on("/dev/xvda"), 20 * GIB),
        ImageFamily::Bottlerocket => (on("/dev/xvdb"), 20 * GIB),
        ImageFamily::Ubuntu => (on("/dev/sda1"), 20 * GIB),
        ImageFamily::Windows2019 | ImageFamily::Windows2022 | ImageFamily::Windows2025 => {
            (on("/dev/sda1"), 50 * GIB)
        }
        ImageFamily::Custom => (devices.last(), 20 * GIB),
    };
    root.or(of_family).and_then(size).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn devices(value: Value) -> Vec<BlockDeviceMapping> {
        serde_json::from_value(value).unwrap()
    }

    fn check_rules(value: Value, rules: &[&str]) {
        let mut findings = Findings::default();
        check(&devices(value.clone()), "spec.blockDeviceMappings", &mut findings);
        let found: Vec<_> = findings.into_vec().iter().map(|finding| finding.rule).collect();
        assert_eq!(found, rules, "{value}");
    }

    #[test]
    fn volumes_have_a_sensible_size_or_a_snapshot() {
        check_rules(json!([{"ebs": {"volumeSize": "50Gi"}}]), &[]);
        check_rules(json!([{"ebs": {"volumeSize": "1G"}}]), &[]);
        check_rules(json!([{"ebs": {"volumeSize": "64T"}}]), &[]);
        check_rules(json!([{"ebs": {"volumeSize": "65T"}}]), &["volume-size"]);
        check_rules(json!([{"ebs": {"volumeSize": 50}}]), &["volume-size"]);
        check_rules(json!([{"ebs": {}}]), &["volume-size"]);
        check_rules(json!([{"ebs": {"snapshotID": "snap-1"}}]), &[]);
        check_rules(
            json!([{"ebs": {"snapshotID": "snap-1", "volumeInitializationRate": 200}}]),
            &[],
        );
        check_rules(
            json!([{"ebs": {"volumeSize": "1Gi", "volumeInitializationRate": 200}}]),
            &["volume-initialization-rate"],
        );
        check_rules(json!([{"rootVolume": true}, {"rootVolume": true}]), &["root-volume"]);
        check_rules(json!([{"rootVolume": true}, {"rootVolume": false}]), &[]);
    }

    #[test]
    fn ephemeral_storage_is_on_the_root_volume_or_the_familys_device() {
        let check = |value: Value, family, gib: i64| {
            assert_eq!(
                ephemeral_storage_bytes(&devices(value.clone()), family),
                gib * GIB,
                "{value}"
            );
        };
        let two = json!([{"deviceName": "/dev/xvda", "ebs": {"volumeSize": "4Gi"}}, {"deviceName": "/dev/xvdb", "ebs": {"volumeSize": "80Gi"}}]);
        check(two.clone(), ImageFamily::Al2, 4);
        check(two.clone(), ImageFamily::Bottlerocket, 80);
        check(two.clone(), ImageFamily::Custom, 80);
        check(two, ImageFamily::Ubuntu, 20);
        check(json!([]), ImageFamily::Al2023, 20);
        check(json!([]), ImageFamily::Windows2022, 50);
        check(
            json!([{"deviceName": "/dev/xvdc", "rootVolume": true, "ebs": {"volumeSize": "7Gi"}}, {"deviceName": "/dev/xvda", "ebs": {"volumeSize": "9Gi"}}]),
            ImageFamily::Al2023,
            7,
        );
    }
}
