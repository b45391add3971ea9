//! `joiner dump`: the cluster in a file, or a script that anyone can read before running it.
//!
//! Both keep an allow-list of fields, `dump/mask.json`, which a filter applies: here, and for the script the same in jq and in Python, for a
//! visitor has one or the other.

#[cfg(feature = "live")]
mod mask;
#[cfg(feature = "live")]
mod write;

use super::input::ClusterArguments;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

#[cfg(feature = "live")]
pub(super) use mask::masked;

const SCRIPT: &str = include_str!("dump/script.sh");
const MASK: &str = include_str!("dump/mask.json");
const JQ: &str = include_str!("dump/filter.jq");
const PYTHON: &str = include_str!("dump/filter.py");

/// The kinds asked for, with their groups where another group might use the same name.
const KINDS: &[&str] = &[
    "pods",
    "nodes",
    "daemonsets.apps",
    "poddisruptionbudgets.policy",
    "persistentvolumeclaims",
    "persistentvolumes",
    "storageclasses.storage.k8s.io",
    "csinodes.storage.k8s.io",
    "provisioners.karpenter.sh",
    "awsnodetemplates.karpenter.k8s.aws",
    "nodepools.karpenter.sh",
    "ec2nodeclasses.karpenter.k8s.aws",
    "nodeclaims.karpenter.sh",
    "nodeoverlays.karpenter.sh",
    "capacitybuffers.autoscaling.x-k8s.io",
    "podtemplates",
];

/// Write what a plan needs to know of a cluster to a file.
///
/// Reads the cluster of the current kubeconfig context. FILE is joiner-dump.json if it is not given; - is standard output. Secrets,
/// environment values and user data are left out. With --script it prints a script that does the same with kubectl, and jq or
/// python3: `joiner dump --script > joiner-dump.sh`, then `sh joiner-dump.sh [FILE]`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where to write it
    #[arg(value_name = "FILE", default_value = "joiner-dump.json")]
    output: PathBuf,
    /// Print the script instead of reading a cluster
    #[arg(long, conflicts_with_all = ["output", "context", "kubeconfig"])]
    script: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// Runs the subcommand.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    if arguments.script {
        std::io::stdout().write_all(script().as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    dump(&arguments)
}

#[cfg(feature = "live")]
fn dump(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    write::dump(&arguments.cluster, &arguments.output)
}

#[cfg(not(feature = "live"))]
fn dump(_: &Arguments) -> anyhow::Result<ExitCode> {
    anyhow::bail!(
        "this build reads no clusters; use --script, or install joiner with its feature `live`"
    );
}

/// The whole script.
fn script() -> String {
    SCRIPT
        .replace("@KINDS@", &KINDS.join(" "))
        .replace("@MASK@", MASK.trim_end())
        .replace("@JQ@", JQ.trim_end())
        .replace("@PYTHON@", PYTHON.trim_end())
}

#[cfg(test)]
mod tests;
