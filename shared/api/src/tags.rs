//! Tags that users may not set, because Joiner and EKS find their own things by them.

use crate::finding::{Findings, field};
use model::labels::{
    CLUSTER_TAG_PREFIX, EKS_CLUSTER_TAG, MANAGED_BY_TAG, NODE_CLAIM_TAG, NODE_CLASS_TAG, NODE_POOL,
    PROVISIONER_NAME,
};
use std::collections::BTreeMap;

type Tags = BTreeMap<String, String>;

/// Checks the tags of an AWSNodeTemplate (karpenter-provider-aws v0.31).
pub(crate) fn check_legacy(tags: Option<&Tags>, path: &str, findings: &mut Findings) {
    let restricted = |key: &str| {
        key.starts_with(CLUSTER_TAG_PREFIX) || [PROVISIONER_NAME, MANAGED_BY_TAG].contains(&key)
    };
    check(tags, restricted, path, findings);
}

/// Checks the tags of an EC2NodeClass (karpenter-provider-aws v1).
pub(crate) fn check_modern(tags: Option<&Tags>, path: &str, findings: &mut Findings) {
    const KEYS: [&str; 4] = [EKS_CLUSTER_TAG, NODE_POOL, NODE_CLAIM_TAG, NODE_CLASS_TAG];
    let restricted = |key: &str| {
        key.starts_with(CLUSTER_TAG_PREFIX.trim_end_matches('/')) || KEYS.contains(&key)
    };
    check(tags, restricted, path, findings);
}

fn check(
    tags: Option<&Tags>,
    restricted: impl Fn(&str) -> bool,
    path: &str,
    findings: &mut Findings,
) {
    for key in tags.into_iter().flatten().map(|(key, _)| key) {
        let path = field(path, key);
        findings.require(!key.is_empty(), "tag-key", &path, "must not be empty");
        let message = format!("the tag {key} is set by the autoscaler itself; leave it out");
        findings.require(!restricted(key), "tag-restricted", &path, &message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_identify_the_cluster_are_refused() {
        type Check = fn(Option<&Tags>, &str, &mut Findings);
        let check = |check: Check, key: &str, rules: &[&str]| {
            let mut findings = Findings::default();
            check(
                Some(&Tags::from([(key.to_owned(), "x".to_owned())])),
                "spec.tags",
                &mut findings,
            );
            let found: Vec<_> = findings.into_vec().iter().map(|finding| finding.rule).collect();
            assert_eq!(found, rules, "{key}");
        };
        for key in ["Name", "karpenter.sh/discovery", "vadc:purpose"] {
            check(check_legacy, key, &[]);
            check(check_modern, key, &[]);
        }
        for key in
            ["kubernetes.io/cluster/a", "karpenter.sh/provisioner-name", "karpenter.sh/managed-by"]
        {
            check(check_legacy, key, &["tag-restricted"]);
        }
        for key in [
            "kubernetes.io/cluster/a",
            "eks:eks-cluster-name",
            "karpenter.sh/nodepool",
            "karpenter.sh/nodeclaim",
            "karpenter.k8s.aws/ec2nodeclass",
        ] {
            check(check_modern, key, &["tag-restricted"]);
        }
        check(check_modern, "", &["tag-key"]);
    }
}
