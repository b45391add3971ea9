"""From an instance's launch to running pods, and back: kubelets, scheduler, controllers together."""

import json
import os
import sys
from pathlib import Path

import yaml

from .environment import CLUSTER, Case, client, control, encoded, get, kubectl
from .test_ec2 import Ec2Case

sys.path.insert(0, str(Path(__file__).parent.parent))
import user_data  # noqa: E402

ENDPOINT, AUTHORITY = "https://127.0.0.1:6443", "Q0E="


class Joining(Ec2Case):
    def setUp(self):
        super().setUp()
        self.clean()

    def tearDown(self):
        self.clean()

    def clean(self):
        kubectl("delete", "deployment", "--all", "--wait=false")
        ids = [i["id"] for i in control("GET", "instances") if i["state"] != "terminated"]
        if ids:
            self.ec2.terminate_instances(InstanceIds=ids)
        self.eventually("no node is left", lambda: not self.deleted_nodes())

    def deleted_nodes(self):
        nodes = get("nodes")["items"]
        for node in nodes:
            kubectl("delete", "node", node["metadata"]["name"], "--wait=false", "--ignore-not-found")
        return nodes

    def nodeadm(self, **kubelet):
        cluster = client("eks").describe_cluster(name=CLUSTER)["cluster"]
        config = {
            "apiVersion": "node.eks.aws/v1alpha1",
            "kind": "NodeConfig",
            "spec": {
                "cluster": {
                    "name": CLUSTER,
                    "apiServerEndpoint": cluster["endpoint"],
                    "certificateAuthority": cluster["certificateAuthority"]["data"],
                    "cidr": "172.20.0.0/16",
                },
                "kubelet": kubelet,
            },
        }
        return encoded(f"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"//\"\n\n--//\nContent-Type: application/node.eks.aws\n\n{yaml.safe_dump(config)}\n--//--\n")

    def launch(self, data, kind="m5.xlarge", count=1):
        self.template(UserData=data)
        answer = self.fleet([(kind,)], count=count)
        return answer["Instances"][0]["InstanceIds"]

    def ready(self, node):
        return any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", []))

    def test_an_instance_becomes_a_node_and_its_pods_run(self):
        flags = ["--node-labels=team=render,karpenter.sh/capacity-type=spot", "--register-with-taints=karpenter.sh/unregistered:NoExecute"]
        [instance] = self.launch(self.nodeadm(config={"maxPods": 29}, flags=flags))
        kubectl("create", "deployment", "web", "--image=web", "--replicas=3")
        node = self.eventually("the node is ready", lambda: next((n for n in get("nodes")["items"] if self.ready(n)), None))
        name, labels = node["metadata"]["name"], node["metadata"]["labels"]
        self.assertEqual(node["spec"]["providerID"], f"aws:///us-east-1a/{instance}")
        self.assertEqual(labels["team"], "render")
        self.assertEqual(labels["topology.kubernetes.io/zone"], "us-east-1a")
        self.assertEqual(labels["node.kubernetes.io/instance-type"], "m5.xlarge")
        self.assertEqual(node["status"]["capacity"]["pods"], "29")
        self.assertEqual(node["status"]["capacity"]["cpu"], "4")
        self.assertIn("karpenter.sh/unregistered", [taint["key"] for taint in node["spec"]["taints"]])
        self.assertEqual([p["status"]["phase"] for p in get("pods")["items"]], ["Pending"] * 3)

        kubectl("taint", "node", name, "karpenter.sh/unregistered-")
        self.eventually("all pods run", lambda: [p["status"]["phase"] for p in get("pods")["items"]] == ["Running"] * 3)
        pods = get("pods")["items"]
        self.assertEqual(len({pod["status"]["podIP"] for pod in pods}), 3)
        self.eventually("the deployment is available", lambda: get("deployment/web")["status"].get("availableReplicas") == 3)
        kubectl("scale", "deployment/web", "--replicas=1")
        self.eventually("two pods have ended", lambda: len(get("pods")["items"]) == 1)

        self.ec2.terminate_instances(InstanceIds=[instance])
        self.eventually("the node of an ended instance goes", lambda: not get("nodes")["items"])

    def test_user_data_that_does_not_join_makes_no_node(self):
        log = Path(os.environ["JOINER_REAL_STATE"], "logs", "kubelets.log")
        [instance] = self.launch(self.nodeadm(flags=["--node-labels=node-role.kubernetes.io/worker=x"]))

        def broken():
            lines = [json.loads(line) for line in log.read_text().splitlines()]
            return [line for line in lines if line["event"] == "broken" and line["instance"] == instance]

        [line] = self.eventually("the kubelet says why", broken)
        self.assertIn("node-role.kubernetes.io/worker", line["error"])
        self.assertEqual(get("nodes")["items"], [])


class UserData(Case):
    def settings(self, text, image):
        return user_data.parse(encoded(text), image)

    def check(self, text, image):
        found = self.settings(text, image)
        self.assertEqual((found.cluster, found.endpoint, found.authority), ("demo", ENDPOINT, AUTHORITY))
        self.assertEqual(found.labels, {"a": "b", "c": "d"})
        self.assertEqual([(t["key"], t.get("value"), t["effect"]) for t in found.taints], [("k", "v", "NoSchedule"), ("n", None, "NoExecute")])
        self.assertEqual(found.max_pods, 58)

    def test_bootstrap_script_of_al2(self):
        self.check(
            f"""MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="//"

--//
Content-Type: text/x-shellscript; charset="us-ascii"

#!/bin/bash
echo mine
# /etc/eks/bootstrap.sh commented
--//
Content-Type: text/x-shellscript; charset="us-ascii"

#!/bin/bash -xe
/etc/eks/bootstrap.sh 'demo' --apiserver-endpoint '{ENDPOINT}' --b64-cluster-ca '{AUTHORITY}' \\
--use-max-pods false \\
--kubelet-extra-args '--node-labels="a=b,c=d" --register-with-taints="k=v:NoSchedule,n:NoExecute" --max-pods=58'
--//--
""",
            "amazon-eks-node-1.35-v20261110",
        )

    def test_node_config_parts_of_al2023(self):
        part = "--B\nContent-Type: application/node.eks.aws\n\n"
        self.check(
            f"""MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="B"

{part}apiVersion: node.eks.aws/v1alpha1
kind: NodeConfig
spec:
  kubelet:
    config: {{maxPods: 10}}
    flags: ["--node-labels=a=b"]
{part}apiVersion: node.eks.aws/v1alpha1
kind: NodeConfig
spec:
  cluster: {{name: demo, apiServerEndpoint: "{ENDPOINT}", certificateAuthority: {AUTHORITY}, cidr: 172.20.0.0/16}}
  kubelet:
    config:
      maxPods: 58
      registerWithTaints: [{{key: k, value: v, effect: NoSchedule}}, {{key: n, effect: NoExecute}}]
    flags: ["--node-labels=c=d"]
--B--
""",
            "amazon-eks-node-al2023-x86_64-standard-1.35-v20261110",
        )

    def test_settings_of_bottlerocket(self):
        self.check(
            f"""[settings.kubernetes]
cluster-name = "demo"
api-server = "{ENDPOINT}"
cluster-certificate = "{AUTHORITY}"
max-pods = 58
[settings.kubernetes.node-labels]
a = "b"
c = "d"
[settings.kubernetes.node-taints]
k = ["v:NoSchedule"]
n = [":NoExecute"]
""",
            "bottlerocket-aws-k8s-1.35-x86_64-v1.50.0-1a2b3c4d",
        )

    def test_script_of_windows(self):
        self.check(
            f"""<powershell>
[string]$EKSBootstrapScriptFile = "$env:ProgramFiles\\Amazon\\EKS\\Start-EKSBootstrap.ps1"
& $EKSBootstrapScriptFile -EKSClusterName 'demo' -APIServerEndpoint '{ENDPOINT}' -Base64ClusterCA '{AUTHORITY}' -KubeletExtraArgs '--node-labels="a=b,c=d" --register-with-taints="k=v:NoSchedule,n:NoExecute" --max-pods=58'
</powershell>""",
            "Windows_Server-2022-English-Core-EKS_Optimized-1.35-2026.11.11",
        )

    def test_what_would_not_boot(self):
        al2023 = "amazon-eks-node-al2023-x86_64-standard-1.35-v20261110"
        for text in ["", "#!/bin/bash\n", "apiVersion: node.eks.aws/v1alpha1\nkind: NodeConfig\nspec: {cluster: {name: demo}}\n"]:
            with self.assertRaises(user_data.NotBootable):
                self.settings(text, al2023)
