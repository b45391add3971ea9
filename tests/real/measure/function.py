"""One function under AWS's runtime interface emulator, with what each invocation took."""

import json
import os
import platform
import re
import subprocess
import time
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path

from stack.processes import die_with_parent, free_ports

TIMEOUT_S = 600
TOLD = ("message", "action", "object", "error", "stale", "finding")
INIT = re.compile(r"INIT REPORT\(durationMs: ([\d.]+)")


def emulator(sam: Path) -> Path:
    """The runtime interface emulator in the wheel of the SAM CLI."""
    machine = "arm64" if platform.machine() == "aarch64" else "x86_64"
    found = sorted(sam.glob(f"lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-{machine}"))
    if not found:
        raise SystemExit(f"the SAM CLI in {sam} has no aws-lambda-rie-{machine}")
    return found[0]


@dataclass
class Invocation:
    """One invocation. `began` is when the event was sent, in seconds since 1970; `turn` is what the turn logged of itself."""

    began: float
    wall_ms: float
    cpu_ms: float
    peak_mib: float
    turn: dict
    problems: list[str]

    def part(self, name: str) -> float:
        return self.turn["milliseconds"].get(name, 0)

    def before_and_after(self) -> float:
        """What the turn does not count: the lease, the follow-up, the answer."""
        return self.wall_ms - self.part("turn")


class Function:
    """A bootstrap under the emulator. The process starts at the first invocation."""

    def __init__(self, binary: Path, rie: Path, logs: Path, environment: dict[str, str], memory_mb: int = 1769):
        self.log = logs / f"{binary_name(binary)}-{uuid.uuid4().hex[:6]}.log"
        port, api = free_ports(2)
        self.url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
        command = [rie, "--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
        command += ["--runtime-api-address", f"127.0.0.1:{api}", binary]
        own = {
            "LAMBDA_TASK_ROOT": str(binary.parent),
            "AWS_LAMBDA_FUNCTION_NAME": binary_name(binary),
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(TIMEOUT_S),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb),
            "METRICS": "few",
        }
        # A function logs in to the cluster as on AWS, not by a file.
        inherited = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                env=inherited | own | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,
            )
        self.read = 0
        self.wait_until_it_listens(port)

    def wait_until_it_listens(self, port: int) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1).close()
                return
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError(f"the runtime interface emulator does not listen: see {self.log}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def invoke(self, event: dict) -> Invocation:
        pid = self.bootstrap()
        cpu = cpu_ms(pid) if pid else 0
        began = time.time()
        answer = self.send(event)
        wall_ms = (time.time() - began) * 1000
        pid = self.bootstrap()
        turn, problems = self.logged()
        if answer != {"batchItemFailures": []}:
            problems.append(f"the function answers {answer}")
        return Invocation(began, wall_ms, cpu_ms(pid) - cpu, memory_mib(pid, "VmHWM"), turn, problems)

    def send(self, event: dict):
        """Invokes and answers what the function answers."""
        data = json.dumps(event).encode()
        request = urllib.request.Request(self.url, data=data, headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            return json.loads(response.read() or b"null")

    def logged(self) -> tuple[dict, list[str]]:
        """What this invocation's turn told of itself, and what went wrong."""
        deadline, text = time.monotonic() + 5, ""
        while "REPORT RequestId" not in text and time.monotonic() < deadline:
            with open(self.log, "rb") as log:
                log.seek(self.read)
                text = log.read().decode(errors="replace")
        self.read += len(text.encode())
        turn, problems = {}, []
        for line in text.splitlines():
            try:
                fact = json.loads(line)
            except ValueError:
                continue
            if fact.get("message") == "turn":
                turn = fact | {name: json.loads(fact[name]) for name in ("milliseconds", "traffic")}
            elif fact.get("level") in ("WARN", "ERROR"):
                problems.append(" ".join(str(fact[name]) for name in TOLD if name in fact))
        return turn, problems

    def init_ms(self) -> float:
        """From the start of the process to its first call of `/invocation/next`."""
        found = INIT.search(self.log.read_text(errors="replace"))
        if not found:
            raise RuntimeError(f"no INIT REPORT in {self.log}")
        return float(found[1])

    def bytes_an_invocation(self) -> int:
        """What CloudWatch would get: the function's own lines, and START, END and REPORT."""
        lines = self.log.read_text(errors="replace").splitlines(keepends=True)
        # The emulator's own lines are not Lambda's.
        told = [line for line in lines if "(rapid)" not in line]
        return sum(map(len, told)) // max(1, sum(line.startswith("REPORT") for line in told))

    def bootstrap(self) -> int | None:
        """The process of the function, once it has started."""
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            children = (task / "children").read_text().split()
            if children:
                return int(children[0])
        return None

    def forget_peak(self) -> None:
        """From now on the peak of memory is counted anew."""
        if pid := self.bootstrap():
            Path(f"/proc/{pid}/clear_refs").write_text("5")


def binary_name(binary: Path) -> str:
    return binary.parent.name if binary.name == "bootstrap" else binary.name


def memory_mib(pid: int, what: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) / 1024
    return 0


def cpu_ms(pid: int) -> float:
    """What all threads of a process have spent on a processor; threads that have ended are not counted."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except OSError:
            continue
    return total / 1e6


def event(kind: str, count: int) -> dict:
    """What on-pending-pods gets of the webhook: an event of EventBridge in a message of SQS."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    body = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": kind,
        "source": "joiner",
        "account": "111122223333",
        "time": now,
        "region": "us-east-1",
        "resources": [],
        "detail": {"count": count, "reason": "Unschedulable"},
    }
    return message(body)


def message(body: dict) -> dict:
    """A batch of one message, as Lambda hands it over."""
    sent = str(int(time.time() * 1000))
    record = {
        "messageId": str(uuid.uuid4()),
        "receiptHandle": "AQEB",
        "body": json.dumps(body),
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": sent,
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": sent,
        },
        "messageAttributes": {},
        "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:111122223333:joiner-demo-pending-pods",
        "awsRegion": "us-east-1",
    }
    return {"Records": [record]}


TICK = {"joiner": "schedule"}
