//! `joiner dump`.

use std::process::ExitCode;

/// Print a script that dumps a cluster.
#[derive(clap::Args)]
pub(crate) struct Arguments {}

/// Runs the subcommand.
pub(crate) fn run(_arguments: Arguments) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not written yet")
}
