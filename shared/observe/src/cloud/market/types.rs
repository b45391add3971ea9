//! Types that the catalog does not know, as EC2 describes them.

use crate::cloud::call::DESCRIBE_INSTANCE_TYPES;
use crate::cloud::clients::Clients;
use crate::cloud::error::CloudReadError;
use aws_sdk_ec2::operation::describe_instance_types::DescribeInstanceTypesOutput;
use aws_sdk_ec2::types::{
    ArchitectureType, EbsOptimizedSupport, EphemeralNvmeSupport, Filter, InstanceTypeInfo,
    UsageClassType,
};
use catalog::{Device, TypeFacts};

/// EC2 describes at most this many types in one call, and takes at most 200 values for a filter.
const PAGE: i32 = 100;

/// Families whose types run paravirtual images too and are old enough for EKS's images not to start on them; the embedded
/// catalog leaves them out as well.
const PARAVIRTUAL: [&str; 4] = ["c1", "m1", "m2", "t1"];

/// The facts of those of the named types that run nodes: hardware virtual machines on amd64 or arm64.
pub(super) async fn read(
    clients: &Clients,
    names: Vec<String>,
) -> Result<Vec<TypeFacts>, CloudReadError> {
    let family = |name: &String| name.split('.').next().unwrap_or_default().to_owned();
    let paravirtual = |name: &String| PARAVIRTUAL.contains(&family(name).as_str());
    let names = names.into_iter().filter(|name| !paravirtual(name)).collect::<Vec<_>>();
    let mut found = Vec::new();
    for names in names.chunks(PAGE as usize) {
        let filters = [
            filter("instance-type", names.to_vec()),
            filter("supported-virtualization-type", vec!["hvm".to_owned()]),
            filter(
                "processor-info.supported-architecture",
                vec!["x86_64".to_owned(), "arm64".to_owned()],
            ),
        ];
        let call = clients.ec2.describe_instance_types().set_filters(Some(filters.to_vec()));
        let stream = call.into_paginator().page_size(PAGE).send();
        let take = |page: DescribeInstanceTypesOutput| {
            found.extend(page.instance_types().iter().filter_map(facts));
        };
        clients.pages(DESCRIBE_INSTANCE_TYPES, stream, take).await?;
    }
    found.sort_by(|a: &TypeFacts, b| a.name.cmp(&b.name));
    Ok(found)
}

fn filter(name: &str, values: Vec<String>) -> Filter {
    Filter::builder().name(name).set_values(Some(values)).build()
}

/// The facts that a decision depends on. Branch interfaces are not told by EC2: a type that the catalog does not know has none.
pub(crate) fn facts(info: &InstanceTypeInfo) -> Option<TypeFacts> {
    let processor = info.processor_info()?;
    let architectures = processor.supported_architectures();
    let known = [(ArchitectureType::X8664, "amd64"), (ArchitectureType::Arm64, "arm64")];
    let (_, arch) = known.into_iter().find(|(known, _)| architectures.contains(known))?;
    let clock = processor.sustained_clock_speed_in_ghz();
    let usage = info.supported_usage_classes();
    let network = info.network_info()?;
    let card = network.network_cards().iter().find(|card| {
        card.network_card_index().unwrap_or(0) == network.default_network_card_index().unwrap_or(0)
    });
    let interfaces = card.and_then(|card| card.maximum_network_interfaces());
    let bandwidth = card.and_then(|card| card.baseline_bandwidth_in_gbps());
    let storage = info.instance_storage_info();
    let nvme = storage.and_then(|storage| storage.nvme_support());
    let efa = network.efa_info().and_then(|efa| efa.maximum_efa_interfaces());
    Some(TypeFacts {
        name: info.instance_type()?.as_str().to_owned(),
        arch: arch.to_owned(),
        vcpu: info.v_cpu_info()?.default_v_cpus()?.into(),
        memory_mib: info.memory_info()?.size_in_mib()?,
        enis: interfaces.or(network.maximum_network_interfaces())?.into(),
        ipv4_per_eni: network.ipv4_addresses_per_interface()?.into(),
        hypervisor: info.hypervisor().map_or_else(String::new, |name| name.as_str().to_owned()),
        cpu_manufacturer: processor.manufacturer().map(label).unwrap_or_default(),
        clock_mhz: clock.map(thousandfold),
        spot: usage.contains(&UsageClassType::Spot),
        on_demand: usage.contains(&UsageClassType::OnDemand),
        ebs_mbps: ebs_mbps(info),
        network_mbps: bandwidth.map(thousandfold),
        local_gb: storage.and_then(|storage| storage.total_size_in_gb()),
        nvme: nvme.is_some_and(|support| *support != EphemeralNvmeSupport::Unsupported),
        gpu: gpu(info),
        accelerator: accelerator(info),
        neuron_cores: neuron_cores(info),
        efa: efa.unwrap_or(0).into(),
        branch_enis: 0,
        encryption_in_transit: network.encryption_in_transit_supported().unwrap_or(false),
    })
}

/// A name as a label's value: `Xilinx Alveo` is `xilinx-alveo`.
fn label(name: &str) -> String {
    name.trim().to_lowercase().replace(' ', "-")
}

/// From GHz to MHz, from Gbit/s to Mbit/s.
fn thousandfold(figure: f64) -> i64 {
    (figure * 1000.0).round() as i64
}

/// The maximum bandwidth where it needs not be switched on.
fn ebs_mbps(info: &InstanceTypeInfo) -> Option<i64> {
    let ebs = info.ebs_info()?;
    let by_default = ebs.ebs_optimized_support() == Some(&EbsOptimizedSupport::Default);
    let mbps = ebs.ebs_optimized_info()?.maximum_bandwidth_in_mbps()?;
    by_default.then_some(mbps.into())
}

/// The GPUs, if they are of one kind.
fn gpu(info: &InstanceTypeInfo) -> Option<Device> {
    let [gpu] = info.gpu_info()?.gpus() else { return None };
    let memory = gpu.memory_info().and_then(|memory| memory.size_in_mib());
    Some(Device {
        count: gpu.count().unwrap_or(0).into(),
        manufacturer: label(gpu.manufacturer()?),
        name: label(gpu.name()?),
        memory_mib: memory.unwrap_or(0).into(),
    })
}

fn accelerator(info: &InstanceTypeInfo) -> Option<Device> {
    let device = |count: Option<i32>, manufacturer: &str, name: Option<&str>| {
        Some(Device {
            count: count.unwrap_or(0).into(),
            manufacturer: label(manufacturer),
            name: label(name?),
            memory_mib: 0,
        })
    };
    let neuron = info.neuron_info().and_then(|info| info.neuron_devices().first());
    if let Some(neuron) = neuron {
        return device(neuron.count(), "aws", neuron.name());
    }
    let inference = info.inference_accelerator_info()?.accelerators().first()?;
    device(inference.count(), inference.manufacturer()?, inference.name())
}

fn neuron_cores(info: &InstanceTypeInfo) -> i64 {
    let devices = info.neuron_info().map(|info| info.neuron_devices()).unwrap_or_default();
    let cores = devices.iter().map(|device| {
        let per_device = device.core_info().and_then(|cores| cores.count()).unwrap_or(0);
        i64::from(device.count().unwrap_or(0)) * i64::from(per_device)
    });
    cores.sum()
}
