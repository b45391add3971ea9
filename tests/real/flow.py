"""
ministack, with the resource types of CloudFormation that the product's template has and it lacks.

Patches a private name of ministack, and so needs exactly the version that requirements-aws.txt pins. An access entry is made where EKS is
emulated, in the gap filler, and so are launch templates and auto scaling groups, whose instances become nodes; of a rule of a security group
only the record exists. Public parameters are the gap filler's too.
"""

import json
import os
import urllib.request
import uuid

import boto3
from ministack.app import main
from ministack.services import ssm
from ministack.services.cloudformation import provisioners


def entry(method: str, properties: dict) -> None:
    body = {"cluster": properties["ClusterName"], "principal": properties["PrincipalArn"]}
    body |= {"groups": properties.get("KubernetesGroups", []), "type": properties.get("Type", "STANDARD")}
    url = f"{os.environ['JOINER_FAULTS_URL']}/access-entry"
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), method=method)).close()


def make_entry(logical: str, properties: dict, stack: str) -> tuple[str, dict]:
    entry("POST", properties)
    return f"{properties['PrincipalArn']}|{properties['ClusterName']}", {}


def make_rule(logical: str, properties: dict, stack: str) -> tuple[str, dict]:
    identifier = f"sgr-{uuid.uuid4().hex[:17]}"
    return identifier, {"Id": identifier}


def parameter(name: str, version=None, decrypt=False) -> str | None:
    client = boto3.client("ssm")
    try:
        return client.get_parameter(Name=name)["Parameter"]["Value"]
    except client.exceptions.ParameterNotFound:
        return None


def make_template(logical: str, properties: dict, stack: str) -> tuple[str, dict]:
    name = f"{stack}-{logical}-{uuid.uuid4().hex[:8]}"
    made = boto3.client("ec2").create_launch_template(LaunchTemplateName=name, LaunchTemplateData=properties["LaunchTemplateData"])
    identifier = made["LaunchTemplate"]["LaunchTemplateId"]
    return identifier, {"LaunchTemplateId": identifier, "LaunchTemplateName": name, "DefaultVersionNumber": "1", "LatestVersionNumber": "1"}


def change_template(identifier: str, old: dict, new: dict, stack: str) -> tuple[str, dict]:
    made = boto3.client("ec2").create_launch_template_version(LaunchTemplateId=identifier, LaunchTemplateData=new["LaunchTemplateData"])
    number = str(made["LaunchTemplateVersion"]["VersionNumber"])
    return identifier, {"LaunchTemplateId": identifier, "DefaultVersionNumber": "1", "LatestVersionNumber": number}


def group_of(properties: dict) -> dict:
    sizes = {key: int(properties[key]) for key in ("MinSize", "MaxSize", "DesiredCapacity")}
    return sizes | {"VPCZoneIdentifier": ",".join(properties["VPCZoneIdentifier"]), "LaunchTemplate": properties["LaunchTemplate"]}


def make_group(logical: str, properties: dict, stack: str) -> tuple[str, dict]:
    name = f"{stack}-{logical}-{uuid.uuid4().hex[:8]}"
    tags = [tag | {"ResourceId": name, "ResourceType": "auto-scaling-group"} for tag in properties["Tags"]]
    boto3.client("autoscaling").create_auto_scaling_group(AutoScalingGroupName=name, Tags=tags, **group_of(properties))
    return name, {"Arn": name}


def change_group(name: str, old: dict, new: dict, stack: str) -> tuple[str, dict]:
    """Nodes are not replaced, as CloudFormation would, one at a time: what it makes new is of the new template."""
    boto3.client("autoscaling").update_auto_scaling_group(AutoScalingGroupName=name, **group_of(new))
    return name, {"Arn": name}


def end_group(name: str, _) -> None:
    boto3.client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=name, ForceDelete=True)


def end_template(identifier: str, _) -> None:
    boto3.client("ec2").delete_launch_template(LaunchTemplateId=identifier)


ssm.resolve_parameter_value = parameter
provisioners._RESOURCE_HANDLERS |= {
    "AWS::EKS::AccessEntry": {"create": make_entry, "delete": lambda _, properties: entry("DELETE", properties)},
    "AWS::EC2::LaunchTemplate": {"create": make_template, "update": change_template, "delete": end_template},
    "AWS::AutoScaling::AutoScalingGroup": {"create": make_group, "update": change_group, "delete": end_group},
    "AWS::EC2::SecurityGroupIngress": {"create": make_rule, "delete": lambda _, properties: None},
}

if __name__ == "__main__":
    main()
