"""What a month of the model cluster costs, by what was measured: durations, calls and bytes."""

import re
from dataclasses import dataclass
from pathlib import Path

from . import episode, prices
from .tables import table

TEMPLATE = Path(__file__).resolve().parents[3] / "infra" / "template.yaml"
MEMORY_MB = [256, 512, 1024, 1769]
TARGET_USD = 1.50


@dataclass
class Work:
    """One kind of invocation, with one processor: on it, waiting on this machine, and waiting for AWS beside that."""

    name: str
    function: str
    count: float
    cpu_s: float
    wait_s: float
    aws_s: float

    def seconds(self, memory_mb: int) -> float:
        # Joiner computes on one thread at a time; more than one processor would change nothing.
        return self.cpu_s * max(1.0, prices.LAMBDA_VCPU_MB / memory_mb) + self.wait_s + self.aws_s

    def gb_s(self, memory: dict[str, int]) -> float:
        memory_mb = memory[self.function]
        return self.count * self.seconds(memory_mb) * memory_mb / 1024


def measure(options) -> dict:
    known = options.known
    if missing := [name for name in ("latency", "cold") if name not in known]:
        raise SystemExit(f"measure {' and '.join(missing)} first: costs are counted from them ({options.json})")
    wakes = episode.measure(options)
    works = invocations(known, wakes)
    template = TEMPLATE.read_text()
    configured = memories(template)
    each = {f"{memory} MB": dict.fromkeys(configured, memory) for memory in MEMORY_MB} | {"the template": configured}
    result = {
        "invocations_of_a_burst": wakes,
        "works": [vars(work) | {"seconds": {memory: work.seconds(memory) for memory in MEMORY_MB}} for work in works],
        "configured_mb": configured,
        "dollars": {
            architecture: {name: core(works, known, wakes, memory, architecture) for name, memory in each.items()}
            for architecture in prices.LAMBDA_GB_S
        },
        "latency_p50_ms": {name: latency_ms(known, memory["on-pending-pods"]) for name, memory in each.items()},
        "lines": lines(works, known, template),
    }
    show(result, works)
    return result


def memories(template: str) -> dict[str, int]:
    """What each function gets by the template's defaults."""
    default = {name: int(mb) for name, mb in re.findall(r"^  (\w*MemoryMb):[\s\S]*?Default: (\d+)", template, re.MULTILINE)}
    quick = dict.fromkeys(["on-pending-pods", "on-interruption"], default["PendingPodsMemoryMb"])
    return dict.fromkeys(episode.FUNCTIONS, default["MemoryMb"]) | quick


def invocations(known: dict, wakes: dict) -> list[Work]:
    latency = known["latency"]
    middle = {name: each["p50"] for name, each in latency["figures"].items()}
    trips = {name: max(1.0, count) for name, count in latency["aws_calls_in_a_row"].items()}
    start_s = known["cold"]["on-pending-pods"]["p50_ms"] / 1000 + prices.SANDBOX_START_S
    fleet_s = prices.CREATE_FLEET_S - prices.AWS_ROUND_TRIP_S

    def work(name: str, function: str, count: float, facts: dict, aws_s: float) -> Work:
        cpu_s = facts["cpu_ms"] / 1000
        return Work(name, function, count, cpu_s, max(0.0, facts["wall_ms"] / 1000 - cpu_s), aws_s)

    idle_s = trips["idle_turn"] * prices.AWS_ROUND_TRIP_S
    acting_s = trips["acting_turn"] * prices.AWS_ROUND_TRIP_S + fleet_s
    # A cold one also asks for the cluster, what classes name, and images, in three rounds.
    cold_s = acting_s + 3 * prices.AWS_ROUND_TRIP_S + start_s
    waked = {name: sum(count for part in ("up", "down") for each, count in wakes[part].items() if each.startswith(name)) for name in episode.FUNCTIONS}
    events = prices.EVENTS_A_DAY * prices.DAYS
    own, foreign = latency["events"]["own"], latency["events"]["foreign"]
    cold, cold_share = latency["cold"], prices.COLD_BURSTS
    warm = {name: middle[name] for name in ("cpu_ms", "wall_ms")}
    pending, schedule, interruption = "on-pending-pods", "on-schedule", "on-interruption"
    return [
        work("ticks of the minute", schedule, prices.TICKS, latency["idle"], idle_s),
        work("bursts, cold", pending, prices.BURSTS * cold_share, cold, cold_s),
        work("bursts, warm", pending, prices.BURSTS * (1 - cold_share), warm, acting_s),
        # Registering, tainting, ending: about what an idle turn does, and a call of AWS each.
        work("changes of nodes", pending, prices.BURSTS * (waked[pending] - 1), latency["idle"], idle_s + prices.AWS_ROUND_TRIP_S),
        work("follow-ups", schedule, prices.BURSTS * waked[schedule], latency["idle"], idle_s + prices.AWS_ROUND_TRIP_S),
        work("events of own instances", interruption, events * prices.OWN_EVENTS, own, idle_s),
        work("events of others' instances", interruption, events * (1 - prices.OWN_EVENTS), foreign, 0),
    ]


