//! What a node costs beside its instance, added to all prices: to those of offerings as to those of nodes that run, so that both compare.

use catalog::{Catalog, volumes_price};
use model::pool::SpotPremium;
use model::{CapacityType, MicroUsdPerHour, PriceParts, Snapshot};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Adds the volumes that each pool's class gives its nodes, and the pool's premium on spot capacity. Nodes of no pool have neither.
pub(crate) fn add(snapshot: &mut Snapshot, catalog: &Catalog) {
    let classes = snapshot.node_classes.iter();
    let volumes = classes.map(|class| (class.name.as_str(), volumes_price(&class.volumes)));
    let volumes = volumes.collect::<BTreeMap<_, _>>();
    let volumes = |class: &str| volumes.get(class).copied().unwrap_or_default();
    let pools = snapshot.node_pools.iter();
    let extras = pools.map(|pool| {
        (
            pool.name.clone(),
            Extra { volumes: volumes(&pool.node_class), premium: pool.spot_premium },
        )
    });
    let extras = extras.collect::<BTreeMap<_, _>>();
    let region = snapshot.region.as_str();
    let class = |name: &str| catalog.interruption_class(region, name);
    let mut done = BTreeSet::new();
    for pool in &snapshot.node_pools {
        let types = snapshot.instance_types.get_mut(&pool.instance_types);
        let Some(types) = types.filter(|_| done.insert(&pool.instance_types)) else { continue };
        let Some(extra) = extras.get(&pool.name) else { continue };
        for of in Arc::make_mut(types) {
            let class = class(&of.name);
            for offering in &mut of.offerings {
                offering.parts = extra.parts(offering.price, offering.capacity_type, class);
                offering.price += offering.parts.volumes + offering.parts.premium;
            }
        }
    }
    let with = |price: MicroUsdPerHour, pool: Option<&str>, way, of_type: Option<&str>| {
        let extra = pool.and_then(|pool| extras.get(pool));
        let parts = extra.map(|extra| extra.parts(price, way, of_type.and_then(class)));
        parts.map_or(price, |parts| price + parts.volumes + parts.premium)
    };
    for node in &mut snapshot.nodes {
        let of_type = node.label(model::labels::INSTANCE_TYPE);
        node.price =
            node.price.map(|price| with(price, node.pool(), node.capacity_type(), of_type));
    }
    for claim in &mut snapshot.node_claims {
        let way = claim.capacity_type.unwrap_or(CapacityType::OnDemand);
        let of_type = claim.instance_type.as_deref();
        claim.price = claim.price.map(|price| with(price, Some(&claim.pool), way, of_type));
    }
}

/// What a pool adds to prices.
struct Extra {
    volumes: MicroUsdPerHour,
    premium: SpotPremium,
}

impl Extra {
    fn parts(&self, price: MicroUsdPerHour, way: CapacityType, class: Option<usize>) -> PriceParts {
        let class = class.filter(|_| way == CapacityType::Spot);
        let premium = class.map(|class| self.premium.of(price, class)).unwrap_or_default();
        PriceParts { volumes: self.volumes, premium }
    }
}
