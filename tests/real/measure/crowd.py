"""
Thousands of nodes with their instances, claims and pods, without anybody who runs them.

Objects are written to etcd as JSON, a hundred in a transaction, which the API server reads like its own: a hundred times as
fast as by its API. So there must be no controllers, which would take the pods away.
"""

import base64
import http.client
import itertools
import json
import os
import threading
import time
import urllib.parse
import uuid
from concurrent.futures import ThreadPoolExecutor

import boto3

from objects import conditions, node
from user_data import Settings

from .world import UNSCHEDULABLE

POD_BYTES = 5_000
TYPE, TYPE_CPU = "m5.2xlarge", "8"
WRITERS = 4
TOGETHER = 100
FLEET = 500
# As many as the planner names in a claim.
ALTERNATIVES = ["c6a", "m7i-flex", "c7i", "c6i", "c5a", "c7a", "m7i", "m5", "r6in", "c7i-flex", "m5a", "m7a", "c5", "m6a"]
POD_REQUESTS = {"cpu": "200m", "memory": "512Mi"}
# More than a node of the crowd has left.
WAITING_REQUESTS = {"cpu": "4", "memory": "8Gi"}


def stamp() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Crowd:
    def __init__(self, world):
        self.world = world
        world.install_pools()
        self.etcd = urllib.parse.urlsplit(os.environ["JOINER_ETCD_URL"]).netloc
        self.machine = world.ask("GET", "types")[TYPE]
        self.pool = world.get("/apis/karpenter.sh/v1/nodepools/default")["metadata"]["uid"]

    def write(self, objects, together: int = TOGETHER) -> int:
        """Writes pairs of key and object (or its text), several threads at once; the number written."""
        pairs, lock, count = iter(objects), threading.Lock(), [0] * WRITERS

        def take() -> list:
            with lock:
                return list(itertools.islice(pairs, together))

        def work(index: int) -> None:
            connection = http.client.HTTPConnection(self.etcd)
            while batch := take():
                puts = [{"requestPut": {"key": coded(key), "value": coded(text)}} for key, text in batch]
                connection.request("POST", "/v3/kv/txn", json.dumps({"success": puts}))
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != 200:
                    raise RuntimeError(f"etcd: {answer.status} {body[:300]!r}")
                count[index] += len(batch)

        with ThreadPoolExecutor(WRITERS) as threads:
            for _ in threads.map(work, range(WRITERS)):
                pass
        return sum(count)

    def launch(self, count: int) -> list[dict]:
        """Instances as Joiner's own launches leave them, but for their user data."""
        ec2, cluster = boto3.client("ec2"), self.world.cluster
        tags = {
            f"kubernetes.io/cluster/{cluster}": "owned",
            "karpenter.sh/nodepool": "default",
            "karpenter.k8s.aws/ec2nodeclass": "default",
            "eks:eks-cluster-name": cluster,
            "joiner.dev/batch": "20261123t010757-7ff5eaac-0",
        }
        tags = [{"Key": key, "Value": value} for key, value in tags.items()]
        subnets = ec2.describe_subnets(Filters=[{"Name": "tag:karpenter.sh/discovery", "Values": [cluster]}])["Subnets"]
        group = ec2.describe_security_groups(Filters=[{"Name": "tag:karpenter.sh/discovery", "Values": [cluster]}])
        images = ec2.describe_images(Filters=[{"Name": "name", "Values": ["amazon-eks-node-al2023-x86_64-standard-1.35-*"]}])
        data = {"ImageId": images["Images"][0]["ImageId"], "SecurityGroupIds": [group["SecurityGroups"][0]["GroupId"]]}
        ec2.create_launch_template(LaunchTemplateName="crowd", LaunchTemplateData=data)
        for number, left in enumerate(range(count, 0, -FLEET)):
            override = {"InstanceType": TYPE, "SubnetId": subnets[number % len(subnets)]["SubnetId"]}
            template = {"LaunchTemplateName": "crowd", "Version": "$Latest"}
            ec2.create_fleet(
                Type="instant",
                LaunchTemplateConfigs=[{"LaunchTemplateSpecification": template, "Overrides": [override]}],
                TargetCapacitySpecification={"TotalTargetCapacity": min(FLEET, left), "DefaultTargetCapacityType": "on-demand"},
                TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
            )
        return self.world.ask("GET", "instances")

    def nodes(self, instances: list[dict]):
        for number, instance in enumerate(instances):
            name, uid = f"default-{number:08x}", str(uuid.uuid4())
            yield f"/registry/karpenter.sh/nodeclaims/{name}", json.dumps(self.claim(name, uid, instance))
            yield f"/registry/minions/{instance['privateDns']}", json.dumps(self.node(name, uid, instance))

    def claim(self, name: str, uid: str, instance: dict) -> dict:
        price = {"priceMicroUsdPerHour": 384000, "priceEstimated": True}
        offerings = [
            {"instanceType": f"{family}.2xlarge", "zone": f"us-east-1{zone}", "capacityType": "on-demand"} | price
            for family, zone in itertools.product(ALTERNATIVES, "abc")
        ]
        labels = {"karpenter.sh/capacity-type": "on-demand", "karpenter.sh/nodepool": "default"}
        launch = {
            "batch": instance["tags"]["joiner.dev/batch"],
            "size": 1,
            "nodeClass": "default",
            "capacityType": "on-demand",
            "offerings": offerings,
            "labels": labels,
            "pods": [f"default/web-59d7cb5bc7-{number:05d}" for number in range(30)],
            "requests": {"cpu": 6000, "memory": 16106127360, "pods": 30},
        }
        resources = {"cpu": TYPE_CPU, "memory": "32Gi", "pods": "58"}
        return {
            "apiVersion": "karpenter.sh/v1",
            "kind": "NodeClaim",
            "metadata": {
                "name": name,
                "uid": uid,
                "generation": 1,
                "creationTimestamp": stamp(),
                "finalizers": ["karpenter.sh/termination"],
                "labels": labels | placed(instance),
                "annotations": {"joiner.dev/launch": json.dumps(launch), "joiner.dev/batch": launch["batch"]},
                "ownerReferences": [reference("karpenter.sh/v1", "NodePool", "default", self.pool)],
                "managedFields": [managed("joiner", {f"f:{key}": {} for key in labels})],
            },
            "spec": {
                "expireAfter": "Never",
                "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"},
                "requirements": [{"key": "karpenter.sh/nodepool", "operator": "In", "values": ["default"]}],
                "resources": {"requests": {"cpu": "6000m", "memory": "16106127360", "pods": "30"}},
            },
            "status": {
                "providerID": f"aws:///{instance['zone']}/{instance['id']}",
                "imageID": instance["image"],
                "nodeName": instance["privateDns"],
                "capacity": resources,
                "allocatable": resources,
                "conditions": [met(kind) for kind in ("Launched", "Registered", "Initialized", "Ready")],
            },
        }

    def node(self, claim: str, uid: str, instance: dict) -> dict:
        labels = {
            "karpenter.sh/nodepool": "default",
            "karpenter.sh/capacity-type": "on-demand",
            "karpenter.sh/registered": "true",
            "karpenter.sh/initialized": "true",
            "karpenter.sh/do-not-sync-taints": "true",
        }
        body = node(instance, Settings(labels=labels | placed(instance)), self.machine, "us-east-1")
        body["metadata"] |= {
            "uid": str(uuid.uuid4()),
            "creationTimestamp": stamp(),
            "finalizers": ["karpenter.sh/termination"],
            "ownerReferences": [reference("karpenter.sh/v1", "NodeClaim", claim, uid)],
        }
        body["status"]["conditions"] = conditions(True)
        # Kubelets tell of fifty images.
        body["status"]["images"] = [
            {"names": [f"registry.example/team-{n}/service@sha256:{n:064x}", f"registry.example/team-{n}/service:1.{n}"], "sizeBytes": 10**8}
            for n in range(50)
        ]
        return body

    def pods(self, names: list[str], count: int):
        """Running pods, equally many on each node; made from one text, for a hundred thousand dictionaries take long."""
        text = json.dumps(pod("NAME", "UID", "NODE"))
        for number in range(count):
            name = f"web-{number // 100:05d}-59d7cb5bc7-{number:06d}"
            # As many letters as in the replica set's name, so that pods of one set are alike.
            own = text.replace("NAME", name).replace("UID", str(uuid.uuid4())).replace("NODE", names[number % len(names)])
            yield f"/registry/pods/default/{name}", own

    def waiting(self, name: str, count: int):
        """Pods that the kube-scheduler has found no place for."""
        for number in range(count):
            name_ = f"{name}-7d4b9c6f88-{number:05d}"
            body = pod(name_, str(uuid.uuid4()), None)
            body["spec"]["containers"][0]["resources"] = {"requests": WAITING_REQUESTS}
            body["status"] = {"phase": "Pending", "conditions": [UNSCHEDULABLE | {"lastTransitionTime": stamp()}], "qosClass": "Burstable"}
            yield f"/registry/pods/default/{name_}", json.dumps(body)


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def placed(instance: dict) -> dict:
    return {
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": instance["type"],
        "topology.kubernetes.io/region": "us-east-1",
        "topology.kubernetes.io/zone": instance["zone"],
        "karpenter.k8s.aws/instance-category": "m",
        "karpenter.k8s.aws/instance-cpu": TYPE_CPU,
        "karpenter.k8s.aws/instance-family": "m5",
        "karpenter.k8s.aws/instance-generation": "5",
        "karpenter.k8s.aws/instance-hypervisor": "nitro",
        "karpenter.k8s.aws/instance-memory": "32768",
        "karpenter.k8s.aws/instance-size": "2xlarge",
    }


