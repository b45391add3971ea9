//! The smallest change that makes a pod fit. Candidates come from what keeps the pod from the nearest types; each is tried by planning.

use super::change::Change;
use super::obstacle::Obstacle;
use super::pod::{PodState, PoolVerdict, TypeVerdict, holds, state, verdicts};
use crate::Options;
use crate::leaving::Leaving;
use crate::scheduling::Scene;
use crate::view::View;
use model::resources::{CPU, EPHEMERAL_STORAGE, MEMORY};
use model::{MicroUsdPerHour, Pod, Reason, Snapshot};
use std::collections::BTreeMap;
use std::sync::Arc;

/// So many ways are tried; the nearest ones come first.
const MOST_TRIED: usize = 8;
/// So many are told.
const MOST_TOLD: usize = 3;
/// One change may bring up what the next must lift; so often at most.
const ROUNDS: usize = 4;
/// A plan made to try a change need not be the cheapest.
const STEPS: u64 = 2_000_000;

/// Changes that make the pod fit, the smallest first. With `only`, they make it fit a type of that name.
pub(super) fn fixes(
    snapshot: &Snapshot,
    pod: &Pod,
    pools: &[PoolVerdict],
    only: Option<&str>,
    options: &Options,
) -> Vec<Vec<Change>> {
    let trial = Trial { pod, only, options: Options { steps: options.steps.min(STEPS) } };
    let waiting = waiting(snapshot, pod, only);
    let mut found: Vec<Vec<Change>> = Vec::new();
    let mut tried = 0;
    for start in starts(pod, pools) {
        let like = |change: &Change| start.iter().any(|own| own.is_like(change));
        if found.iter().any(|known| known.iter().all(like)) {
            continue;
        }
        found.extend(trial.repair(&waiting, start));
        tried += 1;
        if found.len() == MOST_TOLD || tried == MOST_TRIED {
            break;
        }
    }
    found.sort_by_key(|changes| size(changes));
    found
}

/// The snapshot with the pod waiting and, for one type, nothing else to buy.
fn waiting(snapshot: &Snapshot, pod: &Pod, only: Option<&str>) -> Snapshot {
    let mut waiting = snapshot.clone();
    for own in waiting.pods.iter_mut().filter(|own| own.id == pod.id) {
        own.node_name = None;
        own.nominated_node = None;
        own.phase = model::pod::PodPhase::Pending;
        own.unschedulable = true;
        own.gated = false;
        own.deletion_at = None;
    }
    for types in waiting.instance_types.values_mut().filter(|_| only.is_some()) {
        Arc::make_mut(types).retain(|of| Some(of.name.as_str()) == only);
    }
    waiting
}

fn size(changes: &[Change]) -> (usize, i64) {
    (changes.len(), changes.iter().map(Change::weight).sum())
}

/// For each pool and type, what would lift all that keeps the pod from it: the smallest first, then for the cheapest type.
fn starts(pod: &Pod, pools: &[PoolVerdict]) -> Vec<Vec<Change>> {
    let mut starts: BTreeMap<Vec<Change>, Option<MicroUsdPerHour>> = BTreeMap::new();
    for (pool, of) in pools.iter().flat_map(|pool| pool.types.iter().map(move |of| (pool, of))) {
        let price = of.offerings.first().map(|offering| offering.price);
        for changes in for_type(pod, pool, of) {
            let least = starts.entry(changes).or_insert(price);
            *least = (*least).min(price);
        }
    }
    if starts.is_empty() {
        starts.insert(Vec::new(), None);
    }
    let mut starts = starts.into_iter().collect::<Vec<_>>();
    starts.sort_by(|(a, x), (b, y)| (size(a), x, a).cmp(&(size(b), y, b)));
    starts.into_iter().map(|(changes, _)| changes).collect()
}

fn for_type(pod: &Pod, pool: &PoolVerdict, of: &TypeVerdict) -> Vec<Vec<Change>> {
    let offerings = of.offerings.iter().take(2);
    let lists = offerings.filter_map(|offering| {
        let all = pool.obstacles.iter().chain(&offering.obstacles);
        let change = |obstacle: &Obstacle| for_obstacle(pod, pool, of, obstacle);
        all.map(change).collect::<Option<Vec<_>>>()
    });
    lists.flat_map(|lists| combinations(&lists)).collect()
}

/// One change of each list.
fn combinations(lists: &[Vec<Change>]) -> Vec<Vec<Change>> {
    let mut all = vec![Vec::new()];
    for list in lists {
        let with = |change: &Change| {
            let mut longer = all.clone();
            longer.iter_mut().for_each(|changes: &mut Vec<Change>| changes.push(change.clone()));
            longer
        };
        all = list.iter().flat_map(with).take(MOST_TRIED).collect();
    }
    all.iter_mut().for_each(|changes| changes.sort());
    all
}

