//! What must be there before anything is changed: each thing as present or missing, with the command that mends it.

mod account;
pub(crate) mod group;
mod network;
mod nodes;
mod permissions;

use super::{Changes, Done, Progress, Work};
use crate::change::{Change, Verb};
use crate::problem::Problem;
use crate::site::Site;
use crate::standing::Standing;

/// Everything that an installation needs.
pub(super) struct Preflight;

impl Work for Preflight {
    fn name(&self) -> &'static str {
        "preflight"
    }

    async fn look(&self, site: &Site) -> Changes {
        let mut changes = account::look(site).await;
        changes.extend(network::look(site).await);
        changes.extend(nodes::look(site).await);
        Ok(changes)
    }

    async fn carry_out(&self, site: &Site, _changes: &[Change], progress: Progress<'_>) -> Done {
        let standing = crate::standing::unmanaged_ready(site).await?;
        for group in group::find(site, &standing).await? {
            if group.change(site).verb == Verb::Update {
                group.mend(site).await?;
                progress(&format!("{} is mended", group.name));
            }
        }
        Ok(())
    }
}

/// What was found, or that it could not be looked at: the rest is looked at all the same.
fn found(object: &str, looked: Result<Change, Problem>) -> Change {
    looked.unwrap_or_else(|problem| Change::conflict(object, problem.to_string()))
}

/// The zones of nodes, each once.
fn zones(standing: &[Standing]) -> Vec<&str> {
    let mut zones = standing.iter().map(|node| node.zone.as_str()).collect::<Vec<_>>();
    zones.sort_unstable();
    zones.dedup();
    zones
}
