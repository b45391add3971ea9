"""
moto with its gaps filled: EC2, IAM, SSM, EKS, AutoScaling and Pricing of one account with one EKS cluster, on loopback.

`python -m aws.gap_filler PORT FACTS.json`. Patches private names of moto, and so needs exactly the version that
requirements-aws.txt pins. What tests ask of it is told in control.py.
"""

import io
import json
import re
import signal
import socket
import sys
import time
import urllib.parse
from pathlib import Path

from moto import settings
from moto.ec2.models import ec2_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from . import answers, prices, pricing
from .control import Control
from .faults import Calls, Fault, Faults
from .fleet import FleetMaker

CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/[^/]+/([^/]+)/")
LOST = "ConnectionLost"
FIXED = {"DescribeInstanceTypes", "DescribeInstanceTypeOfferings", "DescribeSpotPriceHistory"}
EKS_ACTIONS = [
    ("GET", r"^/clusters/[^/]+$", "DescribeCluster"),
    ("GET", r"^/clusters/[^/]+/access-entries/.+$", "DescribeAccessEntry"),
    ("GET", r"^/clusters$", "ListClusters"),
    ("POST", r"^/clusters$", "CreateCluster"),
]


class Handler(MotoRequestHandler):
    """Keeps connections open, as AWS does, and logs nothing: the log of calls tells more."""

    protocol_version = "HTTP/1.1"

    def log_request(self, *_):
        pass


class GapFiller:
    """The WSGI application around moto's."""

    def __init__(self, facts: dict):
        self.facts = facts
        zones = ec2_backends[facts["account"]][facts["region"]].zones[facts["region"]]
        self.prices = prices.load(facts["catalog"], facts["region"], {zone.name: zone.zone_id for zone in zones})
        self.faults, self.calls, reservations = Faults(), Calls(), []
        fleets = FleetMaker(self.prices, self.faults)
        fleets.install()
        answers.install(self.prices, reservations)
        self.control = Control(facts, self.faults, self.calls, fleets, reservations)
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.written: dict = {}

    def __call__(self, environ, start_response):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        path = environ.get("PATH_INFO", "")
        if path.startswith("/joiner/"):
            method, query = environ["REQUEST_METHOD"], environ.get("QUERY_STRING", "")
            status, result = self.control.answer(method, path.removeprefix("/joiner/"), query, body)
            return send(start_response, status, json.dumps(result).encode(), "application/json")
        began = time.time()
        key, service, action = name_call(environ, body)
        self.control.requests.add(service, action, environ, body)
        fault = self.faults.of_action(action)
        if fault and fault.delay_s:
            time.sleep(fault.delay_s)
        if fault and fault.code and fault.when == "before":
            self.calls.add(service, action, began, 0 if fault.code == LOST else fault.status, key)
            return self.fail(fault, service, environ, start_response)
        status, headers, content = self.carry_out(environ, service, action, body)
        if fault and fault.code:
            self.calls.add(service, action, began, 0 if fault.code == LOST else fault.status, key)
            return self.fail(fault, service, environ, start_response)
        self.calls.add(service, action, began, int(status.split()[0]), key)
        start_response(status, headers)
        return [content]

    def carry_out(self, environ, service: str, action: str, body: bytes):
        if service == "pricing":
            code, result = pricing.answer(action, body, self.prices)
            content = json.dumps(result).encode()
            return f"{code} -", header_list(content, "application/x-amz-json-1.1"), content
        if service == "eks" and (found := self.control.access.answer(action, environ.get("PATH_INFO", ""))):
            code, result = found
            content = json.dumps(result).encode()
            return f"{code} -", header_list(content, "application/json") + [("x-amzn-errortype", result.get("__type", ""))], content
        # What never changes is written once: moto takes seconds for all types. Not while IAM is enforced, which moto does.
        fixed = action in FIXED and settings.INITIAL_NO_AUTH_ACTION_COUNT > 0 and (action, body)
        if fixed and fixed in self.written:
            return self.written[fixed]
        result = self.ask_moto(environ, service)
        if fixed and result[0].startswith("200"):
            self.written[fixed] = result
        return result

    def ask_moto(self, environ, service: str):
        taken = {}

        def take(status, headers, exc_info=None):
            taken.update(status=status, headers=headers)

        application = self.moto.get_application(environ)
        chunks = application(environ, take)
        content = b"".join(chunks)
        getattr(chunks, "close", lambda: None)()
        if service == "eks" and taken["status"].startswith("200"):
            content = self.control.access.described(content)
            taken["headers"] = header_list(content, "application/json")
        if service == "ec2" and taken["status"].startswith("403"):
            # The code that EC2 alone gives, which moto does not.
            content = content.replace(b"<Code>AccessDenied</Code>", b"<Code>UnauthorizedOperation</Code>")
            taken["headers"] = header_list(content, "text/xml")
        return taken["status"], taken["headers"], content

    def fail(self, fault: Fault, service: str, environ, start_response):
        if fault.code == LOST:
            connection = environ["werkzeug.socket"]
            connection.shutdown(socket.SHUT_RDWR)
            start_response("200 OK", [("Connection", "close"), ("Content-Length", "0")])
            return [b""]
        content, kind, extra = error(fault, service)
        return send(start_response, fault.status, content, kind, extra)


def name_call(environ, body: bytes) -> tuple[str, str, str]:
    """The access key, the service and the action of a call."""
    found = CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    key, service = found.groups() if found else ("", "")
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return key, service, target.split(".")[-1]
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        form = urllib.parse.parse_qs(body.decode("utf-8", "replace"))
        return key, service, form.get("Action", ["?"])[0]
    method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
    for wanted, pattern, action in EKS_ACTIONS if service == "eks" else []:
        if method == wanted and re.match(pattern, path):
            return key, service, action
    return key, service, f"{method} {path}"


def error(fault: Fault, service: str) -> tuple[bytes, str, list]:
    """An error as the protocol of the service writes it."""
    code, message = fault.code, fault.message
    if service == "ec2":
        text = f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors><RequestID>fault</RequestID></Response>"
        return text.encode(), "text/xml", []
    if service in ("iam", "sts", "autoscaling"):
        text = f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>fault</RequestId></ErrorResponse>"
        return text.encode(), "text/xml", []
    content = json.dumps({"__type": code, "message": message}).encode()
    return content, "application/json", [("x-amzn-errortype", code)]


def header_list(content: bytes, kind: str) -> list:
    return [("Content-Type", kind), ("Content-Length", str(len(content)))]


def send(start_response, status: int, content: bytes, kind: str, extra: list = []):
    start_response(f"{status} -", header_list(content, kind) + extra)
    return [content]


def main() -> None:
    port, facts = int(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    application = GapFiller(facts)
    application.control.seed()
    server = make_server("127.0.0.1", port, application, threaded=True, request_handler=Handler)
    print(f"ready on port {port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
