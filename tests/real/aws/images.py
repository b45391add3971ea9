"""The images that EKS offers, and the SSM parameters that name them."""

import hashlib
from dataclasses import dataclass

from moto.core.utils import utcnow
from moto.ec2.models.amis import Ami
from moto.ssm.models import Parameter

# Amazon's accounts for EKS images, Bottlerocket and Windows.
OWNERS = {"eks": "602401143452", "bottlerocket": "092701018921", "windows": "801119661308"}
RELEASE = "20261110"
BOTTLEROCKET = "1.50.0"
WINDOWS = "2026.11.11"


@dataclass
class Image:
    name: str
    owner: str
    architecture: str
    parameters: list[str]
    platform: str | None = None
    root: str = "/dev/xvda"

    @property
    def id(self) -> str:
        # The same at each start, so that what a test printed can be compared.
        return "ami-" + hashlib.sha256(self.name.encode()).hexdigest()[:17]


def eks(version: str) -> list[Image]:
    """All images for one minor version of Kubernetes, as `1.35`."""
    optimized = f"/aws/service/eks/optimized-ami/{version}"
    images = []
    # EKS publishes none for 1.33 and later; tests of that family need them at the version of the control plane.
    for suffix, kind, architecture in [("", "", "x86_64"), ("-arm64", "arm64-", "arm64"), ("-gpu", "gpu-", "x86_64")]:
        name = f"amazon-eks-{kind}node-{version}-v{RELEASE}"
        base = f"{optimized}/amazon-linux-2{suffix}"
        images.append(Image(name, OWNERS["eks"], architecture, recommended(base, name)))
    for architecture, variant in [
        ("x86_64", "standard"),
        ("arm64", "standard"),
        ("x86_64", "nvidia"),
        ("arm64", "nvidia"),
        ("x86_64", "neuron"),
    ]:
        name = f"amazon-eks-node-al2023-{architecture}-{variant}-{version}-v{RELEASE}"
        base = f"{optimized}/amazon-linux-2023/{architecture}/{variant}"
        images.append(Image(name, OWNERS["eks"], architecture, recommended(base, name)))
    for variant in ["", "-nvidia", "-fips"]:
        for architecture in ["x86_64", "arm64"]:
            name = f"bottlerocket-aws-k8s-{version}{variant}-{architecture}-v{BOTTLEROCKET}-1a2b3c4d"
            base = f"/aws/service/bottlerocket/aws-k8s-{version}{variant}/{architecture}"
            parameters = [f"{base}/latest/image_id", f"{base}/{BOTTLEROCKET}/image_id"]
            images.append(Image(name, OWNERS["bottlerocket"], architecture, parameters))
    for year in ["2019", "2022", "2025"]:
        for edition in ["Core", "Full"]:
            label = f"Windows_Server-{year}-English-{edition}-EKS_Optimized-{version}"
            parameters = [f"/aws/service/ami-windows-latest/{label}/image_id"]
            name = f"{label}-{WINDOWS}"
            images.append(Image(name, OWNERS["windows"], "x86_64", parameters, "windows", "/dev/sda1"))
    return images


def recommended(base: str, name: str) -> list[str]:
    return [f"{base}/recommended/image_id", f"{base}/{name}/image_id"]


def seed(ec2, ssm, versions: list[str]) -> None:
    for version in versions:
        for image in eks(version):
            ec2.amis[image.id] = Ami(
                ec2,
                image.id,
                name=image.name,
                description=image.name,
                owner_id=image.owner,
                owner_alias="amazon",
                public=True,
                virtualization_type="hvm",
                architecture=image.architecture,
                creation_date=utcnow().replace(day=10, month=11, year=2026, hour=0, minute=0, second=0),
                platform=image.platform,
                image_location=f"amazon/{image.name}",
                hypervisor="xen",
                root_device_type="ebs",
                root_device_name=image.root,
                region_name=f"{ec2.region_name}a",
            )
            for name in image.parameters:
                ssm._parameters[name].append(parameter(ssm, name, image.id))


def parameter(ssm, name: str, value: str) -> Parameter:
    return Parameter(
        account_id=ssm.account_id,
        name=name,
        value=value,
        parameter_type="String",
        description=None,
        allowed_pattern=None,
        keyid=None,
        last_modified_date=utcnow(),
        version=1,
        data_type="text",
    )
