//! Nodes that are older than they may be.

use crate::view::View;
use model::pool::ApiVersion;
use model::{Duration, Node, NodeClaim, NodePool, Timestamp};

/// How an old node goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// Its replacement first, within budgets: pools of the legacy and beta APIs (karpenter v0.31 and v0.37).
    Graceful(Timestamp),
    /// At once, whatever the budgets say; its pods are evicted under theirs (karpenter core v1, `nodeclaim/expiration`).
    Forceful(Timestamp),
}

impl Expiry {
    /// When it is due.
    pub(super) fn at(self) -> Timestamp {
        match self {
            Self::Graceful(at) | Self::Forceful(at) => at,
        }
    }
}

/// When the node goes, and how, if it ever does. Legacy pools say so for all their nodes; a claim of today carries its own age.
pub(super) fn expiry(
    view: &View<'_>,
    node: &Node,
    claim: Option<&NodeClaim>,
    pool: Option<&NodePool>,
) -> Option<Expiry> {
    let made = claim.and_then(|claim| claim.created_at).or(node.created_at)?;
    let ends = |after: Duration| made.plus(after);
    let graceful = pool.is_some_and(|pool| match pool.api_version {
        ApiVersion::Legacy | ApiVersion::V1Beta1 => true,
        ApiVersion::V1 | ApiVersion::BuiltIn => false,
    });
    if graceful {
        return pool.and_then(|pool| pool.expire_after).map(ends).map(Expiry::Graceful);
    }
    // A dump of another's cluster shows claims without their age; their pool's is as good.
    let what_if = || pool.filter(|_| view.instances().is_none()).and_then(|pool| pool.expire_after);
    let after = claim.and_then(|claim| claim.expire_after).or_else(what_if);
    after.map(ends).map(Expiry::Forceful)
}
