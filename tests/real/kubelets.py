"""
Simulated kubelets: for each running instance whose user data joins this cluster, a Node, its Lease, and its pods' lives.

One process for all nodes: one watch of pods, one poll of instances, one pool of threads. Also does the cloud node
lifecycle controller's part (unless told not to): deletes a Node that is not ready and whose instance is gone.
Each thing that happens is a line of JSON on standard output.
"""

import argparse
import base64
import json
import sys
import tempfile
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import urllib3

import user_data
from objects import conditions, is_ready, node, now, running

WORKERS = 12
HEARTS = 4
# Between a pod's deletion and its end, as if its containers took that long.
STOP_S = 0.3
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


class Api:
    """The API server, over one pool of connections."""

    def __init__(self, kubeconfig: Path):
        config = json.loads(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.server = cluster["server"]
        directory = Path(tempfile.mkdtemp(prefix="joiner-kubelets-"))

        def file(name: str, data: str) -> str:
            path = directory / name
            path.touch(mode=0o600)
            path.write_bytes(base64.b64decode(data))
            return str(path)

        self.pool = urllib3.PoolManager(
            maxsize=WORKERS + HEARTS + 4,
            block=False,
            ca_certs=file("ca.crt", cluster["certificate-authority-data"]),
            cert_file=file("client.crt", user["client-certificate-data"]),
            key_file=file("client.key", user["client-key-data"]),
            timeout=urllib3.Timeout(connect=5, read=30),
            retries=False,
        )

    def call(self, method: str, path: str, body=None, kind: str = "application/json") -> tuple[int, dict]:
        data = None if body is None else json.dumps(body)
        answer = self.pool.request(method, self.server + path, body=data, headers={"Content-Type": kind})
        return answer.status, json.loads(answer.data or b"{}")

    def watch(self, path: str):
        timeout = urllib3.Timeout(connect=5, read=330)
        answer = self.pool.request("GET", self.server + path, preload_content=False, timeout=timeout)
        try:
            rest = b""
            for chunk in answer.stream(1 << 16):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield json.loads(line)
        finally:
            answer.close()


def tell(event: str, **facts) -> None:
    # In one write: many threads tell.
    sys.stdout.write(json.dumps({"time": round(time.time(), 3), "event": event} | facts) + "\n")
    sys.stdout.flush()


@dataclass
class Kubelet:
    """One instance on its way to a node, and after."""

    instance: dict
    boots_at: float
    # booting, joining, registered, ready, stopped, or broken (its user data will never make it a node)
    phase: str = "booting"
    ready_at: float = 0
    lease_due: float = 0
    address: int = 0
    waiting: list = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def node(self) -> str:
        return self.instance["privateDns"]

    def pod_address(self) -> str:
        with self.lock:
            self.address += 1
            number = int(self.instance["id"][-4:], 16) * 256 + self.address
        return f"100.{64 + (number >> 16) % 64}.{(number >> 8) % 256}.{number % 256}"


class Kubelets:
    def __init__(self, options):
        self.options = options
        self.api = Api(options.kubeconfig)
        self.pool = ThreadPoolExecutor(WORKERS)
        # A lease must not wait behind hundreds of nodes that join.
        self.heartbeats = ThreadPoolExecutor(HEARTS)
        self.by_id: dict[str, Kubelet] = {}
        self.by_node: dict[str, Kubelet] = {}
        self.started: set[str] = set()
        self.stopping: list[tuple[float, str, str, str]] = []
        self.lock = threading.Lock()
        self.machines: dict[str, dict] = {}

    def fetch(self, path: str):
        with urllib.request.urlopen(f"{self.options.control}/{path}", timeout=30) as answer:
            return json.loads(answer.read())

    def run(self) -> None:
        self.machines = self.fetch("types")
        threading.Thread(target=self.follow_pods, daemon=True).start()
        threading.Thread(target=self.follow_nodes, daemon=True).start()
        tell("started", types=len(self.machines))
        lifecycle_due = 0.0
        while True:
            began = time.time()
            try:
                self.look(began)
                if not self.options.no_cloud_node_lifecycle and began >= lifecycle_due:
                    lifecycle_due = began + 1
                    self.remove_dead_nodes()
            except (OSError, urllib3.exceptions.HTTPError, ValueError) as error:
                tell("failed", error=str(error))
            # A tenth of the time it takes is left for everything else at any size.
            time.sleep(max(0.1, (time.time() - began) / 2))

    def look(self, at: float) -> None:
        """One pass: new instances, those that have gone, leases that are due, pods that have stopped."""
        states = self.fetch("states")
        for instance_id, (state, launched) in states.items():
            kubelet = self.by_id.get(instance_id)
            if kubelet is None and state == "running":
                self.begin(instance_id, launched)
            elif kubelet and state not in ("running", "pending") and kubelet.phase != "stopped":
                kubelet.phase = "stopped"
                tell("stopped", instance=instance_id, node=kubelet.node)
        for instance_id in [each for each in self.by_id if each not in states]:
            self.by_id.pop(instance_id).phase = "stopped"
        for kubelet in list(self.by_id.values()):
            if kubelet.phase == "booting" and at >= kubelet.boots_at:
                kubelet.phase = "joining"
                self.pool.submit(self.guarded, self.join, kubelet)
            elif kubelet.phase == "registered" and at >= kubelet.ready_at:
                kubelet.phase = "readying"
                self.heartbeats.submit(self.guarded, self.make_ready, kubelet)
            elif kubelet.phase == "ready" and at >= kubelet.lease_due:
                kubelet.lease_due = at + self.options.lease
                self.heartbeats.submit(self.guarded, self.renew, kubelet)
        with self.lock:
            due = [each for each in self.stopping if each[0] <= at]
            self.stopping = [each for each in self.stopping if each[0] > at]
        for _, namespace, name, uid in due:
            self.pool.submit(self.guarded, self.end_pod, namespace, name, uid)

    def guarded(self, action, *arguments) -> None:
        try:
            action(*arguments)
        except Exception as error:  # noqa: BLE001 (one node's failure is not the others')
            tell("failed", action=action.__name__, error=f"{type(error).__name__}: {error}")

    def begin(self, instance_id: str, launched: float) -> None:
        instance = self.fetch(f"instance?id={instance_id}")
        kubelet = Kubelet(instance, launched + self.options.boot)
        self.by_id[instance_id] = kubelet
        self.by_node[kubelet.node] = kubelet
        tell("boots", instance=instance_id, type=instance["type"], zone=instance["zone"])

    def join(self, kubelet: Kubelet) -> None:
        instance = kubelet.instance
        try:
            settings = user_data.parse(instance["userData"], instance["imageName"])
            if settings.cluster != self.options.cluster:
                raise user_data.NotBootable(f"it joins another cluster, {settings.cluster}")
            if settings.endpoint != self.api.server:
                raise user_data.NotBootable(f"no API server answers at {settings.endpoint}")
        except user_data.NotBootable as error:
            kubelet.phase = "broken"
            tell("broken", instance=instance["id"], error=str(error))
            return
        body = node(kubelet.instance, settings, self.machines[instance["type"]], self.options.region)
        status, answer = self.api.call("POST", "/api/v1/nodes", body)
        if status == 409:
            self.take_over(kubelet, body)
        elif status >= 300:
            kubelet.phase = "broken"
            tell("broken", instance=instance["id"], error=answer.get("message"))
            return
        tell("registered", instance=instance["id"], node=kubelet.node)
        self.create_lease(kubelet)
        kubelet.ready_at = time.time() + self.options.not_ready
        if kubelet.phase == "joining":
            kubelet.phase = "registered"

    def make_ready(self, kubelet: Kubelet) -> None:
        self.patch_ready(kubelet)
        tell("ready", instance=kubelet.instance["id"], node=kubelet.node)
        with kubelet.lock:
            if kubelet.phase == "readying":
                kubelet.phase = "ready"
            waiting, kubelet.waiting = kubelet.waiting, []
        for pod in waiting:
            self.pool.submit(self.guarded, self.start_pod, kubelet, pod)

    def patch_ready(self, kubelet: Kubelet) -> None:
        patch = {"status": {"conditions": conditions(True)}}
        self.api.call("PATCH", f"/api/v1/nodes/{kubelet.node}/status", patch, STRATEGIC)

    def take_over(self, kubelet: Kubelet, body: dict) -> None:
        """A node of that name is there already: its kubelet was restarted, or someone made the object first."""
        patch = {"metadata": {"labels": body["metadata"]["labels"]}, "spec": {"providerID": body["spec"]["providerID"]}}
        self.api.call("PATCH", f"/api/v1/nodes/{kubelet.node}", patch, MERGE)
        self.api.call("PATCH", f"/api/v1/nodes/{kubelet.node}/status", {"status": body["status"]}, STRATEGIC)

    def create_lease(self, kubelet: Kubelet) -> None:
        path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        _, owner = self.api.call("GET", f"/api/v1/nodes/{kubelet.node}")
        reference = {"apiVersion": "v1", "kind": "Node", "name": kubelet.node, "uid": owner.get("metadata", {}).get("uid", "")}
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": kubelet.node, "ownerReferences": [reference]},
            "spec": {"holderIdentity": kubelet.node, "leaseDurationSeconds": 40, "renewTime": micro()},
        }
        self.api.call("POST", path, lease)
        kubelet.lease_due = time.time() + self.options.lease

    def renew(self, kubelet: Kubelet) -> None:
        path = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{kubelet.node}"
        status, _ = self.api.call("PATCH", path, {"spec": {"renewTime": micro()}}, MERGE)
        if status == 404:
            # Without its Node, a kubelet makes no lease either.
            status, _ = self.api.call("GET", f"/api/v1/nodes/{kubelet.node}")
            if status == 200:
                self.create_lease(kubelet)

    def follow_pods(self) -> None:
        """The pods that are bound to any node."""

        def gone(pod: dict) -> None:
            self.started.discard(pod["metadata"]["uid"])

        self.follow("/api/v1/pods", "fieldSelector=spec.nodeName!%3D", self.see, gone)

    def follow_nodes(self) -> None:
        """Says again that a node is ready if it was given up: a kubelet posts its status where that differs."""

        def see(found: dict) -> None:
            kubelet = self.by_node.get(found["metadata"]["name"])
            if kubelet and kubelet.phase == "ready" and not is_ready(found):
                self.heartbeats.submit(self.guarded, self.patch_ready, kubelet)

        self.follow("/api/v1/nodes", "", see, lambda _: None)

    def follow(self, path: str, selector: str, see, gone) -> None:
        """Lists and watches, for ever."""
        while True:
            try:
                version, token = "", ""
                while True:
                    query = f"{path}?{selector}&limit=1000" + (f"&continue={token}" if token else "")
                    _, page = self.api.call("GET", query)
                    for found in page["items"]:
                        see(found)
                    version, token = page["metadata"]["resourceVersion"], page["metadata"].get("continue")
                    if not token:
                        break
                query = f"{path}?{selector}&watch=1&timeoutSeconds=300&resourceVersion={version}"
                for event in self.api.watch(query):
                    if event["type"] in ("ADDED", "MODIFIED"):
                        see(event["object"])
                    elif event["type"] == "DELETED":
                        gone(event["object"])
                    else:
                        break
            except Exception as error:  # noqa: BLE001 (a watch ends in many ways; each time all is listed again)
                tell("failed", action="watch", error=f"{type(error).__name__}: {error}")
                time.sleep(0.5)

    def see(self, pod: dict) -> None:
        metadata, kubelet = pod["metadata"], self.by_node.get(pod["spec"]["nodeName"])
        if kubelet is None or kubelet.phase == "stopped":
            return
        if metadata.get("deletionTimestamp"):
            with self.lock:
                self.stopping.append((time.time() + STOP_S, metadata["namespace"], metadata["name"], metadata["uid"]))
        elif pod["status"].get("phase") == "Pending" and metadata["uid"] not in self.started:
            self.started.add(metadata["uid"])
            with kubelet.lock:
                if kubelet.phase != "ready":
                    kubelet.waiting.append(pod)
                    return
            self.pool.submit(self.guarded, self.start_pod, kubelet, pod)
        elif pod["status"].get("phase") == "Running" and kubelet.phase == "ready" and not is_ready(pod):
            # The node controller says so of the pods of a node that was silent; its kubelet, back again, says what is.
            self.heartbeats.submit(self.guarded, self.make_pod_ready, metadata)

    def make_pod_ready(self, metadata: dict) -> None:
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": now()}
        self.api.call("PATCH", path, {"status": {"conditions": [ready]}}, STRATEGIC)

    def start_pod(self, kubelet: Kubelet, pod: dict) -> None:
        host = kubelet.instance["privateIp"]
        address = host if pod["spec"].get("hostNetwork") else kubelet.pod_address()
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
        status, answer = self.api.call("PATCH", path, running(pod, address, host), STRATEGIC)
        if status == 200:
            tell("running", pod=f"{metadata['namespace']}/{metadata['name']}", node=kubelet.node)
        elif status != 404:
            self.started.discard(metadata["uid"])
            tell("failed", action="start", pod=metadata["name"], error=answer.get("message"))

    def end_pod(self, namespace: str, name: str, uid: str) -> None:
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
        self.api.call("DELETE", f"/api/v1/namespaces/{namespace}/pods/{name}", options)

    def remove_dead_nodes(self) -> None:
        """What the cloud node lifecycle controller does: a Node that is not ready and whose instance is gone is deleted."""
        for name, kubelet in list(self.by_node.items()):
            if kubelet.phase != "stopped":
                continue
            status, found = self.api.call("GET", f"/api/v1/nodes/{name}")
            if status == 404:
                self.by_node.pop(name, None)
                continue
            if not is_ready(found) and not found["metadata"].get("deletionTimestamp"):
                self.api.call("DELETE", f"/api/v1/nodes/{name}")
                tell("removed", node=name)


def micro() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--control", required=True, help="the gap filler's control, as http://127.0.0.1:5555/joiner")
    parser.add_argument("--cluster", required=True)
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--boot", type=float, default=2, help="seconds from an instance's launch to its kubelet's start")
    parser.add_argument("--lease", type=float, default=10, help="seconds between renewals of a node's lease")
    parser.add_argument("--not-ready", type=float, default=0.2, help="seconds from a node's registration to its being ready")
    parser.add_argument("--no-cloud-node-lifecycle", action="store_true", help="leave Nodes of ended instances to others")
    try:
        Kubelets(parser.parse_args()).run()
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
