//! `DaemonSet` and `PodDisruptionBudget`.

use super::metadata::Metadata;
use super::pod_spec;
use super::selectors::label_selector;
use crate::intern::Interner;
use crate::wire::{Read, deep, field, integer32, required, text};
use model::snapshot::{DaemonSet, PodDisruptionBudget};
use model::{LabelSelector, Pod, PodSpec};
use serde_json::Value;

/// Reads a daemonset, with the spec of its template.
pub(crate) fn daemon_set(
    object: &Value,
    metadata: Metadata,
    interner: &mut Interner,
) -> Read<DaemonSet> {
    let template = |spec| {
        required(spec, "template", |template| {
            required(template, "spec", |spec| pod_spec::read(spec, None, &model::Labels::new()))
        })
    };
    let spec = interner.spec(required(object, "spec", template)?);
    Ok(DaemonSet { namespace: metadata.namespace, name: metadata.name, spec })
}

/// The spec of a daemonset's pod, without the node that the daemonset controller ties it to.
pub(crate) fn spec_of_daemon(pod: &Pod) -> PodSpec {
    let mut spec = PodSpec::clone(&pod.spec);
    spec.node_affinity.iter_mut().for_each(|term| term.fields.clear());
    if spec.node_affinity.iter().any(|term| term.requirements.is_empty()) {
        spec.node_affinity.clear();
    }
    spec
}

/// Reads a disruption budget.
pub(crate) fn disruption_budget(object: &Value, metadata: Metadata) -> Read<PodDisruptionBudget> {
    let selector = field(object, "spec", |spec| field(spec, "selector", label_selector))?.flatten();
    let allowed = deep(object, &["status", "disruptionsAllowed"], integer32)?;
    let of_unready = deep(object, &["spec", "unhealthyPodEvictionPolicy"], text)?;
    Ok(PodDisruptionBudget {
        namespace: metadata.namespace,
        name: metadata.name,
        selector: selector.unwrap_or_else(LabelSelector::nothing),
        disruptions_allowed: allowed.unwrap_or(0),
        unready_may_go: of_unready == Some("AlwaysAllow"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Labels;
    use serde_json::json;

    /// Whether the budget selects a pod with this label, and how many of its pods may go.
    fn check(spec: Value, status: Value, expected: (bool, i32)) {
        let object = json!({ "spec": spec, "status": status });
        let budget = disruption_budget(&object, Metadata::default()).unwrap();
        let labels = Labels::from([("app".to_owned(), "web".to_owned())]);
        let found = (budget.selector.matches(&labels), budget.disruptions_allowed);
        assert_eq!(found, expected, "{object}");
    }

    #[test]
    fn budgets_may_select_nothing_or_everything_and_allow_none_until_they_are_counted() {
        let one = || json!({ "disruptionsAllowed": 1 });
        check(json!({ "selector": { "matchLabels": { "app": "web" } } }), one(), (true, 1));
        check(json!({ "selector": { "matchLabels": { "app": "db" } } }), one(), (false, 1));
        check(json!({ "selector": {} }), one(), (true, 1));
        check(json!({}), one(), (false, 1));
        check(json!({ "selector": null }), one(), (false, 1));
        check(json!({ "selector": {} }), json!({}), (true, 0));
        check(json!({ "selector": {} }), Value::Null, (true, 0));
    }
}
