//! Node selector terms, label selectors, affinities, tolerations and spread constraints.

use crate::wire::{
    FieldError, Read, field, integer32, labels, list, required, string, text, wrong,
};
use model::labels::normalize;
use model::pod::{
    InclusionPolicy, NodeSelectorTerm, PodAffinityTerm, TopologySpread, Weighted, WhenUnsatisfiable,
};
use model::selector::SelectorExpression;
use model::{Effect, LabelSelector, Labels, Operator, Requirement, Taint, Toleration};
use serde_json::Value;

/// The alternatives of a node selector (`nodeSelectorTerms`).
pub(crate) fn node_selector(value: &Value) -> Read<Vec<NodeSelectorTerm>> {
    list(value, "nodeSelectorTerms", node_selector_term)
}

/// One term of a node selector.
pub(crate) fn node_selector_term(term: &Value) -> Read<NodeSelectorTerm> {
    let mut requirements = list(term, "matchExpressions", requirement)?;
    let mut fields = list(term, "matchFields", requirement)?;
    requirements.sort();
    fields.sort();
    Ok(NodeSelectorTerm { requirements, fields })
}

fn requirement(value: &Value) -> Read<Requirement> {
    let key = required(value, "key", text)?;
    let operator = required(value, "operator", |value| {
        let known = Operator::parse(text(value)?);
        known.ok_or_else(|| wrong(value, "In, NotIn, Exists, DoesNotExist, Gt or Lt"))
    })?;
    let values = list(value, "values", string)?;
    Ok(Requirement::new(normalize(key), operator, values))
}

/// A preferred node affinity term with its weight.
pub(crate) fn preferred_node_term(value: &Value) -> Read<Weighted<NodeSelectorTerm>> {
    let weight = required(value, "weight", integer32)?;
    Ok(Weighted { weight, term: required(value, "preference", node_selector_term)? })
}

/// A preferred pod affinity term with its weight.
pub(crate) fn preferred_pod_term(value: &Value, own: &Labels) -> Read<Weighted<PodAffinityTerm>> {
    let weight = required(value, "weight", integer32)?;
    let term = required(value, "podAffinityTerm", |term| pod_affinity_term(term, own))?;
    Ok(Weighted { weight, term })
}

/// A term of pod affinity or anti-affinity of a pod with these labels.
pub(crate) fn pod_affinity_term(term: &Value, own: &Labels) -> Read<PodAffinityTerm> {
    let topology_key = required(term, "topologyKey", text)?;
    let equal = of_own(own, &list(term, "matchLabelKeys", string)?, SelectorExpression::In);
    let unequal = of_own(own, &list(term, "mismatchLabelKeys", string)?, SelectorExpression::NotIn);
    let mut namespaces = list(term, "namespaces", string)?;
    namespaces.sort();
    Ok(PodAffinityTerm {
        topology_key: normalize(topology_key).to_owned(),
        selector: joined(selector_field(term)?, equal.into_iter().chain(unequal)),
        namespaces,
        namespace_selector: field(term, "namespaceSelector", label_selector)?,
    })
}

/// The pod's own values of these labels as expressions; a label that it does not have says nothing.
fn of_own(
    own: &Labels,
    keys: &[String],
    expression: fn(String, Vec<String>) -> SelectorExpression,
) -> Vec<SelectorExpression> {
    let value = |key: &String| Some(expression(key.clone(), vec![own.get(key)?.clone()]));
    keys.iter().filter_map(value).collect()
}

/// The selector and more, as the API server joins them; one that selects nothing still does.
fn joined(
    selector: LabelSelector,
    more: impl Iterator<Item = SelectorExpression>,
) -> LabelSelector {
    match selector.expressions {
        Some(expressions) => LabelSelector::new(expressions.into_iter().chain(more).collect()),
        None => selector,
    }
}

/// A topology spread constraint of a pod with these labels.
pub(crate) fn topology_spread(value: &Value, own: &Labels) -> Read<TopologySpread> {
    let when = |value| match text(value)? {
        "DoNotSchedule" => Ok(WhenUnsatisfiable::DoNotSchedule),
        "ScheduleAnyway" => Ok(WhenUnsatisfiable::ScheduleAnyway),
        _ => Err(wrong(value, "DoNotSchedule or ScheduleAnyway")),
    };
    let policy = |value| match text(value)? {
        "Honor" => Ok(InclusionPolicy::Honor),
        "Ignore" => Ok(InclusionPolicy::Ignore),
        _ => Err(wrong(value, "Honor or Ignore")),
    };
    let max_skew = |value| match integer32(value)? {
        skew if skew >= 1 => Ok(skew),
        _ => Err(wrong(value, "at least 1")),
    };
    let match_label_keys = list(value, "matchLabelKeys", string)?;
    let equal = of_own(own, &match_label_keys, SelectorExpression::In);
    Ok(TopologySpread {
        max_skew: required(value, "maxSkew", max_skew)?,
        topology_key: normalize(required(value, "topologyKey", text)?).to_owned(),
        when_unsatisfiable: field(value, "whenUnsatisfiable", when)?
            .unwrap_or(WhenUnsatisfiable::DoNotSchedule),
        selector: joined(selector_field(value)?, equal.into_iter()),
        min_domains: field(value, "minDomains", integer32)?,
        match_label_keys,
        node_affinity_policy: field(value, "nodeAffinityPolicy", policy)?
            .unwrap_or(InclusionPolicy::Honor),
        node_taints_policy: field(value, "nodeTaintsPolicy", policy)?
            .unwrap_or(InclusionPolicy::Ignore),
    })
}

