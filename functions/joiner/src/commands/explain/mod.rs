//! `joiner explain`.

mod document;
mod node;
mod node_document;
mod plan;
mod pod;

use super::plan::{Output, yaml};
use super::source::{Source, options};
use super::style::Style;
use anyhow::{Context, bail};
use clap::Subcommand;
use document::Document;
use model::{PodId, Snapshot};
use observe::Dump;
use planner::{NodeExplanation, PodExplanation};
use std::io::Write;
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
    Plan(PlanArguments),
    Pod(PodArguments),
    Type(TypeArguments),
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
    source: Source,
    /// What to print
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Why a pod can or cannot have a node.
///
/// Prints what the plan does about the pod, for every node pool how many instance types could hold it and what keeps it from the
/// others, the same for the nodes that are there, and the smallest changes that would make it fit, each of which was tried.
/// Nothing is changed.
#[derive(clap::Args)]
struct PodArguments {
    /// The pod: NAMESPACE/NAME, or NAME in the namespace default
    pod: String,
    #[command(flatten)]
    shown: Shown,
}

/// Why an instance type can or cannot hold a pod.
///
/// Prints for every node pool and every way to buy the type all that keeps the pod from it, and the smallest changes that would
/// make it fit there, each of which was tried. Nothing is changed.
#[derive(clap::Args)]
struct TypeArguments {
    /// The instance type: m7i.large
    instance_type: String,
    /// The pod: NAMESPACE/NAME, or NAME in the namespace default
    #[arg(long, value_name = "POD")]
    pod: String,
    #[command(flatten)]
    shown: Shown,
}

/// Why the plan has these nodes.
///
/// Prints the shapes (pods that need the same) and what each pod of them is worth, the columns (what the new nodes hold), the lower
/// bound, what the next best would cost, and what each rule of the pods and pools costs, by planning again without it. Nothing is changed.
#[derive(clap::Args)]
struct PlanArguments {
    #[command(flatten)]
    shown: Shown,
}

/// What to look at, and how to show it.
#[derive(clap::Args)]
struct Shown {
    #[command(flatten)]
    source: Source,
    /// What to print
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Print every instance type and every cause
    #[arg(long)]
    all: bool,
}

/// Runs the subcommand.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let text = match &arguments.what {
        What::Node(arguments) => of_node(arguments)?,
        What::Plan(arguments) => of_plan(&arguments.shown)?,
        What::Pod(arguments) => of_pod(&arguments.pod, None, &arguments.shown)?,
        What::Type(arguments) => {
            of_pod(&arguments.pod, Some(&arguments.instance_type), &arguments.shown)?
        }
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        other => other.context("the explanation cannot be written")?,
    }
    Ok(ExitCode::SUCCESS)
}

fn of_node(arguments: &NodeArguments) -> anyhow::Result<String> {
    let (dump, kept) = arguments.source.read()?;
    let options = options(kept.as_ref());
    let Some(told) = planner::explain_node(&dump.snapshot, &arguments.name, &options) else {
        bail!("{}: there is no such node among {}", arguments.name, dump.snapshot.nodes.len());
    };
    told_of_node(&dump.snapshot, &told, arguments.output)
}

fn told_of_node(
    snapshot: &Snapshot,
    told: &NodeExplanation,
    output: Output,
) -> anyhow::Result<String> {
    let document = || node_document::Document::of(&snapshot.region, told);
    Ok(match output {
        Output::Table => node::render(snapshot, told, &Style::of_terminal()),
        Output::Json => serde_json::to_string_pretty(&document())? + "\n",
        Output::Yaml => yaml::render(&serde_json::to_value(document())?),
    })
}

fn of_plan(shown: &Shown) -> anyhow::Result<String> {
    let (dump, kept) = shown.source.read()?;
    let told = planner::explain_plan(&dump.snapshot, &options(kept.as_ref()));
    let region = &dump.snapshot.region;
    Ok(match shown.output {
        Output::Table => plan::render(&told, region, shown.all, &Style::of_terminal()),
        Output::Json => serde_json::to_string_pretty(&plan::document(&told, region))? + "\n",
        Output::Yaml => yaml::render(&plan::document(&told, region)),
    })
}

fn of_pod(name: &str, instance_type: Option<&str>, shown: &Shown) -> anyhow::Result<String> {
    let (dump, kept) = shown.source.read()?;
    let told = explain(&dump, name, instance_type, &options(kept.as_ref()))?;
    let document = || Document::of(&told, instance_type);
    Ok(match shown.output {
        Output::Table => pod::render(&told, instance_type, shown.all, &Style::of_terminal()),
        Output::Json => serde_json::to_string_pretty(&document())? + "\n",
        Output::Yaml => yaml::render(&serde_json::to_value(document())?),
    })
}

fn explain(
    dump: &Dump,
    name: &str,
    instance_type: Option<&str>,
    options: &planner::Options,
) -> anyhow::Result<PodExplanation> {
    let snapshot = &dump.snapshot;
    let (namespace, own) = name.split_once('/').unwrap_or(("default", name));
    let id = PodId::new(namespace, own);
    if let Some(wanted) = instance_type {
        known_type(snapshot, wanted)?;
    }
    let told = match instance_type {
        None => planner::explain_pod(snapshot, &id, options),
        Some(wanted) => planner::explain_type(snapshot, wanted, &id, options),
    };
    told.ok_or_else(|| no_such_pod(dump, &id))
}

fn no_such_pod(dump: &Dump, id: &PodId) -> anyhow::Error {
    let snapshot = &dump.snapshot;
    let unreadable = dump.unreadable_pods.iter().any(|pod| *pod == id.to_string());
    if unreadable {
        return anyhow::anyhow!("{id} cannot be read; `joiner plan` tells why");
    }
    let mut like = snapshot.pods.iter().map(|pod| &pod.id).collect::<Vec<_>>();
    like.retain(|other| other.name == id.name || other.name.starts_with(&*id.name));
    like.sort();
    let like = like.iter().take(3).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let hint = if like.is_empty() { String::new() } else { format!("; did you mean {like}?") };
    anyhow::anyhow!("{id}: there is no such pod among {}{hint}", snapshot.pods.len())
}

fn known_type(snapshot: &Snapshot, wanted: &str) -> anyhow::Result<()> {
    let types = snapshot.instance_types.values().flat_map(|types| types.iter());
    let names = types.map(|of| of.name.as_str()).collect::<std::collections::BTreeSet<_>>();
    if names.contains(wanted) {
        return Ok(());
    }
    let family = wanted.split('.').next().unwrap_or(wanted);
    let like = names.iter().filter(|name| name.split('.').next() == Some(family)).take(4);
    let like = like.copied().collect::<Vec<_>>().join(", ");
    let hint =
        if like.is_empty() { String::new() } else { format!(": of {family} there is {like}") };
    bail!("{wanted}: no node pool knows this instance type{hint}");
}

#[cfg(test)]
mod tests;
