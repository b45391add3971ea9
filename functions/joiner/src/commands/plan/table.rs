//! The plan for people.

use super::Answer;
use super::style::Style;
use model::{Launch, MicroUsdPerHour, PodId};
use observe::Severity;
use std::collections::BTreeMap;

/// Rows of nodes, unless all are asked for.
const MOST_NODES: usize = 40;
/// Findings, and groups of unschedulable pods, unless all are asked for.
const MOST_FINDINGS: usize = 10;
/// Hours of a month, as AWS counts them.
const HOURS_PER_MONTH: u64 = 730;

/// All sections that have something to say.
pub(crate) fn render(answer: &Answer, all: bool, style: &Style) -> String {
    let limit = |most: usize| if all { usize::MAX } else { most };
    let sections = [
        headline(answer),
        launches(answer, limit(MOST_NODES), style),
        by_type(answer, limit(MOST_NODES), style),
        placements(answer, limit(MOST_NODES), style),
        unschedulable(answer, limit(MOST_FINDINGS), style),
        findings(answer, limit(MOST_FINDINGS), style),
        cost(answer, style),
        footnotes(answer, style),
    ];
    sections.into_iter().filter(|section| !section.is_empty()).collect::<Vec<_>>().join("\n")
}

fn headline(answer: &Answer) -> String {
    let snapshot = &answer.planned;
    let waiting = snapshot.pods.iter().filter(|pod| pod.is_provisionable()).count();
    let pods = count(waiting, "pod");
    let pools = count(snapshot.node_pools.len(), "node pool");
    let region = &snapshot.region;
    match &answer.repack {
        Some(repack) => {
            let nodes = count(repack.replaced.len(), "node");
            format!("{region}: {nodes} with {pods} packed anew from {pools}\n")
        }
        None if waiting == 0 => format!(
            "{region}: no pod waits for a node ({}, {pools})\nPass --repack to see what these pods would cost, packed anew.\n",
            count(snapshot.nodes.len(), "node")
        ),
        None => format!(
            "{region}: {pods} waiting, {} there, {pools}\n",
            count(snapshot.nodes.len(), "node")
        ),
    }
}

fn launches(answer: &Answer, most: usize, style: &Style) -> String {
    let launches = &answer.plan.launches;
    if launches.is_empty() {
        return String::new();
    }
    let mut rows =
        vec![["NODE", "POOL", "TYPE", "ZONE", "BOUGHT", "$/H", "PODS", ""].map(String::from)];
    rows.extend(launches.iter().take(most).map(|launch| {
        let offering = &launch.offering;
        [
            launch.name.to_string(),
            launch.node_pool.clone(),
            offering.instance_type.clone(),
            offering.zone.clone(),
            offering.capacity_type.to_string(),
            price(offering.price, offering.estimated),
            launch.pods.len().to_string(),
            String::new(),
        ]
    }));
    let used = widths(&rows).iter().map(|width| width + 2).sum::<usize>();
    for (row, launch) in rows.iter_mut().skip(1).zip(launches) {
        row[7] = pod_names(&launch.pods, style.width.saturating_sub(used + 2));
    }
    let mut text = title(&format!("Launch {}", count(launches.len(), "node")), style);
    text += &align(&rows, &[5, 6], style);
    text + &more(launches.len(), most, "nodes", style)
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
    let mut rows = vec![["POOL", "TYPE", "BOUGHT", "NODES", "PODS", "$/H"].map(String::from)];
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
    let mut rows = vec![["NODE", "PODS", ""].map(String::from)];
    let room = style.width.saturating_sub(50);
    rows.extend(
        nodes.iter().take(most).map(|(node, pods)| {
            [(*node).to_owned(), pods.len().to_string(), pod_names(pods, room)]
        }),
    );
    let heading = format!("{} on nodes that are there", count(answer.plan.placements.len(), "pod"));
    let mut text = title(&heading, style) + &align(&rows, &[1], style);
    text += &more(nodes.len(), most, "nodes", style);
    text
}

