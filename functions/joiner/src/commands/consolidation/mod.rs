//! `joiner plan --consolidate`: what consolidation would do if nothing bounded it.

mod document;
mod table;

use super::plan::Output;
use super::plan::yaml;
use super::style::Style;
use anyhow::bail;
use document::Document;
use model::pool::ApiVersion;
use model::{MicroUsdPerHour, Snapshot};
use observe::Dump;
use planner::{Consolidation, Options, Scope};

/// Hours of a month, as AWS counts them.
const HOURS_PER_MONTH: u64 = 730;

/// What to consolidate, and at what price.
#[derive(clap::Args)]
pub(crate) struct ConsolidationArguments {
    /// Plan as if nodes could be taken away to save money at once: which go, what is bought instead, which pods move, in what
    /// order, and what that saves. Budgets, windows and waiting times are left out; what protects pods and nodes is not
    #[arg(long, conflicts_with_all = ["repack", "strict"])]
    consolidate: bool,
    /// Let nodes of no pool go too, as those of managed node groups; without pools of its own a cluster's nodes all may
    #[arg(long, requires = "consolidate")]
    node_groups: bool,
    /// The least that must be saved for each pod that is moved, in dollars a month, whatever the pools say (0.10 if they do not)
    #[arg(long, value_name = "USD", requires = "consolidate")]
    saving_per_move: Option<f64>,
}

impl ConsolidationArguments {
    /// Whether it is asked for at all.
    pub(crate) fn asked(&self) -> bool {
        self.consolidate
    }

    fn scope(&self, snapshot: &Snapshot) -> anyhow::Result<Scope> {
        let built_in =
            snapshot.node_pools.iter().all(|pool| pool.api_version == ApiVersion::BuiltIn);
        let least = match self.saving_per_move {
            None => None,
            Some(usd) => match MicroUsdPerHour::from_usd(usd / HOURS_PER_MONTH as f64) {
                Some(least) => Some(least),
                None => bail!("--saving-per-move {usd}: say a number of dollars, 0 or more"),
            },
        };
        Ok(Scope {
            foreign: self.node_groups || built_in,
            saving_per_move: least,
            ..Scope::default()
        })
    }
}

/// The consolidation with what it came from.
pub(crate) struct Answer<'a> {
    dump: &'a Dump,
    consolidation: Consolidation,
    scope: Scope,
}

/// The answer as text.
pub(crate) fn render(
    dump: &Dump,
    arguments: &ConsolidationArguments,
    (output, all): (Output, bool),
    options: &Options,
) -> anyhow::Result<String> {
    let scope = arguments.scope(&dump.snapshot)?;
    let consolidation = planner::consolidate(&dump.snapshot, &scope, options);
    let answer = Answer { dump, consolidation, scope };
    Ok(match output {
        Output::Table => table::render(&answer, all, &Style::of_terminal()),
        Output::Json => serde_json::to_string_pretty(&Document::of(&answer))? + "\n",
        Output::Yaml => yaml::render(&serde_json::to_value(Document::of(&answer))?),
    })
}

#[cfg(test)]
mod tests;
