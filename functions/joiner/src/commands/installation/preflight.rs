//! `joiner preflight`.

use super::{Consent, SiteArguments};
use ::install::Options;
use anyhow::Result;
use std::path::PathBuf;
use std::process::ExitCode;

/// Tell what an installation needs and lacks, and the command that mends it.
///
/// Changes nothing, but with --fix-asg the auto scaling group of the two nodes. Exit code 1 if something is missing.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    site: SiteArguments,
    /// Mend the auto scaling group of the two nodes: 2/2/2, without Cluster Autoscaler's tags
    #[arg(long)]
    fix_asg: bool,
    /// The release archive, or a directory with its files
    #[arg(long, value_name = "FILE")]
    artifacts: Option<PathBuf>,
}

/// Runs the subcommand.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let options = Options {
        fix_asg: arguments.fix_asg,
        artifacts: arguments.artifacts,
        ..arguments.site.options()
    };
    let consent = Consent { dry_run: !arguments.fix_asg, yes: true };
    super::run(options, consent, &::install::steps::preflight())
}