def reference(version: str, kind: str, name: str, uid: str) -> dict:
    return {"apiVersion": version, "kind": kind, "name": name, "uid": uid, "blockOwnerDeletion": True}


def met(kind: str) -> dict:
    return {"type": kind, "status": "True", "reason": kind, "message": "", "lastTransitionTime": stamp()}


def managed(manager: str, fields: dict, **more) -> dict:
    return {"manager": manager, "operation": "Update", "apiVersion": "v1", "time": stamp(), "fieldsType": "FieldsV1", "fieldsV1": fields} | more


def pod(name: str, uid: str, on: str | None) -> dict:
    """A pod of a Deployment as it is in a cluster: of what the API server sends, most is of no use to a planner."""
    container_fields = {key: {} for key in ("f:image", "f:imagePullPolicy", "f:name", "f:resources", "f:terminationMessagePath", "f:ports")}
    spec_fields = {"f:containers": {'k:{"name":"web"}': {".": {}} | container_fields}, "f:dnsPolicy": {}, "f:restartPolicy": {}, "f:schedulerName": {}}
    kinds = ("ContainersReady", "Initialized", "PodReadyToStartContainers", "Ready")
    status_fields = {"f:conditions": {f'k:{{"type":"{kind}"}}': {".": {}, "f:lastTransitionTime": {}, "f:status": {}, "f:type": {}} for kind in kinds}}
    status_fields |= {"f:containerStatuses": {}, "f:hostIP": {}, "f:phase": {}, "f:podIP": {}, "f:startTime": {}}
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": uid,
            "generateName": "web-59d7cb5bc7-",
            "creationTimestamp": stamp(),
            "labels": {"app": "web", "pod-template-hash": "59d7cb5bc7", "team": "storefront", "app.kubernetes.io/managed-by": "Helm"},
            "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8080", "checksum/config": "9" * 64},
            "ownerReferences": [reference("apps/v1", "ReplicaSet", "web-59d7cb5bc7", "49edb46c-3f57-4bb7-846b-2dcd1a6d1e6b") | {"controller": True}],
            "managedFields": [
                managed("kube-controller-manager", {"f:metadata": {"f:generateName": {}, "f:labels": {"f:app": {}}}, "f:spec": spec_fields}),
                managed("kubelet", {"f:status": status_fields}, subresource="status"),
            ],
        },
        "spec": {
            "containers": [
                {
                    "name": "web",
                    "image": "111122223333.dkr.ecr.us-east-1.amazonaws.com/storefront/web:2026.11.22-1",
                    "imagePullPolicy": "IfNotPresent",
                    "ports": [{"containerPort": 8080, "protocol": "TCP"}],
                    "resources": {"requests": POD_REQUESTS},
                    "env": [],
                    "terminationMessagePath": "/dev/termination-log",
                    "terminationMessagePolicy": "File",
                    "volumeMounts": [{"name": "kube-api-access-hz8sr", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True}],
                }
            ],
            "volumes": [
                {
                    "name": "kube-api-access-hz8sr",
                    "projected": {"defaultMode": 420, "sources": [{"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}]},
                }
            ],
            "dnsPolicy": "ClusterFirst",
            "enableServiceLinks": True,
            "preemptionPolicy": "PreemptLowerPriority",
            "priority": 0,
            "restartPolicy": "Always",
            "schedulerName": "default-scheduler",
            "securityContext": {},
            "serviceAccount": "default",
            "serviceAccountName": "default",
            "terminationGracePeriodSeconds": 30,
            "tolerations": [
                {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
                for key in ("not-ready", "unreachable")
            ],
        },
    }
    if on:
        body["spec"]["nodeName"] = on
        body["status"] = {
            "phase": "Running",
            "hostIP": "10.0.64.4",
            "podIP": "100.76.50.2",
            "startTime": stamp(),
            "qosClass": "Burstable",
            "conditions": [met(kind) for kind in kinds],
            "containerStatuses": [
                {
                    "name": "web",
                    "image": "web",
                    "imageID": f"web@sha256:{0:064x}",
                    "containerID": f"containerd://{0:064x}",
                    "ready": True,
                    "started": True,
                    "restartCount": 0,
                    "state": {"running": {"startedAt": stamp()}},
                }
            ],
        }
    env = body["spec"]["containers"][0]["env"]
    while len(json.dumps(body, separators=(",", ":"))) < POD_BYTES - 350:
        env.append({"name": f"SETTING_{len(env):03d}", "value": f"value-{len(env):032d}"})
    return body
