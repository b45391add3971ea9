"""The command on a live cluster: what it says of a node, and what it writes to rotate a pool."""

import json
import os
import subprocess
import time
import unittest
from pathlib import Path

import yaml
from rendered import TOP

JOINER = Path(os.environ.get("JOINER_BINARIES") or Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target")) / "debug") / "joiner"
NAME = "rotating"
PROVIDER = "aws:///us-east-1a/i-0123456789abcdef0"
LAUNCH = {
    "batch": "b", "size": 1, "nodeClass": NAME, "capacityType": "on-demand", "offerings": [], "labels": {}, "pods": [], "requests": {},
}
LABELS = {
    "karpenter.sh/nodepool": NAME,
    "karpenter.sh/capacity-type": "on-demand",
    "node.kubernetes.io/instance-type": "m5.large",
    "topology.kubernetes.io/zone": "us-east-1a",
}
REFERENCE = {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": NAME}
DISCOVERY = [{"tags": {"karpenter.sh/discovery": "demo"}}]
POOL = {
    "apiVersion": "karpenter.sh/v1",
    "kind": "NodePool",
    "metadata": {"name": NAME},
    "spec": {
        "template": {
            "spec": {
                "nodeClassRef": REFERENCE,
                "requirements": [{"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["m5.large"]}],
            }
        },
        "disruption": {"consolidateAfter": "0s"},
    },
}
CLASS = {
    "apiVersion": "karpenter.k8s.aws/v1",
    "kind": "EC2NodeClass",
    "metadata": {"name": NAME},
    "spec": {
        "role": "KarpenterNodeRole-demo",
        "amiSelectorTerms": [{"alias": "al2023@latest"}],
        "subnetSelectorTerms": DISCOVERY,
        "securityGroupSelectorTerms": DISCOVERY,
    },
}
CLAIM = {
    "apiVersion": "karpenter.sh/v1",
    "kind": "NodeClaim",
    "metadata": {"name": NAME, "labels": LABELS, "annotations": {"joiner.dev/launch": json.dumps(LAUNCH)}},
    "spec": {"nodeClassRef": REFERENCE, "requirements": []},
}
NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {
        "name": NAME,
        "labels": LABELS | {"karpenter.sh/initialized": "true", "karpenter.sh/registered": "true"},
        "annotations": {"karpenter.sh/do-not-disrupt": "true"},
    },
    "spec": {"providerID": PROVIDER},
}
OBJECTS = [CLASS, POOL, CLAIM, NODE]


def kubectl(*arguments: str, text: str = "") -> str:
    done = subprocess.run(["kubectl", *arguments], input=text, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise AssertionError(f"{arguments}: {done.stderr}")
    return done.stdout


def joiner(*arguments: str) -> str:
    command = [JOINER, *arguments, "--cluster", os.environ["CLUSTER_NAME"]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode != 0 or "AWS was not asked" in done.stderr:
        raise AssertionError(f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def objects() -> str:
    return yaml.safe_dump_all(OBJECTS)


def rotate_annotation() -> str:
    pool = json.loads(kubectl("get", "nodepool", NAME, "--output=json"))
    return pool["metadata"].get("annotations", {}).get("joiner.dev/rotate", "")


@unittest.skipUnless(os.environ.get("KUBECONFIG"), "no control plane")
@unittest.skipUnless(JOINER.exists(), f"{JOINER} is not built")
class Command(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.addCleanup(kubectl, "delete", "--ignore-not-found", "--wait=false", "--filename=-", text=objects())
        kubectl("apply", "--server-side", "--filename=-", text=objects())
        joined = {"providerID": PROVIDER, "nodeName": NAME, "conditions": []}
        for kind in ("Launched", "Registered", "Initialized"):
            moment = "2026-01-01T00:00:00Z"
            condition = {"type": kind, "status": "True", "reason": kind, "message": "", "lastTransitionTime": moment}
            joined["conditions"].append(condition)
        kubectl("patch", "nodeclaim", NAME, "--subresource=status", "--type=merge", "--patch", json.dumps({"status": joined}))

    def test_a_node_is_explained(self):
        told = json.loads(joiner("explain", "node", NAME, "--output", "json"))
        self.assertEqual((told["version"], told["node"], told["nodePool"]), ("joiner.dev/node/v1", NAME, NAME))
        self.assertEqual(told["keptBy"]["kind"], "doNotDisrupt")
        # The instance, and 20 GiB of gp3.
        self.assertEqual(told["priceMicroUsdPerHour"], 96_000 + 2_192)
        same = yaml.safe_load(joiner("explain", "node", NAME, "--output", "yaml"))
        self.assertEqual(same, told)
        self.assertIn("stays: its annotation karpenter.sh/do-not-disrupt forbids it", " ".join(joiner("explain", "node", NAME).split()))

    def test_a_pool_is_rotated_only_with_yes(self):
        for _ in range(50):
            # What was made in this very second is not older than the rotation.
            told = joiner("rotate", NAME)
            if "forbids" in told:
                break
            time.sleep(0.1)
        self.assertIn("Pool rotating: 1 node, 0 at once", told)
        self.assertIn("later: its annotation karpenter.sh/do-not-disrupt forbids it", told)
        self.assertIn("Nothing was changed", told)
        self.assertEqual(rotate_annotation(), "")
        self.assertIn("Pool rotating rotates.", joiner("rotate", NAME, "--yes"))
        self.assertRegex(rotate_annotation(), r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        told = json.loads(joiner("explain", "node", NAME, "--output", "json"))
        self.assertEqual([cause["reason"] for cause in told["causes"]], ["Drifted"])
        self.assertEqual(told["causes"][0]["keptBy"]["kind"], "doNotDisrupt")


if __name__ == "__main__":
    unittest.main()
