//! Selector terms of an EC2NodeClass: wire types and rules.
//! Source: karpenter-provider-aws v1 `ec2nodeclass.go`.

use crate::finding::{Findings, field, item};
use crate::schema::wire;
use crate::selector_map::is_id;
use model::pool::ImageFamily;
use std::collections::BTreeMap;

type Tags = BTreeMap<String, String>;

wire! {
    /// Selects subnets: by tags or by id.
    SubnetSelectorTerm {
        /// Tags that they have; * is any value.
        #[schemars(extend("maxProperties" = 20))]
        tags: BTreeMap<String, String>,
        /// The subnet's id.
        id: String,
    }
}

wire! {
    /// Selects security groups: by tags, by id or by name.
    SecurityGroupSelectorTerm {
        /// Tags that they have; * is any value.
        #[schemars(extend("maxProperties" = 20))]
        tags: BTreeMap<String, String>,
        /// The group's id.
        id: String,
        /// The group's name, which is not its tag Name.
        name: String,
    }
}

wire! {
    /// Selects images: by alias, by id, by parameter, or by tags, name and owner.
    AmiSelectorTerm {
        /// A family of EKS's own images and their version: al2023@latest.
        #[schemars(length(max = 30))]
        alias: String,
        /// Tags that they have; * is any value.
        #[schemars(extend("maxProperties" = 20))]
        tags: BTreeMap<String, String>,
        /// The image's id.
        id: String,
        /// The image's name, which is not its tag Name; * is any text.
        name: String,
        /// The image's owner: an account's id, self, amazon or aws-marketplace.
        owner: String,
        /// The SSM parameter that holds the image's id.
        ssm_parameter: String,
    }
}

wire! {
    /// Selects capacity reservations: by id, or by tags, owner and match criteria.
    CapacityReservationSelectorTerm {
        /// Tags that they have; * is any value.
        #[schemars(extend("maxProperties" = 20))]
        tags: BTreeMap<String, String>,
        /// The reservation's id.
        id: String,
        /// The account that owns it.
        #[serde(rename = "ownerID")]
        #[schemars(regex(pattern = "^[0-9]{12}$"))]
        owner_id: String,
        /// Which instances it takes.
        #[schemars(extend("enum" = ["open", "targeted"]))]
        instance_match_criteria: String,
    }
}

wire! {
    /// Selects a placement group: by name or by id.
    PlacementGroupSelector {
        /// The group's name.
        name: String,
        /// The group's id.
        id: String,
    }
}

