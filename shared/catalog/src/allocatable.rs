//! What a node of a type has, and what pods may use of it (Karpenter's arithmetic, which follows the EKS images' bootstrap).

use crate::facts::TypeFacts;
use crate::{Request, Settings};
use model::pool::ImageFamily;
use model::resources::{CPU, EPHEMERAL_STORAGE, MEMORY, NVIDIA_GPU, PODS};
use model::{Labels, Quantity, Resources};

const MIB: i64 = 1 << 20;
const GIB: i64 = 1 << 30;
/// The root volume of most image families, where nothing else is said.
const DEFAULT_STORAGE_BYTES: i64 = 20 * GIB;
/// Memory that Graviton kernels keep for contiguous allocation.
const ARM_RESERVED_MIB: i64 = 64;
/// Pods on a node whose image family does not follow the interfaces (Windows).
const DEFAULT_PODS: i64 = 110;

/// Capacity and allocatable of a node of the type.
pub(crate) fn of_type(facts: &TypeFacts, request: &Request<'_>) -> (Resources, Resources) {
    let capacity = capacity(facts, request);
    let mut allocatable = capacity.clone();
    allocatable.subtract(&kube_reserved(facts, request, capacity.get(PODS)));
    allocatable.subtract(&request.kubelet.system_reserved);
    allocatable.subtract(&eviction_threshold(&capacity, &request.kubelet.eviction_hard));
    let named = |name: &str| capacity.contains(name);
    let allocatable = allocatable.iter().filter(|(name, _)| named(name.as_str()));
    let allocatable = allocatable.map(|(name, amount)| (name.clone(), amount.max(0))).collect();
    (capacity, allocatable)
}

fn capacity(facts: &TypeFacts, request: &Request<'_>) -> Resources {
    let mut capacity = Resources::new()
        .with(CPU, facts.vcpu * 1000)
        .with(MEMORY, memory_mib(facts, request.settings) * MIB)
        .with(EPHEMERAL_STORAGE, storage_bytes(facts, request.class))
        .with(PODS, pods(facts, request));
    for (name, count) in devices(facts, request.class.image_family) {
        if count > 0 {
            capacity.set(name, count);
        }
    }
    capacity
}

