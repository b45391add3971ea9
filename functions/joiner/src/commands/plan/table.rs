//! The plan for people.

use super::Answer;
use super::causes::causes;
use super::parts::Parts;
use crate::commands::layout::{align, count, more, shorten, title, widths, wrap};
use crate::commands::style::Style;
use model::pool::ApiVersion;
use model::{CapacityType, Launch, MicroUsdPerHour, PodId};
use observe::Severity;
use planner::Repack;
use std::collections::BTreeMap;

/// Rows of nodes, unless all are asked for.
const MOST_NODES: usize = 40;
/// Findings, and groups of unschedulable pods, unless all are asked for.
const MOST_FINDINGS: usize = 10;
/// Reasons of one group of pods, unless all are asked for.
const MOST_REASONS: usize = 5;
/// Columns that pods' names need to say something.
const LEAST_NAMES: usize = 20;
/// Hours of a month, as AWS counts them.
const HOURS_PER_MONTH: u64 = 730;

/// All sections that have something to say.
pub(crate) fn render(answer: &Answer, all: bool, style: &Style) -> String {
    let limit = |most: usize| if all { usize::MAX } else { most };
    let sections = [
        headline(answer).lines().map(|line| wrap(line, style.width, "", "  ")).collect(),
        launches(answer, limit(MOST_NODES), style),
        by_type(answer, limit(MOST_NODES), style),
        placements(answer, limit(MOST_NODES), style),
        unschedulable(answer, limit(MOST_FINDINGS), style),
        findings(answer, limit(MOST_FINDINGS), style),
        cost(answer, style),
        side_by_side(answer, style),
        footnotes(answer, style),
    ];
    sections.into_iter().filter(|section| !section.is_empty()).collect::<Vec<_>>().join("\n")
}

fn headline(answer: &Answer) -> String {
    let snapshot = &answer.planned;
    let pods = count(answer.pods(), "pod");
    let built_in = snapshot.node_pools.iter().all(|pool| pool.api_version == ApiVersion::BuiltIn);
    let noun = if built_in { "built-in node pool" } else { "node pool" };
    let pools = count(snapshot.node_pools.len(), noun);
    let region = &snapshot.region;
    let nodes = count(snapshot.nodes.len(), "node");
    match &answer.repack {
        Some(repack) => repack_headline(answer, repack, &pools),
        None if answer.pods() == 0 => format!(
            "{region}: no pod waits for a node ({nodes}, {pools})\n\
             Pass --repack to see what the pods that run would cost, packed anew.\n"
        ),
        None => format!("{region}: {pods} waiting, {nodes} there, {pools}\n"),
    }
}

fn repack_headline(answer: &Answer, repack: &Repack, pools: &str) -> String {
    let region = &answer.planned.region;
    let nodes = count(repack.replaced.len(), "node");
    let mut text = match (repack.replaced.len(), answer.pods()) {
        (0, _) => format!("{region}: no node has a known price, so that none can be packed anew\n"),
        (_, 0) => format!("{region}: {nodes}, but no pod runs there that could be packed anew\n"),
        (_, pods) => {
            let pods = count(pods, "pod");
            format!("{region}: {nodes} with {pods} packed anew from {pools}\n")
        }
    };
    let (pods, wait, is, them) = match repack.waiting {
        0 => return text,
        1 => ("1 pod".to_owned(), "waits", "is", "it"),
        several => (format!("{several} pods"), "wait", "are", "them"),
    };
    text += &format!(
        "{pods} {wait} already and {is} left out; `joiner plan` without --repack decides about {them}.\n"
    );
    text
}

fn launches(answer: &Answer, most: usize, style: &Style) -> String {
    let launches = &answer.plan.launches;
    if launches.is_empty() {
        return String::new();
    }
    let mut rows =
        vec![["NODE", "TYPE", "ZONE", "CAPACITY", "$/HOUR", "PODS", ""].map(String::from)];
    rows.extend(launches.iter().take(most).map(|launch| {
        let offering = &launch.offering;
        [
            launch.name.to_string(),
            offering.instance_type.clone(),
            offering.zone.clone(),
            offering.capacity_type.to_string(),
            price(offering.price, offering.estimated),
            launch.pods.len().to_string(),
            String::new(),
        ]
    }));
    let names = |launch: &Launch, room| pod_names(&launch.pods, room);
    let mut text = title(&format!("Launch {}", count(launches.len(), "node")), style);
    text += &with_names(&mut rows, &[4, 5], launches, names, style);
    text + &more(launches.len(), most, "nodes", style)
}

