//! The CloudFormation stack.

use super::{Doing, Progress, Step};
use crate::change::Change;
use crate::site::Site;

/// The CloudFormation stack.
pub(super) struct Stack;

impl Step for Stack {
    fn name(&self) -> &'static str {
        "stack"
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
