//! Cluster Autoscaler, which goes last: once the webhook is ready and a decision was proved. It is kept restorable.

use super::karpenter::gone;
use super::{Changes, Done, Progress, Work, webhook};
use crate::change::Change;
use crate::cluster::autoscaler::{Found, find, named, works};
use crate::cluster::backup::Backup;
use crate::cluster::objects::{Named, Objects, plain};
use crate::options::Mode;
use crate::problem::Problem;
use crate::site::Site;
use serde_json::{Value, json};
use std::time::Duration;

/// The Secret that holds what was taken away.
pub(super) const BACKUP: &str = "joiner-backup-cluster-autoscaler";

/// Cluster Autoscaler, which goes last.
pub(super) struct ClusterAutoscaler;

/// What a run that was killed half-way has kept but not taken away: without the Deployments it can no longer be told by whose it was.
async fn remains(objects: &Objects, found: &Found) -> Result<Vec<Value>, Problem> {
    let kept = Backup::new(objects, BACKUP).read().await?;
    if kept.is_empty() || found.deployments.iter().any(works) {
        return Ok(Vec::new());
    }
    let mut remains = Vec::new();
    for each in kept.iter().filter(|each| each["kind"] != "Deployment") {
        let of = Named::of(each);
        let known = found.all().any(|other| Named::of(other) == of);
        // One that somebody has made anew, or changed, is somebody's again.
        let live = objects.get(&of).await?;
        remains.extend(live.filter(|live| !known && plain(live) == *each));
    }
    Ok(remains)
}

impl Work for ClusterAutoscaler {
    fn name(&self) -> &'static str {
        "cluster-autoscaler"
    }

    async fn look(&self, site: &Site) -> Changes {
        let objects = Objects::new(&site.kube);
        let found = find(&objects).await?;
        if site.options.mode == Mode::Observe {
            let stays = |each| Change::keep(named(each), "works on; Joiner only observes");
            return Ok(found.deployments.iter().map(stays).collect());
        }
        let goes = |each: &Value| {
            let detail = if each["kind"] == "Deployment" && works(each) {
                "scaled to zero, then removed; kept restorable"
            } else {
                "kept restorable"
            };
            Change::remove(named(each), detail)
        };
        let mut changes = found.all().map(goes).collect::<Vec<_>>();
        changes.extend(remains(&objects, &found).await?.iter().map(goes));
        let release = |name: &String| {
            Change::keep(
                format!("helm release {name}"),
                "Helm still lists it; `helm uninstall` it when you like",
            )
        };
        changes.extend(found.releases.iter().map(release));
        Ok(changes)
    }

    async fn carry_out(&self, site: &Site, _changes: &[Change], progress: Progress<'_>) -> Done {
        let objects = Objects::new(&site.kube);
        // Whoever runs this step alone meets the same gate as in the row of all.
        webhook::ready(&objects, Duration::ZERO, progress).await?;
        let found = find(&objects).await?;
        // As it is: one that is scaled to zero already was so before, or is kept already.
        let all = found.all().cloned().collect::<Vec<_>>();
        Backup::new(&objects, BACKUP).add(&all).await?;
        for each in found.deployments.iter().filter(|each| works(each)) {
            progress(&format!("{} is scaled to zero", named(each)));
            objects.patch(&Named::of(each), "", &json!({ "spec": { "replicas": 0 } })).await?;
        }
        for each in &found.deployments {
            gone(&objects, each, progress).await?;
        }
        let remains = remains(&objects, &found).await?;
        for each in found.all().chain(&remains) {
            progress(&format!("{} goes", named(each)));
            objects.delete(&Named::of(each)).await?;
        }
        Ok(())
    }
}
