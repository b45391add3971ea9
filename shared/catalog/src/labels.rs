//! The labels that follow from an instance type (Karpenter's `karpenter.k8s.aws/instance-*` and the well-known ones).

use crate::facts::TypeFacts;
use model::labels::{ARCH, INSTANCE_LABEL_PREFIX, INSTANCE_TYPE, OS, REGION, WINDOWS_BUILD};
use model::{Labels, pool::ImageFamily};

/// The labels of every node of the type, but for those of its offering; `None` if the image family has no image for it
/// (Windows runs on amd64 only).
pub(crate) fn of_type(facts: &TypeFacts, region: &str, family: ImageFamily) -> Option<Labels> {
    if family.is_windows() && facts.arch != "amd64" {
        return None;
    }
    let os = if family.is_windows() { "windows" } else { "linux" };
    let mut labels = Labels::new();
    let mut set = |key: &str, value: &str| labels.insert(key.to_owned(), value.to_owned());
    set(INSTANCE_TYPE, &facts.name);
    set(ARCH, &facts.arch);
    set(OS, os);
    set(REGION, region);
    if let Some(build) = windows_build(family) {
        set(WINDOWS_BUILD, build);
    }
    let mut instance = |key: &str, value: String| {
        labels.insert(format!("{INSTANCE_LABEL_PREFIX}instance-{key}"), value);
    };
    of_name(&facts.name, &mut instance);
    of_hardware(facts, &mut instance);
    of_devices(facts, &mut instance);
    Some(labels)
}

/// Windows builds by image family (Microsoft's release information for Windows Server).
fn windows_build(family: ImageFamily) -> Option<&'static str> {
    match family {
        ImageFamily::Windows2019 => Some("10.0.17763"),
        ImageFamily::Windows2022 => Some("10.0.20348"),
        ImageFamily::Windows2025 => Some("10.0.26100"),
        ImageFamily::Al2
        | ImageFamily::Al2023
        | ImageFamily::Bottlerocket
        | ImageFamily::Ubuntu
        | ImageFamily::Custom => None,
    }
}

fn of_name(name: &str, set: &mut dyn FnMut(&str, String)) {
    if let Some((category, generation)) = category_and_generation(name) {
        set("category", category.to_owned());
        set("generation", generation.to_owned());
    }
    if let Some((family, size)) = name.split_once('.') {
        set("family", family.to_owned());
        set("size", size.to_owned());
        set("capability-flex", family.contains("-flex").to_string());
    }
}

/// Karpenter's scheme: letters, perhaps `-<n>tb`, then the digits of the generation (`u-6tb1.metal` is category `u`, generation `1`).
fn category_and_generation(name: &str) -> Option<(&str, &str)> {
    let letters = name.find(|c: char| !c.is_ascii_lowercase()).filter(|end| *end > 0)?;
    let (category, rest) = name.split_at(letters);
    let rest = terabytes(rest).unwrap_or(rest);
    let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0)?;
    rest[digits..].contains('.').then_some((category, &rest[..digits]))
}

fn terabytes(rest: &str) -> Option<&str> {
    let (digits, rest) = rest.strip_prefix('-')?.split_once("tb")?;
    let number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    number.then_some(rest)
}

fn of_hardware(facts: &TypeFacts, set: &mut dyn FnMut(&str, String)) {
    set("hypervisor", facts.hypervisor.clone());
    set("encryption-in-transit-supported", facts.encryption_in_transit.to_string());
    set("tenancy", "default".to_owned());
    set("cpu", facts.vcpu.to_string());
    set("memory", facts.memory_mib.to_string());
    set("cpu-manufacturer", facts.cpu_manufacturer.clone());
    let local_nvme = facts.local_gb.filter(|_| facts.nvme);
    let figures = [
        ("cpu-sustained-clock-speed-mhz", facts.clock_mhz),
        ("ebs-bandwidth", facts.ebs_mbps),
        ("network-bandwidth", facts.network_mbps),
        ("local-nvme", local_nvme),
    ];
    for (key, value) in figures {
        if let Some(value) = value {
            set(key, value.to_string());
        }
    }
}

fn of_devices(facts: &TypeFacts, set: &mut dyn FnMut(&str, String)) {
    if let Some(gpu) = &facts.gpu {
        set("gpu-name", gpu.name.clone());
        set("gpu-manufacturer", gpu.manufacturer.clone());
        set("gpu-count", gpu.count.to_string());
        set("gpu-memory", gpu.memory_mib.to_string());
    }
    if let Some(accelerator) = &facts.accelerator {
        set("accelerator-name", accelerator.name.clone());
        set("accelerator-manufacturer", accelerator.manufacturer.clone());
        set("accelerator-count", accelerator.count.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expected: Option<(&str, &str)>) {
        assert_eq!(category_and_generation(name), expected, "{name}");
    }

    #[test]
    fn category_and_generation_come_from_the_name() {
        check("m5.large", Some(("m", "5")));
        check("m7i-flex.large", Some(("m", "7")));
        check("c6gn.16xlarge", Some(("c", "6")));
        check("u-6tb1.112xlarge", Some(("u", "1")));
        check("u7i-12tb.224xlarge", Some(("u", "7")));
        check("im4gn.large", Some(("im", "4")));
        check("hpc7g.4xlarge", Some(("hpc", "7")));
        check("p6-b200.48xlarge", Some(("p", "6")));
        check("mac-m4.metal", None);
        check("nonsense", None);
    }
}
