//! The explanation of a node for people.

use crate::commands::layout::{align, count, wrap};
use crate::commands::style::Style;
use model::disruption::Stage;
use model::{Launch, MicroUsdPerHour, Node, Snapshot, labels};
use planner::{NodeExplanation, Removed};

/// Hours of a month, as AWS counts them.
const HOURS_PER_MONTH: f64 = 730.0;

/// What it is, what is under way, what keeps it, and what would come of taking it away.
pub(super) fn render(snapshot: &Snapshot, told: &NodeExplanation, style: &Style) -> String {
    let node = snapshot.nodes.iter().find(|node| node.name == told.node);
    let mut lines = vec![style.bold(&headline(told, node))];
    lines.extend(under_way(told));
    lines.extend(causes(told));
    lines.push(cost(told));
    lines.extend(told.alone.stranded.iter().flat_map(|left| {
        let reasons = left.reasons.iter().map(|reason| format!("  {}: {reason}", left.pod));
        reasons.collect::<Vec<_>>()
    }));
    let text = lines.iter().map(|line| wrap(line, style.width, "", "    ")).collect::<String>();
    text + &moves(&told.alone, style)
}

fn headline(told: &NodeExplanation, node: Option<&Node>) -> String {
    let mut facts = vec![match &told.pool {
        Some(pool) => format!("pool {pool}"),
        None => "of no pool".to_owned(),
    }];
    let of_type = node.and_then(|node| node.label(labels::INSTANCE_TYPE));
    facts.extend(of_type.map(str::to_owned));
    facts.extend(node.map(|node| node.capacity_type().as_str().to_owned()));
    facts.push(match told.price {
        Some(price) => format!("${} a month", month(price.0 as i64)),
        None => "of unknown price".to_owned(),
    });
    format!("{}: {}", told.node, facts.join(", "))
}

/// What AWS told, what has begun, and what this turn does.
fn under_way(told: &NodeExplanation) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(told.interruption.map(|told| format!("AWS told of it: {:?}", told.kind)));
    lines.extend(told.begun.as_ref().map(|begun| {
        let stage = stage(Some(begun.stage));
        format!("disruption {} ({}): {stage}", begun.id, begun.reason.as_str())
    }));
    lines.extend(told.planned.as_ref().map(|planned| {
        let stage = stage(planned.stage);
        format!("planned now, {} ({}): {stage}", planned.id, planned.reason.as_str())
    }));
    lines
}

fn stage(stage: Option<Stage>) -> &'static str {
    match stage {
        Some(Stage::Proposed) => "intended, and looked at once more before anything is touched",
        Some(Stage::Committed) => "its replacements are on their way",
        None => "it goes",
    }
}

fn causes(told: &NodeExplanation) -> Vec<String> {
    let cause = |(reason, kept): &(model::DisruptionReason, Option<model::Ineligible>)| match kept {
        Some(kept) => format!("{}, but {kept}", reason.as_str()),
        None => format!("{}, and free to go", reason.as_str()),
    };
    told.causes.iter().map(cause).collect()
}

/// Whether it could go to save money, and whether that would save any.
fn cost(told: &NodeExplanation) -> String {
    let alone = &told.alone;
    let money = match alone.saves {
        _ if !alone.stranded.is_empty() => {
            let left = count(alone.stranded.len(), "pod");
            format!("taking it away would leave {left} without a place")
        }
        None => "what its going saves is not known".to_owned(),
        Some(saves) => {
            let (pods, least) = (count(alone.moved, "pod"), month(alone.toll.0 as i64));
            let verdict = if alone.pays() { "which pays" } else { "which does not pay" };
            format!(
                "taking it away alone would save ${} a month and move {pods}, for which ${least} is the least: {verdict}",
                month(saves)
            )
        }
    };
    match &told.kept_by {
        Some(kept) => format!("stays: {kept}; {money}"),
        None => format!("free to go for its cost; {money}"),
    }
}

fn moves(alone: &Removed, style: &Style) -> String {
    if alone.moves.is_empty() {
        return String::new();
    }
    let mut rows = vec![["POD", "WOULD GO TO", ""].map(String::from)];
    rows.extend(alone.moves.iter().map(|moved| {
        let bought = alone.launches.iter().find(|launch| launch.name == moved.node);
        let note = bought.map(new_node).unwrap_or_default();
        [moved.pod.to_string(), moved.node.to_string(), note]
    }));
    format!("\n{}", align(&rows, &[], style))
}

fn new_node(launch: &Launch) -> String {
    let offering = &launch.offering;
    let (of_type, zone, way) = (&offering.instance_type, &offering.zone, offering.capacity_type);
    format!("new: {of_type} {way} in {zone}, {} an hour", dollars(offering.price))
}

fn dollars(price: MicroUsdPerHour) -> String {
    format!("${:.4}", price.usd())
}

fn month(micro_usd_per_hour: i64) -> String {
    format!("{:.2}", micro_usd_per_hour as f64 / 1e6 * HOURS_PER_MONTH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use observe::DumpOptions;

    fn text(name: &str) -> String {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/commands/consolidation/cluster.yaml");
        let catalog = catalog::Catalog::embedded().unwrap();
        let dump = observe::read_dump(&[file.into()], &catalog, &DumpOptions::default()).unwrap();
        let options = planner::Options { steps: 300_000 };
        let told = planner::explain_node(&dump.snapshot, name, &options).unwrap();
        let text = render(&dump.snapshot, &told, &Style::PLAIN);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_keeps_it_what_it_saves_and_where_its_pods_go_are_told() {
        let text = text("ip-10-0-1-1");
        let words = [
            "ip-10-0-1-1: of no pool, m5.2xlarge, on-demand, $280.32 a month",
            "stays: no node claim names its instance",
            "would save $280.32 a month and move 1 pod",
            "which pays",
            "shop/web-1 ip-10-0-1-2",
        ];
        for words in words {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
}
