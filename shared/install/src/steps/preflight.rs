//! What must be there before.

use super::{Doing, Progress, Step};
use crate::change::Change;
use crate::site::Site;

/// What must be there before.
pub(super) struct Preflight;

impl Step for Preflight {
    fn name(&self) -> &'static str {
        "preflight"
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
