"""
What tests ask of the gap filler itself, as JSON over HTTP under /joiner/. None of it is counted as a call of AWS.

GET    health                        200 once the account is seeded
POST   reset                         all as at the start: state, faults, log, enforcement
POST   faults      {action, code, …} adds a fault (faults.Fault has the fields); DELETE forgets all; GET lists
GET    calls?since=N                 all calls from number N on; `calls/count` by action; DELETE forgets all
GET    requests                      one request of each shape that the product made since the start; `reset` keeps them
GET    instances                     all instances with what a kubelet needs: user data, tags, addresses; `instance?id=` one
GET    states                        state and launch time (seconds since 1970) of all instances, by id
GET    types                         instance types with vCPUs, memory and accelerators
POST   interrupt   {instance}        marks a spot instance for termination; answers the event that EC2 would send
POST   status      {instance, impairedForS | event}   its checks have failed for so long; or an event of that code is scheduled for it
POST   terminate   {instance}        ends an instance as EC2 does by itself, without a call that is counted
POST   subnet      {id, available}   how many addresses are free in a subnet
POST   reservations {…}              adds a capacity reservation as DescribeCapacityReservations answers it
POST   cluster     {name}            another cluster of the account, in a VPC of its own, with the same API server
POST   endpoint    {public}          whether the cluster's API server has a public endpoint
POST   authentication {mode}         how the clusters map AWS identities: CONFIG_MAP, API_AND_CONFIG_MAP or API
POST   access-entry {cluster, principal, groups, type}   an access entry; DELETE takes it away, GET lists all
POST   enforce     {principals: {…}} IAM is enforced from now on: by name, {policies: […], accessKeyId, secretAccessKey}
POST   token-review                  the API server's authentication webhook
"""

import json
import urllib.parse
import uuid
from dataclasses import asdict
from datetime import timedelta

from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.utils import utcnow
from moto.ec2.models import ec2_backends
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.iam.models import iam_backends
from moto.moto_api._internal import moto_api_backend

from . import eks_token, seed
from .access import Access
from .faults import Calls, Fault, Faults
from .fleet import LAUNCHING, FleetMaker
from .requests import Requests


class Control:
    def __init__(self, facts: dict, faults: Faults, calls: Calls, fleets: FleetMaker, reservations: list):
        self.facts = facts
        self.faults = faults
        self.calls = calls
        self.fleets = fleets
        self.reservations = reservations
        self.requests = Requests()
        self.access = Access()
        self.keys: dict[str, str] = {}
        self.seeded = False

    @property
    def ec2(self):
        return ec2_backends[self.facts["account"]][self.facts["region"]]

    def seed(self) -> None:
        seed.seed(self.facts)
        self.seeded = True

    def answer(self, method: str, path: str, query: str, body: bytes) -> tuple[int, object]:
        request = json.loads(body) if body else {}
        options = dict(urllib.parse.parse_qsl(query))
        routes = {
            ("GET", "health"): lambda: self.health(),
            ("POST", "reset"): lambda: self.reset(),
            ("POST", "faults"): lambda: self.add_faults(request),
            ("GET", "faults"): lambda: [asdict(fault) for fault in self.faults.faults],
            ("DELETE", "faults"): lambda: self.faults.clear(),
            ("GET", "calls"): lambda: self.calls.since(int(options.get("since", 0))),
            ("GET", "calls/count"): lambda: self.calls.counts(),
            ("DELETE", "calls"): lambda: self.calls.clear(),
            ("GET", "requests"): lambda: self.requests.all(),
            ("GET", "instances"): lambda: self.instances(),
            ("GET", "instance"): lambda: described(self.instance(options["id"])),
            ("GET", "states"): lambda: self.states(),
            ("GET", "types"): lambda: types(),
            ("POST", "interrupt"): lambda: self.interrupt(request["instance"]),
            ("POST", "status"): lambda: self.status(request),
            ("POST", "terminate"): lambda: self.terminate(request["instance"]),
            ("POST", "subnet"): lambda: self.set_subnet(request["id"], int(request["available"])),
            ("POST", "reservations"): lambda: self.reservations.append(request),
            ("POST", "endpoint"): lambda: seed.publish(self.facts, bool(request["public"])),
            ("POST", "cluster"): lambda: seed.neighbour(self.facts | {"cluster": request["name"]}),
            ("POST", "authentication"): lambda: self.access.set_mode(request["mode"]),
            ("POST", "access-entry"): lambda: self.access.add(request),
            ("DELETE", "access-entry"): lambda: self.access.remove(request),
            ("GET", "access-entry"): lambda: self.access.all(),
            ("POST", "enforce"): lambda: self.enforce(request["principals"]),
            ("POST", "token-review"): lambda: eks_token.review(request, self.facts["cluster"], self.secret),
        }
        route = routes.get((method, path))
        if route is None:
            return 404, {"error": f"{method} {path}: no such thing", "routes": __doc__}
        try:
            return 200, route()
        except (KeyError, ValueError, TypeError, LookupError) as error:
            return 400, {"error": f"{type(error).__name__}: {error}"}

    def health(self) -> dict:
        if not self.seeded:
            raise LookupError("not seeded yet")
        return {"status": "ok"}

    def reset(self) -> dict:
        settings.INITIAL_NO_AUTH_ACTION_COUNT = float("inf")
        moto_api_backend.reset()
        self.faults.clear()
        self.fleets.clear()
        self.reservations.clear()
        self.keys.clear()
        self.access.clear()
        self.seed()
        self.calls.clear()
        return {"status": "ok"}

    def add_faults(self, request) -> dict:
        faults = [Fault(**each) for each in (request if isinstance(request, list) else [request])]
        for fault in faults:
            self.faults.add(fault)
        return {"added": len(faults)}

    def states(self) -> dict:
        with LAUNCHING:
            return {i.id: [i.state, i.launch_time.timestamp()] for i in self.ec2.all_instances()}

    def instances(self) -> list:
        with LAUNCHING:
            return [described(each) for each in self.ec2.all_instances()]

    def instance(self, instance_id: str):
        found = self.ec2.get_instance_by_id(instance_id)
        if found is None:
            raise LookupError(f"no instance {instance_id}")
        return found

    def interrupt(self, instance_id: str) -> dict:
        self.instance(instance_id).interrupted = utcnow()
        detail = {"instance-id": instance_id, "instance-action": "terminate"}
        return self.event("EC2 Spot Instance Interruption Warning", instance_id, detail)

    def status(self, request: dict) -> dict:
        instance = self.instance(request["instance"])
        if "impairedForS" in request:
            instance.impaired_since = utcnow() - timedelta(seconds=request["impairedForS"])
        if "event" in request:
            instance.scheduled_event = request["event"]
        return {"status": "ok"}

    def terminate(self, instance_id: str) -> dict:
        self.instance(instance_id).terminate()
        detail = {"instance-id": instance_id, "state": "terminated"}
        return self.event("EC2 Instance State-change Notification", instance_id, detail)

    def event(self, kind: str, instance_id: str, detail: dict) -> dict:
        account, region = self.facts["account"], self.facts["region"]
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": kind,
            "source": "aws.ec2",
            "account": account,
            "time": utcnow().strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": region,
            "resources": [f"arn:aws:ec2:{region}:{account}:instance/{instance_id}"],
            "detail": detail,
        }

    def set_subnet(self, subnet_id: str, available: int) -> None:
        subnet = self.ec2.get_subnet(subnet_id)
        subnet._available_ip_addresses += available - subnet.available_ip_address_count

    def secret(self, key: str) -> str | None:
        """The secret of an access key; those that nobody made are the emulators' own, which all share one."""
        return self.keys.get(key, self.facts["secret"])

    def enforce(self, principals: dict) -> dict:
        """Makes a user with these policies for each key, and has moto check every later call against them."""
        iam = iam_backends[self.facts["account"]]["aws"]
        for name, principal in principals.items():
            iam.create_user(self.facts["region"], name)
            for index, policy in enumerate(principal["policies"]):
                text = policy if isinstance(policy, str) else json.dumps(policy)
                iam.put_user_policy(name, f"policy-{index}", text)
            key = iam.create_access_key(name)
            key.access_key_id = principal["accessKeyId"]
            key.secret_access_key = principal.get("secretAccessKey", self.facts["secret"])
            self.keys[key.access_key_id] = key.secret_access_key
        settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
        ActionAuthenticatorMixin.request_count = 0
        return {"enforced": sorted(principals)}


