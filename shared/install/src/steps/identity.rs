//! Who may be whom: the OIDC provider, the spot role, the functions' user in the cluster.

use super::{Doing, Progress, Step};
use crate::change::Change;
use crate::site::Site;

/// Who may be whom: the OIDC provider, the spot role, the functions' user in the cluster.
pub(super) struct Identity;

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
