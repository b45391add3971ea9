"""Failures that a test asks for, and the log of all calls."""

import threading
import time
from dataclasses import dataclass, field

# What CreateFleet reports of one offering in its `Errors`, and then tries the next.
CAPACITY_CODES = {
    "InsufficientInstanceCapacity",
    "MaxSpotInstanceCountExceeded",
    "VcpuLimitExceeded",
    "UnfulfillableCapacity",
    "Unsupported",
    "InsufficientFreeAddressesInSubnet",
    "MaxFleetCountExceeded",
    "ReservationCapacityExceeded",
    "SpotMaxPriceTooLow",
}
THROTTLING_CODES = {"RequestLimitExceeded", "Throttling", "ThrottlingException"}


@dataclass
class Fault:
    """
    An `action` (or `*`) fails with `code`.

    `times`: how often (0: until reset). `status`: of HTTP. `when`: `before` the action is carried out, or `after` it, so
    that the caller does not learn of its success. Code `ConnectionLost` sends no answer at all. `delay_s` comes first.
    `type`, `zone`, `lifecycle`: only CreateFleet's offerings that match fail, in its `Errors`; `available` of each are
    launched before that.
    """

    action: str
    code: str = ""
    times: int | None = None
    status: int | None = None
    message: str = "a fault that the test asked for"
    when: str = "before"
    delay_s: float = 0
    type: str | None = None
    zone: str | None = None
    lifecycle: str | None = None
    available: int = 0

    def __post_init__(self):
        if self.when not in ("before", "after"):
            raise ValueError("when: before or after")
        self.of_offering = self.code in CAPACITY_CODES or any((self.type, self.zone, self.lifecycle))
        if self.times is None:
            self.times = 0 if self.of_offering else 1
        self.remaining = self.times
        if self.status is None:
            self.status = 503 if self.code in THROTTLING_CODES else 400

    def spent(self) -> bool:
        return self.times > 0 and self.remaining <= 0

    def matches(self, instance_type: str, zone: str, lifecycle: str) -> bool:
        wanted = [(self.type, instance_type), (self.zone, zone), (self.lifecycle, lifecycle)]
        return all(want in (None, "*", have) for want, have in wanted)


@dataclass
class Faults:
    faults: list[Fault] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, fault: Fault) -> None:
        with self.lock:
            self.faults.append(fault)

    def clear(self) -> None:
        with self.lock:
            self.faults.clear()

    def of_action(self, action: str) -> Fault | None:
        """The first fault that is due for this call; using it counts."""
        with self.lock:
            for fault in self.faults:
                if fault.action in ("*", action) and not fault.of_offering and not fault.spent():
                    fault.remaining -= 1
                    return fault
        return None

    def of_offering(self, instance_type: str, zone: str, lifecycle: str, count: int) -> tuple[int, Fault | None]:
        """How many of `count` instances can be had of an offering, and what refuses the rest."""
        with self.lock:
            for fault in self.faults:
                if fault.of_offering and not fault.spent() and fault.matches(instance_type, zone, lifecycle):
                    granted = min(fault.available, count)
                    fault.available -= granted
                    if granted < count:
                        fault.remaining -= 1
                        return granted, fault
        return count, None


class Calls:
    """All calls since the start or the last `clear`, oldest first."""

    def __init__(self):
        self.lock = threading.Lock()
        self.calls: list[dict] = []

    def add(self, service: str, action: str, began: float, status: int, key: str) -> None:
        call = {
            "time": began,
            "service": service,
            "action": action,
            "status": status,
            "seconds": round(time.time() - began, 6),
            "accessKey": key,
        }
        with self.lock:
            self.calls.append(call)

    def since(self, number: int) -> list[dict]:
        with self.lock:
            return self.calls[number:]

    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for call in self.since(0):
            counts[call["action"]] = counts.get(call["action"], 0) + 1
        return dict(sorted(counts.items()))

    def clear(self) -> None:
        with self.lock:
            self.calls.clear()
