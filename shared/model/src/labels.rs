//! Every label, annotation, taint and tag name, once.

/// The node's name.
pub const HOSTNAME: &str = "kubernetes.io/hostname";
/// The availability zone's name.
pub const ZONE: &str = "topology.kubernetes.io/zone";
/// The region.
pub const REGION: &str = "topology.kubernetes.io/region";
/// The availability zone's id.
pub const ZONE_ID: &str = "topology.k8s.aws/zone-id";
/// The instance type.
pub const INSTANCE_TYPE: &str = "node.kubernetes.io/instance-type";
/// The Windows build.
pub const WINDOWS_BUILD: &str = "node.kubernetes.io/windows-build";
/// The processor architecture.
pub const ARCH: &str = "kubernetes.io/arch";
/// The operating system.
pub const OS: &str = "kubernetes.io/os";

/// The prefix of Karpenter's own labels, annotations and taints.
pub const KARPENTER_PREFIX: &str = "karpenter.sh/";
/// The node pool.
pub const NODE_POOL: &str = "karpenter.sh/nodepool";
/// The legacy name of the node pool's label.
pub const PROVISIONER_NAME: &str = "karpenter.sh/provisioner-name";
/// Set to `true` once a node is set up.
pub const INITIALIZED: &str = "karpenter.sh/initialized";
/// Set to `true` once a node has joined.
pub const REGISTERED: &str = "karpenter.sh/registered";
/// How capacity is paid for.
pub const CAPACITY_TYPE: &str = "karpenter.sh/capacity-type";
/// Managed node groups' label for how capacity is paid for (`ON_DEMAND`, `SPOT`).
pub const EKS_CAPACITY_TYPE: &str = "eks.amazonaws.com/capacityType";
/// The older label for how capacity is paid for (`spot`), which self-managed node groups set.
pub const LIFECYCLE: &str = "node.kubernetes.io/lifecycle";
/// Managed node groups' label for the node group's name.
pub const EKS_NODE_GROUP: &str = "eks.amazonaws.com/nodegroup";

/// Forbids voluntary disruption of a pod or node.
pub const DO_NOT_DISRUPT: &str = "karpenter.sh/do-not-disrupt";
/// The legacy name on pods.
pub const DO_NOT_EVICT: &str = "karpenter.sh/do-not-evict";
/// The legacy name on nodes.
pub const DO_NOT_CONSOLIDATE: &str = "karpenter.sh/do-not-consolidate";
/// The legacy annotation that says since when a node has been empty.
pub const EMPTINESS_TIMESTAMP: &str = "karpenter.sh/emptiness-timestamp";
/// On a claim with a termination grace period that is being deleted: when its pods must be gone.
pub const TERMINATION_TIMESTAMP: &str = "karpenter.sh/nodeclaim-termination-timestamp";
/// Tag of the legacy releases that names the cluster which made an instance.
pub const MANAGED_BY_TAG: &str = "karpenter.sh/managed-by";
/// Tag that names the claim of an instance.
pub const NODE_CLAIM_TAG: &str = "karpenter.sh/nodeclaim";
/// Tag that names the node class of an instance.
pub const NODE_CLASS_TAG: &str = "karpenter.k8s.aws/ec2nodeclass";
/// Tag of subnets and security groups by which gen3's and Karpenter's examples find them; the value is the VPC's or cluster's name.
pub const DISCOVERY: &str = "karpenter.sh/discovery";
/// Tag of every instance of a cluster, with the value `owned`: this and the cluster's name.
pub const CLUSTER_TAG_PREFIX: &str = "kubernetes.io/cluster/";
/// Tag that names the cluster of an instance.
pub const EKS_CLUSTER_TAG: &str = "eks:eks-cluster-name";
/// Tag of an instance and annotation of a claim: the call that bought it.
pub const BATCH: &str = "joiner.dev/batch";
/// Annotation of a claim: its launch request, as JSON.
pub const LAUNCH: &str = "joiner.dev/launch";
/// Annotation of a claim: what AWS told about its instance, as JSON.
pub const INTERRUPTION: &str = "joiner.dev/interruption";
/// Annotation of a claim: its disruption, as JSON.
pub const DISRUPTION: &str = "joiner.dev/disruption";
/// Annotation of a pool: the least saving per moved pod, in dollars a month.
pub const SAVING_PER_MOVE: &str = "joiner.dev/saving-per-move";
/// Annotation of a pool: what is added to spot prices for their interruptions, in per cent.
pub const SPOT_PREMIUM: &str = "joiner.dev/spot-premium";
/// Annotation of a pool: the least part of its CPUs that is not spot, in per cent.
pub const ON_DEMAND_SHARE: &str = "joiner.dev/on-demand-share";
/// Annotation of a pool: `ignore` or `replace`.
pub const REBALANCE: &str = "joiner.dev/rebalance";
/// Annotation of a pool: nodes made before this time are replaced.
pub const ROTATE: &str = "joiner.dev/rotate";
/// Annotation of a pool: when voluntary disruption may happen, in a named time zone.
pub const DISRUPTION_WINDOWS: &str = "joiner.dev/disruption-windows";
/// Annotation of pools and claims: the hash of the pool's template.
pub const NODE_POOL_HASH: &str = "karpenter.sh/nodepool-hash";
/// Annotation of pools and claims: how that hash is made.
pub const NODE_POOL_HASH_VERSION: &str = "karpenter.sh/nodepool-hash-version";
/// Annotation of classes and claims: the hash of the class's template.
pub const NODE_CLASS_HASH: &str = "karpenter.k8s.aws/ec2nodeclass-hash";
/// Annotation of classes and claims: how that hash is made.
pub const NODE_CLASS_HASH_VERSION: &str = "karpenter.k8s.aws/ec2nodeclass-hash-version";
/// Finalizer of claims and nodes.
pub const TERMINATION_FINALIZER: &str = "karpenter.sh/termination";
/// Taint of a node that is being taken away.
pub const DISRUPTED_TAINT: &str = "karpenter.sh/disrupted";
/// Label that takes a node out of load balancers.
pub const EXCLUDE_FROM_LOAD_BALANCERS: &str =
    "node.kubernetes.io/exclude-from-external-load-balancers";
