"""Answers of EC2 that moto has not, or not as EC2 gives them: prices, filters, pages, reservations, spot requests."""

import datetime
import fnmatch

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.ec2 import utils
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS
from moto.ec2.responses import EC2Response
from moto.ec2.responses.instances import InstanceResponse
from moto.ec2.responses.launch_templates import LaunchTemplates
from moto.ec2.responses.spot_instances import SpotInstances

from . import instances, status
from .prices import Prices

# Filters of DescribeInstances: from EC2's name to what an instance of moto has. A list is true if any entry is.
INSTANCE_FILTERS = {
    "architecture": lambda i: i.architecture,
    "availability-zone": lambda i: i.placement.zone,
    "client-token": lambda i: i.client_token,
    "dns-name": lambda i: i.public_dns_name,
    "group-id": lambda i: [group.id for group in i.security_groups],
    "hypervisor": lambda i: i.hypervisor,
    "iam-instance-profile.arn": lambda i: (i.iam_instance_profile or {}).get("Arn"),
    "image-id": lambda i: i.image_id,
    "instance-id": lambda i: i.id,
    "instance-lifecycle": lambda i: i.lifecycle,
    "instance-state-code": lambda i: str(i.state_code),
    "instance-state-name": lambda i: i.state,
    "instance-type": lambda i: i.instance_type,
    "instance.group-id": lambda i: [group.id for group in i.security_groups],
    "instance.group-name": lambda i: [group.name for group in i.security_groups],
    "ip-address": lambda i: i.public_ip,
    "key-name": lambda i: i.key_name,
    "launch-time": lambda i: i.launch_time.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    "metadata-options.http-tokens": lambda i: i.metadata_options.http_tokens,
    "network-interface.private-dns-name": lambda i: i.private_dns_name,
    "network-interface.subnet-id": lambda i: i.subnet_id,
    "owner-id": lambda i: i.owner_id,
    "private-dns-name": lambda i: i.private_dns_name,
    "private-ip-address": lambda i: i.private_ip,
    "spot-instance-request-id": lambda i: getattr(i, "spot_instance_request_id", None),
    "state-reason-code": lambda i: i.state_reason.code,
    "subnet-id": lambda i: i.subnet_id,
    "vpc-id": lambda i: i.vpc_id,
}
TYPES_A_PAGE = 100
OFFERINGS_A_PAGE = 1000
SPOT_PRICES_A_PAGE = 1000
TEMPLATES_A_PAGE = 200


def like(value, patterns: list[str]) -> bool:
    """As EC2 compares: `*` and `?` are wildcards, a value that is absent matches nothing."""
    values = value if isinstance(value, list) else [value]
    return any(fnmatch.fnmatchcase(str(v), p) for v in values if v is not None for p in patterns)


def matches(instance, filters: dict[str, list[str]]) -> bool:
    tags = instance.ec2_backend.tags.get(instance.id, {})
    for name, patterns in filters.items():
        if name.startswith("tag:"):
            value = tags.get(name[4:])
        elif name == "tag-key":
            value = list(tags)
        elif name == "tag-value":
            value = list(tags.values())
        elif name in INSTANCE_FILTERS:
            value = INSTANCE_FILTERS[name](instance)
        else:
            raise EC2ClientError("InvalidParameterValue", f"The filter '{name}' is invalid")
        if not like(value, patterns):
            return False
    return True


def page(response, items: list, size: int, least: int = 1) -> tuple[list, str | None]:
    """The page that the request asks for, and the token of the next."""
    wanted = int(response._get_param("MaxResults") or size)
    if not least <= wanted <= size:
        message = f"Value ( {wanted} ) for parameter maxResults is invalid. Expecting a value between {least} and {size}."
        raise EC2ClientError("InvalidParameterValue", message)
    token = response._get_param("NextToken")
    if token and not token.isdigit():
        raise EC2ClientError("InvalidNextToken", "The specified token is invalid")
    start = int(token or 0)
    end = start + wanted
    return items[start:end], str(end) if end < len(items) else None


def get_tags(resource) -> list[dict[str, str]]:
    """moto's own looks through the tags of all resources, which takes seconds for a thousand instances."""
    return [{"key": key, "value": value} for key, value in resource.ec2_backend.tags.get(resource.id, {}).items()]


