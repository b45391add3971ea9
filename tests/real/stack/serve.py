"""The process that holds one stack: starts the parts, says when they are ready, ends them all when it ends."""

import base64
import fcntl
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

from .control_plane import SERVICE_CIDR, ControlPlane
from .processes import Processes, free_ports

PARTS = ["control-plane", "aws", "flow", "kubelets"]
# The product's own copy lies beside it; both are the top of this repository.
TOP = Path(__file__).resolve().parents[3]
REAL = TOP / "tests" / "real"
ACCOUNT = "111122223333"
REGION = "us-east-1"
# Not secrets: the emulators take any. The token check uses the second to verify signatures.
ACCESS_KEY, SECRET_KEY = "testing", "testing"


class Ended(Exception):
    """The stack was told to end."""


def serve(options) -> int:
    state = options.state
    lock = open(state / "lock", "a")
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def told(number, _):
        raise Ended(f"signal {number}")

    signal.signal(signal.SIGTERM, told)
    signal.signal(signal.SIGINT, told)
    processes = Processes(state / "logs")
    try:
        began = time.monotonic()
        Stack(options, processes).start()
        (state / "ready").touch()
        print(f"ready after {time.monotonic() - began:.1f} s", flush=True)
        watch(processes, options.parent)
    except Ended as reason:
        print(f"ends: {reason}", flush=True)
    except Exception as error:  # noqa: BLE001 (whoever waits for the stack is told any failure)
        (state / "failed").write_text(f"{error}\nLogs are in {state}/logs.\n")
        print(f"failed: {error}", flush=True)
        return 1
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        processes.stop()
        (state / "ready").unlink(missing_ok=True)
        for name in ("etcd", "tmp"):
            shutil.rmtree(state / name, ignore_errors=True)
    return 0


def watch(processes: Processes, parent: int | None) -> None:
    while True:
        if name := processes.ended():
            raise RuntimeError(f"{name} has ended:\n{processes.tail(name)}")
        if parent and not running(parent):
            raise Ended(f"process {parent} has ended")
        time.sleep(0.5)


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


