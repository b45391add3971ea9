//! `joiner crds`.

use super::plan::yaml;
use serde_json::json;
use std::io::Write as _;
use std::process::ExitCode;

/// Print the definitions of the custom resources.
///
/// `joiner crds | kubectl apply --server-side -f -` makes them known to a cluster: NodePool, EC2NodeClass, NodeClaim, and the legacy
/// Provisioner and AWSNodeTemplate.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What to print
    #[arg(long, value_enum, default_value_t = Output::Yaml)]
    output: Output,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Output {
    /// A List as YAML
    Yaml,
    /// A List as JSON
    Json,
}

/// Runs the subcommand.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let items = api::custom_resource_definitions();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
    let text = match arguments.output {
        Output::Yaml => yaml::render(&list),
        Output::Json => serde_json::to_string_pretty(&list)? + "\n",
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
