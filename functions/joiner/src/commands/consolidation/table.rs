//! The consolidation for people.

use super::{Answer, HOURS_PER_MONTH};
use crate::commands::layout::{align, count, more, shorten, title, wrap};
use crate::commands::style::Style;
use model::disruption::DEFAULT_SAVING_PER_MOVE;
use model::{Launch, MicroUsdPerHour};
use planner::ConsolidationStep;
use std::collections::BTreeMap;

/// Rows of steps, unless all are asked for.
const MOST_STEPS: usize = 40;
/// Columns for the names of nodes.
const NAMES: usize = 44;

/// All sections that have something to say.
pub(super) fn render(answer: &Answer<'_>, all: bool, style: &Style) -> String {
    let most = if all { usize::MAX } else { MOST_STEPS };
    let sections = [headline(answer, style), steps(answer, most, style), cost(answer, style)];
    sections.into_iter().filter(|section| !section.is_empty()).collect::<Vec<_>>().join("\n")
}

fn headline(answer: &Answer<'_>, style: &Style) -> String {
    let (snapshot, found) = (&answer.dump.snapshot, &answer.consolidation);
    let (region, all) = (&snapshot.region, count(snapshot.nodes.len(), "node"));
    let gone = found.steps.iter().map(|step| step.nodes.len()).sum::<usize>();
    let bought = found.steps.iter().map(|step| step.launches.len()).sum::<usize>();
    let text = if gone > 0 {
        let (bought, moved) = (count(bought, "new node"), count(found.moved, "pod"));
        format!("{region}: {gone} of {all} can go for {bought}; {moved} would move")
    } else if snapshot.nodes.is_empty() {
        format!("{region}: there are no nodes")
    } else {
        let least = answer.scope.saving_per_move;
        let pools = snapshot.node_pools.iter().filter_map(|pool| pool.disruption.saving_per_move);
        let least = least.or(pools.min()).unwrap_or(DEFAULT_SAVING_PER_MOVE);
        format!(
            "{region}: none of {all} can go: nowhere would pods be cheaper by ${} a month for each that moves \
             (`joiner explain node NAME` tells of one)",
            month(least.0 as i64)
        )
    };
    wrap(&text, style.width, "", "  ")
}

fn steps(answer: &Answer<'_>, most: usize, style: &Style) -> String {
    let steps = &answer.consolidation.steps;
    if steps.is_empty() {
        return String::new();
    }
    let mut rows = vec![["STEP", "NODES THAT GO", "BOUGHT", "PODS", "$/MONTH"].map(String::from)];
    rows.extend(steps.iter().take(most).enumerate().map(|(at, step)| {
        let names = step.nodes.iter().map(ToString::to_string).collect::<Vec<_>>();
        [
            (at + 1).to_string(),
            shorten(&names, NAMES),
            bought(step),
            step.moved.to_string(),
            month(step.saves),
        ]
    }));
    let text = title("Steps, those first that save most for each pod", style);
    text + &align(&rows, &[0, 3, 4], style) + &more(steps.len(), most, "steps", style)
}

/// `2 m7a.large, 1 c7a.large spot`; a dash if nothing is.
fn bought(step: &ConsolidationStep) -> String {
    let mut kinds: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for Launch { offering, .. } in &step.launches {
        let way = offering.capacity_type.as_str();
        *kinds.entry((&offering.instance_type, way)).or_default() += 1;
    }
    let kind =
        |((of_type, way), number): ((&str, &str), usize)| format!("{number} {of_type} {way}");
    let kinds = kinds.into_iter().map(kind).collect::<Vec<_>>();
    if kinds.is_empty() { "-".to_owned() } else { shorten(&kinds, NAMES) }
}

fn cost(answer: &Answer<'_>, style: &Style) -> String {
    let found = &answer.consolidation;
    let row = |name: &str, price: MicroUsdPerHour, note: String| {
        [name.to_owned(), format!("{:.4}", price.usd()), month(price.0 as i64), note]
    };
    let saved = found.current.0 as i64 - found.after.0 as i64;
    let mut rows = vec![["COST", "$/HOUR", "$/MONTH", ""].map(String::from)];
    rows.push(row("now", found.current, String::new()));
    if saved > 0 {
        let share = saved as u128 * 1000 / u128::from(found.current.0.max(1));
        let note = format!("saves ${} a month ({}.{}%)", month(saved), share / 10, share % 10);
        rows.push(row("consolidated", found.after, note));
    }
    let mut text = align(&rows, &[1, 2], style);
    let dollars = saved as f64 / 1e6 * HOURS_PER_MONTH as f64;
    if found.moved > 0 && dollars > 0.0 {
        let rate = found.moved as f64 / dollars;
        text += &style.dim(&format!("  {rate:.3} pods are moved for each dollar saved a month.\n"));
    }
    text
}

/// Dollars a month of 730 hours.
pub(crate) fn month(micro_usd_per_hour: i64) -> String {
    format!("{:.2}", micro_usd_per_hour as f64 / 1e6 * HOURS_PER_MONTH as f64)
}
