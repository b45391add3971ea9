//! EC2 instance types and where they can be had at what price.

use crate::{Labels, MicroUsdPerHour, Resources};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How capacity is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CapacityType {
    /// By a capacity reservation.
    Reserved,
    /// Spare capacity that EC2 may take back.
    Spot,
    /// The list price.
    OnDemand,
}

impl CapacityType {
    /// The value of the label `karpenter.sh/capacity-type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Spot => "spot",
            Self::OnDemand => "on-demand",
        }
    }

    /// The capacity type of that label value.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Reserved, Self::Spot, Self::OnDemand]
            .into_iter()
            .find(|capacity_type| capacity_type.as_str() == text)
    }
}

impl fmt::Display for CapacityType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One way to buy an instance type: in a zone, as a capacity type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Offering {
    /// The zone's name (`us-east-1a`), the value of `topology.kubernetes.io/zone`.
    pub zone: String,
    /// The zone's id (`use1-az4`), empty if it is not known.
    pub zone_id: String,
    /// How it is paid for.
    pub capacity_type: CapacityType,
    /// The price.
    pub price: MicroUsdPerHour,
    /// Whether the price is estimated (another region's list price, or the spot advisor's average saving).
    pub estimated: bool,
    /// Whether it can be had now; offerings that lately ran out of capacity cannot.
    pub available: bool,
}

/// An instance type as one node class makes nodes of it: allocatable depends on the image family and the kubelet's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceType {
    /// The name: `m7i.large`.
    pub name: String,
    /// The labels that every node of it carries, but for those of its offering and pool.
    pub labels: Labels,
    /// What the kubelet will report as capacity.
    pub capacity: Resources,
    /// What pods may use.
    pub allocatable: Resources,
    /// How it can be bought.
    pub offerings: Vec<Offering>,
}
