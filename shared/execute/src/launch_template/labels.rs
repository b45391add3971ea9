//! The labels and taints that a node registers with.

use crate::ports::FleetRequest;
use model::node_class::NodeClassSpec;
use model::pool::{ApiVersion, ImageFamily};
use model::{Effect, Labels, Taint, labels};

/// The namespaces under which the kubelet may label its own node, beside those that are not Kubernetes' own
/// (Kubernetes' `IsKubeletLabel`).
const KUBELET_NAMESPACES: &[&str] = &["kubelet.kubernetes.io", "node.kubernetes.io"];

/// Labels of Kubernetes' own namespaces that the kubelet may set. The host name is not passed: it differs between nodes.
const KUBELET_LABELS: &[&str] = &[
    labels::ARCH,
    labels::OS,
    labels::ZONE,
    labels::REGION,
    labels::INSTANCE_TYPE,
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/instance-type",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
];

/// Whether the kubelet starts with `--node-labels` that hold this key. Others are put on the node once it has registered.
pub(super) fn kubelet_may_set(key: &str) -> bool {
    let Some((namespace, _)) = key.split_once('/') else { return true };
    let within = |domain: &str| {
        namespace == domain
            || namespace.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
    };
    let kubernetes_own = within("kubernetes.io") || within("k8s.io");
    !kubernetes_own
        || KUBELET_LABELS.contains(&key)
        || KUBELET_NAMESPACES.iter().any(|domain| within(domain))
}

/// The labels to pass: the request's, the pool, how it is paid for, and that the bootstrap registers the taints.
pub(super) fn node_labels(request: &FleetRequest, spec: &NodeClassSpec) -> Labels {
    let mut all = request.labels.clone();
    let mut set = |key: &str, value: &str| all.insert(key.to_owned(), value.to_owned());
    set(labels::NODE_POOL, &request.node_pool);
    set(labels::CAPACITY_TYPE, request.capacity_type.as_str());
    if spec.api_version == Some(ApiVersion::Legacy) {
        set(labels::PROVISIONER_NAME, &request.node_pool);
    }
    if spec.image_family != ImageFamily::Custom {
        set(labels::DO_NOT_SYNC_TAINTS, "true");
    }
    all.retain(|key, _| kubelet_may_set(key));
    all
}

/// The taints to pass: the request's, and the one that keeps pods away until the node's labels are right.
pub(super) fn node_taints(request: &FleetRequest) -> Vec<Taint> {
    let unregistered = Taint {
        key: labels::UNREGISTERED_TAINT.to_owned(),
        value: String::new(),
        effect: Effect::NoExecute,
    };
    let mut taints = request.taints.clone();
    taints.push(unregistered);
    taints.sort();
    taints.dedup();
    taints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, expected: bool) {
        assert_eq!(kubelet_may_set(key), expected, "{key}");
    }

    #[test]
    fn the_kubelet_sets_labels_outside_of_kubernetes_own_namespaces_and_few_within() {
        check("team", true);
        check("example.com/team", true);
        check("karpenter.sh/nodepool", true);
        check("topology.k8s.aws/zone-id", true);
        check("kubernetes.io/arch", true);
        check("node.kubernetes.io/lifecycle", true);
        check("x.node.kubernetes.io/y", true);
        check("xnode.kubernetes.io/y", false);
        check("kubelet.kubernetes.io/y", true);
        check("kubernetes.io/hostname", false);
        check("kubernetes.io/cluster", false);
        check("node-restriction.kubernetes.io/team", false);
        check("node-role.kubernetes.io/worker", false);
        check("k8s.io/x", false);
        check("kops.k8s.io/instancegroup", false);
        check("notkubernetes.io/x", true);
    }
}
