"""A cluster without two nodes of its own: the stack makes them, an auto scaling group of the template, on which the webhook runs."""

import json
import tempfile
import unittest
from pathlib import Path

import boto3
from installation import CLUSTER, Account, afresh, changes, door, forget, joiner, kubectl, release, site
from rendered import Stack

SCRATCH = tempfile.TemporaryDirectory()
GROUP = "SystemAutoScalingGroup"


class SystemNodes(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        afresh()
        cls.release = release(Path(SCRATCH.name))
        cls.account = Account().make()

    @classmethod
    def tearDownClass(cls):
        forget()
        door("reset")
        SCRATCH.cleanup()

    def done(self, *arguments) -> str:
        code, said = joiner(*arguments)
        self.assertEqual(code, 0, said)
        return said

    def group(self) -> dict:
        groups = boto3.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
        return next(each for each in groups if f"-{GROUP}-" in each["AutoScalingGroupName"])

    def nodes(self) -> dict[str, dict]:
        """Those of the group, by instance."""
        found = {each["spec"]["providerID"].rpartition("/")[2]: each for each in json.loads(kubectl("get", "nodes", "-o", "json"))["items"]}
        return {each["InstanceId"]: found[each["InstanceId"]] for each in self.group()["Instances"]}

    def test_the_stack_makes_two_that_are_replaced_one_at_a_time(self):
        before = self.account.state()
        said = self.done("install", *site(), "--artifacts", self.release, "--yes")
        self.assertIn("two nodes outside Joiner's management: 0 ready; the stack makes an auto scaling group of two", said)
        self.assertIn("two nodes for the webhook in an auto scaling group of its own", said)
        self.is_as_the_template_says()
        self.the_webhook_runs_on_both()
        self.assertEqual(changes(self.done("install", *site(), "--yes")), [], "two nodes that are there now change nothing")
        self.are_replaced_one_at_a_time()
        self.the_webhook_runs_on_both()
        said = self.done("uninstall", *site(), "--yes")
        self.assertIn("roles, and the two nodes that it made", said)
        self.assertEqual(self.account.state(), before)
        self.assertEqual(running(), [])

    def is_as_the_template_says(self) -> None:
        group, expected = self.group(), Stack({"ClusterName": CLUSTER, "SystemNodes": "asg"}).resources[GROUP]
        made_of = self.account.ec2.describe_launch_template_versions(LaunchTemplateId=group["LaunchTemplate"]["LaunchTemplateId"])
        data = made_of["LaunchTemplateVersions"][0]["LaunchTemplateData"]
        self.assertEqual(data["IamInstanceProfile"], {"Name": f"{CLUSTER}_EKS_workers"})
        self.assertEqual((data["MetadataOptions"]["HttpTokens"], data["BlockDeviceMappings"][0]["Ebs"]["Encrypted"]), ("required", True))
        self.assertEqual([group["MinSize"], group["MaxSize"], group["DesiredCapacity"]], [2, 2, 2])
        own = {tag["Key"]: tag["Value"] for tag in group["Tags"] if not tag["Key"].startswith("aws:cloudformation:")}
        self.assertEqual(own, {tag["Key"]: tag["Value"] for tag in expected["Tags"]})
        self.assertGreaterEqual(len(group["AvailabilityZones"]), 2, "the emulator puts instances into the first")
        for node in self.nodes().values():
            self.assertIn({"key": "CriticalAddonsOnly", "value": "true", "effect": "NoSchedule"}, node["spec"].get("taints", []))
            self.assertEqual(node["metadata"]["labels"]["joiner.dev/system"], "true")
        for instance in running():
            tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
            self.assertEqual((tags["Name"], tags[f"kubernetes.io/cluster/{CLUSTER}"]), (f"joiner-{CLUSTER}-system", "owned"))
            self.assertNotIn("karpenter.sh/nodepool", tags, "no function may end them")

    def the_webhook_runs_on_both(self) -> None:
        pods = json.loads(kubectl("get", "pods", "-n", "joiner", "-l", "app.kubernetes.io/name=joiner-webhook", "-o", "json"))["items"]
        pods = [each for each in pods if "deletionTimestamp" not in each["metadata"]]
        self.assertEqual({each["spec"]["nodeName"] for each in pods}, {each["metadata"]["name"] for each in self.nodes().values()})

    def are_replaced_one_at_a_time(self) -> None:
        old = set(self.nodes())
        self.assertEqual(changes(self.done("rotate-system-nodes", *site(), "--dry-run")), [], "they are of the newest template")
        said = self.done("rotate-system-nodes", *site(), "--yes", "--force")
        ends = [line for line in said.splitlines() if "is ended" in line]
        self.assertEqual(len(ends), 2, said)
        self.assertIn("1 of 2 nodes are ready", said.split(ends[0])[1].split(ends[1])[0])
        self.assertFalse(old & set(self.nodes()))
        self.assertIn("a pod that waits would get", said)


def running() -> list[dict]:
    pages = boto3.client("ec2").describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["running"]}])["Reservations"]
    return [each for page in pages for each in page["Instances"]]


if __name__ == "__main__":
    unittest.main()