/// The table with names in its last column; where that has too little room they stand below each row.
fn with_names<const N: usize, T>(
    rows: &mut [[String; N]],
    right: &[usize],
    of: &[T],
    names: impl Fn(&T, usize) -> String,
    style: &Style,
) -> String {
    let used = widths(rows).iter().map(|width| width + 2).sum::<usize>();
    let room = style.width.saturating_sub(used);
    if room >= LEAST_NAMES {
        for (row, item) in rows.iter_mut().skip(1).zip(of) {
            row[N - 1] = names(item, room);
        }
        return align(rows, right, style);
    }
    let table = align(rows, right, style);
    let mut lines = table.lines().map(|line| format!("{line}\n"));
    let head = lines.next().unwrap_or_default();
    let below = |item| format!("      {}\n", names(item, style.width.saturating_sub(6)));
    head + &lines.zip(of).map(|(line, item)| line + &below(item)).collect::<String>()
}

/// Sums by pool, type and way of buying, where the list of nodes is cut.
fn by_type(answer: &Answer, most: usize, style: &Style) -> String {
    if answer.plan.launches.len() <= most {
        return String::new();
    }
    let mut groups = BTreeMap::<_, (u64, usize, MicroUsdPerHour, bool)>::new();
    for Launch { node_pool, offering, pods, .. } in &answer.plan.launches {
        let group = groups.entry((node_pool, &offering.instance_type, offering.capacity_type));
        let (nodes, held, sum, estimated) = group.or_default();
        *nodes += 1;
        *held += pods.len();
        *sum += offering.price;
        *estimated |= offering.estimated;
    }
    let mut rows = vec![["POOL", "TYPE", "CAPACITY", "NODES", "PODS", "$/HOUR"].map(String::from)];
    let mut groups = groups.into_iter().collect::<Vec<_>>();
    groups.sort_by_key(|(_, (_, _, sum, _))| std::cmp::Reverse(*sum));
    rows.extend(groups.into_iter().map(|((pool, name, way), (nodes, held, sum, estimated))| {
        let numbers = [nodes.to_string(), held.to_string(), price(sum, estimated)];
        let [nodes, held, sum] = numbers;
        [pool.clone(), name.clone(), way.to_string(), nodes, held, sum]
    }));
    title("By type", style) + &align(&rows, &[3, 4, 5], style)
}

fn placements(answer: &Answer, most: usize, style: &Style) -> String {
    let mut nodes = BTreeMap::<&str, Vec<PodId>>::new();
    for placement in &answer.plan.placements {
        nodes.entry(&placement.node).or_default().push(placement.pod.clone());
    }
    if nodes.is_empty() {
        return String::new();
    }
    let nodes = nodes.into_iter().collect::<Vec<_>>();
    let mut rows = vec![["NODE", "PODS", ""].map(String::from)];
    let row = |(node, pods): &(&str, Vec<PodId>)| {
        [(*node).to_owned(), pods.len().to_string(), String::new()]
    };
    rows.extend(nodes.iter().take(most).map(row));
    let heading = format!("{} on nodes that are there", count(answer.plan.placements.len(), "pod"));
    let names = |(_, pods): &(&str, Vec<PodId>), room| pod_names(pods, room);
    let mut text = title(&heading, style) + &with_names(&mut rows, &[1], &nodes, names, style);
    text += &more(nodes.len(), most, "nodes", style);
    text
}

fn unschedulable(answer: &Answer, most: usize, style: &Style) -> String {
    let mut groups = BTreeMap::<Vec<String>, Vec<PodId>>::new();
    for left in &answer.plan.unschedulable {
        groups.entry(causes(&left.reasons)).or_default().push(left.pod.clone());
    }
    let unreadable = &answer.dump.unreadable_pods;
    if groups.is_empty() && unreadable.is_empty() {
        return String::new();
    }
    let number = answer.plan.unschedulable.len() + unreadable.len();
    let mut text = style.bad(&style.bold(&format!("{} left out", count(number, "pod")))) + "\n";
    let mut groups = groups.into_iter().collect::<Vec<_>>();
    groups.sort_by_key(|(_, pods)| std::cmp::Reverse(pods.len()));
    for (reasons, pods) in groups.iter().take(most) {
        text += &format!("  {}\n", pod_names(pods, style.width.saturating_sub(4)));
        let shown = reasons.iter().take(MOST_REASONS.min(most));
        shown.for_each(|reason| text += &wrap(reason, style.width, "    - ", "      "));
        if reasons.len() > MOST_REASONS.min(most) {
            text += &style
                .dim(&format!("    - {} more (--all prints them)\n", reasons.len() - MOST_REASONS));
        }
    }
    text += &more(groups.len(), most, "groups", style);
    if !unreadable.is_empty() {
        let names = shorten(unreadable, style.width.saturating_sub(4));
        text += &format!("  {names}\n    - cannot be read (see the findings)\n");
    }
    text
}

