//! `joiner update`.

use super::{Consent, PoolArguments, SiteArguments};
use anyhow::Result;
use std::process::ExitCode;

/// Apply the pools and classes again: the base ones, or those of a folder.
///
/// What was changed in the cluster since (`kubectl edit`) stays and is told, unless --overwrite takes it back; what only the configuration
/// changed is applied. The differences are shown before anything is changed.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    site: SiteArguments,
    #[command(flatten)]
    pools: PoolArguments,
    #[command(flatten)]
    consent: Consent,
}

/// Runs the subcommand.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let options = arguments.pools.add_to(arguments.site.options());
    super::run(options, arguments.consent, &::install::steps::update())
}
