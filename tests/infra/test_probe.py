"""The probe by which the installer asks each function whether it gets through: the functions' own binaries under a runtime API of the test's
own, behind a proxy, and as somebody whom the cluster does not know.
"""

import json
import os
import queue
import socket
import subprocess
import threading
import time
import unittest
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from installation import CLUSTER, FUNCTIONS, JOINER, kubectl
from rendered import ACCOUNT, TOP

PROBE = {"joiner": "probe"}
PATIENCE_S = 120


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A function that is ended leaves its question unanswered."""


class RuntimeApi:
    """Lambda's runtime API with one event; what the function makes of it."""

    def __init__(self, event: dict):
        self.answers: queue.Queue = queue.Queue()
        events = queue.Queue()
        events.put(event)
        answers = self.answers

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                # The second time nothing comes, until the process is ended.
                body = json.dumps(events.get()).encode()
                self.send_response(200)
                headers = {"Lambda-Runtime-Aws-Request-Id": "1", "Lambda-Runtime-Deadline-Ms": int(time.time() * 1000) + 60_000}
                headers |= {"Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:0:function:x", "Content-Length": len(body)}
                for name, value in headers.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answers.put((self.path.rpartition("/")[2], body.decode()))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def refusing_proxy():
    """Its address, and what it was asked: it lets nobody through."""
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    connection = server.accept()[0]
                except OSError:
                    return
                with connection:
                    asked.append(connection.recv(4096).split(b"\r\n")[0].decode())
                    connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", asked


@unittest.skipUnless(all((JOINER.parent / name).exists() for name in FUNCTIONS), "cargo build --workspace --bins makes what this needs")
class Probe(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """The functions' rights, as the stack had them before an uninstallation."""
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "joiner"}}
        kubectl("apply", "-f", "-", input=json.dumps(namespace))
        kubectl("apply", "--server-side", "--force-conflicts", "-f", TOP / "infra" / "kubernetes" / "functions.yaml")

    def answer(self, name: str, **environment) -> tuple[str, str]:
        api = RuntimeApi(PROBE)
        own = {key: value for key, value in os.environ.items() if key not in ("KUBECONFIG", "HTTPS_PROXY", "NO_PROXY")}
        own |= {"AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.server.server_address[1]}", "AWS_LAMBDA_FUNCTION_NAME": f"joiner-{CLUSTER}-{name}"}
        own |= {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512", "AWS_LAMBDA_FUNCTION_VERSION": "1", "AWS_LAMBDA_LOG_STREAM_NAME": "x", "AWS_LAMBDA_LOG_GROUP_NAME": "x"}
        own |= {"CLUSTER_NAME": CLUSTER, "METRICS": "none"}
        environment = {key: value for key, value in (own | environment).items() if value is not None}
        process = subprocess.Popen([JOINER.parent / name], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            found = api.answers.get(timeout=PATIENCE_S)
        finally:
            process.kill()
            logged = process.communicate()[0].decode()
            api.close()
        for word in (ACCOUNT, "panicked"):
            self.assertNotIn(word, found[1] + logged)
        return found

    def refused(self, name: str, *parts: str, **environment) -> None:
        kind, body = self.answer(name, **environment)
        self.assertEqual(kind, "error", body)
        for part in parts:
            self.assertIn(part, json.loads(body)["errorMessage"])

    def test_calls_of_aws_go_by_the_proxy_and_a_proxy_that_refuses_is_told(self):
        elsewhere = {name: None for name in os.environ if name.startswith("AWS_ENDPOINT_URL")}
        for name in FUNCTIONS:
            with refusing_proxy() as (proxy, asked):
                self.refused(name, "eks:DescribeCluster", HTTPS_PROXY=proxy, **elsewhere)
            self.assertEqual(set(asked), {"CONNECT eks.us-east-1.amazonaws.com:443 HTTP/1.1"}, name)

    def test_the_api_server_is_reached_without_the_proxy(self):
        for name in FUNCTIONS:
            with refusing_proxy() as (proxy, asked):
                kind, body = self.answer(name, HTTPS_PROXY=proxy)
            self.assertEqual((kind, json.loads(body)), ("response", {"batchItemFailures": []}), body)
            self.assertEqual(asked, [])

    def test_who_is_not_mapped_in_the_cluster_is_told_so(self):
        self.refused("on-schedule", "401", AWS_SECRET_ACCESS_KEY="of-somebody-else")


if __name__ == "__main__":
    unittest.main()
