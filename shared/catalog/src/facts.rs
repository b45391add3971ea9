//! One line of the table of types: the facts of DescribeInstanceTypes that a decision depends on.

use crate::CatalogError;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// The columns, in their order.
const COLUMNS: [&str; 20] = [
    "name",
    "arch",
    "vcpu",
    "memory_mib",
    "enis",
    "ipv4_per_eni",
    "hypervisor",
    "cpu_manufacturer",
    "clock_mhz",
    "usage",
    "ebs_mbps",
    "network_mbps",
    "local_gb",
    "nvme",
    "gpu",
    "accelerator",
    "neuron_cores",
    "efa",
    "branch_enis",
    "encryption_in_transit",
];

/// An instance type as EC2 describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeFacts {
    /// The name: `m7i.large`.
    pub name: String,
    /// As Kubernetes names it: `amd64`, `arm64`.
    pub arch: String,
    /// Hardware threads.
    pub vcpu: i64,
    /// Memory as advertised, in MiB.
    pub memory_mib: i64,
    /// Network interfaces of the default card, the only one that the VPC CNI uses.
    pub enis: i64,
    /// IPv4 addresses of each interface.
    pub ipv4_per_eni: i64,
    /// `nitro`, `xen`, or empty for metal.
    pub hypervisor: String,
    /// `intel`, `amd`, `aws`.
    pub cpu_manufacturer: String,
    /// Sustained clock speed.
    pub clock_mhz: Option<i64>,
    /// Whether it is sold as spot capacity.
    pub spot: bool,
    /// Whether it is sold at the list price.
    pub on_demand: bool,
    /// Maximum EBS bandwidth in Mbit/s, where EBS optimisation is the default.
    pub ebs_mbps: Option<i64>,
    /// Baseline network bandwidth in Mbit/s.
    pub network_mbps: Option<i64>,
    /// All local disks together, in GB of 10^9 bytes.
    pub local_gb: Option<i64>,
    /// Whether local disks are NVMe.
    pub nvme: bool,
    /// Its GPUs.
    pub gpu: Option<Device>,
    /// Its accelerators.
    pub accelerator: Option<Device>,
    /// Cores of all Neuron devices together.
    pub neuron_cores: i64,
    /// Interfaces of the Elastic Fabric Adapter.
    pub efa: i64,
    /// Interfaces for pods' own security groups; none if the type has no trunking.
    pub branch_enis: i64,
    /// Whether traffic between such instances is encrypted by the hardware.
    pub encryption_in_transit: bool,
}

/// The GPUs or accelerators of a type, which are all alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Zero if a type has only a fraction of one.
    pub count: i64,
    /// `nvidia`, `aws`.
    pub manufacturer: String,
    /// `a10g`, `trainium`.
    pub name: String,
    /// Memory of one, in MiB, where the table has it.
    pub memory_mib: i64,
}

/// The line that names the columns.
pub(crate) fn columns_line() -> String {
    format!("types\t{}", COLUMNS.join("\t"))
}

/// One line of the table, which `read` reads again.
pub(crate) fn write(facts: &TypeFacts) -> String {
    let optional = |figure: Option<i64>| figure.map_or_else(String::new, |n| n.to_string());
    let positive = |figure: i64| optional(Some(figure).filter(|figure| *figure > 0));
    let flag = |flag: bool| if flag { "1" } else { "0" }.to_owned();
    let usage = [("on-demand", facts.on_demand), ("spot", facts.spot)];
    let usage = usage.iter().filter(|(_, sold)| *sold).map(|(name, _)| *name).collect::<Vec<_>>();
    let device = |device: &Device, memory: bool| {
        let Device { count, manufacturer, name, memory_mib } = device;
        let memory = if memory { format!(":{memory_mib}") } else { String::new() };
        format!("{count}:{manufacturer}:{name}{memory}")
    };
    let cells: [String; 20] = [
        facts.name.clone(),
        facts.arch.clone(),
        facts.vcpu.to_string(),
        facts.memory_mib.to_string(),
        facts.enis.to_string(),
        facts.ipv4_per_eni.to_string(),
        facts.hypervisor.clone(),
        facts.cpu_manufacturer.clone(),
        optional(facts.clock_mhz),
        usage.join(","),
        optional(facts.ebs_mbps),
        optional(facts.network_mbps),
        optional(facts.local_gb),
        flag(facts.nvme),
        facts.gpu.as_ref().map_or_else(String::new, |gpu| device(gpu, true)),
        facts.accelerator.as_ref().map_or_else(String::new, |found| device(found, false)),
        positive(facts.neuron_cores),
        positive(facts.efa),
        positive(facts.branch_enis),
        flag(facts.encryption_in_transit),
    ];
    cells.join("\t")
}

