"""
How many invocations a burst of pods costs, from its beginning until its nodes have gone again.

The template is deployed as tests/demo does it, with the webhook, the bus, the queues and the schedule; nodes take as long to
boot as on EC2. What the functions log tells what woke them.
"""

import json
import subprocess
import time

import boto3

from demo.__main__ import TOP, start_webhook
from demo.deploy import deploy

from .world import World, deployment, eventually

# The model cluster: 20,000 pods in 3,000 bursts.
PODS = 7
# A kubelet registers 28 s after the launch (karpenter-provider-aws, pull request 3827).
BOOT_S = 28
FUNCTIONS = ["on-pending-pods", "on-interruption", "on-schedule"]
# All is quiet: no knock is older than the longest pause between repetitions for a moment.
QUIET_S = 15


def measure(options) -> dict:
    with World(options, "--boot", str(BOOT_S), "--grace", "40") as world:
        binaries = {name: options.binary(name) for name in FUNCTIONS}
        deploy(TOP / "infra" / "template.yaml", world.state, binaries, options.sam / "bin" / "sam")
        webhook = start_webhook(options.binary("webhook"), world.state)
        try:
            return burst(world)
        finally:
            webhook.terminate()
            webhook.wait()


def burst(world: World) -> dict:
    world.install_pools()
    let_go_of_empty_nodes()
    # The first launch ever makes the instance profile: it is not what bursts cost.
    up_and_down(world, "first", 1)
    before = kept()
    return up_and_down(world, "burst", PODS) | {"kept_turns": kept() - before}


def kept() -> int:
    """How many turns the bucket holds."""
    s3, total = boto3.client("s3"), 0
    for bucket in s3.list_buckets()["Buckets"]:
        objects = s3.list_objects_v2(Bucket=bucket["Name"]).get("Contents", [])
        total += sum(each["Key"].startswith("turns/") for each in objects)
    return total


def let_go_of_empty_nodes() -> None:
    patch = '{"spec":{"disruption":{"consolidateAfter":"30s"}}}'
    command = ["kubectl", "patch", "nodepool", "default", "--type=merge", "--patch", patch]
    subprocess.run(command, check=True, capture_output=True)


def up_and_down(world: World, name: str, pods: int) -> dict:
    marks = positions(world)
    world.apply(deployment(name, pods, "500m", "1Gi"))
    path = f"/api/v1/namespaces/default/pods?labelSelector=app%3D{name}"
    eventually("all pods run", 240, lambda: sum(pod["status"].get("phase") == "Running" for pod in world.items(path)) == pods, 0.5)
    wait_for_quiet(world)
    up, marks = counted(world, marks), positions(world)
    world.api.call("DELETE", f"/apis/apps/v1/namespaces/default/deployments/{name}?propagationPolicy=Foreground")
    eventually("the nodes have gone", 400, lambda: not world.items("/api/v1/nodes"), 0.5)
    wait_for_quiet(world)
    return {"up": up, "down": counted(world, marks)}


def lines(world: World, name: str) -> list[dict]:
    logs = boto3.client("logs")
    try:
        return logs.filter_log_events(logGroupName=f"/aws/lambda/joiner-{world.cluster}-{name}", limit=10_000)["events"]
    except logs.exceptions.ResourceNotFoundException:
        return []


def positions(world: World) -> dict:
    return {name: len(lines(world, name)) for name in FUNCTIONS}


def wait_for_quiet(world: World) -> None:
    """Until only the minute's ticks come."""
    known, since = woken(world), time.monotonic()
    deadline = since + 300
    while time.monotonic() - since < QUIET_S and time.monotonic() < deadline:
        time.sleep(1)
        if (now := woken(world)) != known:
            known, since = now, time.monotonic()


def woken(world: World) -> int:
    return sum(kind != "Schedule" for name in FUNCTIONS for kind in triggers(lines(world, name)))


def triggers(events: list[dict]) -> list[str]:
    """What woke each invocation; `busy` if another one had the lease."""
    kinds = []
    for event in events:
        try:
            line = json.loads(event["message"])
        except ValueError:
            continue
        if line.get("message") == "turn":
            kinds.append(line["trigger"])
        elif line.get("message") == "another turn looks again":
            kinds.append("busy")
    return kinds


def counted(world: World, marks: dict) -> dict:
    """Invocations by function and by what woke them, without the ticks that come anyway."""
    counts: dict[str, int] = {}
    for name in FUNCTIONS:
        for kind in triggers(lines(world, name)[marks[name] :]):
            if kind != "Schedule":
                counts[f"{name}: {kind}"] = counts.get(f"{name}: {kind}", 0) + 1
    return dict(sorted(counts.items()))
