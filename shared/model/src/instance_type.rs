//! EC2 instance types and where they can be had at what price.

use crate::{Labels, MicroUsdPerHour, Resources, labels};
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

/// The type of a reservation for a block of time, bought ahead, as EC2 and the label have it.
pub const CAPACITY_BLOCK: &str = "capacity-block";

/// The capacity reservation that an offering is bought from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reservation {
    /// `cr-...`, the value of `karpenter.k8s.aws/capacity-reservation-id`.
    pub id: String,
    /// Whether it is a capacity block for machine learning, else on-demand capacity.
    pub block: bool,
    /// How many instances it still holds.
    pub available: u32,
}

impl Reservation {
    /// The value of the label `karpenter.k8s.aws/capacity-reservation-type`.
    pub fn kind(&self) -> &'static str {
        if self.block { CAPACITY_BLOCK } else { "default" }
    }
}

/// What of a price is not what the instance costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PriceParts {
    /// The node's volumes.
    #[serde(
        default,
        rename = "volumesMicroUsdPerHour",
        skip_serializing_if = "MicroUsdPerHour::is_zero"
    )]
    pub volumes: MicroUsdPerHour,
    /// What an interruption costs, shared out over the hours between two of them. Nobody bills it.
    #[serde(
        default,
        rename = "spotPremiumMicroUsdPerHour",
        skip_serializing_if = "MicroUsdPerHour::is_zero"
    )]
    pub premium: MicroUsdPerHour,
}

impl PriceParts {
    /// Whether the price is the instance's alone.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
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
    /// What a node costs: the instance and `parts`.
    pub price: MicroUsdPerHour,
    /// Whether the price is estimated (another region's list price, or the spot advisor's average saving).
    pub estimated: bool,
    /// Whether it can be had now; offerings that lately ran out of capacity cannot.
    pub available: bool,
    /// The reservation, if it is bought from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<Reservation>,
    /// What of the price is not the instance's own.
    #[serde(default, skip_serializing_if = "PriceParts::is_none")]
    pub parts: PriceParts,
}

impl Offering {
    /// The value of a node's label that follows from where and how it is bought, by the label's name of today.
    pub fn label(&self, key: &str) -> Option<&str> {
        match key {
            labels::ZONE => Some(&self.zone),
            labels::ZONE_ID => Some(&*self.zone_id).filter(|id| !id.is_empty()),
            labels::CAPACITY_TYPE => Some(self.capacity_type.as_str()),
            labels::RESERVATION_ID => self.reservation.as_ref().map(|own| &*own.id),
            labels::RESERVATION_TYPE => self.reservation.as_ref().map(Reservation::kind),
            _ => None,
        }
    }
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
