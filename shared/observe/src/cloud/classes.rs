//! Classes with all that was found for them, and what is missing, in words that say what to do.

use super::error::CloudReadError;
use super::facts::ClassFacts;
use super::images::{self, ImageFailures};
use super::network::{FoundGroup, FoundSubnet, GROUP_FILTERS, SUBNET_FILTERS};
use super::reservations;
use super::selectors::{FilterNames, Selectable, Term, asks_for};
use super::shelf::{Failures, Shelf};
use model::node_class::{CapacityReservation, Image, SelectorTerm};
use model::pool::ApiVersion;
use model::{ClusterFacts, NodeClass, NodeClassSpec, ResolvedNodeClass, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What could not be read anew for classes.
#[derive(Debug, Default)]
pub(crate) struct ClassFailures {
    pub(crate) subnets: Failures,
    pub(crate) security_groups: Failures,
    pub(crate) reservations: Failures,
    pub(crate) images: ImageFailures,
}

/// A class with all that was found for it.
pub(crate) fn resolve(
    spec: &Arc<NodeClassSpec>,
    facts: &ClassFacts,
    failures: &ClassFailures,
    cluster: &ClusterFacts,
    now: Timestamp,
) -> ResolvedNodeClass {
    let mut problems = Vec::new();
    let subnets =
        or_problem(subnets(spec, facts, failures, cluster), "SubnetsReady", &mut problems);
    let groups = groups(spec, facts, failures, cluster);
    let security_groups = or_problem(groups, "SecurityGroupsReady", &mut problems);
    let images: Result<Vec<Image>, String> = images::resolve(
        spec,
        &facts.images,
        &failures.images,
        &cluster.version,
        now,
        &cluster.region,
    );
    let images = or_problem(images, "AMIsReady", &mut problems);
    let reservations = reservations(spec, facts, failures);
    let capacity_reservations =
        or_problem(reservations, "CapacityReservationsReady", &mut problems);
    ResolvedNodeClass {
        spec: Arc::clone(spec),
        subnets: subnets.into_iter().map(|found: FoundSubnet| found.subnet).collect(),
        security_groups: security_groups.into_iter().map(|found: FoundGroup| found.group).collect(),
        images,
        capacity_reservations,
        problems,
    }
}

fn or_problem<T>(
    found: Result<Vec<T>, String>,
    condition: &str,
    problems: &mut Vec<(String, String)>,
) -> Vec<T> {
    found.unwrap_or_else(|message| {
        problems.push((condition.to_owned(), message));
        Vec::new()
    })
}

/// How a class calls a selector, by its API version.
fn field(spec: &NodeClassSpec, name: &str) -> String {
    match spec.api_version {
        Some(ApiVersion::Legacy) => format!("{name}Selector"),
        Some(ApiVersion::V1Beta1 | ApiVersion::V1 | ApiVersion::BuiltIn) | None => {
            format!("{name}SelectorTerms")
        }
    }
}

fn subnets(
    spec: &NodeClassSpec,
    facts: &ClassFacts,
    failures: &ClassFailures,
    cluster: &ClusterFacts,
) -> Result<Vec<FoundSubnet>, String> {
    let terms = terms(spec, &spec.subnets);
    let selection = Selection { names: SUBNET_FILTERS, what: "subnet", field: "subnet" };
    let found = selection.of(spec, &terms, &facts.subnets, &failures.subnets, cluster)?;
    if found.iter().any(|found| found.subnet.free_addresses > 0) {
        return Ok(found);
    }
    let ids = found.iter().map(|found| found.subnet.id.as_str()).collect::<Vec<_>>().join(", ");
    Err(format!("no address is free in {ids}; add subnets, or free addresses in these"))
}

fn groups(
    spec: &NodeClassSpec,
    facts: &ClassFacts,
    failures: &ClassFailures,
    cluster: &ClusterFacts,
) -> Result<Vec<FoundGroup>, String> {
    if spec.launch_template.is_some() && spec.security_groups.is_empty() {
        return Ok(Vec::new());
    }
    let terms = terms(spec, &spec.security_groups);
    let selection =
        Selection { names: GROUP_FILTERS, what: "security group", field: "securityGroup" };
    selection.of(spec, &terms, &facts.security_groups, &failures.security_groups, cluster)
}

fn terms<'a>(spec: &NodeClassSpec, terms: &'a [SelectorTerm]) -> Vec<Term<'a>> {
    terms.iter().map(|term| Term::of(term, spec.api_version)).collect()
}

/// One kind of things that terms select in the cluster's VPC.
struct Selection {
    names: FilterNames,
    what: &'static str,
    field: &'static str,
}

