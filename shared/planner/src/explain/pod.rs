//! Why each pool and each instance type can or cannot hold a pod.

use super::change::Change;
use super::fix::fixes;
use super::obstacle::Obstacle;
use super::prospect::{Prospect, Wanted};
use super::standing::nodes;
use crate::Options;
use crate::leaving::Leaving;
use crate::scheduling::{Limits, Scene, Volumes, is_usable};
use crate::view::View;
use model::{
    CapacityType, InstanceType, Launch, MicroUsdPerHour, NodePool, Offering, Pod, PodId, Reason,
    Resources, Snapshot, taints,
};
use std::sync::Arc;

/// All that is to be said about a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodExplanation {
    /// The pod.
    pub pod: PodId,
    /// What it asks for.
    pub requests: Resources,
    /// Where it is, or what this turn's plan does about it.
    pub state: PodState,
    /// The nodes that are there or on their way; none for a pod that does not wait.
    pub nodes: Vec<NodeVerdict>,
    /// The pools: those that can hold it first, then those that nearly can.
    pub pools: Vec<PoolVerdict>,
    /// What would make it fit, the smallest change first; each was tried. Empty if it fits, or if nothing was found.
    pub fixes: Vec<Vec<Change>>,
}

/// Where a pod is, or will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodState {
    /// It is bound.
    Runs {
        /// The node.
        node: Arc<str>,
    },
    /// Joiner does not look for a node for it.
    NotConsidered {
        /// Why.
        cause: &'static str,
    },
    /// It goes to a node that is there or on its way.
    Placed {
        /// The node or claim.
        node: Arc<str>,
    },
    /// A node is bought for it.
    Bought {
        /// The node.
        launch: Box<Launch>,
    },
    /// It waits.
    Unschedulable {
        /// Why.
        reasons: Vec<Reason>,
    },
}

/// What a node that is there says to a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeVerdict {
    /// The node or claim.
    pub node: Arc<str>,
    /// What keeps the pod from it; nothing if it could go there.
    pub obstacle: Option<Obstacle>,
}

/// What a pool says to a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolVerdict {
    /// The pool.
    pub pool: String,
    /// Its weight.
    pub weight: i32,
    /// What keeps the pod from all its nodes.
    pub obstacles: Vec<Obstacle>,
    /// The instance types that it could name: those that hold the pod first, the cheapest first, then those that nearly do.
    pub types: Vec<TypeVerdict>,
}

/// What an instance type of a pool says to a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeVerdict {
    /// The type's name.
    pub instance_type: String,
    /// What keeps the pod from it where it comes nearest; empty if it fits.
    pub obstacles: Vec<Obstacle>,
    /// The ways to buy it, the nearest first, then the cheapest.
    pub offerings: Vec<OfferingVerdict>,
}

/// What one way to buy a type says to a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferingVerdict {
    /// The zone.
    pub zone: String,
    /// How it is paid for.
    pub capacity_type: CapacityType,
    /// Its price.
    pub price: MicroUsdPerHour,
    /// Whether that is estimated.
    pub estimated: bool,
    /// What keeps the pod from it.
    pub obstacles: Vec<Obstacle>,
}

/// Instance types that the same thing keeps from holding the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What keeps the pod from them, as the type that comes nearest has it.
    pub obstacle: Obstacle,
    /// How many types.
    pub types: usize,
    /// How many obstacles the nearest of them has.
    pub fewest: usize,
}

impl TypeVerdict {
    /// Whether it can hold the pod.
    pub fn fits(&self) -> bool {
        self.obstacles.is_empty()
    }
}

impl PoolVerdict {
    /// The types that can hold the pod, but for what keeps it from the whole pool; the cheapest first.
    pub fn fitting(&self) -> &[TypeVerdict] {
        let count = self.types.iter().take_while(|verdict| verdict.fits()).count();
        &self.types[..count]
    }

    /// The types that cannot, by what keeps the pod from them: the nearest first, then the largest group.
    pub fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for verdict in &self.types {
            let Some(first) = verdict.obstacles.first() else { continue };
            let fewest = verdict.obstacles.len();
            match groups.iter_mut().find(|group| group.obstacle.is_like(first)) {
                Some(group) => {
                    group.types += 1;
                    group.obstacle = group.obstacle.clone().nearer(first);
                }
                None => groups.push(Group { obstacle: first.clone(), types: 1, fewest }),
            }
        }
        groups.sort_by_key(|group| (group.fewest, std::cmp::Reverse(group.types)));
        groups
    }
}

