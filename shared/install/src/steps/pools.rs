//! Pools and classes.

use super::{Doing, Progress, Step};
use crate::change::Change;
use crate::site::Site;

/// Pools and classes.
pub(super) struct Pools;

impl Step for Pools {
    fn name(&self) -> &'static str {
        "pools"
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
