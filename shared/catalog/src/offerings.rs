//! How an instance type can be bought.

use crate::facts::TypeFacts;
use crate::region::Region;
use crate::{Catalog, Request, Zone};
use model::{CapacityType, Offering};

impl Catalog {
    /// The offerings of a type in the requested zones, by zone and then capacity type. Without a price there is none.
    pub(crate) fn offerings(
        &self,
        region: &Region,
        facts: &TypeFacts,
        request: &Request<'_>,
    ) -> Vec<Offering> {
        let offered = |zone: &&Zone| {
            let classes = &request.class.zones;
            (classes.is_empty() || classes.contains(&zone.name))
                && region.offers(&facts.name, &zone.id)
        };
        let priced = |capacity_type| {
            let (price, estimated) = self.price(request.region, &facts.name, capacity_type)?;
            Some((capacity_type, price, estimated))
        };
        let ways = [
            facts.on_demand.then(|| priced(CapacityType::OnDemand)).flatten(),
            facts.spot.then(|| priced(CapacityType::Spot)).flatten(),
        ];
        let in_zone = |zone: &Zone| {
            let (zone, zone_id) = (zone.name.clone(), zone.id.clone());
            ways.iter().flatten().map(move |&(capacity_type, price, estimated)| Offering {
                zone: zone.clone(),
                zone_id: zone_id.clone(),
                capacity_type,
                price,
                estimated,
                available: true,
            })
        };
        request.zones.iter().filter(offered).flat_map(in_zone).collect()
    }
}
