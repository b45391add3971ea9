//! Packing problems in files: what types there are and which pods wait, all at once.

use super::packer::{PackClass, PackType, Packing, Policy, Target, pack};
use flate2::read::GzDecoder;
use model::{MicroUsdPerHour, Quantity};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Read;
use thiserror::Error;

/// A problem as the file has it.
#[derive(Clone, Debug, Deserialize)]
pub struct Problem {
    /// Its name.
    pub name: String,
    instance_types: Vec<ProblemType>,
    pods: Vec<ProblemPods>,
}

#[derive(Clone, Debug, Deserialize)]
struct ProblemType {
    name: String,
    capacity: BTreeMap<String, String>,
    #[serde(default)]
    overhead: BTreeMap<String, String>,
    offerings: Vec<ProblemOffering>,
}

#[derive(Clone, Debug, Deserialize)]
struct ProblemOffering {
    zone: String,
    price: f64,
}

#[derive(Clone, Debug, Deserialize)]
struct ProblemPods {
    name: String,
    count: usize,
    requests: BTreeMap<String, String>,
    #[serde(default)]
    zone_spread: Option<u32>,
    #[serde(default)]
    host_spread: Option<u32>,
    #[serde(default)]
    anti_affinity_host: bool,
}

/// What the packer answers to a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The cheapest offering of each node, summed.
    pub cost: MicroUsdPerHour,
    /// Nodes.
    pub nodes: usize,
    /// Pods that no type holds.
    pub unscheduled: usize,
}

/// Why a problem cannot be used.
#[derive(Debug, Error)]
pub enum ProblemError {
    /// The bytes are no text.
    #[error("the file is neither UTF-8 text nor gzip of it: {0}")]
    Encoding(std::io::Error),
    /// The text is no problem.
    #[error("the file is no packing problem: {0}")]
    Json(#[from] serde_json::Error),
    /// An amount cannot be read.
    #[error("{0}: {1}")]
    Amount(String, String),
}

struct Numbers(BTreeMap<String, usize>);

impl Numbers {
    fn of(&mut self, name: &str) -> usize {
        let next = self.0.len();
        *self.0.entry(name.to_owned()).or_insert(next)
    }

    fn amounts(
        &mut self,
        object: &str,
        amounts: &BTreeMap<String, String>,
    ) -> Result<Vec<(usize, i64)>, ProblemError> {
        let amount = |(name, text): (&String, &String)| {
            let quantity = text.parse::<Quantity>();
            let quantity = quantity.map_err(|error| {
                ProblemError::Amount(format!("{object}: {name}"), error.to_string())
            })?;
            Ok((self.of(name), quantity.amount_of(name)))
        };
        amounts.iter().map(amount).collect()
    }
}

impl Problem {
    /// Reads a problem from JSON, gzip or plain.
    ///
    /// # Errors
    /// The bytes are no text, or the text is no problem.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProblemError> {
        let mut text = String::new();
        if bytes.starts_with(&[0x1f, 0x8b]) {
            GzDecoder::new(bytes).read_to_string(&mut text).map_err(ProblemError::Encoding)?;
        } else {
            let mut plain = bytes;
            plain.read_to_string(&mut text).map_err(ProblemError::Encoding)?;
        }
        Ok(serde_json::from_str(&text)?)
    }

    /// Packs it as upstream would.
    ///
    /// # Errors
    /// An amount in it cannot be read.
    pub fn answer(&self) -> Result<Answer, ProblemError> {
        let packing = self.packing()?;
        let packed = pack(&packing, Policy::Upstream);
        let price =
            |claim: &super::packer::Claim| claim.offers(&packing).first().map(|offer| offer.0);
        Ok(Answer {
            cost: packed.claims.iter().filter_map(price).sum(),
            nodes: packed.claims.len(),
            unscheduled: packed.targets.iter().filter(|target| **target == Target::Nowhere).count(),
        })
    }

    fn packing(&self) -> Result<Packing, ProblemError> {
        let (mut resources, mut zones) = (Numbers(BTreeMap::new()), Numbers(BTreeMap::new()));
        let mut types = Vec::new();
        for of_type in &self.instance_types {
            types.push(of_type.pack_type(&mut resources, &mut zones)?);
        }
        let zone_count = zones.0.len();
        let all = (0..types.len()).collect::<Vec<_>>();
        let mut classes = Vec::new();
        for pods in &self.pods {
            classes.push(pods.class(&mut resources, &all, zone_count)?);
        }
        let (cpu, memory) = (resources.of("cpu"), resources.of("memory"));
        let pods = self.order(&classes, cpu, memory);
        Ok(Packing { types, zone_count, classes, existing: Vec::new(), pods })
    }

    /// CPU descending, memory descending, then as listed.
    fn order(&self, classes: &[PackClass], cpu: usize, memory: usize) -> Vec<usize> {
        let amount = |class: usize, resource: usize| {
            classes[class]
                .requests
                .iter()
                .find(|(index, _)| *index == resource)
                .map_or(0, |(_, amount)| *amount)
        };
        let mut order: Vec<usize> = (0..classes.len()).collect();
        order.sort_by_key(|class| std::cmp::Reverse((amount(*class, cpu), amount(*class, memory))));
        order.into_iter().flat_map(|class| vec![class; self.pods[class].count]).collect()
    }
}

impl ProblemType {
    fn pack_type(
        &self,
        resources: &mut Numbers,
        zones: &mut Numbers,
    ) -> Result<PackType, ProblemError> {
        let mut free = Vec::new();
        for (sign, amounts) in [(1, &self.capacity), (-1, &self.overhead)] {
            for (resource, amount) in resources.amounts(&self.name, amounts)? {
                if free.len() <= resource {
                    free.resize(resource + 1, 0);
                }
                free[resource] += sign * amount;
            }
        }
        let price = |offering: &ProblemOffering| {
            let price = MicroUsdPerHour::from_usd(offering.price);
            let absurd = || {
                ProblemError::Amount(
                    self.name.clone(),
                    format!("price {} is absurd", offering.price),
                )
            };
            Ok((zones.of(&offering.zone), price.ok_or_else(absurd)?))
        };
        let offerings = self.offerings.iter().map(price).collect::<Result<_, ProblemError>>()?;
        Ok(PackType { free, offerings })
    }
}

impl ProblemPods {
    fn class(
        &self,
        resources: &mut Numbers,
        types: &[usize],
        zones: usize,
    ) -> Result<PackClass, ProblemError> {
        let mut requests = resources.amounts(&self.name, &self.requests)?;
        requests.push((resources.of("pods"), 1));
        requests.retain(|(_, amount)| *amount > 0);
        let alone = self.anti_affinity_host.then_some(1);
        Ok(PackClass {
            requests,
            types: types.to_vec(),
            zones: (1 << zones) - 1,
            zone_skew: self.zone_spread,
            per_node: alone.or(self.host_spread),
        })
    }
}
