"""`joiner install` and its kin, from an account with two VPCs to an installation and back, on real parts: the side of AWS.

The rows are those of the checklist of upstream's page (rows.py).
"""

import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.request
from pathlib import Path

import boto3
from installation import (
    CLUSTER, FUNCTIONS, JOINER, Account, afresh, calm, changes, door, fault, forget, image, joiner, kubectl, release, site, stacks, tar, two_are_ready,
)
from rendered import TOP

RELEASE: Path
WORLD: Account
SCRATCH = tempfile.TemporaryDirectory()


def setUpModule():
    global RELEASE, WORLD
    afresh()
    RELEASE = release(Path(SCRATCH.name))
    WORLD = Account().make()
    WORLD.two_nodes()
    two_are_ready()


def tearDownModule():
    forget()
    door("reset")
    SCRATCH.cleanup()


def install(*arguments, cluster: str = CLUSTER) -> tuple[int, str]:
    return joiner("install", *site(cluster), "--artifacts", RELEASE, *arguments)


def uninstall(cluster: str = CLUSTER) -> tuple[int, str]:
    return joiner("uninstall", *site(cluster), "--yes")


def parameters(cluster: str = CLUSTER) -> dict[str, str]:
    stack = boto3.client("cloudformation").describe_stacks(StackName=f"joiner-{cluster}")["Stacks"][0]
    return {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]}


def outputs(cluster: str = CLUSTER) -> dict[str, str]:
    stack = boto3.client("cloudformation").describe_stacks(StackName=f"joiner-{cluster}")["Stacks"][0]
    return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}


def account() -> dict:
    return WORLD.state()


def steps(said: str) -> list[str]:
    """The names of the steps that were begun."""
    return [line.split("] ")[1] for line in said.splitlines() if line.startswith("[") and "] " in line]


class Case(unittest.TestCase):
    maxDiff = None

    def done(self, ran: tuple[int, str]) -> str:
        self.assertEqual(ran[0], 0, ran[1])
        return ran[1]

    def refused(self, ran: tuple[int, str], code: int, *parts: str) -> str:
        self.assertEqual(ran[0], code, ran[1])
        for part in parts:
            self.assertIn(part, ran[1])
        return ran[1]


