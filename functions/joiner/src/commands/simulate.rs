//! `joiner simulate`.

mod faults;
mod progress;
mod table;

use anyhow::Context;
use progress::Bars;
use simulation::bound::PlannerBound;
use simulation::decider::Joiner;
use simulation::scenario::Scenario;
use simulation::summary::Summary;
use simulation::workload::{EMBEDDED, Workload, embedded};
use simulation::{report, run};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Run a simulated cluster through a real workload trace.
///
/// A simulated EKS cluster, with the real EC2 catalog and prices, is fed the trace three times: with Joiner, with a
/// packer and consolidation like upstream's, and with a fixed node group. Prints what each costs beside the lower bound, and writes a
/// report with charts.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The trace: azure, boutique, wide, basic, or a CSV file (gzip or plain; columns count, cpu_milli, memory_mib,
    /// arrival_s, duration_s)
    #[arg(long, value_name = "NAME|FILE", default_value = "azure")]
    trace: String,
    /// How many hours of the trace to run
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=744))]
    hours: u32,
    /// The seed of all chance
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Spread arrivals over so many seconds from the time that the trace gives (Azure's has bins of 300 s)
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..=3600))]
    spread: i64,
    /// The region
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// Instead of the trace: a small cluster in which everything goes wrong that can, by seed; prints what happened, and fails if an
    /// invariant was broken
    #[arg(long, conflicts_with_all = ["trace", "hours", "spread", "report", "output"])]
    faults: bool,
    /// With --faults: run many seeds, from the first to the last (0..999), and print only what was broken
    #[arg(long, value_name = "FIRST..LAST", requires = "faults", conflicts_with = "seed")]
    seeds: Option<String>,
    /// Where to write the report
    #[arg(long, value_name = "FILE", default_value = "joiner-report.html")]
    report: PathBuf,
    /// What to print
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Output {
    /// A table for people
    Table,
    /// JSON; the same seed gives the same bytes
    Json,
}

/// Runs the subcommand.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    if arguments.faults {
        return faults::simulate(arguments.seed, arguments.seeds.as_deref());
    }
    let mut workload = workload(&arguments.trace)?;
    workload.spread_s = arguments.spread;
    let unwritable = || format!("the report cannot be written to {}", arguments.report.display());
    let mut report_file = std::fs::File::create(&arguments.report).with_context(unwritable)?;
    let catalog = super::catalog::read(None)?;
    let length_s = i64::from(arguments.hours) * 3600;
    let scenario =
        Scenario::from_catalog(workload, &catalog, &arguments.region, length_s, arguments.seed);
    eprintln!("{}", introduction(&scenario));
    let bars = Bars::new(length_s);
    let progress = |part, at_s| bars.advance(part, at_s);
    let summary = run::run(&scenario, Joiner::default(), &PlannerBound::default(), &progress);
    bars.clear();
    let summary = summary?;
    report_file.write_all(report::render(&summary).as_bytes()).with_context(unwritable)?;
    print(&summary, arguments.output)?;
    eprintln!("Report with charts: {}", arguments.report.display());
    Ok(ExitCode::SUCCESS)
}

fn print(summary: &Summary, output: Output) -> anyhow::Result<()> {
    match output {
        Output::Table => print!("{}", table::render(summary)),
        Output::Json => println!("{}", serde_json::to_string_pretty(summary)?),
    }
    Ok(())
}

/// The embedded trace of that name, or else the file.
fn workload(trace: &str) -> anyhow::Result<Workload> {
    if let Some(workload) = embedded(trace) {
        return Ok(workload?);
    }
    let names: Vec<&str> = EMBEDDED.iter().map(|(name, _)| *name).collect();
    let bytes = std::fs::read(trace).with_context(|| {
        format!("{trace:?} is neither a file that can be read nor one of {}", names.join(", "))
    })?;
    let (workload, problems) =
        Workload::from_bytes(trace, &bytes).with_context(|| trace.to_owned())?;
    for problem in problems.iter().take(10) {
        eprintln!("{trace}: {problem}");
    }
    if problems.len() > 10 {
        eprintln!("{trace}: {} more lines are left out", problems.len() - 10);
    }
    Ok(workload)
}

fn introduction(scenario: &Scenario) -> String {
    let pods = scenario.workload.pods_before(scenario.length_s);
    let hours = scenario.length_s / 3600;
    let types = scenario.instance_types.len();
    let (trace, region) = (&scenario.workload.source, &scenario.region);
    let zones = scenario.zones().len();
    format!(
        "Simulating {hours} h: {pods} pods from {trace}\non {types} EC2 instance types in {zones} zones of {region}, seed {}",
        scenario.seed
    )
}