class Stack:
    def __init__(self, options, processes: Processes):
        self.options = options
        self.processes = processes
        self.state = options.state
        self.parts = options.only.split(",")
        self.aws_port, self.flow_port = free_ports(2)
        self.aws = f"http://127.0.0.1:{self.aws_port}"
        self.flow = f"http://127.0.0.1:{self.flow_port}"
        self.environment: dict[str, str] = {}

    def start(self) -> None:
        control_plane = None
        controllers = not (self.options.no_controllers or self.options.scheduler_only)
        definitions: list[Path] = []
        if "control-plane" in self.parts:
            control_plane = ControlPlane(
                self.state, self.options.control_plane, self.options.kubectl, self.options.grace, self.options.scheduler_only
            )
            # Made while etcd and the API server start.
            maker = threading.Thread(target=lambda: definitions.append(self.definitions()))
            maker.start()
            control_plane.start(self.processes, f"{self.aws}/joiner/token-review")
        if "aws" in self.parts:
            self.start_aws(control_plane)
        self.write_environment(control_plane)
        if "flow" in self.parts:
            self.start_flow()
        if control_plane:
            self.processes.wait("kube-apiserver", control_plane.ready)
            if self.options.scheduler_only:
                control_plane.start_scheduler(self.processes)
            elif controllers:
                control_plane.start_controllers(self.processes)
            control_plane.make_namespaces()
            maker.join()
            control_plane.apply(*[path for path in definitions if path], *self.manifests())
            self.processes.wait("the custom resources", control_plane.serves_definitions)
            # The controller-manager is what makes accounts.
            for name in ["default", "joiner"] if controllers else []:
                self.processes.wait(f"namespace {name}", lambda name=name: control_plane.namespace_ready(name))
        if "aws" in self.parts:
            self.processes.wait("the gap filler", lambda: get(f"{self.aws}/joiner/health"))
        if "flow" in self.parts:
            self.processes.wait("ministack", lambda: get(f"{self.flow}/_ministack/health"))
        if "kubelets" in self.parts:
            self.start_kubelets()

    def definitions(self) -> Path | None:
        """The custom resource definitions: the file given, or what the product says."""
        if self.options.crds:
            return self.options.crds
        if not shutil.which("cargo"):
            print("cargo is not there: no custom resource definitions are applied", flush=True)
            return None
        command = ["cargo", "run", "--quiet", "--locked", "--package", "joiner-api", "--example", "crds"]
        done = subprocess.run(command, cwd=TOP, capture_output=True, text=True)
        if done.returncode != 0:
            print(f"no custom resource definitions: {done.stderr}", flush=True)
            return None
        path = self.state / "crds.json"
        path.write_text(done.stdout)
        return path

    def manifests(self) -> list[Path]:
        directory = TOP / "infra" / "kubernetes"
        return sorted(directory.glob("functions.yaml"))

    def start_aws(self, control_plane: ControlPlane | None) -> None:
        facts = {
            "cluster": self.options.cluster,
            "account": ACCOUNT,
            "region": REGION,
            "secret": SECRET_KEY,
            "service_cidr": SERVICE_CIDR,
            "catalog": str(TOP / "shared" / "catalog" / "data" / "catalog.tsv.gz"),
        }
        if control_plane:
            authority = base64.b64encode(control_plane.authority.file.read_bytes()).decode()
            facts |= {"endpoint": control_plane.endpoint, "certificate_authority": authority}
        path = self.state / "aws.json"
        path.write_text(json.dumps(facts, indent=1))
        environment = {
            "MOTO_ACCOUNT_ID": ACCOUNT,
            "MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION": "1",
            "MOTO_ENABLE_AMI_VALIDATION": "1",
            "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
            "PYTHONPATH": str(REAL),
        }
        command = [sys.executable, "-m", "aws.gap_filler", str(self.aws_port), path]
        self.processes.start("aws", command, environment, cwd=REAL)

    def start_flow(self) -> None:
        environment = self.environment | {
            # Functions inherit all this, and must log in to the cluster as they do on AWS, not by a file.
            "KUBECONFIG": None,
            # Its default is every address of the machine.
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.flow_port),
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "MINISTACK_REGION": REGION,
            # Both would listen on every address of the machine, and two stacks on one port.
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            # What functions unpack to goes with the stack.
            "TMPDIR": str(self.state / "tmp"),
            "S3_DATA_DIR": str(self.state / "tmp" / "s3"),
            "LOG_LEVEL": "INFO",
        }
        (self.state / "tmp").mkdir(exist_ok=True)
        self.processes.start("ministack", [sys.executable, REAL / "flow.py"], environment)

    def start_kubelets(self) -> None:
        command = [sys.executable, REAL / "kubelets.py", "--kubeconfig", self.state / "kubelets.kubeconfig"]
        command += ["--control", f"{self.aws}/joiner", "--cluster", self.options.cluster]
        command += ["--boot", self.options.boot, "--region", REGION, "--lease", self.options.grace / 4]
        self.processes.start("kubelets", command, cwd=REAL)

    def write_environment(self, control_plane: ControlPlane | None) -> None:
        environment = {
            "JOINER_REAL_STATE": str(self.state),
            "JOINER_CLUSTER": self.options.cluster,
            "CLUSTER_NAME": self.options.cluster,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_EC2_METADATA_DISABLED": "true",
            "SAM_CLI_TELEMETRY": "0",
        }
        if control_plane:
            environment["KUBECONFIG"] = str(control_plane.kubeconfig)
            environment["JOINER_ETCD_URL"] = f"http://127.0.0.1:{control_plane.etcd_port}"
        if "aws" in self.parts:
            environment["JOINER_FAULTS_URL"] = f"{self.aws}/joiner"
            for service in ("EC2", "SSM", "EKS", "IAM", "PRICING", "AUTO_SCALING"):
                environment[f"AWS_ENDPOINT_URL_{service}"] = self.aws
        if "flow" in self.parts:
            environment["AWS_ENDPOINT_URL"] = self.flow
        elif "aws" in self.parts:
            environment["AWS_ENDPOINT_URL"] = self.aws
        self.environment = environment
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in sorted(environment.items())]
        if control_plane and not shutil.which("kubectl"):
            lines.append(f'export PATH="$PATH:{Path(control_plane.kubectl).parent}"\n')
        (self.state / "env").write_text("".join(lines))


def get(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=2) as answer:
        return answer.status == 200
