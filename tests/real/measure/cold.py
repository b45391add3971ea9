"""From the start of a function's process to its first request for an event, and how large its zip is."""

import tempfile
import zipfile
from pathlib import Path

from .function import Function
from .tables import quantile, table

TIMES = 10
TARGET_MS, TARGET_MB = 60, 10
FUNCTIONS = ["on-pending-pods", "on-interruption", "on-schedule"]


def measure(options) -> dict:
    result = {}
    for name in FUNCTIONS:
        binary = options.binary(name)
        starts = [start_ms(binary, options.rie) for _ in range(TIMES)]
        result[name] = {
            "p50_ms": quantile(starts, 0.5),
            "max_ms": max(starts),
            "zip_mb": zip_mb(binary),
            "binary_mb": binary.stat().st_size / 1e6,
            "all_ms": starts,
        }
    rows = [[name, *(each[key] for key in ("p50_ms", "max_ms", "zip_mb", "binary_mb"))] for name, each in result.items()]
    head = ["", "start p50, ms", "start max, ms", "zip, MB", "binary, MB"]
    table(f"Cold start: process to first event asked for, {TIMES} times, and size", head, rows)
    good = all(each["max_ms"] < TARGET_MS and each["zip_mb"] < TARGET_MB for each in result.values())
    print(f"  Target: < {TARGET_MS} ms, zip < {TARGET_MB} MB: {'held' if good else 'MISSED'}")
    return result


def start_ms(binary: Path, rie: Path) -> float:
    with tempfile.TemporaryDirectory() as logs:
        # The event is none: the function need not reach anything, only start.
        environment = {"CLUSTER_NAME": "", "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
        with Function(binary, rie, Path(logs), environment) as function:
            function.send({"Records": []})
            return function.init_ms()


def zip_mb(binary: Path) -> float:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "function.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            archive.write(binary, "bootstrap")
        return path.stat().st_size / 1e6
