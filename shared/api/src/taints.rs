//! Taints of nodes to be: wire types, rules, conversion.

use crate::finding::{Findings, field, item};
use crate::schema::wire;
use crate::{label_rules, names};
use model::{Effect, Taint};

wire! {
    /// A taint of a Provisioner's nodes.
    LegacyTaint {
        /// The taint's key.
        #[schemars(required, length(min = 1))]
        key: String,
        /// The taint's value.
        value: String,
        /// What it does to pods that do not tolerate it.
        #[schemars(extend("enum" = ["", "NoSchedule", "PreferNoSchedule", "NoExecute"]))]
        effect: String,
        /// When it was added; only controllers set it.
        time_added: String,
    }
}

wire! {
    /// A taint of nodes.
    NodeTaint {
        /// The taint's key.
        #[schemars(required, length(min = 1))]
        key: String,
        /// The taint's value.
        value: String,
        /// What it does to pods that do not tolerate it.
        #[schemars(required, extend("enum" = ["NoSchedule", "PreferNoSchedule", "NoExecute"]))]
        effect: String,
        /// When it was added; only controllers set it.
        time_added: String,
    }
}

impl From<LegacyTaint> for NodeTaint {
    fn from(legacy: LegacyTaint) -> Self {
        let LegacyTaint { key, value, effect, time_added } = legacy;
        Self { key, value, effect: Some(effect.unwrap_or_default()), time_added }
    }
}

/// Checks and converts taints and startup taints, which may not repeat each other's key and effect.
pub(crate) fn read(
    taints: Vec<NodeTaint>,
    startup_taints: Vec<NodeTaint>,
    path: &str,
    findings: &mut Findings,
) -> (Vec<Taint>, Vec<Taint>) {
    let mut seen = Vec::new();
    let mut list = |given: Vec<NodeTaint>, name: &str| {
        let path = field(path, name);
        let each = |(index, wire)| read_one(wire, &item(&path, index), findings, &mut seen);
        given.into_iter().enumerate().filter_map(each).collect()
    };
    (list(taints, "taints"), list(startup_taints, "startupTaints"))
}

fn read_one(
    wire: NodeTaint,
    path: &str,
    findings: &mut Findings,
    seen: &mut Vec<(String, String)>,
) -> Option<Taint> {
    let key = wire.key.filter(|key| !key.is_empty())?;
    let message = format!("{key:?} is not a taint key: write [domain/]name");
    findings.require(names::is_qualified(&key), "taint-key", &field(path, "key"), &message);
    let value = wire.value.unwrap_or_default();
    label_rules::check_value(&value, &field(path, "value"), findings);
    let effect = wire.effect?;
    let pair = (key.clone(), effect.clone());
    let message = format!("{key}:{effect} is listed twice among taints and startupTaints");
    findings.require(!seen.contains(&pair), "taint-repeated", path, &message);
    seen.push(pair);
    Some(Taint { key, value, effect: effect_of(&effect, path, findings) })
}

/// Karpenter accepts a taint without effect, which no node can carry; `NoSchedule` keeps pods away until someone decides.
fn effect_of(text: &str, path: &str, findings: &mut Findings) -> Effect {
    Effect::parse(text).unwrap_or_else(|| {
        let message = "a node's taint must have an effect; NoSchedule is assumed";
        findings.warning("taint-effect", &field(path, "effect"), message);
        Effect::NoSchedule
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taint(key: &str, value: &str, effect: &str) -> NodeTaint {
        let text = |text: &str| Some(text.to_owned());
        NodeTaint { key: text(key), value: text(value), effect: text(effect), time_added: None }
    }

    fn check(taints: Vec<NodeTaint>, startup: Vec<NodeTaint>, rules: &[&str]) {
        let mut findings = Findings::default();
        read(taints.clone(), startup, "spec", &mut findings);
        let found: Vec<_> = findings.into_vec().iter().map(|finding| finding.rule).collect();
        assert_eq!(found, rules, "{taints:?}");
    }

    #[test]
    fn taints_have_a_key_a_value_and_an_effect_and_do_not_repeat() {
        check(vec![taint("role", "jupyter", "NoSchedule")], vec![], &[]);
        check(vec![taint("nvidia.com/gpu", "", "NoExecute")], vec![], &[]);
        check(vec![taint("a b", "", "NoSchedule")], vec![], &["taint-key"]);
        check(vec![taint("a", "b c", "NoSchedule")], vec![], &["label-value"]);
        check(vec![taint("a", "", "")], vec![], &["taint-effect"]);
        let twice = || taint("a", "b", "NoSchedule");
        check(vec![twice(), twice()], vec![], &["taint-repeated"]);
        check(vec![twice()], vec![twice()], &["taint-repeated"]);
        check(vec![twice()], vec![taint("a", "b", "NoExecute")], &[]);
    }
}
