//! Resource names and amounts, as integers.

use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;

/// A resource's name as Kubernetes writes it: `cpu`, `memory`, `nvidia.com/gpu`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResourceName(String);

/// CPU, counted in thousandths of a core.
pub const CPU: &str = "cpu";
/// Memory, counted in bytes.
pub const MEMORY: &str = "memory";
/// Pods, counted.
pub const PODS: &str = "pods";
/// Ephemeral storage, counted in bytes.
pub const EPHEMERAL_STORAGE: &str = "ephemeral-storage";
/// Whole NVIDIA GPUs.
pub const NVIDIA_GPU: &str = "nvidia.com/gpu";
/// Nodes of a pool, which only `limits` speak of.
pub const NODES: &str = "nodes";

impl ResourceName {
    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ResourceName {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl From<String> for ResourceName {
    fn from(name: String) -> Self {
        Self(name)
    }
}

impl Borrow<str> for ResourceName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Amounts by resource: `cpu` in milli-cores, every other resource in its base unit (bytes or a count).
/// A resource that is not named has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Resources(BTreeMap<ResourceName, i64>);

impl Resources {
    /// No resources.
    pub fn new() -> Self {
        Self::default()
    }

    /// The amount of `name`, zero if it is not named.
    pub fn get(&self, name: &str) -> i64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Whether `name` is named, be its amount zero or not.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Sets the amount of `name`.
    pub fn set(&mut self, name: impl Into<ResourceName>, amount: i64) {
        self.0.insert(name.into(), amount);
    }

    /// The same resources with `name` set to `amount`.
    #[must_use]
    pub fn with(mut self, name: impl Into<ResourceName>, amount: i64) -> Self {
        self.set(name, amount);
        self
    }

    /// Names and amounts, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&ResourceName, i64)> {
        self.0.iter().map(|(name, amount)| (name, *amount))
    }

    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds `other`, resource by resource, stopping at the largest integer.
    pub fn add(&mut self, other: &Self) {
        self.combine(other, i64::saturating_add);
    }

    /// Takes `other` away, resource by resource; what is not there goes below zero.
    pub fn subtract(&mut self, other: &Self) {
        self.combine(other, i64::saturating_sub);
    }

    /// Keeps the larger amount, resource by resource.
    pub fn maximum(&mut self, other: &Self) {
        self.combine(other, i64::max);
    }

    /// Whether every amount is at most that of `capacity`. A zero amount fits anywhere.
    pub fn fits(&self, capacity: &Self) -> bool {
        self.exceeding(capacity).is_none()
    }

    /// The first resource of which `self` has more than `capacity`.
    pub fn exceeding<'a>(&'a self, capacity: &Self) -> Option<&'a ResourceName> {
        self.0
            .iter()
            .find(|(name, amount)| **amount > 0 && **amount > capacity.get(name.as_str()))
            .map(|(name, _)| name)
    }

    fn combine(&mut self, other: &Self, operation: impl Fn(i64, i64) -> i64) {
        for (name, amount) in &other.0 {
            let mine = self.0.entry(name.clone()).or_insert(0);
            *mine = operation(*mine, *amount);
        }
    }
}

impl FromIterator<(ResourceName, i64)> for Resources {
    fn from_iter<I: IntoIterator<Item = (ResourceName, i64)>>(amounts: I) -> Self {
        Self(amounts.into_iter().collect())
    }
}

impl fmt::Display for Resources {
    /// For people: `cpu 1500m, memory 2.0Gi, pods 3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, amount)) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{name} {}", display_amount(name.as_str(), amount))?;
        }
        Ok(())
    }
}

/// An amount of the resource `name` for people: cores for CPU, binary units for bytes, a count for the rest.
pub fn display_amount(name: &str, amount: i64) -> String {
    match name {
        CPU if amount % 1000 == 0 => format!("{}", amount / 1000),
        CPU => format!("{amount}m"),
        MEMORY | EPHEMERAL_STORAGE => display_bytes(amount),
        _ => amount.to_string(),
    }
}

fn display_bytes(bytes: i64) -> String {
    const UNITS: [(&str, i64); 4] =
        [("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
    match UNITS.iter().find(|(_, unit)| bytes >= *unit) {
        Some((suffix, unit)) if bytes % unit == 0 => format!("{}{suffix}", bytes / unit),
        Some((suffix, unit)) => format!("{:.1}{suffix}", bytes as f64 / *unit as f64),
        None => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_resource_counts_as_zero_and_a_zero_request_fits_anywhere() {
        let request = Resources::new().with(CPU, 100).with(NVIDIA_GPU, 0);
        assert!(request.fits(&Resources::new().with(CPU, 100)));
        let gpu = Resources::new().with(NVIDIA_GPU, 1);
        assert_eq!(
            gpu.exceeding(&Resources::new().with(CPU, 100)).map(ResourceName::as_str),
            Some(NVIDIA_GPU)
        );
    }

    #[test]
    fn sums_saturate() {
        let mut sum = Resources::new().with(MEMORY, i64::MAX);
        sum.add(&Resources::new().with(MEMORY, 1));
        assert_eq!(sum.get(MEMORY), i64::MAX);
    }

    #[test]
    fn amounts_print_in_the_units_of_people() {
        let resources = Resources::new().with(CPU, 1500).with(MEMORY, 3 << 29).with(PODS, 3);
        assert_eq!(resources.to_string(), "cpu 1500m, memory 1.5Gi, pods 3");
    }
}