/// Checks the line that names the columns.
pub(crate) fn check_columns(line: &str) -> Result<(), CatalogError> {
    let expected = columns_line();
    let problem =
        || format!("the second line must name the columns: types, {}", COLUMNS.join(", "));
    if line == expected { Ok(()) } else { Err(CatalogError::Line { line: 2, problem: problem() }) }
}

/// Reads one line of the table.
pub(crate) fn read(line: &str, number: usize) -> Result<TypeFacts, CatalogError> {
    let cells = line.split('\t').collect::<Vec<_>>();
    let cells: [&str; 20] = cells.try_into().map_err(|cells: Vec<&str>| CatalogError::Line {
        line: number,
        problem: format!("{} columns instead of {}", cells.len(), COLUMNS.len()),
    })?;
    fill(&cells).map_err(|column| CatalogError::Line {
        line: number,
        problem: format!("{} is not in the column's form: {:?}", COLUMNS[column], cells[column]),
    })
}

/// The facts, or the number of the first column that cannot be read.
fn fill(cells: &[&str; 20]) -> Result<TypeFacts, usize> {
    let text = |column: usize| cells[column].to_owned();
    let required = |column: usize| number(cells[column]).ok_or(column);
    let optional = |column: usize| match cells[column] {
        "" => Ok(None),
        text => number(text).map(Some).ok_or(column),
    };
    let device = |column: usize| match cells[column] {
        "" => Ok(None),
        text => read_device(text).map(Some).ok_or(column),
    };
    if cells[0].is_empty() {
        return Err(0);
    }
    Ok(TypeFacts {
        name: text(0),
        arch: text(1),
        vcpu: required(2)?,
        memory_mib: required(3)?,
        enis: required(4)?,
        ipv4_per_eni: required(5)?,
        hypervisor: text(6),
        cpu_manufacturer: text(7),
        clock_mhz: optional(8)?,
        spot: cells[9].split(',').any(|usage| usage == "spot"),
        on_demand: cells[9].split(',').any(|usage| usage == "on-demand"),
        ebs_mbps: optional(10)?,
        network_mbps: optional(11)?,
        local_gb: optional(12)?,
        nvme: cells[13] == "1",
        gpu: device(14)?,
        accelerator: device(15)?,
        neuron_cores: optional(16)?.unwrap_or(0),
        efa: optional(17)?.unwrap_or(0),
        branch_enis: optional(18)?.unwrap_or(0),
        encryption_in_transit: cells[19] == "1",
    })
}

/// No figure of an instance type comes near this, so that no arithmetic on them can overflow.
const LARGEST: u32 = 1 << 30;

fn number(text: &str) -> Option<i64> {
    u32::from_str(text).ok().filter(|value| *value <= LARGEST).map(i64::from)
}

fn read_device(text: &str) -> Option<Device> {
    let mut parts = text.split(':');
    let count = number(parts.next()?)?;
    let manufacturer = parts.next()?.to_owned();
    let name = parts.next()?.to_owned();
    let memory_mib = parts.next().map_or(Some(0), number)?;
    Some(Device { count, manufacturer, name, memory_mib })
}
