//! `joiner status`.

use super::cluster::{Left, left};
use super::input::ClusterArguments;
use super::layout::{align, clip, count, title};
use super::style::Style;
use anyhow::Result;
use model::mode::{MODE, MODE_SINCE, Mode};
use model::{NodeClaim, Snapshot};
use runtime::standing::Standing;
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

/// The functions, by their names.
const FUNCTIONS: [&str; 3] = ["on-schedule", "on-pending-pods", "on-interruption"];
/// The one that is woken every minute, and how long it may be silent, in seconds.
const EVERY_MINUTE: &str = "on-schedule";
const SILENT_S: i64 = 240;
/// Lines of what blocks, at most: all is one screen.
const MOST: usize = 12;
/// Nodes that are asked why they stay, at most.
const MOST_NODES: usize = 200;

/// Tell how Joiner is, on one screen: its functions and webhook, their last turns, nodes, cost against the bound, what blocks.
///
/// Functions and webhook are told by what they leave in the namespace joiner; the rest is read and decided now, as `joiner plan` does, and
/// nothing is written. Exit code 1 if something is wrong.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// What is told.
struct Screen {
    sections: Vec<String>,
    wrong: Vec<String>,
}

/// Runs the subcommand.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let left = left(&arguments.cluster)?;
    let catalog = super::catalog::read(None)?;
    let input = super::input::Input { cluster: arguments.cluster, ..Default::default() };
    let dump = input.read(&catalog, &observe::DumpOptions::default(), true)?;
    let findings = dump.findings.iter().filter(|finding| finding.rule != "pool-built-in");
    let findings = findings.map(ToString::to_string).collect();
    let screen = screen(&left, &dump.snapshot, findings, &Style::of_terminal());
    print!("{}", screen.sections.join("\n"));
    Ok(if screen.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn screen(left: &Left, snapshot: &Snapshot, findings: Vec<String>, style: &Style) -> Screen {
    let now = snapshot.now.0;
    let turns = Standing::from_config_map_data(&left.status);
    let mut wrong = wrong(left, &turns, now);
    wrong.sort();
    let health = match &wrong[..] {
        [] => "All is well.\n".to_owned(),
        wrong => wrong.iter().map(|text| style.bad(text) + "\n").collect(),
    };
    let sections = vec![
        style.bold(&headline(left, snapshot)) + "\n" + &health,
        functions(left, &turns, now, style),
        nodes(snapshot, style),
        cost(snapshot, style),
        blocks(snapshot, findings, style),
    ];
    Screen { sections: sections.into_iter().filter(|text| !text.is_empty()).collect(), wrong }
}

fn mode(left: &Left) -> &str {
    left.settings[MODE].as_str().filter(|mode| !mode.is_empty()).unwrap_or(Mode::Act.as_str())
}

fn headline(left: &Left, snapshot: &Snapshot) -> String {
    let since = left.settings[MODE_SINCE].as_str().unwrap_or_default();
    let since = if since.is_empty() { String::new() } else { format!(" since {since}") };
    format!("{}: mode {}{since}", snapshot.region, mode(left))
}

/// What is wrong with Joiner itself.
fn wrong(left: &Left, turns: &BTreeMap<String, Standing>, now: i64) -> Vec<String> {
    let mut wrong = Vec::new();
    if left.webhook_ready < 2 {
        wrong.push(format!(
            "{} of 2 replicas of the webhook are ready: pods wait for the minute's turn (kubectl -n joiner describe pods)",
            left.webhook_ready
        ));
    }
    let paused = mode(left) == Mode::Paused.as_str();
    match turns.get(EVERY_MINUTE) {
        _ if paused => {}
        None => wrong.push(format!("{EVERY_MINUTE} has never told of a turn: see its log")),
        Some(last) if now - last.at > SILENT_S => {
            wrong.push(format!(
                "{EVERY_MINUTE} has been silent for {}: see its log",
                span(now - last.at)
            ));
        }
        Some(_) => {}
    }
    for (name, last) in turns {
        wrong.extend(
            last.error
                .as_ref()
                .map(|error| format!("{name} failed {} ago: {error}", span(now - last.at))),
        );
        if last.failures + last.violations > 0 {
            wrong.push(format!(
                "{name}: {} failed and the check refused {} in its last turn (joiner plan --turn {})",
                count(last.failures, "action"),
                count(last.violations, "place"),
                last.turn
            ));
        }
    }
    wrong
}

/// `12 s`, `4 min`, `3 h`, `2 d`.
fn span(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

fn functions(left: &Left, turns: &BTreeMap<String, Standing>, now: i64, style: &Style) -> String {
    let heading =
        ["FUNCTION", "LAST TURN", "WOKEN BY", "WAITED", "BOUGHT", "ENDED", "FAILED", "TOOK"];
    let mut rows = vec![heading.map(String::from)];
    for name in FUNCTIONS {
        let Some(last) = turns.get(name) else {
            let mut row = [const { String::new() }; 8];
            (row[0], row[1]) = (name.to_owned(), "never told".to_owned());
            rows.push(row);
            continue;
        };
        let bought = match last.mode {
            Mode::Act | Mode::Paused => last.launched.to_string(),
            Mode::Observe => format!("({})", last.launches),
        };
        rows.push([
            name.to_owned(),
            format!("{} ago", span(now - last.at)),
            last.trigger.clone(),
            last.pending_pods.to_string(),
            bought,
            last.terminated.to_string(),
            (last.failures + usize::from(last.error.is_some())).to_string(),
            format!("{} ms", last.milliseconds),
        ]);
    }
    let lease = if left.lease_holder.is_empty() {
        "free".to_owned()
    } else {
        format!("held by {}", left.lease_holder)
    };
    let webhook =
        format!("  webhook: {} of 2 replicas are ready; lease: {lease}\n", left.webhook_ready);
    title("Functions", style) + &align(&rows, &[3, 4, 5, 6, 7], style) + &webhook
}

fn nodes(snapshot: &Snapshot, style: &Style) -> String {
    let own = snapshot.node_claims.iter().filter(|claim| claim.launch.is_some());
    let mut pools = BTreeMap::<&str, [usize; 4]>::new();
    for claim in own {
        let row = pools.entry(&claim.pool).or_default();
        row[0] += 1;
        row[stage(claim)] += 1;
    }
    let total = pools.values().map(|row| row[0]).sum::<usize>();
    let own = snapshot.node_claims.iter().filter(|claim| claim.launch.is_some());
    let named = own.filter_map(|claim| claim.node_name.as_ref()).collect::<BTreeSet<_>>();
    let others = snapshot.nodes.iter().filter(|node| !named.contains(&node.name)).count();
    let mut text = title(&format!("Nodes: {total} of Joiner's, {others} others"), style);
    if total > 0 {
        let mut rows =
            vec![["POOL", "CLAIMS", "READY", "ON THEIR WAY", "LEAVING"].map(String::from)];
        rows.extend(pools.iter().map(|(pool, [all, ready, coming, leaving])| {
            [
                (*pool).to_owned(),
                all.to_string(),
                ready.to_string(),
                coming.to_string(),
                leaving.to_string(),
            ]
        }));
        text += &align(&rows, &[1, 2, 3, 4], style);
    }
    text
}

/// 1: ready, 2: on its way, 3: leaving.
fn stage(claim: &NodeClaim) -> usize {
    if claim.deleting || claim.disruption.is_some() {
        3
    } else if claim.progress.initialized {
        1
    } else {
        2
    }
}

/// What the nodes cost, beside what they would cost packed anew, and what no packing undercuts.
fn cost(snapshot: &Snapshot, style: &Style) -> String {
    let repack = planner::repack(snapshot);
    if repack.replaced.is_empty() {
        return String::new();
    }
    let plan = planner::plan(&repack.snapshot, &planner::Options::default());
    let (now, best, bound) = (repack.current.0, plan.cost.planned.0, plan.cost.lower_bound.0);
    let over = (now.saturating_sub(bound) * 1_000).checked_div(bound).unwrap_or(0) as f64 / 10.0;
    title("Cost", style)
        + &format!(
            "  {} of {} nodes cost ${} an hour: {over:.1}% over the bound of ${}; packed anew they would cost ${}\n",
            repack.replaced.len(),
            snapshot.nodes.len(),
            usd(now),
            usd(bound),
            usd(best)
        )
}

fn usd(micro: u64) -> String {
    format!("{}.{:04}", micro / 1_000_000, micro % 1_000_000 / 100)
}

/// Why pods wait, why nodes stay, and what is odd.
fn blocks(snapshot: &Snapshot, findings: Vec<String>, style: &Style) -> String {
    let options = planner::Options { steps: 10_000_000 };
    let plan = planner::plan(snapshot, &options);
    let mut lines = BTreeMap::<String, usize>::new();
    for left in &plan.unschedulable {
        let why = left.reasons.first().map_or_else(String::new, ToString::to_string);
        *lines.entry(format!("without a place: {why}")).or_default() += 1;
    }
    let own = snapshot.node_claims.iter().filter(|claim| claim.launch.is_some());
    for node in own.filter_map(|claim| claim.node_name.as_deref()).take(MOST_NODES) {
        let told = planner::explain_node(snapshot, node, &options);
        for (reason, kept) in told.map(|told| told.causes).unwrap_or_default() {
            if let Some(kept) = kept {
                *lines.entry(format!("node {}, but {kept}", reason.as_str())).or_default() += 1;
            }
        }
    }
    let mut lines = lines.into_iter().collect::<Vec<_>>();
    lines.sort_by_key(|(_, number)| std::cmp::Reverse(*number));
    let counted = lines.into_iter().map(|(text, number)| format!("{number} × {text}"));
    let all = counted.chain(findings).collect::<Vec<_>>();
    if all.is_empty() {
        return title("Nothing blocks", style);
    }
    let shown = all.iter().take(MOST).map(|line| format!("  {}\n", clip(line, style.width - 2)));
    let more = all.len().saturating_sub(MOST);
    let more = if more > 0 {
        format!("  and {more} more; `joiner plan` tells all\n")
    } else {
        String::new()
    };
    title("What blocks", style) + &shown.collect::<String>() + &more
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Timestamp;
    use serde_json::{Value, json};

    fn left(mode: &str, at: i64, ready: u64, more: Value) -> Left {
        let mut turn = json!({ "at": at, "trigger": "Schedule", "mode": "act", "turn": "t1" });
        for (name, value) in more.as_object().into_iter().flatten() {
            turn[name] = value.clone();
        }
        Left {
            settings: json!({ MODE: mode, MODE_SINCE: "2026-01-31T12:00:00Z" }),
            status: json!({ EVERY_MINUTE: turn.to_string() }),
            webhook_ready: ready,
            lease_holder: String::new(),
        }
    }

    fn check(left: &Left, expected: &[&str]) {
        let snapshot = Snapshot { now: Timestamp(1_000), ..Snapshot::default() };
        let screen = screen(left, &snapshot, Vec::new(), &Style::PLAIN);
        assert_eq!(screen.wrong.len(), expected.len(), "{:?}", screen.wrong);
        for (wrong, expected) in screen.wrong.iter().zip(expected) {
            assert!(wrong.contains(expected), "{wrong}");
            assert!(screen.sections[0].contains(expected));
        }
    }

    #[test]
    fn what_is_wrong_with_joiner_itself_is_told_first() {
        check(&left("act", 990, 2, json!({})), &[]);
        check(&left("act", 990, 1, json!({})), &["1 of 2 replicas of the webhook are ready"]);
        check(&left("act", 700, 2, json!({})), &["on-schedule has been silent for 5 min"]);
        check(&left("paused", 700, 2, json!({})), &[]);
        check(&left("act", 990, 2, json!({ "error": "no" })), &["on-schedule failed 10 s ago: no"]);
        let refused = json!({ "failures": 2 });
        check(&left("act", 990, 2, refused), &["2 actions failed and the check refused 0 places"]);
        let never = Left { status: Value::Null, ..left("act", 0, 2, json!({})) };
        check(&never, &["on-schedule has never told of a turn"]);
    }

    #[test]
    fn who_observes_tells_what_would_have_been_bought() {
        let left = left("observe", 990, 2, json!({ "mode": "observe", "launches": 3 }));
        let turns = Standing::from_config_map_data(&left.status);
        let text = functions(&left, &turns, 1_000, &Style::PLAIN);
        assert!(text.contains("(3)"), "{text}");
        assert!(text.contains("on-interruption  never told"), "{text}");
    }

    #[test]
    fn nodes_are_told_by_pool_and_stage() {
        let claim = |name: &str, node: Option<&str>| NodeClaim {
            name: name.into(),
            pool: "web".to_owned(),
            node_name: node.map(Into::into),
            launch: Some(model::LaunchRequest {
                batch: "b".to_owned(),
                size: 1,
                node_class: "c".to_owned(),
                capacity_type: model::CapacityType::Spot,
                offerings: Vec::new(),
                labels: model::Labels::default(),
                pods: Vec::new(),
                requests: model::Resources::new(),
                replaces: None,
            }),
            ..NodeClaim::default()
        };
        let mut ready = claim("a", Some("n1"));
        ready.progress.initialized = true;
        let mut leaving = claim("b", None);
        leaving.deleting = true;
        let theirs = NodeClaim { name: "k".into(), ..NodeClaim::default() };
        let node_claims = vec![ready, leaving, claim("c", None), theirs];
        let text = nodes(&Snapshot { node_claims, ..Snapshot::default() }, &Style::PLAIN);
        assert!(text.starts_with("Nodes: 3 of Joiner's, 0 others"), "{text}");
        let row = text.lines().last().unwrap().split_whitespace().collect::<Vec<_>>();
        assert_eq!(row, ["web", "3", "1", "1", "1"]);
    }

    #[test]
    fn spans_are_short() {
        let spans = [-5, 119, 120, 7_199, 7_200, 200_000].map(span);
        assert_eq!(spans, ["0 s", "119 s", "2 min", "119 min", "2 h", "2 d"]);
    }
}
