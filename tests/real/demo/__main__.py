"""The demo: pods wait, Joiner's functions buy nodes, the nodes join, the pods run; scaled down, the nodes go."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from .deploy import deploy
from .scene import Scene

REAL = Path(__file__).resolve().parents[1]
TOP = REAL.parents[1]
FUNCTIONS = ["on-pending-pods", "on-interruption", "on-schedule"]
TRY = """
Now it is your turn, in another terminal:

    . {state}/env
    kubectl scale deployment web --replicas=120
    kubectl scale deployment web --replicas=0
    kubectl get nodes,nodeclaims

Ctrl-C ends the demo and cleans up.
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="up and down once without hands; exits 0 if all went well")
    parser.add_argument("--release", action="store_true", help="the binaries that go to Lambda (minutes to compile)")
    parser.add_argument("--binaries", help="directories with binaries that are built already, with colons between")
    parser.add_argument("--replicas", type=int, default=50)
    parser.add_argument("--boot", type=float, help="seconds from an instance to its kubelet (20; with --once 5)")
    parser.add_argument("--sam", type=Path, required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    boot = options.boot if options.boot is not None else (5 if options.once else 20)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    binaries = build(options)
    state = Path(tempfile.mkdtemp(prefix="joiner-demo-"))
    webhook, keep = None, True
    try:
        print(f"Starting a Kubernetes control plane, AWS emulators and simulated kubelets in {state}", flush=True)
        up = [REAL / "up", "--state", state, "--parent", str(os.getpid()), "--boot", str(boot)]
        subprocess.run(up, check=True, stdout=subprocess.DEVNULL)
        environment = os.environ | variables(state / "env")
        os.environ.update(environment)
        print("Deploying infra/template.yaml with `sam deploy`", flush=True)
        deploy(TOP / "infra" / "template.yaml", state, {name: binaries[name] for name in FUNCTIONS}, options.sam)
        webhook = start_webhook(binaries["webhook"], state)
        scene = Scene(state, options.replicas)
        scene.install_pools(REAL / "demo" / "pools.yaml")
        good = scene.scale_up()
        if options.once:
            keep = not (good and scene.scale_down())
            return 1 if keep else 0
        print(TRY.format(state=state), flush=True)
        scene.follow_for_ever()
    except KeyboardInterrupt:
        keep = False
        print("\nCleaning up", flush=True)
    except subprocess.CalledProcessError as error:
        print(f"failed: {' '.join(map(str, error.cmd))}\n{error.stderr or ''}", file=sys.stderr)
        return 1
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if webhook:
            webhook.terminate()
            webhook.wait()
        subprocess.run([REAL / "down", "--state", state])
        if keep:
            print(f"Logs are in {state}/logs", flush=True)
        else:
            shutil.rmtree(state, ignore_errors=True)
    return 0


def variables(path: Path) -> dict[str, str]:
    """What the stack's file exports."""
    script = f". {path} && env -0"
    text = subprocess.run(["bash", "-c", script], capture_output=True, check=True, text=True, env={}).stdout
    pairs = (entry.partition("=") for entry in text.split("\0") if entry)
    return {name: value for name, _, value in pairs if name not in ("PATH", "PWD", "SHLVL", "_")}


def build(options) -> dict[str, Path]:
    """The binaries of the functions and of the webhook."""
    names = [*FUNCTIONS, "webhook"]
    if options.binaries:
        directories = [Path(each) for each in options.binaries.split(":")]
        found = {name: next((d / name for d in directories if (d / name).exists()), None) for name in names}
        missing = [name for name, path in found.items() if path is None]
        if missing:
            sys.exit(f"not in {options.binaries}: {', '.join(missing)}")
        return found
    print("Compiling", flush=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target"))
    packages = [word for name in names for word in ("--package", name)]
    if not options.release:
        # All of the workspace, so that nothing is compiled again after the tests, for which features differ otherwise.
        subprocess.run(["cargo", "build", "--locked", "--workspace", "--bins"], cwd=TOP, check=True)
        return {name: target / "debug" / name for name in names}
    subprocess.run(["cargo", "lambda", "build", "--locked", "--profile", "lambda", *packages], cwd=TOP, check=True)
    return {name: target / "lambda" / name / "bootstrap" for name in names}


def start_webhook(binary: Path, state: Path) -> subprocess.Popen:
    log = open(state / "logs" / "webhook.log", "ab")
    # Nothing calls its admission here: the API server would need a Service to reach it.
    command = [binary, "--no-admission", "--metrics-listen", "127.0.0.1:0"]
    return subprocess.Popen([str(word) for word in command], stdout=log, stderr=log, stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
