//! `joiner plan`.

use std::process::ExitCode;

/// Decide what nodes a cluster's dump needs.
#[derive(clap::Args)]
pub(crate) struct Arguments {}

/// Runs the subcommand.
pub(crate) fn run(_arguments: Arguments) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not written yet")
}
