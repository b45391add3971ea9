//! The legacy selectors of subnets, security groups and images: maps with a few special keys.

use crate::finding::{Findings, field};
use std::collections::BTreeMap;

/// What a selector selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selected {
    Subnets,
    SecurityGroups,
    Images,
}

impl Selected {
    fn id_prefix(self) -> &'static str {
        match self {
            Self::Subnets => "subnet-",
            Self::SecurityGroups => "sg-",
            Self::Images => "ami-",
        }
    }
}

/// The two spellings of the key that lists ids.
pub(crate) const IDS: [&str; 2] = ["aws-ids", "aws::ids"];

/// Checks the selector at `path` (karpenter-provider-aws v0.31, `awsnodetemplate_validation.go`).
pub(crate) fn check(
    selector: &BTreeMap<String, String>,
    selected: Selected,
    path: &str,
    findings: &mut Findings,
) {
    for (key, value) in selector {
        let path = field(path, key);
        findings.require(!key.is_empty(), "selector-key", &path, "must not be empty");
        findings.require(
            !value.is_empty(),
            "selector-value",
            &path,
            "must not be empty; * selects any value",
        );
        if IDS.contains(&key.as_str()) {
            let message = format!("{key} may not stand beside other keys");
            findings.require(selector.len() == 1, "selector-ids-alone", &path, &message);
            check_ids(value, selected.id_prefix(), &path, findings);
        } else if let Some(special) = key.strip_prefix("aws::") {
            let known = selected == Selected::Images && ["name", "owners"].contains(&special);
            let message = format!("{key} is not known here; it would be read as a tag");
            findings.require(known, "selector-key", &path, &message);
        }
    }
}

fn check_ids(value: &str, prefix: &str, path: &str, findings: &mut Findings) {
    for id in value.split(',').filter(|_| !value.is_empty()) {
        let trimmed = id.trim();
        if trimmed.len() != id.len() {
            let message = format!("spaces around {trimmed} are left out");
            findings.warning("selector-id-spaces", path, message);
        }
        let message =
            format!("{trimmed:?} is not an id: write {prefix} and lower-case letters or digits");
        findings.require(is_id(trimmed, prefix), "selector-id", path, &message);
    }
}

/// Whether the text is the prefix and at least one lower-case letter or digit.
pub(crate) fn is_id(text: &str, prefix: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Selected::*;

    fn check_rules(selected: Selected, entries: &[(&str, &str)], rules: &[&str]) {
        let selector =
            entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut findings = Findings::default();
        check(&selector, selected, "spec.selector", &mut findings);
        let found: Vec<_> = findings.into_vec().iter().map(|finding| finding.rule).collect();
        assert_eq!(found, rules, "{entries:?}");
    }

    #[test]
    fn selectors_are_tags_or_ids() {
        check_rules(Subnets, &[("karpenter.sh/discovery", "vpc")], &[]);
        check_rules(Subnets, &[("Name", "*"), ("team", "a,b")], &[]);
        check_rules(Subnets, &[("Name", "")], &["selector-value"]);
        check_rules(Subnets, &[("", "a")], &["selector-key"]);
        for key in IDS {
            check_rules(Subnets, &[(key, "subnet-1a,subnet-2b")], &[]);
            check_rules(SecurityGroups, &[(key, "sg-1a")], &[]);
            check_rules(Images, &[(key, "ami-1a")], &[]);
            check_rules(Subnets, &[(key, "sg-1a")], &["selector-id"]);
            check_rules(Images, &[(key, "ami-1A")], &["selector-id"]);
            check_rules(Images, &[(key, "ami-")], &["selector-id"]);
            check_rules(Images, &[(key, "")], &["selector-value"]);
            check_rules(
                Images,
                &[(key, "ami-1a "), ("zone", "x")],
                &["selector-ids-alone", "selector-id-spaces"],
            );
        }
    }

    #[test]
    fn only_images_are_selected_by_name_and_owner() {
        check_rules(Images, &[("aws::name", "EKS-FIPS*"), ("aws::owners", "self")], &[]);
        check_rules(Subnets, &[("aws::name", "x")], &["selector-key"]);
        check_rules(Images, &[("aws::nams", "x")], &["selector-key"]);
    }
}