def install(prices: Prices, reservations: list[dict]) -> None:
    utils.passes_filter_dict = matches
    TaggedEC2Resource.get_tags = get_tags
    instances.install(page)
    status.install(page, like)
    types = InstanceResponse.describe_instance_types
    create_template = LaunchTemplates.create_launch_template

    def describe_instance_types(response) -> ActionResult:
        response.error_on_dryrun()
        found = types(response).result["InstanceTypes"]
        if response._get_param("InstanceTypes"):
            return ActionResult({"InstanceTypes": found})
        found, token = page(response, found, TYPES_A_PAGE, 5)
        return ActionResult({"InstanceTypes": found, "NextToken": token})

    def describe_instance_type_offerings(response) -> ActionResult:
        filters = response._filters_from_querystring()
        location = response._get_param("LocationType") or "region"
        found = []
        for offering in INSTANCE_TYPE_OFFERINGS[location].get(response.region, []):
            values = {"instance-type": offering["InstanceType"], "location": offering["Location"]}
            if all(like(values.get(name), patterns) for name, patterns in filters.items()):
                found.append(offering)
        found, token = page(response, found, OFFERINGS_A_PAGE, 5)
        return ActionResult({"InstanceTypeOfferings": found, "NextToken": token})

    def describe_spot_price_history(response) -> ActionResult:
        found = spot_prices(response, prices)
        found, token = page(response, found, SPOT_PRICES_A_PAGE)
        return ActionResult({"SpotPriceHistory": found, "NextToken": token})

    def describe_capacity_reservations(response) -> ActionResult:
        filters = response._filters_from_querystring()
        ids = response._get_param("CapacityReservationIds") or []
        found = [r for r in reservations if not ids or r["CapacityReservationId"] in ids]
        found = [r for r in found if reservation_matches(r, filters)]
        found, token = page(response, found, 1000)
        return ActionResult({"CapacityReservations": found, "NextToken": token})

    def describe_placement_groups(_) -> ActionResult:
        return ActionResult({"PlacementGroups": []})

    def describe_launch_templates(response) -> ActionResult:
        response.error_on_dryrun()
        found = response.ec2_backend.describe_launch_templates(
            template_names=response._get_param("LaunchTemplateNames", []),
            template_ids=response._get_param("LaunchTemplateIds", []),
            filters=response._filters_from_querystring(),
        )
        found, token = page(response, found, TEMPLATES_A_PAGE)
        described = [described_template(template, response) for template in found]
        return ActionResult({"LaunchTemplates": described, "NextToken": token})

    def create_launch_template(response) -> ActionResult:
        result = create_template(response)
        found = response.ec2_backend.get_launch_template(result.result["LaunchTemplate"]["LaunchTemplateId"])
        # moto copies the tags of the template itself into what it launches.
        data = found.versions[0].data
        given = [tags for tags in data.get("TagSpecifications", []) if tags["ResourceType"] != "launch-template"]
        data["TagSpecifications"] = given
        if not given:
            del data["TagSpecifications"]
        return result

    def delete_launch_template(response) -> ActionResult:
        backend = response.ec2_backend
        response.error_on_dryrun()
        if name := response._get_param("LaunchTemplateName"):
            found = backend.get_launch_template_by_name(name)
        else:
            found = backend.get_launch_template(response._get_param("LaunchTemplateId"))
        backend.delete_launch_template("", found.id)
        return ActionResult({"LaunchTemplate": described_template(found, response)})

    def describe_spot_instance_requests(response) -> ActionResult:
        filters = response._filters_from_querystring()
        ids = response._get_param("SpotInstanceRequestIds") or []
        found = [spot_request(i) for i in response.ec2_backend.all_instances() if i.lifecycle == "spot"]
        found = [r for r in found if not ids or r["SpotInstanceRequestId"] in ids]
        found = [r for r in found if spot_request_matches(r, filters)]
        found, token = page(response, found, 1000)
        return ActionResult({"SpotInstanceRequests": found, "NextToken": token})

    InstanceResponse.describe_instance_types = describe_instance_types
    InstanceResponse.describe_instance_type_offerings = describe_instance_type_offerings
    SpotInstances.describe_spot_price_history = describe_spot_price_history
    SpotInstances.describe_spot_instance_requests = describe_spot_instance_requests
    EC2Response.describe_capacity_reservations = describe_capacity_reservations
    EC2Response.describe_placement_groups = describe_placement_groups
    LaunchTemplates.describe_launch_templates = describe_launch_templates
    LaunchTemplates.create_launch_template = create_launch_template
    LaunchTemplates.delete_launch_template = delete_launch_template


