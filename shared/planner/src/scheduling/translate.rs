//! Pods and candidates as a packing problem: parts of the demand that no rule tells apart become one item.

use super::candidates::Candidates;
use super::constraints::HostRules;
use crate::packing::bitset::Bitset;
use crate::packing::problem::{Item, Kind, Problem};
use crate::packing::undominated;
use std::collections::BTreeMap;

/// Pods of one size with the same candidates.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    /// What each takes, by dimension.
    pub(crate) size: Vec<i64>,
    /// The candidates that may hold them.
    pub(crate) allowed: Bitset,
    /// How many there are.
    pub(crate) count: u32,
}

/// A packing problem and what its items and kinds stand for.
pub(crate) struct Translation {
    pub(crate) problem: Problem,
    /// By kind, the candidate.
    pub(crate) kinds: Vec<usize>,
    /// By item, the positions of the parts that it stands for.
    pub(crate) parts: Vec<Vec<usize>>,
}

/// What makes an item: size, candidates, and the part's position if rules set it apart.
type Key<'p> = (&'p [i64], &'p Bitset, Option<usize>);

/// Translates the parts, whose positions are those of `rules`. Without `conflicts` pods that must stay apart may meet:
/// the problem is then easier, which a lower bound may use.
pub(crate) fn translate(
    candidates: &Candidates<'_>,
    parts: &[Part],
    rules: &HostRules,
    conflicts: bool,
) -> Translation {
    let mut merged: BTreeMap<Key<'_>, Vec<usize>> = BTreeMap::new();
    for (position, part) in parts.iter().enumerate() {
        let kept_apart = conflicts && !rules.conflicts[position].is_empty();
        let apart = (kept_apart || !rules.groups[position].is_empty()).then_some(position);
        merged.entry((&part.size, &part.allowed, apart)).or_default().push(position);
    }
    let mut item_of = vec![0; parts.len()];
    for (item, positions) in merged.values().enumerate() {
        positions.iter().for_each(|position| item_of[*position] = item);
    }
    let item = |(key, positions): (&Key<'_>, &Vec<usize>)| {
        let foes =
            key.2.filter(|_| conflicts).map_or(&[][..], |position| &rules.conflicts[position]);
        Item {
            size: key.0.to_vec(),
            count: positions.iter().map(|position| parts[*position].count).sum(),
            groups: key.2.map(|position| rules.groups[position].clone()).unwrap_or_default(),
            conflicts: foes.iter().map(|foe| item_of[*foe]).collect(),
        }
    };
    let items = merged.iter().map(item).collect::<Vec<_>>();
    let (kinds, problem_kinds) = kinds(candidates, merged.keys().map(|key| key.1));
    let problem = Problem {
        dimensions: items.first().map_or(0, |item| item.size.len()),
        conflicting: items.iter().any(|item| !item.conflicts.is_empty()),
        items,
        kinds: problem_kinds,
        group_limits: rules.limits.clone(),
    };
    Translation { problem, kinds, parts: merged.into_values().collect() }
}

/// The undominated candidates for items with these candidates, and the kinds that they are.
fn kinds<'a>(
    candidates: &Candidates<'_>,
    allowed: impl ExactSizeIterator<Item = &'a Bitset>,
) -> (Vec<usize>, Vec<Kind>) {
    let mut held_by = vec![Bitset::new(allowed.len()); candidates.list.len()];
    for (item, set) in allowed.enumerate() {
        set.iter().for_each(|at| held_by[at].insert(item));
    }
    let useful =
        (0..candidates.list.len()).filter(|at| !held_by[*at].is_empty()).collect::<Vec<_>>();
    let kind = |at: &usize| Kind {
        capacity: candidates.list[*at].usable.to_vec(),
        price: candidates.list[*at].price,
        allowed: held_by[*at].clone(),
    };
    let all = useful.iter().map(kind).collect::<Vec<_>>();
    let kept = undominated(&all);
    (kept.iter().map(|at| useful[*at]).collect(), kept.iter().map(|at| all[*at].clone()).collect())
}