fn devices(facts: &TypeFacts, family: ImageFamily) -> [(&'static str, i64); 8] {
    let gpus = |manufacturer: &str| {
        facts.gpu.as_ref().filter(|gpu| gpu.manufacturer == manufacturer).map_or(0, |gpu| gpu.count)
    };
    let neuron = facts.accelerator.as_ref().filter(|device| device.manufacturer == "aws");
    let windows = family.is_windows() && facts.branch_enis > 0;
    [
        (NVIDIA_GPU, gpus("nvidia")),
        ("amd.com/gpu", gpus("amd")),
        ("habana.ai/gaudi", gpus("habana")),
        ("aws.amazon.com/neuron", neuron.map_or(0, |device| device.count)),
        ("aws.amazon.com/neuroncore", facts.neuron_cores),
        ("vpc.amazonaws.com/pod-eni", facts.branch_enis),
        ("vpc.amazonaws.com/efa", facts.efa),
        ("vpc.amazonaws.com/PrivateIPv4Address", if windows { facts.ipv4_per_eni - 1 } else { 0 }),
    ]
}

/// Memory less what the hypervisor keeps, which is rounded up to whole MiB.
fn memory_mib(facts: &TypeFacts, settings: &Settings) -> i64 {
    let arm = if facts.arch == "arm64" { ARM_RESERVED_MIB } else { 0 };
    let advertised = facts.memory_mib - arm;
    let overhead = advertised * i64::from(settings.vm_memory_overhead_per_mille);
    (advertised - (overhead + 999) / 1000).max(0)
}

fn storage_bytes(facts: &TypeFacts, class: &model::NodeClass) -> i64 {
    let local = facts.local_gb.filter(|_| class.instance_store_raid0);
    let volume = match class.ephemeral_storage_bytes {
        bytes if bytes > 0 => bytes,
        _ => DEFAULT_STORAGE_BYTES,
    };
    local.map_or(volume, |gb| gb * 1_000_000_000)
}

fn pods(facts: &TypeFacts, request: &Request<'_>) -> i64 {
    let family = request.class.image_family;
    let by_interfaces = || interface_pods(facts, i64::from(request.settings.reserved_enis));
    let by_family = || if family.is_windows() { DEFAULT_PODS } else { by_interfaces() };
    let pods = request.kubelet.max_pods.unwrap_or_else(by_family);
    let per_core = request.kubelet.pods_per_core.filter(|_| family != ImageFamily::Bottlerocket);
    let cap = per_core.filter(|count| *count > 0).map(|count| count.saturating_mul(facts.vcpu));
    cap.map_or(pods, |cap| pods.min(cap)).max(0)
}

/// Pods that the VPC CNI has addresses for: all but one address of each interface, and two pods on the host's network.
fn interface_pods(facts: &TypeFacts, reserved: i64) -> i64 {
    match (facts.enis - reserved).max(0) {
        0 => 0,
        enis => enis * (facts.ipv4_per_eni - 1) + 2,
    }
}

/// What the kubelet keeps for Kubernetes' daemons (kube-reserved of the EKS images' bootstrap).
fn kube_reserved(facts: &TypeFacts, request: &Request<'_>, pods: i64) -> Resources {
    let family = request.class.image_family;
    let by_pods = family.is_windows() || family == ImageFamily::Bottlerocket;
    let pods = if by_pods { pods } else { interface_pods(facts, 0) };
    let memory = pods.saturating_mul(11).saturating_add(255).saturating_mul(MIB);
    let mut reserved = Resources::new()
        .with(CPU, reserved_cpu_milli(facts.vcpu))
        .with(MEMORY, memory)
        .with(EPHEMERAL_STORAGE, GIB);
    for (name, amount) in request.kubelet.kube_reserved.iter() {
        reserved.set(name.clone(), amount);
    }
    reserved
}

/// 6% of the first core, 1% of the second, 0.5% of the next two, 0.25% of the rest, each truncated to a milli-core.
fn reserved_cpu_milli(cores: i64) -> i64 {
    let share = |from: i64, to: i64, per_hundred_thousand: i64| {
        (cores.min(to) - from).max(0) * per_hundred_thousand / 100
    };
    share(0, 1, 6000) + share(1, 2, 1000) + share(2, 4, 500) + share(4, i64::MAX, 250)
}

/// The kubelet's hard eviction thresholds: 100 MiB of memory and a tenth of the storage, unless set. Soft ones do not count.
fn eviction_threshold(capacity: &Resources, hard: &Labels) -> Resources {
    let memory = capacity.get(MEMORY);
    let storage = capacity.get(EPHEMERAL_STORAGE);
    let set = |signal: &str, of: i64| hard.get(signal).and_then(|text| threshold(text, of));
    Resources::new()
        .with(MEMORY, set("memory.available", memory).unwrap_or(100 * MIB))
        .with(EPHEMERAL_STORAGE, set("nodefs.available", storage).unwrap_or((storage + 9) / 10))
}

/// A threshold as written: a percentage of the capacity, rounded up, or a quantity. 100% switches the threshold off.
fn threshold(text: &str, capacity: i64) -> Option<i64> {
    let Some(percent) = text.trim().strip_suffix('%') else {
        return text.parse::<Quantity>().ok().map(Quantity::units);
    };
    let milli = percent.parse::<Quantity>().ok()?.milli().clamp(0, 100_000);
    let part = (i128::from(capacity) * i128::from(milli) + 99_999) / 100_000;
    Some(if milli == 100_000 { 0 } else { part as i64 })
}
