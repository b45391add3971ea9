//! CreateFleet: what is asked, and what the answer says.

use super::overrides::{Override, overrides};
use super::{Ec2Cloud, errors, paid_for, wire};
use crate::launch_template::{Templates, images_by_type, instance_tags};
use crate::ports::{Bought, CloudError, FleetAnswer, FleetRequest, Refusal};
use aws_sdk_ec2::operation::create_fleet::CreateFleetOutput;
use aws_sdk_ec2::operation::create_fleet::builders::CreateFleetFluentBuilder;
use aws_sdk_ec2::types as ec2;
use model::CapacityType;
use model::account::redacted;
use model::node_class::{ClusterFacts, ResolvedNodeClass};
use std::collections::BTreeMap;

const CALL: &str = "CreateFleet";

/// What the reading of an answer needs.
struct Asked<'a> {
    request: &'a FleetRequest,
    class: &'a ResolvedNodeClass,
    images: BTreeMap<String, String>,
}

impl Ec2Cloud {
    /// Buys by the templates, which are there.
    pub(super) async fn create_fleet(
        &self,
        request: &FleetRequest,
        class: &ResolvedNodeClass,
        cluster: &ClusterFacts,
        templates: &Templates,
    ) -> Result<FleetAnswer, CloudError> {
        let now = self.now_ms();
        let subnets = {
            let memory = &mut *self.memory();
            memory.chosen.of(&request.batch, &class.subnets, &mut memory.in_flight, now)
        };
        let (overrides, refused) = overrides(templates, &subnets);
        if overrides.is_empty() {
            return Ok(FleetAnswer { bought: Vec::new(), refused });
        }
        self.take(CALL, 1, |buckets| &mut buckets.create_fleet)?;
        self.take(CALL, request.size.into(), |buckets| &mut buckets.instances_run)?;
        let call = fleet_call(&self.ec2, request, templates, &overrides);
        let call = call.set_tag_specifications(Some(fleet_tags(request, class, cluster)));
        let call = call.set_context(class.spec.context.clone());
        let asked = Asked { request, class, images: images_by_type(templates) };
        let mut answer = match call.send().await {
            Ok(output) => self.answer(&asked, &output)?,
            Err(error) => refused_whole(request, self.error(CALL, &request.batch, &error))?,
        };
        answer.refused.extend(refused);
        Ok(answer)
    }

    fn answer(&self, asked: &Asked, output: &CreateFleetOutput) -> Result<FleetAnswer, CloudError> {
        // The SDK reads an answer that ends in its middle as one without fields.
        if output.fleet_id().is_none() {
            let message = "the answer cannot be read".to_owned();
            return Err(CloudError::Unknown { call: CALL, message });
        }
        let mut answer = FleetAnswer::default();
        for instance in output.instances() {
            self.count_addresses(asked, instance);
            answer.bought.extend(asked.bought(instance));
        }
        answer.bought.sort();
        answer.refused = output.errors().iter().map(|error| asked.refusal(error)).collect();
        let gone = |error: &ec2::CreateFleetError| {
            errors::is_template_gone(error.error_code().unwrap_or_default())
        };
        if answer.bought.is_empty()
            && let Some(error) = output.errors().iter().find(|error| gone(error))
        {
            let code = error.error_code().unwrap_or_default();
            let message = error.error_message().unwrap_or_default();
            return Err(errors::answered(
                CALL,
                "launch template",
                &self.cluster,
                code,
                message,
                400,
            ));
        }
        Ok(answer)
    }

    /// Counts the addresses that new nodes will take before EC2 reports them taken: at least one for each pod that fits.
    fn count_addresses(&self, asked: &Asked, instance: &ec2::CreateFleetInstance) {
        let Some(subnet) = placed(instance.launch_template_and_overrides()).subnet else { return };
        let pods = asked.request.max_pods.values().min().copied().unwrap_or(1).max(1);
        let count = i64::try_from(instance.instance_ids().len()).unwrap_or(i64::MAX);
        let now = self.now_ms();
        self.memory().in_flight.add(&subnet, pods.saturating_mul(count), now);
    }
}

