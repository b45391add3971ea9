//! What was read of AWS and changes slowly, with the time of each reading.

use super::images::ImageFacts;
use super::market::MarketFacts;
use super::network::{FoundGroup, FoundSubnet};
use super::shelf::Shelf;
use crate::cloud::config_map;
use model::node_class::CapacityReservation;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What was read of AWS and changes slowly: subnets, security groups, reservations, images, types, offerings, prices.
/// It survives between functions in a ConfigMap; its loss costs only time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    pub(crate) classes: ClassFacts,
    pub(crate) market: MarketFacts,
}

/// The part of classes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ClassFacts {
    pub(crate) subnets: Shelf<Vec<FoundSubnet>>,
    pub(crate) security_groups: Shelf<Vec<FoundGroup>>,
    pub(crate) reservations: Shelf<Vec<CapacityReservation>>,
    pub(crate) images: ImageFacts,
}

const CLASSES: &str = "classes";
const MARKET: &str = "market";

impl Facts {
    /// The entries of the ConfigMap: JSON, compressed with gzip, in base64. The same facts give the same entries.
    pub fn to_config_map_data(&self) -> BTreeMap<String, String> {
        let entries =
            [(CLASSES, config_map::pack(&self.classes)), (MARKET, config_map::pack(&self.market))];
        entries.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()
    }

    /// The facts of those entries. What is missing is not known; what cannot be read is not known either, and is told.
    pub fn from_config_map_data(data: &BTreeMap<String, String>) -> (Self, Vec<String>) {
        let mut findings = Vec::new();
        let classes = config_map::unpack(data, CLASSES, &mut findings);
        let market = config_map::unpack(data, MARKET, &mut findings);
        (Self { classes, market }, findings)
    }
}
