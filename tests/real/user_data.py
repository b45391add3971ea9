"""
What a node learns from its user data: the cluster it joins, and the labels, taints and reservations of its kubelet.

Each image reads its own kind, as on EC2: AL2023 a NodeConfig (parts of a MIME archive are merged in their order), AL2 a
call of bootstrap.sh, Bottlerocket TOML, Windows a call of the EKS script. What the image would not read is not read here.
"""

import base64
import binascii
import email
import gzip
import re
import shlex
import tomllib
from dataclasses import dataclass, field

import yaml

EFFECTS = {"NoSchedule", "PreferNoSchedule", "NoExecute"}
# Labels in Kubernetes' own domains that a kubelet may give itself.
OWN_LABELS = {
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.kubernetes.io/zone",
    "failure-domain.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
}
OWN_DOMAINS = ("kubelet.kubernetes.io", "node.kubernetes.io")


class NotBootable(Exception):
    """Why an instance with this user data would never become a node."""


@dataclass
class Settings:
    cluster: str = ""
    endpoint: str = ""
    authority: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    taints: list[dict] = field(default_factory=list)
    max_pods: int | None = None
    reserved: dict[str, str] = field(default_factory=dict)
    eviction: dict[str, str] = field(default_factory=dict)


def parse(encoded: str, image: str) -> Settings:
    """`encoded` is base64 of the text, or of its gzip; `image` is the name of the instance's image."""
    text = decode(encoded)
    if "bottlerocket" in image:
        settings = bottlerocket(text)
    elif image.lower().startswith("windows"):
        settings = windows(text)
    elif re.search(r"al2023", image):
        settings = al2023(text)
    elif re.match(r"amazon-eks-", image):
        settings = al2(text)
    else:
        settings = custom(text)
    check(settings)
    return settings


def decode(encoded: str) -> str:
    try:
        data = base64.b64decode(encoded, validate=False)
        return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
    except (binascii.Error, UnicodeDecodeError, OSError) as error:
        raise NotBootable(f"the user data cannot be decoded: {error}") from None


def check(settings: Settings) -> None:
    for name in ("cluster", "endpoint", "authority"):
        if not getattr(settings, name):
            raise NotBootable(f"the user data does not say the {name} to join")
    for label in settings.labels:
        domain = label.split("/")[0] if "/" in label else ""
        kubernetes = re.search(r"(^|\.)(kubernetes|k8s)\.io$", domain)
        own = label in OWN_LABELS or domain.endswith(OWN_DOMAINS)
        if kubernetes and not own:
            raise NotBootable(f"the kubelet refuses to give itself the label {label}")
    for taint in settings.taints:
        if taint.get("effect") not in EFFECTS:
            raise NotBootable(f"the taint {taint} has no effect that there is")


def parts(text: str) -> list[tuple[str, str]]:
    """Content type and text of each part, in order; of one part if it is no MIME archive."""
    if not re.match(r"(?i)\s*(mime-version|content-type):", text):
        return [("", text)]
    found = []
    for part in email.message_from_string(text.lstrip()).walk():
        if not part.is_multipart():
            found.append((part.get_content_type(), part.get_payload(decode=True).decode()))
    return found


def al2023(text: str) -> Settings:
    config: dict = {}
    found = False
    for kind, content in parts(text):
        if kind == "application/node.eks.aws" or (not kind and "node.eks.aws" in content):
            for document in yaml.safe_load_all(content):
                found = True
                merge(config, document.get("spec") or {})
    if not found:
        raise NotBootable("the user data has no NodeConfig, and nodeadm needs one")
    cluster = config.get("cluster", {})
    if not cluster.get("cidr"):
        raise NotBootable("the NodeConfig has no spec.cluster.cidr, and nodeadm needs it")
    kubelet = config.get("kubelet", {})
    settings = Settings(cluster.get("name"), cluster.get("apiServerEndpoint"), cluster.get("certificateAuthority"))
    kubelet_config(settings, kubelet.get("config") or {})
    kubelet_flags(settings, kubelet.get("flags") or [])
    return settings


def merge(into: dict, more: dict) -> None:
    """As nodeadm merges NodeConfigs: maps are merged, flags are added, all else is replaced by the later."""
    for name, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            merge(into[name], value)
        elif name == "flags" and isinstance(into.get(name), list):
            into[name] = into[name] + value
        else:
            into[name] = value


def kubelet_config(settings: Settings, config: dict) -> None:
    settings.taints += config.get("registerWithTaints") or []
    settings.max_pods = config.get("maxPods", settings.max_pods)
    settings.eviction |= config.get("evictionHard") or {}
    for name in ("kubeReserved", "systemReserved"):
        reserve(settings, config.get(name) or {})