/// Explains the pod; `None` if there is no such pod.
pub fn explain_pod(snapshot: &Snapshot, id: &PodId, options: &Options) -> Option<PodExplanation> {
    explain(snapshot, id, None, options)
}

/// Explains the pod with regard to one instance type; `None` if there is no such pod. A pool that does not know the type has none.
pub fn explain_type(
    snapshot: &Snapshot,
    instance_type: &str,
    id: &PodId,
    options: &Options,
) -> Option<PodExplanation> {
    explain(snapshot, id, Some(instance_type), options)
}

fn explain(
    snapshot: &Snapshot,
    id: &PodId,
    only: Option<&str>,
    options: &Options,
) -> Option<PodExplanation> {
    let pod = snapshot.pods.iter().find(|pod| pod.id == *id)?;
    let state = state(snapshot, pod, options);
    let view = View::new(snapshot);
    let leaving = Leaving::of(&view);
    let scene = Scene::new(snapshot, &leaving);
    let pools = verdicts(snapshot, &scene, pod, only);
    let waits = matches!(state, PodState::Unschedulable { .. });
    let lacking = only.is_some() && !pools.iter().any(holds);
    let fixes =
        if waits || lacking { fixes(snapshot, pod, &pools, only, options) } else { Vec::new() };
    let nodes = nodes(&scene, pod);
    let requests = pod.spec.requests.clone();
    Some(PodExplanation { pod: id.clone(), requests, state, nodes, pools, fixes })
}

/// Whether some type of the pool holds the pod and nothing keeps the pod from the pool.
pub(super) fn holds(pool: &PoolVerdict) -> bool {
    pool.obstacles.is_empty() && !pool.fitting().is_empty()
}

/// What becomes of the pod by this turn's plan.
pub(super) fn state(snapshot: &Snapshot, pod: &Pod, options: &Options) -> PodState {
    if let Some(node) = &pod.node_name {
        return PodState::Runs { node: node.clone() };
    }
    if !pod.is_provisionable() {
        return PodState::NotConsidered { cause: not_considered(pod) };
    }
    let (plan, _) = crate::heed(snapshot, crate::plan(snapshot, options));
    let mut placed = plan.placements.into_iter();
    if let Some(placement) = placed.find(|placement| placement.pod == pod.id) {
        return PodState::Placed { node: placement.node };
    }
    let mut launches = plan.launches.into_iter();
    if let Some(launch) = launches.find(|launch| launch.pods.contains(&pod.id)) {
        return PodState::Bought { launch: Box::new(launch) };
    }
    let left = plan.unschedulable.into_iter().find(|left| left.pod == pod.id);
    PodState::Unschedulable { reasons: left.map(|left| left.reasons).unwrap_or_default() }
}

fn not_considered(pod: &Pod) -> &'static str {
    if pod.is_daemon() {
        "a daemonset's pods come with their nodes"
    } else if pod.is_static() {
        "it is a static pod of a node"
    } else if pod.is_terminal() {
        "it has ended"
    } else if pod.deletion_at.is_some() {
        "it is being deleted"
    } else if pod.gated {
        "scheduling gates hold it back"
    } else if pod.nominated_node.is_some() {
        "the kube-scheduler has made room for it on a node"
    } else {
        "the kube-scheduler has not found it unschedulable"
    }
}

/// What all pools say, those that can hold the pod first, then those that nearly can.
pub(super) fn verdicts(
    snapshot: &Snapshot,
    scene: &Scene<'_>,
    pod: &Pod,
    only: Option<&str>,
) -> Vec<PoolVerdict> {
    let limits = Limits::new(&scene.candidates, &scene.slots);
    let volumes = Volumes::new(snapshot).terms(pod).unwrap_or_default();
    let ask = Ask { snapshot, scene, limits, pod, volumes: &volumes, only };
    let mut pools = snapshot.node_pools.iter().map(|pool| ask.pool(pool)).collect::<Vec<_>>();
    pools.sort_by(|a, b| rank(a).cmp(&rank(b)));
    pools
}

