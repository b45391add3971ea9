//! Requirements on labels and their algebra: sets of values, their complements, and integer bounds.

use crate::Labels;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The operators of node selector requirements; `Gte` and `Lte` are Karpenter's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Operator {
    /// The value is one of the listed.
    In,
    /// There is no value, or it is none of the listed.
    NotIn,
    /// There is a value.
    Exists,
    /// There is no value.
    DoesNotExist,
    /// The value is an integer greater than the one listed.
    Gt,
    /// The value is an integer less than the one listed.
    Lt,
    /// The value is an integer of at least the one listed.
    Gte,
    /// The value is an integer of at most the one listed.
    Lte,
}

impl Operator {
    /// The operator of that name.
    pub fn parse(text: &str) -> Option<Self> {
        const ALL: [Operator; 8] = [
            Operator::In,
            Operator::NotIn,
            Operator::Exists,
            Operator::DoesNotExist,
            Operator::Gt,
            Operator::Lt,
            Operator::Gte,
            Operator::Lte,
        ];
        ALL.into_iter().find(|operator| operator.as_str() == text)
    }

    /// The name as Kubernetes and Karpenter write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::In => "In",
            Self::NotIn => "NotIn",
            Self::Exists => "Exists",
            Self::DoesNotExist => "DoesNotExist",
            Self::Gt => "Gt",
            Self::Lt => "Lt",
            Self::Gte => "Gte",
            Self::Lte => "Lte",
        }
    }
}

/// One requirement as written: a key, an operator, values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Requirement {
    /// The label key.
    pub key: String,
    /// The operator.
    pub operator: Operator,
    /// The values; one integer for the four comparisons, none for the two existence operators.
    pub values: Vec<String>,
}

impl Requirement {
    /// A requirement from its parts.
    pub fn new<V: Into<String>>(
        key: &str,
        operator: Operator,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        Self { key: key.to_owned(), operator, values: values.into_iter().map(Into::into).collect() }
    }

    /// The values that it allows.
    pub fn value_set(&self) -> ValueSet {
        let listed = || self.values.iter().cloned().collect::<BTreeSet<_>>();
        let bound = || self.values.first().and_then(|value| value.parse::<i64>().ok());
        match self.operator {
            Operator::In => ValueSet { values: listed(), ..ValueSet::none() },
            Operator::NotIn => ValueSet { values: listed(), ..ValueSet::absent_or_any() },
            Operator::Exists => ValueSet::any(),
            Operator::DoesNotExist => ValueSet { allows_absent: true, ..ValueSet::none() },
            Operator::Gt => bound()
                .map_or_else(ValueSet::none, |b| ValueSet { above: Some(b), ..ValueSet::any() }),
            Operator::Gte => bound().map_or_else(ValueSet::none, |b| ValueSet {
                above: b.checked_sub(1),
                ..ValueSet::any()
            }),
            Operator::Lt => bound()
                .map_or_else(ValueSet::none, |b| ValueSet { below: Some(b), ..ValueSet::any() }),
            Operator::Lte => bound().map_or_else(ValueSet::none, |b| ValueSet {
                below: b.checked_add(1),
                ..ValueSet::any()
            }),
        }
    }

    /// Whether a node with these labels satisfies it, by the rules of Kubernetes' node selectors.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.value_set().allows(labels.get(&self.key).map(String::as_str))
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, self.operator.as_str())?;
        if self.values.is_empty() { Ok(()) } else { write!(f, " [{}]", self.values.join(", ")) }
    }
}

/// A set of label values: listed ones, or all but the listed ones, within integer bounds; and whether the label may be absent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ValueSet {
    /// Whether `values` are those left out, not those let in.
    pub complement: bool,
    /// The listed values.
    pub values: BTreeSet<String>,
    /// Values must be integers above this.
    pub above: Option<i64>,
    /// Values must be integers below this.
    pub below: Option<i64>,
    /// Whether a node without the label satisfies the set (`NotIn`, `DoesNotExist`).
    pub allows_absent: bool,
}

impl ValueSet {
    /// No value at all, nor the label's absence.
    pub fn none() -> Self {
        Self {
            complement: false,
            values: BTreeSet::new(),
            above: None,
            below: None,
            allows_absent: false,
        }
    }

    /// Any value (`Exists`).
    pub fn any() -> Self {
        Self { complement: true, ..Self::none() }
    }

    /// Any value, or none.
    pub fn absent_or_any() -> Self {
        Self { allows_absent: true, ..Self::any() }
    }

    /// Exactly this value.
    pub fn only(value: &str) -> Self {
        Self { values: BTreeSet::from([value.to_owned()]), ..Self::none() }
    }

    /// Whether a node whose label has this value (`None`: no such label) satisfies the set.
    pub fn allows(&self, value: Option<&str>) -> bool {
        match value {
            None => self.allows_absent,
            Some(value) => {
                self.values.contains(value) != self.complement && self.within_bounds(value)
            }
        }
    }

