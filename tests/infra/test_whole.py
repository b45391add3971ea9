"""One installation with everything real that can be had: the functions' own binaries in the emulator's Lambda, the webhook as a process with
the rights of its service account, a kube-apiserver. From `joiner install` over nodes that turns buy, a canary, versions apart, to `joiner uninstall`.
"""

import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import boto3
from installation import CLUSTER, FUNCTIONS, JOINER, Account, afresh, door, forget, joiner, kubectl, release, site, two_are_ready
from rendered import TOP

SCRATCH = tempfile.TemporaryDirectory()
BINARIES = JOINER.parent
DEFINITIONS = TOP / "infra" / "chart" / "crds"
# Turns, boots and evictions take seconds each; beside other work several times as long.
PATIENCE_S = 180
CRD = "customresourcedefinition"


@unittest.skipUnless(all((BINARIES / name).exists() for name in [*FUNCTIONS, "webhook"]), "cargo build --workspace --bins makes what this needs")
class Whole(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        afresh()
        cls.account = Account().make()
        cls.account.two_nodes()
        cls.ec2 = boto3.client("ec2")
        # An empty cluster: the stack brings definitions for other tests.
        kubectl("delete", "-f", DEFINITIONS, "--ignore-not-found")
        kubectl("delete", "namespace", "joiner", "--ignore-not-found")
        cls.binaries = stripped(Path(SCRATCH.name) / "binaries")
        cls.release = release(Path(SCRATCH.name), cls.binaries)
        two_are_ready()
        cls.webhooks = []

    @classmethod
    def tearDownClass(cls):
        for process in cls.webhooks:
            process.terminate()
            process.wait()
        kubectl("delete", "deployment", "web", "--ignore-not-found")
        forget()
        door("reset")
        kubectl("apply", "--server-side", "--force-conflicts", "-f", DEFINITIONS)
        SCRATCH.cleanup()

    def done(self, *arguments) -> str:
        code, said = joiner(*arguments)
        self.assertEqual(code, 0, f"{said}\n{logs()}")
        return said

    def refused(self, *arguments) -> str:
        code, said = joiner(*arguments)
        self.assertEqual(code, 1, said)
        return said

    def test_from_a_cluster_to_a_scaled_one_and_back(self):
        installed = self.done("install", *site(), "--artifacts", self.release, "--yes", "--fix-asg")
        for name in FUNCTIONS:
            self.assertIn(f"joiner-{CLUSTER}-{name} reaches AWS and the API server", installed)
        self.assertIn("pool default: a pod that waits would get", installed)
        # Of nodes that go because they may, other tests tell; here they would look like nodes that an upgrade has replaced.
        kubectl("patch", "provisioner", "default", "--type=merge", "-p", '{"spec":{"consolidation":{"enabled":false}}}')
        self.start_webhooks()
        self.pods_get_nodes(20)
        self.tells_how_it_is()
        self.a_canary_lives_and_goes()
        self.versions_apart()
        self.goes_again()

    def start_webhooks(self) -> None:
        """As the pods of the Deployment would run: its environment, and its service account's token instead of an administrator's."""
        pods = json.loads(kubectl("get", "deployment", "-n", "joiner", "joiner-webhook", "-o", "json"))["spec"]["template"]["spec"]
        given = {each["name"]: each["value"] for each in pods["containers"][0]["env"] if "value" in each}
        token = kubectl("create", "token", "-n", "joiner", pods["serviceAccountName"], "--duration=1h").strip()
        config = json.loads(Path(os.environ["KUBECONFIG"]).read_text())
        config["users"][0]["user"] = {"token": token}
        kubeconfig = Path(SCRATCH.name) / "webhook.kubeconfig"
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_text(json.dumps(config))
        for replica in ("one", "two"):
            listen = {"LISTEN": "127.0.0.1:0", "METRICS_LISTEN": "127.0.0.1:0", "POD_NAME": f"webhook-{replica}", "POD_NAMESPACE": "joiner"}
            environment = os.environ | given | listen | {"KUBECONFIG": str(kubeconfig)}
            with open(Path(SCRATCH.name) / f"webhook-{replica}.log", "wb") as log:
                self.webhooks.append(subprocess.Popen([BINARIES / "webhook"], stdout=log, stderr=log, env=environment))

    def pods_get_nodes(self, count: int) -> None:
        """A deployment grows, the webhook knocks, a turn buys, kubelets join, and every pod runs."""
        web = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"}}
        container = {"name": "web", "image": "web", "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}}}
        pod = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 0}}
        web["spec"] = {"replicas": count, "selector": {"matchLabels": {"app": "web"}}, "template": pod}
        kubectl("apply", "-f", "-", input=json.dumps(web))

        def running() -> bool:
            found = kubectl("get", "pods", "-l", "app=web", "--field-selector=status.phase=Running", "-o", "name")
            return len(found.split()) >= count

        eventually(f"{count} pods run", running)
        for instance in self.instances():
            tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
            self.assertEqual(tags[f"kubernetes.io/cluster/{CLUSTER}"], "owned")
            self.assertEqual(tags["karpenter.sh/nodepool"], "default")

    def instances(self) -> list[dict]:
        """Those that turns bought."""
        filters = [{"Name": "tag-key", "Values": ["karpenter.sh/nodepool"]}, {"Name": "instance-state-name", "Values": ["running"]}]
        return [each for found in self.ec2.describe_instances(Filters=filters)["Reservations"] for each in found["Instances"]]

    def tells_how_it_is(self) -> None:
        # The Scheduler's message, so that nobody waits for its minute.
        queue = f"joiner-{CLUSTER}-schedule"
        sqs = boto3.client("sqs")
        sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName=queue)["QueueUrl"], MessageBody='{"joiner":"schedule"}')
        eventually("status is well", lambda: joiner("status", "--cluster", CLUSTER)[0] == 0, lambda: joiner("status", "--cluster", CLUSTER)[1])
        said = self.done("status", "--cluster", CLUSTER)
        for part in ("All is well", "mode act", "on-schedule", "on-pending-pods", "default"):
            self.assertIn(part, said)
        self.assertIn("a pod that waits would get", self.done("verify", *site()))

    def a_canary_lives_and_goes(self) -> None:
        self.assertIn("there is none; there are: default, jupyter, workflow", joiner("verify", *site(), "--create=nowhere")[1])
        before = {each["InstanceId"] for each in self.instances()}
        # One that an earlier run left, when it was killed.
        left = {"metadata": {"name": "joiner-canary", "namespace": "joiner"}, "spec": {"nodeSelector": {"no": "where"}}}
        left["spec"]["containers"] = [{"name": "canary", "image": "x", "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}]
        left["spec"]["securityContext"] = {"runAsNonRoot": True, "runAsUser": 1, "seccompProfile": {"type": "RuntimeDefault"}}
        kubectl("create", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "Pod"} | left))
        said = self.done("verify", *site(), "--create=jupyter")
        self.assertIn("an earlier run left it", said)
        for part in ("waits for a node of pool jupyter", "which came for it", "joiner-canary and its node have gone"):
            self.assertIn(part, said)
        self.assertEqual(kubectl("get", "pods", "-n", "joiner", "joiner-canary", "--ignore-not-found"), "")
        eventually("its instance has gone", lambda: {each["InstanceId"] for each in self.instances()} == before)
        self.done("pause", "--cluster", CLUSTER)
        self.assertIn("MODE is paused, so that no node would be bought; run `joiner resume`", self.refused("verify", *site(), "--create"))
        self.done("resume", "--cluster", CLUSTER)

    def versions_apart(self) -> None:
        """Custom resources of a version more and of one less than the functions, then functions and webhook of a version more, and back."""
        nodes = {each["InstanceId"] for each in self.instances()}
        pool = kubectl("get", "provisioner", "default", "-o", "jsonpath={.metadata.uid}")
        kubectl("patch", "provisioner", "default", "--type=merge", "-p", '{"spec":{"limits":{"resources":{"cpu":"900"}}}}')
        change_schema("provisioners.karpenter.sh", lambda fields: fields.update(future={"type": "string"}))
        change_schema("awsnodetemplates.karpenter.k8s.aws", lambda fields: fields.pop("detailedMonitoring"))

        def future_is_kept() -> bool:
            """The API server serves a changed definition a moment later, and drops until then what it does not know."""
            kubectl("patch", "provisioner", "default", "--type=merge", "-p", '{"spec":{"future":"unknown to the functions"}}')
            return "unknown" in kubectl("get", "provisioner", "default", "-o", "jsonpath={.spec.future}")

        eventually("the new field is served", future_is_kept)
        self.pods_get_nodes(40)
        self.assertLess(len(nodes), len(self.instances()), "turns go on with a field that they do not know, and without one that they do")
        newer = release(Path(SCRATCH.name), changed(self.binaries), version="0.2.0")
        self.upgraded(newer, "0.2.0", "0.1.0", definitions=True)
        spec = json.loads(kubectl("get", "provisioner", "default", "-o", "json"))
        self.assertEqual(spec["metadata"]["uid"], pool, "pools stay what they are")
        self.assertNotIn("future", spec["spec"], "the field goes with its definition")
        self.assertEqual(str(spec["spec"]["limits"]["resources"]["cpu"]), "900", "an edit stays")
        self.pods_get_nodes(50)
        self.upgraded(self.release, "0.1.0", "0.2.0", definitions=False)
        self.assertTrue(nodes <= {each["InstanceId"] for each in self.instances()}, "no node was replaced")
        self.pods_get_nodes(60)

    def upgraded(self, to: Path, version: str, was: str, definitions: bool) -> None:
        before = code()
        said = self.done("install", *site(), "--artifacts", to, "--yes")
        self.assertIn(f"functions' code: version {version} for x86_64, was {was}", said)
        self.assertIn("deployment joiner/joiner-webhook: spec.template", said)
        for name in ("provisioners.karpenter.sh", "awsnodetemplates.karpenter.k8s.aws"):
            self.assertEqual(f"update    {CRD} {name}" in said, definitions, said)
        self.assertFalse(set(before.values()) & set(code().values()), "each function has other code")
        self.assertIn("changed in the cluster, stays", said)

    def goes_again(self) -> None:
        said = self.done("uninstall", *site(), "--yes")
        self.assertIn("is drained and ended", said)
        self.assertEqual(self.instances(), [])
        self.assertEqual(boto3.client("cloudformation").describe_stacks()["Stacks"], [])
        self.assertEqual(kubectl("get", "namespace", "joiner", "--ignore-not-found"), "")
        self.assertNotIn("karpenter", kubectl("get", "crds", "-o", "name"))
        eventually("only the two nodes are left", lambda: len(kubectl("get", "nodes", "-o", "name").split()) == 2)