fn fleet_call(
    client: &aws_sdk_ec2::Client,
    request: &FleetRequest,
    templates: &Templates,
    overrides: &[Override],
) -> CreateFleetFluentBuilder {
    let block = templates.templates.iter().filter_map(|template| template.data.as_ref());
    let default_type = match request.capacity_type {
        CapacityType::Spot => ec2::DefaultTargetCapacityType::Spot,
        CapacityType::Reserved if block.clone().any(wire::is_capacity_block) => {
            ec2::DefaultTargetCapacityType::CapacityBlock
        }
        CapacityType::Reserved | CapacityType::OnDemand => ec2::DefaultTargetCapacityType::OnDemand,
    };
    let target = ec2::TargetCapacitySpecificationRequest::builder()
        .total_target_capacity(i32::try_from(request.size).unwrap_or(i32::MAX))
        .default_target_capacity_type(default_type)
        .build();
    let call = client
        .create_fleet()
        .client_token(&request.batch)
        .r#type(ec2::FleetType::Instant)
        .target_capacity_specification(target)
        .set_launch_template_configs(Some(configs(templates, overrides)));
    match request.capacity_type {
        CapacityType::Spot => call.spot_options(
            ec2::SpotOptionsRequest::builder()
                .allocation_strategy(ec2::SpotAllocationStrategy::PriceCapacityOptimized)
                .build(),
        ),
        CapacityType::Reserved | CapacityType::OnDemand => {
            call.on_demand_options(on_demand_options(request.capacity_type))
        }
    }
}

fn on_demand_options(capacity_type: CapacityType) -> ec2::OnDemandOptionsRequest {
    let reserved = ec2::CapacityReservationOptionsRequest::builder()
        .usage_strategy(ec2::FleetCapacityReservationUsageStrategy::UseCapacityReservationsFirst)
        .build();
    ec2::OnDemandOptionsRequest::builder()
        .allocation_strategy(ec2::FleetOnDemandAllocationStrategy::LowestPrice)
        .set_capacity_reservation_options(
            (capacity_type == CapacityType::Reserved).then_some(reserved),
        )
        .build()
}

/// One configuration for each template that has overrides. An override's priority is its place by price, over all templates.
fn configs(
    templates: &Templates,
    overrides: &[Override],
) -> Vec<ec2::FleetLaunchTemplateConfigRequest> {
    let mut by_template: BTreeMap<usize, Vec<ec2::FleetLaunchTemplateOverridesRequest>> =
        BTreeMap::new();
    for (place, one) in overrides.iter().enumerate() {
        let request = ec2::FleetLaunchTemplateOverridesRequest::builder()
            .instance_type(one.instance_type.as_str().into())
            .subnet_id(&one.subnet)
            .priority(place as f64)
            .build();
        by_template.entry(one.template).or_default().push(request);
    }
    let config = |(index, overrides): (usize, Vec<_>)| {
        let template = templates.templates.get(index)?;
        let named = ec2::FleetLaunchTemplateSpecificationRequest::builder()
            .launch_template_name(&template.name)
            .version("$Latest")
            .build();
        let config = ec2::FleetLaunchTemplateConfigRequest::builder();
        let config = config.launch_template_specification(named).set_overrides(Some(overrides));
        Some(config.build())
    };
    by_template.into_iter().filter_map(config).collect()
}

fn fleet_tags(
    request: &FleetRequest,
    class: &ResolvedNodeClass,
    cluster: &ClusterFacts,
) -> Vec<ec2::TagSpecification> {
    let tags = instance_tags(request, &class.spec, cluster);
    [ec2::ResourceType::Instance, ec2::ResourceType::Volume, ec2::ResourceType::Fleet]
        .into_iter()
        .map(|kind| wire::tag_specification(kind, &tags))
        .collect()
}

