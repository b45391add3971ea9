//! The region and the zones of a cluster.

use crate::DumpOptions;
use crate::finding::{DumpFinding, Severity};
use catalog::{Catalog, Zone};
use model::labels::{REGION, ZONE, ZONE_ID};
use model::{Node, Snapshot};
use std::collections::BTreeMap;

const DEFAULT_REGION: &str = "us-east-1";
/// Zones assumed where nothing tells them, as many as clusters usually have.
const USUAL_ZONES: usize = 3;

/// The region: as told, else that of most nodes, by label or by their zones' names.
pub(crate) fn region(
    snapshot: &Snapshot,
    options: &DumpOptions,
    findings: &mut Vec<DumpFinding>,
) -> String {
    let of_node = |node: &Node| {
        let by_zone = || node.label(ZONE).map(without_letter);
        node.label(REGION).or_else(by_zone).map(str::to_owned)
    };
    let mut counts = BTreeMap::<String, usize>::new();
    for region in snapshot.nodes.iter().filter_map(of_node) {
        *counts.entry(region).or_default() += 1;
    }
    let of_class = || {
        let mut zones = snapshot.node_classes.iter().flat_map(|class| &class.zones);
        zones.next().map(|zone| without_letter(zone).to_owned())
    };
    // Of equal counts the first by name wins.
    let most = counts.iter().max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(a.0)));
    let found = most.map(|(region, _)| region.clone()).or_else(of_class);
    if let Some(region) = options.region.clone() {
        return region;
    }
    if counts.len() > 1 {
        let regions = counts.keys().cloned().collect::<Vec<_>>().join(", ");
        let message = format!("nodes are in several regions ({regions}); pass --region to choose");
        findings.push(DumpFinding::general(Severity::Warning, "region-mixed", message));
    }
    found.unwrap_or_else(|| {
        let message = format!(
            "no node tells the region; {DEFAULT_REGION} is assumed, pass --region otherwise"
        );
        findings.push(DumpFinding::general(Severity::Note, "region-assumed", message));
        DEFAULT_REGION.to_owned()
    })
}

/// `us-east-1` of `us-east-1a`.
fn without_letter(zone: &str) -> &str {
    zone.strip_suffix(|c: char| c.is_ascii_lowercase()).unwrap_or(zone)
}

/// The zones that the nodes and node classes of the region tell of, else the usual ones; `told` has ids of some by name.
pub(crate) fn zones(
    snapshot: &Snapshot,
    told: &BTreeMap<String, String>,
    catalog: &Catalog,
    findings: &mut Vec<DumpFinding>,
) -> Vec<Zone> {
    let region = snapshot.region.as_str();
    if !catalog.regions().contains(&region) {
        let message = format!(
            "the catalog does not know the region {region}, so that nothing can be launched; it knows {}",
            catalog.regions().join(", ")
        );
        findings.push(DumpFinding::general(Severity::Error, "region-unknown", message));
    }
    let mut known = BTreeMap::<String, Option<String>>::new();
    let in_region = |zone: &str| zone.starts_with(region);
    for node in &snapshot.nodes {
        if let Some(zone) = node.label(ZONE).filter(|zone| in_region(zone)) {
            let id = known.entry(zone.to_owned()).or_default();
            *id = id.take().or_else(|| node.label(ZONE_ID).map(str::to_owned));
        }
    }
    for class in &snapshot.node_classes {
        for zone in class.zones.iter().filter(|zone| in_region(zone)) {
            let id = known.entry(zone.clone()).or_default();
            *id = id.take().or_else(|| class.zone_ids.get(zone).cloned());
        }
    }
    for (zone, id) in &mut known {
        *id = id.take().or_else(|| told.get(zone).cloned());
    }
    if known.is_empty() {
        return assumed(region, catalog, findings);
    }
    let matched = catalog.match_zones(region, &known);
    if !matched.guessed.is_empty() {
        let message = format!(
            "the ids of zones {} are not known (no node has the label {ZONE_ID}); they are guessed by letter, \
             so that a type may be planned in a zone that does not offer it",
            matched.guessed.join(", ")
        );
        findings.push(DumpFinding::general(Severity::Note, "zone-guessed", message));
    }
    matched.zones
}

fn assumed(region: &str, catalog: &Catalog, findings: &mut Vec<DumpFinding>) -> Vec<Zone> {
    let zones = catalog.usual_zones(region, USUAL_ZONES);
    let names = zones.iter().map(|zone| zone.name.as_str()).collect::<Vec<_>>().join(", ");
    let message = format!("no node tells the zones; {names} are assumed");
    findings.push(DumpFinding::general(Severity::Note, "zones-assumed", message));
    zones
}
