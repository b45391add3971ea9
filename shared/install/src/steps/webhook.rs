//! The custom resources, the functions' rights, the webhook.

use super::{Doing, Progress, Step};
use crate::change::Change;
use crate::site::Site;

/// The custom resources, the functions' rights, the webhook.
pub(super) struct Webhook;

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