fn findings(answer: &Answer, most: usize, style: &Style) -> String {
    let mut findings = answer.dump.findings.iter().collect::<Vec<_>>();
    if findings.is_empty() {
        return String::new();
    }
    // The worst first, each kind in the input's order.
    findings.sort_by_key(|finding| finding.severity);
    let line = |finding: &&observe::DumpFinding| {
        let text = wrap(&format!("{}: {finding}", finding.severity), style.width, "  ", "      ");
        let severity = finding.severity.to_string();
        let painted = match finding.severity {
            Severity::Error => style.bad(&severity),
            Severity::Warning => style.odd(&severity),
            Severity::Note => style.dim(&severity),
        };
        text.replacen(&severity, &painted, 1)
    };
    let heading = title(&format!("{} about the input", count(findings.len(), "finding")), style);
    let lines = findings.iter().take(most).map(line).collect::<String>();
    heading + &lines + &more(findings.len(), most, "findings", style)
}

fn cost(answer: &Answer, style: &Style) -> String {
    let cost = &answer.plan.cost;
    let comparable = answer.repack.as_ref().is_some_and(|repack| !repack.replaced.is_empty());
    if answer.plan.launches.is_empty() && !comparable {
        return String::new();
    }
    let mut rows = vec![["COST", "$/HOUR", "$/MONTH", ""].map(String::from)];
    let row = |name: String, hour: MicroUsdPerHour, estimated: bool, note: String| {
        [name, price(hour, estimated), month(hour, estimated), note]
    };
    if let Some(repack) = &answer.repack {
        let nodes = &answer.dump.snapshot.nodes;
        let gone = nodes.iter().filter(|node| repack.replaced.binary_search(&node.name).is_ok());
        let name = format!("now, {}", nodes_and_spot(gone.map(model::Node::capacity_type)));
        // Nothing was packed: rows of zeros would read as a saving of everything.
        let nothing = answer.plan.launches.is_empty() && !answer.is_comparable();
        let note = if nothing { comparison(answer, repack) } else { String::new() };
        rows.push(row(name, repack.current, repack.estimated, note));
        if nothing {
            return align(&rows, &[1, 2], style);
        }
    }
    let planned = match &answer.repack {
        Some(_) => {
            let ways = answer.plan.launches.iter().map(|launch| launch.offering.capacity_type);
            format!("packed anew, {}", nodes_and_spot(ways))
        }
        None => "planned".to_owned(),
    };
    let change = answer.repack.as_ref().map(|repack| comparison(answer, repack));
    rows.push(row(planned, cost.planned, cost.estimated, change.unwrap_or_default()));
    let parts = Parts::of(&answer.plan);
    let of_it = [
        ("  volumes", parts.volumes, ""),
        ("  spot premium", parts.spot_premium, "not billed"),
        ("  daemonsets", parts.daemons, "of the instances"),
    ];
    let of_it = of_it.into_iter().filter(|(_, hour, _)| !hour.is_zero());
    rows.extend(of_it.map(|(name, hour, note)| row(name.to_owned(), hour, false, note.to_owned())));
    let gap = cost.planned.gap_basis_points(cost.lower_bound);
    let above = |gap| match gap {
        0 => "the plan costs no more".to_owned(),
        gap => format!("the plan is {} above it", percent(gap)),
    };
    let gap = gap.map(above).unwrap_or_default();
    rows.push(row("lower bound".to_owned(), cost.lower_bound, cost.estimated, gap));
    align(&rows, &[1, 2], style)
}

/// The plan beside those under other rules.
fn side_by_side(answer: &Answer, style: &Style) -> String {
    if answer.what_if.is_empty() {
        return String::new();
    }
    let heading = ["WHAT IF", "NODES", "LEFT", "$/MONTH", "DIFFERENCE", "TYPES"];
    let mut rows = vec![heading.map(String::from)];
    let row = |name: &str, plan: &model::Plan, difference: String| {
        let mut types: BTreeMap<&str, usize> = BTreeMap::new();
        for launch in &plan.launches {
            *types.entry(&launch.offering.instance_type).or_default() += 1;
        }
        let types = types.into_iter().map(|(name, count)| format!("{count} {name}"));
        [
            name.to_owned(),
            plan.launches.len().to_string(),
            plan.unschedulable.len().to_string(),
            month(plan.cost.planned, plan.cost.estimated),
            difference,
            shorten(&types.collect::<Vec<_>>(), 40),
        ]
    };
    rows.push(row("as it is", &answer.plan, String::new()));
    for scenario in &answer.what_if {
        let difference = scenario.difference(&answer.plan);
        let left = scenario.more_left(&answer.plan);
        let more = if left > 0 { "more" } else { "fewer" };
        let uneven = || format!("{} {more} left", count(left.unsigned_abs() as usize, "pod"));
        let difference = difference.map_or_else(uneven, signed_month);
        rows.push(row(&scenario.words, &scenario.plan, difference));
    }
    align(&rows, &[1, 2, 3, 4], style)
}