fn unschedulable(answer: &Answer, most: usize, style: &Style) -> String {
    let mut groups = BTreeMap::<Vec<String>, Vec<PodId>>::new();
    for left in &answer.plan.unschedulable {
        let reasons = left.reasons.iter().map(ToString::to_string).collect();
        groups.entry(reasons).or_default().push(left.pod.clone());
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
        reasons.iter().for_each(|reason| text += &wrap(reason, style.width, "    - ", "      "));
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
    if answer.plan.launches.is_empty() && answer.repack.is_none() {
        return String::new();
    }
    let mut rows = vec![["COST", "$/HOUR", "$/MONTH", ""].map(String::from)];
    let row = |name: String, hour: MicroUsdPerHour, estimated: bool, note: String| {
        [name, price(hour, estimated), month(hour, estimated), note]
    };
    if let Some(repack) = &answer.repack {
        let name = format!("now, {}", count(repack.replaced.len(), "node"));
        rows.push(row(name, repack.current, repack.estimated, String::new()));
    }
    let planned = match &answer.repack {
        Some(_) => format!("packed anew, {}", count(answer.plan.launches.len(), "node")),
        None => "planned".to_owned(),
    };
    let left = answer.left_out();
    let change = answer.repack.as_ref().map(|repack| match left {
        0 => change(repack.current, cost.planned),
        left => format!("without {}: not comparable", count(left, "pod")),
    });
    rows.push(row(planned, cost.planned, cost.estimated, change.unwrap_or_default()));
    let gap = cost.planned.gap_basis_points(cost.lower_bound);
    let gap = gap.map(|gap| format!("gap {}", percent(gap))).unwrap_or_default();
    rows.push(row("lower bound".to_owned(), cost.lower_bound, cost.estimated, gap));
    align(&rows, &[1, 2], style)
}

/// How much less, or more, than now.
fn change(now: MicroUsdPerHour, then: MicroUsdPerHour) -> String {
    let share = |difference: MicroUsdPerHour| {
        (difference.0 as u128 * 10_000).checked_div(u128::from(now.0)).map(|share| share as u64)
    };
    let (word, difference) = if then > now { ("costs", then - now) } else { ("saves", now - then) };
    let more = if then > now { " more" } else { "" };
    share(difference).map(|share| format!("{word} {}{more}", percent(share))).unwrap_or_default()
}

fn footnotes(answer: &Answer, style: &Style) -> String {
    let estimated =
        answer.plan.cost.estimated || answer.repack.as_ref().is_some_and(|r| r.estimated);
    let mut notes = String::new();
    if estimated {
        notes += "~ estimated: a spot price is on-demand less the spot advisor's monthly average; a region without\n  \
                  prices of its own takes us-east-1's.\n";
    }
    if let Some(repack) = answer.repack.as_ref().filter(|repack| !repack.kept.is_empty()) {
        let names = repack.kept.iter().map(ToString::to_string).collect::<Vec<_>>();
        let names = shorten(&names, style.width.saturating_sub(40));
        notes += &format!("Left as they are, for their price is not known: {names}\n");
    }
    if notes.is_empty() { notes } else { style.dim(notes.trim_end()) + "\n" }
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
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

fn title(text: &str, style: &Style) -> String {
    style.bold(text) + "\n"
}

fn more(number: usize, most: usize, what: &str, style: &Style) -> String {
    let left = number.saturating_sub(most);
    let text = format!("  ... and {left} more {what} (--all prints them)\n");
    if left > 0 { style.dim(&text) } else { String::new() }
}

fn pod_names(pods: &[PodId], room: usize) -> String {
    shorten(&pods.iter().map(ToString::to_string).collect::<Vec<_>>(), room)
}

/// As many names as fit, and how many more there are; at least the beginning of one.
fn shorten(names: &[String], room: usize) -> String {
    let mut text = String::new();
    for (index, name) in names.iter().enumerate() {
        let left = names.len() - index - 1;
        let rest = if left > 0 { format!(", +{left}") } else { String::new() };
        let separator = if index > 0 { ", " } else { "" };
        let length = text.chars().count() + separator.len() + name.chars().count() + rest.len();
        if index > 0 && length > room {
            return format!("{text}, +{}", left + 1);
        }
        text += separator;
        text += &clip(name, room.saturating_sub(rest.len()).max(12));
    }
    text
}

/// A text over as many lines as it needs, the first behind `head`, the others behind `rest`.
fn wrap(text: &str, width: usize, head: &str, rest: &str) -> String {
    let mut lines = head.to_owned();
    let mut column = head.len();
    for (index, word) in text.split(' ').enumerate() {
        let length = word.chars().count();
        if index > 0 && column + 1 + length > width {
            lines += "\n";
            lines += rest;
            column = rest.len();
        } else if index > 0 {
            lines += " ";
            column += 1;
        }
        lines += word;
        column += length;
    }
    lines + "\n"
}

fn clip(name: &str, room: usize) -> String {
    if name.chars().count() <= room {
        return name.to_owned();
    }
    name.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}

fn widths<const N: usize>(rows: &[[String; N]]) -> [usize; N] {
    std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
    })
}

/// Columns side by side, those of `right` flush right; the first row is the heading.
fn align<const N: usize>(rows: &[[String; N]], right: &[usize], style: &Style) -> String {
    let widths = widths(rows);
    let cell = |(column, text): (usize, &String)| {
        let pad = " ".repeat(widths[column] - text.chars().count());
        if right.contains(&column) { format!("{pad}{text}") } else { format!("{text}{pad}") }
    };
    let line = |row: &[String; N]| {
        let cells = row.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ");
        format!("  {}", cells.trim_end())
    };
    let lines = rows
        .iter()
        .enumerate()
        .map(|(index, row)| if index == 0 { style.dim(&line(row)) } else { line(row) });
    lines.map(|line| line + "\n").collect()
}