/// What would lift the obstacle: several ways, or none.
fn for_obstacle(
    pod: &Pod,
    pool: &PoolVerdict,
    of: &TypeVerdict,
    obstacle: &Obstacle,
) -> Option<Vec<Change>> {
    let name = || pool.pool.clone();
    Some(match obstacle {
        Obstacle::Taint { taint } => vec![Change::Tolerate { taint: taint.clone() }],
        Obstacle::PoolRequirement { key, value, .. } => {
            vec![Change::Allow { pool: name(), key: key.clone(), value: value.clone() }]
        }
        Obstacle::PodRequirement { key, wanted, value } => {
            let mut ways = vec![Change::DropRequirement { key: key.clone() }];
            let custom = !model::labels::is_well_known(key) && key != "metadata.name";
            let listed = wanted.values.first().filter(|_| !wanted.complement && custom);
            ways.extend(listed.filter(|_| value.is_none()).map(|value| Change::AddLabel {
                pool: name(),
                key: key.clone(),
                value: value.clone(),
            }));
            ways
        }
        Obstacle::TooSmall { resource, requested, available } => {
            let to = round_down(resource, *available);
            let lower = Change::LowerRequest { resource: resource.clone(), from: *requested, to };
            let needed = resource == CPU || resource == MEMORY;
            vec![Some(lower).filter(|_| to > 0 || (to == 0 && !needed))?]
        }
        Obstacle::HostPort { port } => vec![Change::DropHostPort { port: *port }],
        Obstacle::Limit { resource, used, node, .. } => {
            vec![Change::RaiseLimit { pool: name(), resource: resource.clone(), to: used + node }]
        }
        Obstacle::OutOfCapacity { zone, capacity_type } => vec![Change::AwaitCapacity {
            instance_type: of.instance_type.clone(),
            zone: zone.clone(),
            capacity_type: *capacity_type,
        }],
        Obstacle::Rule { reason } => vec![Change::for_reason(reason, &pod.spec)?],
        Obstacle::NotUsable { problem } => {
            vec![Change::MendPool { pool: name(), problem: problem.clone() }]
        }
        Obstacle::Volume { .. } | Obstacle::NotOffered => return None,
    })
}

/// To what people would write: hundredths of a core, whole mebibytes.
fn round_down(resource: &str, amount: i64) -> i64 {
    let unit = match resource {
        CPU => 10,
        MEMORY | EPHEMERAL_STORAGE => 1 << 20,
        _ => 1,
    };
    amount - amount.rem_euclid(unit)
}

struct Trial<'a> {
    pod: &'a Pod,
    only: Option<&'a str>,
    options: Options,
}

impl Trial<'_> {
    /// The changes with what else they turn out to need; nothing if they do not help.
    fn repair(&self, waiting: &Snapshot, mut changes: Vec<Change>) -> Option<Vec<Change>> {
        for _ in 0..ROUNDS {
            let mut changed = waiting.clone();
            changes.iter().for_each(|change| change.apply(&mut changed, &self.pod.id));
            let pod = changed.pods.iter().find(|pod| pod.id == self.pod.id)?;
            let reasons = match state(&changed, pod, &self.options) {
                PodState::Placed { .. } | PodState::Bought { .. } => {
                    return (!changes.is_empty() && self.holds(&changed, pod)).then_some(changes);
                }
                PodState::Unschedulable { reasons } => reasons,
                PodState::Runs { .. } | PodState::NotConsidered { .. } => return None,
            };
            let next = self.next(&changed, pod, &reasons)?;
            changes.retain(|known| !replaces(&next, known));
            changes.push(next);
        }
        None
    }

    /// Whether, if one type is asked for, some pool can hold the pod on it.
    fn holds(&self, changed: &Snapshot, pod: &Pod) -> bool {
        self.only.is_none() || self.verdicts(changed, pod).iter().any(holds)
    }

    fn verdicts(&self, changed: &Snapshot, pod: &Pod) -> Vec<PoolVerdict> {
        let view = View::new(changed);
        let scene = Scene::new(changed, &Leaving::of(&view));
        verdicts(changed, &scene, pod, self.only)
    }

    /// What would lift the first of the reasons that can be lifted.
    fn next(&self, changed: &Snapshot, pod: &Pod, reasons: &[Reason]) -> Option<Change> {
        let of_pod = reasons.iter().find_map(|reason| Change::for_reason(reason, &pod.spec));
        of_pod.or_else(|| {
            let pools = self.verdicts(changed, pod);
            reasons.iter().find_map(|reason| raise(changed, &pools, reason))
        })
    }
}

/// A limit that what this turn buys for others leaves no room under.
fn raise(changed: &Snapshot, pools: &[PoolVerdict], reason: &Reason) -> Option<Change> {
    let Reason::Limit { pool, resource, used, .. } = reason else { return None };
    let verdict = pools.iter().find(|verdict| verdict.pool == *pool)?;
    let cheapest = &verdict.types.first()?.instance_type;
    let mut types = changed.instance_types.values().flat_map(|types| types.iter());
    let capacity = &types.find(|of| of.name == *cheapest)?.capacity;
    let node = if resource == model::resources::NODES { 1 } else { capacity.get(resource) };
    let to = used.saturating_add(node);
    Some(Change::RaiseLimit { pool: pool.clone(), resource: resource.clone(), to })
}

/// Whether the new change makes the known one void.
fn replaces(new: &Change, known: &Change) -> bool {
    let Change::RaiseLimit { pool, resource, .. } = new else { return new == known };
    matches!(known, Change::RaiseLimit { pool: other, resource: of, .. } if (pool, resource) == (other, of))
}
