"""
The stack's policies, evaluated with their conditions by a simulator of IAM against the calls that the product makes.

`calls.json` holds one request of each shape as the gap filler recorded it (`tests/infra/record` renews it); of what the running stack has
recorded by now, as after `cargo test`, the actions are looked up too. A call needs several permissions (`needed`): CreateFleet launches
instances from a template and tags them.
"""

import json
import os
import re
import shutil
import subprocess
import unittest
import urllib.request
from fnmatch import fnmatch
from pathlib import Path

from rendered import ACCOUNT, EVERYTHING, REGION, Stack, document

HERE = Path(__file__).resolve().parent
ROLE = EVERYTHING["NodeRoleArn"]
# Of services whose emulator records nothing, and what Lambda does with the role: (action, resource of the stack).
UNRECORDED = [
    ("sqs:SendMessage", "ScheduleQueue"),
    ("sqs:SendMessage", "PendingPodsDeadQueue"),
    ("sqs:SendMessage", "InterruptionDeadQueue"),
    ("sqs:SendMessage", "ScheduleDeadQueue"),
    ("sqs:ChangeMessageVisibility", "InterruptionQueue"),
    *(
        (f"sqs:{action}", queue)
        for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
        for queue in ("PendingPodsQueue", "InterruptionQueue", "ScheduleQueue")
    ),
]
# Made only for settings that the recorded runs lack, each with the one who asks.
SELDOM = {
    "ec2:DescribeCapacityReservations": "classes that select reservations (observe/src/cloud)",
    "ec2:DescribeInstanceStatus": "once a minute (observe/src/cloud)",
    "ec2:DescribeSpotInstanceRequests": "once a minute (observe/src/cloud)",
    "ec2:DescribeLaunchTemplates": "clean-up (execute/src/ec2/template_calls.rs)",
    "ec2:DeleteLaunchTemplate": "clean-up (execute/src/ec2/template_calls.rs)",
}
ON_LAUNCH = ["instance", "volume", "network-interface"]


def arn(kind: str, name: str = "x-0123456789abcdef0") -> str:
    account = "" if kind in ("image", "snapshot") else ACCOUNT
    return f"arn:aws:ec2:{REGION}:{account}:{kind}/{name}"


def requested(tags: dict[str, str]) -> dict:
    return {f"aws:RequestTag/{key}": value for key, value in tags.items()} | {"aws:TagKeys": sorted(tags)}


def carried(tags: dict[str, str]) -> dict:
    return {f"aws:ResourceTag/{key}": value for key, value in tags.items()}


def tag_list(parameters: dict, prefix: str) -> dict[str, str]:
    keys = {name: value for name, value in parameters.items() if re.fullmatch(re.escape(prefix) + r"\d+\.Key", name)}
    return {value: parameters[name.removesuffix("Key") + "Value"] for name, value in keys.items()}


def specifications(parameters: dict, prefix: str) -> dict[str, dict[str, str]]:
    """The tags of each kind of resource that a request makes."""
    found = {}
    for name, kind in parameters.items():
        if match := re.fullmatch(re.escape(prefix) + r"(\d+)\.ResourceType", name):
            found[kind] = tag_list(parameters, f"{prefix}{match[1]}.Tag.")
    return found


