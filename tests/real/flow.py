"""
ministack, with the resource types of CloudFormation that the product's template has and it lacks.

Patches a private name of ministack, and so needs exactly the version that requirements-aws.txt pins. An access entry is made where EKS is
emulated, in the gap filler; of a rule of a security group only the record exists.
"""

import json
import os
import urllib.request
import uuid

from ministack.app import main
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


provisioners._RESOURCE_HANDLERS |= {
    "AWS::EKS::AccessEntry": {"create": make_entry, "delete": lambda _, properties: entry("DELETE", properties)},
    "AWS::EC2::SecurityGroupIngress": {"create": make_rule, "delete": lambda _, properties: None},
}

if __name__ == "__main__":
    main()
