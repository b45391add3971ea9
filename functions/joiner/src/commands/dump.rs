//! `joiner dump`: a script that anyone can read before running it.
//!
//! The command itself never talks to a cluster. The script keeps an allow-list of fields, `dump/mask.json`, which a filter
//! applies: the same in jq and in Python, for a visitor has one or the other.

use std::io::Write;
use std::process::ExitCode;

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
];

/// Print a script that dumps a cluster.
///
/// `joiner dump --script > joiner-dump.sh`, then `sh joiner-dump.sh [FILE]`: it needs kubectl, and jq or python3. FILE is
/// joiner-dump.json if it is not given; - is standard output. Secrets, environment values and user data are left out.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Print the script; nothing else can be done yet.
    #[arg(long, required = true)]
    script: bool,
}

/// Runs the subcommand.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    if arguments.script {
        std::io::stdout().write_all(script().as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
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
