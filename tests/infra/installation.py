"""An account to install into, a release to install, and the command: what the tests of the installer share."""

import base64
import hashlib
import io
import json
import os
import subprocess
import tarfile
import time
import urllib.request
import zipfile
from pathlib import Path

import boto3
from rendered import ACCOUNT, TOP

KEY = "karpenter.sh/discovery"
FUNCTIONS = ["on-interruption", "on-pending-pods", "on-schedule"]
CLUSTER = os.environ.get("JOINER_CLUSTER", "demo")
JOINER = Path(os.environ.get("JOINER_BINARIES") or TOP / "target" / "debug") / "joiner"


def image(layer: bytes = b"webhook") -> bytes:
    """An OCI archive with one layer: nobody runs it here."""
    blobs = {}

    def add(content: bytes) -> dict:
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return {"digest": f"sha256:{digest}", "size": len(content)}

    config = add(b"{}") | {"mediaType": "application/vnd.oci.image.config.v1+json"}
    layers = [add(layer) | {"mediaType": "application/vnd.oci.image.layer.v1.tar"}]
    kind = "application/vnd.oci.image.manifest.v1+json"
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers}
    index = {"schemaVersion": 2, "manifests": [add(json.dumps(manifest).encode()) | {"mediaType": kind}]}
    blobs["index.json"] = json.dumps(index).encode()
    return tar(blobs)


def tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


# A function that takes what comes and does nothing: most tests are not about what functions do.
IDLE = """#!/usr/bin/env python3
# {version}
import os, urllib.request
api = f"http://{{os.environ['AWS_LAMBDA_RUNTIME_API']}}/2018-06-01/runtime/invocation/"
while True:
    with urllib.request.urlopen(api + "next") as event:
        request = event.headers["Lambda-Runtime-Aws-Request-Id"]
    answer = urllib.request.Request(api + request + "/response", data=b'{{"batchItemFailures":[]}}')
    urllib.request.urlopen(answer).close()
"""


def release(directory: Path, binaries: Path | None = None, version: str = "0.1.0") -> Path:
    """A release with these functions; without any, with some that do nothing."""
    directory.mkdir(parents=True, exist_ok=True)
    files = {"release.json": json.dumps({"version": version, "architecture": "x86_64"}).encode()}
    files["webhook.tar"] = image(version.encode())
    for name in FUNCTIONS:
        code = (binaries / name).read_bytes() if binaries else IDLE.format(version=version).encode()
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            about = zipfile.ZipInfo("bootstrap", (1980, 1, 1, 0, 0, 0))
            about.external_attr = 0o100755 << 16
            archive.writestr(about, code)
        files[f"{name}.zip"] = buffer.getvalue()
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items())
    path = directory / f"joiner-{version}.tar"
    path.write_bytes(tar(files | {"SHA256SUMS": sums.encode()}))
    return path


def joiner(*arguments, input: str = "", **environment) -> tuple[int, str]:
    """Runs the command: its exit code and all that it prints."""
    command = [str(JOINER), *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if name != "CLUSTER_NAME"} | {"NO_COLOR": "1"} | environment
    try:
        done = subprocess.run(command, input=input, capture_output=True, text=True, timeout=120, env=environment)
    except subprocess.TimeoutExpired as late:
        raise AssertionError(f"{command} does not end:\n{(late.stdout or b'').decode()}{(late.stderr or b'').decode()}") from None
    said = done.stdout + done.stderr
    for word in (ACCOUNT, "panicked", os.environ["AWS_SECRET_ACCESS_KEY"] + "\n"):
        if word in said:
            raise AssertionError(f"{word!r} is in what {command} says:\n{said}")
    return done.returncode, said


def fault(**fault) -> None:
    """The emulator's calls of AWS fail so, until `calm`."""
    request = urllib.request.Request(f"{os.environ['JOINER_FAULTS_URL']}/faults", json.dumps(fault).encode(), method="POST")
    urllib.request.urlopen(request).close()


def calm() -> None:
    urllib.request.urlopen(urllib.request.Request(f"{os.environ['JOINER_FAULTS_URL']}/faults", method="DELETE")).close()


def door(path: str, method: str = "POST", **body) -> None:
    """Another wish of the emulator's own door (tests/real/aws/control.py)."""
    request = urllib.request.Request(f"{os.environ['JOINER_FAULTS_URL']}/{path}", json.dumps(body).encode(), method=method)
    urllib.request.urlopen(request).close()


def forget() -> None:
    """Whatever an installation has left goes: of those parts of AWS that have no reset that spares others."""
    cloud, s3, ecr = boto3.client("cloudformation"), boto3.client("s3"), boto3.client("ecr")
    for stack in cloud.describe_stacks()["Stacks"]:
        if stack["StackName"].startswith("joiner-"):
            cloud.delete_stack(StackName=stack["StackName"])
    for bucket in s3.list_buckets()["Buckets"]:
        if bucket["Name"].startswith("joiner-"):
            for each in s3.list_objects_v2(Bucket=bucket["Name"]).get("Contents", []):
                s3.delete_object(Bucket=bucket["Name"], Key=each["Key"])
            s3.delete_bucket(Bucket=bucket["Name"])
    for repository in ecr.describe_repositories()["repositories"]:
        ecr.delete_repository(repositoryName=repository["repositoryName"], force=True)


