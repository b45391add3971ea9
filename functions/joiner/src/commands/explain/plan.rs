//! The explanation of a plan, for people and as JSON (`joiner.dev/plan-explanation/v1`, `plan-schema.md`).

use crate::commands::layout::{align, count, shorten, title, wrap};
use crate::commands::style::Style;
use model::MicroUsdPerHour;
use planner::{Difference, Pattern, PlanExplanation, Shape};
use serde_json::{Value, json};

/// Hours of a month, as AWS counts them.
const HOURS_PER_MONTH: f64 = 730.0;
/// Rows of a table, unless all are asked for.
const MOST: usize = 20;

/// Shapes, patterns, the bound, what the next best costs and what rules cost.
pub(super) fn render(told: &PlanExplanation, region: &str, all: bool, style: &Style) -> String {
    let most = if all { usize::MAX } else { MOST };
    let mut text = wrap(&style.bold(&headline(told, region)), style.width, "", "    ");
    if !told.shapes.is_empty() {
        text += &format!("\n{}", title("shapes: pods that need the same", style));
        text += &shapes(told, most, style);
    }
    if !told.patterns.is_empty() {
        text += &format!("\n{}", title("columns: what new nodes hold", style));
        text += &patterns(told, most, style);
    }
    if !told.without_type.is_empty() {
        text += &format!("\n{}", title("the next best, without a type that the plan uses", style));
        let line = |of: &Difference| format!("{}: {}", of.without, next_best(of));
        text += &lines(told.without_type.iter().map(line), most, style);
    }
    if !told.without_rule.is_empty() {
        text += &format!("\n{}", title("what rules cost: planned again without each", style));
        text += &lines(told.without_rule.iter().map(rule), most, style);
    }
    if told.untried > 0 {
        let left = count(told.untried, "type or rule").replace("type or rules", "types and rules");
        text += &style.dim(&format!("{left} more were not tried\n"));
    }
    text
}

fn headline(told: &PlanExplanation, region: &str) -> String {
    let plan = &told.plan;
    let pods = told.shapes.iter().map(|shape| shape.pods).sum::<usize>();
    let nodes = count(plan.launches.len(), "new node");
    let mut text = format!(
        "{region}: {} of {}, {} placed on nodes that are there, {nodes}",
        count(pods, "pod"),
        count(told.shapes.len(), "shape"),
        plan.placements.len()
    );
    if !plan.unschedulable.is_empty() {
        text += &format!(", {} left", plan.unschedulable.len());
    }
    if plan.launches.is_empty() {
        return text;
    }
    let (cost, bound) = (plan.cost.planned, plan.cost.lower_bound);
    text += &format!("; ${} a month", month(cost.0 as i64));
    let gap = cost.gap_basis_points(bound).map_or_else(
        || "no lower bound is known".to_owned(),
        |gap| match gap {
            0 => "no nodes that hold the same pods cost less".to_owned(),
            gap => format!(
                "no nodes that hold the same pods cost less than ${} ({}.{:02}% below)",
                month(bound.0 as i64),
                gap / 100,
                gap % 100
            ),
        },
    );
    text + "; " + &gap
}

fn shapes(told: &PlanExplanation, most: usize, style: &Style) -> String {
    let heading = ["", "PODS", "NEW", "THERE", "WORTH $/MONTH", "EACH ASKS FOR", "RULES", "FIRST"];
    let mut rows = vec![heading.map(String::from)];
    let row = |(index, shape): (usize, &Shape)| {
        let rules = shape.rules.iter().map(ToString::to_string).collect::<Vec<_>>();
        let worth = shape.worth.map_or_else(|| "-".to_owned(), |worth| month(worth.0 as i64));
        [
            letter(index),
            shape.pods.to_string(),
            shape.bought.to_string(),
            shape.placed.to_string(),
            worth,
            shape.size(),
            shorten(&rules, 40),
            shape.example.to_string(),
        ]
    };
    rows.extend(told.shapes.iter().enumerate().take(most).map(row));
    align(&rows, &[1, 2, 3, 4], style) + &rest(told.shapes.len(), most, style)
}