/// Label of nodes whose bootstrap registers them with their taints.
pub const DO_NOT_SYNC_TAINTS: &str = "karpenter.sh/do-not-sync-taints";

/// Kubernetes' annotation of which pods to delete first.
pub const POD_DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Label of every namespace: its name.
pub const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Taint of a node that has not registered yet.
pub const UNREGISTERED_TAINT: &str = "karpenter.sh/unregistered";
/// Kubernetes' taint of a cordoned node.
pub const UNSCHEDULABLE_TAINT: &str = "node.kubernetes.io/unschedulable";
/// Kubernetes' taint of a node that is not ready.
pub const NOT_READY_TAINT: &str = "node.kubernetes.io/not-ready";
/// Kubernetes' taint of a node that does not answer.
pub const UNREACHABLE_TAINT: &str = "node.kubernetes.io/unreachable";
/// Taint that the cloud controller takes away.
pub const UNINITIALIZED_TAINT: &str = "node.cloudprovider.kubernetes.io/uninitialized";
/// Prefix of taints that node readiness gates put on and take away.
pub const READINESS_TAINT_PREFIX: &str = "readiness.k8s.io/";

/// The prefix of the provider's instance labels.
pub const INSTANCE_LABEL_PREFIX: &str = "karpenter.k8s.aws/";

/// The capacity reservation that a node runs in, by id.
pub const RESERVATION_ID: &str = "karpenter.k8s.aws/capacity-reservation-id";
/// `default` or `capacity-block`.
pub const RESERVATION_TYPE: &str = "karpenter.k8s.aws/capacity-reservation-type";

/// The generation of the instance type: `7` of m7i.
pub const INSTANCE_GENERATION: &str = "karpenter.k8s.aws/instance-generation";

/// The provider's labels that follow from the instance type, without their prefix.
pub const INSTANCE_LABELS: &[&str] = &[
    "instance-hypervisor",
    "instance-encryption-in-transit-supported",
    "instance-category",
    "instance-capability-flex",
    "instance-family",
    "instance-generation",
    "instance-size",
    "instance-local-nvme",
    "instance-cpu",
    "instance-cpu-manufacturer",
    "instance-cpu-sustained-clock-speed-mhz",
    "instance-memory",
    "instance-ebs-bandwidth",
    "instance-network-bandwidth",
    "instance-gpu-name",
    "instance-gpu-manufacturer",
    "instance-gpu-count",
    "instance-gpu-memory",
    "instance-accelerator-name",
    "instance-accelerator-manufacturer",
    "instance-accelerator-count",
    "instance-tenancy",
    "nitro-sandbox",
    "capacity-reservation-id",
    "capacity-reservation-type",
    "capacity-reservation-interruptible",
    "placement-group-id",
    "placement-group-partition",
];

/// Old label names and those that took their place.
pub const ALIASES: &[(&str, &str)] = &[
    ("failure-domain.beta.kubernetes.io/zone", ZONE),
    ("failure-domain.beta.kubernetes.io/region", REGION),
    ("beta.kubernetes.io/arch", ARCH),
    ("beta.kubernetes.io/os", OS),
    ("beta.kubernetes.io/instance-type", INSTANCE_TYPE),
    ("topology.ebs.csi.aws.com/zone", ZONE),
];

/// Today's name of a label key.
pub fn normalize(key: &str) -> &str {
    ALIASES.iter().find(|(old, _)| *old == key).map_or(key, |(_, new)| new)
}

/// Whether the value of this label follows from the instance type or its offering: a node either has it from there or not at all.
pub fn is_well_known(key: &str) -> bool {
    const KEYS: &[&str] =
        &[ZONE, REGION, ZONE_ID, INSTANCE_TYPE, WINDOWS_BUILD, ARCH, OS, CAPACITY_TYPE];
    let of_instance = |rest: &str| INSTANCE_LABELS.contains(&rest);
    KEYS.contains(&key) || key.strip_prefix(INSTANCE_LABEL_PREFIX).is_some_and(of_instance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_names_become_todays() {
        assert_eq!(normalize("beta.kubernetes.io/arch"), ARCH);
        assert_eq!(normalize("team"), "team");
    }

    #[test]
    fn well_known_labels_are_those_of_types_and_offerings() {
        assert!(is_well_known("karpenter.k8s.aws/instance-family"));
        assert!(is_well_known(ZONE));
        assert!(!is_well_known("karpenter.k8s.aws/other"));
        assert!(!is_well_known(NODE_POOL));
    }
}
