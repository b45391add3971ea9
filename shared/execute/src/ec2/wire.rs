//! Launch templates and tags in the SDK's terms.

use crate::launch_template::{Interface, Reservation, TemplateData};
use aws_sdk_ec2::types as ec2;
use model::Labels;
use model::instance_type::CAPACITY_BLOCK;
use model::node_class::{BlockDevice, MetadataOptions};

pub(super) fn tags(tags: &Labels) -> Vec<ec2::Tag> {
    tags.iter().map(|(key, value)| ec2::Tag::builder().key(key).value(value).build()).collect()
}

pub(super) fn tag_specification(kind: ec2::ResourceType, all: &Labels) -> ec2::TagSpecification {
    ec2::TagSpecification::builder().resource_type(kind).set_tags(Some(tags(all))).build()
}

pub(super) fn template_data(data: &TemplateData) -> ec2::RequestLaunchTemplateData {
    let monitoring =
        ec2::LaunchTemplatesMonitoringRequest::builder().enabled(data.detailed_monitoring);
    let enclave = ec2::LaunchTemplateEnclaveOptionsRequest::builder().enabled(true).build();
    let profile = data.instance_profile.as_ref().map(|name| {
        ec2::LaunchTemplateIamInstanceProfileSpecificationRequest::builder().name(name).build()
    });
    let block_devices = data.block_devices.iter().map(block_device).collect::<Vec<_>>();
    ec2::RequestLaunchTemplateData::builder()
        .image_id(&data.image_id)
        .set_iam_instance_profile(profile)
        .user_data(&data.user_data)
        .monitoring(monitoring.build())
        .metadata_options(metadata_options(&data.metadata_options))
        .set_block_device_mappings((!block_devices.is_empty()).then_some(block_devices))
        .set_network_interfaces(Some(data.interfaces.iter().map(interface).collect()))
        .set_placement(placement(data))
        .set_capacity_reservation_specification(reservation(data))
        .set_instance_market_options(data.reservation.as_ref().and_then(market))
        .set_enclave_options(data.enclave.then_some(enclave))
        .set_cpu_options(data.nested_virtualization.map(cpu_options))
        .set_tag_specifications(Some(template_tags(data)))
        .build()
}

/// Whether the instances come from a block of capacity, which EC2 treats as a market of its own.
pub(super) fn is_capacity_block(data: &TemplateData) -> bool {
    data.reservation.as_ref().is_some_and(|reservation| reservation.kind == CAPACITY_BLOCK)
}

fn market(reservation: &Reservation) -> Option<ec2::LaunchTemplateInstanceMarketOptionsRequest> {
    (reservation.kind == CAPACITY_BLOCK).then(|| {
        ec2::LaunchTemplateInstanceMarketOptionsRequest::builder()
            .market_type(ec2::MarketType::CapacityBlock)
            .build()
    })
}

fn reservation(
    data: &TemplateData,
) -> Option<ec2::LaunchTemplateCapacityReservationSpecificationRequest> {
    let builder = ec2::LaunchTemplateCapacityReservationSpecificationRequest::builder();
    if let Some(reservation) = &data.reservation {
        let target = ec2::CapacityReservationTarget::builder();
        let target = target.capacity_reservation_id(&reservation.id).build();
        return Some(builder.capacity_reservation_target(target).build());
    }
    let none = ec2::CapacityReservationPreference::None;
    data.keep_off_reservations.then(|| builder.capacity_reservation_preference(none).build())
}

fn placement(data: &TemplateData) -> Option<ec2::LaunchTemplatePlacementRequest> {
    let given = data.placement_group_id.is_some() || data.placement_group_name.is_some();
    given.then(|| {
        ec2::LaunchTemplatePlacementRequest::builder()
            .set_group_id(data.placement_group_id.clone())
            .set_group_name(data.placement_group_name.clone())
            .build()
    })
}

