//! Changes to a pod or a pool, small enough to be proposed.

use super::obstacle::short;
use model::pod::NodeSelectorTerm;
use model::resources::display_amount;
use model::{
    CapacityType, NodePool, Pod, PodId, PodSpec, Reason, Requirements, Snapshot, Taint, Toleration,
    ValueSet, labels,
};
use std::fmt;
use std::sync::Arc;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// The pod tolerates the taint.
    Tolerate {
        /// The taint.
        taint: Taint,
    },
    /// The pod asks for less.
    LowerRequest {
        /// The resource.
        resource: String,
        /// What it asks for now.
        from: i64,
        /// What it may ask for.
        to: i64,
    },
    /// The pool allows the value of the label; without one it allows nodes that do not have the label.
    Allow {
        /// The pool.
        pool: String,
        /// The label.
        key: String,
        /// The value.
        value: Option<String>,
    },
    /// The pool puts the label on its nodes.
    AddLabel {
        /// The pool.
        pool: String,
        /// The label.
        key: String,
        /// The value.
        value: String,
    },
    /// The pool may have more.
    RaiseLimit {
        /// The pool.
        pool: String,
        /// The resource.
        resource: String,
        /// The least limit that will do.
        to: i64,
    },
    /// The pod asks nothing of the label any more.
    DropRequirement {
        /// The label.
        key: String,
    },
    /// The pod takes no such port of its node.
    DropHostPort {
        /// The port.
        port: u16,
    },
    /// The pod is not spread over the label any more.
    DropSpread {
        /// The label.
        topology_key: String,
    },
    /// The pod need not be with others by the label any more.
    DropAffinity {
        /// The label.
        topology_key: String,
    },
    /// The pod may be with others by the label.
    DropAntiAffinity {
        /// The label.
        topology_key: String,
    },
    /// What is wrong with the pool is mended.
    MendPool {
        /// The pool.
        pool: String,
        /// What is wrong with it.
        problem: String,
    },
    /// EC2 has capacity again.
    AwaitCapacity {
        /// The instance type.
        instance_type: String,
        /// The zone.
        zone: String,
        /// How it is paid for.
        capacity_type: CapacityType,
    },
}

impl Change {
    /// How much it asks of people, to choose between changes of equal number: what only widens comes first,
    /// then what gives up a wish of the pod's, then what cannot be had by writing a line.
    pub(super) fn weight(&self) -> i64 {
        match self {
            Self::Tolerate { .. } => 20_000,
            Self::Allow { .. } | Self::AddLabel { .. } | Self::RaiseLimit { .. } => 30_000,
            Self::LowerRequest { from, to, .. } => {
                let lowered = i128::from(from - to) * 50_000 / i128::from(*from).max(1);
                25_000 + lowered as i64
            }
            Self::DropRequirement { .. } => 40_000,
            Self::DropSpread { .. }
            | Self::DropAffinity { .. }
            | Self::DropAntiAffinity { .. }
            | Self::DropHostPort { .. } => 50_000,
            Self::MendPool { .. } => 60_000,
            Self::AwaitCapacity { .. } => 70_000,
        }
    }

