//! What is looked at: files, a cluster, a snapshot, or a turn that a function kept.

use super::input::Input;
use super::replay::{self, Kept};
use anyhow::bail;
use observe::{Dump, DumpOptions};
use std::path::PathBuf;

/// The objects to look at.
#[derive(clap::Args)]
pub(crate) struct Source {
    #[command(flatten)]
    pub(super) input: Input,
    /// Look at exactly this snapshot (JSON, plain or gzip), as a function keeps one of each turn
    #[arg(long, value_name = "FILE", conflicts_with_all = ["files", "context", "kubeconfig", "region", "catalog"])]
    snapshot: Option<PathBuf>,
    /// Look at what the function saw in this turn; the log names turns
    #[arg(long, value_name = "ID", requires = "bucket", conflicts_with_all = ["files", "snapshot"])]
    turn: Option<String>,
    /// The bucket that keeps the turns, an output of the stack
    #[arg(long, value_name = "NAME", env = "TURNS_BUCKET")]
    bucket: Option<String>,
    /// The region, if the nodes do not tell it
    #[arg(long)]
    region: Option<String>,
    /// A fresher catalog of instance types and prices, as `joiner catalog refresh` writes it [env: JOINER_CATALOG]
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
}

impl Source {
    /// Reads it; what is kept of a turn comes with the turn's own plan.
    pub(super) fn read(&self) -> anyhow::Result<(Dump, Option<Kept>)> {
        let (dump, kept) = match (&self.snapshot, &self.turn) {
            (Some(file), _) => replay::of_file(file)?,
            (None, Some(turn)) => {
                replay::of_turn(turn, self.bucket.as_deref(), &self.input.cluster)?
            }
            (None, None) => (self.read_objects()?, None),
        };
        if dump.objects == 0 {
            let cause = dump.findings.iter().find(|finding| finding.place.is_some());
            let cause = cause.map(|finding| format!(": {finding}")).unwrap_or_default();
            bail!("the input has no Kubernetes object that can be read{cause}");
        }
        Ok((dump, kept))
    }

    fn read_objects(&self) -> anyhow::Result<Dump> {
        let catalog = super::catalog::read(self.catalog.as_deref())?;
        let options = DumpOptions { region: self.region.clone(), ..DumpOptions::default() };
        self.input.read(&catalog, &options, true)
    }
}

/// How hard to look: as hard as the function that kept the turn did.
pub(super) fn options(kept: Option<&Kept>) -> planner::Options {
    let steps = kept.map(|kept| kept.planner_steps);
    steps.map_or_else(planner::Options::default, |steps| planner::Options { steps })
}
