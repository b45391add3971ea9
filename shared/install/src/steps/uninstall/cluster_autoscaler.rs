//! Cluster Autoscaler comes back, where it was.

use crate::change::Change;
use crate::site::Site;
use crate::steps::{Doing, Progress, Step};

/// Cluster Autoscaler comes back, where it was.
pub(in crate::steps) struct ClusterAutoscaler;

impl Step for ClusterAutoscaler {
    fn name(&self) -> &'static str {
        "cluster-autoscaler"
    }

    fn look<'a>(&'a self, _site: &'a Site) -> Doing<'a, Vec<Change>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn carry_out<'a>(
        &'a self,
        _site: &'a Site,
        _changes: &'a [Change],
        _progress: Progress<'a>,
    ) -> Doing<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}
