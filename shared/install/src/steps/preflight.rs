//! What must be there before anything is changed: each thing as present or missing, with the command that mends it.

mod account;
pub(crate) mod group;
mod network;
mod nodes;
mod permissions;

use super::{Doing, Progress, Step};
use crate::change::{Change, Verb};
use crate::problem::Problem;
use crate::site::Site;
use crate::standing::Standing;

/// Everything that an installation needs.
pub(super) struct Preflight;

impl Step for Preflight {
    fn name(&self) -> &'static str {
        "preflight"
    }

    fn look<'a>(&'a self, site: &'a Site) -> Doing<'a, Vec<Change>> {
        Box::pin(async {
            let mut changes = account::look(site).await;
            changes.extend(network::look(site).await);
            changes.extend(nodes::look(site).await);
            Ok(changes)
        })
    }

    fn carry_out<'a>(
        &'a self,
        site: &'a Site,
        _changes: &'a [Change],
        progress: Progress<'a>,
    ) -> Doing<'a, ()> {
        Box::pin(async move {
            let standing = crate::standing::unmanaged_ready(site).await?;
            for group in group::find(site, &standing).await? {
                if group.change(site).verb == Verb::Update {
                    group.mend(site).await?;
                    progress(&format!("{} is mended", group.name));
                }
            }
            Ok(())
        })
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
