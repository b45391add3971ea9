//! `joiner verify`.

use super::{Consent, SiteArguments};
use anyhow::Result;
use std::process::ExitCode;

/// Prove that the cluster would be scaled: the webhook is ready on two nodes, and a pod that waits is decided for.
///
/// The cluster and AWS are read as the functions read them, and for each pool is told what a waiting pod would get. Nothing is written.
/// Exit code 1 if no pool can be served.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    site: SiteArguments,
}

/// Runs the subcommand.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let consent = Consent { dry_run: false, yes: true };
    super::run(arguments.site.options(), consent, &::install::steps::verify())
}
