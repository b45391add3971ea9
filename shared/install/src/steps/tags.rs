//! The tags by which pools find subnets and security groups.

use super::{Doing, Progress, Step};
use crate::change::Change;
use crate::site::Site;

/// The tags by which pools find subnets and security groups.
pub(super) struct Tags;

impl Step for Tags {
    fn name(&self) -> &'static str {
        "tags"
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
