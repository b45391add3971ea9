//! The page around the charts: headline, cards, table, method.

use super::chart::{Caption, lines};
use super::number::{dollars, group, percent, wait};
use super::{escape, series, stack};
use crate::run::Part;
use crate::summary::{Strategy, Summary};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// How many instance types have a colour of their own.
const SHOWN_TYPES: usize = 10;

pub(super) fn page(summary: &Summary) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Joiner: {hours} simulated hours</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         {header}{cards}<h2>Over time</h2>\n{charts}<h2>All figures</h2>\n{table}{method}</main>\n\
         <script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        hours = hours(summary),
        header = header(summary),
        cards = cards(summary),
        charts = charts(summary),
        table = table(summary),
        method = method(summary),
    )
}

fn hours(summary: &Summary) -> String {
    group(&format!("{}", summary.length_s / 3600))
}

fn header(summary: &Summary) -> String {
    let pods = summary.strategies.first().map_or(0, |strategy| strategy.pods);
    let (pods, hours, region) = (group(&pods.to_string()), hours(summary), escape(&summary.region));
    let source = escape(&summary.source);
    format!(
        "<header><p class=\"eyebrow\">Joiner simulation report</p><h1>{}</h1>\
         <p class=\"lead\">{pods} pods over {hours} hours on a simulated EKS cluster in {region}, with the real EC2 catalog \
         and on-demand prices. Trace: {source}.</p></header>\n",
        headline(summary)
    )
}

/// The one sentence to take away.
fn headline(summary: &Summary) -> String {
    let total = |part| summary.strategy(part).map(|strategy| strategy.total_micro_usd);
    let (Some(joiner), Some(upstream), Some(group)) =
        (total(Part::Joiner), total(Part::Upstream), total(Part::NodeGroup))
    else {
        return "A simulated run".to_owned();
    };
    format!(
        "Joiner ran this workload for {}: {} an upstream-like packer, {} a fixed node group",
        dollars(joiner),
        against(joiner, upstream),
        against(joiner, group)
    )
}

fn against(mine: u64, other: u64) -> String {
    let difference = i128::from(other) - i128::from(mine);
    let basis_points = (difference * 10_000 / i128::from(other.max(1))) as i64;
    match basis_points {
        10.. => format!("{} less than", percent(basis_points)),
        ..=-10 => format!("{} more than", percent(-basis_points)),
        _ => "the same as".to_owned(),
    }
}

fn cards(summary: &Summary) -> String {
    let strategies: String = summary.strategies.iter().map(card).collect();
    let bound = &summary.bound;
    format!(
        "<section class=\"cards\">{strategies}<article class=\"card bound\"><h2>Lower bound</h2>\
         <p class=\"figure\">{}<small>/h</small></p><p>{} a month</p><p>the live pods, packed anew at every moment</p>\
         </article></section>\n",
        dollars(bound.average.0),
        dollars(bound.month_micro_usd)
    )
}

fn card(strategy: &Strategy) -> String {
    let gap = strategy.gap_basis_points.map_or("no bound".to_owned(), |gap| {
        format!("{} over the bound", percent(i64::try_from(gap).unwrap_or(i64::MAX)))
    });
    format!(
        "<article class=\"card {}\"><h2>{}</h2><p class=\"figure\">{}<small>/h</small></p><p>{} a month</p><p>{gap}</p>\
         <p>99 of 100 pods bound within {}</p></article>",
        series::class(strategy.part),
        escape(&title(strategy)),
        dollars(strategy.average.0),
        dollars(strategy.month_micro_usd),
        wait(strategy.pending_p99_ms)
    )
}

fn title(strategy: &Strategy) -> String {
    match strategy.part {
        Part::Joiner => "Joiner".to_owned(),
        Part::Upstream => "Upstream-like packer".to_owned(),
        Part::NodeGroup => "Fixed node group".to_owned(),
        Part::Bound => "Lower bound".to_owned(),
    }
}

fn charts(summary: &Summary) -> String {
    let times = series::times(summary);
    let cost = Caption {
        title: "Cost of the cluster",
        unit: "$ per hour",
        note: "What all running nodes cost at each moment. The shaded area is the lower bound: nobody can be below it for long.",
        decimals: 2,
    };
    let pending = Caption {
        title: "Pending pods",
        unit: "pods",
        note: "The most pods that waited at once in each interval.",
        decimals: 0,
    };
    let mut html = lines(&cost, &times, summary.length_s, &series::cost(summary));
    html.push_str(&lines(&pending, &times, summary.length_s, &series::pending(summary)));
    html.push_str("<div class=\"multiples\">");
    html.push_str(&node_charts(summary, &times));
    html.push_str("</div>");
    html
}

