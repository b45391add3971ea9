//! A second opinion: replays a plan against the rules of Kubernetes and of the pools, with code of its own.
//!
//! Knows nothing of how plans are made and shares no code with `scheduling` or `packing`.

mod disruptions;
mod hosts;
mod leaving;
mod purchases;
mod rules;
mod steps;
mod storage;
mod topology;

pub(crate) use disruptions::faults as faults_of_disruptions;
pub(crate) use leaving::is_of;
pub(crate) use steps::Owned;

use hosts::{Host, hosts};
use leaving::Leaving;
use model::{Plan, Pod, PodId, Snapshot};
use std::collections::BTreeMap;
use std::fmt;

/// Something wrong with a plan: the object and the rule that it breaks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The pod, node or pool.
    pub subject: String,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.problem)
    }
}

/// Collects violations.
#[derive(Default)]
struct Findings(Vec<Violation>);

impl Findings {
    fn add(&mut self, subject: impl fmt::Display, problem: impl Into<String>) {
        self.0.push(Violation { subject: subject.to_string(), problem: problem.into() });
    }
}

/// Replays the plan against the rules. Nothing returned means that nothing is wrong.
pub fn check(snapshot: &Snapshot, plan: &Plan) -> Vec<Violation> {
    let mut findings = Findings::default();
    let pods = snapshot.pods.iter().map(|pod| (&pod.id, pod)).collect::<BTreeMap<_, _>>();
    let leaving = Leaving::new(snapshot, plan);
    let mut hosts = hosts(snapshot, plan, &leaving, &mut findings);
    let places = assign(plan, &pods, &mut hosts, &mut findings);
    every_pod_that_waits_once(snapshot, plan, &leaving, &places, &mut findings);
    nothing_goes_where_all_leave(plan, &leaving, &mut findings);
    for host in &hosts {
        host.check(&mut findings);
    }
    topology::check(snapshot, &hosts, &mut findings);
    purchases::check(snapshot, plan, &mut findings);
    for (node, problem) in disruptions::faults(snapshot, plan) {
        findings.add(node, problem);
    }
    steps::check(snapshot, plan, &mut findings);
    findings.0.sort();
    findings.0.dedup();
    findings.0
}

/// Puts the planned pods on their hosts; returns how often each pod was placed.
fn assign<'a>(
    plan: &'a Plan,
    pods: &BTreeMap<&PodId, &'a Pod>,
    hosts: &mut [Host<'a>],
    findings: &mut Findings,
) -> BTreeMap<&'a PodId, u32> {
    let index = hosts
        .iter()
        .enumerate()
        .map(|(at, host)| ((host.launched, host.name.to_string()), at))
        .collect::<BTreeMap<_, _>>();
    let placed = plan.placements.iter().map(|placement| (&placement.pod, false, &placement.node));
    let launched = plan
        .launches
        .iter()
        .flat_map(|launch| launch.pods.iter().map(move |pod| (pod, true, &launch.name)));
    let mut places = BTreeMap::new();
    for (id, is_launch, node) in placed.chain(launched) {
        *places.entry(id).or_insert(0) += 1;
        match (pods.get(id), index.get(&(is_launch, node.to_string()))) {
            (Some(pod), Some(host)) => hosts[*host].planned.push(pod),
            (None, _) => findings.add(id, "is planned but is not in the snapshot"),
            (Some(_), None) => {
                findings.add(id, format!("is planned onto {node}, which is not there"))
            }
        }
    }
    places
}

fn nothing_goes_where_all_leave(plan: &Plan, leaving: &Leaving<'_>, findings: &mut Findings) {
    for placement in plan.placements.iter().filter(|placement| leaving.contains(&placement.node)) {
        let problem = format!("is planned onto {}, which is on its way out", placement.node);
        findings.add(&placement.pod, problem);
    }
}

/// A pod that waits is in the plan once. A pod of a leaving node may have a place, once, and is not reported as waiting.
fn every_pod_that_waits_once(
    snapshot: &Snapshot,
    plan: &Plan,
    leaving: &Leaving<'_>,
    places: &BTreeMap<&PodId, u32>,
    findings: &mut Findings,
) {
    let mut told = places.clone();
    for unschedulable in &plan.unschedulable {
        *told.entry(&unschedulable.pod).or_insert(0) += 1;
        if unschedulable.reasons.is_empty() {
            findings.add(&unschedulable.pod, "is unschedulable without a reason");
        }
    }
    for pod in &snapshot.pods {
        let times = told.remove(&pod.id).unwrap_or(0);
        let moved = leaving.moves(pod);
        let expected = u32::from(pod.is_provisionable());
        if moved && places.get(&pod.id).copied().unwrap_or(0) == times && times <= 1 {
            continue;
        }
        if times != expected {
            findings.add(&pod.id, format!("is in the plan {times} times, expected {expected}"));
        }
    }
}