fn selector_field(value: &Value) -> Read<LabelSelector> {
    Ok(field(value, "labelSelector", label_selector)?.unwrap_or_else(LabelSelector::nothing))
}

/// A label selector that is there; an empty one selects everything.
pub(crate) fn label_selector(value: &Value) -> Read<LabelSelector> {
    let equal = |(key, value)| SelectorExpression::In(key, vec![value]);
    let same = field(value, "matchLabels", labels)?.unwrap_or_default().into_iter().map(equal);
    let expressions = list(value, "matchExpressions", selector_expression)?;
    Ok(LabelSelector::new(same.chain(expressions).collect()))
}

fn selector_expression(value: &Value) -> Read<SelectorExpression> {
    let key = required(value, "key", string)?;
    let mut values = list(value, "values", string)?;
    values.sort();
    match required(value, "operator", text)? {
        "In" => Ok(SelectorExpression::In(key, values)),
        "NotIn" => Ok(SelectorExpression::NotIn(key, values)),
        "Exists" => Ok(SelectorExpression::Exists(key)),
        "DoesNotExist" => Ok(SelectorExpression::DoesNotExist(key)),
        other => Err(FieldError::new(format!(
            "must be In, NotIn, Exists or DoesNotExist, not {other:?}"
        ))
        .under("operator")),
    }
}

fn effect(value: &Value) -> Read<Option<Effect>> {
    match text(value)? {
        "" => Ok(None),
        name => Effect::parse(name)
            .map(Some)
            .ok_or_else(|| wrong(value, "NoSchedule, PreferNoSchedule or NoExecute")),
    }
}

/// A pod's toleration.
pub(crate) fn toleration(value: &Value) -> Read<Toleration> {
    let exists = |value| match text(value)? {
        "Exists" => Ok(true),
        "Equal" | "" => Ok(false),
        _ => Err(wrong(value, "Exists or Equal")),
    };
    let key = field(value, "key", text)?.filter(|key| !key.is_empty());
    Ok(Toleration {
        key: key.map(str::to_owned),
        exists: field(value, "operator", exists)?.unwrap_or(false),
        value: field(value, "value", string)?.unwrap_or_default(),
        effect: field(value, "effect", effect)?.flatten(),
    })
}

/// A node's taint.
pub(crate) fn taint(value: &Value) -> Read<Taint> {
    let effect = required(value, "effect", |value| {
        effect(value)?.ok_or_else(|| wrong(value, "NoSchedule, PreferNoSchedule or NoExecute"))
    })?;
    Ok(Taint {
        key: required(value, "key", string)?,
        value: field(value, "value", string)?.unwrap_or_default(),
        effect,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(read: Read<LabelSelector>, expected: &[SelectorExpression]) {
        assert_eq!(read, Ok(LabelSelector::new(expected.to_vec())));
    }

    #[test]
    fn a_pods_own_labels_join_its_selectors() {
        let own =
            Labels::from([("app", "web"), ("hash", "7c5")].map(|(k, v)| (k.into(), v.into())));
        let selected = json!({"matchLabels": {"app": "web"}});
        let app = SelectorExpression::In("app".into(), vec!["web".into()]);
        let same = SelectorExpression::In("hash".into(), vec!["7c5".into()]);
        let other = SelectorExpression::NotIn("hash".into(), vec!["7c5".into()]);
        let spread = |keys| {
            let value = json!({"maxSkew": 1, "topologyKey": "zone", "labelSelector": selected, "matchLabelKeys": keys});
            topology_spread(&value, &own).map(|spread| spread.selector)
        };
        check(spread(json!(["hash"])), &[app.clone(), same.clone()]);
        check(spread(json!(["unknown"])), std::slice::from_ref(&app));
        let term = |key: &str| {
            let mut value = json!({"topologyKey": "zone", "labelSelector": selected});
            value[key] = json!(["hash"]);
            pod_affinity_term(&value, &own).map(|term| term.selector)
        };
        check(term("matchLabelKeys"), &[app.clone(), same]);
        check(term("mismatchLabelKeys"), &[app, other]);
        let nothing = json!({"topologyKey": "zone", "matchLabelKeys": ["hash"]});
        let read = pod_affinity_term(&nothing, &own).map(|term| term.selector);
        assert_eq!(read, Ok(LabelSelector::nothing()));
    }
}
