"""How fast, how large and how dear: measured on the real parts, printed as tables, kept as JSON."""

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

from . import cold, cost, latency, memory
from .function import emulator

TOP = Path(__file__).resolve().parents[3]
PARTS = {"latency": latency.measure, "cold": cold.measure, "memory": memory.measure, "cost": cost.measure}


class Options(argparse.Namespace):
    def binary(self, name: str) -> Path:
        """The function's program: what `cargo build` or what `cargo lambda build` left."""
        for path in (self.binaries / name / "bootstrap", self.binaries / name):
            if path.is_file():
                return path.resolve()
        raise SystemExit(f"there is neither {name} nor {name}/bootstrap in {self.binaries}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/measure", description=__doc__)
    parser.add_argument("--binaries", type=Path, required=True, help="directory of the functions")
    parser.add_argument("--only", default=",".join(PARTS), help="of " + ", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=30, help="rounds of latency that count")
    parser.add_argument("--nodes-of-latency", type=int, default=latency.NODES, help="nodes of the cluster for latency")
    parser.add_argument("--nodes", type=int, help="nodes for memory, instead of the usual two sizes")
    parser.add_argument("--pods", type=int, help="pods for memory")
    parser.add_argument("--json", type=Path, default=TOP / "target" / "measure.json")
    parser.add_argument("--crds", type=Path)
    parser.add_argument("--sam", type=Path, required=True, help=argparse.SUPPRESS)
    options = parser.parse_args(namespace=Options())
    options.rie = emulator(options.sam)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    unknown = set(options.only.split(",")) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    for name, part in PARTS.items():
        if name in options.only.split(","):
            run(name, part, options)
    return 0


def run(name: str, part, options) -> None:
    load = os.getloadavg()
    print(f"== {name} (load of the machine {load[0]:.1f}, {os.cpu_count()} processors)", flush=True)
    options.known = json.loads(options.json.read_text()) if options.json.exists() else {}
    result = part(options)
    after = os.getloadavg()
    facts = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "binaries": options.binaries.name}
    result |= {"measured": facts | {"load_before": round(load[0], 1), "load_after": round(after[0], 1)}}
    options.known[name] = result
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(options.known, indent=1) + "\n")
    print(f"  Load of the machine: {load[0]:.1f} before, {after[0]:.1f} after. Figures: {options.json}\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
