//! Label selectors of pods, as spread constraints, affinities and disruption budgets use them.

use crate::Labels;
use serde::{Deserialize, Serialize};

/// One expression of a label selector.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SelectorExpression {
    /// The label is there and its value is one of these.
    In(String, Vec<String>),
    /// The label is not there, or its value is none of these.
    NotIn(String, Vec<String>),
    /// The label is there.
    Exists(String),
    /// The label is not there.
    DoesNotExist(String),
}

impl SelectorExpression {
    /// The label key that it speaks of.
    pub fn key(&self) -> &str {
        match self {
            Self::In(key, _)
            | Self::NotIn(key, _)
            | Self::Exists(key)
            | Self::DoesNotExist(key) => key,
        }
    }

    fn matches(&self, labels: &Labels) -> bool {
        match self {
            Self::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Self::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
            Self::Exists(key) => labels.contains_key(key),
            Self::DoesNotExist(key) => !labels.contains_key(key),
        }
    }
}

/// A label selector: all expressions must hold. Kubernetes' nil selector is `None` and matches nothing; an empty one matches everything.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LabelSelector {
    /// The expressions (`matchLabels` are `In` with one value), sorted; `None` for a nil selector.
    pub expressions: Option<Vec<SelectorExpression>>,
}

impl LabelSelector {
    /// A selector from expressions, in a canonical order so that equal selectors compare equal.
    pub fn new(mut expressions: Vec<SelectorExpression>) -> Self {
        expressions.sort();
        expressions.dedup();
        Self { expressions: Some(expressions) }
    }

    /// A selector on equal labels.
    pub fn from_labels(labels: &Labels) -> Self {
        let equal = |(key, value): (&String, &String)| {
            SelectorExpression::In(key.clone(), vec![value.clone()])
        };
        Self::new(labels.iter().map(equal).collect())
    }

    /// The nil selector, which matches nothing.
    pub fn nothing() -> Self {
        Self { expressions: None }
    }

    /// A label and the values of which every pod selected has one, if the selector asks for any.
    pub fn one_of(&self) -> Option<(&str, &[String])> {
        self.expressions.iter().flatten().find_map(|expression| match expression {
            SelectorExpression::In(key, values) => Some((key.as_str(), values.as_slice())),
            SelectorExpression::NotIn(..)
            | SelectorExpression::Exists(_)
            | SelectorExpression::DoesNotExist(_) => None,
        })
    }

    /// Whether a pod with these labels is selected.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.expressions
            .as_ref()
            .is_some_and(|all| all.iter().all(|expression| expression.matches(labels)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nil_matches_nothing_and_empty_matches_everything() {
        let labels = Labels::from([("app".to_owned(), "web".to_owned())]);
        assert!(!LabelSelector::nothing().matches(&labels));
        assert!(LabelSelector::new(vec![]).matches(&labels));
    }

    #[test]
    fn expressions_follow_kubernetes_on_absent_labels() {
        let labels = Labels::from([("app".to_owned(), "web".to_owned())]);
        let check = |expression: SelectorExpression, expected: bool| {
            assert_eq!(
                LabelSelector::new(vec![expression.clone()]).matches(&labels),
                expected,
                "{expression:?}"
            );
        };
        check(SelectorExpression::In("app".into(), vec!["web".into()]), true);
        check(SelectorExpression::In("tier".into(), vec!["web".into()]), false);
        check(SelectorExpression::NotIn("tier".into(), vec!["web".into()]), true);
        check(SelectorExpression::NotIn("app".into(), vec!["web".into()]), false);
        check(SelectorExpression::Exists("tier".into()), false);
        check(SelectorExpression::DoesNotExist("tier".into()), true);
    }
}
