//! Pools that ask for several distinct values of a label (`minValues`): a node is bought only where so many offerings would do.
//!
//! A candidate is kept if enough others are at least as large: then whatever fits it fits those. A node that holds pods with
//! different needs is looked at once more, because fewer offerings may do for all of them.

use super::candidates::Candidates;
use super::dimensions::fits;
use crate::packing::bitset::Bitset;
use std::collections::BTreeSet;

/// Whether some pool asks.
pub(crate) fn is_asked(candidates: &Candidates<'_>) -> bool {
    candidates.pools.iter().any(|pool| !pool.min_values.is_empty())
}

/// Takes away the candidates of such pools for which too few others are as large.
pub(crate) fn keep_diverse(candidates: &Candidates<'_>, set: &mut Bitset) {
    for (pool, of) in candidates.pools.iter().enumerate() {
        if of.min_values.is_empty() {
            continue;
        }
        let mut members = candidates.of_pool[pool].clone();
        members.intersect(set);
        let members = members.iter().collect::<Vec<_>>();
        for at in &members {
            if !is_diverse(candidates, *at, &members, &candidates.list[*at].usable) {
                set.remove(*at);
            }
        }
    }
}

/// Whether enough of the members hold so much that the chosen one's pool has the values that it asks for.
pub(crate) fn is_diverse(
    candidates: &Candidates<'_>,
    chosen: usize,
    members: &[usize],
    total: &[i64],
) -> bool {
    let own = &candidates.list[chosen];
    candidates.pools[own.pool].min_values.iter().all(|(key, count)| {
        let mut values = BTreeSet::new();
        let enough = |at: &usize| {
            let other = &candidates.list[*at];
            if other.pool == own.pool && other.chosen == own.chosen && fits(total, &other.usable) {
                values.extend(candidates.label(other, key));
            }
            values.len() >= *count as usize
        };
        members.iter().any(enough)
    })
}