/// One field of a term: its name, and whether it is given.
type Given = (&'static str, bool);

/// At least one of `any_of` must be given; each of `alone` excludes all other fields of the term.
fn check_fields(
    given: &[Given],
    any_of: &[&str],
    alone: &[&str],
    path: &str,
    findings: &mut Findings,
) {
    let is_given = |name: &str| given.iter().any(|(field, given)| *given && *field == name);
    let message = format!("one of {} must be given", any_of.join(", "));
    findings.require(any_of.iter().any(|name| is_given(name)), "term-empty", path, &message);
    let count = given.iter().filter(|(_, given)| *given).count();
    for name in alone.iter().filter(|name| is_given(name)) {
        let message = format!("{name} may not stand beside other fields of its term");
        findings.require(count == 1, "term-exclusive", &field(path, name), &message);
    }
}

fn check_tags(tags: Option<&Tags>, path: &str, findings: &mut Findings) {
    let path = field(path, "tags");
    for (key, value) in tags.into_iter().flatten() {
        let message = "tag keys and values must not be empty; * selects any value";
        findings.require(
            !key.is_empty() && !value.is_empty(),
            "term-tag",
            &field(&path, key),
            message,
        );
    }
}

fn check_id(id: Option<&String>, prefix: &str, path: &str, findings: &mut Findings) {
    let Some(id) = id else { return };
    let path = field(path, "id");
    if id.trim().len() != id.len() {
        findings.warning("selector-id-spaces", &path, "spaces around the id are left out");
    }
    let message = format!("{id:?} is not an id: write {prefix} and lower-case letters or digits");
    findings.require(is_id(id.trim(), prefix), "selector-id", &path, &message);
}

/// Checks `subnetSelectorTerms`.
pub(crate) fn check_subnets(terms: &[SubnetSelectorTerm], path: &str, findings: &mut Findings) {
    for (index, term) in terms.iter().enumerate() {
        let path = item(path, index);
        let given = [("tags", term.tags.is_some()), ("id", term.id.is_some())];
        check_fields(&given, &["tags", "id"], &["id"], &path, findings);
        check_tags(term.tags.as_ref(), &path, findings);
        check_id(term.id.as_ref(), "subnet-", &path, findings);
    }
}

/// Checks `securityGroupSelectorTerms`.
pub(crate) fn check_security_groups(
    terms: &[SecurityGroupSelectorTerm],
    path: &str,
    findings: &mut Findings,
) {
    for (index, term) in terms.iter().enumerate() {
        let path = item(path, index);
        let (tags, id, name) = (term.tags.is_some(), term.id.is_some(), term.name.is_some());
        let given = [("tags", tags), ("id", id), ("name", name)];
        check_fields(&given, &["tags", "id", "name"], &["id", "name"], &path, findings);
        check_tags(term.tags.as_ref(), &path, findings);
        check_id(term.id.as_ref(), "sg-", &path, findings);
    }
}

/// Checks `capacityReservationSelectorTerms`.
pub(crate) fn check_reservations(
    terms: &[CapacityReservationSelectorTerm],
    path: &str,
    findings: &mut Findings,
) {
    for (index, term) in terms.iter().enumerate() {
        let path = item(path, index);
        let given = [
            ("tags", term.tags.is_some()),
            ("id", term.id.is_some()),
            ("ownerID", term.owner_id.is_some()),
            ("instanceMatchCriteria", term.instance_match_criteria.is_some()),
        ];
        let any_of = ["tags", "id", "instanceMatchCriteria"];
        check_fields(&given, &any_of, &["id"], &path, findings);
        check_tags(term.tags.as_ref(), &path, findings);
        check_id(term.id.as_ref(), "cr-", &path, findings);
    }
}

/// Checks `placementGroupSelector`.
pub(crate) fn check_placement_group(
    selector: &PlacementGroupSelector,
    path: &str,
    findings: &mut Findings,
) {
    let given = [("name", selector.name.is_some()), ("id", selector.id.is_some())];
    check_fields(&given, &["name", "id"], &["name", "id"], path, findings);
    check_id(selector.id.as_ref(), "pg-", path, findings);
}

/// Checks `amiSelectorTerms`.
pub(crate) fn check_images(terms: &[AmiSelectorTerm], path: &str, findings: &mut Findings) {
    for (index, term) in terms.iter().enumerate() {
        let path = item(path, index);
        let given = [
            ("tags", term.tags.is_some()),
            ("id", term.id.is_some()),
            ("name", term.name.is_some()),
            ("alias", term.alias.is_some()),
            ("ssmParameter", term.ssm_parameter.is_some()),
            ("owner", term.owner.is_some()),
        ];
        let any_of = ["tags", "id", "name", "alias", "ssmParameter"];
        check_fields(&given, &any_of, &["id", "alias"], &path, findings);
        check_tags(term.tags.as_ref(), &path, findings);
        check_id(term.id.as_ref(), "ami-", &path, findings);
        let alias = term.alias.iter();
        alias.for_each(|alias| check_alias(alias, &field(&path, "alias"), findings));
    }
    let alias_alone = terms.len() <= 1 || terms.iter().all(|term| term.alias.is_none());
    findings.require(
        alias_alone,
        "alias-alone",
        path,
        "a term with an alias must be the only term",
    );
}

const ALIASES: [(&str, ImageFamily); 6] = [
    ("al2", ImageFamily::Al2),
    ("al2023", ImageFamily::Al2023),
    ("bottlerocket", ImageFamily::Bottlerocket),
    ("windows2019", ImageFamily::Windows2019),
    ("windows2022", ImageFamily::Windows2022),
    ("windows2025", ImageFamily::Windows2025),
];

fn check_alias(alias: &str, path: &str, findings: &mut Findings) {
    let Some((name, version)) = alias.split_once('@').filter(|(_, version)| !version.is_empty())
    else {
        let message =
            format!("{alias:?} is not an alias: write family@version, as in al2023@latest");
        findings.error("alias", path, message);
        return;
    };
    let Some((_, family)) = ALIASES.iter().find(|(known, _)| *known == name) else {
        let known = ALIASES.map(|(name, _)| name).join(", ");
        findings.error("alias", path, format!("{name:?} is none of {known}"));
        return;
    };
    let fits = !family.is_windows() || version == "latest";
    findings.require(fits, "alias", path, "Windows images have no version but latest");
}

/// The image family that the terms name by an alias.
pub(crate) fn family_of_alias(terms: &[AmiSelectorTerm]) -> Option<ImageFamily> {
    let alias = terms.iter().find_map(|term| term.alias.as_deref())?;
    let (name, _) = alias.split_once('@')?;
    ALIASES.iter().find(|(known, _)| *known == name).map(|(_, family)| *family)
}