class Installed(Case):
    """One installation from nothing, which the tests look at; its order does not matter to them."""

    @classmethod
    def setUpClass(cls):
        cls.before = account()
        cls.dry = install("--dry-run")
        cls.between = account()
        cls.first = install("--yes", "--fix-asg")
        cls.after = account()

    @classmethod
    def tearDownClass(cls):
        code, said = uninstall()
        if code != 0:
            raise AssertionError(said)

    def test_row_16_one_command_that_plans_first(self):
        self.assertIn("would change", self.done(self.dry))
        self.assertEqual(self.before, self.between, "a dry run changes nothing")
        names = steps(self.done(self.first))
        self.assertEqual(names, steps(self.dry[1]))
        order = ["preflight", "namespace", "identity", "tags", "delivery", "stack", "access", "webhook", "probe", "pools", "verify", "cluster-autoscaler"]
        self.assertEqual([name for name in names if name in order], order, "the page's order: the autoscaler goes last")

    def test_row_16_again_changes_nothing(self):
        again = self.done(joiner("install", *site(), "--yes"))
        self.assertEqual(changes(again), [])
        self.assertEqual(self.after, account())
        self.assertEqual(changes(self.done(install("--yes"))), [], "nor with the same release")

    def test_row_19_29_tags_of_the_right_subnets_and_groups(self):
        tags = self.after["tags"]
        private = [name for name in WORLD.subnets if name.startswith(("eks_private", "eks_secondary"))]
        for name in private:
            self.assertEqual(tags.get(WORLD.subnets[name]), CLUSTER, name)
        for name in ("eks_public_0", "eks_public_1", "database"):
            self.assertNotIn(WORLD.subnets[name], tags, name)
        expected = {f"{CLUSTER}-nodes-sg": CLUSTER, f"ssh_eks_{CLUSTER}": CLUSTER, f"{CLUSTER}-control-plane-sg": None}
        for pool in ("jupyter", "workflow"):
            expected |= {f"{CLUSTER}-nodes-sg-{pool}": f"{CLUSTER}-{pool}", f"ssh_eks_{CLUSTER}-nodepool-{pool}": f"{CLUSTER}-{pool}"}
        for name, value in expected.items():
            self.assertEqual(tags.get(WORLD.groups[name]), value, name)

    def test_row_27_28_another_vpc_with_the_same_names_is_not_touched(self):
        self.assertNotIn(WORLD.foreign_group, self.after["tags"])
        self.assertNotIn(WORLD.foreign_subnet, self.after["tags"])

    def test_row_7_roles_and_the_functions_user(self):
        role = outputs()["FunctionsRoleArn"]
        self.assertIn(f"rolearn: {role}\n", self.after["aws-auth"])
        self.assertTrue(self.after["aws-auth"].startswith(self.before["aws-auth"].rstrip("\n")), "entries of others stay as they are")
        found = boto3.client("cloudformation").describe_stack_resource(StackName=f"joiner-{CLUSTER}", LogicalResourceId="WebhookRole")
        self.assertIn(found["StackResourceDetail"]["ResourceStatus"], ("CREATE_COMPLETE", "UPDATE_COMPLETE"))

    def test_row_20_the_stack_of_the_release(self):
        given = parameters()
        self.assertEqual(given["ClusterName"], CLUSTER)
        self.assertTrue(given["NodeRoleArn"].endswith(f"KarpenterNodeRole-{CLUSTER}"))
        self.assertEqual((given["AccessEntries"], given["SystemNodes"], given["VpcId"]), ("false", "none", ""))
        body = boto3.client("cloudformation").get_template(StackName=f"joiner-{CLUSTER}", TemplateStage="Original")["TemplateBody"]
        self.assertNotIn("CodeUri: ..", body)
        for name in FUNCTIONS:
            self.assertIn(f"CodeUri: s3://{self.after['buckets'][0]}/functions/{name}-", body)
        image = kubectl("get", "deployment", "-n", "joiner", "joiner-webhook", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
        digest = boto3.client("ecr").describe_images(repositoryName=f"joiner/{CLUSTER}/webhook")["imageDetails"][0]["imageDigest"]
        self.assertTrue(image.endswith(f"joiner/{CLUSTER}/webhook@{digest}"), image)

    def test_row_20_each_function_is_asked_whether_it_gets_through(self):
        for name in FUNCTIONS:
            self.assertIn(f"joiner-{CLUSTER}-{name} reaches AWS and the API server", self.first[1])

    def test_row_20_a_new_release_is_an_update(self):
        newer = release(Path(SCRATCH.name), version="0.2.0")
        said = self.done(joiner("install", *site(), "--artifacts", newer, "--yes"))
        self.assertIn("functions' code: version 0.2.0 for x86_64, was 0.1.0", said)
        self.assertIn(f"update    stack joiner-{CLUSTER}: version 0.2.0: another template or other code", said)
        self.assertEqual(stacks()[f"joiner-{CLUSTER}"], "UPDATE_COMPLETE")
        self.done(install("--yes"))
        self.assertEqual(changes(self.done(install("--yes"))), [], "and back")

    def test_row_6_a_missing_permission_is_named(self):
        WORLD.ec2.delete_tags(Resources=[WORLD.subnets["eks_private_0"]], Tags=[{"Key": "karpenter.sh/discovery"}])
        fault(action="CreateTags", code="UnauthorizedOperation", status=403)
        self.addCleanup(calm)
        self.refused(
            install("--yes"), 1, "step tags: subnet eks_private_0", "ec2:CreateTags is not allowed",
            '{"Effect":"Allow","Action":"ec2:CreateTags"',
        )
        calm()
        self.done(install("--yes"))

    def test_calls_that_are_throttled_are_made_again(self):
        fault(action="DescribeSubnets", code="RequestLimitExceeded", status=503, times=1)
        self.addCleanup(calm)
        self.assertEqual(changes(self.done(install("--yes"))), [])

    def test_row_34_the_two_nodes_are_replaced_one_at_a_time(self):
        scaling, name = boto3.client("autoscaling"), f"eks-worker-node-{CLUSTER}"

        def instances() -> list[str]:
            group = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]
            return sorted(each["InstanceId"] for each in group["Instances"])

        before = instances()
        said = self.done(joiner("rotate-system-nodes", *site(), "--dry-run"))
        self.assertEqual(changes(said), [], "they are of the newest template")
        said = self.done(joiner("rotate-system-nodes", *site(), "--yes", "--force"))
        ends = [line for line in said.splitlines() if "is ended" in line]
        self.assertEqual(len(ends), 2, said)
        between = said.split(ends[0])[1].split(ends[1])[0]
        self.assertIn("1 of 2 nodes are ready", between, "the second goes when the first has its successor")
        self.assertFalse(set(before) & set(instances()))
        self.assertIn("a pod that waits would get", said)

    def test_row_32_the_functions_answer_without_the_clusters_nodes(self):
        function = boto3.client("lambda").get_function_configuration(FunctionName=f"joiner-{CLUSTER}-on-schedule")
        self.assertNotIn("SubnetIds", json.dumps(function.get("VpcConfig", {})).replace('"SubnetIds": []', ""))


