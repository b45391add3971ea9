//! Planning again what a function planned: the same snapshot gives the same plan.

use super::input::ClusterArguments;
use anyhow::{Context, Result, bail};
use model::{Plan, Snapshot};
use observe::Dump;
use serde::Deserialize;
use std::io::Read;
use std::path::Path;

/// The first bytes of a gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A turn as the functions keep it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Kept {
    turn: String,
    /// How hard the planner looked.
    pub(super) planner_steps: u64,
    snapshot: Snapshot,
    plan: Plan,
}

impl Kept {
    /// Says whether the plan is the one that was carried out.
    pub(super) fn compare(&self, plan: &Plan) -> Result<()> {
        let json = |plan: &Plan| serde_json::to_string(plan).context("the plan cannot be written");
        if json(&self.plan)? != json(plan)? {
            bail!(
                "turn {} was decided otherwise than this version decides it; use the version that decided it, or say --repack or --effort to plan freely",
                self.turn
            );
        }
        eprintln!("joiner: turn {}: the same plan, to the byte", self.turn);
        Ok(())
    }
}

/// A file that holds a kept turn, or a snapshot alone.
pub(super) fn of_file(file: &Path) -> Result<(Dump, Option<Kept>)> {
    let name = file.display();
    let bytes = std::fs::read(file).with_context(|| format!("{name} cannot be read"))?;
    of_bytes(&bytes).with_context(|| format!("{name} is neither a snapshot nor a kept turn"))
}

/// A turn from the stack's bucket.
#[cfg(feature = "live")]
pub(super) fn of_turn(
    turn: &str,
    bucket: Option<&str>,
    cluster: &ClusterArguments,
) -> Result<(Dump, Option<Kept>)> {
    let bucket = bucket.context("name the bucket with --bucket")?;
    let cluster = cluster.cluster.as_deref();
    let cluster = cluster.context("name the EKS cluster with --cluster")?;
    let bytes = super::cluster::kept_turn(bucket, cluster, turn)?;
    of_bytes(&bytes).with_context(|| format!("what is kept of turn {turn} cannot be read"))
}

#[cfg(not(feature = "live"))]
pub(super) fn of_turn(
    _: &str,
    bucket: Option<&str>,
    _: &ClusterArguments,
) -> Result<(Dump, Option<Kept>)> {
    let bucket = bucket.unwrap_or_default();
    bail!(
        "this build reads no buckets ({bucket}); download the turn and name its file with --snapshot"
    );
}

fn of_bytes(bytes: &[u8]) -> Result<(Dump, Option<Kept>)> {
    let mut json = Vec::new();
    if bytes.starts_with(&GZIP) {
        flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut json)?;
    } else {
        json = bytes.to_vec();
    }
    let kept = serde_json::from_slice::<Kept>(&json).ok();
    let snapshot = match &kept {
        Some(kept) => kept.snapshot.clone(),
        None => serde_json::from_slice::<Snapshot>(&json)?,
    };
    // A snapshot needs no reading: what was odd about its objects was told when it was made.
    let objects = snapshot.pods.len() + snapshot.nodes.len() + snapshot.node_pools.len();
    Ok((Dump { snapshot, objects: objects.max(1), ..Dump::default() }, kept))
}
