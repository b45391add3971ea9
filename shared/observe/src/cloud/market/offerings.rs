//! Which types each zone offers.

use super::{Offerings, not_empty};
use crate::cloud::call::DESCRIBE_INSTANCE_TYPE_OFFERINGS;
use crate::cloud::clients::Clients;
use crate::cloud::error::CloudReadError;
use aws_sdk_ec2::operation::describe_instance_type_offerings::DescribeInstanceTypeOfferingsOutput;
use aws_sdk_ec2::types::LocationType;

const PAGE: i32 = 1000;

/// Zone ids by type: ids, because each account names its zones in its own way.
pub(super) async fn read(clients: &Clients) -> Result<Offerings, CloudReadError> {
    let call = clients
        .ec2
        .describe_instance_type_offerings()
        .location_type(LocationType::AvailabilityZoneId);
    let stream = call.into_paginator().page_size(PAGE).send();
    let mut offerings = Offerings::new();
    let take = |page: DescribeInstanceTypeOfferingsOutput| {
        for offering in page.instance_type_offerings() {
            let pair = offering.instance_type().zip(offering.location());
            let Some((name, zone_id)) = pair else { continue };
            offerings.entry(name.as_str().to_owned()).or_default().insert(zone_id.to_owned());
        }
    };
    clients.pages(DESCRIBE_INSTANCE_TYPE_OFFERINGS, stream, take).await?;
    not_empty(DESCRIBE_INSTANCE_TYPE_OFFERINGS, offerings, Offerings::is_empty)
}
