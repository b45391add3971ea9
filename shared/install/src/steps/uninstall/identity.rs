//! The functions' user goes from aws-auth.

use crate::change::Change;
use crate::site::Site;
use crate::steps::{Doing, Progress, Step};

/// The functions' user goes from aws-auth.
pub(in crate::steps) struct Identity;

impl Step for Identity {
    fn name(&self) -> &'static str {
        "identity"
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
