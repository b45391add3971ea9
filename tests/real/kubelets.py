"""
Simulated kubelets: for each running instance whose user data joins this cluster, a Node, its Lease, and its pods' lives.

One process for all nodes: one watch of pods, one poll of instances, one pool of threads. Also does the cloud node
lifecycle controller's part (unless told not to): deletes a Node that is not ready and whose instance is gone.
Each thing that happens is a line of JSON on standard output.
"""

import argparse
import base64
import json
import math
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

WORKERS = 12
# Between a pod's deletion and its end, as if its containers took that long.
STOP_S = 0.3
MIB = 1 << 20
VERSION = "v1.35.4-eks-1a2b3c4"
# What firmware and kernel take of a machine's memory; Karpenter assumes 7.5 %.
OVERHEAD = 0.065
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
            maxsize=WORKERS + 4,
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


def now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def tell(event: str, **facts) -> None:
    print(json.dumps({"time": round(time.time(), 3), "event": event} | facts), flush=True)


@dataclass
class Kubelet:
    """One instance on its way to a node, and after."""

    instance: dict
    boots_at: float
    # booting, joining, ready, stopped, or broken (its user data will never make it a node)
    phase: str = "booting"
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


def cpu_reserved(cores: int) -> int:
    """EKS's own reservation in milli-CPU: 6 % of the first core, 1 % of the second, 0.5 % of two, 0.25 % of the rest."""
    parts = [(1, 60.0), (1, 10.0), (2, 5.0), (math.inf, 2.5)]
    total, left = 0.0, cores
    for count, each in parts:
        taken = min(left, count)
        total += taken * each
        left -= taken
    return int(total)


def amount(text: str, unit: int) -> int:
    """A sum of Kubernetes quantities, in units of `unit` (milli for CPU, bytes for memory)."""
    suffixes = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "k": 10**3, "M": 10**6, "G": 10**9}
    total = 0.0
    for each in str(text).split():
        suffix = next((s for s in suffixes if each.endswith(s)), "")
        if each.endswith("m"):
            total += float(each[:-1]) / 1000 * unit
        else:
            total += float(each.removesuffix(suffix)) * suffixes.get(suffix, 1) * unit
    return int(total)


def resources(machine: dict, settings: user_data.Settings, disk_gib: int) -> tuple[dict, dict]:
    """Capacity and allocatable."""
    pods = settings.max_pods or machine["interfaces"] * (machine["addresses"] - 1) + 2
    cpu, memory, disk = machine["vcpu"] * 1000, int(machine["memoryMib"] * (1 - OVERHEAD)) * MIB, disk_gib << 30
    reserved = settings.reserved
    cpu_kept = amount(reserved["cpu"], 1000) if "cpu" in reserved else cpu_reserved(machine["vcpu"])
    memory_kept = amount(reserved["memory"], 1) if "memory" in reserved else (11 * pods + 255) * MIB
    eviction = settings.eviction.get("memory.available", "100Mi")
    eviction = memory * float(eviction[:-1]) / 100 if eviction.endswith("%") else amount(eviction, 1)
    disk_kept = amount(reserved.get("ephemeral-storage", "1Gi"), 1) + disk // 10
    extended = {name: str(count) for name, count in machine["accelerators"].items()}

    def described(cpu_m: int, memory_bytes: int, disk_bytes: int) -> dict:
        return extended | {
            "cpu": f"{cpu_m}m",
            "memory": f"{memory_bytes // 1024}Ki",
            "ephemeral-storage": f"{disk_bytes // 1024}Ki",
            "pods": str(pods),
            "hugepages-1Gi": "0",
            "hugepages-2Mi": "0",
        }

    return described(cpu, memory, disk), described(cpu - cpu_kept, int(memory - memory_kept - eviction), disk - disk_kept)


def condition(kind: str, status: bool, reason: str) -> dict:
    return {
        "type": kind,
        "status": str(status),
        "reason": reason,
        "message": reason,
        "lastHeartbeatTime": now(),
        "lastTransitionTime": now(),
    }


def conditions(ready: bool) -> list[dict]:
    return [
        condition("Ready", ready, "KubeletReady" if ready else "KubeletNotReady"),
        condition("MemoryPressure", False, "KubeletHasSufficientMemory"),
        condition("DiskPressure", False, "KubeletHasNoDiskPressure"),
        condition("PIDPressure", False, "KubeletHasSufficientPID"),
    ]


