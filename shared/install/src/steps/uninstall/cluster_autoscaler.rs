//! Cluster Autoscaler comes back, where it was; so does a Karpenter that was taken over.

use crate::change::Change;
use crate::cluster::backup::Backup;
use crate::cluster::objects::Objects;
use crate::site::Site;
use crate::steps::{Changes, Done, Progress, Work, cluster_autoscaler, karpenter};

/// What was kept comes back.
pub(in crate::steps) struct ClusterAutoscaler;

const BACKUPS: [&str; 2] = [cluster_autoscaler::BACKUP, karpenter::BACKUP];

impl Work for ClusterAutoscaler {
    fn name(&self) -> &'static str {
        "cluster-autoscaler"
    }

    async fn look(&self, site: &Site) -> Changes {
        let objects = Objects::new(&site.kube);
        let mut changes = Vec::new();
        for name in BACKUPS {
            changes.extend(Backup::new(&objects, name).look().await?);
        }
        Ok(changes)
    }

    async fn carry_out(&self, site: &Site, _changes: &[Change], progress: Progress<'_>) -> Done {
        let objects = Objects::new(&site.kube);
        for name in BACKUPS {
            Backup::new(&objects, name).restore(progress).await?;
        }
        Ok(())
    }
}
