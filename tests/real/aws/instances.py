"""
DescribeInstances written straight as XML. moto's general writer takes 9 ms for an instance, and a test of a cluster of a
thousand nodes reads them at every turn.
"""

from xml.sax.saxutils import escape

from moto.ec2.exceptions import InvalidParameterCombination
from moto.ec2.models.subnets import Subnet
from moto.ec2.responses.instances import InstanceResponse

from .fleet import LAUNCHING

RESERVATIONS_A_PAGE = 1000


def element(name: str, value) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        value = "true" if value else "false"
    return f"<{name}>{escape(str(value))}</{name}>"


def time(value) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def group_set(groups) -> str:
    items = "".join(f"<item><groupId>{g.id}</groupId><groupName>{escape(g.name)}</groupName></item>" for g in groups)
    return f"<groupSet>{items}</groupSet>"


def tag_set(tags: dict) -> str:
    items = "".join(f"<item>{element('key', k)}<value>{escape(str(v))}</value></item>" for k, v in tags.items())
    return f"<tagSet>{items}</tagSet>" if items else ""


def devices(instance) -> str:
    items = ""
    for name, volume in instance.get_block_device_mapping:
        attached = f"<attachTime>{time(instance.launch_time)}</attachTime>"
        ebs = f"<volumeId>{volume.volume_id}</volumeId><status>attached</status>{attached}"
        ebs += element("deleteOnTermination", bool(volume.delete_on_termination))
        items += f"<item>{element('deviceName', name)}<ebs>{ebs}</ebs></item>"
    return f"<blockDeviceMapping>{items}</blockDeviceMapping>"


def interfaces(instance) -> str:
    items = ""
    for index, nic in instance.nics.items():
        address = element("privateIpAddress", nic.private_ip_address)
        items += "<item>" + element("networkInterfaceId", nic.id) + element("subnetId", instance.subnet_id)
        items += element("vpcId", instance.vpc_id) + address + element("status", "in-use")
        items += group_set(instance.security_groups)
        items += f"<attachment><deviceIndex>{index}</deviceIndex><status>attached</status></attachment>"
        items += f"<privateIpAddressesSet><item>{address}<primary>true</primary></item></privateIpAddressesSet></item>"
    return f"<networkInterfaceSet>{items}</networkInterfaceSet>"


def described(instance) -> str:
    terminated = instance.state == "terminated"
    options = instance.metadata_options
    parts = [
        element("instanceId", instance.id),
        element("imageId", instance.image_id),
        f"<instanceState><code>{instance.state_code}</code><name>{instance.state}</name></instanceState>",
        # An instance that has ended has no address any more.
        "" if terminated else element("privateDnsName", instance.private_dns_name),
        "" if terminated else element("privateIpAddress", instance.private_ip),
        element("dnsName", instance.public_dns_name),
        element("ipAddress", instance.public_ip),
        element("reason", instance.state_transition_reason),
        element("keyName", instance.key_name),
        element("amiLaunchIndex", instance.ami_launch_index),
        element("instanceType", instance.instance_type),
        element("launchTime", time(instance.launch_time)),
        f"<placement>{element('availabilityZone', instance.placement.zone)}<tenancy>default</tenancy></placement>",
        element("platform", instance.platform),
        f"<monitoring>{element('state', instance.monitoring_state)}</monitoring>",
        "" if terminated else element("subnetId", instance.subnet_id) + element("vpcId", instance.vpc_id),
        element("architecture", instance.architecture),
        element("rootDeviceType", "ebs"),
        element("rootDeviceName", instance.root_device_name),
        devices(instance),
        element("virtualizationType", instance.virtualization_type),
        element("clientToken", instance.client_token),
        element("hypervisor", "xen"),
        element("ebsOptimized", bool(instance.ebs_optimized)),
        element("instanceLifecycle", instance.lifecycle),
        element("spotInstanceRequestId", getattr(instance, "spot_instance_request_id", None)),
        group_set([] if terminated else instance.security_groups),
        "" if terminated else interfaces(instance),
        tag_set(instance.ec2_backend.tags.get(instance.id, {})),
    ]
    if profile := instance.iam_instance_profile:
        arn = profile["Arn"] if isinstance(profile, dict) else profile.arn
        parts.append(f"<iamInstanceProfile>{element('arn', arn)}<id>AIPAEXAMPLE</id></iamInstanceProfile>")
    metadata = element("state", options.state) + element("httpTokens", options.http_tokens)
    metadata += element("httpPutResponseHopLimit", options.http_put_response_hop_limit)
    metadata += element("httpEndpoint", options.http_endpoint)
    metadata += element("httpProtocolIpv6", options.http_protocol_ipv6)
    metadata += element("instanceMetadataTags", options.instance_metadata_tags)
    parts.append(f"<metadataOptions>{metadata}</metadataOptions>")
    if instance.state_reason.code:
        reason = element("code", instance.state_reason.code) + element("message", instance.state_reason.message)
        parts.append(f"<stateReason>{reason}</stateReason>")
    return f"<item>{''.join(parts)}</item>"


def install(page) -> None:
    def describe_instances(response) -> str:
        with LAUNCHING:
            return answer(response)

    def answer(response) -> str:
        response.error_on_dryrun()
        backend, filters = response.ec2_backend, response._filters_from_querystring()
        ids = response._get_param("InstanceIds", [])
        if ids and response._get_param("MaxResults"):
            message = "The parameter instancesSet cannot be used with the parameter maxResults"
            raise InvalidParameterCombination(message)
        if ids:
            found, token = backend.get_reservations_by_instance_ids(ids, filters=filters), None
        else:
            found, token = page(response, backend.describe_instances(filters=filters), RESERVATIONS_A_PAGE, 5)
        items = ""
        for reservation in found:
            instances = "".join(described(instance) for instance in reservation.instances)
            items += f"<item><reservationId>{reservation.id}</reservationId><ownerId>{reservation.owner_id}</ownerId>"
            items += f"<groupSet/><instancesSet>{instances}</instancesSet></item>"
        return (
            '<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId>'
            f"<reservationSet>{items}</reservationSet>{element('nextToken', token)}</DescribeInstancesResponse>"
        )

    theirs = Subnet.get_available_subnet_ip

    def get_available_subnet_ip(subnet, instance) -> str:
        """An address that was not used yet, while there is one: moto gives the next instance what the last one has freed."""
        freed, subnet._unused_ips = subnet._unused_ips, set()
        try:
            return theirs(subnet, instance)
        except StopIteration:
            subnet._unused_ips, freed = freed, set()
            return theirs(subnet, instance)
        finally:
            subnet._unused_ips |= freed

    Subnet.get_available_subnet_ip = get_available_subnet_ip
    InstanceResponse.describe_instances = describe_instances
