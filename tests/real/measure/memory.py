"""How much memory and time a turn takes in large clusters, whose pods a real API server sends over TLS."""

import json
import time

from .crowd import Crowd
from .function import TICK, Function, Invocation, event, memory_mib, message
from .tables import table
from .world import World, eventually

SIZES = [(1_000, 30_000), (5_000, 150_000)]
# The most memory in MiB, by the most nodes.
TARGETS = {1_000: 128, 5_000: 512}
PENDING = 100
CLAIMS = "/apis/karpenter.sh/v1/nodeclaims"


def measure(options) -> dict:
    sizes = [(options.nodes, options.pods or options.nodes * 30)] if options.nodes else SIZES
    return {f"{nodes}/{pods}": one_size(options, nodes, pods) for nodes, pods in sizes}


def one_size(options, nodes: int, pods: int) -> dict:
    with World(options, "--only", "control-plane,aws,flow", "--no-controllers") as world:
        crowd = Crowd(world)
        loaded = load(world, crowd, nodes, pods)
        with Function(options.binary("on-pending-pods"), options.rie, world.logs, world.environment()) as function:
            turns = {"cold": take(world, function, message(TICK))}
            first_launch(world, crowd, function)
            for number in (1, 2):
                turns[f"warm, idle ({number})"] = take(world, function, message(TICK))
            crowd.write(crowd.waiting("late", PENDING), together=1)
            turns[f"{PENDING} pods wait"] = take(world, function, event("Pods Pending", PENDING))
            turns["after it"] = take(world, function, message(TICK))
        with Function(options.binary("on-pending-pods"), options.rie, world.logs, world.environment()) as function:
            # As a function that starts in the middle of a burst: what it costs to read all and act at once.
            crowd.write(crowd.waiting("later", PENDING), together=1)
            turns["cold, pods wait"] = take(world, function, event("Pods Pending", PENDING))
    result = loaded | {"nodes": nodes, "pods": pods, "turns": turns}
    show(result)
    return result


def load(world: World, crowd: Crowd, nodes: int, pods: int) -> dict:
    began = time.monotonic()
    instances = crowd.launch(nodes)
    launched = time.monotonic()
    crowd.write(crowd.nodes(instances))
    crowd.write(crowd.pods([each["privateDns"] for each in instances], pods))
    written = time.monotonic()
    eventually("the API server's cache has all pods", 300, lambda: caught_up(world, pods), 1)
    facts = {"pod_bytes": one_bytes(world, "/api/v1/pods"), "claim_bytes": one_bytes(world, CLAIMS)}
    seconds = (round(launched - began, 1), round(written - launched, 1))
    print(f"{nodes} nodes, {pods} pods of {facts['pod_bytes']} bytes: instances {seconds[0]} s, objects {seconds[1]} s", flush=True)
    return facts


def caught_up(world: World, pods: int) -> bool:
    version = world.get("/api/v1/namespaces?limit=1")["metadata"]["resourceVersion"]
    path = f"/api/v1/pods?limit=1&resourceVersionMatch=NotOlderThan&resourceVersion={version}"
    status, page = world.api.call("GET", path)
    # With a limit, a page of the cache says how many more there are.
    return status == 200 and len(page["items"]) + page["metadata"].get("remainingItemCount", 0) >= pods


def one_bytes(world: World, path: str) -> int:
    return len(json.dumps(world.items(f"{path}?limit=1")[0], separators=(",", ":")))


def first_launch(world: World, crowd: Crowd, function: Function) -> None:
    """The first launch ever makes the instance profile, and waits for it until the next turn. All is taken away again."""
    crowd.write(crowd.waiting("first", 1), together=1)
    function.invoke(event("Pods Pending", 1))
    eventually("the first launch", 60, lambda: function.invoke(message(TICK)).turn["launched"], 1)
    claims = world.items(f"{CLAIMS}?labelSelector=karpenter.sh/capacity-type%3Dspot")
    world.remove_claims([claim["metadata"]["name"] for claim in claims])
    world.api.call("DELETE", "/api/v1/namespaces/default/pods/first-7d4b9c6f88-00000")
    function.invoke(message(TICK))


def take(world: World, function: Function, knock: dict) -> dict:
    since = len(world.calls())
    function.forget_peak()
    invocation: Invocation = function.invoke(knock)
    calls = world.calls(since)
    fleets = [call["time"] - invocation.began for call in calls if call["action"] == "CreateFleet"]
    describe = [call["seconds"] for call in calls if call["action"] == "DescribeInstances"]
    turn = invocation.turn
    if not turn:
        raise RuntimeError(f"no turn was taken: {invocation.problems}; see {function.log}")
    return {
        "peak_mib": invocation.peak_mib,
        # Of what is left, what is the program itself: pages of its file.
        "file_mib": memory_mib(function.bootstrap(), "RssFile"),
        "left_mib": memory_mib(function.bootstrap(), "VmRSS"),
        "wall_ms": invocation.wall_ms,
        "cpu_ms": invocation.cpu_ms,
        "first_fleet_ms": min(fleets) * 1000 if fleets else None,
        "milliseconds": turn["milliseconds"],
        "cluster": turn["traffic"]["cluster"],
        "aws_calls": len(calls),
        "describe_instances": {"calls": len(describe), "ms": sum(describe) * 1000},
        "turn": {name: turn[name] for name in ("pending_pods", "placed_pods", "launches", "launched", "steps", "failures", "claims")},
        "problems": invocation.problems,
    }


def show(result: dict) -> None:
    rows = []
    for name, turn in result["turns"].items():
        parts = turn["milliseconds"]
        row = [name, turn["peak_mib"], turn["left_mib"], turn["file_mib"], turn["wall_ms"], turn["cpu_ms"], parts["observe"], parts["plan"], parts["execute"]]
        row += [turn["describe_instances"]["ms"], turn["cluster"]["calls"], turn["cluster"]["bytes"], turn["aws_calls"], turn["turn"]["launched"], turn["first_fleet_ms"]]
        rows.append(row)
    head = ["turn", "peak MiB", "left MiB", "program", "ms", "cpu ms", "observe", "plan", "execute", "(instances)", "calls", "bytes", "AWS calls", "bought", "CreateFleet at"]
    title = f"Memory and time: {result['nodes']:,} nodes, {result['pods']:,} pods of {result['pod_bytes']:,} bytes (claims of {result['claim_bytes']:,})"
    table(title, head, rows)
    print("  `instances` is what DescribeInstances took in the emulator, a part of observe; on AWS a page of 1,000 takes about a second.")
    peak = max(turn["peak_mib"] for turn in result["turns"].values())
    target = next((most for nodes, most in TARGETS.items() if result["nodes"] <= nodes), None)
    if target:
        print(f"  Target: < {target} MiB at the most: {peak:.0f} MiB, {'held' if peak < target else 'MISSED'}")
    for name, turn in result["turns"].items():
        for problem in turn["problems"][:5]:
            print(f"  PROBLEM in {name}: {problem}")
