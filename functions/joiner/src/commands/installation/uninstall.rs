//! `joiner uninstall`.

use super::{Consent, SiteArguments};
use ::install::Options;
use anyhow::Result;
use std::process::ExitCode;

/// Take Joiner away again.
///
/// Its nodes are drained and ended first, while the functions still can; then functions, Cluster Autoscaler's return, webhook, custom
/// resources if they are Joiner's, and the stack with its rules and roles. What is left is told. Other clusters of the account are
/// not touched.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    site: SiteArguments,
    /// Go over conflicts that can be gone over
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    consent: Consent,
}

/// Runs the subcommand.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let options = Options { force: arguments.force, ..arguments.site.options() };
    super::run(options, arguments.consent, &::install::steps::uninstall())
}