def described_template(template, response) -> dict:
    return {
        "CreateTime": template.create_time,
        "CreatedBy": f"arn:aws:iam::{response.current_account}:root",
        "DefaultVersionNumber": template.default_version_number,
        "LatestVersionNumber": template.latest_version_number,
        "LaunchTemplateId": template.id,
        "LaunchTemplateName": template.name,
        "Tags": template.get_tags(),
    }


def spot_prices(response, prices: Prices) -> list[dict]:
    """One price for each type and zone: the one in force, as a request from now on gives them."""
    types = response._get_param("InstanceTypes") or []
    filters = response._filters_from_querystring()
    zone = response._get_param("AvailabilityZone")
    products = response._get_param("ProductDescriptions") or []
    product = "Linux/UNIX"
    if products and not any(like(product, [p.removesuffix(" (Amazon VPC)")]) for p in products):
        return []
    timestamp = utcnow().replace(minute=0, second=0, microsecond=0) - datetime.timedelta(hours=1)
    found = []
    for offering in INSTANCE_TYPE_OFFERINGS["availability-zone"].get(response.region, []):
        values = {
            "instance-type": offering["InstanceType"],
            "availability-zone": offering["Location"],
            "product-description": product,
        }
        wanted = not types or offering["InstanceType"] in types
        wanted = wanted and zone in (None, offering["Location"])
        known = {name: patterns for name, patterns in filters.items() if name in values}
        if not wanted or not all(like(values[name], patterns) for name, patterns in known.items()):
            continue
        price = prices.spot(offering["InstanceType"], offering["Location"])
        if price is not None:
            found.append({
                "AvailabilityZone": offering["Location"],
                "InstanceType": offering["InstanceType"],
                "ProductDescription": product,
                "SpotPrice": f"{price:.6f}",
                "Timestamp": timestamp,
            })
    return found


def reservation_matches(reservation: dict, filters: dict) -> bool:
    tags = {tag["Key"]: tag["Value"] for tag in reservation.get("Tags", [])}
    names = {
        "state": "State",
        "instance-type": "InstanceType",
        "availability-zone": "AvailabilityZone",
        "owner-id": "OwnerId",
        "instance-match-criteria": "InstanceMatchCriteria",
        "tenancy": "Tenancy",
    }
    for name, patterns in filters.items():
        if name.startswith("tag:"):
            value = tags.get(name[4:])
        elif name == "tag-key":
            value = list(tags)
        elif name in names:
            value = reservation.get(names[name])
        else:
            raise EC2ClientError("InvalidParameterValue", f"The filter '{name}' is invalid")
        if not like(value, patterns):
            return False
    return True


def spot_request(instance) -> dict:
    running = instance.state not in ("terminated", "shutting-down")
    marked = getattr(instance, "interrupted", None)
    code = "marked-for-termination" if marked else "fulfilled"
    code = code if running else "instance-terminated-by-user"
    return {
        "InstanceId": instance.id,
        "LaunchSpecification": {"InstanceType": instance.instance_type, "ImageId": instance.image_id},
        "LaunchedAvailabilityZone": instance.placement.zone,
        "SpotInstanceRequestId": getattr(instance, "spot_instance_request_id", f"sir-{instance.id[2:10]}"),
        "State": "active" if running else "closed",
        "Status": {"Code": code, "Message": code, "UpdateTime": marked or utcnow()},
        "Tags": [{"Key": k, "Value": v} for k, v in getattr(instance, "spot_request_tags", {}).items()],
        "Type": "one-time",
    }


def spot_request_matches(request: dict, filters: dict) -> bool:
    tags = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
    values = {
        "state": request["State"],
        "status-code": request["Status"]["Code"],
        "instance-id": request["InstanceId"],
        "spot-instance-request-id": request["SpotInstanceRequestId"],
        "tag-key": list(tags),
    }
    for name, patterns in filters.items():
        value = tags.get(name[4:]) if name.startswith("tag:") else values.get(name)
        if name not in values and not name.startswith("tag:"):
            raise EC2ClientError("InvalidParameterValue", f"The filter '{name}' is invalid")
        if not like(value, patterns):
            return False
    return True
