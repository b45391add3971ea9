"""The Node that an instance becomes, and the status of a pod that runs: what a kubelet writes."""

import math
from datetime import datetime, timezone

from user_data import Settings

MIB = 1 << 20
VERSION = "v1.35.4-eks-1a2b3c4"
# What firmware and kernel take of a machine's memory; Karpenter assumes 7.5 %.
OVERHEAD = 0.065


def now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


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


def resources(machine: dict, settings: Settings, disk_gib: int) -> tuple[dict, dict]:
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


def node(instance: dict, settings: Settings, machine: dict, region: str) -> dict:
    name = instance["privateDns"]
    os = "windows" if instance["imageName"].startswith("Windows") else "linux"
    labels = settings.labels | {
        "kubernetes.io/arch": machine["arch"],
        "kubernetes.io/os": os,
        "kubernetes.io/hostname": name,
        "node.kubernetes.io/instance-type": instance["type"],
        "topology.kubernetes.io/region": region,
        "topology.kubernetes.io/zone": instance["zone"],
        "topology.k8s.aws/zone-id": instance["zoneId"],
    }
    capacity, allocatable = resources(machine, settings, instance["diskGib"])
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
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
                {"type": "Hostname", "address": name},
                {"type": "InternalDNS", "address": name},
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


def is_ready(found: dict) -> bool:
    conditions = found.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
