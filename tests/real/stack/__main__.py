"""Starts and ends a stack of real parts: `tests/real/up` and `tests/real/down` are its two doors."""

import argparse
import fcntl
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .serve import PARTS, serve

# Generous: the definitions may have to be compiled first. A part that ends is noticed at once.
START_S = 900


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/real/up", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("up", "serve"):
        command = commands.add_parser(name)
        command.add_argument("--state", type=Path, help="directory of the stack; a temporary one if not given")
        command.add_argument("--only", default=",".join(PARTS), help="parts, with commas between: " + ", ".join(PARTS))
        command.add_argument("--cluster", default="demo", help="name of the cluster")
        command.add_argument("--crds", type=Path, help="definitions to apply; the product's own if not given")
        command.add_argument("--parent", type=int, help="process whose end also ends the stack")
        command.add_argument("--boot", type=float, default=2.0, help="seconds from an instance to its kubelet")
        command.add_argument("--grace", type=int, default=8, help="seconds until a silent node counts as not ready")
        command.add_argument("--no-controllers", action="store_true", help="no controller-manager and scheduler: what is written stays as it is")
        command.add_argument("--scheduler-only", action="store_true", help="no controller-manager: nodes stay ready without kubelets")
        command.add_argument("--control-plane", type=Path, help="directory of the binaries")
        command.add_argument("--kubectl", default="kubectl")
    down = commands.add_parser("down")
    down.add_argument("--state", type=Path, default=os.environ.get("JOINER_REAL_STATE"))
    options = parser.parse_args()
    if options.command == "serve":
        return serve(options)
    if options.command == "down":
        return end(options.state)
    return begin(options)


def begin(options) -> int:
    unknown = set(options.only.split(",")) - set(PARTS)
    if unknown:
        print(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    state = options.state or Path(tempfile.mkdtemp(prefix="joiner-real-"))
    state = state.absolute()
    state.mkdir(parents=True, exist_ok=True)
    if not alive(state):
        for name in ("ready", "failed", "env"):
            (state / name).unlink(missing_ok=True)
        start(state, options)
    deadline = time.monotonic() + START_S
    while not (state / "ready").exists():
        if (state / "failed").exists():
            print((state / "failed").read_text(), file=sys.stderr)
            return 1
        if time.monotonic() > deadline or not alive(state):
            print(f"the stack did not start: see {state}/stack.log", file=sys.stderr)
            return 1
        time.sleep(0.05)
    print(state / "env")
    return 0


def start(state: Path, options) -> None:
    command = [sys.executable, "-m", "stack", "serve", "--state", str(state)]
    command += ["--only", options.only, "--cluster", options.cluster, "--boot", str(options.boot)]
    command += ["--kubectl", options.kubectl, "--grace", str(options.grace)]
    if options.no_controllers:
        command.append("--no-controllers")
    if options.scheduler_only:
        command.append("--scheduler-only")
    for flag in ("crds", "parent", "control_plane"):
        if value := getattr(options, flag):
            command += [f"--{flag.replace('_', '-')}", str(Path(value).absolute() if flag != "parent" else value)]
    with open(state / "stack.log", "ab") as log:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=Path(__file__).parent.parent,
        )
    (state / "pid").write_text(str(child.pid))
    # The child takes the lock as its first act; until then it would seem not to run.
    deadline = time.monotonic() + 10
    while not alive(state) and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)


def alive(state: Path) -> bool:
    """Whether a stack holds the lock of this directory; a process id alone may have passed to another."""
    with open(state / "lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def end(state: Path | None) -> int:
    if not state or not Path(state).is_dir():
        print(f"no stack in {shlex.quote(str(state))}: name its directory with --state", file=sys.stderr)
        return 2
    state = Path(state)
    if alive(state):
        os.kill(int((state / "pid").read_text()), signal.SIGTERM)
        deadline = time.monotonic() + 20
        while alive(state):
            if time.monotonic() > deadline:
                print(f"the stack in {state} does not end", file=sys.stderr)
                return 1
            time.sleep(0.05)
    return 0


if __name__ == "__main__":
    sys.exit(main())
