//! Comparing a plan with what a scenario expects of it.

use crate::file::{ExpectedLaunch, Header};
use model::{Launch, MicroUsdPerHour, Plan, PodId};
use std::fmt::Write as _;

/// Everything in which the plan is not what the header says.
pub(crate) fn compare(header: &Header, plan: &Plan) -> Vec<String> {
    let mut problems = launches(header, plan);
    problems.extend(placements(header, plan));
    problems.extend(refusals(header, plan));
    let removed = plan.removals.iter().map(|removal| removal.node.to_string()).collect::<Vec<_>>();
    if removed != header.removals {
        problems.push(format!("removes {removed:?}, expected {:?}", header.removals));
    }
    if let Some(most) = &header.cost_at_most {
        let most = micro_dollars(most);
        if plan.cost.planned > most {
            problems.push(format!("costs {}, expected at most {most}", plan.cost.planned));
        }
    }
    problems
}

fn launches(header: &Header, plan: &Plan) -> Vec<String> {
    let number = |expected: &ExpectedLaunch| {
        plan.launches.iter().filter(|launch| launch_matches(expected, launch)).count()
    };
    let each = header.launches.iter().filter(|expected| number(expected) != expected.count);
    let mut problems = each
        .map(|expected| format!("launches {} like {expected:?}", number(expected)))
        .collect::<Vec<_>>();
    let all = header.launches.iter().map(|expected| expected.count).sum::<usize>();
    problems.extend(differs("launches", plan.launches.len(), all));
    problems
}

fn launch_matches(expected: &ExpectedLaunch, launch: &Launch) -> bool {
    let offering = &launch.offering;
    let way = offering.capacity_type.to_string();
    let held = |name: &String| launch.pods.iter().any(|pod| named(name, pod));
    expected.pool == launch.node_pool
        && (expected.types.is_empty()
            || expected.types.iter().any(|name| alike(name, &offering.instance_type)))
        && expected.zone.as_ref().is_none_or(|zone| *zone == offering.zone)
        && expected.capacity_type.as_ref().is_none_or(|expected| *expected == way)
        && expected.labels.iter().all(|(key, value)| launch.labels.get(key) == Some(value))
        && expected.holds.iter().all(held)
        && expected.pod_count.is_none_or(|count| count == launch.pods.len())
}

fn placements(header: &Header, plan: &Plan) -> Vec<String> {
    let mut problems = Vec::new();
    for expected in &header.placed {
        let like = plan.placements.iter().filter(|placement| {
            *placement.node == *expected.node && named(&expected.pod, &placement.pod)
        });
        let what = format!("places on {} pods {}", expected.node, expected.pod);
        problems.extend(differs(&what, like.count(), expected.count));
    }
    let all = header.placed.iter().map(|expected| expected.count).sum();
    problems.extend(differs("places", plan.placements.len(), all));
    problems
}

fn refusals(header: &Header, plan: &Plan) -> Vec<String> {
    let mut problems = Vec::new();
    for expected in &header.unschedulable {
        let like = plan.unschedulable.iter().filter(|refused| {
            let because = |reason: &model::Reason| reason.to_string().contains(&expected.reason);
            named(&expected.pod, &refused.pod) && refused.reasons.iter().any(because)
        });
        let what = format!("because of {:?} refuses pods {}", expected.reason, expected.pod);
        problems.extend(differs(&what, like.count(), expected.count));
    }
    let all = header.unschedulable.iter().map(|expected| expected.count).sum();
    problems.extend(differs("refuses", plan.unschedulable.len(), all));
    problems
}

fn differs(what: &str, found: usize, expected: usize) -> Option<String> {
    (found != expected).then(|| format!("{what}: {found}, expected {expected}"))
}

/// Whether the pod has that name, with or without its namespace.
fn named(pattern: &str, pod: &PodId) -> bool {
    alike(pattern, &pod.name) || alike(pattern, &pod.to_string())
}

fn alike(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |beginning| name.starts_with(beginning))
}

/// Dollars with at most six decimals, exactly.
fn micro_dollars(text: &str) -> MicroUsdPerHour {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    assert!(part.len() <= 6, "{text}: at most six decimals");
    MicroUsdPerHour(format!("{whole}{part:0<6}").parse().unwrap())
}

/// The plan in short, for whoever must find out why a scenario fails.
pub(crate) fn render(plan: &Plan) -> String {
    let mut text = String::from("  plan:\n");
    for launch in &plan.launches {
        let offering = &launch.offering;
        let pods = launch.pods.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let _ = writeln!(
            text,
            "    launch {} {} {} {} {}: {pods}",
            launch.name,
            offering.instance_type,
            offering.zone,
            offering.capacity_type,
            offering.price
        );
    }
    for placement in &plan.placements {
        let _ = writeln!(text, "    place {} on {}", placement.pod, placement.node);
    }
    for refused in &plan.unschedulable {
        let reasons = refused.reasons.iter().map(ToString::to_string).collect::<Vec<_>>();
        let _ = writeln!(text, "    refuse {}: {}", refused.pod, reasons.join("; "));
    }
    for removal in &plan.removals {
        let _ = writeln!(text, "    remove {}", removal.node);
    }
    let _ = writeln!(text, "    cost {} bound {}", plan.cost.planned, plan.cost.lower_bound);
    text
}