fn signed_month(micro_usd_per_hour: i64) -> String {
    let sign = if micro_usd_per_hour < 0 { '-' } else { '+' };
    format!("{sign}{}", month(MicroUsdPerHour(micro_usd_per_hour.unsigned_abs()), false))
}

/// `5 nodes, 2 spot`: moving to spot saves too, and must not pass for better packing.
fn nodes_and_spot(ways: impl Iterator<Item = CapacityType>) -> String {
    let ways = ways.collect::<Vec<_>>();
    let spot = ways.iter().filter(|way| **way == CapacityType::Spot).count();
    let spot = if spot > 0 { format!(", {spot} spot") } else { String::new() };
    count(ways.len(), "node") + &spot
}

/// What packing anew saves, or why that cannot be said.
fn comparison(answer: &Answer, repack: &Repack) -> String {
    match (answer.left_out(), answer.pods()) {
        (0, 0) => "no pod to compare by".to_owned(),
        (0, _) => {
            let estimated = repack.estimated || answer.plan.cost.estimated;
            change(repack.current, answer.plan.cost.planned, estimated)
        }
        (left, _) => format!("not comparable: {} left out", count(left, "pod")),
    }
}

/// How much less, or more, than now.
fn change(now: MicroUsdPerHour, then: MicroUsdPerHour, estimated: bool) -> String {
    if now == then {
        return "as much as now".to_owned();
    }
    let (verb, more, difference) =
        if then > now { ("costs", " more", then - now) } else { ("saves", "", now - then) };
    let share = (u128::from(difference.0) * 10_000).checked_div(u128::from(now.0));
    let share = share.map(|share| format!(" ({})", percent(share as u64))).unwrap_or_default();
    let sum = month(difference, false);
    format!("{verb} {}${sum} a month{more}{share}", if estimated { "~" } else { "" })
}

fn footnotes(answer: &Answer, style: &Style) -> String {
    let mut notes = Vec::new();
    if !cost(answer, &Style::PLAIN).is_empty() {
        notes.push(format!(
            "EC2 list prices in dollars and us-east-1's of EBS volumes, without discounts and traffic; a month has {HOURS_PER_MONTH} hours."
        ));
    }
    if answer.plan.cost.estimated || answer.repack.as_ref().is_some_and(|r| r.estimated) {
        notes.push(
            "~ estimated: a spot price is on-demand less the spot advisor's monthly average; a region without \
             prices of its own takes us-east-1's."
                .to_owned(),
        );
    }
    if let Some(repack) = answer.repack.as_ref().filter(|repack| !repack.kept.is_empty()) {
        let names = repack.kept.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (nodes, stay) =
            (count(names.len(), "node"), if names.len() == 1 { "stays" } else { "stay" });
        let names = shorten(&names, (2 * style.width).saturating_sub(80));
        notes.push(format!(
            "{nodes} of unknown price {stay} and {} in neither sum: {names}",
            if repack.kept.len() == 1 { "is" } else { "are" }
        ));
    }
    let lines = notes.iter().map(|note| wrap(note, style.width, "", "  ")).collect::<String>();
    if lines.is_empty() { lines } else { style.dim(lines.trim_end()) + "\n" }
}

fn price(price: MicroUsdPerHour, estimated: bool) -> String {
    format!("{}{:.4}", if estimated { "~" } else { "" }, price.usd())
}

fn month(price: MicroUsdPerHour, estimated: bool) -> String {
    format!("{}{:.2}", if estimated { "~" } else { "" }, (price * HOURS_PER_MONTH).usd())
}

fn percent(basis_points: u64) -> String {
    format!("{}.{:02}%", basis_points / 100, basis_points % 100)
}

fn pod_names(pods: &[PodId], room: usize) -> String {
    shorten(&pods.iter().map(ToString::to_string).collect::<Vec<_>>(), room)
}
