"""
Runs the webhook in a root that holds nothing but what its image holds, and what a kubelet mounts: `unshare -Urn python3 empty_root.py ROOT`.
In the network namespace are a name server and an API server that only takes connections. Prints what was seen, as JSON.
"""

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

NAME, PORT, PATIENCE_S = "api.joiner.test", 6443, 30
KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "test", "cluster": {"server": f"https://{NAME}:{PORT}"}}],
    "users": [{"name": "test", "user": {"token": "none"}}],
    "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    "current-context": "test",
}
asked, connected = set(), threading.Event()


def loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0x1 | 0x40)
        fcntl.ioctl(control, 0x8914, request)  # SIOCSIFFLAGS: up, running


def serve_names() -> None:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))
    while True:
        query, client = server.recvfrom(4096)
        end = query.index(0, 12) + 5
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        asked.add(".".join(labels))
        is_address = query[end - 4 : end - 2] == b"\0\1"
        answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1" if is_address else b""
        server.sendto(query[:2] + b"\x81\x80\0\1" + bytes([0, len(answer) and 1]) + b"\0\0\0\0" + query[12:end] + answer, client)


def serve_api() -> None:
    server = socket.create_server(("127.0.0.1", PORT))
    while True:
        connection, _ = server.accept()
        connected.set()
        connection.close()


def healthy() -> str:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen("http://127.0.0.1:8080/healthz", timeout=5) as answer:
                return answer.read().decode()
        except OSError:
            if time.monotonic() > deadline:
                return "no answer"
            time.sleep(0.05)


def main() -> None:
    root = Path(sys.argv[1])
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc" / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    (root / "kubeconfig").write_text(json.dumps(KUBECONFIG))
    loopback_up()
    for server in (serve_names, serve_api):
        threading.Thread(target=server, daemon=True).start()
    environment = {"KUBECONFIG": "/kubeconfig", "CLUSTER_NAME": "demo", "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}

    def enter() -> None:
        os.chroot(root)
        os.chdir("/")

    webhook = subprocess.Popen(["/webhook"], env=environment, preexec_fn=enter, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        seen = {"healthz": healthy(), "connected": connected.wait(PATIENCE_S), "asked": sorted(asked)}
    finally:
        webhook.terminate()
        log = webhook.communicate(timeout=PATIENCE_S)[0]
    print(json.dumps(seen | {"exit": webhook.returncode, "log": log[-2000:]}))


if __name__ == "__main__":
    main()