def kubectl(*arguments, input: str = "") -> str:
    """What kubectl prints; an error if it fails."""
    done = subprocess.run(["kubectl", *map(str, arguments)], input=input, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise AssertionError(f"kubectl {' '.join(map(str, arguments))}: {done.stderr}")
    return done.stdout


def site(cluster: str = CLUSTER) -> list[str]:
    """The emulator maps every AWS identity to the functions' user; people go by the kubeconfig."""
    return ["--cluster", cluster, "--kubeconfig", os.environ["KUBECONFIG"]]


def afresh() -> None:
    """The account is as at the start, and nodes of instances that are no more do not stand for those to come, which get their names."""
    door("reset")
    forget()
    kubectl("delete", "pods", "--all-namespaces", "--all", "--force", "--grace-period=0")
    kubectl("delete", "nodes", "--all")


def two_are_ready() -> None:
    deadline = time.monotonic() + 60
    while kubectl("get", "nodes", "--no-headers").count(" Ready ") < 2:
        if time.monotonic() > deadline:
            raise AssertionError(f"the two nodes do not join:\n{kubectl('get', 'nodes')}")
        time.sleep(0.5)


def stacks() -> dict[str, str]:
    return {each["StackName"]: each["StackStatus"] for each in boto3.client("cloudformation").describe_stacks()["Stacks"]}


def changes(said: str) -> list[str]:
    """What was not as it should be."""
    verbs = ("  create ", "  update ", "  remove ", "  conflict ")
    return [line for line in said.splitlines() if line.startswith(verbs)]


class Account:
    """Two VPCs: the cluster's with public, private and secondary subnets and gen3's groups, and a foreign one with the same names."""

    def __init__(self, cluster: str = CLUSTER):
        self.cluster = cluster
        self.ec2, self.iam = boto3.client("ec2"), boto3.client("iam")
        described = boto3.client("eks").describe_cluster(name=cluster)["cluster"]
        self.vpc = described["resourcesVpcConfig"]["vpcId"]
        self.own = described["resourcesVpcConfig"]["subnetIds"]
        self.subnets, self.groups = {}, {}

    def make(self) -> "Account":
        """Whatever a test has left goes, and what gen3's terraform makes is there."""
        self.unmake()
        for index, zone in enumerate("abc"):
            self.subnet(f"eks_private_{index}", zone, f"10.0.{192 + index}.0/24")
        for index, zone in enumerate("ab"):
            self.subnet(f"eks_secondary_cidr_subnet_{index}", zone, f"10.0.{200 + index}.0/24")
            public = self.subnet(f"eks_public_{index}", zone, f"10.0.{210 + index}.0/24")
            self.ec2.modify_subnet_attribute(SubnetId=public, MapPublicIpOnLaunch={"Value": True})
        self.subnet("database", "a", "10.0.220.0/24")
        for name in self.group_names():
            self.group(name, self.vpc)
        self.foreign = self.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        self.tag(self.foreign, Name="other", joiner_test="1")
        self.foreign_group = self.group(f"{self.cluster}-nodes-sg", self.foreign, keep="foreign")
        self.foreign_subnet = self.subnet("eks_private_0", "a", "10.9.1.0/24", self.foreign, keep="foreign")
        self.profile()
        self.admit_nodes()
        for subnet in self.own:
            self.ec2.delete_tags(Resources=[subnet], Tags=[{"Key": KEY}])
        return self

    def group_names(self) -> list[str]:
        name = self.cluster
        pools = [f"{name}-nodes-sg-{pool}" for pool in ("jupyter", "workflow")]
        pools += [f"ssh_eks_{name}-nodepool-{pool}" for pool in ("jupyter", "workflow")]
        return [f"{name}-nodes-sg", f"ssh_eks_{name}", f"{name}-control-plane-sg", *pools]

    def profile(self) -> None:
        name, role = f"{self.cluster}_EKS_workers", f"KarpenterNodeRole-{self.cluster}"
        try:
            self.iam.create_instance_profile(InstanceProfileName=name)
            self.iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=role)
        except self.iam.exceptions.EntityAlreadyExistsException:
            pass

    def admit_nodes(self) -> None:
        """What gen3's terraform writes into aws-auth: the nodes' role may join."""
        arn = self.iam.get_role(RoleName=f"KarpenterNodeRole-{self.cluster}")["Role"]["Arn"]
        entry = f"- rolearn: {arn}\n  username: system:node:{{{{EC2PrivateDNSName}}}}\n  groups:\n  - system:bootstrappers\n  - system:nodes\n"
        auth = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "aws-auth", "namespace": "kube-system"}, "data": {"mapRoles": entry}}
        kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=json.dumps(auth))

    def tag(self, resource: str, **tags: str) -> None:
        self.ec2.create_tags(Resources=[resource], Tags=[{"Key": key, "Value": value} for key, value in tags.items()])

    def discover(self, resource: str, value: str) -> None:
        self.ec2.create_tags(Resources=[resource], Tags=[{"Key": KEY, "Value": value}])

    def undiscover(self, *resources: str) -> None:
        self.ec2.delete_tags(Resources=list(resources), Tags=[{"Key": KEY}])

    def sizes(self) -> dict[str, list[int]]:
        groups = boto3.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
        return {each["AutoScalingGroupName"]: [each["MinSize"], each["MaxSize"], each["DesiredCapacity"]] for each in groups}

    def subnet(self, name: str, zone: str, block: str, vpc: str | None = None, keep: str = "") -> str:
        region = self.ec2.meta.region_name
        made = self.ec2.create_subnet(VpcId=vpc or self.vpc, CidrBlock=block, AvailabilityZone=region + zone)
        identifier = made["Subnet"]["SubnetId"]
        self.tag(identifier, Name=name, joiner_test="1")
        self.subnets[keep or name] = identifier
        return identifier

    def group(self, name: str, vpc: str, keep: str = "") -> str:
        made = self.ec2.create_security_group(GroupName=name + vpc[-4:], Description=name, VpcId=vpc)
        self.tag(made["GroupId"], Name=name, joiner_test="1")
        self.groups[keep or name] = made["GroupId"]
        return made["GroupId"]

    def two_nodes(self, most: int = 2, tagged: bool = False) -> str:
        """gen3's auto scaling group of workers, whose nodes no pool manages. Its terraform makes it 2/10/2 and tags it for Cluster Autoscaler."""
        scaling, name = boto3.client("autoscaling"), f"eks-worker-node-{self.cluster}"
        described = boto3.client("eks").describe_cluster(name=self.cluster)["cluster"]
        images = self.ec2.describe_images(Filters=[{"Name": "name", "Values": ["amazon-eks-node-al2023-x86_64-standard-*"]}])["Images"]
        data = f"""apiVersion: node.eks.aws/v1alpha1
kind: NodeConfig
spec:
  cluster:
    name: {self.cluster}
    apiServerEndpoint: {described["endpoint"]}
    certificateAuthority: {described["certificateAuthority"]["data"]}
    cidr: {described["kubernetesNetworkConfig"]["serviceIpv4Cidr"]}
"""
        template = {"ImageId": images[0]["ImageId"], "InstanceType": "t3.large", "UserData": base64.b64encode(data.encode()).decode()}
        try:
            self.ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=template)
        except self.ec2.exceptions.ClientError:
            pass
        tags = {f"kubernetes.io/cluster/{self.cluster}": "owned", "Name": f"eks-{self.cluster}"}
        tags |= {"k8s.io/cluster-autoscaler/enabled": ""} if tagged else {}
        every = [{"Key": k, "Value": v, "PropagateAtLaunch": True, "ResourceId": name, "ResourceType": "auto-scaling-group"} for k, v in tags.items()]
        scaling.create_auto_scaling_group(
            AutoScalingGroupName=name, MinSize=2, MaxSize=most, DesiredCapacity=2, Tags=every,
            VPCZoneIdentifier=",".join(self.own[:2]), LaunchTemplate={"LaunchTemplateName": name, "Version": "$Latest"},
        )
        return name

    def unmake(self) -> None:
        ours = [{"Name": "tag:joiner_test", "Values": ["1"]}]
        for subnet in self.ec2.describe_subnets(Filters=ours)["Subnets"]:
            self.ec2.delete_subnet(SubnetId=subnet["SubnetId"])
        for group in self.ec2.describe_security_groups(Filters=ours)["SecurityGroups"]:
            self.ec2.delete_security_group(GroupId=group["GroupId"])
        for vpc in self.ec2.describe_vpcs(Filters=ours)["Vpcs"]:
            self.ec2.delete_vpc(VpcId=vpc["VpcId"])

    def state(self) -> dict:
        """What an installation changes in the account, to compare."""
        # That of kept turns is the stack's.
        names = [each["Name"] for each in boto3.client("s3").list_buckets()["Buckets"]]
        buckets = [name for name in names if name.startswith("joiner-") and "-turns-" not in name]
        repositories = [each["repositoryName"] for each in boto3.client("ecr").describe_repositories()["repositories"]]
        mapped = kubectl("get", "configmap", "-n", "kube-system", "aws-auth", "-o", "jsonpath={.data.mapRoles}")
        return {
            "tags": self.discovery(), "stacks": stacks(), "buckets": sorted(buckets), "repositories": repositories,
            "aws-auth": mapped, "groups": self.sizes(),
        }

    def discovery(self) -> dict[str, str]:
        """The discovery tag of every subnet and group of the account that has one, by id."""
        found = {}
        for kind, key in (("Subnets", "SubnetId"), ("SecurityGroups", "GroupId")):
            call = self.ec2.describe_subnets if kind == "Subnets" else self.ec2.describe_security_groups
            for each in call()[kind]:
                tags = {tag["Key"]: tag["Value"] for tag in each.get("Tags", [])}
                if KEY in tags:
                    found[each[key]] = tags[KEY]
        return found
