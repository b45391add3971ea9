"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler on loopback, as a client of EKS sees them."""

import base64
import json
import ssl
import subprocess
import urllib.request
from pathlib import Path

from .certificates import Authority
from .processes import Processes, free_ports

# EKS's own default where the VPC is in 10.0.0.0/8.
SERVICE_CIDR = "172.20.0.0/16"
NAMESPACES = ["joiner"]


class ControlPlane:
    def __init__(self, state: Path, binaries: Path, kubectl: str, grace_s: int, bare: bool = False):
        self.grace_s = grace_s
        self.bare = bare
        self.state = state
        self.binaries = binaries
        self.kubectl = kubectl
        self.authority = Authority(state / "certificates")
        self.etcd_port, self.etcd_peer_port, self.port = free_ports(3)
        self.endpoint = f"https://127.0.0.1:{self.port}"
        self.kubeconfig = state / "kubeconfig"
        self.sign()
        for name, user, group in [
            ("kubeconfig", "admin", "system:masters"),
            ("controller-manager.kubeconfig", "system:kube-controller-manager", "system:masters"),
            ("scheduler.kubeconfig", "system:kube-scheduler", "system:masters"),
            ("kubelets.kubeconfig", "kubelets", "system:masters"),
        ]:
            self.write_kubeconfig(name, user, group)

    def sign(self) -> None:
        names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
        self.authority.server("apiserver", names, ["127.0.0.1", "172.20.0.1"])
        self.authority.key_pair("service-accounts")

    def certificate(self, name: str) -> Path:
        return self.authority.directory / name

    def write_kubeconfig(self, name: str, user: str, group: str) -> None:
        self.authority.client(name, user, group)

        def data(file: str) -> str:
            return base64.b64encode(self.certificate(file).read_bytes()).decode()

        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "joiner-test",
            "clusters": [
                {
                    "name": "joiner-test",
                    "cluster": {
                        "server": self.endpoint,
                        "certificate-authority-data": data("ca.crt"),
                    },
                }
            ],
            "users": [
                {
                    "name": user,
                    "user": {
                        "client-certificate-data": data(f"{name}.crt"),
                        "client-key-data": data(f"{name}.key"),
                    },
                }
            ],
            "contexts": [
                {"name": "joiner-test", "context": {"cluster": "joiner-test", "user": user}}
            ],
        }
        path = self.state / name
        path.touch(mode=0o600)
        path.write_text(json.dumps(config, indent=1))

    def start(self, processes: Processes, token_review_url: str) -> None:
        self.start_etcd(processes)
        self.start_apiserver(processes, token_review_url)

    def start_etcd(self, processes: Processes) -> None:
        client, peer = (f"http://127.0.0.1:{port}" for port in (self.etcd_port, self.etcd_peer_port))
        command = [self.binaries / "etcd", "--name=joiner-test", f"--data-dir={self.state}/etcd"]
        command += [f"--listen-client-urls={client}", f"--advertise-client-urls={client}"]
        command += [f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"]
        command += [f"--initial-cluster=joiner-test={peer}", "--log-level=warn"]
        # Nothing here survives the stack, and 150,000 pods of 5 KB must fit.
        command += ["--unsafe-no-fsync", f"--quota-backend-bytes={8 << 30}"]
        processes.start("etcd", command)

    def start_apiserver(self, processes: Processes, token_review_url: str) -> None:
        webhook = self.state / "token-webhook.kubeconfig"
        webhook.write_text(json.dumps({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "webhook",
            "clusters": [{"name": "tokens", "cluster": {"server": token_review_url}}],
            "users": [{"name": "apiserver", "user": {}}],
            "contexts": [{"name": "webhook", "context": {"cluster": "tokens", "user": "apiserver"}}],
        }))
        flags = {
            "etcd-servers": f"http://127.0.0.1:{self.etcd_port}",
            "bind-address": "127.0.0.1",
            "advertise-address": "127.0.0.1",
            # The address of the `kubernetes` service may not be a loopback one, and nothing here uses it.
            "endpoint-reconciler-type": "none",
            "secure-port": self.port,
            "tls-cert-file": self.certificate("apiserver.crt"),
            "tls-private-key-file": self.certificate("apiserver.key"),
            "client-ca-file": self.authority.file,
            "authorization-mode": "RBAC",
            "service-cluster-ip-range": SERVICE_CIDR,
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": self.certificate("service-accounts.pub"),
            "service-account-signing-key-file": self.certificate("service-accounts.key"),
            "authentication-token-webhook-config-file": webhook,
            "authentication-token-webhook-version": "v1",
            # Tests that take a token away must not wait for minutes.
            "authentication-token-webhook-cache-ttl": "5s",
            "allow-privileged": "true",
            "profiling": "false",
        }
        if not self.bare:
            flags |= {"audit-policy-file": self.audit_policy(), "audit-log-path": self.state / "logs/audit.log"}
        if self.bare:
            # One taints new nodes until a controller takes that away, the other waits for accounts that a controller makes.
            flags["disable-admission-plugins"] = "TaintNodesByCondition,ServiceAccount"
        command = [self.binaries / "kube-apiserver"]
        processes.start("kube-apiserver", command + [f"--{key}={value}" for key, value in flags.items()])

    def audit_policy(self) -> Path:
        """Tells who deleted what, evicted what and bound what: whoever misses a pod asks there."""
        path = self.state / "audit.json"
        verbs = ["delete", "deletecollection"]
        path.write_text(json.dumps({
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [
                {"level": "Metadata", "verbs": verbs, "resources": [{"group": "", "resources": ["pods", "nodes"]}]},
                {"level": "Metadata", "verbs": ["create"], "resources": [{"group": "", "resources": ["pods/eviction", "pods/binding"]}]},
                {"level": "Request", "verbs": ["patch", "update"], "resources": [{"group": "", "resources": ["nodes"]}]},
                {"level": "None"},
            ],
        }))
        return path

    def start_controllers(self, processes: Processes) -> None:
        manager = [
            self.binaries / "kube-controller-manager",
            f"--kubeconfig={self.state}/controller-manager.kubeconfig",
            "--bind-address=127.0.0.1",
            "--secure-port=0",
            "--leader-elect=false",
            "--kube-api-qps=400",
            "--kube-api-burst=800",
            f"--root-ca-file={self.authority.file}",
            f"--service-account-private-key-file={self.certificate('service-accounts.key')}",
            # A node's silence is noticed within a test's patience; EKS waits 40 s.
            f"--node-monitor-grace-period={self.grace_s}s",
            "--node-monitor-period=1s",
        ]
        processes.start("kube-controller-manager", manager)
        self.start_scheduler(processes)

    def start_scheduler(self, processes: Processes) -> None:
        scheduler = [
            self.binaries / "kube-scheduler",
            "--bind-address=127.0.0.1",
            "--secure-port=0",
        ]
        if self.bare:
            scheduler.append(f"--config={self.eager_scheduler()}")
        else:
            scheduler += [
                f"--kubeconfig={self.state}/scheduler.kubeconfig",
                "--leader-elect=false",
                "--kube-api-qps=400",
                "--kube-api-burst=800",
            ]
        processes.start("kube-scheduler", scheduler)

    def eager_scheduler(self) -> Path:
        """Tries a refused pod again after a second, not after up to ten: who waits until nothing more is bound waits less."""
        path = self.state / "scheduler.json"
        path.write_text(json.dumps({
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "clientConnection": {"kubeconfig": f"{self.state}/scheduler.kubeconfig", "qps": 400, "burst": 800},
            "leaderElection": {"leaderElect": False},
            "podMaxBackoffSeconds": 1,
        }))
        return path

    def open(self, path: str) -> bytes:
        context = ssl.create_default_context(cafile=str(self.authority.file))
        context.load_cert_chain(self.certificate("kubeconfig.crt"), self.certificate("kubeconfig.key"))
        with urllib.request.urlopen(self.endpoint + path, context=context, timeout=5) as answer:
            return answer.read()

    def ready(self) -> bool:
        return self.open("/readyz") == b"ok"

    def serves_definitions(self) -> bool:
        """Whether all kinds that were defined can be listed: at first each answers 429 for a moment."""
        kinds = json.loads(self.open("/apis/apiextensions.k8s.io/v1/customresourcedefinitions"))["items"]
        for kind in kinds:
            spec = kind["spec"]
            for version in (each["name"] for each in spec["versions"] if each["served"]):
                self.open(f"/apis/{spec['group']}/{version}/{spec['names']['plural']}?limit=1")
        return True

    def namespace_ready(self, name: str) -> bool:
        """Whether pods can be made in it: each needs the namespace's default account."""
        return bool(self.open(f"/api/v1/namespaces/{name}/serviceaccounts/default"))

    def apply(self, *manifests: Path) -> None:
        command = [self.kubectl, f"--kubeconfig={self.kubeconfig}", "apply", "--server-side"]
        command += ["--force-conflicts", *(f"--filename={path}" for path in manifests)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"kubectl apply: {done.stderr.strip()}")

    def make_namespaces(self) -> None:
        path = self.state / "namespaces.json"
        items = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            for name in NAMESPACES
        ]
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
        self.apply(path)
