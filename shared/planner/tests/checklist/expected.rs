//! What a plan must be: `nodes=2 types=c2,c4 zones=a,b each=1,1 on=n1:2 left=1 why="needs cpu"`.

use model::{Plan, Snapshot};
use std::collections::BTreeMap;

/// What the plan does not meet of these words. What is not said may be anything, but for pods without a place: none is expected.
pub(crate) fn compare(expected: &str, snapshot: &Snapshot, plan: &Plan) -> Vec<String> {
    let (words, why) = expected.split_once("why=").unwrap_or((expected, ""));
    let mut problems = Vec::new();
    let mut differ = |what: &str, wanted: &str, found: String| {
        if wanted != found {
            problems.push(format!("{what}={wanted} expected, found {found}"));
        }
    };
    let mut left = "0";
    for word in words.split_whitespace() {
        let (what, wanted) = word.split_once('=').unwrap_or_else(|| panic!("{word:?} has no ="));
        match what {
            "left" => left = wanted,
            what => differ(what, wanted, found(what, snapshot, plan)),
        }
    }
    differ("left", left, plan.unschedulable.len().to_string());
    let reasons = plan.unschedulable.iter().flat_map(|left| &left.reasons);
    let reasons = reasons.map(ToString::to_string).collect::<Vec<_>>();
    let why = why.trim().trim_matches('"');
    if !why.is_empty() && !reasons.iter().any(|reason| reason.contains(why)) {
        problems.push(format!("no reason has {why:?}: {reasons:?}"));
    }
    if !problems.is_empty() {
        let launches = plan.launches.iter().map(|launch| {
            let pods = launch.pods.iter().map(|pod| &*pod.name).collect::<Vec<_>>();
            let of = &launch.offering;
            format!("{} {} {}: {pods:?}", of.instance_type, of.zone, of.capacity_type)
        });
        problems.push(format!("launches: {:?}", launches.collect::<Vec<_>>()));
        problems.push(format!("reasons: {reasons:?}"));
    }
    problems
}

fn found(what: &str, snapshot: &Snapshot, plan: &Plan) -> String {
    let each = |value: &dyn Fn(&model::Launch) -> String| {
        let mut all = plan.launches.iter().map(value).collect::<Vec<_>>();
        all.sort();
        all.join(",")
    };
    match what {
        "nodes" => plan.launches.len().to_string(),
        "types" => each(&|launch| launch.offering.instance_type.clone()),
        "zones" => each(&|launch| launch.offering.zone.clone()),
        "pools" => each(&|launch| launch.node_pool.clone()),
        "each" => each(&|launch| launch.pods.len().to_string()),
        "paid" => each(&|launch| launch.offering.capacity_type.to_string()),
        "labels" => each(&|launch| {
            launch.labels.iter().map(|(key, value)| format!("{key}:{value}")).collect::<String>()
        }),
        "choices" => each(&|launch| {
            let more = launch.alternatives.iter().map(|other| &other.instance_type);
            let types = more.chain([&launch.offering.instance_type]);
            types.collect::<std::collections::BTreeSet<_>>().len().to_string()
        }),
        "on" => {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for placement in &plan.placements {
                *counts.entry(&placement.node).or_default() += 1;
            }
            let counts = counts.iter().map(|(node, count)| format!("{node}:{count}"));
            counts.collect::<Vec<_>>().join(",")
        }
        "pods" => snapshot.pods.len().to_string(),
        "who" => {
            let left = plan.unschedulable.iter().map(|left| left.pod.name.to_string());
            left.collect::<Vec<_>>().join(",")
        }
        other => panic!("nothing is known of {other:?}"),
    }
}
