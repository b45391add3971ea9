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
        let priced = |capacity_type, zone_id: &str| {
            self.price_in(request.region, zone_id, &facts.name, capacity_type)
        };
        let sold = [(CapacityType::OnDemand, facts.on_demand), (CapacityType::Spot, facts.spot)];
        let in_zone = |zone: &Zone| {
            let zone = zone.clone();
            let sold = sold.into_iter().filter(|(_, sold)| *sold);
            sold.filter_map(move |(capacity_type, _)| {
                let (price, estimated) = priced(capacity_type, &zone.id)?;
                let (zone, zone_id) = (zone.name.clone(), zone.id.clone());
                Some(Offering { zone, zone_id, capacity_type, price, estimated, available: true })
            })
        };
        request.zones.iter().filter(offered).flat_map(in_zone).collect()
    }
}
