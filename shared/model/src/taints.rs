//! Taints and tolerations.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a taint does to a pod that does not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Effect {
    /// The pod is not scheduled here.
    NoSchedule,
    /// The pod is scheduled here only if nowhere else is possible.
    PreferNoSchedule,
    /// The pod is not scheduled here, and evicted if it runs here.
    NoExecute,
}

impl Effect {
    /// The effect of that name.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "NoSchedule" => Some(Self::NoSchedule),
            "PreferNoSchedule" => Some(Self::PreferNoSchedule),
            "NoExecute" => Some(Self::NoExecute),
            _ => None,
        }
    }

    /// The name as Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }
}

/// A taint of a node or of a pool's nodes to be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Taint {
    /// The taint's key.
    pub key: String,
    /// The taint's value, empty if it has none.
    pub value: String,
    /// What it does.
    pub effect: Effect,
}

impl fmt::Display for Taint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let equals = if self.value.is_empty() { "" } else { "=" };
        write!(f, "{}{equals}{}:{}", self.key, self.value, self.effect.as_str())
    }
}

/// A pod's toleration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Toleration {
    /// The key; `None` tolerates every key (only with `exists`).
    pub key: Option<String>,
    /// Whether the operator is `Exists`, which ignores the value.
    pub exists: bool,
    /// The value that must be equal if the operator is `Equal`.
    pub value: String,
    /// The effect; `None` tolerates every effect.
    pub effect: Option<Effect>,
}

impl Toleration {
    /// Whether this toleration covers `taint`, by the rule of Kubernetes' `ToleratesTaint`.
    pub fn tolerates(&self, taint: &Taint) -> bool {
        let effect = self.effect.is_none_or(|effect| effect == taint.effect);
        let key = self.key.as_ref().is_none_or(|key| *key == taint.key);
        effect && key && (self.exists || (self.key.is_some() && self.value == taint.value))
    }
}

/// The taint of a node that is being taken away.
pub fn disrupted() -> Taint {
    let key = crate::labels::DISRUPTED_TAINT.to_owned();
    Taint { key, value: String::new(), effect: Effect::NoSchedule }
}

/// Whether some of the tolerations covers `taint`.
pub fn tolerates(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerations.iter().any(|toleration| toleration.tolerates(taint))
}

/// The first taint that keeps a pod with these tolerations away (`PreferNoSchedule` never does).
pub fn untolerated<'a>(taints: &'a [Taint], tolerations: &[Toleration]) -> Option<&'a Taint> {
    taints
        .iter()
        .find(|taint| taint.effect != Effect::PreferNoSchedule && !tolerates(tolerations, taint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toleration(
        key: Option<&str>,
        exists: bool,
        value: &str,
        effect: Option<Effect>,
    ) -> Toleration {
        Toleration { key: key.map(str::to_owned), exists, value: value.to_owned(), effect }
    }

    fn check(toleration: &Toleration, tolerates: bool) {
        let taint =
            Taint { key: "role".into(), value: "jupyter".into(), effect: Effect::NoSchedule };
        assert_eq!(toleration.tolerates(&taint), tolerates, "{toleration:?}");
    }

    #[test]
    fn tolerations_match_by_key_value_and_effect() {
        check(&toleration(Some("role"), false, "jupyter", Some(Effect::NoSchedule)), true);
        check(&toleration(Some("role"), false, "jupyter", None), true);
        check(&toleration(Some("role"), true, "", None), true);
        check(&toleration(None, true, "", None), true);
        check(&toleration(Some("role"), false, "workflow", None), false);
        check(&toleration(Some("role"), false, "jupyter", Some(Effect::NoExecute)), false);
        check(&toleration(Some("other"), true, "", None), false);
    }
}
