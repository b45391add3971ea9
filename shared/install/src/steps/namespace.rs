//! The namespace.

use super::{Doing, Progress, Step};
use crate::change::Change;
use crate::site::Site;

/// The namespace.
pub(super) struct Namespace;

impl Step for Namespace {
    fn name(&self) -> &'static str {
        "namespace"
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
