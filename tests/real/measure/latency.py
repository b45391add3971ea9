"""From a function's invocation to CreateFleet, warm: 100 pods wait in a cluster of 100 nodes with ten pods each."""

import time

import boto3

from .function import TICK, Function, event, message
from .tables import quantile, table
from .world import World, deployment, eventually, waits

NODES, PODS, SMALL = 100, 100, 9
WARM_UP, COLD = 3, 3
# Longer than a round: what a round buys is gone before it would boot.
BOOT_S = 20
TARGET_P50_MS, TARGET_P99_MS = 300, 800
CLAIMS = "/apis/karpenter.sh/v1/nodeclaims"
# Added to every call of AWS in the second series, which tells how many calls wait for one another.
DELAY_S = 0.1


def measure(options) -> dict:
    with World(options, "--boot", str(BOOT_S), "--grace", "40") as world:
        world.install_pools()
        with Function(options.binary("on-pending-pods"), options.rie, world.logs, world.environment()) as function:
            fill(world, function, options.nodes_of_latency)
            rounds = [one(world, function, number) for number in range(WARM_UP + options.rounds)][WARM_UP:]
            world.ask("POST", "faults", {"action": "*", "delay_s": DELAY_S, "times": 0})
            slow = [one(world, function, number) for number in range(1000, 1000 + max(3, options.rounds // 5))]
            slow_idle = idle(world, function)
            world.ask("DELETE", "faults")
            quiet = idle(world, function)
            logged = function.bytes_an_invocation()
        # A burst after a quarter of an hour of silence finds a function that starts.
        cold = [one_cold(world, options, number) for number in range(2000, 2000 + COLD)]
        result = summary(rounds, slow, quiet, slow_idle) | {
            "cold": {name: middle(cold, name) for name in ("first_ms", "last_ms", "wall_ms", "cpu_ms", "aws_calls", "peak_mib")},
            "events": events(world, options),
            "kept_turn_bytes": kept_bytes(),
            "log_bytes": logged,
        }
    show(result, options.nodes_of_latency)
    return result


def fill(world: World, function: Function, nodes: int) -> None:
    """The nodes are Joiner's own: bought by turns, joined by simulated kubelets."""
    world.apply(deployment("base", nodes, "1500m", "1Gi", apart=True))
    eventually("the pods wait", 60, lambda: len(waiting(world, "base")) == nodes)

    def joined() -> bool:
        function.invoke(message(TICK))
        claims = world.items(CLAIMS)
        return len(claims) >= nodes and all(is_initialized(claim) for claim in claims)

    eventually(f"{nodes} nodes have joined", 600, joined, 2)
    eventually("a pod runs on each", 300, lambda: running(world) >= nodes, 1)
    world.apply(deployment("small", nodes * SMALL, "10m", "16Mi"))
    eventually("all pods run", 300, lambda: running(world) >= nodes * (SMALL + 1), 1)
    print(f"{nodes} nodes with {nodes * (SMALL + 1)} pods are there", flush=True)


def running(world: World) -> int:
    return sum(pod["status"].get("phase") == "Running" for pod in world.items("/api/v1/namespaces/default/pods"))


def waiting(world: World, name: str) -> list[dict]:
    pods = world.items(f"/api/v1/namespaces/default/pods?labelSelector=app%3D{name}")
    return [pod for pod in pods if waits(pod)]


def is_initialized(claim: dict) -> bool:
    conditions = claim.get("status", {}).get("conditions", [])
    return any(each["type"] == "Initialized" and each["status"] == "True" for each in conditions)


def one_cold(world: World, options, number: int) -> dict:
    with Function(options.binary("on-pending-pods"), options.rie, world.logs, world.environment()) as function:
        return one(world, function, number)


def events(world: World, options) -> dict:
    """What EC2 tells of instances: of others', which are dropped, and of Joiner's, for which a turn is taken."""
    own = world.items(CLAIMS)[0]["status"]["providerID"].rsplit("/", 1)[1]
    times = {}
    with Function(options.binary("on-interruption"), options.rie, world.logs, world.environment()) as function:
        for name, instance in [("foreign", "i-0123456789abcdef0"), ("own", own)]:
            taken = [function.invoke(state_change(instance)) for _ in range(6)][1:]
            pairs = [{"wall_ms": each.wall_ms, "cpu_ms": each.cpu_ms} for each in taken]
            times[name] = {"wall_ms": middle(pairs, "wall_ms"), "cpu_ms": middle(pairs, "cpu_ms")}
    return times


def state_change(instance: str) -> dict:
    detail = {"instance-id": instance, "state": "running"}
    arn = f"arn:aws:ec2:us-east-1:111122223333:instance/{instance}"
    body = {"version": "0", "id": "7bf73129-1428-4cd3-a780-95db273d1602", "source": "aws.ec2", "account": "111122223333"}
    body |= {"detail-type": "EC2 Instance State-change Notification", "time": "2026-11-22T23:18:41Z", "region": "us-east-1"}
    return message(body | {"resources": [arn], "detail": detail})


def kept_bytes() -> int:
    """The middle of what was kept of acting turns in the bucket."""
    objects = boto3.client("s3").list_objects_v2(Bucket="turns").get("Contents", [])
    return int(quantile([each["Size"] for each in objects], 0.5))


def one(world: World, function: Function, number: int) -> dict:
    """Pods wait, the function is invoked, nodes are bought; then all that is new is taken away."""
    name = f"round-{number}"
    world.apply(deployment(name, PODS, "500m", "1Gi"))
    eventually("the pods wait", 60, lambda: len(waiting(world, name)) == PODS)
    before = {claim["metadata"]["name"] for claim in world.items(CLAIMS)}
    since = len(world.calls())
    invocation = function.invoke(event("Pods Pending", PODS))
    calls = world.calls(since)
    fleets = [call["time"] for call in calls if call["action"] == "CreateFleet"]
    problems = list(invocation.problems)
    if invocation.turn.get("pending_pods") != PODS or not fleets:
        problems.append(f"the turn saw {invocation.turn.get('pending_pods')} pods and made {len(fleets)} calls of CreateFleet")
    new = [claim["metadata"]["name"] for claim in world.items(CLAIMS) if claim["metadata"]["name"] not in before]
    world.api.call("DELETE", f"/apis/apps/v1/namespaces/default/deployments/{name}?propagationPolicy=Foreground")
    eventually("the pods have gone", 60, lambda: not world.items(f"/api/v1/namespaces/default/pods?labelSelector=app%3D{name}"))
    world.remove_claims(new)
    turn = invocation.turn
    return {
        "first_ms": (min(fleets) - invocation.began) * 1000 if fleets else None,
        "last_ms": (max(fleets) - invocation.began) * 1000 if fleets else None,
        "wall_ms": invocation.wall_ms,
        "cpu_ms": invocation.cpu_ms,
        "peak_mib": invocation.peak_mib,
        "observe_ms": turn["milliseconds"]["observe"],
        "plan_ms": turn["milliseconds"]["plan"],
        "execute_ms": turn["milliseconds"]["execute"],
        "around_ms": invocation.before_and_after(),
        "cluster_calls": turn["traffic"]["cluster"]["calls"],
        "cluster_bytes": turn["traffic"]["cluster"]["bytes"],
        "aws_calls": len(calls),
        "launched": turn["launched"],
        "actions": sorted(call["action"] for call in calls),
        "problems": problems,
    }


def idle(world: World, function: Function) -> list[dict]:
    """Turns in which nothing is to be done."""
    turns = []
    for _ in range(6):
        since = len(world.calls())
        invocation = function.invoke(message(TICK))
        calls = len(world.calls(since))
        turns.append({"wall_ms": invocation.wall_ms, "cpu_ms": invocation.cpu_ms, "aws_calls": calls, "turn": invocation.turn})
        time.sleep(0.2)
    return turns[1:]


def middle(rows: list[dict], name: str) -> float:
    return quantile([row[name] for row in rows], 0.5)


def summary(rounds: list[dict], slow: list[dict], quiet: list[dict], slow_idle: list[dict]) -> dict:
    names = [name for name in rounds[0] if name not in ("problems", "actions")]
    figures = {}
    for name in names:
        values = [each[name] for each in rounds if each[name] is not None]
        figures[name] = {"p50": quantile(values, 0.5), "p99": quantile(values, 0.99), "max": max(values, default=0)}
    added = DELAY_S * 1000
    return {
        "rounds": len(rounds),
        "figures": figures,
        "problems": sorted({problem for each in rounds for problem in each["problems"]}),
        # By how much the delay of each call lengthens the whole tells how many calls come one after the other.
        "aws_calls_in_a_row": {
            "to_create_fleet": (middle(slow, "first_ms") - middle(rounds, "first_ms")) / added,
            "acting_turn": (middle(slow, "wall_ms") - middle(rounds, "wall_ms")) / added,
            "idle_turn": (middle(slow_idle, "wall_ms") - middle(quiet, "wall_ms")) / added,
        },
        "idle": {name: middle(quiet, name) for name in ("wall_ms", "cpu_ms", "aws_calls")},
        "idle_turn": quiet[-1]["turn"],
        "all": rounds,
    }


NAMES = {
    "first_ms": "invoked -> first CreateFleet, ms",
    "last_ms": "invoked -> last CreateFleet, ms",
    "wall_ms": "whole invocation, ms",
    "cpu_ms": "  of it on a processor, ms",
    "around_ms": "  lease, answer and so on, ms",
    "observe_ms": "  observe, ms",
    "plan_ms": "  plan and check, ms",
    "execute_ms": "  execute, ms",
    "cluster_calls": "calls of the API server while observing",
    "cluster_bytes": "bytes from the API server while observing",
    "aws_calls": "calls of AWS",
    "launched": "nodes bought",
    "peak_mib": "peak of memory, MiB",
}


def show(result: dict, nodes: int) -> None:
    figures = result["figures"]
    rows = [[label, figures[name]["p50"], figures[name]["p99"], figures[name]["max"]] for name, label in NAMES.items()]
    title = f"Latency: {PODS} pods wait, {nodes} nodes with {nodes * (SMALL + 1)} pods, warm, {result['rounds']} rounds"
    table(title, ["", "p50", "p99", "max"], rows)
    good = figures["last_ms"]["p50"] < TARGET_P50_MS and figures["last_ms"]["p99"] < TARGET_P99_MS
    print(f"  Target: p50 < {TARGET_P50_MS} ms, p99 < {TARGET_P99_MS} ms: {'held' if good else 'MISSED'}")
    trips = result["aws_calls_in_a_row"]
    print(f"  Calls of AWS in a row: {trips['to_create_fleet']:.1f} before CreateFleet, {trips['acting_turn']:.1f} in the whole turn,")
    print(f"  {trips['idle_turn']:.1f} in an idle one; each adds its round trip to AWS to the above (the emulator answers in milliseconds).")
    idle_turn = result["idle"]
    print(f"  Idle turn: {idle_turn['wall_ms']:.0f} ms, of them {idle_turn['cpu_ms']:.0f} ms on a processor, {idle_turn['aws_calls']:.0f} calls of AWS")
    cold = result["cold"]
    print(f"  Cold: CreateFleet after {cold['first_ms']:.0f} to {cold['last_ms']:.0f} ms, all after {cold['wall_ms']:.0f} ms, {cold['aws_calls']:.0f} calls of AWS")
    own, foreign = result["events"]["own"], result["events"]["foreign"]
    print(f"  Event of an instance of Joiner's: {own['wall_ms']:.0f} ms; of another: {foreign['wall_ms']:.0f} ms")
    print(f"  Kept of an acting turn: {result['kept_turn_bytes']:,} bytes; logged of an invocation: {result['log_bytes']:,} bytes")
    print(f"  Calls of AWS in the last warm round: {', '.join(result['all'][-1]['actions'])}")
    for problem in result["problems"]:
        print(f"  PROBLEM: {problem}")
