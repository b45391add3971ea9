//! Why a plan is as it is: what kinds of pods it packs, into what patterns, and what each choice and each rule costs.

use super::variant::Variant;
use crate::Options;
use crate::leaving::Leaving;
use crate::scheduling::{Class, Market, Scene, schedule, worth};
use crate::view::View;
use model::resources::display_amount;
use model::{CapacityType, Launch, MicroUsdPerHour, Plan, PodId, PodSpec, Resources, Snapshot};
use std::collections::{BTreeMap, BTreeSet};

/// Plans made for comparison look no harder than this.
const STEPS: u64 = 20_000_000;
/// Rules and types beyond these are not tried.
const MOST_TRIED: usize = 16;

/// Why these nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanExplanation {
    /// The plan.
    pub plan: Plan,
    /// The kinds of pods that want a place, in the order in which they are placed.
    pub shapes: Vec<Shape>,
    /// What the new nodes hold, the dearest first.
    pub patterns: Vec<Pattern>,
    /// What the plan would cost without one of its instance types, the least first.
    pub without_type: Vec<Difference>,
    /// What rules cost: what the plan would cost without each, the dearest rule first.
    pub without_rule: Vec<Difference>,
    /// How many types and rules were not tried, because there are too many.
    pub untried: usize,
}

/// Pods that the planner does not tell apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The first of them.
    pub example: PodId,
    /// How many want a place.
    pub pods: usize,
    /// What each asks for.
    pub requests: Resources,
    /// Their rules.
    pub rules: Vec<Variant>,
    /// How many go to new nodes.
    pub bought: usize,
    /// How many go to nodes that are there or on their way.
    pub placed: usize,
    /// What one of them adds to the price, by the duals of the packing's relaxation; none if no pool takes it.
    pub worth: Option<MicroUsdPerHour>,
}

/// New nodes that are alike and hold alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// How many.
    pub nodes: usize,
    /// Their pool.
    pub node_pool: String,
    /// Their instance type.
    pub instance_type: String,
    /// How they are paid for.
    pub capacity_type: CapacityType,
    /// The price of one.
    pub price: MicroUsdPerHour,
    /// What one holds: shapes by position, and how many of each.
    pub holds: Vec<(usize, usize)>,
    /// How full one is: resource, per cent of what pods can use.
    pub used: Vec<(String, u64)>,
}

/// A plan made otherwise, beside the one that is explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What was left out.
    pub without: Variant,
    /// How many waiting pods have it.
    pub pods: usize,
    /// The price of the other plan less the one of this, in micro-dollars an hour.
    pub costs: i64,
    /// How many more pods the other plan places; negative if fewer.
    pub places: i64,
}

/// Explains what is planned for the snapshot.
pub fn explain_plan(snapshot: &Snapshot, options: &Options) -> PlanExplanation {
    let (plan, _) = crate::heed(snapshot, crate::plan(snapshot, options));
    let view = View::new(snapshot);
    let scene = Scene::new(snapshot, &Leaving::of(&view));
    let mut of_pod = BTreeMap::new();
    for (class, of) in scene.classes.list.iter().enumerate() {
        of_pod.extend(of.pods.iter().map(|pod| (&pod.id, class)));
    }
    let trial = Trial::new(snapshot, options);
    let types = plan.launches.iter().map(|launch| launch.offering.instance_type.clone());
    let types = types.collect::<BTreeSet<_>>().into_iter().map(Variant::WithoutType);
    let (types, rules) = (types.collect::<Vec<_>>(), rules(snapshot));
    let untried = [types.len(), rules.len()].map(|count| count.saturating_sub(MOST_TRIED));
    let differences = |all: &[Variant]| {
        all.iter().take(MOST_TRIED).map(|of| trial.without(of)).collect::<Vec<_>>()
    };
    let (mut without_type, mut without_rule) = (differences(&types), differences(&rules));
    let order = |of: &Difference| (-of.places, of.costs, of.without.clone());
    without_type.sort_by_key(order);
    without_rule.sort_by_key(order);
    PlanExplanation {
        shapes: shapes(&scene, &plan, &of_pod, options),
        patterns: patterns(&scene, &plan, &of_pod),
        without_type,
        without_rule,
        untried: untried.iter().sum(),
        plan,
    }
}

/// The rules of waiting pods and of pools.
fn rules(snapshot: &Snapshot) -> Vec<Variant> {
    let waiting = snapshot.pods.iter().filter(|pod| pod.is_provisionable());
    let specs = waiting.map(|pod| &*pod.spec).collect::<BTreeSet<&PodSpec>>();
    let mut rules = specs.into_iter().flat_map(Variant::of_pod).collect::<BTreeSet<_>>();
    let pools = &snapshot.node_pools;
    let weights = pools.iter().map(|pool| pool.weight).collect::<BTreeSet<_>>();
    rules.extend((weights.len() > 1).then_some(Variant::WithoutWeights));
    let limited = pools.iter().any(|pool| !pool.limits.is_empty());
    rules.extend(limited.then_some(Variant::WithoutLimits));
    rules.extend((!snapshot.daemon_sets.is_empty()).then_some(Variant::WithoutDaemons));
    rules.into_iter().collect()
}

/// Plans for comparison, all made with the same effort.
struct Trial<'a> {
    snapshot: &'a Snapshot,
    options: Options,
    base: (i64, i64),
}

