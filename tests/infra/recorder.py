"""Stands between a command and the emulated AWS: keeps the action of each call, and answers in AWS's place what no emulator does."""

import json
import os
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CREDENTIAL = re.compile(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/")
# By the name under which requests are signed: others go to AWS_ENDPOINT_URL.
NAMES = {"ec2": "EC2", "ssm": "SSM", "eks": "EKS", "iam": "IAM", "pricing": "PRICING", "autoscaling": "AUTO_SCALING"}
# Calls of services whose requests do not say what they are; IAM's name for the permission.
RESTFUL = [
    ("eks", "GET", r"/clusters/[^/]+/access-entries/.+", "DescribeAccessEntry"),
    ("eks", "GET", r"/clusters/[^/]+/node-groups/[^/]+", "DescribeNodegroup"),
    ("eks", "GET", r"/clusters/[^/]+/node-groups/?", "ListNodegroups"),
    ("eks", "GET", r"/clusters/[^/]+", "DescribeCluster"),
    ("lambda", "GET", r"/2016-08-19/account-settings/?", "GetAccountSettings"),
    ("lambda", "POST", r"/2015-03-31/functions/[^/]+/invocations", "InvokeFunction"),
    ("lambda", "GET", r"/2015-03-31/event-source-mappings/?(\?.*)?", "ListEventSourceMappings"),
    ("lambda", "PUT", r"/2015-03-31/event-source-mappings/[^/]+", "UpdateEventSourceMapping"),
    ("s3", "PUT", r"/[^/]+/?\?(.*&)?publicAccessBlock.*", "PutBucketPublicAccessBlock"),
    ("s3", "PUT", r"/[^/]+/?\?(.*&)?tagging.*", "PutBucketTagging"),
    ("s3", "PUT", r"/[^/]+/?", "CreateBucket"),
    ("s3", "POST", r"/[^/]+/?\?delete=?", "DeleteObject"),
    ("s3", "DELETE", r"/[^/]+/?", "DeleteBucket"),
    ("s3", "HEAD", r"/[^/]+/?", "ListBucket"),
    ("s3", "GET", r"/[^/]+/?\?(.*&)?list-type=2.*", "ListBucket"),
    ("s3", "PUT", r"/[^/]+/.+", "PutObject"),
    ("s3", "DELETE", r"/[^/]+/.+", "DeleteObject"),
    ("s3", "(GET|HEAD)", r"/[^/]+/.+", "GetObject"),
]
NOT_FORWARDED = {"host", "connection", "transfer-encoding", "content-length"}


def name_of(service: str, method: str, path: str, headers, form: dict) -> str:
    """The action of a call, as policies name it."""
    if target := headers.get("X-Amz-Target"):
        return f"{service}:{target.rpartition('.')[2]}"
    if "Action" in form:
        return f"{service}:{form['Action'][0]}"
    plain = re.sub(r"[?&]x-id=\w+$", "", path)
    for of, verb, pattern, action in RESTFUL:
        if of == service and re.fullmatch(verb, method) and re.fullmatch(pattern, plain):
            return f"{service}:{action}"
    return f"{service}:{method} {path}"


class Recorder:
    """While it is open, `environment` leads a command's calls by it. `answers`: by action, a function of the parameters that gives the
    status, the kind of content and the content."""

    def __init__(self):
        self.calls: list[str] = []
        self.answers: dict = {}

    def __enter__(self):
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self):
                recorder.take(self)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.environment = {f"AWS_ENDPOINT_URL_{name}": url for name in NAMES.values()} | {"AWS_ENDPOINT_URL": url}
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def take(self, handler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        signed = CREDENTIAL.search(handler.headers.get("Authorization", ""))
        service = signed[1] if signed else "unsigned"
        kind = handler.headers.get("Content-Type", "")
        form = urllib.parse.parse_qs(body.decode()) if kind.startswith("application/x-www-form-urlencoded") else {}
        name = name_of(service, handler.command, handler.path, handler.headers, form)
        self.calls.append(name)
        if name in self.answers:
            parameters = form or json.loads(body or b"{}")
            status, kind, text = self.answers[name](parameters)
            send(handler, status, {"Content-Type": kind}, text.encode())
        else:
            send(handler, *forwarded(service, handler, body))


def forwarded(service: str, handler, body: bytes) -> tuple[int, dict, bytes]:
    upstream = os.environ.get(f"AWS_ENDPOINT_URL_{NAMES.get(service, '')}") or os.environ["AWS_ENDPOINT_URL"]
    headers = {name: value for name, value in handler.headers.items() if name.lower() not in NOT_FORWARDED}
    content = body if handler.command in ("POST", "PUT") else None
    request = urllib.request.Request(upstream + handler.path, content, headers, method=handler.command)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def send(handler, status: int, headers: dict, content: bytes) -> None:
    handler.send_response(status)
    length = headers.get("Content-Length") if handler.command == "HEAD" else None
    for name, value in headers.items():
        if name.lower() not in NOT_FORWARDED | {"date", "server"}:
            handler.send_header(name, value)
    handler.send_header("Content-Length", length or str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)
