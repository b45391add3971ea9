//! What pools may launch: instance types by class and kubelet.

use crate::DumpOptions;
use catalog::{Catalog, Request, Zone, volumes_price};
use model::node_class::CapacityReservation;
use model::pool::{Kubelet, SpotPremium};
use model::{MicroUsdPerHour, NodeClass, Snapshot};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Resolves the types of each pool; pools with the same settings share them. A pool without a class has none.
pub(crate) fn resolve_types(
    snapshot: &mut Snapshot,
    catalog: &Catalog,
    zones: &[Zone],
    options: &DumpOptions,
) {
    let mut pools = std::mem::take(&mut snapshot.node_pools);
    pools.sort_by(|a, b| (&a.name, a.api_version).cmp(&(&b.name, b.api_version)));
    let mut keys = BTreeMap::new();
    for pool in &mut pools {
        let class = snapshot.node_classes.iter().rev().find(|class| class.name == pool.node_class);
        let Some(class) = class else { continue };
        let kubelet = pool.kubelet.as_ref().or(class.kubelet.as_ref()).cloned().unwrap_or_default();
        let next = format!("types-{}", keys.len() + 1);
        let key = keys.entry(settings(class, &kubelet, pool.spot_premium)).or_insert(next);
        pool.instance_types.clone_from(key);
        let region = snapshot.region.as_str();
        let settings = &options.settings;
        let request = Request { region, zones, class, kubelet: &kubelet, settings };
        snapshot
            .instance_types
            .entry(key.clone())
            .or_insert_with(|| Arc::new(catalog.instance_types(&request)));
    }
    snapshot.node_pools = pools;
}

/// All of a class and kubelet that changes what types they make.
type TypeSettings = (
    (model::pool::ImageFamily, i64, bool),
    (Vec<String>, Kubelet, Vec<CapacityReservation>),
    (MicroUsdPerHour, SpotPremium),
);

fn settings(class: &NodeClass, kubelet: &Kubelet, premium: SpotPremium) -> TypeSettings {
    (
        (class.image_family, class.ephemeral_storage_bytes, class.instance_store_raid0),
        (class.zones.clone(), kubelet.clone(), class.reservations.clone()),
        (volumes_price(&class.volumes), premium),
    )
}