fn rank(verdict: &PoolVerdict) -> impl Ord + use<'_> {
    let nearest = verdict.types.first().map_or(usize::MAX / 2, |best| best.obstacles.len());
    (verdict.obstacles.len() + nearest, -verdict.weight, &verdict.pool)
}

struct Ask<'a, 's> {
    snapshot: &'s Snapshot,
    scene: &'s Scene<'a>,
    limits: Limits,
    pod: &'s Pod,
    volumes: &'s [Vec<model::pod::NodeSelectorTerm>],
    only: Option<&'s str>,
}

impl Ask<'_, '_> {
    fn pool(&self, pool: &NodePool) -> PoolVerdict {
        let types = self.snapshot.instance_types.get(&pool.instance_types);
        let types = types.into_iter().flat_map(|types| types.iter());
        let asked = |of: &&InstanceType| self.only.is_none_or(|only| only == of.name);
        let mut types =
            types.filter(asked).map(|of| self.instance_type(pool, of)).collect::<Vec<_>>();
        types.sort_by(|a, b| type_rank(a).cmp(&type_rank(b)));
        PoolVerdict {
            pool: pool.name.clone(),
            weight: pool.weight,
            obstacles: self.of_pool(pool),
            types,
        }
    }

    fn of_pool(&self, pool: &NodePool) -> Vec<Obstacle> {
        let unusable = |problem: &str| Obstacle::NotUsable { problem: problem.to_owned() };
        let mut found = pool.problem.as_deref().map(unusable).into_iter().collect::<Vec<_>>();
        if pool.replicas.is_some() {
            found.push(unusable("it has a fixed number of nodes"));
        } else if found.is_empty() && !is_usable(pool) {
            found.push(unusable("minValues of its requirements is not decided by this version"));
        }
        let hard = pool.taints.iter().filter(|taint| {
            taints::untolerated(std::slice::from_ref(taint), &self.pod.spec.tolerations).is_some()
        });
        found.extend(hard.map(|taint| Obstacle::Taint { taint: taint.clone() }));
        found
    }

    fn instance_type(&self, pool: &NodePool, instance_type: &InstanceType) -> TypeVerdict {
        let limit = self.limit(pool, instance_type);
        let wanted = Wanted { spec: &self.pod.spec, volumes: self.volumes };
        let verdict = |offering: &Offering| {
            let snapshot = self.snapshot;
            let prospect = Prospect { snapshot, pool, instance_type, offering };
            let mut obstacles = prospect.obstacles(&wanted);
            obstacles.extend(limit.clone());
            OfferingVerdict {
                zone: offering.zone.clone(),
                capacity_type: offering.capacity_type,
                price: offering.price,
                estimated: offering.estimated,
                obstacles,
            }
        };
        let mut offerings = instance_type.offerings.iter().map(verdict).collect::<Vec<_>>();
        let near = |of: &OfferingVerdict| (of.obstacles.len(), of.price, of.capacity_type);
        offerings.sort_by(|a, b| (near(a), &a.zone).cmp(&(near(b), &b.zone)));
        let nearest = offerings.first().map(|offering| offering.obstacles.clone());
        TypeVerdict {
            instance_type: instance_type.name.clone(),
            obstacles: nearest.unwrap_or_else(|| vec![Obstacle::NotOffered]),
            offerings,
        }
    }

    fn limit(&self, pool: &NodePool, instance_type: &InstanceType) -> Option<Obstacle> {
        let mut pools = self.scene.candidates.pools.iter();
        let index = pools.position(|usable| usable.name == pool.name)?;
        let resource = self.limits.exceeded(index, &instance_type.capacity)?;
        let Reason::Limit { limit, used, .. } = self.limits.reason(index, &pool.name, resource)
        else {
            return None;
        };
        let counted = resource == model::resources::NODES;
        let node = if counted { 1 } else { instance_type.capacity.get(resource) };
        Some(Obstacle::Limit { resource: resource.to_owned(), limit, used, node })
    }
}

fn type_rank(verdict: &TypeVerdict) -> impl Ord + use<'_> {
    let price = verdict.offerings.first().map(|offering| offering.price);
    (verdict.obstacles.len(), price.is_none(), price, &verdict.instance_type)
}