fn node_charts(summary: &Summary, times: &[i64]) -> String {
    let shown = series::shown_types(summary, SHOWN_TYPES);
    let all: Vec<_> = summary
        .strategies
        .iter()
        .map(|strategy| (strategy, series::nodes(strategy, &shown)))
        .collect();
    let chart = |(strategy, layers): &(&Strategy, Vec<series::Series>)| {
        let title = format!("Nodes by type: {}", title(strategy));
        let caption = Caption { title: &title, unit: "nodes", note: "", decimals: 0 };
        let most = stack::highest(layers, times.len());
        stack::layers(&caption, times, summary.length_s, layers, most)
    };
    all.iter().map(chart).collect()
}

type Row<'a> = (&'static str, &'a dyn Fn(&Strategy) -> String);

fn table(summary: &Summary) -> String {
    let gap = |strategy: &Strategy| {
        strategy.gap_basis_points.map_or("-".to_owned(), |gap| percent(gap as i64))
    };
    let rows: [Row<'_>; 19] = [
        ("Total cost of the run", &|s| dollars(s.total_micro_usd)),
        ("Cost per hour, average", &|s| dollars(s.average.0)),
        ("Cost per hour, peak", &|s| dollars(s.peak.0)),
        ("Cost per month of 730 hours", &|s| dollars(s.month_micro_usd)),
        ("Over the lower bound", &gap),
        ("Nodes, average", &|s| format!("{:.1}", s.nodes_average_hundredths as f64 / 100.0)),
        ("Nodes, peak", &|s| group(&s.nodes_peak.to_string())),
        ("Nodes started", &|s| group(&s.nodes_started.to_string())),
        ("Pods created", &|s| group(&s.pods.to_string())),
        ("Pods bound at once, without waiting", &|s| group(&s.bound_at_once.to_string())),
        ("Pending time of all pods, p50", &|s| wait(s.pending_p50_ms)),
        ("Pending time of all pods, p99", &|s| wait(s.pending_p99_ms)),
        ("Pending time, longest", &|s| wait(s.pending_max_ms)),
        ("Pending time of pods that had to wait, p50", &|s| wait(s.new_node_p50_ms)),
        ("Pods still pending at the end", &|s| group(&s.never_bound.to_string())),
        ("Nodes taken away because others are cheaper", &|s| {
            group(&s.nodes_consolidated.to_string())
        }),
        ("Pods moved for that", &|s| group(&s.pods_moved.to_string())),
        ("Saved by each move, a month", &|s| {
            s.month_saved_per_move_micro_usd.map_or("-".to_owned(), dollars)
        }),
        ("Rule violations found by the check", &|s| {
            if s.part == Part::Joiner { s.violations.to_string() } else { "not checked".to_owned() }
        }),
    ];
    let heads: String = summary
        .strategies
        .iter()
        .map(|s| format!("<th scope=\"col\">{}</th>", escape(&title(s))))
        .collect();
    let line = |(label, value): &Row<'_>| {
        let cells: String =
            summary.strategies.iter().map(|s| format!("<td>{}</td>", escape(&value(s)))).collect();
        format!("<tr><th scope=\"row\">{label}</th>{cells}</tr>\n")
    };
    let body: String = rows.iter().map(line).collect();
    format!(
        "<div class=\"scroll\"><table><thead><tr><td></td>{heads}</tr></thead><tbody>\n{body}</tbody></table></div>\n"
    )
}

fn method(summary: &Summary) -> String {
    let estimated = if summary.prices_estimated {
        "<li>The catalog has no prices of this region; those of us-east-1 stand in for them.</li>"
    } else {
        ""
    };
    format!(
        include_str!("method.html"),
        source = escape(&summary.source),
        spread_s = summary.spread_s,
        types = summary.instance_types,
        zones = escape(&summary.zones.join(", ")),
        group_type = escape(&summary.node_group_type),
        group_price = dollars(summary.node_group_price.0),
        seed = summary.seed,
        hours = hours(summary),
        trace = escape(&summary.trace),
        estimated = estimated,
    )
}
