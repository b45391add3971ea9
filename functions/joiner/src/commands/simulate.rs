//! `joiner simulate`.

use std::process::ExitCode;

/// Run a simulated cluster through a real workload trace.
#[derive(clap::Args)]
pub(crate) struct Arguments {}

/// Runs the subcommand.
pub(crate) fn run(_arguments: Arguments) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not written yet")
}
