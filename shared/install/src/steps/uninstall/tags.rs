//! Discovery tags that the installer wrote go.

use crate::change::Change;
use crate::site::Site;
use crate::steps::{Doing, Progress, Step};

/// Discovery tags that the installer wrote go.
pub(in crate::steps) struct Tags;

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
