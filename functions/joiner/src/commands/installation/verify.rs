//! `joiner verify`.

use super::{Consent, SiteArguments};
use anyhow::Result;
use std::process::ExitCode;

/// Prove that the cluster would be scaled: the webhook is ready on two nodes, and a pod that waits is decided for.
///
/// The cluster and AWS are read as the functions read them, and for each pool is told what a waiting pod would get. Nothing is written,
/// unless --create is given. Exit code 1 if no pool can be served, or the pod gets no node.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    site: SiteArguments,
    /// Also make a pod that only a new node of the pool can hold (of the first pool that can be served if none is named), wait until it runs there, and take both away again
    #[arg(long, value_name = "POOL", num_args = 0..=1, require_equals = true)]
    create: Option<Option<String>>,
}

/// Runs the subcommand.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let consent = Consent { dry_run: false, yes: true };
    let steps = match arguments.create {
        None => ::install::steps::verify(),
        Some(pool) => ::install::steps::verify_by_canary(pool),
    };
    super::run(arguments.site.options(), consent, &steps)
}
