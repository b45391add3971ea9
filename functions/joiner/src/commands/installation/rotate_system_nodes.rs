//! `joiner rotate-system-nodes`.

use super::{Consent, SiteArguments};
use ::install::Options;
use anyhow::Result;
use std::process::ExitCode;

/// Replace the two nodes outside Joiner's management, one at a time.
///
/// Those of an older launch template or configuration than their auto scaling group has now; with --force all. Each is cordoned, drained
/// within disruption budgets and ended; the next one only when its successor has joined and the webhook is ready on two nodes again. Then a
/// dry decision must succeed.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    site: SiteArguments,
    /// Also those of the newest template
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    consent: Consent,
}

/// Runs the subcommand.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let options = Options { force: arguments.force, ..arguments.site.options() };
    super::run(options, arguments.consent, &::install::steps::rotate_system_nodes())
}
