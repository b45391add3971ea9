//! Requirements on nodes: wire types, rules, conversion.

use crate::finding::{Findings, field, item};
use crate::label_rules::{self, Dialect};
use crate::schema::wire;
use model::{Operator, Requirement, Requirements, labels};

wire! {
    /// A requirement on the nodes of a Provisioner.
    LegacyRequirement {
        /// The label key.
        #[schemars(required)]
        key: String,
        /// How the label's value relates to the values.
        #[schemars(required, extend("enum" = ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]))]
        operator: String,
        /// The values: at least one for In, one integer for Gt and Lt.
        values: Vec<String>,
    }
}

wire! {
    /// A requirement on nodes.
    NodeRequirement {
        /// The label key.
        #[schemars(required, length(max = 316))]
        key: String,
        /// How the label's value relates to the values.
        #[schemars(required, extend("enum" = ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Gte", "Lte"]))]
        operator: String,
        /// The values: at least one for In, one integer for the comparisons.
        values: Vec<String>,
        /// How many distinct values the nodes to choose from must have.
        #[schemars(range(min = 1, max = 50))]
        min_values: i32,
    }
}

impl From<LegacyRequirement> for NodeRequirement {
    fn from(legacy: LegacyRequirement) -> Self {
        let LegacyRequirement { key, operator, values } = legacy;
        Self { key, operator, values, min_values: None }
    }
}

/// What a list of requirements says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Read {
    /// The requirements that are whole, as written but for their keys, which are today's.
    pub(crate) list: Vec<Requirement>,
    /// `minValues` by key.
    pub(crate) min_values: Vec<(String, u32)>,
}

impl Read {
    pub(crate) fn requirements(&self) -> Requirements {
        Requirements::from_list(&self.list)
    }

    pub(crate) fn has_key(&self, key: &str) -> bool {
        self.list.iter().any(|requirement| requirement.key == key)
    }
}

/// Checks and converts the requirements at `path`.
pub(crate) fn read(
    given: Vec<NodeRequirement>,
    dialect: Dialect,
    path: &str,
    findings: &mut Findings,
) -> Read {
    let mut read = Read::default();
    for (index, wire) in given.into_iter().enumerate() {
        read_one(wire, dialect, &item(path, index), findings, &mut read);
    }
    let mut at_least = std::collections::BTreeMap::new();
    for (key, count) in read.min_values {
        let most = at_least.entry(key).or_insert(count);
        *most = count.max(*most);
    }
    read.min_values = at_least.into_iter().collect();
    read
}

fn read_one(
    wire: NodeRequirement,
    dialect: Dialect,
    path: &str,
    findings: &mut Findings,
    read: &mut Read,
) {
    let Some(key) = wire.key else { return };
    label_rules::check_key(&key, dialect, &field(path, "key"), findings);
    let Some(operator) = wire.operator.as_deref().and_then(Operator::parse) else { return };
    let values = wire.values.unwrap_or_default();
    check_values(operator, &values, &field(path, "values"), findings);
    let key = labels::normalize(&key).to_owned();
    if let Some(count) = wire.min_values.and_then(|count| u32::try_from(count).ok()) {
        let enough = operator != Operator::In || values.len() >= count as usize;
        let message = format!("{count} distinct values are asked for, {} are listed", values.len());
        findings.require(enough, "min-values", &field(path, "minValues"), &message);
        read.min_values.push((key.clone(), count));
    }
    read.list.push(Requirement { key, operator, values });
}

fn check_values(operator: Operator, values: &[String], path: &str, findings: &mut Findings) {
    for (index, value) in values.iter().enumerate() {
        label_rules::check_value(value, &item(path, index), findings);
    }
    let name = operator.as_str();
    match operator {
        Operator::In => findings.require(
            !values.is_empty(),
            "requirement-values",
            path,
            "operator In needs at least one value",
        ),
        Operator::Gt | Operator::Lt | Operator::Gte | Operator::Lte => findings.require(
            matches!(values, [only] if is_whole_number(only)),
            "requirement-values",
            path,
            &format!("operator {name} needs exactly one value, an integer of 0 or more"),
        ),
        Operator::Exists | Operator::DoesNotExist if !values.is_empty() => findings.warning(
            "requirement-values",
            path,
            format!("operator {name} takes no values; they have no effect"),
        ),
        Operator::Exists | Operator::DoesNotExist | Operator::NotIn => {}
    }
}

fn is_whole_number(text: &str) -> bool {
    text.parse::<i64>().is_ok_and(|number| number >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(operator: &str, values: &[&str], min_values: Option<i32>, rules: &[&str]) {
        let wire = NodeRequirement {
            key: Some("team".to_owned()),
            operator: Some(operator.to_owned()),
            values: Some(values.iter().map(|value| (*value).to_owned()).collect()),
            min_values,
        };
        let mut findings = Findings::default();
        read(vec![wire], Dialect::Modern, "spec.requirements", &mut findings);
        let found: Vec<_> = findings.into_vec().iter().map(|finding| finding.rule).collect();
        assert_eq!(found, rules, "{operator} {values:?} {min_values:?}");
    }

    #[test]
    fn operators_want_their_number_of_values() {
        check("In", &["a"], None, &[]);
        check("In", &[], None, &["requirement-values"]);
        check("NotIn", &[], None, &[]);
        check("NotIn", &["a"], None, &[]);
        check("Exists", &[], None, &[]);
        check("Exists", &["a"], None, &["requirement-values"]);
        check("DoesNotExist", &[], None, &[]);
        for operator in ["Gt", "Lt", "Gte", "Lte"] {
            check(operator, &["2"], None, &[]);
            check(operator, &["0"], None, &[]);
            check(operator, &[], None, &["requirement-values"]);
            check(operator, &["1", "2"], None, &["requirement-values"]);
            check(operator, &["x"], None, &["requirement-values"]);
            check(operator, &["-1"], None, &["label-value", "requirement-values"]);
            check(operator, &["99999999999999999999"], None, &["requirement-values"]);
        }
        check("In", &["a b"], None, &["label-value"]);
    }

    #[test]
    fn in_lists_at_least_min_values() {
        check("In", &["a", "b"], Some(2), &[]);
        check("In", &["a"], Some(2), &["min-values"]);
        check("Exists", &[], Some(2), &[]);
    }

    #[test]
    fn the_largest_min_values_of_a_key_counts_and_old_keys_become_todays() {
        let wire = |key: &str, count| NodeRequirement {
            key: Some(key.to_owned()),
            operator: Some("Exists".to_owned()),
            values: None,
            min_values: Some(count),
        };
        let given =
            vec![wire("beta.kubernetes.io/instance-type", 3), wire(labels::INSTANCE_TYPE, 5)];
        let read = read(given, Dialect::Modern, "r", &mut Findings::default());
        assert_eq!(read.min_values, [(labels::INSTANCE_TYPE.to_owned(), 5)]);
        assert!(read.has_key(labels::INSTANCE_TYPE));
    }
}