/// A call that is refused as a whole for want of capacity refuses each of its offerings; the account may not buy spot at all, or
/// has used up its quota, whatever the type.
fn refused_whole(request: &FleetRequest, error: CloudError) -> Result<FleetAnswer, CloudError> {
    let CloudError::Refused { code, message, .. } = &error else { return Err(error) };
    if !errors::is_no_capacity(code) {
        return Err(error);
    }
    let refusal = |instance_type: &str, zone: &str| Refusal {
        instance_type: instance_type.to_owned(),
        zone: zone.to_owned(),
        code: code.clone(),
        message: message.clone(),
        no_capacity: true,
    };
    let of_all = [
        errors::SPOT_ROLE_MISSING,
        "MaxSpotInstanceCountExceeded",
        "VcpuLimitExceeded",
        "MaxFleetCountExceeded",
    ];
    let mut refused = match of_all.contains(&code.as_str()) {
        true => vec![refusal("*", "*")],
        false => request
            .offerings
            .iter()
            .map(|offering| refusal(&offering.instance_type, &offering.zone))
            .collect(),
    };
    refused.sort();
    refused.dedup();
    Ok(FleetAnswer { bought: Vec::new(), refused })
}

/// Where an override lies.
#[derive(Default)]
struct Placed {
    instance_type: Option<String>,
    subnet: Option<String>,
    zone: Option<String>,
    image_id: Option<String>,
}

fn placed(response: Option<&ec2::LaunchTemplateAndOverridesResponse>) -> Placed {
    let Some(overrides) = response.and_then(|response| response.overrides()) else {
        return Placed::default();
    };
    Placed {
        instance_type: overrides.instance_type().map(|kind| kind.as_str().to_owned()),
        subnet: overrides.subnet_id().map(str::to_owned),
        zone: overrides.availability_zone().map(str::to_owned),
        image_id: overrides.image_id().map(str::to_owned),
    }
}

impl Asked<'_> {
    fn zone(&self, placed: &Placed) -> Option<String> {
        let of_subnet = || {
            let id = placed.subnet.as_ref()?;
            let subnet = self.class.subnets.iter().find(|subnet| subnet.id == *id)?;
            Some(subnet.zone.clone())
        };
        placed.zone.clone().or_else(of_subnet)
    }

    fn bought(&self, instance: &ec2::CreateFleetInstance) -> Vec<Bought> {
        let placed = placed(instance.launch_template_and_overrides());
        let zone = instance.availability_zone().map(str::to_owned).or_else(|| self.zone(&placed));
        let kind = instance.instance_type().map(|kind| kind.as_str().to_owned());
        let instance_type = kind.or(placed.instance_type).unwrap_or_default();
        let image = placed.image_id.or_else(|| self.images.get(&instance_type).cloned());
        let spot = instance.lifecycle() == Some(&ec2::InstanceLifecycle::Spot);
        let one = |id: &String| Bought {
            id: id.clone(),
            instance_type: instance_type.clone(),
            zone: zone.clone().unwrap_or_default(),
            capacity_type: paid_for(self.request, spot),
            image_id: image.clone().unwrap_or_default(),
        };
        instance.instance_ids().iter().map(one).collect()
    }

    fn refusal(&self, error: &ec2::CreateFleetError) -> Refusal {
        let placed = placed(error.launch_template_and_overrides());
        let code = error.error_code().unwrap_or_default();
        let zone = self.zone(&placed).unwrap_or_else(|| "*".to_owned());
        let kind = placed.instance_type.unwrap_or_else(|| "*".to_owned());
        let (instance_type, zone) = match code {
            errors::SPOT_ROLE_MISSING => ("*".to_owned(), "*".to_owned()),
            "InsufficientFreeAddressesInSubnet" => ("*".to_owned(), zone),
            _ => (kind, zone),
        };
        Refusal {
            instance_type,
            zone,
            code: code.to_owned(),
            message: redacted(error.error_message().unwrap_or_default()),
            no_capacity: errors::is_no_capacity(code),
        }
    }
}