    /// Whether both change the same thing, be it to other values.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::LowerRequest { resource, .. }, Self::LowerRequest { resource: same, .. }) => {
                resource == same
            }
            (Self::Allow { pool, key, .. }, Self::Allow { pool: same, key: of, .. })
            | (Self::AddLabel { pool, key, .. }, Self::AddLabel { pool: same, key: of, .. })
            | (
                Self::RaiseLimit { pool, resource: key, .. },
                Self::RaiseLimit { pool: same, resource: of, .. },
            ) => (pool, key) == (same, of),
            (Self::AwaitCapacity { .. }, Self::AwaitCapacity { .. }) => true,
            (one, other) => one == other,
        }
    }

    /// The snapshot as it would be; a pod or a pool that is not there is not made.
    pub fn apply(&self, snapshot: &mut Snapshot, pod: &PodId) {
        match self {
            Self::Tolerate { .. }
            | Self::LowerRequest { .. }
            | Self::DropRequirement { .. }
            | Self::DropHostPort { .. }
            | Self::DropSpread { .. }
            | Self::DropAffinity { .. }
            | Self::DropAntiAffinity { .. } => {
                let own = snapshot.pods.iter_mut().filter(|other| other.id == *pod);
                own.for_each(|pod: &mut Pod| self.apply_to_spec(Arc::make_mut(&mut pod.spec)));
            }
            Self::Allow { pool, .. }
            | Self::AddLabel { pool, .. }
            | Self::RaiseLimit { pool, .. }
            | Self::MendPool { pool, .. } => {
                let named = snapshot.node_pools.iter_mut().filter(|own| own.name == *pool);
                named.for_each(|pool| self.apply_to_pool(pool));
            }
            Self::AwaitCapacity { instance_type, zone, capacity_type } => {
                for types in snapshot.instance_types.values_mut() {
                    let types = Arc::make_mut(types).iter_mut();
                    let named = types.filter(|of| of.name == *instance_type);
                    let offerings = named.flat_map(|of| &mut of.offerings);
                    offerings
                        .filter(|of| of.zone == *zone && of.capacity_type == *capacity_type)
                        .for_each(|of| of.available = true);
                }
            }
        }
    }

    fn apply_to_spec(&self, spec: &mut PodSpec) {
        match self {
            Self::Tolerate { taint } => spec.tolerations.push(Toleration {
                key: Some(taint.key.clone()),
                exists: false,
                value: taint.value.clone(),
                effect: Some(taint.effect),
            }),
            Self::LowerRequest { resource, to, .. } => spec.requests.set(resource.as_str(), *to),
            Self::DropRequirement { key } => drop_requirement(spec, key),
            Self::DropHostPort { port } => spec.host_ports.retain(|own| own.port != *port),
            Self::DropSpread { topology_key } => {
                spec.topology_spread.retain(|own| own.topology_key != *topology_key);
            }
            Self::DropAffinity { topology_key } => {
                spec.pod_affinity.retain(|own| own.topology_key != *topology_key);
            }
            Self::DropAntiAffinity { topology_key } => {
                spec.pod_anti_affinity.retain(|own| own.topology_key != *topology_key);
            }
            Self::Allow { .. }
            | Self::AddLabel { .. }
            | Self::RaiseLimit { .. }
            | Self::MendPool { .. }
            | Self::AwaitCapacity { .. } => {}
        }
    }

    fn apply_to_pool(&self, pool: &mut NodePool) {
        match self {
            Self::Allow { key, value, .. } => allow(pool, key, value.as_deref()),
            Self::AddLabel { key, value, .. } => {
                pool.labels.insert(key.clone(), value.clone());
            }
            Self::RaiseLimit { resource, to, .. } => pool.limits.set(resource.as_str(), *to),
            Self::MendPool { .. } => pool.problem = None,
            Self::Tolerate { .. }
            | Self::LowerRequest { .. }
            | Self::DropRequirement { .. }
            | Self::DropHostPort { .. }
            | Self::DropSpread { .. }
            | Self::DropAffinity { .. }
            | Self::DropAntiAffinity { .. }
            | Self::AwaitCapacity { .. } => {}
        }
    }

    /// What would lift a reason that no node alone has, if the pod can do something about it.
    pub(super) fn for_reason(reason: &Reason, spec: &PodSpec) -> Option<Self> {
        let same = |own: &str, key: &str| labels::normalize(own) == labels::normalize(key);
        match reason {
            Reason::Spread { topology_key: key } => {
                let own = spec.topology_spread.iter().find(|own| same(&own.topology_key, key))?;
                Some(Self::DropSpread { topology_key: own.topology_key.clone() })
            }
            Reason::PodAffinity { topology_key: key } => {
                let own = spec.pod_affinity.iter().find(|own| same(&own.topology_key, key))?;
                Some(Self::DropAffinity { topology_key: own.topology_key.clone() })
            }
            Reason::PodAntiAffinity { topology_key: key } => {
                let own = spec.pod_anti_affinity.iter().find(|own| same(&own.topology_key, key))?;
                Some(Self::DropAntiAffinity { topology_key: own.topology_key.clone() })
            }
            Reason::NoNodePool
            | Reason::PoolNotReady { .. }
            | Reason::Taint { .. }
            | Reason::Requirements { .. }
            | Reason::TooLarge { .. }
            | Reason::HostPort { .. }
            | Reason::NoOffering { .. }
            | Reason::Limit { .. }
            | Reason::Volume { .. }
            | Reason::Check { .. }
            | Reason::Unsupported { .. } => None,
        }
    }
}

