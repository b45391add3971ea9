//! What node overlays change: prices and extended resources of instance types, and prices of nodes.
//!
//! Source: karpenter core `nodeoverlay/controller.go`: overlays are taken by weight, the highest first, and of equal weight the
//! later name first. One that says otherwise of an offering than another of its weight is left out as a whole.

use crate::collection::Collection;
use crate::finding::{DumpFinding, Place, Severity};
use model::{InstanceType, Labels, NodeOverlay, NodePool, Offering, Snapshot, labels};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Applies the overlays, and tells of those that cannot be.
pub(crate) fn apply(all: &mut Collection) {
    let mut overlays = std::mem::take(&mut all.overlays);
    overlays.retain(|(overlay, _)| overlay.problem.is_none());
    if overlays.is_empty() {
        return;
    }
    let rank = |overlay: &NodeOverlay| {
        (std::cmp::Reverse(overlay.weight), std::cmp::Reverse(overlay.name.clone()))
    };
    overlays.sort_by_key(|(overlay, _)| rank(overlay));
    overlays.dedup_by(|later, kept| later.0.name == kept.0.name);
    let mut changes = Changes::default();
    let mut used = Vec::new();
    for (overlay, place) in overlays {
        match changes.add(&all.snapshot, &overlay) {
            Ok(()) => used.push(overlay),
            Err(other) => all.findings.push(conflict(&overlay, &other, place)),
        }
    }
    changes.apply(&mut all.snapshot);
    reprice(&mut all.snapshot, &used);
}

fn conflict(overlay: &NodeOverlay, other: &str, place: Option<Place>) -> DumpFinding {
    DumpFinding {
        severity: Severity::Error,
        place,
        object: format!("NodeOverlay {}", overlay.name),
        path: "spec.weight".to_owned(),
        rule: "overlay-conflict".to_owned(),
        message: format!(
            "it contradicts NodeOverlay {other}, which has the same weight; it is left out as a whole; give one of them another weight"
        ),
    }
}

/// A pool and an instance type, by position.
type Of = (usize, usize);

/// What accepted overlays say, with the overlay that says it.
#[derive(Default)]
struct Changes {
    /// By pool, type and offering.
    prices: BTreeMap<(Of, usize), NodeOverlay>,
    /// By pool, type and resource.
    capacity: BTreeMap<(Of, String), (NodeOverlay, i64)>,
}

impl Changes {
    /// Takes the overlay in; else the overlay of its weight that it contradicts.
    fn add(&mut self, snapshot: &Snapshot, overlay: &NodeOverlay) -> Result<(), String> {
        let selected = selected(snapshot, overlay);
        let same = |other: &&NodeOverlay| other.weight == overlay.weight;
        for (of, offerings) in &selected {
            let prices = offerings.iter().filter_map(|at| self.prices.get(&(*of, *at)));
            let mut priced = prices.filter(same).filter(|_| overlay.price.is_some());
            if let Some(other) = priced.find(|other| other.price != overlay.price) {
                return Err(other.name.clone());
            }
            for (name, amount) in overlay.capacity.iter() {
                let known = self.capacity.get(&(*of, name.as_str().to_owned()));
                let other = known.filter(|(other, old)| same(&other) && *old != amount);
                if let Some((other, _)) = other {
                    return Err(other.name.clone());
                }
            }
        }
        for (of, offerings) in selected {
            for at in offerings.into_iter().filter(|_| overlay.price.is_some()) {
                self.prices.entry((of, at)).or_insert_with(|| overlay.clone());
            }
            for (name, amount) in overlay.capacity.iter() {
                let key = (of, name.as_str().to_owned());
                self.capacity.entry(key).or_insert_with(|| (overlay.clone(), amount));
            }
        }
        Ok(())
    }

    /// Gives each pool whose types change types of its own.
    fn apply(&self, snapshot: &mut Snapshot) {
        let mut pools = std::mem::take(&mut snapshot.node_pools);
        for (index, pool) in pools.iter_mut().enumerate() {
            let Some(types) = snapshot.instance_types.get(&pool.instance_types) else { continue };
            let mut changed = Vec::clone(types);
            for (at, of) in changed.iter_mut().enumerate() {
                self.change((index, at), of);
            }
            if changed != **types {
                pool.instance_types = format!("{}-{}", pool.instance_types, pool.name);
                snapshot.instance_types.insert(pool.instance_types.clone(), Arc::new(changed));
            }
        }
        let used = |key: &String| pools.iter().any(|pool| pool.instance_types == *key);
        snapshot.instance_types.retain(|key, _| used(key));
        snapshot.node_pools = pools;
    }

    fn change(&self, of: Of, instance_type: &mut InstanceType) {
        for (at, offering) in instance_type.offerings.iter_mut().enumerate() {
            let change = self.prices.get(&(of, at)).and_then(|overlay| overlay.price);
            offering.price = change.map_or(offering.price, |change| change.apply(offering.price));
        }
        let own = (of, String::new())..(of, char::MAX.to_string());
        for ((_, name), (_, amount)) in self.capacity.range(own) {
            instance_type.capacity.set(name.as_str(), *amount);
            instance_type.allocatable.set(name.as_str(), *amount);
        }
    }
}

/// The types of each pool that the overlay is about, with their offerings that it is about; a type without any is left out.
fn selected(snapshot: &Snapshot, overlay: &NodeOverlay) -> Vec<(Of, Vec<usize>)> {
    let mut found = Vec::new();
    for (index, pool) in snapshot.node_pools.iter().enumerate() {
        let types = snapshot.instance_types.get(&pool.instance_types);
        for (at, of) in types.into_iter().flat_map(|types| types.iter().enumerate()) {
            let selects = |offering: &Offering| {
                overlay.selects(|key| label(&snapshot.region, pool, of, offering, key))
            };
            let offerings = of.offerings.iter().enumerate().filter(|(_, own)| selects(own));
            let offerings = offerings.map(|(at, _)| at).collect::<Vec<_>>();
            if !offerings.is_empty() {
                found.push(((index, at), offerings));
            }
        }
    }
    found
}

fn label<'a>(
    region: &'a str,
    pool: &'a NodePool,
    of: &'a InstanceType,
    offering: &'a Offering,
    key: &str,
) -> Option<&'a str> {
    let of_kind = |key| of.labels.get(key).or_else(|| pool.labels.get(key)).map(String::as_str);
    match labels::normalize(key) {
        labels::INSTANCE_TYPE => Some(&of.name),
        labels::REGION => Some(region),
        key => offering.label(key).or_else(|| pool.name_under(key)).or_else(|| of_kind(key)),
    }
}

/// What runs costs what an equal node would.
fn reprice(snapshot: &mut Snapshot, overlays: &[NodeOverlay]) {
    let change = |own: &Labels| {
        let label = |key: &str| own.get(labels::normalize(key)).map(String::as_str);
        let mut priced = overlays.iter().filter(|overlay| overlay.price.is_some());
        priced.find(|overlay| overlay.selects(label)).and_then(|overlay| overlay.price)
    };
    for node in &mut snapshot.nodes {
        let change = change(&node.labels);
        node.price = node.price.map(|price| change.map_or(price, |change| change.apply(price)));
    }
    for claim in &mut snapshot.node_claims {
        let change = change(&claim.labels);
        claim.price = claim.price.map(|price| change.map_or(price, |change| change.apply(price)));
    }
}

#[cfg(test)]
mod tests;
