//! Other rules for the same pods: what pools allow, or a rule of pods left out.

use super::obstacle::short;
use model::{Labels, NodePool, PodSpec, Requirements, Resources, Snapshot, ValueSet, labels};
use std::fmt;
use std::sync::Arc;

/// One other rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variant {
    /// Every pool allows just these values of the label, whatever it says of it now.
    Allow {
        /// The label.
        key: String,
        /// The values.
        values: ValueSet,
    },
    /// No hard topology spread, over the label if one is named.
    WithoutSpread(Option<String>),
    /// No required pod affinity, over the label if one is named.
    WithoutAffinity(Option<String>),
    /// No required pod anti-affinity, over the label if one is named.
    WithoutAntiAffinity(Option<String>),
    /// No node selector and no required node affinity, about the label if one is named.
    WithoutSelector(Option<String>),
    /// No host ports.
    WithoutHostPorts,
    /// No daemonsets on new nodes.
    WithoutDaemons,
    /// No limits of pools.
    WithoutLimits,
    /// All pools of one weight.
    WithoutWeights,
    /// No nodes of this instance type.
    WithoutType(String),
}

impl Variant {
    /// The snapshot under this rule: its pods that wait, its pools, or what can be bought.
    pub fn apply(&self, snapshot: &mut Snapshot) {
        match self {
            Self::Allow { key, values } => {
                snapshot.node_pools.iter_mut().for_each(|pool| allow(pool, key, values));
            }
            Self::WithoutSpread(_)
            | Self::WithoutAffinity(_)
            | Self::WithoutAntiAffinity(_)
            | Self::WithoutSelector(_)
            | Self::WithoutHostPorts => {
                let waiting = snapshot.pods.iter_mut().filter(|pod| pod.is_provisionable());
                for pod in waiting.filter(|pod| self.concerns(&pod.spec)) {
                    self.relax(Arc::make_mut(&mut pod.spec));
                }
            }
            Self::WithoutDaemons => snapshot.daemon_sets.clear(),
            Self::WithoutLimits => {
                snapshot.node_pools.iter_mut().for_each(|pool| pool.limits = Resources::new());
            }
            Self::WithoutWeights => {
                snapshot.node_pools.iter_mut().for_each(|pool| pool.weight = 0);
            }
            Self::WithoutType(name) => {
                for types in snapshot.instance_types.values_mut() {
                    Arc::make_mut(types).retain(|of| of.name != *name);
                }
            }
        }
    }

    /// Whether a pod has the rule that is left out.
    pub(super) fn concerns(&self, spec: &PodSpec) -> bool {
        match self {
            Self::WithoutSpread(key) => {
                spec.topology_spread.iter().any(|own| is_hard(own) && is_of(key, &own.topology_key))
            }
            Self::WithoutAffinity(key) => {
                spec.pod_affinity.iter().any(|own| is_of(key, &own.topology_key))
            }
            Self::WithoutAntiAffinity(key) => {
                spec.pod_anti_affinity.iter().any(|own| is_of(key, &own.topology_key))
            }
            Self::WithoutSelector(key) => {
                let terms = spec.node_affinity.iter().flat_map(|term| &term.requirements);
                let keys = spec.node_selector.keys().chain(terms.map(|own| &own.key));
                keys.into_iter().any(|own| is_of(key, own))
            }
            Self::WithoutHostPorts => !spec.host_ports.is_empty(),
            Self::Allow { .. }
            | Self::WithoutDaemons
            | Self::WithoutLimits
            | Self::WithoutWeights
            | Self::WithoutType(_) => false,
        }
    }

