"""infra/template.yaml: lints, names, alarms, and its deployment with every part switched on into the emulator."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import boto3
import yaml
from rendered import ACCOUNT, EVERYTHING, TEMPLATE, TOP, Stack, document, load

from demo.deploy import with_code

SAM = Path(os.environ["JOINER_SAM"])
FUNCTIONS = ["on-interruption", "on-pending-pods", "on-schedule"]


def run(*command, **options) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


class Lints(unittest.TestCase):
    def test_cfn_lint(self):
        run(SAM / "bin" / "cfn-lint", TEMPLATE)

    def test_sam_validate(self):
        self.assertIn("valid SAM Template", run(SAM / "bin" / "sam", "validate", "--lint", "--template", TEMPLATE))


class Rendered(unittest.TestCase):
    def test_the_longest_cluster_name_makes_names_that_aws_takes(self):
        longest = Stack(EVERYTHING | {"ClusterName": "c" * 41})
        limits = {"AWS::Serverless::Function": 64, "AWS::SQS::Queue": 80, "AWS::Events::Rule": 64}
        limits |= {"AWS::Scheduler::Schedule": 64, "AWS::EKS::Nodegroup": 63, "AWS::Events::EventBus": 256}
        for kind, limit in limits.items():
            for logical, properties in longest.of_type(kind).items():
                named = [properties[key] for key in properties if key in ("Name", "FunctionName", "QueueName", "NodegroupName")]
                self.assertTrue(named or kind == "AWS::EKS::Nodegroup", logical)
                for name in named:
                    self.assertLessEqual(len(name), limit, name)
        with self.assertRaises(ValueError):
            Stack({"ClusterName": "c" * 42})
        with self.assertRaises(ValueError):
            Stack({"ClusterName": ""})

    def test_names_of_two_clusters_never_meet(self):
        one, other = (str(sorted(self.names(Stack(EVERYTHING | {"ClusterName": name})))) for name in ("a", "b"))
        self.assertEqual(one.replace("joiner-a", "joiner-b"), other)
        self.assertFalse(self.names(Stack(EVERYTHING | {"ClusterName": "a"})) & self.names(Stack(EVERYTHING | {"ClusterName": "b"})))

    def names(self, stack: Stack) -> set[str]:
        keys = ("Name", "FunctionName", "QueueName", "NodegroupName", "LogGroupName", "DashboardName", "RoleName", "BucketName")
        return {each[key] for each in stack.resources.values() for key in keys if key in each}

    def test_each_dead_letter_queue_and_function_has_its_alarms(self):
        stack = Stack(EVERYTHING)
        watched = set()
        for alarm in stack.of_type("AWS::CloudWatch::Alarm").values():
            self.assertEqual(alarm["AlarmActions"], [EVERYTHING["AlarmTopicArn"]])
            watched |= {(alarm["MetricName"], dimension["Value"]) for dimension in alarm["Dimensions"]}
        dead = {queue["RedrivePolicy"]["deadLetterTargetArn"] for queue in stack.of_type("AWS::SQS::Queue").values() if "RedrivePolicy" in queue}
        self.assertEqual(len(dead), 3)
        for arn in dead:
            queue = arn.rpartition("-")[2]
            self.assertIn(("ApproximateNumberOfMessagesVisible", f"{queue}.QueueName"), watched)
        for function in stack.of_type("AWS::Serverless::Function"):
            for metric in ("Errors", "Throttles", "Duration"):
                self.assertIn((metric, function), watched)
        self.assertIn(("joiner_turn_duration_seconds", "demo"), watched)
        self.assertIn(("joiner_check_violations_total", "demo"), watched)
        quiet = Stack({"ClusterName": "demo", "Metrics": "none"})
        self.assertNotIn("NoTurnAlarm", quiet.resources, "without metrics it would ring for ever")
        self.assertTrue(all("AlarmActions" not in each for each in quiet.of_type("AWS::CloudWatch::Alarm").values()))

    def test_alarms_and_dashboard_name_metrics_that_are_written_by_default(self):
        source = (TOP / "shared" / "runtime" / "src" / "metrics.rs").read_text()
        few = re.search(r"const FEW:.*?^\];", source, re.DOTALL | re.MULTILINE)[0]
        written = set(re.findall(r'"((?:joiner|karpenter)_\w+)"', few))
        self.assertEqual(len(written), 10)
        stack = Stack(EVERYTHING)
        body = stack.resources["Dashboard"]["DashboardBody"]
        json.loads(body)
        used = set(re.findall(r'"((?:joiner|karpenter)_\w+)"', body))
        alarms = stack.of_type("AWS::CloudWatch::Alarm").values()
        used |= {each["MetricName"] for each in alarms if each["Namespace"] == "Joiner"}
        self.assertEqual(used - written, set())
        self.assertEqual(written - used, set(), "what is paid for is shown")

    def test_rules_reach_their_queues(self):
        stack = Stack(EVERYTHING)
        statement = stack.resources["QueuesTakeEvents"]["PolicyDocument"]["Statement"][0]
        targets = {target["Arn"] for rule in stack.of_type("AWS::Events::Rule").values() for target in rule["Targets"]}
        self.assertEqual(targets, set(statement["Resource"]))

    def test_policies_are_not_too_long(self):
        stack = Stack(EVERYTHING | {"ClusterName": "c" * 41})
        for name, policy in stack.of_type("AWS::IAM::ManagedPolicy").items():
            length = len(json.dumps(document(policy["PolicyDocument"]), separators=(",", ":")))
            self.assertLessEqual(length, 6144, name)
        # One that is not uploaded to a bucket may have so many bytes.
        self.assertLessEqual(len(TEMPLATE.read_bytes()), 51_200)

    def test_two_system_nodes_one_at_a_time(self):
        group = Stack(EVERYTHING | {"SystemNodes": "asg"})
        properties = group.resources["SystemAutoScalingGroup"]
        self.assertEqual([properties[key] for key in ("MinSize", "MaxSize", "DesiredCapacity")], ["2", "2", "2"])
        self.assertEqual(len(properties["VPCZoneIdentifier"]), 2)
        tags = {tag["Key"] for tag in properties["Tags"]}
        self.assertFalse([tag for tag in tags if tag.startswith(("k8s.io/cluster-autoscaler", "karpenter.sh"))])
        update = load()["Resources"]["SystemAutoScalingGroup"]["UpdatePolicy"]["AutoScalingRollingUpdate"]
        self.assertEqual((update["MaxBatchSize"], update["MinInstancesInService"]), (1, 1))
        data = group.resources["SystemTemplate"]["LaunchTemplateData"]
        self.assertEqual(data["MetadataOptions"]["HttpTokens"], "required")
        flags = yaml.safe_load(data["UserData"])["spec"]["kubelet"]["flags"]
        self.assertEqual(flags, ["--node-labels=joiner.dev/system=true", "--register-with-taints=CriticalAddonsOnly=true:NoSchedule"])
        managed = Stack(EVERYTHING | {"SystemNodes": "managed", "Architecture": "arm64"})
        self.assertNotIn("SystemAutoScalingGroup", managed.resources)
        properties = managed.resources["SystemNodeGroup"]
        self.assertEqual(properties["ScalingConfig"], {"MinSize": 2, "MaxSize": 2, "DesiredSize": 2})
        self.assertEqual((properties["InstanceTypes"], properties["AmiType"]), (["t4g.medium"], "AL2023_ARM_64_STANDARD"))
        self.assertEqual(managed.resources["SystemManagedTemplate"]["LaunchTemplateData"]["MetadataOptions"]["HttpTokens"], "required")

    def test_functions_reach_aws_by_a_proxy(self):
        stack = Stack(EVERYTHING)
        rules = [(each["FromPort"], each["ToPort"]) for each in stack.resources["FunctionsGroup"]["SecurityGroupEgress"]]
        self.assertEqual(rules, [(443, 443), ("3128", "3128")])
        self.assertEqual(stack.value(load()["Globals"])["Function"]["Environment"]["Variables"]["HTTPS_PROXY"], EVERYTHING["HttpsProxy"])
        without = Stack(EVERYTHING | {"HttpsProxy": ""})
        self.assertEqual(len(without.resources["FunctionsGroup"]["SecurityGroupEgress"]), 1)
        self.assertNotIn("HTTPS_PROXY", without.value(load()["Globals"])["Function"]["Environment"]["Variables"])

    def test_without_parameters_nothing_optional_is_made(self):
        plain = Stack({"ClusterName": "demo"})
        optional = {"AWS::EC2::SecurityGroup", "AWS::EC2::VPCEndpoint", "AWS::EC2::LaunchTemplate", "AWS::AutoScaling::AutoScalingGroup"}
        self.assertEqual(set(plain.types.values()) & optional, set())


class Deployed(unittest.TestCase):
    """All parts at once, in the emulator; the two kinds of system nodes one after the other."""

    def test_the_whole_template_is_deployed(self):
        with tempfile.TemporaryDirectory() as directory:
            for nodes in ("asg", "managed"):
                self.deploy(Path(directory), nodes)

    def deploy(self, directory: Path, nodes: str):
        cloud = boto3.client("cloudformation")
        eks = boto3.client("eks", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
        if "whole" not in eks.list_clusters()["clusters"]:
            role = f"arn:aws:iam::{ACCOUNT}:role/cluster"
            eks.create_cluster(name="whole", roleArn=role, resourcesVpcConfig={"subnetIds": ["subnet-1", "subnet-2"]})
        # Real ones, because the emulator looks.
        ec2 = boto3.client("ec2", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
        vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        subnets = [each["SubnetId"] for each in ec2.describe_subnets()["Subnets"][:2]]
        # The two nodes are made where nodes are.
        own = boto3.client("ec2")
        zones = ",".join(each["SubnetId"] for each in own.describe_subnets()["Subnets"][:2])
        group = own.describe_security_groups()["SecurityGroups"][0]["GroupId"]
        profile = f"KarpenterNodeInstanceProfile-{os.environ['JOINER_CLUSTER']}"
        given = EVERYTHING | {"ClusterName": "whole", "SystemNodes": nodes, "VpcId": vpc, "SubnetIds": ",".join(subnets), "KubernetesVersion": "1.35"}
        given |= {"SystemSubnetIds": zones, "SystemSecurityGroupIds": group, "SystemInstanceProfile": profile}
        expected = Stack(given)
        template, name = self.with_code(directory), f"whole-{nodes}"
        bucket = f"whole-{nodes}"
        boto3.client("s3").create_bucket(Bucket=bucket)
        command = [SAM / "bin" / "sam", "deploy", "--template-file", template, "--stack-name", name, "--s3-bucket", bucket]
        command += ["--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND", "--no-confirm-changeset", "--no-progressbar"]
        command += ["--parameter-overrides", *(f"{key}={value}" for key, value in given.items())]
        try:
            run(*command, cwd=directory)
            resources = cloud.describe_stack_resources(StackName=name)["StackResources"]
            unmade = [each["LogicalResourceId"] for each in resources if each["ResourceStatus"] != "CREATE_COMPLETE"]
            self.assertEqual(unmade, [])
            made = {each["LogicalResourceId"] for each in resources}
            self.assertEqual(set(expected.types) - made, set())
            self.check_policies(resources, expected)
        finally:
            cloud.delete_stack(StackName=name)
            cloud.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})

    def check_policies(self, resources: list, expected: Stack):
        """The document that is JSON in a string arrives as a document."""
        iam = boto3.client("iam", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
        arn = next(each["PhysicalResourceId"] for each in resources if each["LogicalResourceId"] == "NodesPolicy")
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        got = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
        self.assertEqual(document(got), document(expected.resources["NodesPolicy"]["PolicyDocument"]))

    def with_code(self, directory: Path) -> Path:
        """The template with functions that only fail."""
        for name in FUNCTIONS:
            (directory / name).mkdir(exist_ok=True)
            bootstrap = directory / name / "bootstrap"
            bootstrap.write_text("#!/bin/sh\nexit 1\n")
            bootstrap.chmod(0o755)
        path = directory / "template.yaml"
        path.write_text(with_code(TEMPLATE.read_text(), FUNCTIONS))
        return path


if __name__ == "__main__":
    unittest.main()
