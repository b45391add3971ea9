"""
CreateFleet of type `instant` as EC2 does it, which moto does not: the cheapest override is taken, what an offering cannot
give is told in `Errors`, a client token gives the same answer again, and instances have what their launch template says.
"""

import json
import threading
from dataclasses import dataclass, field

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses.fleets import Fleets
from moto.ec2.utils import convert_tag_spec, filter_iam_instance_profiles, random_fleet_id
from moto.moto_api._internal import mock_random

from .faults import Faults
from .prices import Prices


# Held while instances are made: nobody sees one that has no tags or volumes yet.
LAUNCHING = threading.Lock()


@dataclass
class Fleet:
    """A fleet that was made: enough for the answers that name it again."""

    id: str
    parameters: str
    result: dict
    instances: list = field(default_factory=list)


@dataclass
class Offer:
    """One override of one launch template."""

    template: object
    version: object
    specification: dict
    override: dict
    lifecycle: str
    subnet: object = None
    zone: str = ""

    @property
    def instance_type(self) -> str:
        return self.override.get("InstanceType") or self.version.data.get("InstanceType", "")

    @property
    def image_id(self) -> str:
        return self.override.get("ImageId") or self.version.data.get("ImageId", "")

    def described(self) -> dict:
        specification = {
            "LaunchTemplateId": self.template.id,
            "LaunchTemplateName": self.template.name,
            "Version": str(self.version.number),
        }
        return {
            "LaunchTemplateAndOverrides": {
                "LaunchTemplateSpecification": specification,
                "Overrides": self.override,
            },
            "Lifecycle": self.lifecycle,
        }


@dataclass
class Refusal(Exception):
    """Why an offer gives nothing."""

    code: str
    message: str


