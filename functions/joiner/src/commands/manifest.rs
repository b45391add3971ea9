//! `joiner manifest`.

use super::installation::failed;
use ::install::manifest::{open, together};
use anyhow::Result;
use std::path::PathBuf;
use std::process::ExitCode;

/// Tell what gen3's manifests ask for, and the command that does it. Changes nothing.
///
/// `.global.karpenter`: absent, null, false or \"false\" is off; true or \"true\" is on; \"arm\" is on with a pool of Arm besides. Anything
/// else is refused with its place. `.global.environment` is the name of the VPC and of the cluster. Hosts that share a VPC are given
/// together: what the widest of them asks for counts.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The manifests: manifest.json
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

/// Runs the subcommand.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let read = arguments.files.iter().map(|file| open(file)).collect::<Result<Vec<_>, _>>();
    let wishes = match read.and_then(|all| together(&all)) {
        Ok(wishes) => wishes,
        Err(problem) => return Ok(failed("manifest", &problem)),
    };
    println!("{}: {}", wishes.environment, wishes.wish.as_str());
    for dissent in &wishes.dissent {
        println!("  {dissent}");
    }
    if wishes.wish.is_on() {
        let files = arguments.files.iter().map(|file| format!(" --manifest {}", file.display()));
        println!("joiner install --cluster {}{}", wishes.environment, files.collect::<String>());
    }
    Ok(ExitCode::SUCCESS)
}
