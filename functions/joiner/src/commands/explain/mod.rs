//! `joiner explain`.

mod node;

use super::input::Input;
use super::style::Style;
use anyhow::{Context, bail};
use clap::Subcommand;
use observe::DumpOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Tell why something is as it is.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Node(NodeArguments),
}

/// Why a node stays or goes.
///
/// Reads the cluster of the current kubeconfig context, or with -f what `joiner dump` or kubectl writes. Prints what is under way
/// with the node, what speaks for taking it away, what keeps it, and what would come of it: where its pods would go, what would be
/// bought for them, and what that would save. Nothing is changed.
#[derive(clap::Args)]
struct NodeArguments {
    /// The node's name
    name: String,
    #[command(flatten)]
    input: Input,
    /// The region, if the nodes do not tell it
    #[arg(long)]
    region: Option<String>,
    /// A fresher catalog of instance types and prices, as `joiner catalog refresh` writes it [env: JOINER_CATALOG]
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
}

/// Runs the subcommand.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let What::Node(arguments) = arguments.what;
    let catalog = super::catalog::read(arguments.catalog.as_deref())?;
    let options = DumpOptions { region: arguments.region.clone(), ..DumpOptions::default() };
    let dump = arguments.input.read(&catalog, &options, true)?;
    let options = planner::Options::default();
    let Some(told) = planner::explain_node(&dump.snapshot, &arguments.name, &options) else {
        bail!("{}: there is no such node among {}", arguments.name, dump.snapshot.nodes.len());
    };
    let text = node::render(&dump.snapshot, &told, &Style::of_terminal());
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        other => other.context("the explanation cannot be written")?,
    }
    Ok(ExitCode::SUCCESS)
}
