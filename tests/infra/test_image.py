"""The webhook's image: what is in it, and that it runs in a root that holds nothing else."""

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path

from rendered import TOP

HERE = Path(__file__).resolve().parent


def namespaces() -> bool:
    return subprocess.run(["unshare", "-Urn", "true"], capture_output=True).returncode == 0


@unittest.skipIf(os.environ.get("JOINER_NO_IMAGE"), "buildah is not there")
class Image(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        work = Path(cls.directory.name)
        binary = os.environ.get("JOINER_STATIC_WEBHOOK") or work / "built"
        if binary == work / "built":
            subprocess.run([TOP / "infra" / "build-webhook", "--dev", "--out", binary], check=True, capture_output=True, timeout=1200)
        # Without symbols, which are most of a development binary.
        stripped = work / "webhook"
        shutil.copy2(binary, stripped)
        if shutil.which("strip"):
            subprocess.run(["strip", stripped], check=True)
        archive = work / "webhook.tar"
        command = [TOP / "infra" / "build-image", "--binary", stripped, "--out", archive]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        cls.root = work / "root"
        cls.root.mkdir()
        cls.configuration = unpack(archive, cls.root)

    def test_it_holds_the_binary_and_the_authorities_alone(self):
        files = sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())
        ours = [file for file in files if file not in ("kubeconfig", "etc/resolv.conf")]
        self.assertEqual(ours, ["etc/ssl/certs/ca-certificates.crt", "webhook"])
        self.assertEqual(self.configuration["config"]["User"], "65532:65532")
        self.assertEqual(self.configuration["config"]["Entrypoint"], ["/webhook"])

    @unittest.skipUnless(namespaces(), "no user and network namespaces here")
    def test_it_resolves_a_name_and_answers_in_an_empty_root(self):
        command = ["unshare", "-Urn", sys.executable, HERE / "empty_root.py", self.root]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=180)
        self.assertEqual(done.returncode, 0, done.stderr)
        seen = json.loads(done.stdout)
        self.assertEqual(seen["healthz"], "ok", seen["log"])
        self.assertIn("api.joiner.test", seen["asked"], seen["log"])
        self.assertTrue(seen["connected"], seen["log"])
        self.assertEqual(seen["exit"], 0, seen["log"])


def unpack(archive: Path, root: Path) -> dict:
    """Lays out the layers of an OCI archive; answers its configuration."""
    with tarfile.open(archive) as outer:

        def blob(descriptor: dict) -> bytes:
            return outer.extractfile(f"blobs/{descriptor['digest'].replace(':', '/')}").read()

        index = json.load(outer.extractfile("index.json"))
        manifest = json.loads(blob(index["manifests"][0]))
        for layer in manifest["layers"]:
            with tarfile.open(fileobj=io.BytesIO(blob(layer))) as inner:
                inner.extractall(root, filter="data")
        return json.loads(blob(manifest["config"]))


if __name__ == "__main__":
    unittest.main()