def latency_ms(known: dict, memory_mb: int) -> float:
    """What the p50 from invocation to CreateFleet would be with less of a processor."""
    figures = known["latency"]["figures"]
    cpu = min(figures["cpu_ms"]["p50"], figures["last_ms"]["p50"])
    return figures["last_ms"]["p50"] + cpu * (max(1.0, prices.LAMBDA_VCPU_MB / memory_mb) - 1)


def core(works: list[Work], known: dict, wakes: dict, memory: dict[str, int], architecture: str) -> dict[str, float]:
    """Functions, queues, bus and bucket: what the target is about."""
    count = sum(work.count for work in works)
    knocks = prices.BURSTS * sum(each for part in ("up", "down") for name, each in wakes[part].items() if name.startswith("on-pending-pods"))
    # A message is sent and deleted; its receipt is one of the polls, after which the poller polls anew.
    messages = 3 * count
    acting = prices.BURSTS * wakes["kept_turns"]
    kept_gb = acting * known["latency"]["kept_turn_bytes"] / 1e9 * 14 / prices.DAYS
    return {
        "Lambda: requests": count * prices.LAMBDA_REQUEST,
        "Lambda: GB-seconds": sum(work.gb_s(memory) for work in works) * prices.LAMBDA_GB_S[architecture],
        "SQS: messages": messages * prices.SQS_REQUEST,
        "EventBridge: knocks": knocks * prices.EVENTBRIDGE_EVENT,
        "EventBridge: Scheduler": prices.TICKS * prices.SCHEDULER_CALL,
        "S3: turns that acted": acting * prices.S3_PUT + kept_gb * prices.S3_GB_MONTH,
    }


def lines(works: list[Work], known: dict, template: str) -> dict[str, float]:
    """What else is paid for, whoever's it is."""
    logs_gb = sum(work.count for work in works) * known["latency"]["log_bytes"] / 1e9
    polls = prices.POLLERS * prices.HOURS * 3600 / prices.LONG_POLL_S * prices.SQS_REQUEST
    return {
        "SQS: polling of pending-pods, pods or none": polls,
        "SQS: polling of interruption": polls,
        "SQS: polling of schedule": polls,
        "logs": logs_gb * (prices.LOGS_GB + prices.LOGS_GB_MONTH * 14 / prices.DAYS),
        "metrics (10 custom)": 10 * prices.METRIC,
        f"alarms ({template.count('AWS::CloudWatch::Alarm')} in the template)": template.count("AWS::CloudWatch::Alarm") * prices.ALARM,
        f"dashboard ({template.count('AWS::CloudWatch::Dashboard')} in the template)": template.count("AWS::CloudWatch::Dashboard")
        * prices.DASHBOARD,
        "NAT or endpoints (functions outside of the VPC)": 0.0,
        "  if they must be inside: one NAT gateway": prices.NAT_HOUR * prices.HOURS,
        "  or endpoints (EC2, SSM, EKS, STS, SQS), one zone": 5 * prices.ENDPOINT_HOUR * prices.HOURS,
        "two nodes that hold the webhook and the system, 2 x t3.medium": 2 * prices.NODE_HOUR["t3.medium"] * prices.HOURS,
        "  or 2 x c7g.large": 2 * prices.NODE_HOUR["c7g.large"] * prices.HOURS,
    }


def show(result: dict, works: list[Work]) -> None:
    print(f"\n  Invocations of a burst of {episode.PODS} pods, beside the ticks: {result['invocations_of_a_burst']}")
    rows = [[work.name, work.function, round(work.count), work.cpu_s, work.wait_s, work.aws_s, *(work.seconds(m) for m in MEMORY_MB)] for work in works]
    head = ["seconds of an invocation", "of", "a month", "processor", "waits here", "AWS", *(f"at {m} MB" for m in MEMORY_MB)]
    table("Cost: what runs in a month of the model cluster", head, rows)
    memory = ", ".join(f"{name} {mb} MB" for name, mb in result["configured_mb"].items())
    for architecture, each in result["dollars"].items():
        rows = [[name, *(dollars[name] for dollars in each.values())] for name in each["the template"]]
        rows.append(["together", *(sum(dollars.values()) for dollars in each.values())])
        rows.append(["p50 to CreateFleet, ms", *result["latency_p50_ms"].values()])
        table(f"Dollars a month, {architecture}, without the free tier ({memory})", ["", *each], rows)
    table("Beside that, dollars a month", ["", ""], [[name, value] for name, value in result["lines"].items()])
    worst = max(sum(each["the template"].values()) for each in result["dollars"].values())
    print(f"  Target: functions, SQS, EventBridge and S3 < ${TARGET_USD:.2f}: ${worst:.2f}, {'held' if worst < TARGET_USD else 'MISSED'}")
    print(f"  A queue is polled {prices.POLLERS} x {prices.HOURS} h x 3,600 s / {prices.LONG_POLL_S} s times a month, messages or none.")
