//! Which nodes' pods fit elsewhere for less.

use super::budgets::Allowance;
use super::eligibility::Eligibility;
use super::{Intention, Proposal, Turn};

/// The nodes to take away because their pods fit elsewhere for less, within what the budgets leave. A proposal that is still
/// right comes back with just its nodes; one that does not come back is called off.
pub(crate) fn consolidation<'a>(
    _turn: &Turn<'_, 'a>,
    _eligibility: &mut Eligibility<'_, 'a>,
    _allowance: &mut Allowance<'a>,
    _proposals: &[Proposal<'a>],
) -> Vec<Intention<'a>> {
    Vec::new()
}
