//! The functions stop.

use crate::change::Change;
use crate::site::Site;
use crate::steps::{Doing, Progress, Step};

/// The functions stop.
pub(in crate::steps) struct Functions;

impl Step for Functions {
    fn name(&self) -> &'static str {
        "functions"
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