def described(instance) -> dict:
    return {
        "id": instance.id,
        "state": instance.state,
        "type": instance.instance_type,
        "zone": instance.placement.zone,
        "lifecycle": instance.lifecycle or "on-demand",
        "image": instance.image_id,
        "imageName": getattr(instance.ec2_backend.amis.get(instance.image_id), "name", ""),
        "architecture": instance.architecture,
        "privateIp": instance.private_ip,
        "privateDns": instance.private_dns_name,
        "launchTime": instance.launch_time.timestamp(),
        "userData": str(instance.user_data or ""),
        "zoneId": instance.ec2_backend.get_subnet(instance.subnet_id).availability_zone_id,
        "diskGib": max((volume.size for _, volume in instance.get_block_device_mapping), default=0),
        "tags": dict(instance.ec2_backend.tags.get(instance.id, {})),
    }


def types() -> dict:
    """What a kubelet reports of its machine, by type."""
    return {name: machine(facts) for name, facts in INSTANCE_TYPES.items()}


def machine(facts: dict) -> dict:
    network = facts.get("NetworkInfo", {})
    cards = network.get("NetworkCards") or [{}]
    interfaces = cards[network.get("DefaultNetworkCardIndex", 0)].get("MaximumNetworkInterfaces")
    accelerators = {
        "nvidia.com/gpu": sum(
            gpu["Count"] for gpu in facts.get("GpuInfo", {}).get("Gpus", []) if gpu["Manufacturer"] == "NVIDIA"
        ),
        "aws.amazon.com/neuron": sum(
            chip["Count"] for chip in facts.get("NeuronInfo", {}).get("NeuronDevices", [])
        ),
    }
    return {
        "vcpu": facts["VCpuInfo"]["DefaultVCpus"],
        "memoryMib": facts["MemoryInfo"]["SizeInMiB"],
        "interfaces": interfaces or network.get("MaximumNetworkInterfaces", 2),
        "addresses": network.get("Ipv4AddressesPerInterface", 2),
        "arch": "arm64" if "arm64" in facts["ProcessorInfo"]["SupportedArchitectures"] else "amd64",
        "accelerators": {name: count for name, count in accelerators.items() if count},
    }
