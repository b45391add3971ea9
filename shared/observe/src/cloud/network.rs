//! Subnets and security groups.

use super::call::{DESCRIBE_SECURITY_GROUPS, DESCRIBE_SUBNETS};
use super::clients::Clients;
use super::error::CloudReadError;
use super::instances::tags;
use super::selectors::{FilterNames, Question, Selectable};
use aws_sdk_ec2::operation::describe_security_groups::DescribeSecurityGroupsOutput;
use aws_sdk_ec2::operation::describe_subnets::DescribeSubnetsOutput;
use aws_sdk_ec2::types;
use model::node_class::SecurityGroup;
use model::{Labels, Subnet};
use serde::{Deserialize, Serialize};

const PAGE: i32 = 500;

/// How long subnets and security groups stay as they are, in seconds (Karpenter's `SUBNET_REFRESH_INTERVAL`, 1 minute).
pub(crate) const TTL_S: i64 = 60;
/// How DescribeSubnets calls its filters; subnets have no name but their tag.
pub(crate) const SUBNET_FILTERS: FilterNames = FilterNames { id: "subnet-id", name: "tag:Name" };
/// How DescribeSecurityGroups calls its filters.
pub(crate) const GROUP_FILTERS: FilterNames = FilterNames { id: "group-id", name: "group-name" };

/// A subnet with its tags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FoundSubnet {
    pub(crate) subnet: Subnet,
    tags: Labels,
}

/// A security group with its tags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FoundGroup {
    pub(crate) group: SecurityGroup,
    tags: Labels,
}

impl Selectable for FoundSubnet {
    fn id(&self) -> &str {
        &self.subnet.id
    }
    fn name(&self) -> &str {
        self.tags.get("Name").map(String::as_str).unwrap_or_default()
    }
    fn tags(&self) -> &Labels {
        &self.tags
    }
}

impl Selectable for FoundGroup {
    fn id(&self) -> &str {
        &self.group.id
    }
    fn name(&self) -> &str {
        &self.group.name
    }
    fn tags(&self) -> &Labels {
        &self.tags
    }
}

pub(crate) async fn read_subnets(
    clients: &Clients,
    question: Question,
) -> Result<Vec<FoundSubnet>, CloudReadError> {
    let call = clients.ec2.describe_subnets().set_filters(Some(question.to_filters()));
    let stream = call.into_paginator().page_size(PAGE).send();
    let mut found = Vec::new();
    let take = |page: DescribeSubnetsOutput| {
        found.extend(page.subnets().iter().filter_map(subnet));
    };
    clients.pages(DESCRIBE_SUBNETS, stream, take).await?;
    Ok(found)
}

fn subnet(found: &types::Subnet) -> Option<FoundSubnet> {
    let subnet = Subnet {
        id: found.subnet_id()?.to_owned(),
        zone: found.availability_zone()?.to_owned(),
        zone_id: found.availability_zone_id().unwrap_or_default().to_owned(),
        free_addresses: found.available_ip_address_count().unwrap_or(0).into(),
    };
    Some(FoundSubnet { subnet, tags: tags(found.tags()) })
}

pub(crate) async fn read_groups(
    clients: &Clients,
    question: Question,
) -> Result<Vec<FoundGroup>, CloudReadError> {
    let call = clients.ec2.describe_security_groups().set_filters(Some(question.to_filters()));
    let stream = call.into_paginator().page_size(PAGE).send();
    let mut found = Vec::new();
    let take = |page: DescribeSecurityGroupsOutput| {
        found.extend(page.security_groups().iter().filter_map(group));
    };
    clients.pages(DESCRIBE_SECURITY_GROUPS, stream, take).await?;
    Ok(found)
}

fn group(found: &types::SecurityGroup) -> Option<FoundGroup> {
    let id = found.group_id()?.to_owned();
    let name = found.group_name().unwrap_or_default().to_owned();
    Some(FoundGroup { group: SecurityGroup { id, name }, tags: tags(found.tags()) })
}