fn patterns(told: &PlanExplanation, most: usize, style: &Style) -> String {
    let heading = ["NODES", "TYPE", "CAPACITY", "POOL", "$/MONTH EACH", "EACH HOLDS", "FULL"];
    let mut rows = vec![heading.map(String::from)];
    let row = |pattern: &Pattern| {
        let holds = pattern.holds.iter();
        let holds = holds.map(|(shape, count)| format!("{count} {}", letter(*shape)));
        let used = pattern.used.iter().filter(|(name, _)| name != model::resources::PODS);
        let used = used.map(|(name, share)| format!("{name} {share}%"));
        [
            pattern.nodes.to_string(),
            pattern.instance_type.clone(),
            pattern.capacity_type.to_string(),
            pattern.node_pool.clone(),
            month(pattern.price.0 as i64),
            shorten(&holds.collect::<Vec<_>>(), 30),
            shorten(&used.collect::<Vec<_>>(), 40),
        ]
    };
    rows.extend(told.patterns.iter().take(most).map(row));
    align(&rows, &[0, 4], style) + &rest(told.patterns.len(), most, style)
}

fn next_best(of: &Difference) -> String {
    match (of.places, of.costs) {
        (places, _) if places < 0 => format!("{} without a place", count(-places as usize, "pod")),
        (_, 0) => "as much".to_owned(),
        (_, costs) if costs > 0 => format!("${} a month more", month(costs)),
        (_, costs) => format!("${} a month less; --effort max would have found it", month(-costs)),
    }
}

fn rule(of: &Difference) -> String {
    let pods = if of.pods > 0 { format!(" ({})", count(of.pods, "pod")) } else { String::new() };
    let price = match of.costs {
        0 => "nothing".to_owned(),
        costs if costs < 0 => format!("${} a month", month(-costs)),
        costs => format!("what would be bought for them is ${} a month", month(costs)),
    };
    match of.places {
        places if places > 0 => {
            format!(
                "{}{pods}: leaves {} waiting; {price}",
                of.without,
                count(places as usize, "pod")
            )
        }
        _ => format!("{}{pods}: {price}", of.without),
    }
}

fn lines(all: impl ExactSizeIterator<Item = String>, most: usize, style: &Style) -> String {
    let total = all.len();
    let text =
        all.take(most).map(|line| wrap(&line, style.width, "  ", "      ")).collect::<String>();
    text + &rest(total, most, style)
}

fn rest(total: usize, most: usize, style: &Style) -> String {
    crate::commands::layout::more(total, most, "rows", style)
}

/// A, B ... Z, AA, AB ...
fn letter(index: usize) -> String {
    let last = char::from(b'A' + (index % 26) as u8);
    if index < 26 { last.to_string() } else { letter(index / 26 - 1) + &last.to_string() }
}

fn month(micro_usd_per_hour: i64) -> String {
    format!("{:.2}", micro_usd_per_hour as f64 / 1e6 * HOURS_PER_MONTH)
}

/// The document.
pub(super) fn document(told: &PlanExplanation, region: &str) -> Value {
    let (cost, bound) = (told.plan.cost.planned, told.plan.cost.lower_bound);
    json!({
        "version": "joiner.dev/plan-explanation/v1",
        "region": region,
        "microUsdPerHour": cost,
        "lowerBoundMicroUsdPerHour": bound,
        "gapBasisPoints": cost.gap_basis_points(bound),
        "unschedulablePods": told.plan.unschedulable.len(),
        "shapes": told.shapes.iter().enumerate().map(shape).collect::<Vec<_>>(),
        "columns": told.patterns.iter().map(column).collect::<Vec<_>>(),
        "withoutType": told.without_type.iter().map(difference).collect::<Vec<_>>(),
        "withoutRule": told.without_rule.iter().map(difference).collect::<Vec<_>>(),
        "untried": told.untried,
    })
}

fn shape((index, shape): (usize, &Shape)) -> Value {
    let worth: Option<MicroUsdPerHour> = shape.worth;
    json!({
        "name": letter(index),
        "firstPod": shape.example,
        "pods": shape.pods,
        "boughtPods": shape.bought,
        "placedPods": shape.placed,
        "requests": shape.requests,
        "rules": shape.rules.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "worthMicroUsdPerHour": worth,
    })
}

fn column(pattern: &Pattern) -> Value {
    let held = |(shape, pods): &(usize, usize)| json!({"shape": letter(*shape), "pods": pods});
    let used = |(name, share): &(String, u64)| (name.clone(), json!(share));
    json!({
        "nodes": pattern.nodes,
        "nodePool": pattern.node_pool,
        "instanceType": pattern.instance_type,
        "capacityType": pattern.capacity_type,
        "priceMicroUsdPerHour": pattern.price,
        "holds": pattern.holds.iter().map(held).collect::<Vec<_>>(),
        "usedPercent": pattern.used.iter().map(used).collect::<serde_json::Map<_, _>>(),
    })
}

fn difference(of: &Difference) -> Value {
    json!({
        "without": of.without.to_string(),
        "pods": of.pods,
        "costsMicroUsdPerHour": of.costs,
        "placesPods": of.places,
    })
}