class FleetMaker:
    def __init__(self, prices: Prices, faults: Faults):
        self.prices = prices
        self.faults = faults
        self.clear()

    def clear(self) -> None:
        self.fleets: dict[str, Fleet] = {}
        self.by_token: dict[str, Fleet] = {}

    def install(self) -> None:
        maker, theirs = self, Fleets.create_fleet

        def create_fleet(response) -> ActionResult:
            if response._get_param("Type") != "instant":
                return theirs(response)
            # One at a time: a token that is used twice at once must not launch twice.
            with LAUNCHING:
                return ActionResult(maker.answer(response))

        def describe_fleet_instances(response) -> ActionResult:
            fleet = maker.fleets.get(response._get_param("FleetId"))
            if fleet is None:
                raise EC2ClientError("InvalidFleetId.NotFound", "no such fleet")
            active = [
                {"InstanceId": each.id, "InstanceType": each.instance_type, "InstanceHealth": "healthy"}
                for each in fleet.instances
                if each.state == "running"
            ]
            return ActionResult({"FleetId": fleet.id, "ActiveInstances": active})

        Fleets.create_fleet = create_fleet
        Fleets.describe_fleet_instances = describe_fleet_instances

    def answer(self, response) -> dict:
        parameters = {
            name: response._get_param(name)
            for name in sorted(response.params)
            if name not in ("ClientToken", "DryRun", "Action", "Version")
        }
        text = json.dumps(parameters, sort_keys=True, default=str)
        token = response._get_param("ClientToken")
        if token in self.by_token:
            fleet = self.by_token[token]
            if fleet.parameters != text:
                message = "The client token has been used with other parameters."
                raise EC2ClientError("IdempotentParameterMismatch", message)
            return fleet.result
        response.error_on_dryrun()
        fleet = Fleet(random_fleet_id(), text, {})
        fleet.result = self.launch_all(response.ec2_backend, parameters, fleet)
        self.fleets[fleet.id] = fleet
        if token:
            self.by_token[token] = fleet
        return fleet.result

    def launch_all(self, backend, parameters: dict, fleet: Fleet) -> dict:
        instances, errors = [], []
        for lifecycle, count in capacities(parameters["TargetCapacitySpecification"]):
            offers = self.offers(backend, parameters, lifecycle)
            options = parameters.get("SpotOptions" if lifecycle == "spot" else "OnDemandOptions") or {}
            offers.sort(key=lambda offer: self.rank(offer, options.get("AllocationStrategy", "")))
            for offer in offers:
                if count <= 0:
                    break
                granted = self.launch(backend, parameters, fleet, offer, count, errors)
                if granted:
                    ids = [instance.id for instance in granted]
                    described = offer.described() | {"InstanceIds": ids, "InstanceType": offer.instance_type}
                    instances.append(described)
                    fleet.instances += granted
                    count -= len(granted)
        return {"FleetId": fleet.id, "Instances": instances, "Errors": errors}

    def offers(self, backend, parameters: dict, lifecycle: str) -> list[Offer]:
        offers = []
        for config in parameters.get("LaunchTemplateConfigs") or []:
            specification = config["LaunchTemplateSpecification"]
            if "LaunchTemplateId" in specification:
                template = backend.get_launch_template(specification["LaunchTemplateId"])
            else:
                template = backend.get_launch_template_by_name(specification["LaunchTemplateName"])
            version = template.get_version(specification.get("Version", "$Default"))
            for override in config.get("Overrides") or [{}]:
                if "InstanceRequirements" in override:
                    message = "InstanceRequirements are not simulated here: name instance types."
                    raise EC2ClientError("UnsupportedOperation", message)
                offer = Offer(template, version, specification, override, lifecycle)
                self.place(backend, offer)
                offers.append(offer)
        return offers

    def place(self, backend, offer: Offer) -> None:
        """Finds the subnet: the override's, else the template's."""
        interfaces = offer.version.data.get("NetworkInterfaces") or [{}]
        subnet_id = offer.override.get("SubnetId") or interfaces[0].get("SubnetId")
        if not subnet_id:
            message = "A subnet must be named in each override or in the launch template."
            raise EC2ClientError("InvalidParameterCombination", message)
        offer.subnet = backend.get_subnet(subnet_id)
        offer.zone = offer.subnet.availability_zone

    def rank(self, offer: Offer, strategy: str) -> tuple:
        """Where EC2 would try it: by priority if the strategy says so, else by price."""
        price = self.prices.price(offer.instance_type, offer.zone, offer.lifecycle)
        price = float("inf") if price is None else price
        priority = offer.override.get("Priority")
        priority = float("inf") if priority is None else float(priority)
        if strategy in ("prioritized", "capacity-optimized-prioritized"):
            return (priority, price)
        return (price, priority)

    def launch(self, backend, parameters, fleet, offer: Offer, count: int, errors: list) -> list:
        def refuse(code: str, message: str) -> None:
            errors.append(offer.described() | {"ErrorCode": code, "ErrorMessage": message})

        try:
            self.check(backend, offer)
        except Refusal as refusal:
            refuse(refusal.code, refusal.message)
            return []
        granted, fault = self.faults.of_offering(offer.instance_type, offer.zone, offer.lifecycle, count)
        granted = min(granted, offer.subnet.available_ip_address_count)
        if fault:
            refuse(fault.code, fault.message)
        elif granted < count:
            message = f"There are not enough free addresses in subnet '{offer.subnet.id}'."
            refuse("InsufficientFreeAddressesInSubnet", message)
        return run(backend, parameters, fleet, offer, granted) if granted else []

    def check(self, backend, offer: Offer) -> None:
        kind, zone = offer.instance_type, offer.zone
        if not self.prices.offered(kind, zone):
            message = f"Your requested instance type ({kind}) is not supported in your requested Availability Zone ({zone})."
            raise Refusal("Unsupported", message)
        image = backend.amis.get(offer.image_id)
        if image is None or image.state != "available":
            raise Refusal("InvalidAMIID.NotFound", f"The image id '[{offer.image_id}]' does not exist")
        wanted = "arm64" if self.prices.facts[kind]["arch"] == "arm64" else "x86_64"
        if image.architecture and image.architecture != wanted:
            message = f"The architecture '{wanted}' of the specified instance type does not match the architecture '{image.architecture}' of the specified AMI."
            raise Refusal("InvalidParameterValue", message)
        for group in groups(offer.version.data):
            if backend.get_security_group_from_id(group) is None:
                raise Refusal("InvalidGroup.NotFound", f"The security group '{group}' does not exist")
        profile = offer.version.data.get("IamInstanceProfile")
        if profile:
            try:
                filter_iam_instance_profiles(
                    backend.account_id,
                    partition="aws",
                    iam_instance_profile_arn=profile.get("Arn"),
                    iam_instance_profile_name=profile.get("Name"),
                )
            except Exception:
                name = profile.get("Name") or profile.get("Arn")
                message = f"Value ({name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
                raise Refusal("InvalidParameterValue", message) from None


