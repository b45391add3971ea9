//! `joiner validate`.

use std::process::ExitCode;

/// Check pools, node classes and everything else in files.
#[derive(clap::Args)]
pub(crate) struct Arguments {}

/// Runs the subcommand.
pub(crate) fn run(_arguments: Arguments) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not written yet")
}