def node(kubelet: Kubelet, settings: user_data.Settings, machine: dict, region: str) -> dict:
    instance = kubelet.instance
    os = "windows" if instance["imageName"].startswith("Windows") else "linux"
    labels = settings.labels | {
        "kubernetes.io/arch": machine["arch"],
        "kubernetes.io/os": os,
        "kubernetes.io/hostname": kubelet.node,
        "node.kubernetes.io/instance-type": instance["type"],
        "topology.kubernetes.io/region": region,
        "topology.kubernetes.io/zone": instance["zone"],
        "topology.k8s.aws/zone-id": instance["zoneId"],
    }
    capacity, allocatable = resources(machine, settings, instance["diskGib"])
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": kubelet.node, "labels": labels},
        "spec": {
            "providerID": f"aws:///{instance['zone']}/{instance['id']}",
            "taints": settings.taints,
        },
        "status": {
            "capacity": capacity,
            "allocatable": allocatable,
            "conditions": conditions(False),
            "addresses": [
                {"type": "InternalIP", "address": instance["privateIp"]},
                {"type": "Hostname", "address": kubelet.node},
                {"type": "InternalDNS", "address": kubelet.node},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "architecture": machine["arch"],
                "operatingSystem": os,
                "osImage": instance["imageName"],
                "kubeletVersion": VERSION,
                "kubeProxyVersion": "",
                "containerRuntimeVersion": "containerd://2.1.0",
                "kernelVersion": "6.12.0",
                "machineID": instance["id"],
                "systemUUID": instance["id"],
                "bootID": instance["id"],
            },
        },
    }


def running(pod: dict, address: str, host: str) -> dict:
    """The status of a pod all of whose containers run."""
    time_, spec = now(), pod["spec"]

    def container(each: dict, state: dict) -> dict:
        return {
            "name": each["name"],
            "image": each["image"],
            "imageID": each["image"],
            "containerID": f"containerd://{pod['metadata']['uid']}-{each['name']}",
            "ready": True,
            "started": True,
            "restartCount": 0,
            "state": state,
        }

    done = {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": time_, "finishedAt": time_}}
    going = {"running": {"startedAt": time_}}
    first = [(each, going if each.get("restartPolicy") == "Always" else done) for each in spec.get("initContainers", [])]
    kinds = ["Initialized", "ContainersReady", "Ready", "PodReadyToStartContainers"]
    status = {
        "phase": "Running",
        "hostIP": host,
        "hostIPs": [{"ip": host}],
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": time_,
        "conditions": [{"type": kind, "status": "True", "lastTransitionTime": time_} for kind in kinds],
        "containerStatuses": [container(each, going) for each in spec["containers"]],
    }
    if first:
        status["initContainerStatuses"] = [container(each, state) for each, state in first]
    return {"status": status}


class Kubelets:
    def __init__(self, options):
        self.options = options
        self.api = Api(options.kubeconfig)
        self.pool = ThreadPoolExecutor(WORKERS)
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
            elif kubelet.phase == "ready" and at >= kubelet.lease_due:
                kubelet.lease_due = at + self.options.lease
                self.pool.submit(self.guarded, self.renew, kubelet)
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
        body = node(kubelet, settings, self.machines[instance["type"]], self.options.region)
        status, answer = self.api.call("POST", "/api/v1/nodes", body)
        if status == 409:
            self.take_over(kubelet, body)
        elif status >= 300:
            kubelet.phase = "broken"
            tell("broken", instance=instance["id"], error=answer.get("message"))
            return
        tell("registered", instance=instance["id"], node=kubelet.node)
        self.create_lease(kubelet)
        if self.options.not_ready:
            time.sleep(self.options.not_ready)
        patch = {"status": {"conditions": conditions(True)}}
        self.api.call("PATCH", f"/api/v1/nodes/{kubelet.node}/status", patch, STRATEGIC)
        tell("ready", instance=instance["id"], node=kubelet.node)
        with kubelet.lock:
            if kubelet.phase == "joining":
                kubelet.phase = "ready"
            waiting, kubelet.waiting = kubelet.waiting, []
        for pod in waiting:
            self.pool.submit(self.guarded, self.start_pod, kubelet, pod)

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
        """Lists and watches the pods that are bound to any node, for ever."""
        selector = "fieldSelector=spec.nodeName!%3D"
        while True:
            try:
                version, token = "", ""
                while True:
                    path = f"/api/v1/pods?{selector}&limit=1000" + (f"&continue={token}" if token else "")
                    _, page = self.api.call("GET", path)
                    for pod in page["items"]:
                        self.see(pod)
                    version, token = page["metadata"]["resourceVersion"], page["metadata"].get("continue")
                    if not token:
                        break
                path = f"/api/v1/pods?{selector}&watch=1&timeoutSeconds=300&resourceVersion={version}"
                for event in self.api.watch(path):
                    if event["type"] in ("ADDED", "MODIFIED"):
                        self.see(event["object"])
                    elif event["type"] == "DELETED":
                        self.started.discard(event["object"]["metadata"]["uid"])
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
            ready = [c["status"] for c in found.get("status", {}).get("conditions", []) if c["type"] == "Ready"]
            if ready != ["True"] and not found["metadata"].get("deletionTimestamp"):
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