/// A term from which all is taken allows any node, and with it the whole affinity does.
pub(super) fn drop_requirement(spec: &mut PodSpec, key: &str) {
    let same = |own: &str| labels::normalize(own) == labels::normalize(key);
    spec.node_selector.retain(|own, _| !same(own));
    let mut open = false;
    for term in &mut spec.node_affinity {
        term.requirements.retain(|own| !same(&own.key));
        term.fields.retain(|own| !same(&own.key));
        open |= *term == NodeSelectorTerm::default();
    }
    if open {
        spec.node_affinity.clear();
    }
}

fn allow(pool: &mut NodePool, key: &str, value: Option<&str>) {
    let mut widened = Requirements::new();
    for (own, set) in pool.requirements.iter() {
        let same = labels::normalize(own) == labels::normalize(key);
        widened.add(own, if same { with(set, value) } else { set.clone() });
    }
    pool.requirements = widened;
}

fn with(set: &ValueSet, value: Option<&str>) -> ValueSet {
    let mut set = set.clone();
    let Some(value) = value else {
        set.allows_absent = true;
        return set;
    };
    if set.complement {
        set.values.remove(value);
    } else {
        set.values.insert(value.to_owned());
    }
    match value.parse::<i64>() {
        Ok(number) => {
            set.above = set.above.map(|above| above.min(number - 1));
            set.below = set.below.map(|below| below.max(number + 1));
        }
        Err(_) => (set.above, set.below) = (None, None),
    }
    set
}

/// An amount that can be written as it is told: never rounded.
fn exact(resource: &str, amount: i64) -> String {
    const MEBIBYTE: i64 = 1 << 20;
    let shown = display_amount(resource, amount);
    match shown.contains('.') {
        false => shown,
        true if amount % MEBIBYTE == 0 => format!("{}Mi", amount / MEBIBYTE),
        true => amount.to_string(),
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tolerate { taint } => write!(f, "let the pod tolerate {taint}"),
            Self::LowerRequest { resource, from, to } => write!(
                f,
                "lower the pod's request of {resource} from {} to {}",
                exact(resource, *from),
                exact(resource, *to)
            ),
            Self::Allow { pool, key, value: Some(value) } => {
                write!(f, "let pool {pool} allow {} {value}", short(key))
            }
            Self::Allow { pool, key, value: None } => {
                write!(f, "let pool {pool} allow nodes without the label {key}")
            }
            Self::AddLabel { pool, key, value } => {
                write!(f, "put the label {key}={value} on pool {pool}")
            }
            Self::RaiseLimit { pool, resource, to } => write!(
                f,
                "raise the limit of {resource} of pool {pool} to {}",
                exact(resource, *to)
            ),
            Self::DropRequirement { key } => {
                write!(f, "drop what the pod asks of {}", short(key))
            }
            Self::DropHostPort { port } => write!(f, "take host port {port} off the pod"),
            Self::DropSpread { topology_key } => {
                write!(f, "drop the pod's topology spread over {}", short(topology_key))
            }
            Self::DropAffinity { topology_key } => {
                write!(f, "drop the pod's affinity over {}", short(topology_key))
            }
            Self::DropAntiAffinity { topology_key } => {
                write!(f, "drop the pod's anti-affinity over {}", short(topology_key))
            }
            Self::MendPool { pool, problem } => write!(f, "mend pool {pool}: {problem}"),
            Self::AwaitCapacity { instance_type, zone, capacity_type } => {
                write!(f, "wait for {capacity_type} capacity of {instance_type} in {zone}")
            }
        }
    }
}
