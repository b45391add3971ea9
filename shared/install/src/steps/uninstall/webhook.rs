//! The webhook and the custom resources go.

use crate::change::Change;
use crate::site::Site;
use crate::steps::{Doing, Progress, Step};

/// The webhook and the custom resources go.
pub(in crate::steps) struct Webhook;

impl Step for Webhook {
    fn name(&self) -> &'static str {
        "webhook"
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