def reserve(settings: Settings, amounts: dict) -> None:
    for resource, amount in amounts.items():
        # Amounts of several reservations count together; they are added up where they are used.
        had = settings.reserved.get(resource)
        settings.reserved[resource] = f"{had} {amount}" if had else str(amount)


def kubelet_flags(settings: Settings, flags: list[str]) -> None:
    for flag in flags:
        name, _, value = flag.partition("=")
        value = value.strip("\"'")
        if name == "--node-labels":
            settings.labels |= pairs(value)
        elif name == "--register-with-taints":
            settings.taints += [taint(each) for each in value.split(",") if each]
        elif name == "--max-pods":
            settings.max_pods = int(value)
        elif name in ("--kube-reserved", "--system-reserved"):
            reserve(settings, pairs(value))
        elif name == "--eviction-hard":
            settings.eviction |= pairs(value, "<")


def pairs(text: str, sign: str = "=") -> dict[str, str]:
    return {name: value for name, _, value in (each.partition(sign) for each in text.split(",") if each)}


def taint(text: str) -> dict:
    """`key=value:effect` or `key:effect`."""
    key, _, effect = text.rpartition(":")
    key, _, value = key.partition("=")
    return {"key": key, "effect": effect} | ({"value": value} if value else {})


def al2(text: str) -> Settings:
    calls = []
    for kind, content in parts(text):
        if kind in ("", "text/x-shellscript"):
            calls += re.findall(r"^[^#\n]*/etc/eks/bootstrap\.sh[^\n]*", content.replace("\\\n", " "), re.M)
    if not calls:
        raise NotBootable("the user data does not call /etc/eks/bootstrap.sh")
    words = shlex.split(calls[-1])
    words = words[next(i for i, word in enumerate(words) if word.endswith("bootstrap.sh")) + 1 :]
    options, names = {}, []
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            names.append(word)
        elif "=" in word:
            name, _, options_value = word.partition("=")
            options[name] = options_value
        else:
            options[word] = words.pop(0) if words else ""
    settings = Settings(names[0] if names else "", options.get("--apiserver-endpoint", ""), options.get("--b64-cluster-ca", ""))
    kubelet_flags(settings, joined(shlex.split(options.get("--kubelet-extra-args", ""))))
    return settings


def joined(words: list[str]) -> list[str]:
    """`--name value` as `--name=value`."""
    found: list[str] = []
    for word in words:
        if found and not word.startswith("--") and "=" not in found[-1]:
            found[-1] += f"={word}"
        else:
            found.append(word)
    return found


def bottlerocket(text: str) -> Settings:
    try:
        kubernetes = tomllib.loads(text).get("settings", {}).get("kubernetes", {})
    except tomllib.TOMLDecodeError as error:
        raise NotBootable(f"the user data is not TOML: {error}") from None
    settings = Settings(
        kubernetes.get("cluster-name", ""),
        kubernetes.get("api-server", ""),
        kubernetes.get("cluster-certificate", ""),
        dict(kubernetes.get("node-labels", {})),
        max_pods=kubernetes.get("max-pods"),
    )
    for key, values in kubernetes.get("node-taints", {}).items():
        for value in [values] if isinstance(values, str) else values:
            settings.taints.append(taint(f"{key}={value}"))
    settings.eviction |= kubernetes.get("eviction-hard", {})
    for name in ("kube-reserved", "system-reserved"):
        reserve(settings, kubernetes.get(name, {}))
    return settings


def windows(text: str) -> Settings:
    call = re.search(r"^[^#\n]*EKSBootstrapScriptFile[^\n]*-EKSClusterName[^\n]*", text.replace("`\n", " "), re.M)
    if not call:
        raise NotBootable("the user data does not call the EKS script")
    options = dict(re.findall(r"-(\w+)\s+'([^']*)'", call.group()))
    settings = Settings(options.get("EKSClusterName", ""), options.get("APIServerEndpoint", ""), options.get("Base64ClusterCA", ""))
    kubelet_flags(settings, joined(shlex.split(options.get("KubeletExtraArgs", ""))))
    return settings


def custom(text: str) -> Settings:
    """An image of one's own: whatever of the above its user data turns out to be."""
    errors = []
    for reader in (al2023, al2, bottlerocket, windows):
        try:
            return reader(text)
        except NotBootable as error:
            errors.append(str(error))
    raise NotBootable("; ".join(errors))
