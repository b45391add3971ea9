//! The cluster's instances: the one read that every turn makes, and without which no turn goes on.

use super::call::DESCRIBE_INSTANCES;
use super::clients::Clients;
use super::error::CloudReadError;
use aws_sdk_ec2::types::{self, Filter, InstanceLifecycleType, InstanceStateName};
use model::labels::{CLUSTER_TAG_PREFIX, NODE_POOL, PROVISIONER_NAME};
use model::{CapacityType, Instance, InstanceState, Labels, Timestamp};

const PAGE: i32 = 1000;
const STATES: [&str; 5] = ["pending", "running", "shutting-down", "stopping", "stopped"];

/// Instances that carry the cluster's tag and that of a pool, by id; those terminated are left out.
pub(crate) async fn read(
    clients: &Clients,
    cluster: &str,
) -> Result<Vec<Instance>, CloudReadError> {
    let filter = |name: String, values: &[&str]| {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Filter::builder().name(name).set_values(Some(values)).build()
    };
    let stream = clients
        .ec2
        .describe_instances()
        .filters(filter(format!("tag:{CLUSTER_TAG_PREFIX}{cluster}"), &["owned"]))
        .filters(filter("tag-key".to_owned(), &[NODE_POOL, PROVISIONER_NAME]))
        .filters(filter("instance-state-name".to_owned(), &STATES))
        .into_paginator()
        .page_size(PAGE)
        .send();
    let mut instances = Vec::new();
    let take = |page: aws_sdk_ec2::operation::describe_instances::DescribeInstancesOutput| {
        let found = page.reservations().iter().flat_map(|reservation| reservation.instances());
        instances.extend(found.filter_map(instance));
    };
    clients.pages(DESCRIBE_INSTANCES, stream, take).await?;
    instances.sort_by(|a, b| a.id.cmp(&b.id));
    instances.dedup_by(|a, b| a.id == b.id);
    Ok(instances)
}

/// An instance without an id, a type or a state that is known is none that could be acted on.
fn instance(found: &types::Instance) -> Option<Instance> {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let groups = found.security_groups().iter().filter_map(|group| group.group_id());
    let mut security_group_ids = groups.map(str::to_owned).collect::<Vec<_>>();
    security_group_ids.sort();
    Some(Instance {
        id: found.instance_id()?.to_owned(),
        instance_type: found.instance_type()?.as_str().to_owned(),
        zone: text(found.placement().and_then(|placement| placement.availability_zone())),
        capacity_type: capacity_type(found),
        state: state(found.state()?.name()?)?,
        launched_at: Timestamp(found.launch_time().map_or(0, |time| time.secs())),
        private_dns_name: text(found.private_dns_name()),
        image_id: text(found.image_id()),
        subnet_id: text(found.subnet_id()),
        security_group_ids,
        reservation_id: found.capacity_reservation_id().map(str::to_owned),
        placement_group: placement_group(found),
        interruption: None,
        tags: tags(found.tags()),
    })
}

fn placement_group(found: &types::Instance) -> Vec<String> {
    let placement = found.placement();
    let named = placement.and_then(|placement| placement.group_name());
    let by_id = placement.and_then(|placement| placement.group_id());
    let given = by_id.into_iter().chain(named).filter(|text| !text.is_empty());
    given.map(str::to_owned).collect()
}

fn capacity_type(found: &types::Instance) -> CapacityType {
    match found.instance_lifecycle() {
        Some(InstanceLifecycleType::Spot) => CapacityType::Spot,
        _ if found.capacity_reservation_id().is_some() => CapacityType::Reserved,
        _ => CapacityType::OnDemand,
    }
}

fn state(name: &InstanceStateName) -> Option<InstanceState> {
    let known = [
        (InstanceStateName::Pending, InstanceState::Pending),
        (InstanceStateName::Running, InstanceState::Running),
        (InstanceStateName::Stopping, InstanceState::Stopping),
        (InstanceStateName::Stopped, InstanceState::Stopped),
        (InstanceStateName::ShuttingDown, InstanceState::ShuttingDown),
        (InstanceStateName::Terminated, InstanceState::Terminated),
    ];
    known.into_iter().find(|(known, _)| known == name).map(|(_, state)| state)
}

/// Tags as labels.
pub(crate) fn tags(tags: &[types::Tag]) -> Labels {
    let pair = |tag: &types::Tag| {
        Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()))
    };
    tags.iter().filter_map(pair).collect()
}
