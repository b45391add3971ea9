"""What happens on the stage, told line by line with the seconds since the pods were made."""

import json
import os
import subprocess
import time
import urllib.request
from pathlib import Path

import boto3

UP_S, DOWN_S = 240, 420
POLL_S = 0.2


class Scene:
    def __init__(self, state: Path, replicas: int):
        self.state = state
        self.replicas = replicas
        self.control = os.environ["JOINER_FAULTS_URL"]
        self.cluster = os.environ["JOINER_CLUSTER"]
        self.logs = boto3.client("logs")
        self.sqs = boto3.client("sqs")
        self.events = boto3.client("events")
        self.began = time.time()
        self.calls = len(self.fetch("calls"))
        self.kubelets = (state / "logs" / "kubelets.log").stat().st_size
        self.seen_logs: dict[str, int] = {}
        self.instances: dict[str, dict] = {}
        self.running: set[str] = set()
        self.first: dict[str, float] = {}
        self.last: dict[str, float] = {}
        self.pods_told = ""
        self.starts: list[float] = []
        self.tap = self.make_tap()

    def make_tap(self) -> str:
        """A queue of one's own on the bus: what was put there, and when."""
        queue = self.sqs.create_queue(QueueName="tap")["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        bus = f"joiner-{self.cluster}"
        self.events.put_rule(Name="tap", EventBusName=bus, EventPattern='{"source":["joiner"]}')
        self.events.put_targets(Rule="tap", EventBusName=bus, Targets=[{"Id": "tap", "Arn": arn}])
        return queue

    def fetch(self, path: str):
        with urllib.request.urlopen(f"{self.control}/{path}", timeout=10) as answer:
            return json.loads(answer.read())

    def kubectl(self, *arguments: str) -> str:
        return subprocess.run(["kubectl", *arguments], capture_output=True, text=True, check=True).stdout

    def say(self, at: float, who: str, what: str) -> None:
        print(f"{at - self.began:7.1f} s  {who:<11} {what}", flush=True)

    def mark(self, what: str, at: float) -> None:
        self.first.setdefault(what, at)
        self.last[what] = at

    def install_pools(self, manifest: Path) -> None:
        path = self.state / "pools.yaml"
        path.write_text(manifest.read_text().replace("${CLUSTER}", self.cluster))
        self.kubectl("apply", "--filename", str(path))
        # As a user would: pods come when the pool is there. Joiner says that it is; if it does not, pods come all the same.
        arguments = ["kubectl", "wait", "nodepool/default", "--for=condition=Ready", "--timeout=10s"]
        subprocess.run(arguments, capture_output=True)

    def scale_up(self) -> bool:
        print(f"\n$ kubectl create deployment web --image=web --replicas={self.replicas}\n", flush=True)
        self.began = time.time()
        self.kubectl("create", "deployment", "web", "--image=web", f"--replicas={self.replicas}")
        done = self.follow(lambda: self.ready() >= self.replicas, UP_S)
        print("\n" + self.latencies() if done else "\nNot all pods run. What was logged:\n" + self.why(), flush=True)
        return done

    def scale_down(self) -> bool:
        print("\n$ kubectl scale deployment web --replicas=0\n", flush=True)
        self.began = time.time()
        self.kubectl("scale", "deployment", "web", "--replicas=0")
        done = self.follow(lambda: not self.left(), DOWN_S)
        what = "All instances have gone, and their nodes." if done else f"Still there: {', '.join(self.left())}\n{self.why()}"
        print("\n" + what, flush=True)
        return done

    def follow_for_ever(self) -> None:
        self.follow(lambda: False, float("inf"))

    def follow(self, done, patience_s: float) -> bool:
        deadline = time.time() + patience_s
        while time.time() < deadline:
            lines = [*self.bus(), *self.functions(), *self.aws(), *self.nodes()]
            for line in sorted(lines):
                if line[0] >= self.began:
                    self.say(*line)
            self.pods()
            if done():
                return True
            time.sleep(POLL_S)
        return False

    def bus(self):
        received = self.sqs.receive_message(QueueUrl=self.tap, MaxNumberOfMessages=10, AttributeNames=["SentTimestamp"])
        for message in received.get("Messages", []):
            at = int(message["Attributes"]["SentTimestamp"]) / 1000
            event = json.loads(message["Body"])
            if event["detail-type"] == "Pods Pending":
                self.mark("event on the bus", at)
            detail = event["detail"]
            yield at, "event bus", f"{event['detail-type']}: {detail.get('count', '?')}, {detail.get('reason', '')}"
            self.sqs.delete_message(QueueUrl=self.tap, ReceiptHandle=message["ReceiptHandle"])

    def functions(self):
        for name in ("on-pending-pods", "on-interruption", "on-schedule"):
            group = f"/aws/lambda/joiner-{self.cluster}-{name}"
            try:
                events = self.logs.filter_log_events(logGroupName=group, limit=10_000)["events"]
            except self.logs.exceptions.ResourceNotFoundException:
                continue
            for event in events[self.seen_logs.get(name, 0) :]:
                at = event["timestamp"] / 1000
                if event["message"].startswith("START"):
                    self.starts.append(at)
                if at >= self.began and (text := told(event["message"])):
                    yield at, name, text
            self.seen_logs[name] = len(events)

    def aws(self):
        calls = self.fetch(f"calls?since={self.calls}")
        self.calls += len(calls)
        for call in calls:
            if call["action"] == "CreateFleet":
                self.mark("CreateFleet", call["time"])
            if call["status"] == 0 or call["status"] >= 429:
                yield call["time"], "AWS", f"{call['action']} answers {call['status']}"
        for instance in self.fetch("instances"):
            known = self.instances.get(instance["id"])
            if known is None:
                where = f"{instance['type']} {instance['lifecycle']} in {instance['zone']}"
                yield instance["launchTime"], "EC2", f"{instance['id']}  {where}"
            elif known["state"] != instance["state"]:
                yield time.time(), "EC2", f"{instance['id']}  {instance['state']}"
            self.instances[instance["id"]] = instance

    def nodes(self):
        path = self.state / "logs" / "kubelets.log"
        with open(path, "rb") as file:
            file.seek(self.kubelets)
            text = file.read()
        text = text[: text.rfind(b"\n") + 1]
        self.kubelets += len(text)
        for line in text.splitlines():
            fact = json.loads(line)
            event, at = fact["event"], fact["time"]
            if event == "ready":
                self.mark("node ready", at)
            if event == "running":
                self.mark("pod running", at)
            if event in ("registered", "ready", "removed"):
                yield at, "node", f"{fact['node']}  {event}"
            if event == "broken":
                yield at, "node", f"{fact['instance']} will not join: {fact['error']}"

    def pods(self) -> None:
        items = json.loads(self.kubectl("get", "pods", "--selector=app=web", "--output=json"))["items"]
        counts: dict[str, int] = {}
        for pod in items:
            state = "ending" if pod["metadata"].get("deletionTimestamp") else pod["status"].get("phase", "Pending").lower()
            if state == "pending" and pod["spec"].get("nodeName"):
                state = "bound"
            counts[state] = counts.get(state, 0) + 1
        self.running = {pod["metadata"]["name"] for pod in items if pod["status"].get("phase") == "Running"}
        text = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "none"
        if text != self.pods_told:
            self.pods_told = text
            self.say(time.time(), "pods", text)

    def ready(self) -> int:
        return len(self.running)

    def left(self) -> list[str]:
        instances = [i["id"] for i in self.instances.values() if i["state"] not in ("terminated", "shutting-down")]
        return instances or self.kubectl("get", "nodes", "--output=name").split()

    def latencies(self) -> str:
        # Any function may be the one that buys: a turn looks at all there is, whatever woke it.
        bought_at = self.first.get("CreateFleet", 0)
        invoked = max((at for at in self.starts if at <= bought_at), default=None)
        rows = [
            ("pods created -> event on the bus", self.first.get("event on the bus")),
            ("             -> function invoked", invoked),
            ("             -> CreateFleet", self.first.get("CreateFleet")),
            ("             -> first node ready", self.first.get("node ready")),
            ("             -> last node ready", self.last.get("node ready")),
            ("             -> all pods running", self.last.get("pod running")),
        ]
        lines = [f"{name:<34} {at - self.began:6.2f} s" if at else f"{name:<34}      ?" for name, at in rows]
        kinds: dict[str, int] = {}
        for instance in self.instances.values():
            kind = f"{instance['type']} {instance['lifecycle']} {instance['zone']}"
            kinds[kind] = kinds.get(kind, 0) + 1
        bought = ", ".join(f"{count} x {kind}" for kind, count in sorted(kinds.items()))
        return "\n".join([f"All {self.replicas} pods run on {bought}.", *lines])

    def why(self) -> str:
        """The last lines of every log that may tell."""
        text = ""
        for name in ("webhook", "kubelets"):
            path = self.state / "logs" / f"{name}.log"
            text += f"== {name}\n" + "\n".join(path.read_text().splitlines()[-8:]) + "\n"
        for name in ("on-pending-pods", "on-schedule"):
            try:
                events = self.logs.filter_log_events(logGroupName=f"/aws/lambda/joiner-{self.cluster}-{name}")["events"]
            except self.logs.exceptions.ResourceNotFoundException:
                events = []
            text += f"== {name}\n" + "\n".join(event["message"].rstrip() for event in events[-12:]) + "\n"
        return text


def told(message: str) -> str | None:
    """One line for people of a line of a function's log; none of what says nothing."""
    try:
        line = json.loads(message)
    except ValueError:
        # Not JSON: START, END and REPORT of the runtime, or a crash.
        return message.strip()[:120] if "panicked" in message or "rror" in message else None
    fields = line.get("fields", line)
    text = fields.get("message", "")
    if text == "turn":
        if not any(fields.get(name) for name in ("pending_pods", "launched", "terminated", "failures")):
            return None
        text = f"turn: {fields.get('pending_pods')} pods wait"
        if fields.get("launches"):
            price, bound = fields.get("planned_usd_per_hour"), fields.get("lower_bound_usd_per_hour")
            text += f", {fields['launches']} nodes decided at ${price}/h (no less than ${bound}/h is possible)"
        if fields.get("launched"):
            text += f", {fields['launched']} bought"
        if fields.get("terminated"):
            text += f", {fields['terminated']} ended"
        return text + (f", {fields['failures']} not done" if fields.get("failures") else "")
    if text in ("done", "not done"):
        price = fields.get("micro_usd_per_hour")
        cost = f"  ${int(price) / 1e6:.4f}/h" if price else ""
        problem = f"  NOT DONE: {fields.get('error')}" if text == "not done" else ""
        return f"{fields.get('action')} {fields.get('object')}  {str(fields.get('detail') or '')[:110]}{cost}{problem}"
    if line.get("level") in ("WARN", "ERROR"):
        known = ("message", "level", "timestamp")
        return f"{line['level']}: {text} " + " ".join(str(v) for k, v in fields.items() if k not in known)[:200]
    return None