class Kills(Case):
    """The command is killed at the beginning of every step and in the middle of the stack; each next run goes on."""

    def run_until(self, mark: str, *command) -> bool:
        environment = os.environ | {"NO_COLOR": "1"}
        process = subprocess.Popen([str(JOINER), *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
        with process:
            for line in process.stdout:
                if line.startswith(mark):
                    process.send_signal(signal.SIGKILL)
                    return True
        self.assertEqual(process.returncode, 0)
        return False

    def chain(self, marks: list[str], *command) -> None:
        for mark in marks:
            self.assertTrue(self.run_until(mark, *command), f"{mark} was never said")

    def test_install_and_uninstall_go_on_after_every_kill(self):
        before = account()
        names = steps(self.done(install("--dry-run")))
        marks = [f"[{number}/{len(names)}]" for number in range(2, len(names) + 1)]
        stack = names.index("stack")
        command = ("install", *site(), "--artifacts", RELEASE, "--yes")
        self.chain(marks[:stack] + ["  ... Bus "] + marks[stack:], *command)
        said = self.done(install("--yes"))
        self.assertEqual([line for line in changes(said) if "joiner-settings" not in line], [], "all but the last step was done")
        self.assertEqual(changes(self.done(install("--yes"))), [])
        self.assertEqual(stacks()[f"joiner-{CLUSTER}"], "CREATE_COMPLETE")
        names = steps(self.done(joiner("uninstall", *site(), "--dry-run")))
        marks = [f"[{number}/{len(names)}]" for number in range(2, len(names) + 1)]
        self.chain(marks, "uninstall", *site(), "--yes")
        self.done(uninstall())
        self.assertEqual(account(), before, "as if nobody had been here")


class AccessEntries(Case):
    """A cluster that maps identities by access entries; the API server has no public endpoint, and workloads know a proxy."""

    PROXY = "http://cloud-proxy.internal.io:3128"

    def entries(self) -> list[dict]:
        with urllib.request.urlopen(f"{os.environ['JOINER_FAULTS_URL']}/access-entry") as answer:
            return json.load(answer)

    def test_row_7_the_functions_user_by_an_access_entry(self):
        before, role = account(), boto3.client("iam").get_role(RoleName=f"KarpenterNodeRole-{CLUSTER}")["Role"]["Arn"]
        kubectl("delete", "configmap", "-n", "kube-system", "aws-auth")
        door("authentication", mode="API")
        self.addCleanup(WORLD.admit_nodes)
        self.addCleanup(door, "authentication", mode="")
        self.refused(install("--yes"), 1, "is not mapped, so new nodes would not join: aws eks create-access-entry", "--type EC2_LINUX")
        nodes = {"cluster": CLUSTER, "principal": role, "groups": [], "type": "EC2_LINUX"}
        door("access-entry", **nodes)
        self.addCleanup(door, "access-entry", "DELETE", **nodes)
        said = self.done(install("--yes"))
        self.assertIn("the nodes' right to join: an access entry", said)
        self.assertIn("the functions' user in the cluster: an access entry of the stack", said)
        self.assertEqual(parameters()["AccessEntries"], "true", said)
        own = {"cluster": CLUSTER, "principal": outputs()["FunctionsRoleArn"], "groups": ["joiner:functions"], "type": "STANDARD"}
        self.assertEqual(self.entries(), [nodes, own])
        self.assertEqual(kubectl("get", "configmap", "-n", "kube-system", "aws-auth", "--ignore-not-found"), "", "nobody reads it")
        self.assertEqual(changes(self.done(install("--yes"))), [])
        self.done(uninstall())
        self.assertEqual(self.entries(), [nodes])
        WORLD.admit_nodes()
        self.assertEqual(account(), before)

    def half_deleted(self, nodes: dict) -> None:
        """Somebody deletes the stack, and a part of it will not go: the emulator's access entry, once it is not there any more."""
        own = next(entry for entry in self.entries() if entry != nodes)
        door("access-entry", "DELETE", **own)
        boto3.client("cloudformation").delete_stack(StackName=f"joiner-{CLUSTER}")
        deadline = time.monotonic() + 60
        while stacks().get(f"joiner-{CLUSTER}") != "DELETE_FAILED":
            self.assertLess(time.monotonic(), deadline, stacks())
            time.sleep(0.2)
        door("access-entry", **own)

    def test_a_half_deleted_stack_is_made_anew_or_goes(self):
        before, role = account(), boto3.client("iam").get_role(RoleName=f"KarpenterNodeRole-{CLUSTER}")["Role"]["Arn"]
        nodes = {"cluster": CLUSTER, "principal": role, "groups": [], "type": "EC2_LINUX"}
        door("authentication", mode="API_AND_CONFIG_MAP")
        self.addCleanup(door, "authentication", mode="")
        door("access-entry", **nodes)
        self.addCleanup(door, "access-entry", "DELETE", **nodes)
        self.done(install("--yes"))
        self.half_deleted(nodes)
        self.refused(install("--yes"), 1, "step stack", "DELETE_FAILED", "--force")
        self.done(install("--yes", "--force"))
        self.assertEqual(stacks()[f"joiner-{CLUSTER}"], "CREATE_COMPLETE")
        self.assertEqual(changes(self.done(install("--yes"))), [])
        self.half_deleted(nodes)
        self.done(uninstall())
        self.assertEqual(account(), before)

    def test_row_20_a_proxy_that_workloads_name_is_the_way_to_aws(self):
        self.refused(joiner("preflight", *site(), "--proxy", "cloud-proxy"), 2, "--proxy", "http://HOST:PORT")
        containers = [{"name": "web", "image": "web", "env": [{"name": "HTTPS_PROXY", "value": self.PROXY}]}]
        web = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "by-proxy", "namespace": "default"}}
        pod = {"metadata": {"labels": {"app": "by-proxy"}}, "spec": {"containers": containers}}
        web["spec"] = {"replicas": 0, "selector": {"matchLabels": {"app": "by-proxy"}}, "template": pod}
        kubectl("apply", "-f", "-", input=json.dumps(web))
        door("endpoint", public=False)
        try:
            said = self.done(joiner("preflight", *site(), "--artifacts", RELEASE))
            self.assertIn(f"in the cluster's VPC, by the proxy {self.PROXY}", said)
            said = self.done(joiner("preflight", *site(), "--artifacts", RELEASE, "--proxy", "none"))
            self.assertIn("the stack makes endpoints: all", said)
            self.done(install("--yes"))
            given = parameters()
            self.assertTrue(given["SubnetIds"])
            self.assertEqual((given["HttpsProxy"], given["PrivateEndpoints"], given["IsolatedVpc"]), (self.PROXY, "none", "false"))
            for name in FUNCTIONS:
                function = boto3.client("lambda").get_function_configuration(FunctionName=f"joiner-{CLUSTER}-{name}")
                self.assertEqual(function["Environment"]["Variables"]["HTTPS_PROXY"], self.PROXY)
            env = kubectl("get", "deployment", "-n", "joiner", "joiner-webhook", "-o", "jsonpath={.spec.template.spec.containers[0].env}")
            self.assertIn({"name": "HTTPS_PROXY", "value": self.PROXY}, json.loads(env))
            ports = kubectl("get", "networkpolicy", "-n", "joiner", "joiner-webhook", "-o", "jsonpath={.spec.egress[0].ports[*].port}")
            self.assertEqual(ports, "53 53 443 3128")
            kubectl("delete", "deployment", "by-proxy")
            self.assertEqual(changes(self.done(install("--yes"))), [], "what was found once stays")
            self.done(uninstall())
        finally:
            door("endpoint", public=True)
            kubectl("delete", "deployment", "by-proxy", "--ignore-not-found")

    def test_row_20_calls_of_aws_go_by_the_proxy(self):
        """The same clients as the functions': without an emulator's address, each call begins with CONNECT."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            asked = []

            def answer():
                while connection := accepted(server):
                    with connection:
                        asked.append(connection.recv(4096).split(b"\r\n")[0].decode())
                        connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

            threading.Thread(target=answer, daemon=True).start()
            environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_ENDPOINT_URL")}
            environment |= {"HTTPS_PROXY": f"http://127.0.0.1:{server.getsockname()[1]}"}
            done = subprocess.run([JOINER, "preflight", *site()], capture_output=True, text=True, timeout=120, env=environment)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertEqual(set(asked), {"CONNECT eks.us-east-1.amazonaws.com:443 HTTP/1.1"})


def objects() -> list[str]:
    """What an installation changes in the cluster, each with its version."""
    kinds = "namespaces,customresourcedefinitions,deployments,daemonsets,configmaps,secrets,clusterroles,clusterrolebindings,services"
    kinds += ",validatingwebhookconfigurations,mutatingwebhookconfigurations"
    names = "jsonpath={range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name} {.metadata.uid}{\"\\n\"}{end}"
    return sorted(kubectl("get", kinds, "--all-namespaces", "-o", names).splitlines())


class HalfGone(Case):
    """Somebody has taken parts of an installation away, one by one and by hand."""

    def test_what_is_gone_comes_again_and_what_is_left_goes(self):
        before = account()
        self.done(install("--yes"))
        whole = account()
        self.take_away()
        self.refused(joiner("install", *site(), "--yes"), 1, "step preflight: release", "say --artifacts FILE")
        self.done(install("--yes"))
        self.assertEqual(account(), whole)
        self.assertEqual(changes(self.done(install("--yes"))), [])
        self.take_away()
        self.done(uninstall())
        self.assertEqual(account(), before)
        self.assertEqual(kubectl("get", "deployments", "-n", "joiner", "-o", "name"), "")

    def take_away(self) -> None:
        """The bucket, the repository, an entry of aws-auth, a tag, and the webhook with its rights."""
        s3, bucket = boto3.client("s3"), account()["buckets"][0]
        for each in s3.list_objects_v2(Bucket=bucket)["Contents"]:
            s3.delete_object(Bucket=bucket, Key=each["Key"])
        s3.delete_bucket(Bucket=bucket)
        boto3.client("ecr").delete_repository(repositoryName=f"joiner/{CLUSTER}/webhook", force=True)
        WORLD.admit_nodes()
        WORLD.undiscover(WORLD.subnets["eks_private_0"])
        kubectl("delete", "deployment,serviceaccount", "-n", "joiner", "joiner-webhook")
        kubectl("delete", "clusterrole", "joiner-webhook")


class Conflicts(Case):
    def setUp(self):
        self.before = account()

    def test_row_29_values_of_others_are_told_and_left(self):
        subnet, group = WORLD.subnets["eks_private_0"], WORLD.groups[f"ssh_eks_{CLUSTER}-nodepool-workflow"]
        WORLD.discover(subnet, "true")
        WORLD.discover(group, f"{CLUSTER}-worfklow")
        self.addCleanup(WORLD.undiscover, subnet, group)
        stale = account()
        said = self.refused(install("--yes"), 1, "step preflight", "karpenter.sh/discovery=true should be", "mixes the VPCs", "--force")
        self.assertIn("1 more like this", said)
        self.assertEqual(account(), stale, "nothing was changed")
        said = self.done(install("--yes", "--force"))
        self.assertIn(f"karpenter.sh/discovery={CLUSTER}-workflow, was {CLUSTER}-worfklow", said)
        self.assertEqual(WORLD.discovery()[subnet], CLUSTER)
        self.done(uninstall())
        self.assertEqual(account(), stale, "what was there before is there again")

    def test_row_19_a_public_subnet_never_keeps_the_tag(self):
        public = WORLD.subnets["eks_public_0"]
        WORLD.discover(public, CLUSTER)
        self.addCleanup(WORLD.undiscover, public)
        self.refused(install("--yes"), 1, "eks_public_0", "it is public", "take the tag away")

    def test_zero_subnets(self):
        for subnet in WORLD.own:
            WORLD.ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
        private = [subnet for name, subnet in WORLD.subnets.items() if name.startswith(("eks_private", "eks_secondary"))]
        for subnet in private:
            WORLD.ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
        try:
            self.refused(install("--yes"), 1, "step preflight: private subnets of VPC", "aws ec2 create-tags")
        finally:
            for subnet in WORLD.own + private:
                WORLD.ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": False})
        self.assertEqual(account(), self.before)

    def test_a_stack_that_was_rolled_back_says_why_and_what_to_do(self):
        events = boto3.client("events")
        events.create_event_bus(Name=f"joiner-{CLUSTER}")
        try:
            said = self.refused(install("--yes"), 1, "step stack", "ROLLBACK_COMPLETE", "because Bus AWS::Events::EventBus CREATE_FAILED")
            self.assertIn("--force", said)
            self.refused(install("--yes"), 1, "step stack", "aws cloudformation delete-stack")
        finally:
            events.delete_event_bus(Name=f"joiner-{CLUSTER}")
        self.done(install("--yes", "--force"))
        self.done(uninstall())
        self.assertEqual(account(), self.before)

    def test_nobody_to_ask(self):
        self.refused(install(), 2, "there is nobody to ask; say --yes")
        self.assertEqual(account(), self.before)


class Preflight(Case):
    def test_row_9_what_is_missing_is_told_with_the_command_that_mends_it(self):
        said = self.done(joiner("preflight", *site(), "--artifacts", RELEASE))
        for part in ("two nodes outside Joiner's management: ", "node role", "instance profile", "right to join", "OIDC provider", "Lambda concurrency", "vCPUs"):
            self.assertIn(part, said)
        role, profile = f"KarpenterNodeRole-{CLUSTER}", f"{CLUSTER}_EKS_workers"
        WORLD.iam.remove_role_from_instance_profile(InstanceProfileName=profile, RoleName=role)
        kubectl("delete", "configmap", "-n", "kube-system", "aws-auth")
        try:
            said = self.refused(
                joiner("preflight", *site(), "--artifacts", RELEASE, "--node-role", role), 1,
                f"aws iam add-role-to-instance-profile --instance-profile-name {profile} --role-name {role}",
                f"role {role} is not mapped", "eksctl create iamidentitymapping",
            )
            self.assertIn("(1 more like this above)", said)
            self.refused(joiner("preflight", *site()), 1, "say --node-role NAME")
        finally:
            WORLD.iam.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=role)
            WORLD.admit_nodes()

    def test_row_33_two_of_two_of_two(self):
        scaling, name = boto3.client("autoscaling"), f"eks-worker-node-{CLUSTER}"
        self.assertEqual(WORLD.sizes()[name], [2, 2, 2])
        scaling.update_auto_scaling_group(AutoScalingGroupName=name, MaxSize=10)
        tag = {"Key": "k8s.io/cluster-autoscaler/enabled", "Value": "", "ResourceId": name, "ResourceType": "auto-scaling-group", "PropagateAtLaunch": True}
        scaling.create_or_update_tags(Tags=[tag])
        said = self.done(joiner("preflight", *site(), "--artifacts", RELEASE))
        self.assertIn("it is 2/10/2 (min/max/desired) and should be 2/2/2, it has Cluster Autoscaler's tags; --fix-asg mends", said)
        self.assertEqual(WORLD.sizes()[name], [2, 10, 2])
        self.assertIn(f"{name} is mended", self.done(joiner("preflight", *site(), "--artifacts", RELEASE, "--fix-asg")))
        self.assertEqual(WORLD.sizes()[name], [2, 2, 2])
        self.assertEqual(changes(self.done(joiner("preflight", *site(), "--artifacts", RELEASE, "--fix-asg"))), [])

    def test_row_28_31_a_private_api_server_moves_the_functions_into_the_vpc(self):
        door("endpoint", public=False)
        try:
            said = self.done(joiner("preflight", *site(), "--artifacts", RELEASE))
            self.assertIn("in the cluster's VPC; the stack makes endpoints: all", said)
        finally:
            door("endpoint", public=True)


class Released(Case):
    def test_infra_release_makes_what_install_takes(self):
        scratch = Path(SCRATCH.name) / "released"
        scratch.mkdir()
        for name in FUNCTIONS:
            (scratch / name).write_text(f"# {name}")
        (scratch / "image.tar").write_bytes(image())
        made = []
        for out in ("one.tar", "two.tar", "directory/"):
            command = [TOP / "infra" / "release", "--binaries", scratch, "--image", scratch / "image.tar", "--out", f"{scratch}/{out}"]
            subprocess.run(command, check=True, capture_output=True, timeout=120)
            self.assertIn("release: version", self.done(joiner("preflight", *site(), "--artifacts", f"{scratch}/{out}")))
            made.append((scratch / out).read_bytes() if out.endswith(".tar") else None)
        self.assertEqual(made[0], made[1], "the same bytes for the same source")


class TwoClusters(Case):
    def test_row_28_uninstalling_one_leaves_the_other(self):
        door("cluster", name="other")
        other = boto3.client("iam").get_role(RoleName="KarpenterNodeRole-other")["Role"]["Arn"]
        boto3.client("iam").create_instance_profile(InstanceProfileName="other_EKS_workers")
        boto3.client("iam").add_role_to_instance_profile(InstanceProfileName="other_EKS_workers", RoleName="KarpenterNodeRole-other")
        auth = kubectl("get", "configmap", "-n", "kube-system", "aws-auth", "-o", "jsonpath={.data.mapRoles}")
        entry = f"- rolearn: {other}\n  username: system:node:{{{{EC2PrivateDNSName}}}}\n  groups:\n  - system:nodes\n"
        kubectl("patch", "configmap", "-n", "kube-system", "aws-auth", "--type", "merge", "-p", json.dumps({"data": {"mapRoles": auth + entry}}))
        self.addCleanup(WORLD.admit_nodes)
        self.done(install("--yes"))
        first = account()
        self.done(install("--yes", cluster="other"))
        both = account()
        self.assertEqual(both["stacks"], {f"joiner-{CLUSTER}": "CREATE_COMPLETE", "joiner-other": "CREATE_COMPLETE"})
        self.assertEqual(len(both["buckets"]), 2)
        self.assertEqual({key: both["tags"][key] for key in first["tags"]}, first["tags"])
        names = [names_of(cluster) for cluster in (CLUSTER, "other")]
        self.assertFalse(names[0] & names[1], "no name is shared")
        self.done(uninstall("other"))
        left = account()
        for part in ("stacks", "buckets", "repositories"):
            self.assertEqual(left[part], first[part], part)
        self.assertEqual({key: left["tags"][key] for key in first["tags"]}, first["tags"])
        self.done(uninstall())


def accepted(server: socket.socket) -> socket.socket | None:
    """The next connection; none once nobody listens any more."""
    try:
        return server.accept()[0]
    except OSError:
        return None


def names_of(cluster: str) -> set[str]:
    cloud = boto3.client("cloudformation")
    pages = cloud.get_paginator("list_stack_resources").paginate(StackName=f"joiner-{cluster}")
    return {each["PhysicalResourceId"] for page in pages for each in page["StackResourceSummaries"]}


class BadInput(Case):
    def check(self, arguments, code: int, *parts: str, **environment) -> None:
        with self.subTest(arguments=arguments):
            before = account(), objects()
            self.refused(joiner(*arguments, **environment), code, *parts)
            self.assertEqual((account(), objects()), before, "nothing was changed")

    def test_each_says_what_to_do(self):
        scratch = Path(SCRATCH.name)
        (scratch / "text.tar").write_text("no tar")
        (scratch / "manifest.json").write_text("no json")
        (scratch / "empty.tar").write_bytes(tar({}))
        whole = ["--kubeconfig", os.environ["KUBECONFIG"], "--yes"]
        self.check(["instal"], 2, "unrecognized subcommand", "install")
        self.check(["install", "--cluster", "", *whole], 2, "it is empty; say --cluster NAME")
        self.check(["install", "--cluster", "c" * 42, *whole], 2, "it has 42 characters and may have 41")
        self.check(["install", "--cluster", "a b", *whole], 2, "letters, digits, - and _")
        self.check(["install", "--cluster", "nowhere", *whole], 1, "cluster nowhere in us-east-1 is not there", "aws eks list-clusters")
        self.check(["install", *site(), "--vpc", "wrong", "--yes"], 1, f"it is in the VPC {CLUSTER}", f"say --vpc {CLUSTER}")
        self.check(["install", *site(), "--vpc", " ", "--yes"], 2, "it is empty")
        self.check(["install", *site(), "--yes"], 1, "step preflight: release", "infra/release")
        self.check(["install", *site(), "--yes", "--artifacts", scratch / "none.tar"], 1, "it cannot be read")
        self.check(["install", *site(), "--yes", "--artifacts", scratch / "text.tar"], 1, "text.tar")
        self.check(["install", *site(), "--yes", "--artifacts", scratch / "empty.tar"], 1, "it has no SHA256SUMS")
        self.check(["install", *site(), "--yes", "--manifest", scratch / "manifest.json"], 2, "manifest.json")
        self.check(["install", "--yes"], 2, "--cluster")
        for command in ("uninstall", "update", "verify", "rotate-system-nodes", "preflight"):
            consent = [] if command in ("verify", "preflight") else ["--yes"]
            self.check([command, "--cluster", "", *consent], 2, "it is empty; say --cluster NAME")
            self.check([command, "--cluster", "nowhere", *consent], 1, "cluster nowhere in us-east-1 is not there")
            self.check([command, *site(), "--vpc", "wrong", *consent], 1, f"it is in the VPC {CLUSTER}")
        (scratch / "folder").mkdir()
        self.check(["update", *site(), "--yes", "--config", scratch / "none"], 2, "none")
        (scratch / "folder" / "pool.yaml").write_text("kind: Provisioner\napiVersion: karpenter.sh/v1alpha5\nmetadata: {name: b}\nspec: {weight: x}\n")
        self.check(["update", *site(), "--yes", "--config", scratch / "folder"], 2, "pool.yaml:1: spec")
        self.check(["install", *site(), "--yes", "--node-role", "nobody", "--artifacts", RELEASE], 1, "node role nobody is not there")
        self.check(["rotate-system-node"], 2, "unrecognized subcommand")
        self.check(["install", *site(), "--mode", "acts"], 2, "observe")

    def test_without_credentials_or_region(self):
        none = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
        self.check(["install", *site(), "--yes"], 1, "credentials are refused", "AWS_PROFILE", **none)

    def test_a_kubeconfig_of_another_cluster(self):
        other = Path(SCRATCH.name) / "kubeconfig"
        other.write_text(Path(os.environ["KUBECONFIG"]).read_text().replace("https://127.0.0.1:", "https://127.0.0.2:"))
        self.check(["install", "--cluster", CLUSTER, "--kubeconfig", other, "--yes"], 1, "of another API server")


if __name__ == "__main__":
    unittest.main()