fn cpu_options(nested: bool) -> ec2::LaunchTemplateCpuOptionsRequest {
    let value = match nested {
        true => ec2::NestedVirtualizationSpecification::Enabled,
        false => ec2::NestedVirtualizationSpecification::Disabled,
    };
    ec2::LaunchTemplateCpuOptionsRequest::builder().nested_virtualization(value).build()
}

fn metadata_options(
    options: &MetadataOptions,
) -> ec2::LaunchTemplateInstanceMetadataOptionsRequest {
    ec2::LaunchTemplateInstanceMetadataOptionsRequest::builder()
        .http_endpoint(options.http_endpoint.as_str().into())
        .http_protocol_ipv6(options.http_protocol_ipv6.as_str().into())
        .http_put_response_hop_limit(options.http_put_response_hop_limit as i32)
        .http_tokens(options.http_tokens.as_str().into())
        .instance_metadata_tags(ec2::LaunchTemplateInstanceMetadataTagsState::Disabled)
        .build()
}

fn block_device(device: &BlockDevice) -> ec2::LaunchTemplateBlockDeviceMappingRequest {
    let number = |value: Option<i64>| value.map(|value| value as i32);
    let ebs = ec2::LaunchTemplateEbsBlockDeviceRequest::builder()
        .set_encrypted(device.encrypted)
        .set_delete_on_termination(device.delete_on_termination)
        .set_iops(number(device.iops))
        .set_kms_key_id(device.kms_key_id.clone())
        .set_snapshot_id(device.snapshot_id.clone())
        .set_volume_size(number(device.size_gib))
        .set_volume_type(device.volume_type.as_deref().map(ec2::VolumeType::from))
        .set_throughput(number(device.throughput))
        .set_volume_initialization_rate(number(device.volume_initialization_rate));
    ec2::LaunchTemplateBlockDeviceMappingRequest::builder()
        .device_name(&device.device_name)
        .ebs(ebs.build())
        .build()
}

fn interface(
    interface: &Interface,
) -> ec2::LaunchTemplateInstanceNetworkInterfaceSpecificationRequest {
    // An `efa-only` interface carries no IP addresses; the default type is left to EC2, which calls it by no name there.
    let kind = Some(&interface.interface_type).filter(|kind| *kind != "interface").cloned();
    ec2::LaunchTemplateInstanceNetworkInterfaceSpecificationRequest::builder()
        .network_card_index(interface.network_card_index)
        .device_index(interface.device_index)
        .set_interface_type(kind)
        .set_groups(Some(interface.groups.clone()))
        .set_associate_public_ip_address(interface.associate_public_ip_address)
        .set_ipv4_prefix_count(interface.ipv4_prefix_count)
        .set_ipv6_address_count(interface.ipv6.then_some(1))
        .set_primary_ipv6(interface.ipv6.then_some(true))
        .set_connection_tracking_specification(tracking(interface))
        .build()
}

fn tracking(interface: &Interface) -> Option<ec2::ConnectionTrackingSpecificationRequest> {
    let (tcp, stream, udp) = (
        interface.tcp_established_timeout_s,
        interface.udp_stream_timeout_s,
        interface.udp_timeout_s,
    );
    let given = tcp.is_some() || stream.is_some() || udp.is_some();
    given.then(|| {
        ec2::ConnectionTrackingSpecificationRequest::builder()
            .set_tcp_established_timeout(tcp)
            .set_udp_stream_timeout(stream)
            .set_udp_timeout(udp)
            .build()
    })
}

/// CreateFleet tags instances, volumes and itself; these two can only be tagged here.
fn template_tags(data: &TemplateData) -> Vec<ec2::LaunchTemplateTagSpecificationRequest> {
    let mut kinds = vec![ec2::ResourceType::NetworkInterface];
    if data.spot {
        kinds.push(ec2::ResourceType::SpotInstancesRequest);
    }
    let specification = |kind| {
        ec2::LaunchTemplateTagSpecificationRequest::builder()
            .resource_type(kind)
            .set_tags(Some(tags(&data.tags)))
            .build()
    };
    kinds.into_iter().map(specification).collect()
}