impl<'a> Trial<'a> {
    fn new(snapshot: &'a Snapshot, options: &Options) -> Self {
        let options = Options { steps: options.steps.min(STEPS) };
        let base = outcome(snapshot, &options);
        Self { snapshot, options, base }
    }

    fn without(&self, without: &Variant) -> Difference {
        let mut changed = self.snapshot.clone();
        without.apply(&mut changed);
        let (price, left) = outcome(&changed, &self.options);
        let places = self.base.1 - left;
        let mut costs = price - self.base.0;
        // A plan without the rule may be the plan with it; one that costs more was not searched as well.
        if places == 0 && !matches!(without, Variant::WithoutType(_)) {
            costs = costs.min(0);
        }
        let waiting = self.snapshot.pods.iter().filter(|pod| pod.is_provisionable());
        let pods = waiting.filter(|pod| without.concerns(&pod.spec)).count();
        Difference { without: without.clone(), pods, costs, places }
    }
}

/// The price, and how many pods are left.
fn outcome(snapshot: &Snapshot, options: &Options) -> (i64, i64) {
    let view = View::new(snapshot);
    let plan = schedule(snapshot, &Leaving::of(&view), options).plan;
    (plan.cost.planned.0 as i64, plan.unschedulable.len() as i64)
}

fn shapes(
    scene: &Scene<'_>,
    plan: &Plan,
    of_pod: &BTreeMap<&PodId, usize>,
    options: &Options,
) -> Vec<Shape> {
    let classes = &scene.classes.list;
    let market = Market {
        candidates: &scene.candidates,
        classes,
        fitting: &scene.fitting,
        topology: &scene.topology,
        bundles: &BTreeMap::new(),
        steps: options.steps.min(STEPS),
    };
    let worths = worth(&market).classes;
    let mut bought = vec![0; classes.len()];
    let mut placed = bought.clone();
    for pod in plan.launches.iter().flat_map(|launch| &launch.pods) {
        of_pod.get(pod).into_iter().for_each(|class| bought[*class] += 1);
    }
    for placement in &plan.placements {
        of_pod.get(&placement.pod).into_iter().for_each(|class| placed[*class] += 1);
    }
    let shape = |(at, class): (usize, &Class<'_>)| Shape {
        example: class.pods.first().map(|pod| pod.id.clone()).unwrap_or_else(|| PodId::new("", "")),
        pods: class.pods.len(),
        requests: class.spec.requests.clone(),
        rules: Variant::of_pod(class.spec),
        bought: bought[at],
        placed: placed[at],
        worth: (!scene.fitting[at].is_empty())
            .then(|| MicroUsdPerHour(worths[at].max(0.0).round() as u64)),
    };
    classes.iter().enumerate().map(shape).collect()
}

/// What makes nodes alike: pool, type, way to pay, price and contents.
type Alike = (MicroUsdPerHour, String, String, CapacityType, Vec<(usize, usize)>);

fn patterns(scene: &Scene<'_>, plan: &Plan, of_pod: &BTreeMap<&PodId, usize>) -> Vec<Pattern> {
    let mut alike: BTreeMap<Alike, usize> = BTreeMap::new();
    for launch in &plan.launches {
        let mut holds: BTreeMap<usize, usize> = BTreeMap::new();
        for class in launch.pods.iter().filter_map(|pod| of_pod.get(pod)) {
            *holds.entry(*class).or_default() += 1;
        }
        *alike.entry(key(launch, holds.into_iter().collect())).or_default() += 1;
    }
    let pattern = |(key, nodes): (Alike, usize)| {
        let (price, node_pool, instance_type, capacity_type, holds) = key;
        let used = used(scene, &node_pool, &instance_type, &holds);
        Pattern { nodes, node_pool, instance_type, capacity_type, price, holds, used }
    };
    let mut patterns = alike.into_iter().map(pattern).collect::<Vec<_>>();
    patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.price * pattern.nodes as u64));
    patterns
}

fn key(launch: &Launch, holds: Vec<(usize, usize)>) -> Alike {
    let of = &launch.offering;
    (of.price, launch.node_pool.clone(), of.instance_type.clone(), of.capacity_type, holds)
}

fn used(
    scene: &Scene<'_>,
    pool: &str,
    instance_type: &str,
    holds: &[(usize, usize)],
) -> Vec<(String, u64)> {
    let mut candidates = scene.candidates.list.iter();
    let is_own = |at: usize| scene.candidates.pools[at].name == pool;
    let found = candidates.find(|of| is_own(of.pool) && of.instance_type.name == instance_type);
    let Some(candidate) = found else { return Vec::new() };
    let share = |(dimension, usable): (usize, &i64)| {
        let taken = holds
            .iter()
            .map(|(class, count)| scene.classes.list[*class].size[dimension] * *count as i64)
            .sum::<i64>();
        let name = scene.classes.dimensions.name(dimension).to_owned();
        (taken > 0).then(|| (name, (i128::from(taken) * 100 / i128::from(*usable).max(1)) as u64))
    };
    candidate.usable.iter().enumerate().filter_map(share).collect()
}

impl Shape {
    /// What it asks for, in a line.
    pub fn size(&self) -> String {
        let named =
            self.requests.iter().filter(|(name, _)| name.as_str() != model::resources::PODS);
        let named =
            named.map(|(name, amount)| format!("{name} {}", display_amount(name.as_str(), amount)));
        let text = named.collect::<Vec<_>>().join(", ");
        if text.is_empty() { "nothing".to_owned() } else { text }
    }
}
