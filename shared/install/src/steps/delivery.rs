//! The functions' code and the webhook's image, in the account.

use super::{Doing, Progress, Step};
use crate::change::Change;
use crate::site::Site;

/// The functions' code and the webhook's image, in the account.
pub(super) struct Delivery;

impl Step for Delivery {
    fn name(&self) -> &'static str {
        "delivery"
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
