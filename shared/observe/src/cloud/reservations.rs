//! Capacity reservations of classes that select any.

use super::call::DESCRIBE_CAPACITY_RESERVATIONS;
use super::clients::Clients;
use super::error::CloudReadError;
use super::selectors::Question;
use aws_sdk_ec2::operation::describe_capacity_reservations::DescribeCapacityReservationsOutput;
use aws_sdk_ec2::types;
use model::node_class::{CapacityReservation, SelectorTerm};
use model::{Instance, Timestamp};
use std::collections::BTreeSet;

const PAGE: i32 = 1000;

/// How long they stay as they are, in seconds: what they still hold changes with every launch.
pub(crate) const TTL_S: i64 = 60;

/// A search for reservations: one id, or filters.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    id: Option<String>,
    question: Question,
}

/// The search that answers a term, by its key.
pub(crate) fn search(term: &SelectorTerm) -> (String, Search) {
    let mut question = Question::default();
    let mut add = |name: String, value: &str| {
        question.filters.insert(name, BTreeSet::from([value.to_owned()]));
    };
    add("state".to_owned(), "active");
    if let Some(id) = &term.id {
        return (format!("id={id}"), Search { id: Some(id.clone()), question });
    }
    term.owner.iter().for_each(|owner| add("owner-id".to_owned(), owner));
    let criteria = term.match_criteria.iter();
    criteria.for_each(|criteria| add("instance-match-criteria".to_owned(), criteria));
    for (key, value) in &term.tags {
        match value.as_str() {
            "*" => add("tag-key".to_owned(), key),
            value => add(format!("tag:{key}"), value),
        }
    }
    (question.key(), Search { id: None, question })
}

pub(crate) async fn read(
    clients: &Clients,
    search: Search,
) -> Result<Vec<CapacityReservation>, CloudReadError> {
    let call = clients
        .ec2
        .describe_capacity_reservations()
        .set_capacity_reservation_ids(search.id.map(|id| vec![id]))
        .set_filters(Some(search.question.to_filters()));
    let stream = call.into_paginator().page_size(PAGE).send();
    let mut found = Vec::new();
    let take = |page: DescribeCapacityReservationsOutput| {
        found.extend(page.capacity_reservations().iter().filter_map(reservation));
    };
    match clients.pages(DESCRIBE_CAPACITY_RESERVATIONS, stream, take).await {
        Err(CloudReadError::Refused { code, .. })
            if code.starts_with("InvalidCapacityReservationId") =>
        {
            Ok(Vec::new())
        }
        answer => answer.map(|()| found),
    }
}

/// Takes away what was bought since the reservations may have been read.
pub(crate) fn count_launched(
    reservations: &mut [CapacityReservation],
    instances: &[Instance],
    now: Timestamp,
) {
    let since =
        instances.iter().filter(|own| own.is_live() && now.since(own.launched_at).0 <= TTL_S);
    for id in since.filter_map(|own| own.reservation_id.as_ref()) {
        let known = reservations.iter_mut().filter(|own| own.id == *id);
        known.for_each(|own| own.available = (own.available - 1).max(0));
    }
}

fn reservation(found: &types::CapacityReservation) -> Option<CapacityReservation> {
    let kind = found.reservation_type().map_or("default", |kind| kind.as_str());
    let criteria = found.instance_match_criteria().map_or("open", |criteria| criteria.as_str());
    Some(CapacityReservation {
        id: found.capacity_reservation_id()?.to_owned(),
        instance_type: found.instance_type()?.to_owned(),
        zone: found.availability_zone()?.to_owned(),
        available: found.available_instance_count().unwrap_or(0).into(),
        kind: kind.to_owned(),
        owner: found.owner_id().unwrap_or_default().to_owned(),
        match_criteria: criteria.to_owned(),
        ends_at: found.end_date().map(|time| Timestamp(time.secs())),
    })
}