    /// The values that both sets allow.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let above = self.above.max(other.above);
        let below = self.below.into_iter().chain(other.below).min();
        let (complement, values) = match (self.complement, other.complement) {
            (true, true) => (true, &self.values | &other.values),
            (true, false) => (false, &other.values - &self.values),
            (false, true) => (false, &self.values - &other.values),
            (false, false) => (false, &self.values & &other.values),
        };
        let allows_absent = self.allows_absent && other.allows_absent;
        let mut set = Self { complement, values, above, below, allows_absent };
        set.drop_values_out_of_bounds();
        set
    }

    /// The one value that the set allows, if it is listed and the only one.
    pub fn single(&self) -> Option<&str> {
        let only = !self.complement && self.values.len() == 1;
        self.values.first().filter(|value| only && self.within_bounds(value)).map(String::as_str)
    }

    fn within_bounds(&self, value: &str) -> bool {
        if self.above.is_none() && self.below.is_none() {
            return true;
        }
        let Ok(number) = value.parse::<i64>() else { return false };
        self.above.is_none_or(|above| number > above)
            && self.below.is_none_or(|below| number < below)
    }

    fn drop_values_out_of_bounds(&mut self) {
        if !self.complement {
            let values = std::mem::take(&mut self.values);
            self.values = values.into_iter().filter(|value| self.within_bounds(value)).collect();
        }
    }
}

impl fmt::Display for ValueSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = self.values.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        match (self.complement, self.values.is_empty()) {
            (false, true) => write!(f, "DoesNotExist")?,
            (false, false) => write!(f, "In [{listed}]")?,
            (true, true) => write!(f, "Exists")?,
            (true, false) => write!(f, "NotIn [{listed}]")?,
        }
        self.above.map_or(Ok(()), |above| write!(f, " > {above}"))?;
        self.below.map_or(Ok(()), |below| write!(f, " < {below}"))
    }
}

/// Requirements by key, all of which must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Requirements(BTreeMap<String, ValueSet>);

impl Requirements {
    /// No requirements.
    pub fn new() -> Self {
        Self::default()
    }

    /// The intersection of all the requirements listed.
    pub fn from_list<'a>(list: impl IntoIterator<Item = &'a Requirement>) -> Self {
        let mut requirements = Self::new();
        for requirement in list {
            requirements.add(&requirement.key, requirement.value_set());
        }
        requirements
    }

    /// Narrows `key` to `set`.
    pub fn add(&mut self, key: &str, set: ValueSet) {
        let narrowed = self.0.get(key).map(|present| present.intersection(&set));
        self.0.insert(key.to_owned(), narrowed.unwrap_or(set));
    }

    /// The set for `key`, if there is a requirement on it.
    pub fn get(&self, key: &str) -> Option<&ValueSet> {
        self.0.get(key)
    }

    /// Keys and sets, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ValueSet)> {
        self.0.iter().map(|(key, set)| (key.as_str(), set))
    }

    /// Whether a node with exactly these labels satisfies them all.
    pub fn match_labels(&self, labels: &Labels) -> bool {
        self.0.iter().all(|(key, set)| set.allows(labels.get(key).map(String::as_str)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(operator: Operator, values: &[&str]) -> ValueSet {
        Requirement::new("k", operator, values.iter().copied()).value_set()
    }

    fn check(operator: Operator, values: &[&str], value: Option<&str>, expected: bool) {
        assert_eq!(
            set(operator, values).allows(value),
            expected,
            "{operator:?} {values:?} {value:?}"
        );
    }

    #[test]
    fn operators_follow_kubernetes() {
        use Operator::*;
        check(In, &["a", "b"], Some("a"), true);
        check(In, &["a"], Some("b"), false);
        check(In, &["a"], None, false);
        check(NotIn, &["a"], Some("a"), false);
        check(NotIn, &["a"], Some("b"), true);
        check(NotIn, &["a"], None, true);
        check(Exists, &[], Some("x"), true);
        check(Exists, &[], None, false);
        check(DoesNotExist, &[], None, true);
        check(DoesNotExist, &[], Some("x"), false);
        check(Gt, &["2"], Some("3"), true);
        check(Gt, &["2"], Some("2"), false);
        check(Gt, &["2"], Some("x"), false);
        check(Gt, &["2"], None, false);
        check(Gt, &["x"], Some("3"), false);
        check(Lt, &["2"], Some("1"), true);
        check(Lt, &["2"], Some("2"), false);
        check(Gte, &["2"], Some("2"), true);
        check(Gte, &["2"], Some("1"), false);
        check(Lte, &["2"], Some("2"), true);
        check(Lte, &["2"], Some("3"), false);
    }

    fn any_set() -> impl Strategy<Value = ValueSet> {
        let operator = prop::sample::select(vec![
            Operator::In,
            Operator::NotIn,
            Operator::Exists,
            Operator::DoesNotExist,
            Operator::Gt,
            Operator::Lt,
            Operator::Gte,
            Operator::Lte,
        ]);
        (operator, prop::collection::vec(0..6_i64, 1..4)).prop_map(|(operator, numbers)| {
            let values = numbers.iter().map(i64::to_string);
            Requirement::new("k", operator, values).value_set()
        })
    }

    proptest! {
        #[test]
        fn an_intersection_allows_what_both_allow(a in any_set(), b in any_set()) {
            let both = a.intersection(&b);
            let candidates = (0..8_i64).map(|n| Some(n.to_string())).chain([Some("x".to_owned()), None]);
            for value in candidates {
                let value = value.as_deref();
                prop_assert_eq!(both.allows(value), a.allows(value) && b.allows(value), "{:?}", value);
            }
        }
    }
}
