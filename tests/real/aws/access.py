"""Access entries of EKS, which moto has not: as tests and the emulated CloudFormation make them."""

import json
import re


class Access:
    def __init__(self):
        self.clear()

    def clear(self) -> None:
        # Clusters from before access entries do not tell.
        self.mode = ""
        self.entries: dict[tuple[str, str], dict] = {}

    def set_mode(self, mode: str) -> None:
        self.mode = mode

    def add(self, entry: dict) -> None:
        self.entries[entry["cluster"], entry["principal"]] = entry

    def remove(self, entry: dict) -> None:
        del self.entries[entry["cluster"], entry["principal"]]

    def all(self) -> list[dict]:
        return list(self.entries.values())

    def described(self, content: bytes) -> bytes:
        """A cluster, with how it maps identities."""
        if not self.mode:
            return content
        answer = json.loads(content)
        if "cluster" in answer:
            answer["cluster"]["accessConfig"] = {"authenticationMode": self.mode}
        return json.dumps(answer).encode()

    def answer(self, action: str, path: str) -> tuple[int, dict] | None:
        """DescribeAccessEntry; anything else is moto's."""
        if action != "DescribeAccessEntry":
            return None
        cluster, principal = re.fullmatch(r"/clusters/([^/]+)/access-entries/(.+)", path).groups()
        if self.mode in ("", "CONFIG_MAP"):
            return 400, {"__type": "InvalidRequestException", "message": "The cluster's authentication mode must be set to one of API, API_AND_CONFIG_MAP."}
        found = self.entries.get((cluster, principal))
        if not found:
            return 404, {"__type": "ResourceNotFoundException", "message": "The specified principalArn could not be found."}
        return 200, {"accessEntry": {"clusterName": cluster, "principalArn": principal, "kubernetesGroups": found["groups"], "type": found["type"]}}
