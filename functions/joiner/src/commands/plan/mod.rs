//! `joiner plan`.

mod causes;
mod document;
mod replay;
mod table;
pub(crate) mod yaml;

use super::input::Input;
use super::style::Style;
use anyhow::{Context, bail};
use document::Document;
use model::{Plan, Snapshot};
use observe::{Dump, DumpOptions};
use planner::{Repack, Violation};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Decide what nodes a cluster needs.
///
/// Reads the cluster of the current kubeconfig context, or with -f what `kubectl get -o yaml` (or json) prints or plain manifests,
/// and prints the nodes to launch for the pods that wait, where other pods go, what stays unschedulable and why, the cost,
/// and a lower bound of it. Nothing is changed.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    input: Input,
    /// Plan exactly this snapshot (JSON, plain or gzip), as a function keeps one of each turn
    #[arg(long, value_name = "FILE", conflicts_with_all = ["files", "context", "kubeconfig", "region", "catalog"])]
    snapshot: Option<PathBuf>,
    /// Plan again what the function saw in this turn; the log names turns
    #[arg(long, value_name = "ID", requires = "bucket", conflicts_with_all = ["files", "snapshot"])]
    turn: Option<String>,
    /// The bucket that keeps the turns, an output of the stack
    #[arg(long, value_name = "NAME", env = "TURNS_BUCKET")]
    bucket: Option<String>,
    /// The region, if the nodes do not tell it
    #[arg(long)]
    region: Option<String>,
    /// A fresher catalog of instance types and prices, as `joiner catalog refresh` writes it [env: JOINER_CATALOG]
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
    /// What to print
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Plan as if every node with a known price were gone: what would the same pods cost, packed anew?
    #[arg(long)]
    repack: bool,
    #[command(flatten)]
    consolidation: super::consolidation::ConsolidationArguments,
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
    /// JSON of the schema joiner.dev/plan/v1
    Json,
    /// The same as YAML
    Yaml,
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
    let (dump, kept) = match (&arguments.snapshot, &arguments.turn) {
        (Some(file), _) => replay::of_file(file)?,
        (None, Some(turn)) => replay::of_turn(turn, arguments)?,
        (None, None) => (read_objects(arguments)?, None),
    };
    if dump.objects == 0 {
        let cause = dump.findings.iter().find(|finding| finding.place.is_some());
        let cause = cause.map(|finding| format!(": {finding}")).unwrap_or_default();
        bail!("the input has no Kubernetes object that can be read{cause}");
    }
    let steps = kept.as_ref().map(|kept| kept.planner_steps);
    if arguments.consolidation.asked() {
        let options = options(steps);
        let form = (arguments.output, arguments.all);
        let text = super::consolidation::render(&dump, &arguments.consolidation, form, &options)?;
        write(&text, output)?;
        return Ok(ExitCode::SUCCESS);
    }
    let answer = answer(dump, arguments.repack, steps);
    if let Some(kept) = kept.filter(|_| !arguments.repack) {
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

fn read_objects(arguments: &Arguments) -> anyhow::Result<Dump> {
    let catalog = super::catalog::read(arguments.catalog.as_deref())?;
    let options = DumpOptions { region: arguments.region.clone(), ..DumpOptions::default() };
    arguments.input.read(&catalog, &options, true)
}

fn options(steps: Option<u64>) -> planner::Options {
    steps.map_or_else(planner::Options::default, |steps| planner::Options { steps })
}

fn answer(dump: Dump, repack: bool, steps: Option<u64>) -> Answer {
    let options = options(steps);
    let repack = repack.then(|| planner::repack(&dump.snapshot));
    let planned = repack.as_ref().map_or_else(|| dump.snapshot.clone(), |r| r.snapshot.clone());
    let plan = planner::plan(&planned, &options);
    let (plan, violations) = planner::heed(&planned, plan);
    Answer { dump, planned, plan, violations, repack }
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
