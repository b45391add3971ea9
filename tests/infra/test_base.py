"""infra/base: the pools that an installation begins with, for a VPC called shop."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml
from rendered import TOP

BASE = TOP / "infra" / "base"
JOINER = Path(os.environ.get("JOINER_BINARIES") or Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target")) / "debug") / "joiner"


def substituted() -> dict[str, str]:
    return {path.name: path.read_text().replace("VPC_NAME", "shop") for path in sorted(BASE.glob("*.yaml"))}


def objects(kind: str) -> dict[str, dict]:
    every = [each for text in substituted().values() for each in yaml.safe_load_all(text)]
    return {each["metadata"]["name"]: each for each in every if each["kind"] == kind}


class Base(unittest.TestCase):
    def test_pools_find_what_belongs_to_their_vpc(self):
        pools = {"default": "shop", "jupyter": "shop-jupyter", "workflow": "shop-workflow", "gpu": "shop-gpu"}
        classes = objects("AWSNodeTemplate")
        self.assertEqual(set(classes), set(pools))
        for name, value in pools.items():
            spec = classes[name]["spec"]
            self.assertEqual(spec["securityGroupSelector"], {"karpenter.sh/discovery": value})
            self.assertEqual(spec["subnetSelector"], {"karpenter.sh/discovery": "shop"})
            self.assertEqual(spec["instanceProfile"], "shop_EKS_workers")
            # Roles of older installations may end only what is so called.
            self.assertIn("karpenter", spec["tags"]["Name"])
            self.assertEqual((spec["tags"]["Environment"], spec["tags"]["purpose"]), ("shop", name))
            self.assertTrue(spec["blockDeviceMappings"][0]["ebs"]["encrypted"])

    def test_each_pool_has_its_class_and_a_limit(self):
        classes, pools = objects("AWSNodeTemplate"), objects("Provisioner")
        self.assertEqual(set(pools), {"default", "jupyter", "workflow", "gpu", "gpu-shared", "arm"})
        for name, pool in pools.items():
            self.assertIn(pool["spec"]["providerRef"]["name"], classes, name)
            self.assertEqual(pool["spec"]["limits"]["resources"]["cpu"], 1000)
            if name not in ("default", "arm"):
                self.assertTrue(pool["spec"]["taints"], name)
        for name in ("jupyter", "workflow"):
            self.assertEqual(pools[name]["spec"]["labels"], {"role": name})

    def test_arm_comes_beside_the_default_pool_and_takes_nothing_from_it(self):
        def architectures(pool):
            return next(each["values"] for each in pool["spec"]["requirements"] if each["key"] == "kubernetes.io/arch")

        pools = objects("Provisioner")
        self.assertEqual(architectures(pools["default"]), ["amd64"])
        self.assertEqual(architectures(pools["arm"]), ["arm64"])

    @unittest.skipUnless(JOINER.exists(), f"{JOINER} is not built")
    def test_joiner_validates_them(self):
        with tempfile.TemporaryDirectory() as directory:
            arguments = []
            for name, text in substituted().items():
                (Path(directory) / name).write_text(text)
                arguments += ["-f", str(Path(directory) / name)]
            done = subprocess.run([JOINER, "validate", *arguments], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("0 errors, 0 warnings", done.stdout + done.stderr)

    @unittest.skipUnless(os.environ.get("KUBECONFIG"), "no control plane")
    def test_the_api_server_takes_them(self):
        command = ["kubectl", "apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename=-"]
        done = subprocess.run(command, input="\n---\n".join(substituted().values()), capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
