//! Which offerings go into a call.

use crate::launch_template::Templates;
use crate::ports::Refusal;
use std::collections::{BTreeMap, BTreeSet};

/// The most overrides that EC2 takes in one CreateFleet of type `instant`.
const LIMIT: usize = 300;

/// One override of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Override {
    /// The template's place among the templates.
    pub(super) template: usize,
    pub(super) instance_type: String,
    pub(super) subnet: String,
    price: u64,
}

/// The overrides of all templates, cheapest first, and the offerings whose zone has no subnet with a free address.
/// If there are more than EC2 takes, each type keeps its cheapest one, cheaper types first, and the rest is filled by price:
/// no type is left out because another is cheap in many zones.
pub(super) fn overrides(
    templates: &Templates,
    subnets: &BTreeMap<String, Option<String>>,
) -> (Vec<Override>, Vec<Refusal>) {
    let mut all = Vec::new();
    let mut refused = BTreeSet::new();
    for (index, template) in templates.templates.iter().enumerate() {
        for offering in &template.offerings {
            match subnets.get(&offering.zone) {
                Some(Some(subnet)) => all.push(Override {
                    template: index,
                    instance_type: offering.instance_type.clone(),
                    subnet: subnet.clone(),
                    price: offering.price.0,
                }),
                Some(None) => drop(refused.insert(exhausted(&offering.zone))),
                None => drop(refused.insert(no_subnet(&offering.zone))),
            }
        }
    }
    all.sort_by(|a, b| key(a).cmp(&key(b)));
    let mut seen = BTreeSet::new();
    all.retain(|one| seen.insert((one.template, one.instance_type.clone(), one.subnet.clone())));
    (fair(all), refused.into_iter().collect())
}

fn key(one: &Override) -> (u64, &str, &str, usize) {
    (one.price, &one.instance_type, &one.subnet, one.template)
}

/// The first `LIMIT`, each type's cheapest before any type's second. `all` is sorted.
fn fair(all: Vec<Override>) -> Vec<Override> {
    if all.len() <= LIMIT {
        return all;
    }
    let mut types = BTreeSet::new();
    let (mut kept, rest): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|one| types.insert(one.instance_type.clone()));
    kept.extend(rest);
    kept.truncate(LIMIT);
    kept.sort_by(|a, b| key(a).cmp(&key(b)));
    kept
}

fn exhausted(zone: &str) -> Refusal {
    Refusal {
        instance_type: "*".to_owned(),
        zone: zone.to_owned(),
        code: "InsufficientFreeAddressesInSubnet".to_owned(),
        message: "no subnet of the node class in this zone has a free address".to_owned(),
        no_capacity: true,
    }
}

fn no_subnet(zone: &str) -> Refusal {
    Refusal {
        instance_type: "*".to_owned(),
        zone: zone.to_owned(),
        code: "NoSubnet".to_owned(),
        message: "the node class has no subnet in this zone; add one to subnetSelectorTerms"
            .to_owned(),
        no_capacity: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch_template::Template;
    use model::{Alternative, CapacityType, Labels, MicroUsdPerHour};

    fn offering(instance_type: &str, zone: &str, price: u64) -> Alternative {
        Alternative {
            instance_type: instance_type.to_owned(),
            zone: zone.to_owned(),
            capacity_type: CapacityType::Spot,
            price: MicroUsdPerHour(price),
            estimated: false,
            reservation: None,
        }
    }

    fn templates(offerings: Vec<Alternative>) -> Templates {
        let template =
            Template { name: "t".to_owned(), data: None, tags: Labels::new(), offerings };
        Templates { templates: vec![template], refused: Vec::new() }
    }

    fn subnets(zones: &[(&str, Option<&str>)]) -> BTreeMap<String, Option<String>> {
        let own = |(zone, id): &(&str, Option<&str>)| ((*zone).to_owned(), id.map(str::to_owned));
        zones.iter().map(own).collect()
    }

    fn check(offerings: Vec<Alternative>, expected: &[&str], refused: &[&str]) {
        let subnets = subnets(&[("a", Some("s-a")), ("b", Some("s-b")), ("c", None)]);
        let (found, refusals) = overrides(&templates(offerings), &subnets);
        let text = |one: &Override| format!("{} {}", one.instance_type, one.subnet);
        assert_eq!(found.iter().map(text).collect::<Vec<_>>(), expected);
        let text = |one: &Refusal| format!("{} {}", one.zone, one.code);
        assert_eq!(refusals.iter().map(text).collect::<Vec<_>>(), refused);
    }

    #[test]
    fn offerings_become_overrides_by_price_and_zones_without_room_are_refused() {
        let both = vec![offering("x", "b", 2), offering("y", "a", 1)];
        check(both, &["y s-a", "x s-b"], &[]);
        check(vec![offering("x", "a", 1), offering("x", "a", 1)], &["x s-a"], &[]);
        let exhausted = vec![offering("x", "c", 1), offering("y", "c", 1), offering("x", "a", 2)];
        check(exhausted, &["x s-a"], &["c InsufficientFreeAddressesInSubnet"]);
        check(vec![offering("x", "d", 1)], &[], &["d NoSubnet"]);
    }

    #[test]
    fn no_type_is_left_out_while_another_has_several_zones() {
        let zones = (0..4).map(|zone| format!("z{zone}")).collect::<Vec<_>>();
        let subnets = zones.iter().map(|zone| (zone.clone(), Some(zone.clone()))).collect();
        let all = (0..100_u64).flat_map(|number| {
            let name = format!("t{number:03}");
            zones.iter().map(move |zone| offering(&name, zone, number)).collect::<Vec<_>>()
        });
        let (found, _) = overrides(&templates(all.collect()), &subnets);
        let types = found.iter().map(|one| &one.instance_type).collect::<BTreeSet<_>>();
        assert_eq!((found.len(), types.len()), (LIMIT, 100));
        assert!(found.is_sorted_by_key(|one| one.price));
    }
}