def capacities(target: dict) -> list[tuple[str, int]]:
    """How many of each lifecycle are asked for."""
    total = int(target.get("TotalTargetCapacity", 0))
    counts = {
        "on-demand": int(target.get("OnDemandTargetCapacity") or 0),
        "spot": int(target.get("SpotTargetCapacity") or 0),
    }
    default = target.get("DefaultTargetCapacityType") or "on-demand"
    counts[default] += max(0, total - sum(counts.values()))
    return [(lifecycle, count) for lifecycle, count in counts.items() if count]


def groups(data: dict) -> list[str]:
    interfaces = data.get("NetworkInterfaces") or []
    return (interfaces[0].get("Groups") if interfaces else None) or data.get("SecurityGroupIds") or []


def run(backend, parameters: dict, fleet: Fleet, offer: Offer, count: int) -> list:
    data = offer.version.data
    tags = convert_tag_spec(data.get("TagSpecifications") or [])
    for resource, values in convert_tag_spec(parameters.get("TagSpecifications") or []).items():
        tags[resource] = tags.get(resource, {}) | values
    tags["instance"] = tags.get("instance", {}) | {"aws:ec2:fleet-id": fleet.id}
    interfaces = data.get("NetworkInterfaces") or [{}]
    reservation = backend.run_instances(
        image_id=offer.image_id,
        count=count,
        user_data=data.get("UserData"),
        security_group_names=[],
        security_group_ids=groups(data),
        instance_type=offer.instance_type,
        is_instance_type_default=False,
        region_name=backend.region_name,
        subnet_id=offer.subnet.id,
        associate_public_ip=interfaces[0].get("AssociatePublicIpAddress"),
        key_name=data.get("KeyName"),
        ebs_optimized=data.get("EbsOptimized") or False,
        monitoring_state="enabled" if (data.get("Monitoring") or {}).get("Enabled") else "disabled",
        metadata_options=data.get("MetadataOptions") or {},
        block_device_mappings=devices(backend, offer),
        launch_template={"LaunchTemplateId": offer.template.id, "Version": str(offer.version.number)},
        tags=tags,
    )
    profile = data.get("IamInstanceProfile")
    for instance in reservation.instances:
        # Else the address stays taken when the instance has gone.
        for interface in instance.nics.values():
            interface.delete_on_termination = True
        if profile:
            backend.associate_iam_instance_profile(
                instance_id=instance.id,
                iam_instance_profile_name=profile.get("Name"),
                iam_instance_profile_arn=profile.get("Arn"),
            )
        if offer.lifecycle == "spot":
            instance.lifecycle = "spot"
            instance.spot_instance_request_id = f"sir-{mock_random.get_random_hex(8)}"
            instance.spot_request_tags = tags.get("spot-instances-request", {})
    return reservation.instances


def devices(backend, offer: Offer) -> list[dict]:
    """The image's root volume, under what the launch template says of volumes."""
    image = backend.amis[offer.image_id]
    root = {"VolumeSize": 8, "VolumeType": "gp3", "DeleteOnTermination": True}
    found = {image.root_device_name: root}
    for mapping in offer.version.data.get("BlockDeviceMappings") or []:
        if "Ebs" in mapping:
            name = mapping["DeviceName"]
            found[name] = found.get(name, {}) | mapping["Ebs"]
    for ebs in found.values():
        ebs.setdefault("VolumeSize", 8)
    return [{"DeviceName": name, "Ebs": ebs} for name, ebs in found.items()]
