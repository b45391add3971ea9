//! `joiner plan`.

mod causes;
mod document;
mod parts;
mod table;
mod what_if;
pub(crate) mod yaml;

use super::source::{Source, options};
use super::style::Style;
use anyhow::{Context, bail};
pub(crate) use causes::causes;
use document::Document;
use model::{Plan, Snapshot};
use observe::Dump;
use planner::{Repack, Violation};
use std::io::Write;
use std::process::ExitCode;
use what_if::Scenario;

/// Decide what nodes a cluster needs.
///
/// Reads the cluster of the current kubeconfig context, or with -f what `kubectl get -o yaml` (or json) prints or plain manifests,
/// and prints the nodes to launch for the pods that wait, where other pods go, what stays unschedulable and why, the cost,
/// and a lower bound of it. Nothing is changed.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    source: Source,
    /// What to print
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Plan as if every node with a known price were gone: what would the same pods cost, packed anew?
    #[arg(long)]
    repack: bool,
    #[command(flatten)]
    consolidation: super::consolidation::ConsolidationArguments,
    /// Plan the same pods under other rules too, and print the plans side by side: --what-if arm64,spot,generation>5
    ///
    /// Words are parted by commas and hold together; each use of the option is a plan of its own. A word is what all pools allow
    /// of a label, instead of what they say now: amd64, arm64, spot, on-demand, reserved; arch=, capacity=, zone=, type=, family=,
    /// category= or size= with values parted by | (!= for none of them); generation, vcpu or memory with =, <, <=, > or >= (memory>=64Gi).
    /// Or it leaves a rule out: without-spread, without-affinity, without-anti-affinity, without-selector (all also for one label:
    /// without-spread=zone), without-host-ports, without-daemons, without-limits, without-weights
    #[arg(long, value_name = "WORDS", conflicts_with = "consolidate")]
    what_if: Vec<String>,
    /// How hard to look for a cheaper plan, in counts of work, so that the answer does not depend on the machine
    #[arg(long, value_enum)]
    effort: Option<Effort>,
    /// Exit with 1 if pods stay unschedulable or cannot be read
    #[arg(long)]
    strict: bool,
    /// Print every node and every finding, however many there are
    #[arg(long)]
    all: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// Tables for people
    Table,
    /// JSON, of a documented schema that it names
    Json,
    /// The same as YAML
    Yaml,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Effort {
    /// About 50 ms of packing at most
    Fast,
    /// About half a second of packing at most; what the functions do
    Default,
    /// About ten seconds of packing at most
    Max,
}

impl Effort {
    fn options(self) -> planner::Options {
        match self {
            Self::Fast => planner::Options::FAST,
            Self::Default => planner::Options::default(),
            Self::Max => planner::Options::MAX,
        }
    }
}

/// A plan with all that it came from.
pub(crate) struct Answer {
    dump: Dump,
    /// What was planned: the dump's snapshot, or the one emptied for repacking.
    planned: Snapshot,
    plan: Plan,
    /// What is wrong with the plan even after what the check refuses was given up.
    violations: Vec<Violation>,
    repack: Option<Repack>,
    what_if: Vec<Scenario>,
}

impl Answer {
    /// How many pods get no place, because none is possible or because they cannot be read.
    fn left_out(&self) -> usize {
        self.plan.unschedulable.len() + self.dump.unreadable_pods.len()
    }

    /// How many pods the plan had to find a place for.
    fn pods(&self) -> usize {
        self.planned.pods.iter().filter(|pod| pod.is_provisionable()).count()
    }

    /// Whether what runs now and what was planned hold the same pods, of which there are some.
    fn is_comparable(&self) -> bool {
        self.left_out() == 0 && self.pods() > 0
    }
}

/// Runs the subcommand.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    run_into(&arguments, &mut std::io::stdout().lock())
}

fn run_into(arguments: &Arguments, output: &mut dyn Write) -> anyhow::Result<ExitCode> {
    for words in &arguments.what_if {
        what_if::parse(words)?;
    }
    let (dump, kept) = arguments.source.read()?;
    let effort = arguments.effort.map(Effort::options);
    let options = effort.unwrap_or_else(|| options(kept.as_ref()));
    if arguments.consolidation.asked() {
        let form = (arguments.output, arguments.all);
        let text = super::consolidation::render(&dump, &arguments.consolidation, form, &options)?;
        write(&text, output)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut answer = answer(dump, arguments.repack, &options);
    for words in &arguments.what_if {
        answer.what_if.push(Scenario::new(words, &answer.planned, &options)?);
    }
    if let Some(kept) = kept.filter(|_| !arguments.repack && effort.is_none()) {
        kept.compare(&answer.plan)?;
    }
    refuse_violations(&answer)?;
    print(&answer, arguments, output)?;
    Ok(if arguments.strict && answer.left_out() > 0 {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}

fn answer(dump: Dump, repack: bool, options: &planner::Options) -> Answer {
    let repack = repack.then(|| planner::repack(&dump.snapshot));
    let planned = repack.as_ref().map_or_else(|| dump.snapshot.clone(), |r| r.snapshot.clone());
    let plan = planner::plan(&planned, options);
    let (plan, violations) = planner::heed(&planned, plan);
    Answer { dump, planned, plan, violations, repack, what_if: Vec::new() }
}

/// A plan that breaks a rule must not be shown as if it could be carried out.
fn refuse_violations(answer: &Answer) -> anyhow::Result<()> {
    let violations = &answer.violations;
    if violations.is_empty() {
        return Ok(());
    }
    let lines = violations.iter().map(|violation| format!("\n  {violation}")).collect::<String>();
    bail!(
        "the plan breaks {} rules, which is an error of joiner's; please report it with the input:{lines}",
        violations.len()
    );
}

fn print(answer: &Answer, arguments: &Arguments, output: &mut dyn Write) -> anyhow::Result<()> {
    let text = match arguments.output {
        Output::Table => table::render(answer, arguments.all, &Style::of_terminal()),
        Output::Json => serde_json::to_string_pretty(&Document::of(answer))? + "\n",
        Output::Yaml => yaml::render(&serde_json::to_value(Document::of(answer))?),
    };
    write(&text, output)
}

fn write(text: &str, output: &mut dyn Write) -> anyhow::Result<()> {
    match output.write_all(text.as_bytes()) {
        // Whoever reads our output may stop early, as `head` does.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("the plan cannot be written"),
    }
}

#[cfg(test)]
mod tests;