impl Selection {
    /// What the terms select of all that was found, by id.
    fn of<T: Selectable + Clone>(
        &self,
        spec: &NodeClassSpec,
        terms: &[Term<'_>],
        shelf: &Shelf<Vec<T>>,
        failures: &Failures,
        cluster: &ClusterFacts,
    ) -> Result<Vec<T>, String> {
        if let Some(error) = self.unread(terms, shelf, failures) {
            return Err(format!("its {}s could not be read: {error}", self.what));
        }
        let selected = |found: &&T| terms.iter().any(|term| term.selects(*found));
        let all = shelf.values().flatten().filter(selected);
        let found = all.map(|found| (found.id().to_owned(), found.clone()));
        let found = found.collect::<BTreeMap<_, _>>();
        if !found.is_empty() {
            return Ok(found.into_values().collect());
        }
        let wanted = terms.iter().map(Term::text).collect::<Vec<_>>().join(" or ");
        let (what, field) = (self.what, field(spec, self.field));
        Err(match wanted.is_empty() {
            true => format!("{field} selects nothing; say which {what}s nodes get"),
            false => format!(
                "no {what} in {} has {wanted}; tag the {what}s or correct {field}",
                cluster.vpc_id
            ),
        })
    }

    /// Why a question that the terms need answered has no answer at all, not even an old one.
    fn unread<'f, T>(
        &self,
        terms: &[Term<'_>],
        shelf: &Shelf<Vec<T>>,
        failures: &'f Failures,
    ) -> Option<&'f CloudReadError> {
        let needed = |question: &str| {
            shelf.get(question).is_none()
                && terms.iter().any(|term| asks_for(question, *term, self.names))
        };
        failures.iter().find(|(question, _)| needed(question)).map(|(_, error)| error)
    }
}

fn reservations(
    spec: &NodeClassSpec,
    facts: &ClassFacts,
    failures: &ClassFailures,
) -> Result<Vec<CapacityReservation>, String> {
    let mut found = BTreeMap::new();
    for term in &spec.capacity_reservations {
        let (question, _) = reservations::search(term);
        match (facts.reservations.get(&question), failures.reservations.get(&question)) {
            (Some(answer), _) => {
                let by_id = answer.iter().map(|found| (found.id.clone(), found.clone()));
                found.extend(by_id);
            }
            (None, Some(error)) => {
                return Err(format!("its capacity reservations could not be read: {error}"));
            }
            (None, None) => {}
        }
    }
    Ok(found.into_values().collect())
}

/// Tells the planner what was found: the zones in which there are subnets with free addresses, and why the class cannot be used,
/// if it cannot. A problem that the object itself has stays the first.
pub fn apply(resolved: &ResolvedNodeClass, class: &mut NodeClass) {
    let usable = resolved.subnets.iter().filter(|subnet| subnet.free_addresses > 0);
    class.zone_ids = usable
        .clone()
        .filter(|subnet| !subnet.zone_id.is_empty())
        .map(|subnet| (subnet.zone.clone(), subnet.zone_id.clone()))
        .collect();
    class.zones = usable.map(|subnet| subnet.zone.clone()).collect();
    class.zones.sort();
    class.zones.dedup();
    class.image_ids = known(resolved, "AMIsReady", &resolved.images, |image| &image.id);
    class.subnet_ids = known(resolved, "SubnetsReady", &resolved.subnets, |subnet| &subnet.id);
    class.security_group_ids =
        known(resolved, "SecurityGroupsReady", &resolved.security_groups, |group| &group.id);
    let reservations = &resolved.capacity_reservations;
    class.reservations.clone_from(reservations);
    class.reservation_ids =
        known(resolved, "CapacityReservationsReady", reservations, |found| &found.id);
    let named = &resolved.spec;
    class.placement_group =
        named.placement_group_id.clone().or_else(|| named.placement_group_name.clone());
    // Reservations that cannot be read cost only their discount.
    let first = resolved.problems.iter().find(|(name, _)| name != "CapacityReservationsReady");
    class.problem = class.problem.take().or_else(|| first.map(|(_, message)| message.clone()));
}

/// The ids of what a class selects, sorted; `None` where that is not known, so that no node is found to have drifted by it.
fn known<T>(
    resolved: &ResolvedNodeClass,
    condition: &str,
    found: &[T],
    id: fn(&T) -> &String,
) -> Option<Vec<String>> {
    let unknown = resolved.problems.iter().any(|(name, _)| name == condition);
    // A launch template of the user's own names its image and groups itself.
    let own_template = resolved.spec.launch_template.is_some() && condition != "SubnetsReady";
    let mut ids = found.iter().map(id).cloned().collect::<Vec<_>>();
    ids.sort();
    ids.dedup();
    (!unknown && !own_template && !ids.is_empty()).then_some(ids)
}
