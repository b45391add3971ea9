"""Child processes of the stack: each with its own log and process group, none of which outlives the stack."""

import ctypes
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
# How long a process may take to end by itself, in seconds.
GRACE_S = 1.5


class StartError(Exception):
    """A part did not start; the message says which, and how its log ends."""


def die_with_parent() -> None:
    """Runs in the child: the kernel ends it when the stack ends, however that ends."""
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    except (OSError, AttributeError):
        pass


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on now. All are held until the last is found, so that none comes twice."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


class Processes:
    """The children, in the order of their start."""

    def __init__(self, logs: Path):
        self.logs = logs
        logs.mkdir(parents=True, exist_ok=True)
        self.children: list[tuple[str, subprocess.Popen]] = []

    def start(self, name: str, command: list, environment: dict | None = None, **options) -> None:
        # Must run in the main thread: the kernel's signal comes when the starting *thread* ends.
        log = open(self.logs / f"{name}.log", "ab")
        merged = os.environ | (environment or {})
        child = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # None takes a variable away.
            env={variable: value for variable, value in merged.items() if value is not None},
            start_new_session=True,
            preexec_fn=die_with_parent,
            **options,
        )
        log.close()
        self.children.append((name, child))

    def ended(self) -> str | None:
        """The name of a child that has ended, which none should."""
        return next((name for name, child in self.children if child.poll() is not None), None)

    def wait(self, what: str, ready, timeout_s: float = 60) -> None:
        """Returns once `ready()` does not raise and is true."""
        deadline = time.monotonic() + timeout_s
        cause = "it is not ready"
        while time.monotonic() < deadline:
            if name := self.ended():
                raise StartError(f"{name} has ended:\n{self.tail(name)}")
            try:
                if ready():
                    return
            except Exception as error:  # noqa: BLE001 (any failure means: not yet)
                cause = str(error)
            time.sleep(0.05)
        raise StartError(f"{what} is not ready after {timeout_s} s: {cause}")

    def tail(self, name: str) -> str:
        text = (self.logs / f"{name}.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-15:])

    def stop(self) -> None:
        """Ends all, the last started first, each with what it started itself."""
        for _, child in reversed(self.children):
            signal_group(child, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_S
        for _, child in reversed(self.children):
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                pass
            signal_group(child, signal.SIGKILL)
            child.wait()


def signal_group(child: subprocess.Popen, number: int) -> None:
    try:
        os.killpg(child.pid, number)
    except (ProcessLookupError, PermissionError):
        pass
