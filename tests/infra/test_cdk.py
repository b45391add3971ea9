"""infra/cdk: its own tests, and what `cdk synth` makes of the example: the template itself, with code that lies in a bucket."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from rendered import TOP, load

CDK = TOP / "infra" / "cdk"
FUNCTIONS = ["on-interruption", "on-pending-pods", "on-schedule"]


def run(*command, **options) -> str:
    # The AWS of the emulators is not to be asked: synthesis needs no account.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "npm_"))}
    done = subprocess.run(list(map(str, command)), cwd=CDK, env=environment, capture_output=True, text=True, timeout=600, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


def normal(node):
    """The same form of what CloudFormation reads alike: `!GetAtt A.B` and ["A", "B"], numbers and their text, tags in any order."""
    if isinstance(node, list):
        tags = node and all(isinstance(each, dict) and "Key" in each and "Value" in each for each in node)
        return [normal(each) for each in (sorted(node, key=lambda tag: json.dumps(tag, sort_keys=True)) if tags else node)]
    if isinstance(node, dict):
        if isinstance(node.get("Fn::GetAtt"), list):
            return {"Fn::GetAtt": ".".join(node["Fn::GetAtt"])}
        return {key: normal(each) for key, each in node.items()}
    if isinstance(node, bool) or node is None:
        return node
    return str(node)


def strings(node):
    if isinstance(node, dict):
        yield from (each for pair in node.items() for part in pair for each in strings(part))
    elif isinstance(node, list):
        yield from (each for part in node for each in strings(part))
    elif isinstance(node, str):
        yield node


@unittest.skipUnless(shutil.which("npm") and not os.environ.get("JOINER_NO_NPM"), "npm is not there, or its registry")
class Cdk(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        binaries = Path(cls.directory.name) / "binaries"
        for name in FUNCTIONS:
            (binaries / name).mkdir(parents=True)
            (binaries / name / "bootstrap").write_text(name)
        out = Path(cls.directory.name) / "out"
        run("npm", "run", "build")
        context = ["--context", "cluster=shop", "--context", f"binaries={binaries}"]
        run("npx", "--no-install", "cdk", "synth", "--quiet", "--no-notices", "--no-lookups", "--output", out, *context)
        cls.synthesised = json.loads((out / "Joiner.template.json").read_text())
        cls.source = load()

    def test_its_own_tests(self):
        self.assertIn("# fail 0", run("npm", "test"))

    def test_it_is_the_template(self):
        """Every section and resource as in infra/template.yaml, but for the code."""
        wanted, got = normal(self.source), normal(self.synthesised)
        for part in ("Conditions", "Globals", "Outputs"):
            self.assertEqual(got[part], wanted[part], part)
        self.assertEqual(got["Transform"], wanted["Transform"])
        self.assertEqual(set(wanted["Resources"]), set(got["Resources"]))
        for logical, resource in wanted["Resources"].items():
            found = got["Resources"][logical]
            if resource["Type"] == "AWS::Serverless::Function":
                del resource["Properties"]["CodeUri"], resource["Metadata"], found["Properties"]["CodeUri"]
            self.assertEqual(found, resource, logical)

    def test_no_local_path_is_left(self):
        for logical, resource in self.synthesised["Resources"].items():
            if resource["Type"] == "AWS::Serverless::Function":
                self.assertEqual(set(resource["Properties"]["CodeUri"]), {"Bucket", "Key"}, logical)
        places = [TOP / "infra", CDK, TOP, Path(self.directory.name)]
        for text in strings(self.synthesised):
            self.assertNotIn(str(TOP), text)
            self.assertNotIn(self.directory.name, text)
            looks_so = text.startswith((".", "/", "~")) and "\n" not in text and len(text) < 200
            self.assertFalse(looks_so and any((place / text).exists() for place in places), text)


if __name__ == "__main__":
    unittest.main()
