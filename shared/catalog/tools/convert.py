#!/usr/bin/env python3
"""Writes the catalog file that the crate embeds (its format: data/README.md).

usage: convert.py TYPES.json[.gz] OFFERINGS.tsv[.gz] PRICES.tsv[.gz] SPOT.tsv[.gz] OUTPUT.gz

TYPES is a list of facts of DescribeInstanceTypes, one object per type; OFFERINGS has the columns
region, instance_type, az_ids; PRICES region, instance_type, currency, price_per_hour, as_of; SPOT
region, instance_type, savings_pct, interruption_bucket. The same input gives the same bytes.
"""

import gzip
import json
import re
import sys
from decimal import Decimal

ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}
# Paravirtual only: the kubelet's images need hardware virtual machines.
PARAVIRTUAL = {"c1", "m1", "m2", "t1"}
# EBS optimisation is an option of these, not the default, so that they have no bandwidth label.
EBS_OPTIONAL = {"c1", "c3", "g2", "i2", "m1", "m2", "m3", "r3"}
# Encryption in transit, by family (EC2 user guide, "Data protection in Amazon EC2").
ENCRYPTED = {
    "c5n", "d3", "d3en", "dl1", "dl2q", "f2", "g4ad", "g4dn", "g5", "gr6", "gr6f", "i3en", "i4g", "i4i",
    "im4gn", "inf1", "inf2", "is4gen", "m5dn", "m5n", "m5zn", "p3dn", "p4d", "p4de", "r5dn", "r5n",
    "vt1", "x2idn", "x2iedn", "x2iezn", "trn1", "trn1n", "trn2",
}
NOT_ENCRYPTED = {"c6g", "c6gd", "m6g", "m6gd", "r6g", "r6gd"}
SCHEME = re.compile(r"^([a-z]+)(-[0-9]+tb)?([0-9]+)")

COLUMNS = [
    "name", "arch", "vcpu", "memory_mib", "enis", "ipv4_per_eni", "hypervisor", "cpu_manufacturer",
    "clock_mhz", "usage", "ebs_mbps", "network_mbps", "local_gb", "nvme", "gpu", "accelerator",
    "neuron_cores", "efa", "branch_enis", "encryption_in_transit",
]


def read(path):
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8") as file:
        return file.read()


def rows(path):
    lines = read(path).splitlines()
    header = lines[0].split("\t")
    return [dict(zip(header, line.split("\t"))) for line in lines[1:] if line]


def kebab(name):
    return name.lower().replace(" ", "-")


def encrypted(family):
    scheme = SCHEME.match(family)
    newer = scheme and int(scheme[3]) >= 6 and scheme[1] not in ("t",)
    large = family.startswith("u-") or family.startswith("u7")
    return family in ENCRYPTED or (bool(newer or large) and family not in NOT_ENCRYPTED)


def gpu(facts):
    devices = facts.get("gpu", [])
    if len(devices) != 1:
        return ""
    device = devices[0]
    return f"{device['n']}:{kebab(device['mfr'])}:{kebab(device['name'])}:{device['mem_mib']}"


def accelerator(facts):
    if facts.get("neuron"):
        device = facts["neuron"][0]
        return f"{device['n']}:aws:{kebab(device['name'])}"
    devices = facts.get("inf", [])
    return f"{devices[0]['n']}:{kebab(devices[0]['mfr'])}:{kebab(devices[0]['name'])}" if devices else ""


def type_row(facts):
    family = facts["name"].split(".")[0]
    local = facts.get("local", {})
    neuron = facts.get("neuron", [])
    values = {
        "name": facts["name"],
        "arch": next(ARCHITECTURES[a] for a in facts["arch"] if a in ARCHITECTURES),
        "vcpu": facts["vcpu"],
        "memory_mib": facts["mem_mib"],
        "enis": facts["enis"],
        "ipv4_per_eni": facts["ipv4_per_eni"],
        "hypervisor": facts["hypervisor"] or "",
        "cpu_manufacturer": kebab(facts["cpu_vendor"] or ""),
        "clock_mhz": round(facts["ghz"] * 1000) if facts["ghz"] else "",
        "usage": ",".join(sorted(facts["usage"])),
        "ebs_mbps": facts["ebs_mbps"][1] if facts.get("ebs_mbps") and family not in EBS_OPTIONAL else "",
        "network_mbps": facts.get("net_mbps_karpenter", ""),
        "local_gb": local.get("gb", ""),
        "nvme": int(local.get("nvme", "unsupported") != "unsupported"),
        "gpu": gpu(facts),
        "accelerator": accelerator(facts),
        "neuron_cores": sum(device["n"] * device["cores"] for device in neuron) or "",
        "efa": facts.get("efa", ""),
        "branch_enis": facts.get("branch_enis", ""),
        "encryption_in_transit": int(encrypted(family)),
    }
    return "\t".join(str(values[column]) for column in COLUMNS)


def usable(facts):
    architecture = any(a in ARCHITECTURES for a in facts["arch"])
    return architecture and facts["name"].split(".")[0] not in PARAVIRTUAL


def micro(price):
    amount = Decimal(price) * 1_000_000
    if amount != amount.to_integral_value():
        raise SystemExit(f"price {price} is finer than a micro-unit")
    return int(amount)


def regions(offerings, prices, spot):
    table = {}
    for row in offerings:
        zones = row["az_ids"].split(",")
        table.setdefault(row["region"], {}).setdefault(row["instance_type"], {})["zones"] = zones
    offered = set(table)
    for row in prices:
        cell = table.setdefault(row["region"], {}).setdefault(row["instance_type"], {})
        cell.update(price=micro(row["price_per_hour"]), currency=row["currency"], as_of=row["as_of"])
    for row in spot:
        table.setdefault(row["region"], {}).setdefault(row["instance_type"], {}).update(
            savings=row["savings_pct"], interruption=row["interruption_bucket"])
    return table, offered


def region_lines(region, cells, offered):
    zones = sorted({zone for cell in cells.values() for zone in cell.get("zones", [])})
    currency = next((cell["currency"] for cell in cells.values() if "currency" in cell), "-")
    as_of = max((cell["as_of"] for cell in cells.values() if "as_of" in cell), default="-")
    yield "\t".join(["region", region, currency, as_of, ",".join(zones)])
    for name in sorted(cells):
        cell = cells[name]
        digits = "".join(str(zones.index(zone)) for zone in cell.get("zones", []))
        cells_of = [name, digits if offered else "*", str(cell.get("price", "")), cell.get("savings", "")]
        yield "\t".join(cells_of + ["", cell["interruption"]] if "interruption" in cell else cells_of)


def main(types_path, offerings_path, prices_path, spot_path, output):
    types = sorted(filter(usable, json.loads(read(types_path))), key=lambda facts: facts["name"])
    table, offered = regions(rows(offerings_path), rows(prices_path), rows(spot_path))
    lines = ["joiner-catalog\t1", "\t".join(["types"] + COLUMNS)]
    lines += [type_row(facts) for facts in types]
    for region in sorted(table):
        lines += region_lines(region, table[region], region in offered)
    data = ("\n".join(lines) + "\n").encode()
    with open(output, "wb") as file:
        file.write(gzip.compress(data, 9, mtime=0))
    print(f"{len(types)} types, {len(table)} regions, {len(data)} bytes, {len(open(output, 'rb').read())} compressed")


if __name__ == "__main__":
    if len(sys.argv) != 6:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
