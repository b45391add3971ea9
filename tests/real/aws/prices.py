"""Prices and offerings as the product's embedded catalog has them, so that a test sees what a plan was made with."""

import gzip
import zlib
from dataclasses import dataclass, field


@dataclass
class Row:
    """A type in the region: where it is offered, dollars per hour, per cent saved on spot."""

    zone_ids: list[str]
    on_demand: float | None
    savings: int | None


@dataclass
class Prices:
    region: str
    zone_ids: dict[str, str]
    rows: dict[str, Row] = field(default_factory=dict)
    facts: dict[str, dict] = field(default_factory=dict)

    def row(self, instance_type: str) -> Row | None:
        return self.rows.get(instance_type)

    def zone_id(self, zone: str) -> str:
        return self.zone_ids.get(zone, zone)

    def offered(self, instance_type: str, zone: str) -> bool:
        row = self.row(instance_type)
        return row is not None and self.zone_id(zone) in row.zone_ids

    def on_demand(self, instance_type: str) -> float | None:
        row = self.row(instance_type)
        return row.on_demand if row else None

    def spot(self, instance_type: str, zone: str) -> float | None:
        """The savings are an average of the region; zones differ from it by up to 8 %, the same at each start."""
        row = self.row(instance_type)
        if not row or row.on_demand is None or row.savings is None:
            return None
        seed = zlib.crc32(f"{instance_type}/{self.zone_id(zone)}".encode()) % 161 - 80
        return round(row.on_demand * (100 - row.savings) / 100 * (1 + seed / 1000), 6)

    def price(self, instance_type: str, zone: str, lifecycle: str) -> float | None:
        return self.spot(instance_type, zone) if lifecycle == "spot" else self.on_demand(instance_type)


def load(path: str, region: str, zone_ids: dict[str, str]) -> Prices:
    """Reads `catalog.tsv.gz`; its format is told in the README beside it."""
    prices = Prices(region, zone_ids)
    with gzip.open(path, "rt", encoding="utf-8") as file:
        lines = (line.rstrip("\n").split("\t") for line in file)
        next(lines)
        columns = next(lines)[1:]
        ids: list[str] | None = None
        for cells in lines:
            if cells[0] == "region":
                ids = cells[4].split(",") if cells[1] == region else []
            elif ids is None:
                prices.facts[cells[0]] = dict(zip(columns, cells))
            elif ids:
                prices.rows[cells[0]] = row(cells, ids)
    if not prices.rows:
        raise ValueError(f"{path} has no offerings in {region}")
    return prices


def row(cells: list[str], ids: list[str]) -> Row:
    _, zones, on_demand, savings = (cells + ["", "", ""])[:4]
    offered = ids if zones == "*" else [ids[int(digit)] for digit in zones]
    return Row(
        offered,
        int(on_demand) / 1_000_000 if on_demand else None,
        int(savings) if savings else None,
    )