class Product:
    """What the recorded calls need."""

    def __init__(self, calls: list[dict]):
        self.calls = calls
        of = {call["action"]: call["parameters"] for call in reversed(calls)}
        template = of["CreateLaunchTemplate"]
        self.template_tags = specifications(template, "TagSpecification.")["launch-template"]
        self.launch_tags = specifications(template, "LaunchTemplateData.TagSpecification.")
        self.instance_tags = self.launch_tags.get("instance", {}) | specifications(of["CreateFleet"], "TagSpecification.").get("instance", {})
        self.path = next((call["parameters"]["Path"] for call in calls if call["action"] == "CreateInstanceProfile"), None)

    def needed(self, call: dict) -> list[tuple[str, str, dict]]:
        service, action, parameters = call["service"], call["action"], call["parameters"]
        name = f"{service}:{action}"
        match action:
            case "CreateFleet":
                return self.launch(parameters)
            case "CreateLaunchTemplate":
                tags = specifications(parameters, "TagSpecification.")["launch-template"]
                return self.made(name, "launch-template", tags)
            case "DeleteLaunchTemplate":
                return [(name, arn("launch-template"), carried(self.template_tags))]
            case "TerminateInstances":
                return [(name, arn("instance"), carried(self.instance_tags))]
            case "CreateTags":
                return [(name, arn("instance"), carried(self.instance_tags) | requested(tag_list(parameters, "Tag.")))]
            case "GetParameter":
                return [(name, f"arn:aws:ssm:{REGION}::parameter{parameters['Name']}", {})]
            case "DescribeCluster":
                return [(name, f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/{parameters['path'].rpartition('/')[2]}", {})]
        if service == "iam":
            return self.profile(name, parameters)
        return [(name, "*", {"aws:RequestedRegion": REGION})]

    def launch(self, parameters: dict) -> list[tuple[str, str, dict]]:
        fleet = specifications(parameters, "TagSpecification.")
        needed = [
            *self.made("ec2:CreateFleet", "fleet", fleet.get("fleet", {})),
            *(("ec2:RunInstances", arn(kind), {}) for kind in ("image", "subnet", "security-group", "snapshot")),
            ("ec2:RunInstances", arn("launch-template"), carried(self.template_tags)),
            ("ec2:CreateFleet", arn("launch-template"), carried(self.template_tags)),
        ]
        for kind in ON_LAUNCH:
            needed += self.made("ec2:RunInstances", kind, self.launch_tags.get(kind, {}) | fleet.get(kind, {}))
        if parameters.get("TargetCapacitySpecification.DefaultTargetCapacityType") == "spot":
            tags = self.launch_tags.get("spot-instances-request", {}) | fleet.get("spot-instances-request", {})
            needed += self.made("ec2:RunInstances", "spot-instances-request", tags)
        return [*needed, ("iam:PassRole", ROLE, {"iam:PassedToService": "ec2.amazonaws.com"})]

    def made(self, action: str, kind: str, tags: dict[str, str]) -> list[tuple[str, str, dict]]:
        create = {"ec2:CreateAction": action.partition(":")[2]}
        return [(action, arn(kind, "*"), requested(tags)), ("ec2:CreateTags", arn(kind), create | requested(tags))]

    def profile(self, name: str, parameters: dict) -> list[tuple[str, str, dict]]:
        resource = f"arn:aws:iam::{ACCOUNT}:instance-profile{self.path}{parameters['InstanceProfileName']}"
        if name == "iam:CreateInstanceProfile":
            tags = tag_list(parameters, "Tags.member.")
            return [(name, resource, requested(tags)), ("iam:TagInstanceProfile", resource, requested(tags))]
        if name == "iam:GetInstanceProfile":
            # IAM knows no path of a profile that is not there yet.
            return [(name, resource, {}), (name, f"arn:aws:iam::{ACCOUNT}:instance-profile/{parameters['InstanceProfileName']}", {})]
        return [(name, resource, {})]


def recorded() -> list[dict]:
    return json.loads((HERE / "calls.json").read_text())


def running() -> set[str]:
    """The actions that this run's stack has seen; its clusters have other names, so that resources say nothing."""
    if not (url := os.environ.get("JOINER_FAULTS_URL")):
        return set()
    with urllib.request.urlopen(f"{url}/requests", timeout=30) as answer:
        return {f"{call['service']}:{call['action']}" for call in json.load(answer)}


def simulated(requests: list[dict]) -> list[dict]:
    done = subprocess.run(["node", HERE / "policies" / "simulate.js"], input=json.dumps(requests), capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise AssertionError(done.stderr[-3000:])
    return json.loads(done.stdout)


@unittest.skipUnless(shutil.which("node") and not os.environ.get("JOINER_NO_NPM"), "npm is not there, or its registry")
class Policies(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.stack = Stack(EVERYTHING)
        inline = cls.stack.resources["FunctionsRole"]["Policies"][0]["PolicyDocument"]
        cls.policies = [document(each["PolicyDocument"]) for each in cls.stack.of_type("AWS::IAM::ManagedPolicy").values()] + [inline]
        cls.product = Product(recorded())

    def decide(self, asked: list[tuple[str, str, dict]]) -> list[dict]:
        principal = f"arn:aws:iam::{ACCOUNT}:role/functions"
        common = {"account": ACCOUNT, "principal": principal, "policies": self.policies}
        return simulated([{"action": a, "resource": r, "context": c} | common for a, r, c in asked])

    def allowed(self, asked) -> list[bool]:
        public = [each for each in asked if f":ssm:{REGION}::" in each[1]]
        self.assertTrue(all(map(self.public_parameter, public)), public)
        own = iter(self.evaluated([each for each in asked if each not in public]))
        return [True if each in public else next(own) for each in asked]

    def public_parameter(self, asked) -> bool:
        """Public parameters have ARNs without an account, which the simulator does not take for parameters."""
        statements = [each for policy in self.policies for each in policy["Statement"] if asked[0] in listed(each["Action"])]
        return any(fnmatch(asked[1], resource) for each in statements for resource in listed(each["Resource"]))

    def evaluated(self, asked) -> list[bool]:
        answers = self.decide(asked)
        for one, answer in zip(asked, answers, strict=True):
            self.assertNotEqual(answer["resultType"], "error", f"{one}: {str(answer)[:1500]}")
        return [answer["overallResult"] == "Allowed" for answer in answers]

    def own(self) -> list[tuple[str, str, dict]]:
        asked = [each for call in self.product.calls for each in self.product.needed(call)]
        asked += [(action, self.stack.attribute(resource, "Arn")) + ({},) for action, resource in UNRECORDED]
        asked.append(("s3:PutObject", f"{self.stack.attribute('Turns', 'Arn')}/turns/demo/x", {}))
        streams = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/joiner-demo-on-schedule:log-stream:x"
        return [*asked, ("logs:CreateLogStream", streams.partition(":log-stream")[0] + ":*", {}), ("logs:PutLogEvents", streams, {})]

    def test_no_call_is_outside_the_policies(self):
        asked = list({json.dumps(each): each for each in self.own()}.values())
        refused = [f"{one}" for one, allowed in zip(asked, self.allowed(asked), strict=True) if not allowed]
        self.assertEqual(refused, [])

    def granted(self) -> set[str]:
        statements = [each for policy in self.policies for each in policy["Statement"] if each["Effect"] == "Allow"]
        # Lambda itself puts functions into a VPC.
        return {action for each in statements if each["Sid"] != "BeInVpc" for action in listed(each["Action"])}

    def test_no_action_of_this_run_is_outside_the_policies(self):
        self.assertEqual({each for each in running() if not each.startswith("sts:")} - self.granted(), set())

    def test_no_permission_is_without_a_call(self):
        made = {action for action, _, _ in self.own()} | set(SELDOM)
        granted = self.granted()
        self.assertEqual(granted - made, set())
        self.assertFalse([each for each in granted if "*" in each])

    def test_what_is_another_clusters_is_left_alone(self):
        own = self.product.instance_tags
        other = {key.replace("cluster/demo", "cluster/other"): value.replace("demo", "other") for key, value in own.items()}
        both = own | {"kubernetes.io/cluster/demo": "shared"}
        system = {"kubernetes.io/cluster/demo": "owned", "Name": "joiner-demo-system"}
        end, tag = "ec2:TerminateInstances", "ec2:CreateTags"
        name = requested({"Name": "x"})
        claims = requested({"eks:eks-cluster-name": "other", "Name": "x"})
        cluster = requested({"kubernetes.io/cluster/demo": "owned"})
        profile = f"arn:aws:iam::{ACCOUNT}:instance-profile/karpenter/{REGION}/other/uid/other_1"
        asked = [
            (end, arn("instance"), carried(other)),
            (end, arn("instance"), carried(both)),
            (end, arn("instance"), carried(system)),
            (end, arn("instance"), {}),
            (tag, arn("instance"), carried(other) | name),
            (tag, arn("instance"), name),
            # Nobody makes an instance its own, nor another's, by a tag.
            (tag, arn("instance"), cluster),
            (tag, arn("instance"), carried(other) | cluster),
            (tag, arn("instance"), carried(own) | claims),
            (tag, arn("instance"), carried(own) | requested({"Name": "x", "kubernetes.io/cluster/other": "owned"})),
            (tag, arn("volume"), carried(own) | name),
            ("ec2:DeleteLaunchTemplate", arn("launch-template"), carried(other)),
            ("ec2:RunInstances", arn("launch-template"), carried(other)),
            ("ec2:RunInstances", arn("instance", "*"), requested(other)),
            ("ec2:CreateLaunchTemplate", arn("launch-template", "*"), requested(other)),
            ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/admin", {"iam:PassedToService": "ec2.amazonaws.com"}),
            ("iam:PassRole", ROLE, {"iam:PassedToService": "lambda.amazonaws.com"}),
            ("iam:CreateInstanceProfile", profile, {}),
            ("iam:AddRoleToInstanceProfile", profile, {}),
            ("eks:DescribeCluster", f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/other", {}),
            ("sqs:SendMessage", f"arn:aws:sqs:{REGION}:{ACCOUNT}:joiner-other-schedule", {}),
            ("s3:PutObject", "arn:aws:s3:::joiner-other-turns/turns/x", {}),
            ("ssm:GetParameter", f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/secret", {}),
            ("ec2:DescribeInstances", "*", {"aws:RequestedRegion": "eu-west-1"}),
        ]
        passed = [f"{one}" for one, allowed in zip(asked, self.allowed(asked), strict=True) if allowed]
        self.assertEqual(passed, [])

    def test_nodes_of_older_pools_may_be_ended(self):
        tags = {"kubernetes.io/cluster/demo": "owned", "karpenter.sh/provisioner-name": "default"}
        self.assertEqual(self.allowed([("ec2:TerminateInstances", arn("instance"), carried(tags))]), [True])

    def test_code_in_a_vpc_makes_no_interfaces(self):
        code = {"lambda:SourceFunctionArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:joiner-demo-on-schedule"}
        action = "ec2:DescribeNetworkInterfaces"
        self.assertEqual(self.allowed([(action, "*", {}), (action, "*", code)]), [True, False])

    def test_the_webhook_may_only_knock_on_its_own_bus(self):
        role = self.stack.resources["WebhookRole"]
        policies = [each["PolicyDocument"] for each in role["Policies"]]
        self.assertEqual([each["Action"] for policy in policies for each in policy["Statement"]], ["events:PutEvents"])
        self.assertEqual(policies[0]["Statement"][0]["Resource"], self.stack.attribute("Bus", "Arn"))
        trust = document(role["AssumeRolePolicyDocument"])["Statement"][0]["Condition"]["StringEquals"]
        issuer = EVERYTHING["OidcIssuer"]
        self.assertEqual(trust, {f"{issuer}:aud": "sts.amazonaws.com", f"{issuer}:sub": "system:serviceaccount:joiner:joiner-webhook"})


def listed(value) -> list[str]:
    return value if isinstance(value, list) else [value]


if __name__ == "__main__":
    unittest.main()