def change_schema(name: str, change) -> None:
    """Another version of the definition: its fields, changed."""
    definition = json.loads(kubectl("get", CRD, name, "-o", "json"))
    change(definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"])
    kubectl("replace", "-f", "-", input=json.dumps(definition))


def code() -> dict[str, str]:
    """The digest of each function's code."""
    functions = boto3.client("lambda")
    return {name: functions.get_function_configuration(FunctionName=f"joiner-{CLUSTER}-{name}")["CodeSha256"] for name in FUNCTIONS}


def stripped(directory: Path) -> Path:
    """The functions without symbols, which are most of a development binary."""
    directory.mkdir()
    for name in FUNCTIONS:
        shutil.copy2(BINARIES / name, directory / name)
        if shutil.which("strip"):
            subprocess.run(["strip", directory / name], check=True)
    return directory


def changed(binaries: Path) -> Path:
    """The same functions with other bytes: what follows the last section of a program is not loaded."""
    directory = binaries.parent / "newer"
    directory.mkdir()
    for name in FUNCTIONS:
        (directory / name).write_bytes((binaries / name).read_bytes() + b"newer")
    return directory


def eventually(what: str, holds, why=lambda: "") -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {PATIENCE_S} s: {what}\n{why()}\n{logs()}")
        time.sleep(0.5)


def logs() -> str:
    """The last lines of functions and webhooks."""
    text = "".join(f"== {path.name}\n{path.read_text()[-1500:]}\n" for path in Path(SCRATCH.name).glob("*.log"))
    client = boto3.client("logs")
    for name in FUNCTIONS:
        try:
            events = client.filter_log_events(logGroupName=f"/aws/lambda/joiner-{CLUSTER}-{name}")["events"]
        except client.exceptions.ClientError:
            continue
        text += f"== {name}\n" + "\n".join(event["message"].rstrip()[:600] for event in events[-15:]) + "\n"
    return text


if __name__ == "__main__":
    unittest.main()
