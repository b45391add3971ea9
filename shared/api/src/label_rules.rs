//! Which label keys a pool may set or require.
//! Sources: karpenter core v0.31 `labels.go` and core v1 `labels.go`.

use crate::finding::{Findings, field};
use crate::names;
use model::{Labels, labels};
use std::collections::BTreeMap;

/// Whose rules hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// A `Provisioner`.
    Legacy,
    /// A `NodePool`.
    Modern,
    /// A `NodeClaim`: made by a controller, which may name the pool.
    Claim,
}

const LEGACY_DOMAINS: &[&str] = &["kubernetes.io", "k8s.io", "karpenter.sh", "karpenter.k8s.aws"];
const MODERN_DOMAINS: &[&str] = &["karpenter.sh", "karpenter.k8s.aws"];
const LEGACY_EXCEPTIONS: &[&str] =
    &["kops.k8s.io", "node.kubernetes.io", "node-restriction.kubernetes.io"];

/// Why this (normalised) key may not be used, if so.
pub(crate) fn restriction(key: &str, dialect: Dialect) -> Option<String> {
    if labels::is_well_known(key) {
        return None;
    }
    let (domains, exceptions, never): (_, _, &[&str]) = match dialect {
        Dialect::Legacy => (
            LEGACY_DOMAINS,
            LEGACY_EXCEPTIONS,
            &[labels::HOSTNAME, labels::EMPTINESS_TIMESTAMP, labels::PROVISIONER_NAME],
        ),
        Dialect::Modern => (MODERN_DOMAINS, &[][..], &[labels::HOSTNAME, labels::NODE_POOL]),
        Dialect::Claim => return None,
    };
    if never.contains(&key) {
        return Some(format!(
            "label {key} is set by Joiner or the kubelet and may not be used here"
        ));
    }
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    let ends_with = |suffix: &&&str| domain.ends_with(**suffix);
    if exceptions.iter().any(|suffix| domain.ends_with(suffix)) {
        return None;
    }
    let restricted = domains.iter().find(ends_with)?;
    Some(format!(
        "labels of the domain {restricted} are restricted; {key} is none of those allowed"
    ))
}

/// Checks the labels of a pool's nodes and gives them today's keys.
pub(crate) fn read(
    given: Option<&BTreeMap<String, String>>,
    dialect: Dialect,
    path: &str,
    findings: &mut Findings,
) -> Labels {
    let mut read = Labels::new();
    for (key, value) in given.into_iter().flatten() {
        let path = field(path, key);
        check_key(key, dialect, &path, findings);
        check_value(value, &path, findings);
        read.insert(labels::normalize(key).to_owned(), value.clone());
    }
    read
}

/// Checks a label key's syntax and whether it may be used.
pub(crate) fn check_key(key: &str, dialect: Dialect, path: &str, findings: &mut Findings) {
    if !names::is_qualified(key) {
        let message = format!("{key:?} is not a label key: write [domain/]name");
        findings.error("label-key", path, message);
    } else if let Some(message) = restriction(labels::normalize(key), dialect) {
        findings.error("label-restricted", path, message);
    }
}

/// Checks a label value's syntax.
pub(crate) fn check_value(value: &str, path: &str, findings: &mut Findings) {
    let message = format!(
        "{value:?} is not a label value: use at most 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit"
    );
    findings.require(names::is_label_value(value), "label-value", path, &message);
}

/// Checks that an object's name can be the value of the label that its nodes carry.
pub(crate) fn check_pool_name(name: &str, findings: &mut Findings) {
    findings.require(
        names::is_label_value(name),
        "name",
        "metadata.name",
        "must have at most 63 characters, as its nodes carry it as a label",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, dialect: Dialect, allowed: bool) {
        assert_eq!(
            restriction(labels::normalize(key), dialect).is_none(),
            allowed,
            "{key} {dialect:?}"
        );
    }

    #[test]
    fn legacy_restricts_four_domains_with_exceptions() {
        check("team", Dialect::Legacy, true);
        check("jina.ai/node-type", Dialect::Legacy, true);
        check("kubernetes.io/arch", Dialect::Legacy, true);
        check("beta.kubernetes.io/arch", Dialect::Legacy, true);
        check("karpenter.k8s.aws/instance-family", Dialect::Legacy, true);
        check("karpenter.sh/capacity-type", Dialect::Legacy, true);
        check("node.kubernetes.io/anything", Dialect::Legacy, true);
        check("node-restriction.kubernetes.io/team", Dialect::Legacy, true);
        check("kops.k8s.io/instancegroup", Dialect::Legacy, true);
        check("kubernetes.io/hostname", Dialect::Legacy, false);
        check("kubernetes.io/custom", Dialect::Legacy, false);
        check("sub.k8s.io/custom", Dialect::Legacy, false);
        check("karpenter.sh/provisioner-name", Dialect::Legacy, false);
        check("karpenter.sh/emptiness-timestamp", Dialect::Legacy, false);
        check("karpenter.sh/custom", Dialect::Legacy, false);
        check("karpenter.k8s.aws/custom", Dialect::Legacy, false);
    }

    #[test]
    fn modern_restricts_karpenters_own_domains() {
        check("kubernetes.io/custom", Dialect::Modern, true);
        check("example.k8s.io/custom", Dialect::Modern, true);
        check("kubernetes.io/hostname", Dialect::Modern, false);
        check("karpenter.sh/nodepool", Dialect::Modern, false);
        check("karpenter.sh/custom", Dialect::Modern, false);
        check("karpenter.k8s.aws/custom", Dialect::Modern, false);
        check("karpenter.k8s.aws/instance-cpu", Dialect::Modern, true);
        check("karpenter.sh/nodepool", Dialect::Claim, true);
    }
}
