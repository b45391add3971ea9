#!/usr/bin/env python3
"""A function for the custom runtime: appends each event to a file, fails messages that say so, reaches EC2 and EKS."""

import json
import os
import urllib.request

API = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"


def handle(event):
    facts = {name: os.environ.get(name) for name in os.environ if name.startswith("AWS_") or name == "CLUSTER_NAME"}
    with open(os.environ["EVENTS_FILE"], "a") as file:
        file.write(json.dumps({"event": event, "environment": facts}) + "\n")
    failed = [r["messageId"] for r in event.get("Records", []) if "fail me" in r["body"]]
    return {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}


while True:
    with urllib.request.urlopen(f"{API}/next") as call:
        request, event = call.headers["Lambda-Runtime-Aws-Request-Id"], json.loads(call.read())
    answer = json.dumps(handle(event)).encode()
    urllib.request.urlopen(urllib.request.Request(f"{API}/{request}/response", data=answer, method="POST")).read()
