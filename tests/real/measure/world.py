"""The stack that is measured on, and what is asked of it."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3

from demo.__main__ import variables
from kubelets import Api

REAL = Path(__file__).resolve().parents[1]
UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}


class World:
    """A stack of its own, which ends with this process."""

    def __init__(self, options, *arguments: str):
        self.options = options
        self.state = Path(tempfile.mkdtemp(prefix="joiner-measure-"))
        self.command = [REAL / "up", "--state", self.state, "--parent", str(os.getpid()), *arguments]
        if options.crds:
            self.command += ["--crds", options.crds]

    def __enter__(self):
        before = dict(os.environ)
        self.before = before
        subprocess.run([str(word) for word in self.command], check=True, stdout=subprocess.DEVNULL)
        os.environ.update(variables(self.state / "env"))
        self.control = os.environ["JOINER_FAULTS_URL"]
        self.cluster = os.environ["JOINER_CLUSTER"]
        self.logs = self.state / "logs"
        self.api = Api(self.state / "kubeconfig")
        return self

    def __exit__(self, kind, *_):
        subprocess.run([REAL / "down", "--state", self.state])
        if kind is None:
            shutil.rmtree(self.state, ignore_errors=True)
        os.environ.clear()
        os.environ.update(self.before)

    def environment(self) -> dict[str, str]:
        """What infra/template.yaml gives a function: a bucket and a queue, which are made."""
        boto3.client("s3").create_bucket(Bucket="turns")
        queue = boto3.client("sqs").create_queue(QueueName="schedule")["QueueUrl"]
        template = (REAL.parents[1] / "infra" / "template.yaml").read_text()
        allocator = dict(re.findall(r'^ +(MALLOC_\w+): "(\d+)"$', template, re.MULTILINE))
        return {"TURNS_BUCKET": "turns", "FOLLOW_UP_QUEUE_URL": queue} | allocator

    def ask(self, method: str, path: str, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.control}/{path}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.loads(answer.read())

    def calls(self, since: int = 0) -> list[dict]:
        return self.ask("GET", f"calls?since={since}")

    def get(self, path: str) -> dict:
        status, answer = self.api.call("GET", path)
        if status != 200:
            raise RuntimeError(f"GET {path}: {status} {answer.get('message')}")
        return answer

    def items(self, path: str) -> list[dict]:
        return self.get(path)["items"]

    def apply(self, *objects: dict) -> None:
        for each in objects:
            version, plural = each["apiVersion"], each["kind"].lower() + ("es" if each["kind"].endswith("s") else "s")
            root = f"/api/{version}" if "/" not in version else f"/apis/{version}"
            namespace = each["metadata"].get("namespace")
            path = f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}"
            status, answer = self.api.call("POST", path, each)
            if status >= 300:
                raise RuntimeError(f"{each['kind']} {each['metadata']['name']}: {status} {answer.get('message')}")

    def install_pools(self) -> None:
        path = self.state / "pools.yaml"
        path.write_text((REAL / "measure" / "pools.yaml").read_text().replace("${CLUSTER}", self.cluster))
        done = subprocess.run(["kubectl", "apply", "--filename", path], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)

    def each(self, action, arguments) -> None:
        with ThreadPoolExecutor(12) as pool:
            for _ in pool.map(action, arguments):
                pass

    def remove_claims(self, names: list[str]) -> None:
        """Takes claims and what was bought for them away at once, without a turn."""

        def remove(name: str) -> None:
            path = f"/apis/karpenter.sh/v1/nodeclaims/{name}"
            self.api.call("PATCH", path, {"metadata": {"finalizers": None}}, "application/merge-patch+json")
            self.api.call("DELETE", path)

        claims = {claim["metadata"]["name"]: claim for claim in self.items("/apis/karpenter.sh/v1/nodeclaims")}
        for name in names:
            if provider := claims[name].get("status", {}).get("providerID"):
                self.ask("POST", "terminate", {"instance": provider.rsplit("/", 1)[1]})
        self.each(remove, names)


def eventually(what: str, patience_s: float, condition, pause_s: float = 0.1):
    """The first true answer of `condition`; fails loudly if there is none in time."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if answer := condition():
            return answer
        time.sleep(pause_s)
    raise RuntimeError(f"not within {patience_s} s: {what}")


def waits(pod: dict) -> bool:
    """Whether the kube-scheduler has said that there is no place for a pod."""
    conditions = pod.get("status", {}).get("conditions", [])
    return any(all(each.get(key) == value for key, value in UNSCHEDULABLE.items()) for each in conditions)


def deployment(name: str, replicas: int, cpu: str, memory: str, apart: bool = False) -> dict:
    spec: dict = {
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": name, "image": name, "resources": {"requests": {"cpu": cpu, "memory": memory}}}],
    }
    selector = {"matchLabels": {"app": name}}
    if apart:
        term = {"labelSelector": selector, "topologyKey": "kubernetes.io/hostname"}
        spec["affinity"] = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": selector,
            "template": {"metadata": {"labels": {"app": name}}, "spec": spec},
        },
    }
