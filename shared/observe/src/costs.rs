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
    let parts = |price: MicroUsdPerHour, pool: Option<&str>, way, of_type: Option<&str>| {
        let extra = pool.and_then(|pool| extras.get(pool));
        extra.map(|extra| extra.parts(price, way, of_type.and_then(class))).unwrap_or_default()
    };
    for node in &mut snapshot.nodes {
        let of_type = node.label(model::labels::INSTANCE_TYPE);
        let Some(price) = node.price else { continue };
        let parts = parts(price, node.pool(), node.capacity_type(), of_type);
        node.price = Some(price + parts.volumes + parts.premium);
    }
    for claim in &mut snapshot.node_claims {
        let way = claim.capacity_type.unwrap_or(CapacityType::OnDemand);
        let Some(price) = claim.price else { continue };
        let parts = parts(price, Some(&claim.pool), way, claim.instance_type.as_deref());
        claim.price = Some(price + parts.volumes + parts.premium);
        claim.premium = parts.premium;
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

#[cfg(test)]
mod tests {
    use super::*;
    use model::pool::ApiVersion;
    use model::{Node, NodeClaim, NodePool};

    /// What a claim and its node of m5.large, of which nearly 20% a month are interrupted, cost beside $0.03 an hour; and how much of it nobody bills.
    fn check(way: CapacityType, premium: SpotPremium, expected: u64) {
        let price = Some(MicroUsdPerHour(30_000));
        let pool = NodePool::new("default", ApiVersion::V1, "default", "all");
        let mut claim = NodeClaim { pool: pool.name.clone(), price, ..NodeClaim::default() };
        claim.capacity_type = Some(way);
        claim.instance_type = Some("m5.large".to_owned());
        let own = [
            (model::labels::NODE_POOL, "default"),
            (model::labels::INSTANCE_TYPE, "m5.large"),
            (model::labels::CAPACITY_TYPE, way.as_str()),
        ];
        let labels = own.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let mut snapshot = Snapshot {
            region: "us-east-1".to_owned(),
            node_pools: vec![NodePool { spot_premium: premium, ..pool }],
            nodes: vec![Node { labels, price, ..Node::default() }],
            node_claims: vec![claim],
            ..Snapshot::default()
        };
        add(&mut snapshot, &Catalog::embedded().unwrap());
        let (claim, node) = (&snapshot.node_claims[0], &snapshot.nodes[0]);
        assert_eq!((claim.premium.0, node.price), (expected, claim.price), "{way:?}");
        assert_eq!(claim.price.unwrap() - claim.premium, MicroUsdPerHour(30_000), "{way:?}");
    }

    #[test]
    fn what_nobody_bills_is_told_apart() {
        check(CapacityType::Spot, SpotPremium::default(), 900);
        check(CapacityType::Spot, SpotPremium::NONE, 0);
        check(CapacityType::OnDemand, SpotPremium::default(), 0);
    }
}
