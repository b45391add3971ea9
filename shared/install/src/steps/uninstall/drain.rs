//! Joiner's nodes are drained and ended, while the functions still can.

use crate::change::Change;
use crate::site::Site;
use crate::steps::{Doing, Progress, Step};

/// Joiner's nodes are drained and ended, while the functions still can.
pub(in crate::steps) struct Drain;

impl Step for Drain {
    fn name(&self) -> &'static str {
        "drain"
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
