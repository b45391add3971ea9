"""infra/chart: lints, what it refuses, what it renders, and that the API server takes it."""

import os
import subprocess
import unittest

import yaml
from rendered import TOP

CHART = TOP / "infra" / "chart"
HELM = os.environ["JOINER_HELM"]
GIVEN = {"clusterName": "demo", "region": "us-east-1", "image": "example.com/webhook@sha256:00"}


def helm(*arguments: str, namespace: str = "joiner", **values) -> subprocess.CompletedProcess:
    command = [HELM, *arguments, "--namespace", namespace]
    for key, value in (GIVEN | values).items():
        command += ["--set", f"{key.replace('__', '.')}={value}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def rendered(**values) -> list[dict]:
    done = helm("template", "joiner", str(CHART), "--kube-version", "1.35.0", **values)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def one(objects: list[dict], kind: str, name: str = "joiner-webhook") -> dict:
    found = [each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name]
    if len(found) != 1:
        raise AssertionError(f"{len(found)} objects {kind} {name}")
    return found[0]


class Chart(unittest.TestCase):
    maxDiff = None

    def test_lint(self):
        done = helm("lint", "--strict", str(CHART))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_what_is_wrong_is_refused(self):
        wrong = [
            {"clusterName": ""},
            {"clusterName": "c" * 42},
            {"clusterName": "a b"},
            {"region": "here"},
            {"image": ""},
            {"replicas": 1},
            {"roleArn": "role"},
            {"logLevel": "loud"},
            {"imgae": "x"},
            {"namespace": "other"},
        ]
        for values in wrong:
            with self.subTest(values):
                done = helm("template", "joiner", str(CHART), "--kube-version", "1.35.0", **values)
                self.assertNotEqual(done.returncode, 0)
                self.assertTrue(done.stderr.strip())

    def test_two_replicas_on_two_nodes_that_are_not_joiners(self):
        objects = rendered()
        deployment = one(objects, "Deployment")["spec"]
        pod = deployment["template"]["spec"]
        self.assertEqual(deployment["replicas"], 2)
        apart = pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        self.assertEqual(apart[0]["topologyKey"], "kubernetes.io/hostname")
        labels = deployment["template"]["metadata"]["labels"]
        self.assertEqual(apart[0]["labelSelector"]["matchLabels"], labels)
        terms = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        self.assertEqual(len(terms), 1, "terms are alternatives: one without the rule would undo it")
        banned = {each["key"] for each in terms[0]["matchExpressions"] if each["operator"] == "DoesNotExist"}
        self.assertEqual(banned, {"karpenter.sh/nodepool", "karpenter.sh/provisioner-name"})
        budget = one(objects, "PodDisruptionBudget")["spec"]
        self.assertEqual((budget["maxUnavailable"], budget["selector"]["matchLabels"]), (1, labels))

    def test_the_pod_may_nothing(self):
        pod = one(rendered(), "Deployment")["spec"]["template"]["spec"]
        container = pod["containers"][0]
        self.assertTrue(pod["securityContext"]["runAsNonRoot"])
        self.assertTrue(container["securityContext"]["readOnlyRootFilesystem"])
        self.assertEqual(container["securityContext"]["capabilities"], {"drop": ["ALL"]})
        for role in ("Role", "ClusterRole"):
            for rule in one(rendered(), role)["rules"]:
                self.assertNotIn("*", rule["verbs"] + rule["resources"] + rule["apiGroups"])
                writes = {"update", "patch", "delete"} & set(rule["verbs"])
                self.assertTrue(not writes or rule.get("resourceNames"), rule)

    def test_ports_and_selectors_meet(self):
        objects = rendered()
        template = one(objects, "Deployment")["spec"]["template"]
        ports = {port["name"] for port in template["spec"]["containers"][0]["ports"]}
        labels = template["metadata"]["labels"]
        for name in ("joiner-webhook", "joiner-webhook-metrics"):
            service = one(objects, "Service", name)["spec"]
            self.assertEqual(service["selector"], labels)
            self.assertTrue({port["targetPort"] for port in service["ports"]} <= ports)
        policy = one(objects, "NetworkPolicy")["spec"]
        self.assertEqual(policy["podSelector"]["matchLabels"], labels)
        self.assertEqual({port["port"] for port in policy["ingress"][0]["ports"]}, ports)
        self.assertEqual(sorted(policy["policyTypes"]), ["Egress", "Ingress"])
        for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"):
            for webhook in one(objects, kind)["webhooks"]:
                self.assertEqual(webhook["failurePolicy"], "Ignore")
                self.assertEqual(webhook["clientConfig"]["service"]["name"], "joiner-webhook")
                self.assertNotIn("caBundle", webhook["clientConfig"], "the leader writes it; an upgrade must not take it away")

    def test_values_arrive(self):
        objects = rendered(eventBusName="bus", roleArn="arn:aws:iam::111122223333:role/knock", logLevel="debug")
        self.assertIn("arn:aws:iam::111122223333:role/knock", str(one(objects, "ServiceAccount")["metadata"]["annotations"]))
        environment = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["env"]
        given = {each["name"]: each.get("value") for each in environment}
        self.assertEqual((given["EVENT_BUS_NAME"], given["CLUSTER_NAME"]), ("bus", "demo"))
        self.assertTrue(given["RUST_LOG"].startswith("debug,"))
        self.assertNotIn("annotations", one(rendered(), "ServiceAccount")["metadata"])
        self.assertFalse([each for each in rendered() if each["kind"] == "Namespace"])
        self.assertFalse([each for each in rendered(networkPolicy__enabled="false") if each["kind"] == "NetworkPolicy"])

    def test_what_is_made_of_it_is_up_to_date(self):
        environment = os.environ | {"HELM": HELM}
        done = subprocess.run([TOP / "infra" / "render", "--check"], env=environment, capture_output=True, text=True, timeout=900)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    @unittest.skipUnless(os.environ.get("KUBECONFIG"), "no control plane")
    def test_the_api_server_takes_it(self):
        # An installation that another test took away has taken the namespace with it.
        subprocess.run(["kubectl", "create", "namespace", "joiner"], capture_output=True, timeout=120, check=False)
        for values in ({}, {"replicas": 3, "roleArn": "arn:aws:iam::111122223333:role/knock"}):
            text = helm("template", "joiner", str(CHART), "--kube-version", "1.35.0", "--include-crds", **values).stdout
            command = ["kubectl", "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "--filename=-"]
            done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("deployment.apps/joiner-webhook", done.stdout)


if __name__ == "__main__":
    unittest.main()
