//! One module per subcommand; each has its arguments and a `run` that returns the exit code.
//! 0: done. 1: findings, or unschedulable pods with `--strict`. 2: usage, or input that cannot be read.

mod catalog;
#[cfg(feature = "live")]
mod cluster;
mod consolidation;
mod crds;
mod dump;
mod explain;
mod input;
#[cfg(feature = "live")]
mod installation;
mod layout;
#[cfg(feature = "live")]
mod manifest;
#[cfg(feature = "live")]
mod mode;
mod plan;
mod replay;
#[cfg(feature = "live")]
mod rotate;
mod simulate;
mod source;
#[cfg(feature = "live")]
mod status;
mod style;
mod validate;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Joiner: a node autoscaler for Amazon EKS that runs outside the cluster.
#[derive(Parser)]
#[command(name = "joiner", version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[cfg(feature = "live")]
    Install(installation::install::Arguments),
    #[cfg(feature = "live")]
    Preflight(installation::preflight::Arguments),
    #[cfg(feature = "live")]
    RotateSystemNodes(installation::rotate_system_nodes::Arguments),
    #[cfg(feature = "live")]
    Uninstall(installation::uninstall::Arguments),
    #[cfg(feature = "live")]
    Update(installation::update::Arguments),
    #[cfg(feature = "live")]
    Verify(installation::verify::Arguments),
    #[cfg(feature = "live")]
    Manifest(manifest::Arguments),
    Plan(plan::Arguments),
    Explain(explain::Arguments),
    #[cfg(feature = "live")]
    Rotate(rotate::Arguments),
    #[cfg(feature = "live")]
    Status(status::Arguments),
    #[cfg(feature = "live")]
    Pause(mode::Pause),
    #[cfg(feature = "live")]
    Resume(mode::Resume),
    Validate(validate::Arguments),
    Dump(dump::Arguments),
    Crds(crds::Arguments),
    Simulate(simulate::Arguments),
    #[cfg(feature = "live")]
    Catalog(catalog::refresh::Arguments),
}

/// Runs the chosen subcommand.
pub(crate) fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        #[cfg(feature = "live")]
        Command::Install(arguments) => installation::install::run(arguments),
        #[cfg(feature = "live")]
        Command::Preflight(arguments) => installation::preflight::run(arguments),
        #[cfg(feature = "live")]
        Command::RotateSystemNodes(arguments) => installation::rotate_system_nodes::run(arguments),
        #[cfg(feature = "live")]
        Command::Uninstall(arguments) => installation::uninstall::run(arguments),
        #[cfg(feature = "live")]
        Command::Update(arguments) => installation::update::run(arguments),
        #[cfg(feature = "live")]
        Command::Verify(arguments) => installation::verify::run(arguments),
        #[cfg(feature = "live")]
        Command::Manifest(arguments) => manifest::run(arguments),
        Command::Plan(arguments) => plan::run(arguments),
        Command::Explain(arguments) => explain::run(arguments),
        #[cfg(feature = "live")]
        Command::Rotate(arguments) => rotate::run(arguments),
        #[cfg(feature = "live")]
        Command::Status(arguments) => status::run(arguments),
        #[cfg(feature = "live")]
        Command::Pause(arguments) => mode::pause(arguments),
        #[cfg(feature = "live")]
        Command::Resume(arguments) => mode::resume(arguments),
        Command::Validate(arguments) => validate::run(arguments),
        Command::Dump(arguments) => dump::run(arguments),
        Command::Crds(arguments) => crds::run(arguments),
        Command::Simulate(arguments) => simulate::run(arguments),
        #[cfg(feature = "live")]
        Command::Catalog(arguments) => catalog::refresh::run(arguments),
    }
}
