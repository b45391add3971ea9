//! Cluster Autoscaler comes back, where it was; so does a Karpenter that was taken over.

use crate::change::Change;
use crate::cluster::backup::Backup;
use crate::cluster::objects::Objects;
use crate::problem::Problem;
use crate::site::Site;
use crate::steps::{Doing, Progress, Step, cluster_autoscaler, karpenter};

/// What was kept comes back.
pub(in crate::steps) struct ClusterAutoscaler;

const BACKUPS: [&str; 2] = [cluster_autoscaler::BACKUP, karpenter::BACKUP];

async fn look(site: &Site) -> Result<Vec<Change>, Problem> {
    let objects = Objects::new(&site.kube);
    let mut changes = Vec::new();
    for name in BACKUPS {
        changes.extend(Backup::new(&objects, name).look().await?);
    }
    Ok(changes)
}

async fn carry_out(site: &Site, progress: Progress<'_>) -> Result<(), Problem> {
    let objects = Objects::new(&site.kube);
    for name in BACKUPS {
        Backup::new(&objects, name).restore(progress).await?;
    }
    Ok(())
}

impl Step for ClusterAutoscaler {
    fn name(&self) -> &'static str {
        "cluster-autoscaler"
    }

    fn look<'a>(&'a self, site: &'a Site) -> Doing<'a, Vec<Change>> {
        Box::pin(look(site))
    }

    fn carry_out<'a>(
        &'a self,
        site: &'a Site,
        _changes: &'a [Change],
        progress: Progress<'a>,
    ) -> Doing<'a, ()> {
        Box::pin(carry_out(site, progress))
    }
}
