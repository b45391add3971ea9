"""What the account has before anything is launched: a VPC, a role for nodes, images, the EKS cluster."""

import json

from moto.ec2.models import ec2_backends
from moto.eks.models import Cluster, eks_backends
from moto.iam.models import iam_backends
from moto.ssm.models import ssm_backends

from . import images

VERSIONS = ["1.32", "1.33", "1.34", "1.35"]
ZONES = ["a", "b", "c"]
NODE_POLICIES = [
    "AmazonEKSWorkerNodePolicy",
    "AmazonEKS_CNI_Policy",
    "AmazonEC2ContainerRegistryReadOnly",
    "AmazonSSMManagedInstanceCore",
]


ISSUER = "oidc.eks.{region}.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF"


def seed(facts: dict) -> None:
    account, region, cluster = facts["account"], facts["region"], facts["cluster"]
    ec2 = ec2_backends[account][region]
    network = seed_network(ec2, cluster, region)
    iam = iam_backends[account]["aws"]
    role = seed_node_role(iam, cluster)
    iam.create_open_id_connect_provider(f"https://{ISSUER.format(region=region)}", [], ["sts.amazonaws.com"], [])
    images.seed(ec2, ssm_backends[account][region], VERSIONS)
    seed_cluster(eks_backends[account][region], facts, network, role)


def neighbour(facts: dict) -> dict:
    """Another cluster of the account, in a VPC of its own, with the same API server."""
    account, region = facts["account"], facts["region"]
    network = seed_network(ec2_backends[account][region], facts["cluster"], region, "10.64")
    role = seed_node_role(iam_backends[account]["aws"], facts["cluster"])
    seed_cluster(eks_backends[account][region], facts, network, role)
    return network


def publish(facts: dict, public: bool) -> None:
    """Whether the cluster's API server has a public endpoint."""
    cluster = eks_backends[facts["account"]][facts["region"]].clusters[facts["cluster"]]
    cluster.resources_vpc_config["endpointPublicAccess"] = public


def tags(cluster: str, name: str) -> dict[str, str]:
    return {
        "Name": name,
        "karpenter.sh/discovery": cluster,
        f"kubernetes.io/cluster/{cluster}": "owned",
    }


def seed_network(ec2, cluster: str, region: str, block: str = "10.0") -> dict:
    vpc = ec2.create_vpc(f"{block}.0.0/16")
    vpc.add_tags({"Name": cluster})
    subnets = []
    for index, zone in enumerate(ZONES):
        subnet = ec2.create_subnet(vpc.id, f"{block}.{index * 64}.0/18", availability_zone=f"{region}{zone}")
        subnet.add_tags(tags(cluster, f"{cluster}-private-{region}{zone}"))
        subnets.append(subnet.id)
    nodes = ec2.create_security_group(f"{cluster}-node", "nodes", vpc_id=vpc.id)
    nodes.add_tags(tags(cluster, f"{cluster}-node"))
    # EKS makes this one itself; it has EKS's own tag only.
    own = ec2.create_security_group(f"eks-cluster-sg-{cluster}", "cluster", vpc_id=vpc.id)
    own.add_tags({"aws:eks:cluster-name": cluster, f"kubernetes.io/cluster/{cluster}": "owned"})
    return {"vpc": vpc.id, "subnets": subnets, "group": own.id}


def seed_node_role(iam, cluster: str) -> str:
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "ec2.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    name = f"KarpenterNodeRole-{cluster}"
    role = iam.create_role(name, json.dumps(trust), "/", None, "nodes of the cluster", [], 3600)
    for policy in NODE_POLICIES:
        iam.attach_role_policy(f"arn:aws:iam::aws:policy/{policy}", name)
    profile = f"KarpenterNodeInstanceProfile-{cluster}"
    iam.create_instance_profile(profile, "/", [])
    iam.add_role_to_instance_profile(profile, name)
    return role.arn


def seed_cluster(eks, facts: dict, network: dict, role: str) -> None:
    cluster = Cluster(
        name=facts["cluster"],
        role_arn=role,
        resources_vpc_config={
            "subnetIds": network["subnets"],
            "securityGroupIds": [],
            "clusterSecurityGroupId": network["group"],
            "vpcId": network["vpc"],
            "endpointPublicAccess": True,
            "endpointPrivateAccess": True,
            "publicAccessCidrs": ["0.0.0.0/0"],
        },
        account_id=facts["account"],
        region_name=facts["region"],
        aws_partition="aws",
        version=VERSIONS[-1],
        kubernetes_network_config={"serviceIpv4Cidr": facts["service_cidr"], "ipFamily": "ipv4"},
    )
    if "endpoint" in facts:
        cluster.endpoint = facts["endpoint"]
        cluster.certificate_authority = {"data": facts["certificate_authority"]}
    # As EKS writes them: moto's ids have all letters.
    cluster.identity = {"oidc": {"issuer": f"https://{ISSUER.format(region=facts['region'])}"}}
    eks.clusters[cluster.name] = cluster
    eks.cluster_count += 1
