"""The template as CloudFormation would see it: intrinsic functions evaluated for given parameters, conditions applied."""

import json
import re
from pathlib import Path

import yaml

TOP = Path(__file__).resolve().parents[2]
TEMPLATE = TOP / "infra" / "template.yaml"
ACCOUNT, REGION = "111122223333", "us-east-1"
PSEUDO = {"AWS::AccountId": ACCOUNT, "AWS::Region": REGION, "AWS::Partition": "aws", "AWS::StackName": "joiner"}
NOTHING = object()
# With every part of the template switched on.
EVERYTHING = {
    "ClusterName": "demo",
    "NodeRoleArn": f"arn:aws:iam::{ACCOUNT}:role/KarpenterNodeRole-demo",
    "AlarmTopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:alarms",
    "OidcIssuer": f"oidc.eks.{REGION}.amazonaws.com/id/0123456789ABCDEF",
    "VpcId": "vpc-0123456789abcdef0",
    "SubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1",
    "ClusterSecurityGroupId": "sg-0123456789abcdef0",
    "PrivateEndpoints": "all",
    "HttpsProxy": "http://cloud-proxy.internal.io:3128",
    "SystemSubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1",
    "SystemSecurityGroupIds": "sg-0123456789abcdef1",
    "SystemInstanceProfile": "demo_EKS_workers",
    "ClusterEndpoint": "https://example.com",
    "ClusterCertificateAuthority": "YQ==",
}


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms."""


def short(loader: Loader, suffix: str, node: yaml.Node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


Loader.add_multi_constructor("!", short)


def load(path: Path = TEMPLATE) -> dict:
    return yaml.load(path.read_text(), Loader)


class Stack:
    """One stack of the template."""

    def __init__(self, parameters: dict[str, str], template: dict | None = None):
        self.template = template or load()
        declared = self.template["Parameters"]
        unknown = set(parameters) - set(declared)
        if unknown:
            raise ValueError(f"the template has no parameters {sorted(unknown)}")
        self.parameters = {}
        for name, parameter in declared.items():
            value = parameters.get(name, parameter.get("Default"))
            pattern = parameter.get("AllowedPattern")
            if value is None or (pattern and not re.fullmatch(pattern, str(value))):
                raise ValueError(f"parameter {name}: {value!r} does not match {pattern}")
            if parameter["Type"] == "CommaDelimitedList":
                value = [each for each in value.split(",") if each]
            self.parameters[name] = value
        self.conditions = self.template["Conditions"]
        resources = self.template["Resources"]
        there = {name: each for name, each in resources.items() if self.holds(each.get("Condition"))}
        self.types = {name: each["Type"] for name, each in there.items()}
        self.resources = {name: self.value(each.get("Properties", {})) for name, each in there.items()}

    def holds(self, condition) -> bool:
        return condition is None or self.value(self.conditions[condition])

    def of_type(self, kind: str) -> dict[str, dict]:
        return {name: self.resources[name] for name, each in self.types.items() if each == kind}

    def value(self, node):
        if isinstance(node, list):
            return [each for each in map(self.value, node) if each is not NOTHING]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            name, argument = next(iter(node.items()))
            if name in ("Ref", "Condition") or name.startswith("Fn::"):
                return self.call(name.removeprefix("Fn::"), argument)
        values = {key: self.value(each) for key, each in node.items()}
        return {key: each for key, each in values.items() if each is not NOTHING}

    def call(self, function: str, argument):
        match function:
            case "Ref":
                return self.reference(argument)
            case "Condition":
                return self.holds(argument)
            case "If":
                condition, then, otherwise = argument
                return self.value(then if self.holds(condition) else otherwise)
            case "GetAtt":
                return self.attribute(*argument)
            case "Sub":
                return self.substituted(argument)
            case "Equals":
                return self.value(argument[0]) == self.value(argument[1])
            case "Not":
                return not self.value(argument[0])
            case "And":
                return all(map(self.value, argument))
            case "Base64":
                return self.value(argument)
            case "Select":
                return self.value(argument[1])[int(argument[0])]
            case "Split":
                return self.value(argument[1]).split(argument[0])
        raise ValueError(f"Fn::{function} is not known here")

    def reference(self, name: str):
        if name == "AWS::NoValue":
            return NOTHING
        return (PSEUDO | self.parameters).get(name, name)

    def attribute(self, resource: str, name: str) -> str:
        if name != "Arn":
            return f"{resource}.{name}"
        cluster = self.parameters["ClusterName"]
        kind = self.template["Resources"][resource]["Type"]
        if kind == "AWS::S3::Bucket":
            return f"arn:aws:s3:::joiner-{cluster}-{resource.lower()}"
        service = {"AWS::SQS::Queue": "sqs", "AWS::Events::EventBus": "events", "AWS::IAM::Role": "iam"}.get(kind, "x")
        return f"arn:aws:{service}:{REGION}:{ACCOUNT}:joiner-{cluster}-{resource}"

    def substituted(self, argument) -> str:
        text, more = argument if isinstance(argument, list) else (argument, {})

        def one(match: re.Match) -> str:
            name = match[1]
            if name in more:
                return self.value(more[name])
            if "." in name:
                return self.attribute(*name.split(".", 1))
            return str(self.reference(name))

        return re.sub(r"\$\{([\w:.]+)\}", one, text)


def document(policy) -> dict:
    """A policy document, which may be JSON in a string."""
    return json.loads(policy) if isinstance(policy, str) else policy
