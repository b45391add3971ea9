//! Cluster Autoscaler, which goes last.

use super::{Doing, Progress, Step};
use crate::change::Change;
use crate::site::Site;

/// Cluster Autoscaler, which goes last.
pub(super) struct ClusterAutoscaler;

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
