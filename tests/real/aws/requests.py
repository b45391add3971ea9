"""What the product asked of AWS: one request of each shape, for tests of its policies."""

import json
import re
import threading
import urllib.parse

# The product's clients; those of tests are Python's.
PRODUCT = "aws-sdk-rust"
# Whoever installs is a person with permissions of their own, not the functions' role.
INSTALLER = "app/joiner-install"
# Shapes differ by the names of parameters, and lists make many: so many of an action are enough.
SHAPES = 20


class Requests:
    def __init__(self):
        self.lock = threading.Lock()
        self.kept: dict[tuple[str, str], dict[tuple, dict]] = {}

    def add(self, service: str, action: str, environ, body: bytes) -> None:
        agent = environ.get("HTTP_USER_AGENT", "") + environ.get("HTTP_X_AMZ_USER_AGENT", "")
        if PRODUCT not in agent or INSTALLER in agent:
            return
        parameters = read(environ, body)
        shape = tuple(sorted({re.sub(r"\d+", "N", name) for name in parameters} | tag_keys(parameters)))
        with self.lock:
            shapes = self.kept.setdefault((service, action), {})
            if len(shapes) < SHAPES:
                shapes.setdefault(shape, parameters)

    def all(self) -> list[dict]:
        with self.lock:
            kept = sorted(self.kept.items())
            return [
                {"service": service, "action": action, "parameters": parameters}
                for (service, action), shapes in kept
                for _, parameters in sorted(shapes.items())
            ]


def tag_keys(parameters: dict) -> set[str]:
    """Tags decide about conditions: other keys are another shape."""
    return {f"tag {value}" for name, value in parameters.items() if re.search(r"Tag\.\d+\.Key$|Tags\.member\.\d+\.Key$", name)}


def read(environ, body: bytes) -> dict[str, str]:
    """Parameters by name, flat; without user data, which may hold anything."""
    kind = environ.get("CONTENT_TYPE", "")
    if kind.startswith("application/x-www-form-urlencoded"):
        pairs = urllib.parse.parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
        return {name: value for name, value in pairs if not name.endswith("UserData")}
    if kind.startswith("application/x-amz-json"):
        found = json.loads(body or b"{}")
        return {name: value if isinstance(value, str) else json.dumps(value, sort_keys=True) for name, value in found.items()}
    return {"path": environ.get("PATH_INFO", "")}