    fn relax(&self, spec: &mut PodSpec) {
        match self {
            Self::WithoutSpread(key) => {
                spec.topology_spread.retain(|own| !(is_hard(own) && is_of(key, &own.topology_key)));
            }
            Self::WithoutAffinity(key) => {
                spec.pod_affinity.retain(|own| !is_of(key, &own.topology_key));
            }
            Self::WithoutAntiAffinity(key) => {
                spec.pod_anti_affinity.retain(|own| !is_of(key, &own.topology_key));
            }
            Self::WithoutSelector(None) => {
                spec.node_selector = Labels::new();
                spec.node_affinity.clear();
            }
            Self::WithoutSelector(Some(key)) => super::change::drop_requirement(spec, key),
            Self::WithoutHostPorts => spec.host_ports.clear(),
            Self::Allow { .. }
            | Self::WithoutDaemons
            | Self::WithoutLimits
            | Self::WithoutWeights
            | Self::WithoutType(_) => {}
        }
    }

    /// All rules that the pod has, one for each kind and label.
    pub(super) fn of_pod(spec: &PodSpec) -> Vec<Self> {
        let spreads = spec.topology_spread.iter().filter(|own| is_hard(own));
        let mut rules = spreads
            .map(|own| Self::WithoutSpread(Some(own.topology_key.clone())))
            .collect::<Vec<_>>();
        let named = |key: &String| Some(key.clone());
        let near = spec.pod_affinity.iter();
        rules.extend(near.map(|own| Self::WithoutAffinity(named(&own.topology_key))));
        let far = spec.pod_anti_affinity.iter();
        rules.extend(far.map(|own| Self::WithoutAntiAffinity(named(&own.topology_key))));
        let selected = spec.node_selector.keys();
        let terms = spec.node_affinity.iter().flat_map(|term| &term.requirements);
        let keys = selected.chain(terms.map(|own| &own.key));
        rules.extend(keys.map(|key| Self::WithoutSelector(named(key))));
        rules.extend((!spec.host_ports.is_empty()).then_some(Self::WithoutHostPorts));
        rules.sort();
        rules.dedup();
        rules
    }
}

fn is_hard(spread: &model::pod::TopologySpread) -> bool {
    spread.when_unsatisfiable == model::pod::WhenUnsatisfiable::DoNotSchedule
}

fn is_of(wanted: &Option<String>, key: &str) -> bool {
    wanted.as_ref().is_none_or(|wanted| labels::normalize(wanted) == labels::normalize(key))
}

/// What names single types goes when another rule about types comes: it would leave none of the others.
fn allow(pool: &mut NodePool, key: &str, values: &ValueSet) {
    let family = format!("{}instance-family", labels::INSTANCE_LABEL_PREFIX);
    let of_type = labels::is_well_known(key)
        && ![labels::ZONE, labels::ZONE_ID, labels::CAPACITY_TYPE].contains(&key);
    let gone = |own: &str| {
        let own = labels::normalize(own);
        own == key || (of_type && (own == labels::INSTANCE_TYPE || own == family))
    };
    let mut requirements = Requirements::new();
    for (own, set) in pool.requirements.iter().filter(|(own, _)| !gone(own)) {
        requirements.add(own, set.clone());
    }
    requirements.add(key, values.clone());
    pool.requirements = requirements;
    pool.labels.retain(|own, _| labels::normalize(own) != key);
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rule = |name: &str, key: &Option<String>| match key {
            Some(key) => write!(f, "{name} over {}", short(key)),
            None => write!(f, "{name}"),
        };
        match self {
            Self::WithoutSpread(key) => rule("topology spread", key),
            Self::WithoutAffinity(key) => rule("pod affinity", key),
            Self::WithoutAntiAffinity(key) => rule("pod anti-affinity", key),
            Self::WithoutSelector(Some(key)) => write!(f, "what pods ask of {}", short(key)),
            Self::WithoutSelector(None) => write!(f, "what pods ask of nodes' labels"),
            Self::WithoutHostPorts => write!(f, "host ports"),
            Self::WithoutDaemons => write!(f, "daemonsets"),
            Self::WithoutLimits => write!(f, "limits of pools"),
            Self::WithoutWeights => write!(f, "weights of pools"),
            Self::WithoutType(name) => write!(f, "{name}"),
            Self::Allow { key, values } => write!(f, "{} {values}", short(key)),
        }
    }
}
