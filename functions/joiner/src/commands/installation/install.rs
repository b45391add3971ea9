//! `joiner install`.

use super::{Consent, PoolArguments, SiteArguments};
use ::install::{Mode, Options};
use anyhow::Result;
use std::path::PathBuf;
use std::process::ExitCode;

/// Install Joiner in an account and a cluster.
///
/// Looks whether all is there that must be, then makes the namespace, the roles, the discovery tags, the stack and the webhook, waits until it
/// is ready and a dry decision has succeeded, makes pools and classes, and only then takes Cluster Autoscaler away. Each step looks
/// first and changes only what differs, so the same command again goes on where it was stopped. Exit codes: 1 if a step failed, with its
/// name; 2 if the arguments cannot be used.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    site: SiteArguments,
    #[command(flatten)]
    pools: PoolArguments,
    /// gen3's manifest.json, whose block .global.karpenter decides; given several times for hosts that share a VPC
    #[arg(long, value_name = "FILE")]
    manifest: Vec<PathBuf>,
    /// Go over conflicts that can be gone over: tags of another value, permissions that IAM's simulator denies, a stack that is broken
    #[arg(long)]
    force: bool,
    /// Take over the pools, classes and nodes of a Karpenter that is there
    #[arg(long)]
    replace_karpenter: bool,
    /// Whether Joiner acts, or decides and tells beside another autoscaler
    #[arg(long, value_enum, default_value_t = ModeArgument::Act)]
    mode: ModeArgument,
    /// The release archive, or a directory with its files (infra/release makes either)
    #[arg(long, value_name = "FILE")]
    artifacts: Option<PathBuf>,
    /// An image of the webhook in a registry that the nodes reach, instead of the release's
    #[arg(long, value_name = "IMAGE")]
    webhook_image: Option<String>,
    /// Mend the auto scaling group of the two nodes: 2/2/2, without Cluster Autoscaler's tags
    #[arg(long)]
    fix_asg: bool,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum ModeArgument {
    /// It buys and takes away nodes
    Act,
    /// It decides and tells, and changes nothing
    Observe,
}

/// Runs the subcommand.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let options = match &arguments.manifest[..] {
        [] => Ok(Some(options(&arguments))),
        files => ::install::manifest::apply(options(&arguments), files),
    };
    match options {
        Ok(Some(options)) => super::run(options, arguments.consent, &::install::steps::install()),
        Ok(None) => {
            println!("The manifest says that nothing is to be installed.");
            Ok(ExitCode::SUCCESS)
        }
        Err(problem) => Ok(super::failed("manifest", &problem)),
    }
}

fn options(arguments: &Arguments) -> Options {
    Options {
        force: arguments.force,
        replace_karpenter: arguments.replace_karpenter,
        mode: match arguments.mode {
            ModeArgument::Act => Mode::Act,
            ModeArgument::Observe => Mode::Observe,
        },
        artifacts: arguments.artifacts.clone(),
        webhook_image: arguments.webhook_image.clone(),
        fix_asg: arguments.fix_asg,
        ..arguments.pools.add_to(arguments.site.options())
    }
}
