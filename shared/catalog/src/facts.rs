//! One line of the table of types: the facts of DescribeInstanceTypes that a decision depends on.

use crate::CatalogError;
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
#[derive(Clone, Debug, Default)]
pub(crate) struct TypeFacts {
    pub(crate) name: String,
    /// As Kubernetes names it: `amd64`, `arm64`.
    pub(crate) arch: String,
    pub(crate) vcpu: i64,
    pub(crate) memory_mib: i64,
    /// Network interfaces of the default card, the only one that the VPC CNI uses.
    pub(crate) enis: i64,
    pub(crate) ipv4_per_eni: i64,
    /// Empty for metal.
    pub(crate) hypervisor: String,
    pub(crate) cpu_manufacturer: String,
    pub(crate) clock_mhz: Option<i64>,
    pub(crate) spot: bool,
    pub(crate) on_demand: bool,
    pub(crate) ebs_mbps: Option<i64>,
    pub(crate) network_mbps: Option<i64>,
    /// All local disks together, in GB of 10^9 bytes.
    pub(crate) local_gb: Option<i64>,
    pub(crate) nvme: bool,
    pub(crate) gpu: Option<Device>,
    pub(crate) accelerator: Option<Device>,
    pub(crate) neuron_cores: i64,
    pub(crate) efa: i64,
    /// Interfaces for pods' own security groups; none if the type has no trunking.
    pub(crate) branch_enis: i64,
    pub(crate) encryption_in_transit: bool,
}

/// The GPUs or accelerators of a type, which are all alike.
#[derive(Clone, Debug, Default)]
pub(crate) struct Device {
    /// Zero if a type has only a fraction of one.
    pub(crate) count: i64,
    pub(crate) manufacturer: String,
    pub(crate) name: String,
    /// Memory of one, in MiB, where the table has it.
    pub(crate) memory_mib: i64,
}

/// Checks the line that names the columns.
pub(crate) fn check_columns(line: &str) -> Result<(), CatalogError> {
    let expected = format!("types\t{}", COLUMNS.join("\t"));
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
