"""What all tests of the testbed share: clients of AWS, calls of the gap filler's control, kubectl."""

import base64
import json
import os
import subprocess
import time
import unittest
import urllib.request

import boto3
from botocore.config import Config

CLUSTER = os.environ.get("JOINER_CLUSTER", "demo")
PATIENCE_S = 60


def client(service: str, **options):
    # Without retries, so that each fault is seen once.
    return boto3.client(service, config=Config(retries={"total_max_attempts": 1}), **options)


def control(method: str, path: str, body=None):
    url = f"{os.environ['JOINER_FAULTS_URL']}/{path}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def kubectl(*arguments: str, given: str | None = None) -> str:
    done = subprocess.run(["kubectl", *arguments], input=given, capture_output=True, text=True, timeout=PATIENCE_S)
    if done.returncode != 0:
        raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def get(*arguments: str) -> dict:
    return json.loads(kubectl("get", *arguments, "--output=json"))


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class Case(unittest.TestCase):
    def eventually(self, what: str, condition):
        """The first true answer of `condition`; fails loudly if there is none in time."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if answer := condition():
                return answer
            time.sleep(0.1)
        raise AssertionError(f"not within {PATIENCE_S} s: {what}")

    def refused(self, code: str, call, **arguments):
        try:
            call(**arguments)
        except Exception as error:  # noqa: BLE001 (botocore makes the class at run time)
            answer = getattr(error, "response", {})
            self.assertEqual(answer.get("Error", {}).get("Code"), code, str(error))
            return answer
        raise AssertionError(f"not refused with {code}")
