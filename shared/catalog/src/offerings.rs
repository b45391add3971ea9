//! How an instance type can be bought.

use crate::facts::TypeFacts;
use crate::region::Region;
use crate::{Catalog, Request, Zone};
use model::node_class::CapacityReservation;
use model::{CapacityType, MicroUsdPerHour, Offering, PriceParts, Reservation};

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
                let (reservation, parts) = (None, PriceParts::default());
                let available = true;
                Some(Offering {
                    zone,
                    zone_id,
                    capacity_type,
                    price,
                    estimated,
                    available,
                    reservation,
                    parts,
                })
            })
        };
        let mut all = request.zones.iter().filter(offered).flat_map(in_zone).collect::<Vec<_>>();
        all.extend(reserved(&facts.name, request));
        all
    }
}

/// The class's reservations of the type, which are paid for already.
fn reserved(name: &str, request: &Request<'_>) -> impl Iterator<Item = Offering> {
    let offering = move |own: &CapacityReservation| {
        let zone = request.zones.iter().find(|zone| zone.name == own.zone)?;
        let classes = &request.class.zones;
        let served = classes.is_empty() || classes.contains(&zone.name);
        let available = u32::try_from(own.available).unwrap_or(0);
        served.then(|| Offering {
            zone: zone.name.clone(),
            zone_id: zone.id.clone(),
            capacity_type: CapacityType::Reserved,
            price: MicroUsdPerHour::ZERO,
            estimated: false,
            available: available > 0,
            reservation: Some(Reservation { id: own.id.clone(), block: own.is_block(), available }),
            parts: PriceParts::default(),
        })
    };
    let own = request.class.reservations.iter().filter(move |own| own.instance_type == name);
    own.filter_map(offering)
}
