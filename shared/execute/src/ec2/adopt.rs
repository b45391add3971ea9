//! What a batch bought before, when its call cannot be repeated as it was.

use super::{Ec2Cloud, paid_for};
use crate::launch_template::{Templates, images_by_type};
use crate::ports::{Bought, CloudError, FleetAnswer, FleetRequest};
use aws_sdk_ec2::types::{Filter, Instance, InstanceLifecycleType};
use model::labels;
use model::node_class::ResolvedNodeClass;

impl Ec2Cloud {
    /// The answer that the batch's first call must have had, by the batch's tag. EC2 refuses a used token with other parameters:
    /// the class, its image or the subnets with the most addresses have changed since.
    ///
    /// # Errors
    /// `mismatch` itself if fewer instances are found than were asked for: they may not be visible yet, or were never bought.
    pub(super) async fn first_answer(
        &self,
        request: &FleetRequest,
        class: &ResolvedNodeClass,
        templates: &Templates,
        mismatch: CloudError,
    ) -> Result<FleetAnswer, CloudError> {
        const CALL: &str = "DescribeInstances";
        self.take(CALL, 1, |buckets| &mut buckets.describe)?;
        let filter = |name: &str, values: &[&str]| {
            let values = values.iter().map(|value| (*value).to_owned()).collect();
            Filter::builder().name(name).set_values(Some(values)).build()
        };
        let call = self
            .ec2
            .describe_instances()
            .filters(filter(&format!("tag:{}", labels::BATCH), &[&request.batch]))
            .filters(filter("instance-state-name", &["pending", "running"]));
        let mut pages = call.into_paginator().send();
        let mut bought = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.error(CALL, &request.batch, &error))?;
            let instances = page.reservations().iter().flat_map(|each| each.instances());
            bought.extend(instances.filter_map(|found| adopted(found, request, class, templates)));
        }
        if bought.len() < request.size as usize {
            return Err(mismatch);
        }
        bought.sort();
        Ok(FleetAnswer { bought, refused: Vec::new() })
    }
}

fn adopted(
    found: &Instance,
    request: &FleetRequest,
    class: &ResolvedNodeClass,
    templates: &Templates,
) -> Option<Bought> {
    let instance_type = found.instance_type()?.as_str().to_owned();
    let subnet = class.subnets.iter().find(|subnet| Some(subnet.id.as_str()) == found.subnet_id());
    let placed = found.placement().and_then(|placement| placement.availability_zone());
    let image = found.image_id().map(str::to_owned);
    let image = image.or_else(|| images_by_type(templates).remove(&instance_type));
    Some(Bought {
        id: found.instance_id()?.to_owned(),
        zone: placed.map(str::to_owned).or_else(|| subnet.map(|subnet| subnet.zone.clone()))?,
        capacity_type: paid_for(
            request,
            found.instance_lifecycle() == Some(&InstanceLifecycleType::Spot),
        ),
        image_id: image.unwrap_or_default(),
        instance_type,
    })
}
