//! The kinds that are read, where they are served, and what is kept of them.

use super::mask::{ALL, Mask, NONE, except, only};

/// One kind.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// Empty for the core group.
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) mask: &'static Mask,
    /// Whether it comes from a custom resource definition, which may be missing.
    pub(crate) custom: bool,
}

impl Kind {
    /// `v1`, `apps/v1`.
    pub(crate) fn api_version(&self) -> String {
        match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// The path of its list over all namespaces.
    pub(crate) fn path(&self) -> String {
        match self.group {
            "" => format!("/api/{}/{}", self.version, self.plural),
            group => format!("/apis/{group}/{}/{}", self.version, self.plural),
        }
    }
}

const fn core(name: &'static str, plural: &'static str, mask: &'static Mask) -> Kind {
    Kind { name, group: "", version: "v1", plural, mask, custom: false }
}

const fn grouped(
    name: &'static str,
    group: &'static str,
    plural: &'static str,
    mask: &'static Mask,
) -> Kind {
    Kind { name, group, version: "v1", plural, mask, custom: false }
}

const fn custom(
    name: &'static str,
    group: &'static str,
    version: &'static str,
    plural: &'static str,
) -> Kind {
    Kind { name, group, version, plural, mask: &CUSTOM, custom: true }
}

pub(crate) const NODE_CLAIM: Kind = custom("NodeClaim", "karpenter.sh", "v1", "nodeclaims");
pub(crate) const NODE: Kind = core("Node", "nodes", &NODE_MASK);
pub(crate) const POD: Kind = core("Pod", "pods", &POD_MASK);
pub(crate) const CONFIG_MAP: Kind = core("ConfigMap", "configmaps", &CONFIG_MAP_MASK);

/// Room that is kept free.
pub(crate) const BUFFER: &str = crate::kinds::buffers::KIND;

/// Pools, classes, overlays, buffers and budgets: read in every turn.
pub(crate) const QUICK: [Kind; 7] = [
    custom("NodePool", "karpenter.sh", "v1", "nodepools"),
    custom("EC2NodeClass", "karpenter.k8s.aws", "v1", "ec2nodeclasses"),
    custom("Provisioner", "karpenter.sh", "v1alpha5", "provisioners"),
    custom("NodeOverlay", "karpenter.sh", "v1alpha1", "nodeoverlays"),
    custom("AWSNodeTemplate", "karpenter.k8s.aws", "v1alpha1", "awsnodetemplates"),
    custom(BUFFER, "autoscaling.x-k8s.io", "v1beta1", "capacitybuffers"),
    grouped("PodDisruptionBudget", "policy", "poddisruptionbudgets", &BUDGET_MASK),
];

/// What pods and nodes refer to: read after them in a turn that acts, and every few minutes otherwise.
pub(crate) const SLOW: [Kind; 8] = [
    core("PersistentVolumeClaim", "persistentvolumeclaims", &CLAIM_MASK),
    core("PersistentVolume", "persistentvolumes", &VOLUME_MASK),
    core("Namespace", "namespaces", &NAMESPACE_MASK),
    grouped("StorageClass", "storage.k8s.io", "storageclasses", &OBJECT),
    grouped("CSINode", "storage.k8s.io", "csinodes", &OBJECT),
    grouped("VolumeAttachment", "storage.k8s.io", "volumeattachments", &ATTACHMENT_MASK),
    grouped("DaemonSet", "apps", "daemonsets", &DAEMON_SET_MASK),
    core("PodTemplate", "podtemplates", &TEMPLATE_MASK),
];

const METADATA: Mask = only(&[
    ("name", ALL),
    ("namespace", ALL),
    ("uid", ALL),
    ("resourceVersion", ALL),
    ("labels", ALL),
    ("annotations", ANNOTATIONS),
    ("creationTimestamp", ALL),
    ("deletionTimestamp", ALL),
    ("finalizers", ALL),
    ("ownerReferences", only(&[("kind", ALL), ("name", ALL), ("controller", ALL)])),
]);

/// The annotations that the readers of core kinds look at.
const ANNOTATIONS: Mask = only(&[
    (model::labels::DO_NOT_DISRUPT, ALL),
    (model::labels::DO_NOT_EVICT, ALL),
    (model::labels::DO_NOT_CONSOLIDATE, ALL),
    (model::labels::EMPTINESS_TIMESTAMP, ALL),
    (model::labels::POD_DELETION_COST, ALL),
    ("kubernetes.io/config.mirror", ALL),
    ("storageclass.kubernetes.io/is-default-class", ALL),
    ("storageclass.beta.kubernetes.io/is-default-class", ALL),
]);

const OBJECT: Mask = except(&[("metadata", METADATA)]);
/// Custom resources are checked as a whole, and classes go to whoever asks AWS.
const CUSTOM: Mask = except(&[("metadata", except(&[("managedFields", NONE)]))]);
const NAMESPACE_MASK: Mask = only(&[("metadata", METADATA)]);
const CONFIG_MAP_MASK: Mask = only(&[("metadata", METADATA), ("data", ALL)]);

const CONDITIONS: Mask =
    only(&[("type", ALL), ("status", ALL), ("reason", ALL), ("lastTransitionTime", ALL)]);

const NODE_MASK: Mask = only(&[
    ("metadata", METADATA),
    ("spec", only(&[("taints", ALL), ("providerID", ALL), ("unschedulable", ALL)])),
    ("status", only(&[("capacity", ALL), ("allocatable", ALL), ("conditions", CONDITIONS)])),
]);

const POD_MASK: Mask = only(&[
    ("metadata", METADATA),
    ("spec", POD_SPEC),
    (
        "status",
        only(&[
            ("phase", ALL),
            ("startTime", ALL),
            ("conditions", CONDITIONS),
            ("nominatedNodeName", ALL),
            ("containerStatuses", CONTAINER_STATUSES),
            ("initContainerStatuses", CONTAINER_STATUSES),
        ]),
    ),
]);

/// What a container holds during a resize in place.
const CONTAINER_STATUSES: Mask = only(&[("name", ALL), ("allocatedResources", ALL)]);

const CONTAINERS: Mask =
    only(&[("name", ALL), ("resources", ALL), ("ports", ALL), ("restartPolicy", ALL)]);

const POD_SPEC: Mask = only(&[
    ("nodeName", ALL),
    ("nodeSelector", ALL),
    ("affinity", ALL),
    ("tolerations", ALL),
    ("topologySpreadConstraints", ALL),
    ("containers", CONTAINERS),
    ("initContainers", CONTAINERS),
    ("resources", ALL),
    ("overhead", ALL),
    ("hostNetwork", ALL),
    ("priority", ALL),
    ("schedulerName", ALL),
    ("schedulingGates", ALL),
    ("terminationGracePeriodSeconds", ALL),
    ("resourceClaims", ALL),
    ("volumes", only(&[("name", ALL), ("persistentVolumeClaim", ALL), ("ephemeral", ALL)])),
]);

const DAEMON_SET_MASK: Mask =
    only(&[("metadata", METADATA), ("spec", only(&[("template", only(&[("spec", POD_SPEC)]))]))]);

const TEMPLATE_MASK: Mask = only(&[
    ("metadata", METADATA),
    ("template", only(&[("metadata", only(&[("labels", ALL)])), ("spec", POD_SPEC)])),
]);

const BUDGET_MASK: Mask = only(&[
    ("metadata", METADATA),
    ("spec", only(&[("selector", ALL), ("unhealthyPodEvictionPolicy", ALL)])),
    ("status", only(&[("disruptionsAllowed", ALL)])),
]);

const CLAIM_MASK: Mask = only(&[
    ("metadata", METADATA),
    ("spec", only(&[("volumeName", ALL), ("storageClassName", ALL)])),
    ("status", only(&[("phase", ALL)])),
]);

const VOLUME_MASK: Mask = only(&[
    ("metadata", METADATA),
    ("spec", except(&[("claimRef", NONE), ("csi", only(&[("driver", ALL)]))])),
]);

const ATTACHMENT_MASK: Mask = only(&[("metadata", METADATA), ("spec", ALL)]);
